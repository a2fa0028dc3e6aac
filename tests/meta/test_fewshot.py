import numpy
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import headstart as hs
from headstart.datasets import read
from headstart.meta import (
    ANIL,
    BOIL,
    LSLR,
    MAML,
    BaselinePlusPlus,
    CosineProtoNet,
    Episodic,
    FewShot,
    Logistic,
    Matching,
    MetaSGD,
    ProtoNet,
    Relation,
    Ridge,
    Siamese,
    SimpleShot,
)
from headstart.models import Net, conv4, fix_norms, load, mlp, textcnn
from headstart.tasks import Labelled

from .adaptations import NAMES, all_of

CENTRES = {"bolt": (0.0, 9.0), "nut": (9.0, 0.0), "washer": (-9.0, -9.0)}


def rows(name, count):
    g = torch.Generator().manual_seed(len(name))
    return torch.tensor(CENTRES[name]) + torch.randn(count, 2, generator=g)


def a_net(outputs=5):
    torch.manual_seed(0)
    return Net(mlp(2), {"parts": nn.Linear(40, outputs), "other": nn.Linear(40, 1)})


@pytest.fixture
def net():
    return a_net()


def fitted(net, adaptation):
    x = torch.cat([rows("bolt", 1), rows("nut", 4), rows("bolt", 2)])
    return FewShot(net, adaptation).fit(x, ["bolt"] + ["nut"] * 4 + ["bolt"] * 2)


# The head of BOIL is learned for a number of classes, the comparison of Relation and the rule of
# LearnedOptimizer by meta-training.
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("BOIL", "LearnedOptimizer", "Relation")])
def test_from_rows_to_labels_and_back_from_disk(net, name, tmp_path):
    adaptation = all_of(net, "parts", 40)[name]
    before = {n: t.clone() for n, t in net.state_dict().items()}
    state = torch.get_rng_state()
    parts = fitted(net, adaptation)
    assert parts.classes == ("bolt", "nut")
    queries = torch.cat([rows("nut", 3), rows("bolt", 3), rows("washer", 3)])
    assert parts.predict(queries[:6]) == ["nut"] * 3 + ["bolt"] * 3
    two = parts.predict_proba(queries)
    assert parts.add_class("washer", rows("washer", 3)) is parts
    assert parts.predict(queries) == ["nut"] * 3 + ["bolt"] * 3 + ["washer"] * 3
    found = parts.predict_proba(queries)
    torch.testing.assert_close(found.sum(1), torch.ones(9))

    parts.save(tmp_path / "a" / "parts")
    again = FewShot.load(tmp_path / "a" / "parts")
    assert again.classes == parts.classes
    assert type(again.adaptation) is type(adaptation)
    assert torch.equal(again.predict_proba(queries), found)
    saved = load(tmp_path / "a" / "parts")
    assert torch.equal(saved.net(queries, "parts").softmax(1), found)
    assert torch.equal(again.known(queries), parts.known(queries))
    for clf in (parts, again):
        clf.add_class("pin", torch.tensor([[9.0, 9.0], [9.5, 9.0]]))
    assert torch.equal(again.predict_proba(queries), parts.predict_proba(queries))
    for clf in (parts, again):
        assert clf.remove_class("pin").remove_class("washer").classes == ("bolt", "nut")
        torch.testing.assert_close(clf.predict_proba(queries), two)

    assert net.training
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["BOIL", "LearnedOptimizer", "Relation"])
def test_what_is_learned_for_its_classes_is_saved(name, tmp_path):
    net = a_net(outputs=2)
    parts = fitted(net, all_of(net, "parts", 40)[name])
    found = parts.predict_proba(rows("nut", 3))
    parts.save(tmp_path)
    again = FewShot.load(tmp_path)
    assert torch.equal(again.predict_proba(rows("nut", 3)), found)
    x, labels = torch.cat([rows("nut", 2), rows("bolt", 2)]), ["nut", "nut", "bolt", "bolt"]
    assert torch.equal(again.fit(x, labels).predict_proba(x), parts.fit(x, labels).predict_proba(x))


def test_a_head_that_does_not_move_has_to_fit(net):
    with pytest.raises(ValueError, match=r"as many classes as the head .* \(5\); found 2; use `MAML`"):
        fitted(net, BOIL("parts"))


def test_steps_that_diverge_are_named(net):
    with pytest.raises(
        FloatingPointError, match=r"`lr=1e\+38` should be numbers; found NaN or .* after step "
    ):
        fitted(net, MAML("parts", lr=1e38, steps=4))
    with pytest.raises(FloatingPointError, match="adapted with `lr=1e"):
        fitted(net, ANIL("parts", lr=1e38, steps=9))


def test_learned_step_sizes_and_penalties_are_saved(net, tmp_path):
    for adaptation in (MetaSGD(net, "parts"), LSLR(net, "parts"), Ridge("parts"), Relation("parts", 40)):
        for weight in adaptation.parameters():
            weight.data.uniform_(0.01, 0.1)
        fitted(net, adaptation).save(tmp_path)
        again = FewShot.load(tmp_path).adaptation
        for name, value in adaptation.state_dict().items():
            assert torch.equal(again.state_dict()[name], value)


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
    with pytest.raises(ValueError, match="`name` should be a string or an integer; found None"):
        clf.add_class(None, torch.zeros(1, 2))
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
    with pytest.raises(FileNotFoundError, match=r"fewshot\.safetensors` should be a file"):
        FewShot.load(tmp_path)


def test_rows_that_are_not_finite_are_named(net):
    parts, wrong = fitted(net, ProtoNet("parts")), rows("washer", 2)
    wrong[1, 0] = torch.inf
    with pytest.raises(ValueError, match="`x` should be finite numbers; found NaN or infinity in row 1; "):
        parts.add_class("washer", wrong)
    with pytest.raises(ValueError, match="`x` should be finite numbers"):
        parts.fit(wrong, ["a", "b"])
    assert parts.classes == ("bolt", "nut")


def test_wrong_rows_and_labels_are_explained(net):
    clf = FewShot(net, ProtoNet("parts"))
    with pytest.raises(ValueError, match="a few rows of each class; found no rows"):
        clf.fit(torch.zeros(0, 2), [])
    with pytest.raises(ValueError, match="none in row 1; leave that row out"):
        clf.fit(torch.zeros(3, 2), ["a", None, "b"])
    with pytest.raises(ValueError, match="none in row 2"):
        clf.fit(torch.zeros(3, 2), ["a", "b", float("nan")])
    with pytest.raises(TypeError, match="a tensor or an array of numbers"):
        clf.fit(["red", "blue"], ["a", "b"])
    clf.fit(torch.eye(2), ["a", "b"])
    with pytest.raises(ValueError, match="one of three or more classes"):
        clf.remove_class("a")
    with pytest.raises(ValueError, match='`name` should be a known name; found "c"'):
        clf.remove_class("c")
    with pytest.raises(ValueError, match="`miss` should be above 0 and below 1"):
        clf.known(torch.eye(2), miss=0)


@pytest.mark.parametrize("adaptation", [ProtoNet("parts"), MAML("parts", lr=0.1)], ids=["means", "steps"])
def test_rows_of_no_class_are_told(net, adaptation):
    clf = fitted(net, adaptation)
    strange = torch.full((4, 2), -300.0)
    assert clf.predict(torch.cat([rows("nut", 4), strange]), unknown="?")[4:] == ["?"] * 4
    assert not clf.known(strange).any()
    assert set(clf.predict(strange)) <= {"nut", "bolt"}


def test_about_the_share_that_was_asked_for_is_called_unknown():
    net = Net(nn.Identity(), {"a": nn.Linear(2, 2)})
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(4000, 2, generator=g), (torch.arange(4000) % 2).tolist()
    clf = FewShot(net, ProtoNet("a")).fit(x[:400], y[:400])
    for miss in (0.05, 0.3):
        assert 1 - clf.known(x[400:], miss=miss).float().mean().item() == pytest.approx(miss, abs=0.03)


def test_arrays_and_lists_are_rows(net):
    x = numpy.array([[0.0, 9.0], [9.0, 0.0]], dtype=numpy.float32)
    clf = FewShot(net, ProtoNet("parts")).fit(x, ["bolt", "nut"])
    assert clf.predict(x.tolist()) == clf.predict(torch.from_numpy(x)) == ["bolt", "nut"]
    assert clf.add_class("pin", [[-9.0, -9.0]]).predict(-9 * numpy.ones((1, 2))) == ["pin"]


def test_frames_with_the_encoding_of_the_task(tmp_path):
    pandas = pytest.importorskip("pandas", reason="needs the extra `tables`")
    frame = pandas.DataFrame(
        {
            "size": numpy.tile([1, 2, 10, 11], 5) * numpy.arange(1, 6).repeat(4) / 5,
            "kind": ["a", "a", "b", "b"] * 5,
        }
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    (task,) = read("csv:a.csv#kind", base=tmp_path)
    width = task.train.x.shape[1]
    clf = FewShot(Net(nn.Identity(), {"t": nn.Linear(width, 2)}), ProtoNet("t"), encoding=task.encoding)
    few = pandas.DataFrame({"size": [1.0, 1.5, 10.0, 11.0, 1.2, 0.9, 9.0, 10.5]})
    assert clf.fit(few[:4], ["u", "u", "v", "v"]).predict(few[4:8]) == ["u", "u", "v", "v"]
    clf.save(tmp_path / "saved")
    again = FewShot.load(tmp_path / "saved", backbone=nn.Identity())
    with pytest.raises(TypeError, match=r"found DataFrame; take `hs.load\(DIRECTORY\).few`"):
        again.predict(few)
    model = hs.load(tmp_path / "saved", backbone=nn.Identity(), device="cpu")
    assert model.predict(few[4:8]) == ["u", "u", "v", "v"]
    assert model.few.add_class("w", few[:1] * 9).remove_class("u").predict(few[3:4] / 2) == ["w"]


@pytest.mark.parametrize("given", [ProtoNet, hs.meta.Episodic(ProtoNet("t"))])
def test_what_adapts_no_head_is_no_adaptation(given):
    with pytest.raises(TypeError, match="`adaptation` should be a way to adapt the head of a task; found"):
        FewShot(Net(nn.Identity(), {"t": nn.Linear(2, 2)}), given)


def test_texts_with_the_encoding_of_the_task(tmp_path):
    pandas = pytest.importorskip("pandas", reason="needs the extra `tables`")
    text = ["red apple", "green apple", "fast car", "slow car"]
    pandas.DataFrame({"text": text, "y": ["a", "a", "b", "b"]}).to_csv(tmp_path / "t.csv", index=False)
    (task,) = read("text:t.csv#y", base=tmp_path, split=hs.datasets.SplitSpec(test=0))
    torch.manual_seed(0)
    backbone = textcnn(task.encoding.facts()["vocabulary"], embedding=4, filters=3)
    clf = FewShot(Net(backbone, {"t": nn.Linear(backbone.width, 2)}), ProtoNet("t"), encoding=task.encoding)
    assert clf.fit(text, ["fruit", "fruit", "thing", "thing"]).predict(text)[::3] == ["fruit", "thing"]


def test_images_with_the_encoding_of_the_task():
    image = pytest.importorskip("PIL.Image")
    (task,) = read("digits:0-1")
    net = Net(conv4(1, width=4, size=8, norm="none"), {"t": nn.Linear(4, 2)})
    clf = FewShot(net, ProtoNet("t"), encoding=task.encoding)
    black, white = (image.fromarray(numpy.full((8, 8), v, numpy.uint8)) for v in (0, 255))
    assert clf.fit([black, white], ["black", "white"]).predict([white, black]) == ["white", "black"]


def after_meta_training(adaptation, steps=40):
    """Train a net with batch norm on episodes of digits; return it with an episode to try it on."""
    torch.manual_seed(0)
    (task,) = read("digits:0-4")
    net = Net(conv4(1, width=8, size=8, halvings=1), {"t": nn.Linear(8 * 16, 5)})
    adaptation = adaptation(net)
    g = torch.Generator().manual_seed(0)
    stream = hs.episodes(task, ways=5, shots=5, queries=5, per_step=4, generator=g)
    objective = Episodic(adaptation)
    optimizer = torch.optim.AdamW([*net.parameters(), *objective.parameters()], lr=3e-3)
    hs.fit(net, stream, objective, steps=steps, optimizer=optimizer, progress=False)
    episode = hs.episodes(task, ways=5, shots=5, queries=15, per_step=1, generator=g)
    return net, adaptation, next(episode).episode(0)


@pytest.mark.parametrize(
    "adaptation",
    [
        lambda net: MAML("t", lr=0.1, steps=1),
        lambda net: MAML("t", lr=0.1, steps=1, first_order=True),
        lambda net: ANIL("t", lr=0.1, steps=1),
        lambda net: MetaSGD(net, "t", lr=0.1),
        lambda net: ProtoNet("t"),
        lambda net: Ridge("t"),
    ],
    ids=["maml", "fomaml", "anil", "metasgd", "protonet", "ridge"],
)
def test_rows_one_by_one_are_answered_as_well_as_batches_of_meta_training(adaptation):
    net, adaptation, (support, query) = after_meta_training(adaptation)
    assert all(int(m.num_batches_tracked) > 0 for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    clf = FewShot(net, adaptation).fit(support.x, support.y.tolist())
    alone = (torch.tensor(clf.predict(query.x, batch=1)) == query.y).float().mean()
    net.train()
    batch = (adaptation(net, support)(query.x).argmax(1) == query.y).float().mean()
    assert batch > 0.8
    assert alone > batch - 0.08


def test_frozen_norms_keep_their_statistics():
    torch.manual_seed(0)
    net = fix_norms(Net(conv4(1, width=4, size=8), {"t": nn.Linear(4, 2)}))
    net.backbone.blocks[0][1].running_mean += 1
    x = torch.randn(6, 1, 8, 8)
    clf = FewShot(net, MAML("t", lr=0.01)).fit(x, [0, 1] * 3)
    for name, value in net.named_buffers():
        assert torch.equal(clf.net.get_buffer(name), value)
    net.eval()
    with torch.no_grad():
        expected = MAML("t", lr=0.01)(net, Labelled(x, torch.arange(6) % 2))(x).softmax(1)
    torch.testing.assert_close(clf.predict_proba(x), expected)


def test_one_row_alone_is_refused_with_what_mends_it():
    few = FewShot(Net(nn.Linear(4, 8), {"a": nn.Linear(8, 2)}), ProtoNet("a"))
    few.fit(torch.randn(6, 4, requires_grad=True), ["x", "y"] * 3)
    for ask in (few.predict, few.predict_proba, few.known):
        with pytest.raises(
            ValueError, match=r"`x` should be rows of \[4\]; found shape \[4\]; for one row pass"
        ):
            ask(torch.randn(4))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_rows_that_are_no_numbers_get_no_answer(net, value):
    parts = fitted(net, ProtoNet("parts"))
    x = rows("nut", 3)
    x[2, 1] = value
    for ask in (parts.predict, parts.predict_proba, parts.known):
        with pytest.raises(ValueError, match="`x` should be finite numbers; found NaN or infinity in row 2"):
            ask(x)


@pytest.mark.parametrize("size", [1e20, -1e30, 1e38])
def test_rows_beyond_what_a_float_can_square_are_no_first_class(size):
    net = Net(nn.Identity(), {"a": nn.Linear(2, 2)})
    with pytest.raises(FloatingPointError, match="adapted weights should be numbers"):
        FewShot(net, ProtoNet("a")).fit(size * torch.eye(2).repeat(2, 1), ["a", "b"] * 2)


BY_ANGLE = [BaselinePlusPlus("a"), CosineProtoNet("a"), Matching("a"), SimpleShot("a")]


def angles():
    """Give support rows, their labels and new rows, of three directions with some noise."""
    middles = torch.eye(4)[:3].repeat(4, 1) * 3 + 1
    support, query = middles + torch.randn(2, 12, 4, generator=torch.Generator().manual_seed(0)) / 3
    return support, list("abc") * 4, query


@settings(max_examples=10, deadline=None)
@given(power=st.floats(-30, 30), by=st.sampled_from(BY_ANGLE))
def test_answers_by_angles_do_not_know_the_size_of_features(power, by):
    support, labels, query = angles()
    net = Net(nn.Identity(), {"a": nn.Linear(4, 3)})
    few = FewShot(net, by).fit(support * 10.0**power, labels)
    assert few.predict(query * 10.0**power) == labels
    assert (
        few.known(query * 10.0**power).tolist() == FewShot(net, by).fit(support, labels).known(query).tolist()
    )


@pytest.mark.parametrize("by", [ProtoNet, Siamese, Ridge])
def test_answers_by_distances_do_not_know_it_as_long_as_squares_are_numbers(by):
    support, labels, query = angles()
    net = Net(nn.Identity(), {"a": nn.Linear(4, 3)})
    for size in (1e-18, 1e-9, 1e9, 1e17):
        assert FewShot(net, by("a")).fit(support * size, labels).predict(query * size) == labels
    for size in (1e-30, 1e30):
        with pytest.raises(FloatingPointError, match=r"answers|adapted weights"):
            FewShot(net, by("a")).fit(support * size, labels).predict(query)


@pytest.mark.parametrize("by", [Logistic, MAML, Relation])
def test_features_too_small_to_be_told_apart_are_no_first_class(by):
    support, labels, _ = angles()
    net = Net(nn.Identity(), {"a": nn.Linear(4, 3)})
    adaptation = by("a", 4) if by is Relation else by("a")
    with pytest.raises(FloatingPointError, match="tell classes apart; found one and the same for each"):
        FewShot(net, adaptation).fit(support * 1e-20, labels)
