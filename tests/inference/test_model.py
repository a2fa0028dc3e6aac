"""A model in use: the command line's answers, its measures, new classes, its way to show itself."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.cli import main
from headstart.datasets import encode, read
from headstart.datasets.splits import fingerprints
from headstart.inference import Model
from headstart.models import load as load_saved
from headstart.tasks import Binary, Labelled, Multiclass, Multilabel, Regression, Task, Tokens

from .conftest import ALL, OLD, saved


def asked(model: Path, data: str, tmp_path: Path) -> str:
    assert main(["predict", str(model), data, "-o", str(tmp_path / "answers.csv")]) == 0
    return (tmp_path / "answers.csv").read_text()


@pytest.mark.parametrize("name", ["table", "few"])
def test_models_of_the_release_before(name: str, tmp_path: Path) -> None:
    model = hs.load(OLD / name, device="cpu")
    known = (OLD / name / "predictions.csv").read_text()
    assert model.answer(OLD / "parts.csv").to_csv() == known
    assert asked(OLD / name, f"csv:{OLD}/parts.csv", tmp_path) == known
    labels = [line.rpartition(",")[2] for line in (OLD / "parts.csv").read_text().splitlines()[1:]]
    assert model.predict(OLD / "parts.csv") == labels
    assert model.evaluate(OLD / "parts.csv", labels)["accuracy"].value == 1
    again = hs.load(model.save(tmp_path / "again"))
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        OLD / name / "model.safetensors"
    ).read_bytes()
    assert again.answer(OLD / "parts.csv").to_csv() == known


def test_a_few_shot_model_of_the_release_before_learns_on() -> None:
    model = hs.load(OLD / "few")
    more = model.add_class("screw", torch.full((2, 5), 9.0))
    assert more.classes == ("bolt", "nut", "washer", "screw")
    assert more.predict(torch.full((1, 5), 9.0)) == ["screw"]
    assert model.classes == ("bolt", "nut", "washer")


def test_the_command_line_says_the_same(
    images: Path, photos: Path, text: Path, reviews: Path, tmp_path: Path
) -> None:
    for model, data in ((images, f"images:{photos}"), (text, f"text:{reviews}")):
        said = hs.load(model).answer(data)
        assert asked(model, data, tmp_path) == said.to_csv()
        assert len(said) == len(said.labels) == len(said.probabilities)


def test_files_that_do_not_decode(images: Path, photos: Path) -> None:
    (photos / "dark" / "1.png").write_bytes(b"no image")
    model = hs.load(images)
    with pytest.raises(ValueError, match="does not decode"):
        model.predict(photos)
    with pytest.warns(UserWarning, match="1 of 8 images do not decode"):
        said = model.answer(photos, skip_broken=True)
    assert [Path(file).name for file in said.files][:2] == ["0.png", "2.png"]
    assert said.to_csv().splitlines()[0] == "file,prediction,probability,p(dark),p(light)"


def rows(kind: hs.tasks.Kind, y: torch.Tensor) -> Task:
    x = torch.randn(len(y), 3, generator=torch.Generator().manual_seed(len(y)))
    return Task("asked", kind, Labelled(x, y))


def test_what_the_model_is_not_sure_of_can_be_called_unknown(tmp_path: Path) -> None:
    """The sure ones keep their answers, in Python and on the command line; the others are of no class."""
    model = OLD / "table"
    said = hs.load(model).answer(OLD / "parts.csv")
    sure = said.probabilities.max(1).values
    least = float(
        sure.sort().values[len(sure) // 2]
    )  # that of the row in the middle, which is one of the sure
    found = hs.load(model).predict(OLD / "parts.csv", unknown="?", least=least)
    expected = [a if p >= least else "?" for a, p in zip(said.labels, sure.tolist(), strict=True)]
    assert found == expected
    assert 0 < found.count("?") < len(found)
    out = tmp_path / "a.csv"
    options = ["--unknown", "?", "--least", repr(least)]
    assert main(["predict", str(model), f"csv:{OLD}/parts.csv", "-o", str(out), *options]) == 0
    assert [line.split(",")[0] for line in out.read_text().splitlines()[1:]] == expected
    with pytest.raises(ValueError, match="`unknown` should be none of the classes"):
        hs.load(model).predict(OLD / "parts.csv", unknown=said.labels[0])
    with pytest.raises(ValueError, match="`least` should be a probability above 0 and below 1; found 1"):
        hs.load(model).predict(OLD / "parts.csv", unknown="?", least=1)
    numbers = hs.inference.Predictions
    with pytest.raises(ValueError, match="one class for each row; found a number"):
        numbers(Regression(), torch.zeros(2, 1), unknown="?")


def test_a_regression(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,price\n" + "".join(f"{i},{i % 3},{i / 7}\n" for i in range(12)))
    (task,) = read(f"csv:{tmp_path}/t.csv#price", split=ALL)
    model = hs.load(saved(tmp_path / "model", task))
    said = model.predict(tmp_path / "t.csv")
    assert [type(v) for v in said] == [float] * 12
    assert model.classes == ()
    measured = model.evaluate(f"csv:{tmp_path}/t.csv#price")
    assert measured == model.evaluate(tmp_path / "t.csv", [i / 7 for i in range(12)])
    assert list(measured) == ["r2", "rmse", "mae", "spearman"]
    with pytest.raises(ValueError, match="classes with probabilities; found a number"):
        model.predict_proba(tmp_path / "t.csv")
    assert asked(tmp_path / "model", f"csv:{tmp_path}/t.csv", tmp_path) == "\n".join(
        ["prediction", *map(str, said), ""]
    )
    with pytest.raises(ValueError, match="rows with one class each; found a number"):
        model.adapt(f"csv:{tmp_path}/t.csv#price")


@pytest.mark.parametrize(
    ("kind", "y", "header"),
    [
        (Multiclass([1, "1"]), torch.arange(6) % 2, "prediction,probability,p(1),p(1)"),
        (Binary(("ham", "spam")), (torch.arange(6) % 2).float(), "prediction,probability,p(ham),p(spam)"),
        (Multilabel(["x", "y"]), torch.eye(2).repeat(3, 1), "prediction,p(x),p(y)"),
        (Regression(2), torch.rand(6, 2), "prediction"),
    ],
)
def test_kinds(tmp_path: Path, kind: hs.tasks.Kind, y: torch.Tensor, header: str) -> None:
    task = rows(kind, y)
    model = hs.load(saved(tmp_path, task))
    said = model.answer(task.train.x)
    first, *lines = said.to_csv().splitlines()
    assert first == header
    assert [line.split(",")[0] for line in lines] == [
        " ".join(map(str, a)) if isinstance(a, list) else str(a) for a in model.predict(task.train.x)
    ]
    if kind.classes:
        p = model.predict_proba(task.train.x)
        assert p.shape == (6, 2)
        assert not kind.exclusive or torch.allclose(p.sum(1), torch.ones(6).double())
    labels = kind.decode(model.answer(task.train.x).outputs)
    measured = model.evaluate(task.train.x, labels)
    assert measured[kind.metric].n == 6
    assert kind.exclusive is False or measured["accuracy"].value == 1


def test_tokens_are_answered_token_by_token() -> None:
    said = hs.inference.Predictions(Tokens(["O", "B"]), torch.tensor([[[2.0, 1.0], [0.0, 3.0]]]))
    assert said.to_csv() == "prediction\nO B\n"
    with pytest.raises(ValueError, match="classes with probabilities"):
        _ = said.probabilities


def test_measures_are_the_same_however_labels_come(
    table: Path, parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pandas = pytest.importorskip("pandas")
    model, frame = hs.load(table), pandas.read_csv(parts)
    reference = f"csv:{parts}#part"
    known = model.evaluate(reference)
    (task,) = read(reference, split=ALL, encoding=model.encoding)
    (other,) = read(reference, split=ALL, encoding=model.encoding.alike())
    turned = Multiclass(["washer", "bolt", "nut"])
    names = frame["part"].tolist()
    turned_task = Task("part", turned, Labelled(task.train.x, turned.encode(names)))
    for data in (task, other, turned_task, model.read(reference)):
        assert model.evaluate(data) == known
    for labels in (names, frame["part"], np.array(names), tuple(names)):
        assert model.evaluate(frame, labels) == known
        assert model.evaluate(f"csv:{parts}", labels) == known
    assert main(["evaluate", str(table), reference]) == 0
    assert f"{known['accuracy']}" in capsys.readouterr().out
    some = [name if i % 2 else (None, float("nan"), pandas.NA)[i % 3] for i, name in enumerate(names)]
    assert model.evaluate(frame, some) == model.evaluate(frame[1::2], names[1::2])
    assert model.evaluate(frame, some)["accuracy"].n == 12


def test_what_a_measure_cannot_be_of(table: Path, parts: Path) -> None:
    model = hs.load(table)
    x = encode(parts, model.encoding)
    with pytest.raises(ValueError, match=r"`labels` should be one per row \(24\); found 1"):
        model.evaluate(x, ["bolt"])
    with pytest.raises(ValueError, match=r"one of the 3 classes; found 'blot'; did you mean .bolt"):
        model.evaluate(x, ["blot"] * 24)
    with pytest.raises(
        TypeError, match=r"`data` should be a Task or a data reference.*found Tensor; pass the labels"
    ):
        model.evaluate(x)
    with pytest.raises(ValueError, match="made as the model's; found statistics of their own"):
        model.evaluate(*read(f"csv:{parts}#part"))
    with pytest.raises(ValueError, match=r"of the model's kind, 3 classes .*; found a number"):
        model.evaluate(Task("part", Regression(), Labelled(x, torch.rand(24))))
    pairs = torch.utils.data.TensorDataset(x, torch.zeros(24).long())
    with pytest.raises(ValueError, match="of the model's kind"):
        model.evaluate(Task("part", Multiclass(["nut", "bolt"]), pairs))
    assert model.evaluate(Task("part", model.kinds["part"], pairs))["accuracy"].n == 24


def test_yes_or_no_of_another_kind(tmp_path: Path) -> None:
    task = rows(Binary(("no", "yes")), (torch.arange(6) % 2).float())
    model = hs.load(saved(tmp_path, task))
    y = torch.tensor([1, 0, 1, -100, 1, 0])
    asked = Task("asked", Multiclass(["yes", "no"]), Labelled(task.train.x, y))
    keep = torch.tensor([0, 1, 2, 4, 5])
    known = Labelled(task.train.x[keep], 1 - y[keep].float())
    assert model.evaluate(asked) == model.evaluate(Task("asked", task.kind, known))


def test_several_heads(tmp_path: Path, parts: Path) -> None:
    tasks = read(f"csv:{parts}#part,metal", split=ALL)
    model = hs.load(saved(tmp_path / "two", *tasks))
    reference = f"csv:{parts}#part,metal"
    for ask in (model.predict, model.predict_proba, model.evaluate):
        with pytest.raises(ValueError, match=r"`task` should be one of \['metal', 'part'\]; found none"):
            ask(reference)
        with pytest.raises(ValueError, match='did you mean "metal"'):
            ask(reference, task="mtal")
    with pytest.raises(ValueError, match="`task`"):
        _ = model.classes
    assert set(model.predict(parts, task="metal")) <= {"brass", "steel"}
    assert model.predict_proba(parts, task="part").shape == (24, 3)
    assert model.evaluate(reference, task="metal") == model.evaluate(tasks[1], task="metal")
    assert model.evaluate(f"csv:{parts}#metal", task="metal") == model.evaluate(tasks[1], task="metal")
    other = parts.with_name("other.csv")
    other.write_text(parts.read_text().replace("metal", "colour"))
    with pytest.raises(ValueError, match=r"one label column; found \['part', 'colour'\]"):
        model.evaluate(f"csv:{other}#part,colour", task="metal")


@pytest.mark.parametrize("method", ["protonet", "cosine", "ridge", "maml"])
def test_new_classes(table: Path, parts: Path, tmp_path: Path, method: str) -> None:
    pandas = pytest.importorskip("pandas")
    lines = (tmp_path / "new.csv").write_text(
        parts.read_text().replace("bolt", "screw").replace("nut", "pin")
    )
    assert lines
    new, reference = pandas.read_csv(tmp_path / "new.csv"), f"csv:{tmp_path}/new.csv#part"
    model = hs.load(table)
    before = model.answer(parts).to_csv()
    assert main(["adapt", str(table), reference, "-o", str(tmp_path / "cli"), "--method", method]) == 0
    known = asked(tmp_path / "cli", f"csv:{parts}", tmp_path)
    ways = {
        "reference": model.adapt(reference, method=method),
        "task": model.adapt(model.examples(reference), method=method),
        "labels": model.adapt(new, new["part"], method=method),
        "labels beside a path": model.adapt(tmp_path / "new.csv", list(new["part"]), method=method),
    }
    for name, few in ways.items():
        assert set(few.classes) == {"screw", "pin", "washer"}, name
        assert few.answer(parts).to_csv() == known, name
        again = hs.load(few.save(tmp_path / name))
        assert again.answer(parts).to_csv() == known
        assert list(again.kinds) == ["part"]
        assert again.evaluate(reference) == few.evaluate(reference)
        assert hs.FewShot.load(tmp_path / name).classes == few.classes
    for file in ("model.safetensors", "fewshot.safetensors", "model.json"):
        assert (tmp_path / "cli" / file).read_bytes() == (tmp_path / "reference" / file).read_bytes(), file
    assert model.answer(parts).to_csv() == before, "the model is as it was"


def test_one_class_more(table: Path, parts: Path, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(parts)
    model = hs.load(table)
    with pytest.raises(ValueError, match=r"learned from few rows; found .*; call `adapt\(x, labels\)`"):
        model.add_class("pin", frame[:2])
    two = frame[frame["part"] != "washer"]
    few = model.adapt(two, two["part"], name="parts")
    more = few.add_class("washer", frame[frame["part"] == "washer"])
    assert few.classes == ("bolt", "nut")
    assert more.classes == ("bolt", "nut", "washer")
    assert list(more.kinds) == ["parts"]
    again = hs.load(more.save(tmp_path / "more"))
    assert again.predict(frame) == more.predict(frame)
    assert again.evaluate(f"csv:{parts}#part") == more.evaluate(frame, frame["part"])
    with pytest.raises(ValueError, match="a new class"):
        more.add_class("bolt", frame[:1])


def test_what_cannot_be_learned(table: Path, parts: Path, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    model, frame = hs.load(table), pandas.read_csv(parts)
    with pytest.raises(
        ValueError, match='`method` should be a known name; found "protnet"; did you mean "protonet"'
    ):
        model.adapt(frame, frame["part"], method="protnet")
    with pytest.raises(ValueError, match="at least 2 classes"):
        model.adapt(frame[:1], ["bolt"])
    header, *lines = parts.read_text().splitlines()
    two = [f"{header},sort", *(f"{line},{'xy'[i % 2]}" for i, line in enumerate(lines))]
    (tmp_path / "two.csv").write_text("\n".join(two))
    with pytest.raises(ValueError, match="rows with one class each; found 2 label columns"):
        model.adapt(f"csv:{tmp_path}/two.csv#part,sort")
    for name in ("a.b", "clear"):
        with pytest.raises(ValueError, match="`name` of a task"):
            model.adapt(frame, frame["part"], name=name)
    with pytest.raises(TypeError, match="`data` should be a Task"):
        model.adapt(frame)


def test_devices(table: Path, parts: Path) -> None:
    model = hs.load(table, device="cpu")
    assert model.predict_proba(parts).device.type == "cpu"
    with pytest.raises(ValueError, match="`device`"):
        hs.load(table, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="one of this machine"):
            hs.load(table, device="cuda")
        assert (
            main(["predict", str(table), f"csv:{parts}", "-o", str(table / "p.csv"), "--device", "cuda"]) == 2
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_a_gpu(table: Path, parts: Path, tmp_path: Path) -> None:
    here, there = hs.load(table, device="cpu"), hs.load(table, device="cuda")
    assert next(there.net.parameters()).is_cuda
    torch.testing.assert_close(there.predict_proba(parts), here.predict_proba(parts), atol=1e-5, rtol=1e-4)
    x = encode(parts, there.encoding).cuda()
    assert there.predict(x) == there.predict(parts)
    few = there.adapt(f"csv:{parts}#part", name="again")
    assert hs.load(few.save(tmp_path / "few"), device="cpu").predict(parts) == few.predict(parts)
    more = hs.load(tmp_path / "few", device="cuda").add_class("pin", x[:2] + 9)
    assert len(more.classes) == 4


def test_a_comparison_and_a_run(tmp_path: Path) -> None:
    (task,) = read("digits:5-9")
    budget = hs.strategies.Budget(steps=4)
    result = hs.compare(
        hs.Problem(task, settings={"width": 4}, budget=budget, shots=[2]),
        ["scratch"],
        seeds=1,
        progress=False,
    )
    model = hs.load(result.best.save(tmp_path / "best"))
    assert model.classes == (5, 6, 7, 8, 9)
    assert model.evaluate("digits:5-9")["accuracy"].n == len(task.test)
    assert model.evaluate(task) == model.evaluate("digits:5-9")


def test_it_shows_itself(table: Path, tmp_path: Path) -> None:
    saved = load_saved(OLD / "table")
    model = hs.load(OLD / "table", device="cpu")
    assert repr(model) == "Model(part: 3 classes (bolt, nut, washer); on cpu)"
    shown = model._repr_html_()
    for cell in ("part", "Multiclass", "3 classes (bolt, nut, washer)", "csv, 5", "made", "cpu"):
        assert cell in shown
    kind = Multiclass(["<b>", "&"])
    x = torch.zeros(2, 3)
    other = saved_plain(tmp_path, Task("t", kind, Labelled(x, torch.arange(2))))
    assert "&lt;b&gt;, &amp;" in other._repr_html_()
    assert "tensors" in other._repr_html_()
    assert saved.notes == model.notes


def saved_plain(where: Path, task: Task) -> hs.inference.Model:
    return hs.load(saved(where, task), device="cpu")


def test_the_model_s_kind_decides_of_whole_numbers(tmp_path: Path) -> None:
    """Of few rows, whole numbers would be taken for numbers: a model of classes knows that they are not."""
    lines = [f"{i / 7},{i % 3},{'ab'[i % 2]}" for i in range(24)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,part", *lines]) + "\n")
    (task,) = read(f"csv:{tmp_path}/t.csv#part", split=ALL)
    model = hs.load(saved(tmp_path / "model", task))
    few = [f"{i},{i % 3},{100 * i}" for i in range(9)]  # nine classes, of a row each
    (tmp_path / "few.csv").write_text("\n".join(["a,b,code", *few]) + "\n")
    adapted = model.adapt(f"csv:{tmp_path}/few.csv#code")
    assert adapted.classes == tuple(range(0, 900, 100))
    again = adapted.evaluate(f"csv:{tmp_path}/few.csv#code")
    assert again["accuracy"].n == 9


# Rows that it was trained on.


def remembering(train: Labelled) -> Model:
    kind = Multiclass(["bolt", "nut"])
    net = hs.Net(torch.nn.Linear(2, 4), {"parts": torch.nn.Linear(4, 2)})
    notes = {"trained": json.loads(json.dumps(fingerprints(train)))}  # as they come back from a file
    return Model(net, {"parts": kind}, notes=notes)


def few(count: int, seed: int) -> Labelled:
    """Rows of few different inputs, whose labels the inputs do not tell."""
    g = torch.Generator().manual_seed(seed)
    return Labelled(
        torch.randint(2, (count, 2), generator=g).float(), torch.randint(2, (count,), generator=g)
    )


def joined(*parts: Labelled) -> Labelled:
    return Labelled(torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts]))


def measured(model: Model, rows: Labelled) -> Labelled:
    left = model.unseen(Task("parts", model.kinds["parts"], rows))
    assert isinstance(left, Labelled)
    return left


def test_of_the_whole_file_exactly_the_other_rows_are_measured_on_however_many_are_equal() -> None:
    train, test = few(60, 1), few(20, 2)
    with pytest.warns(UserWarning, match="60 of 80 rows were trained on and are left out"):
        left = measured(remembering(train), joined(test, train))
    assert sorted(fingerprints(left)) == sorted(fingerprints(test))


def test_new_rows_of_few_different_inputs_are_kept() -> None:
    train, new = few(60, 1), few(30, 3)
    said = "28 of 30 rows are equal to rows .* are kept: those have 4 different inputs among 60"
    with pytest.warns(UserWarning, match=said):
        assert measured(remembering(train), new) is new


def test_a_row_with_the_inputs_of_another_but_another_label_is_not_that_one() -> None:
    train = Labelled(torch.rand(6, 2), torch.zeros(6).long())
    new = Labelled(train.x, torch.ones(6).long())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert measured(remembering(train), new) is new


def test_some_of_the_rows_that_it_was_trained_on_are_left_out_once_each() -> None:
    train, new = (Labelled(torch.rand(6, 2), torch.arange(6) % 2) for _ in range(2))
    given = joined(train.take(torch.tensor([0, 1, 1])), new)
    with pytest.warns(UserWarning, match="2 of 9 rows were trained on and are left out"):
        left = measured(remembering(train), given)
    assert len(left) == 7
    with pytest.warns(UserWarning, match="6 of 6 rows were trained on: what is measured is how well"):
        assert measured(remembering(train), train) is train
