import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from headstart.meta import MAML, FewShot, ProtoNet
from headstart.models import Net, conv4, load, mlp
from headstart.tasks import Labelled

ADAPTATIONS = [
    ProtoNet("parts"),
    MAML("parts", lr=0.1, steps=4),
    MAML("parts", lr=0.5, steps=2, only="heads."),
]
CENTRES = {"bolt": (0.0, 9.0), "nut": (9.0, 0.0), "washer": (-9.0, -9.0)}


def rows(name, count):
    g = torch.Generator().manual_seed(len(name))
    return torch.tensor(CENTRES[name]) + torch.randn(count, 2, generator=g)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net(mlp(2), {"parts": nn.Linear(40, 5), "other": nn.Linear(40, 1)})


def fitted(net, adaptation):
    x = torch.cat([rows("bolt", 1), rows("nut", 4), rows("bolt", 2)])
    return FewShot(net, adaptation).fit(x, ["bolt"] + ["nut"] * 4 + ["bolt"] * 2)


@pytest.mark.parametrize("adaptation", ADAPTATIONS, ids=["protonet", "maml", "anil"][: len(ADAPTATIONS)])
def test_from_rows_to_labels_and_back_from_disk(net, adaptation, tmp_path):
    before = {n: t.clone() for n, t in net.state_dict().items()}
    state = torch.get_rng_state()
    parts = fitted(net, adaptation)
    assert parts.classes == ("bolt", "nut")
    queries = torch.cat([rows("nut", 3), rows("bolt", 3), rows("washer", 3)])
    assert parts.predict(queries[:6]) == ["nut"] * 3 + ["bolt"] * 3
    assert parts.add_class("washer", rows("washer", 3)) is parts
    assert parts.predict(queries) == ["nut"] * 3 + ["bolt"] * 3 + ["washer"] * 3
    found = parts.predict_proba(queries)
    torch.testing.assert_close(found.sum(1), torch.ones(9))

    parts.save(tmp_path / "a" / "parts")
    again = FewShot.load(tmp_path / "a" / "parts")
    assert again.classes == parts.classes
    assert again.adaptation == adaptation
    assert torch.equal(again.predict_proba(queries), found)
    for clf in (parts, again):
        clf.add_class("pin", torch.tensor([[9.0, 9.0], [9.5, 9.0]]))
    assert torch.equal(again.predict_proba(queries), parts.predict_proba(queries))

    assert net.training
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_saved_classifier_is_a_model(net, tmp_path):
    parts = fitted(net, ProtoNet("parts"))
    parts.save(tmp_path)
    saved = load(tmp_path)
    assert saved.kinds["parts"].decode(saved.net(rows("nut", 2), "parts")) == ["nut", "nut"]


def test_the_head_that_was_learned_is_used_where_it_fits(net, tmp_path):
    x, y = torch.randn(5, 2), torch.arange(5)
    adaptation = MAML("parts", lr=0.1, steps=1)
    expected = adaptation(net, Labelled(x, y))(x).softmax(1)
    clf = FewShot(net, adaptation).fit(x[:3], [30, 10, 20])
    clf.save(tmp_path)
    clf = FewShot.load(tmp_path).add_class(7, x[3:4]).add_class(-1, x[4:])
    torch.testing.assert_close(clf.predict_proba(x), expected)


def test_zero_head_starts_symmetric(net):
    clf = FewShot(net, MAML("parts", lr=1e-12, steps=1, only="heads.")).fit(torch.randn(3, 2), [0, 1, 2])
    torch.testing.assert_close(clf.predict_proba(torch.randn(4, 2)), torch.full((4, 3), 1 / 3))


@pytest.mark.parametrize(
    "labels",
    [torch.tensor([7, -3, 7]), numpy.array([7, -3, 7]), [numpy.int64(7), numpy.int64(-3), 7]],
    ids=type,
)
def test_any_integers_in_any_container(net, labels, tmp_path):
    x = torch.tensor([[0.0, 9.0], [9.0, 0.0], [0.0, 8.0]])
    clf = FewShot(net, ProtoNet("parts")).fit(x, labels)
    clf.save(tmp_path)
    for found in (clf.predict(x), FewShot.load(tmp_path).predict(x)):
        assert found == [7, -3, 7]
        assert {type(v) for v in found} == {int}


def test_rows_do_not_see_one_another():
    torch.manual_seed(0)
    clf = FewShot(Net(conv4(1, width=4, size=16), {"a": nn.Linear(4, 2)}), ProtoNet("a"))
    clf.fit(torch.randn(4, 1, 16, 16), ["x", "y", "x", "y"])
    x = torch.randn(6, 1, 16, 16)
    alone = torch.cat([clf.predict_proba(row[None]) for row in x])
    torch.testing.assert_close(clf.predict_proba(x), alone)
    torch.testing.assert_close(clf.predict_proba(x, batch=4), alone)
    assert clf.predict_proba(x[:0]).shape == (0, 2)


def test_rows_of_several_tensors_and_a_backbone_of_ones_own(tmp_path):
    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(9, 4)

        def forward(self, x):
            return (self.embed(x["ids"]) * x["mask"][..., None]).sum(1)

    x = {"ids": torch.tensor([[1, 2], [3, 4]]), "mask": torch.ones(2, 2)}
    clf = FewShot(Net(Bag(), {"a": nn.Linear(4, 2)}), MAML("a", lr=0.1)).fit(x, ["u", "v"])
    clf.save(tmp_path)
    again = FewShot.load(tmp_path, backbone=Bag())
    assert torch.equal(again.predict_proba(x), clf.predict_proba(x))
    with pytest.raises(ValueError, match="backbone"):
        FewShot.load(tmp_path)


def test_wrong_use_is_explained(net, tmp_path):
    clf = FewShot(net, ProtoNet("parts"))
    for call in (lambda: clf.predict(torch.zeros(1, 2)), lambda: clf.classes, lambda: clf.save(tmp_path)):
        with pytest.raises(RuntimeError, match=r"fitted first; found no classes; call `fit\(x, labels\)`"):
            call()
    with pytest.raises(ValueError, match=r"one per row of `x` \(3\); found 2"):
        clf.fit(torch.zeros(3, 2), ["a", "b"])
    with pytest.raises(ValueError, match="at least 2 classes"):
        clf.fit(torch.zeros(2, 2), ["a", "a"])
    clf.fit(torch.eye(2), ["a", "b"])
    with pytest.raises(ValueError, match=r"a new class; found 'a'; to give a class more rows"):
        clf.add_class("a", torch.zeros(1, 2))
    with pytest.raises(ValueError, match="at least 1 row of 'c'"):
        clf.add_class("c", torch.zeros(0, 2))
    with pytest.raises(KeyError, match='did you mean "parts"'):
        FewShot(net, ProtoNet("part"))
    own = MAML("parts", loss=lambda a, b: F.cross_entropy(a, b))
    with pytest.raises(TypeError, match="`loss` to be saved"):
        FewShot(net, own).fit(torch.eye(2), ["a", "b"]).save(tmp_path)


def test_damage_is_noticed(net, tmp_path):
    fitted(net, ProtoNet("parts")).save(tmp_path)
    data = (tmp_path / "fewshot.safetensors").read_bytes()
    (tmp_path / "fewshot.safetensors").write_bytes(data[:-1])
    with pytest.raises(ValueError, match="as it was written"):
        FewShot.load(tmp_path)
    (tmp_path / "fewshot.safetensors").unlink()
    with pytest.raises(ValueError, match=r"what `FewShot.save` wrote"):
        FewShot.load(tmp_path)


def test_rows_that_are_not_finite_are_named(net):
    parts, wrong = fitted(net, ProtoNet("parts")), rows("washer", 2)
    wrong[1, 0] = torch.inf
    with pytest.raises(ValueError, match="`x` should be finite numbers; found NaN or infinity in row 1; "):
        parts.add_class("washer", wrong)
    with pytest.raises(ValueError, match="`x` should be finite numbers"):
        parts.fit(wrong, ["a", "b"])
    assert parts.classes == ("bolt", "nut")
