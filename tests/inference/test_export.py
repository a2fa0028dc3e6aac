"""Models as one file that other programs run: the same answers, and what the card says of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import headstart as hs
from headstart.cli import main
from headstart.datasets import read
from headstart.inference import Model, exporting
from headstart.models import Net, backbone, conv4, cut, mlp
from headstart.models.backbones.plain import Blank, Raw, Words
from headstart.models.heads import Neighbours, Trees, Vectors, Votes
from headstart.tasks import Binary, Multiclass, Regression

from .conftest import ALL, saved

onnx = pytest.mark.skipif(
    any(exporting.find_spec(name) is None for name in exporting.LIBRARIES),
    reason="needs headstart[onnx]",
)


def ran(file: Path, x: Tensor, name: str) -> Tensor:
    """What the file says, by the program that runs its format."""
    if file.suffix == ".pt2":
        return torch.export.load(file).module()(x)[name]
    session = pytest.importorskip("onnxruntime").InferenceSession(str(file))
    (said,) = session.run([name], {"input": x.numpy()})
    return torch.from_numpy(said)


def model_of(trunk: nn.Module, **kinds: hs.tasks.Kind) -> Model:
    """A model without an encoding, whose answers differ from row to row."""
    trunk = trunk.eval()
    heads = {name: kind.head(trunk.width) for name, kind in kinds.items()}
    return Model(Net(trunk, heads).eval(), kinds)


@pytest.mark.parametrize("suffix", [".pt2", pytest.param(".onnx", marks=onnx)])
def test_a_table_with_two_tasks(suffix: str, parts: Path, tmp_path: Path) -> None:
    tasks = read(f"csv:{parts}#part", split=ALL)
    rows_ = hs.tasks.Labelled(tasks[0].train.x, tasks[0].train.y.float())
    price = hs.Task("price", Regression(), rows_, encoding=tasks[0].encoding)
    model = hs.load(saved(tmp_path / "model", tasks[0], price), device="cpu")
    file = model.export(tmp_path / f"parts{suffix}", f"csv:{parts}")
    x = model.rows(tasks[0].train.x[:5], task="part")
    for rows in (x, x[:1]):  # traced with another number of them
        torch.testing.assert_close(
            ran(file, rows, "part"), model.predict_proba(rows, task="part").float(), rtol=1e-5, atol=1e-6
        )
        outputs = model.answer(rows, task="price").outputs
        torch.testing.assert_close(ran(file, rows, "price"), outputs, rtol=1e-5, atol=1e-5)
    assert sorted(p.name for p in tmp_path.glob(f"parts{suffix}*")) == [
        f"parts{suffix}", f"parts{suffix}.json", f"parts{suffix}.md",
    ]  # fmt: skip
    about = json.loads((tmp_path / f"parts{suffix}.json").read_text())
    assert about["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert about["tasks"]["part"]["classes"] == ["bolt", "nut", "washer"]
    assert [task["gives"] for task in about["tasks"].values()] == ["probabilities", "numbers"]
    assert about["inputs"] == {"input": {"dtype": "float32", "shape": ["rows", x.shape[1]]}}
    assert about["check"]["rows_from"] == f"csv:{parts}"
    assert about["preparation"]["encoding"] == model.encoding.to_json()
    assert about["comparison"] is None
    page = (tmp_path / f"parts{suffix}.md").read_text()
    assert "bolt, nut" in page
    assert "Not known" in page


@pytest.mark.parametrize("suffix", [".pt2", pytest.param(".onnx", marks=onnx)])
def test_a_text_may_have_another_length(suffix: str, text: Path, tmp_path: Path) -> None:
    model = hs.load(text, device="cpu")
    file = model.export(tmp_path / f"text{suffix}")
    about = json.loads((tmp_path / f"text{suffix}.json").read_text())
    assert about["inputs"]["input"] == {"dtype": "int64", "shape": ["rows", "length"]}
    assert about["check"]["rows_from"] == "made up by their shape"
    x = torch.randint(1, 9, (2, 23))
    (name,) = model.kinds
    said = model.net(x, name).softmax(1) if model.kinds[name].outputs > 1 else None
    assert said is not None
    torch.testing.assert_close(ran(file, x, name), said, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("suffix", [".pt2", pytest.param(".onnx", marks=onnx)])
def test_a_backbone_that_ends_behind_a_block(suffix: str, tmp_path: Path) -> None:
    x = torch.rand(4, 1, 12, 12)
    model = model_of(cut(conv4(1, size=[12, 12], width=4).eval(), "1", x), digits=Multiclass(3))
    file = model.export(tmp_path / f"cut{suffix}", x)
    torch.testing.assert_close(ran(file, x[:2], "digits"), model.predict_proba(x[:2]).float())
    about = json.loads((tmp_path / f"cut{suffix}.json").read_text())
    assert about["backbone"]["cut"]["layer"] == "1"
    assert about["check"]["batches"] == [1, 4]


def test_a_whole_conv4_in_training_is_exported_at_rest_and_left_as_it_is(tmp_path: Path) -> None:
    x = torch.rand(4, 1, 16, 16)
    model = model_of(conv4(1, size=[16, 16], width=4), yes=Binary(("n", "y")))
    model.net.train()
    before = {name: value.clone() for name, value in model.net.state_dict().items()}
    file = model.export(tmp_path / "conv4.pt2", x)
    assert all(part.training for part in model.net.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.net.state_dict().items())
    assert ran(file, x, "yes").shape == (4, 2)
    torch.testing.assert_close(ran(file, x, "yes"), model.predict_proba(x).float())


def filled(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for value in module.buffers():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) + 0.1)
    return module


LEARNERS: dict[str, Callable[[], Net]] = {
    "neighbours": lambda: Net(Raw([4]), {"a": filled(Neighbours(20, 4, 3, 5, True))}),
    "vectors": lambda: Net(Raw([4]), {"a": filled(Vectors(20, 4, 3))}),
    "votes": lambda: Net(Raw([4]), {"a": filled(Votes([5, 6, 7], 4))}),
    "trees": lambda: Net(Raw([4]), {"a": filled(Trees(6, 7, 3, depth=2))}),
    "blank": lambda: Net(Blank(), {"a": nn.Linear(1, 3)}),
    "words": lambda: Net(Words(30), {"a": nn.Linear(30, 3)}),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_without_a_network(name: str, tmp_path: Path) -> None:
    x = torch.randint(0, 9, (40, 7)) if name == "words" else torch.rand(40, 4)
    model = Model(LEARNERS[name]().eval(), {"a": Multiclass(3)})
    file = model.export(tmp_path / "learner.pt2", x)
    torch.testing.assert_close(
        ran(file, x[:30], "a"), model.predict_proba(x[:30]).float(), rtol=1e-4, atol=1e-6
    )


@onnx
@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_learners_without_a_network_in_onnx(name: str, tmp_path: Path) -> None:
    x = torch.randint(0, 9, (40, 7)) if name == "words" else torch.rand(40, 4)
    model = Model(LEARNERS[name]().eval(), {"a": Multiclass(3)})
    file = model.export(tmp_path / "learner.onnx", x)
    torch.testing.assert_close(
        ran(file, x[:30], "a"), model.predict_proba(x[:30]).float(), rtol=1e-4, atol=1e-6
    )


@onnx
@pytest.mark.slow
@pytest.mark.parametrize(
    ("use", "layer"), [("torchvision:resnet18", ""), ("timm:resnet10t", "layer2.0"), ("timm:resnet10t", "")]
)
def test_nets_of_libraries_with_their_preprocessing(use: str, layer: str, tmp_path: Path) -> None:
    if exporting.find_spec(use.partition(":")[0]) is None:
        pytest.skip(f"needs headstart[{use.partition(':')[0]}]")
    settings = {"raw": True} | ({"size": 64} if use.startswith("timm") else {})
    x = torch.rand(3, 3, 48, 48)
    trunk = cut(backbone(use, weights=None, settings=settings).eval(), layer, x)
    model = model_of(trunk, photos=Multiclass(3))
    file = model.export(tmp_path / "photos.onnx", x)
    torch.testing.assert_close(
        ran(file, x[:2], "photos"), model.predict_proba(x[:2]).float(), rtol=1e-3, atol=1e-5
    )
    about = json.loads((tmp_path / "photos.onnx.json").read_text())
    assert about["backbone"]["use"] == use
    if use.startswith("timm"):
        assert about["backbone"]["licence"] == "apache-2.0"


def test_a_model_of_a_comparison_tells_what_it_gained(tmp_path: Path) -> None:
    torch.manual_seed(0)
    y = torch.arange(60) % 2
    x = torch.randn(60, 4) + y[:, None]
    rows = hs.tasks.Labelled
    task = hs.Task("coins", Multiclass(["head", "tail"]), rows(x[:30], y[:30]), test=rows(x[30:], y[30:]))
    budget = hs.strategies.Budget(steps=2, pretrain=2, options=1)
    problem = hs.Problem(task, backbone=mlp(4, hidden=[5]), budget=budget, device="cpu")
    result = hs.compare(problem, ["scratch", "finetune"], 2, out=tmp_path / "run", progress=False)
    model = hs.load(tmp_path / "run" / "models" / "finetune", backbone=mlp(4, hidden=[5]), device="cpu")
    model.export(tmp_path / "coins.pt2", x)
    about = json.loads((tmp_path / "coins.pt2.json").read_text())
    row = next(r for r in result.rows if r["strategy"] == "finetune")
    assert about["comparison"]["gain"] == row["gain"]
    assert about["comparison"]["gain_ci95"] == row["gain_ci95"]
    assert about["made_by"]["strategy"] == "finetune"
    assert about["made_by"]["reused"] != "nothing"
    assert about["trained_on"]["rows"] == 30
    page = (tmp_path / "coins.pt2.md").read_text()
    assert f"{row['gain']:+.4g}" in page
    assert "`scratch`" in page or about["comparison"]["baseline"] != "scratch"


# What is refused.


def test_a_file_that_answers_otherwise_is_not_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = model_of(mlp(4), coins=Multiclass(2))
    real = exporting._runner

    def off(file: Path, names: list[str]) -> tuple[exporting.Answer, str]:
        run, runtime = real(file, names)
        return lambda x: {name: 1.001 * said for name, said in run(x).items()}, runtime

    monkeypatch.setattr(exporting, "_runner", off)
    with pytest.raises(
        ValueError, match=r"task 'coins' should be the model's, within 0.0001.*nothing is written"
    ):
        model.export(tmp_path / "coins.pt2", torch.rand(4, 4))
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_missing_in_the_file_alone_are_a_difference() -> None:
    with pytest.raises(ValueError, match="inf apart"):
        exporting.check(
            lambda x: {"a": x}, lambda x: {"a": x * float("nan")}, [torch.ones(2, 2)], ".pt2", "mine", {}
        )


def test_a_net_that_looks_at_values_is_refused(tmp_path: Path) -> None:
    class Odd(nn.Module):
        width = 4

        def forward(self, x: Tensor) -> Tensor:
            return x if float(x.sum()) > 0 else -x

    net = Net(Odd(), {"a": nn.Linear(4, 2)})
    with pytest.raises(ValueError, match="model to export should be a net whose steps do not depend"):
        Model(net, {"a": Multiclass(2)}).export(tmp_path / "odd.pt2", torch.rand(4, 4))
    assert not list(tmp_path.iterdir())


def test_wrong_words(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of(mlp(4), coins=Multiclass(2))
    with pytest.raises(ValueError, match=r"ends in .onnx or .pt2"):
        model.export(tmp_path / "coins.pkl")
    with pytest.raises(ValueError, match=r"rows to compare on should be given.*`data=DATA`"):
        model.export(tmp_path / "coins.pt2")
    assert main(["export", str(table), str(tmp_path / "x"), "--to", "tensorrt"]) == 2
    assert "known: onnx, torch" in capsys.readouterr().err
    assert main(["export", str(table), str(tmp_path / "x.onnx"), "--to", "torch"]) == 2
    assert "ends in .pt2" in capsys.readouterr().err


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"headstart\[onnx\]"):
        model_of(mlp(4), coins=Multiclass(2)).export(tmp_path / "coins.onnx", torch.rand(4, 4))


def test_the_command(images: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "photos"
    assert main(["export", str(images), str(out), "--to", "torch", "--data", f"images:{photos}"]) == 0
    assert "on 8 rows" in capsys.readouterr().out
    page = (tmp_path / "photos.pt2.md").read_text()
    assert "resize it to 6 x 5 pixels" in page
    x = hs.load(images).rows(np.zeros((2, 1, 6, 5), np.float32))
    assert ran(tmp_path / "photos.pt2", x, next(iter(hs.load(images).kinds))).shape[0] == 2


@pytest.mark.parametrize("suffix", [".pt2", pytest.param(".onnx", marks=onnx)])
def test_tags_of_words_are_those_of_the_net_at_each_word(suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trunk = hs.models.textcnn(30, embedding=8, filters=8, windows=[1, 3], dropout=0.0)
    kinds = {"cities": hs.tasks.Tokens(["O", "B-city", "I-city"]), "mood": Multiclass(2)}
    heads = {name: kind.head(trunk.width) for name, kind in kinds.items()}
    net = Net(trunk, heads).eval()
    x = torch.randint(1, 30, (5, 12))
    x[2, 9:] = 0
    file = Model(net, kinds).export(tmp_path / f"tags{suffix}", x)
    for rows in (x[:3], torch.randint(1, 30, (2, 17))):
        torch.testing.assert_close(ran(file, rows, "cities"), net(rows, "cities"), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            ran(file, rows, "mood"), net(rows, "mood").softmax(1), rtol=1e-5, atol=1e-6
        )
