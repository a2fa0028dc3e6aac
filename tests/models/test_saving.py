import errno
import json
import os

import numpy as np
import pytest
import torch
from torch import nn

from headstart import atomic
from headstart.meta import ProtoNet
from headstart.models import Net, backbone, conv4, freeze, load, mlp, save
from headstart.records import seal
from headstart.tasks import Binary, Labelled, Multiclass, Multilabel, Regression, Tokens

TRUNKS = [
    ("mlp", (4,), {"hidden": [6, 5]}),
    ("conv4", (1, 28, 28), {"width": 4, "geometry": "pooled"}),
    ("conv4", (3, 16, 24), {"width": 4, "geometry": "strided", "norm": "instance"}),
    ("conv4", (1, 8, 8), {"width": 4, "norm": "layer"}),
    ("textcnn", (7,), {"vocabulary": 11, "embedding": 3, "filters": 2}),
    ("torchvision:mobilenet_v3_small", (1, 32, 32), {}),
]
KINDS = {
    "many": Multiclass(["bolt", "7", 7]),
    "yes": Binary((False, True)),
    "any": Multilabel(["beach", 3]),
    "size": Regression(2),
    "tags": Tokens(["O", "B"]),
}


def small(classes=2):
    torch.manual_seed(0)
    return Net(mlp(3, hidden=(4,)), {"coins": nn.Linear(4, classes)}).eval()


def saved_small(directory, **arguments):
    net = small()
    save(net, directory, kinds={"coins": Multiclass(2)}, **arguments)
    return net


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("use", "inputs", "settings"), TRUNKS)
def test_a_model_comes_back_bit_by_bit(tmp_path, use, inputs, settings, dtype):
    trunk = backbone(use, inputs=inputs, weights=None, settings=settings)
    net = Net(trunk, {n: nn.Linear(trunk.width, k.outputs) for n, k in KINDS.items()}).to(dtype)
    x = torch.ones(3, *inputs, dtype=dtype)
    with torch.no_grad():
        net.train()(x, "many")  # moves the running statistics
    save(net.eval(), tmp_path / "model", kinds=KINDS)
    saved = load(tmp_path / "model")
    before, after = net.state_dict(), saved.net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n], after[n]) and before[n].dtype == after[n].dtype for n in before)
    assert torch.equal(net(x, "many"), saved.net(x, "many"))
    assert saved.kinds == KINDS
    assert (saved.encoding, saved.notes) == (None, None)
    assert not any(m.training for m in saved.net.modules())
    assert sorted(os.listdir(tmp_path)) == ["model"]
    assert sorted(os.listdir(tmp_path / "model")) == ["model.json", "model.safetensors"]


def test_class_names_keep_their_types(tmp_path):
    names = ["1", 1, "true", "ünï\n"]
    net = Net(mlp(2), {"a": nn.Linear(40, 4), "b": nn.Linear(40, 1), "c": nn.Linear(40, 2)})
    kinds = {"a": Multiclass(names), "b": Binary((True, False)), "c": Multiclass([np.int64(4), np.str_("x")])}
    save(net, tmp_path, kinds=kinds)
    back = load(tmp_path).kinds
    assert list(map(repr, back["a"].classes)) == list(map(repr, names))
    assert back["b"].classes[0] is True
    assert list(map(type, back["c"].classes)) == [int, str]


def test_encoding_notes_and_frozen_names_come_back(tmp_path):
    net = Net(conv4(1, width=4, size=8), {"digits": nn.Linear(4, 10)})
    freeze(net.backbone.blocks[0])
    encoding = {"columns": ["a", "b"], "mean": [0.1, 0.25], "resize": None}
    save(net, tmp_path, kinds={"digits": Multiclass(10)}, encoding=encoding, notes={"adaptation": "protonet"})
    saved = load(tmp_path)
    assert (saved.encoding, saved.notes) == (encoding, {"adaptation": "protonet"})
    flags = {n: p.requires_grad for n, p in net.named_parameters()}
    assert {n: p.requires_grad for n, p in saved.net.named_parameters()} == flags
    assert set(flags.values()) == {True, False}


def test_loading_leaves_the_global_random_state(tmp_path):
    saved_small(tmp_path)
    before = torch.get_rng_state()
    load(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_saving_again_replaces_the_model_and_leaves_other_files(tmp_path):
    saved_small(tmp_path, notes={"version": 1})
    (tmp_path / "readme.txt").write_text("mine")
    net = small(3)
    save(net, tmp_path, kinds={"coins": Multiclass(3)}, notes={"version": 2})
    assert load(tmp_path).notes == {"version": 2}
    assert torch.equal(load(tmp_path).net.heads["coins"].weight, net.heads["coins"].weight)
    assert sorted(os.listdir(tmp_path)) == ["model.json", "model.safetensors", "readme.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_an_error_while_writing_leaves_the_old_model(tmp_path, monkeypatch, call):
    net = saved_small(tmp_path / "model")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, call, fail)
    with pytest.raises(OSError, match=r"model.*writable.*No space left.*free some space"):
        saved_small(tmp_path / "model", notes={"new": True})
    if call == "fsync":
        with pytest.raises(OSError, match="No space left"):
            saved_small(tmp_path / "fresh")
    monkeypatch.undo()
    saved = load(tmp_path / "model")
    assert saved.notes is None
    assert torch.equal(saved.net(torch.ones(1, 3), "coins"), net(torch.ones(1, 3), "coins"))
    assert os.listdir(tmp_path) == ["model"]
    assert sorted(os.listdir(tmp_path / "model")) == ["model.json", "model.safetensors"]


def test_places_that_cannot_hold_a_model_are_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match=r"a directory.*a file"):
        saved_small(tmp_path / "file")
    with pytest.raises(OSError, match="writable"):
        saved_small(tmp_path / "file" / "model")
    with pytest.raises(OSError, match="writable"):
        saved_small("/proc/model")


@pytest.mark.parametrize("harm", ["truncate", "flip", "swap"])
def test_damaged_weights_are_refused(tmp_path, harm):
    saved_small(tmp_path)
    path = tmp_path / "model.safetensors"
    data = bytearray(path.read_bytes())
    if harm == "truncate":
        data = data[:-5]
    elif harm == "flip":
        data[-1] ^= 1
    else:
        save(small(3), tmp_path / "other", kinds={"coins": Multiclass(3)})
        data = (tmp_path / "other" / "model.safetensors").read_bytes()
    path.write_bytes(data)
    with pytest.raises(ValueError, match="truncated or altered"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "update headstart, or save the model again"),
        ({"format": 3}, "update headstart"),
        ({"format": None}, "format of"),
        ({"kinds": {"coins": {"kind": "Multicalss", "classes": [0, 1]}}}, 'did you mean "Multiclass"'),
        ({"backbone": {"use": "file:/etc", "settings": {}}}, "backbone=module"),
        ({"backbone": {"use": "os:system", "settings": {}}}, "backbone=module"),
        (
            {"backbone": {"use": "mlp", "settings": {"features": 9, "hidden": [4]}}},
            "of a model of 26 weights, as its file holds; found 50",
        ),
        ({"heads": {}}, "2 more"),
        *(
            (
                {"heads": {"coins": head}},
                r"model.json. should be what .* writes; found .*; save the model again",
            )
            for head in (
                5,
                {"layer": "linear"},
                {"layer": "linear", "in": "a", "out": 2, "bias": True},
                {"layer": "linear", "in": -4, "out": 2, "bias": True},
            )
        ),
        *(
            (change, r"should be what .* writes; found .*; save the model again")
            for change in (
                {"backbone": {}},
                {"backbone": {"use": 3, "settings": {}}},
                {"backbone": {"use": "mlp", "settings": [3]}},
                {"kinds": {}},
                {"kinds": {"coins": 5}},
                {"kinds": {"coins": {"kind": []}}},
                {"kinds": {"coins": {"kind": "Multiclass", "names": [0, 1]}}},
                {"kinds": {"coins": {"kind": "Multiclass", "classes": [[0], [1]]}}},
            )
        ),
        ({"heads": []}, '`heads` of ".*" should be dict; found list; save the model again'),
        ({"encoding": 5}, '`encoding` of ".*" should be dict or NoneType; found int; '),
        ({"weights": None}, '`weights` of ".*" should be str; found NoneType; '),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path, change, message):
    saved_small(tmp_path)
    path = tmp_path / "model.json"
    about = json.loads(path.read_text()) | change
    path.write_text(json.dumps(seal(about)))
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"head",\n    "tail"', '"tail",\n    "head"'),
        ('"in": 4', '"in": "a"'),
        ('"mean": 0.5', '"mean": 0.25'),
        ('"sha256": "', '"sha256": "0'),
    ],
)
def test_an_altered_description_is_refused(tmp_path, old, new):
    encoding = {"reader": "csv", "mean": 0.5}
    save(small(), tmp_path, kinds={"coins": Multiclass(["head", "tail"])}, encoding=encoding)
    path = tmp_path / "model.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(
        ValueError, match=r'model.json" should be as it was written .*; found .*altered; save'
    ):
        load(tmp_path)
    path.write_text(json.dumps(json.loads(text)))  # the same values, laid out in another way
    assert load(tmp_path).encoding == encoding


def test_a_missing_or_broken_description_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing there"):
        load(tmp_path / "nowhere")
    saved_small(tmp_path)
    (tmp_path / "model.json").write_text('{"format": 1')
    with pytest.raises(ValueError, match="should be JSON"):
        load(tmp_path)
    (tmp_path / "model.json").write_text('{"format": 2}')
    with pytest.raises(ValueError, match="with backbone"):
        load(tmp_path)
    (tmp_path / "model.json").write_text("[]")
    with pytest.raises(ValueError, match="found list"):
        load(tmp_path)


def test_a_module_of_ones_own_is_passed_to_load(tmp_path):
    def trunk():
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))

    net = Net(trunk(), {"coins": nn.Linear(4, 2)})
    save(net, tmp_path, kinds={"coins": Multiclass(2)})
    with pytest.raises(ValueError, match="backbone=module"):
        load(tmp_path)
    with pytest.raises(ValueError, match="tensors of the model"):
        load(tmp_path, backbone=nn.Linear(3, 4))
    saved = load(tmp_path, backbone=trunk())
    assert torch.equal(saved.net(torch.ones(2, 3), "coins"), net.eval()(torch.ones(2, 3), "coins"))


def test_heads_of_linear_layers_and_relus_are_rebuilt_and_others_are_passed(tmp_path):
    deep = nn.Sequential(nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Sequential(nn.Linear(5, 2)))
    net = Net(mlp(3, hidden=(4,)), {"deep": deep, "odd": nn.Bilinear(4, 4, 2)})
    save(net, tmp_path, kinds={"deep": Multiclass(2), "odd": Multiclass(2)})
    with pytest.raises(ValueError, match=r"heads=\{'odd': module\}"):
        load(tmp_path)
    with pytest.raises(ValueError, match='did you mean "odd"'):
        load(tmp_path, heads={"od": nn.Bilinear(4, 4, 2)})
    saved = load(tmp_path, heads={"odd": nn.Bilinear(4, 4, 2)})
    assert torch.equal(saved.net(torch.ones(2, 3), "deep"), net(torch.ones(2, 3), "deep"))
    assert torch.equal(saved.net.heads["odd"].weight, net.heads["odd"].weight)


def test_tied_weights_and_views_survive(tmp_path):
    def tied():
        first, second = nn.Linear(4, 4), nn.Linear(4, 4)
        second.weight = first.weight
        return nn.Sequential(first, second)

    net = Net(tied(), {"coins": nn.Linear(4, 2)})
    net.heads["coins"].weight = nn.Parameter(torch.randn(4, 2).T)  # not contiguous
    save(net, tmp_path, kinds={"coins": Multiclass(2)})
    saved = load(tmp_path, backbone=tied())
    assert saved.net.backbone[0].weight is saved.net.backbone[1].weight
    assert all(map(torch.equal, saved.net.state_dict().values(), net.state_dict().values()))


def test_what_is_no_json_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match=r"JSON.*Tensor"):
        saved_small(tmp_path / "model", notes={"scale": torch.ones(1)})
    with pytest.raises(ValueError, match="one for each head"):
        save(small(), tmp_path / "model", kinds={"coin": Multiclass(2)})
    assert not os.listdir(tmp_path)


def test_a_path_may_be_relative_and_new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved_small("runs/a/model")
    assert load("runs/a/model").net.heads.keys() == {"coins"}


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("part", ["backbone.weight", "heads.a.bias"])
def test_weights_that_are_no_numbers_are_refused(tmp_path, part, value):
    net = Net(nn.Linear(2, 3), {"a": nn.Linear(3, 2)})
    with torch.no_grad():
        net.get_parameter(part).view(-1)[1] = value
    with pytest.raises(ValueError, match=f"`{part}` of the net should be numbers; found NaN or infinity"):
        save(net, tmp_path / "m", kinds={"a": Multiclass(2)})
    assert not (tmp_path / "m").exists()


def test_a_class_without_rows_is_saved_and_comes_back(tmp_path):
    start = Net(nn.Linear(2, 3), {"a": nn.Linear(3, 3)})
    net = ProtoNet("a")(start, Labelled(torch.eye(2), torch.tensor([0, 2]))).export()
    save(net, tmp_path / "m", kinds={"a": Multiclass(3)})
    found = load(tmp_path / "m", backbone=nn.Linear(2, 3)).net
    assert found.heads["a"].bias.isneginf().tolist() == [False, True, False]
    assert torch.equal(found(torch.eye(2), "a"), net(torch.eye(2), "a"))
