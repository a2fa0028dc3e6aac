"""Encodings as values: what was written as plain JSON is read, and rows are made of what is in memory."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from headstart.datasets import SplitSpec, encode, encoding_from_json, from_frame, read
from headstart.datasets.readers.arrays import ArrayEncoding
from headstart.datasets.readers.images import ImageEncoding
from headstart.datasets.readers.tables import TableEncoding
from headstart.datasets.readers.text import TextEncoding
from headstart.models import Net, load, save
from headstart.tasks import Multiclass

OLD = json.loads(Path(__file__).with_name("encodings.json").read_text())
FAMILIES = [TableEncoding, TextEncoding, ArrayEncoding, ImageEncoding]


@pytest.fixture
def files(tmp_path):
    """The files that ``encodings.json`` tells of."""
    people = [
        f"{'' if i == 3 else 20 + i},{('clerk', 'cook', 'smith')[i % 3]},{('no', 'yes')[i % 2]}"
        for i in range(12)
    ]
    (tmp_path / "people.csv").write_text("\n".join(["age,job,married", *people]) + "\n")
    texts = [f'"{("good", "bad")[i % 2]} film, no {i % 3}",{("pos", "neg")[i % 2]}' for i in range(12)]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *texts]) + "\n")
    np.savez(tmp_path / "rows.npz", x=np.arange(24).reshape(12, 2) / 8, y=np.arange(12) % 2 * 7)
    for k, name in enumerate(["bolt", "nut"]):
        (tmp_path / "parts" / name).mkdir(parents=True)
        for i in range(4):
            image = Image.fromarray(np.full((2, 3), 40 * i + k, np.uint8))
            image.save(tmp_path / "parts" / name / f"{i}.png")
    return tmp_path


@pytest.mark.filterwarnings("ignore:.* are equal to a train row")
@pytest.mark.parametrize(("reference", "family"), list(zip(OLD, FAMILIES, strict=True)))
def test_what_was_written_before_is_read_and_written_again_to_the_byte(files, reference, family):
    old = OLD[reference]
    encoding = encoding_from_json(old["encoding"])
    assert type(encoding) is family
    assert json.dumps(encoding.to_json()) == json.dumps(old["encoding"])
    (task,) = read(reference, base=files)
    new = {"columns": ()} if family is ArrayEncoding else {}  # older models took arrays as they are
    assert replace(task.encoding, **new) == encoding
    file = reference.partition(":")[2].partition("#")[0]
    for known in (encoding, old["encoding"]):
        rows = encode(file, known, base=files)
        assert np.allclose(rows[:3].double().numpy(), old["rows"], atol=1e-6)
        assert tuple(rows.shape[1:]) == encoding.row_shape()
    assert torch.equal(encoding.rows(rows), rows)
    assert encoding.alike().to_json().keys().isdisjoint({"target", "kind", "classes", "duplicates"})


@pytest.mark.parametrize("reference", list(OLD))
def test_a_model_keeps_an_encoding_as_it_kept_its_json(tmp_path, reference):
    about = OLD[reference]["encoding"]
    net, kinds = Net(nn.Linear(2, 2), {"a": nn.Linear(2, 2)}), {"a": Multiclass(2)}
    for name, encoding in (("value", encoding_from_json(about)), ("json", about)):
        save(net, tmp_path / name, kinds=kinds, encoding=encoding)
    first, second = ((tmp_path / name / "model.json").read_bytes() for name in ("value", "json"))
    assert first == second
    assert load(tmp_path / "value", backbone=nn.Linear(2, 2)).encoding == about


@pytest.mark.parametrize(
    "about", [{}, {"reader": "digits"}, {"reader": "text"}, {"reader": "csv", "features": 3}]
)
def test_what_is_no_encoding_is_explained(about):
    with pytest.raises(ValueError, match=r"encoding should be what `task.encoding.to_json\(\)` gives; found"):
        encoding_from_json(about)


def test_what_encodings_answer():
    table, text, arrays, images = (encoding_from_json(old["encoding"]) for old in OLD.values())
    assert (text.facts(), images.facts()) == ({"vocabulary": 10}, {})
    assert [table.reads(name) for name in ("csv", "parquet", "text", "npz")] == [True, True, False, True]
    assert (images.reads("images"), images.reads("mnist"), arrays.reads("csv")) == (True, False, False)
    other = encoding_from_json(OLD["text:reviews.csv#label"]["encoding"] | {"vocabulary": ["a"]})
    assert (text.differs(other), text.differs(text), text.differs(table), table.differs(None)) == (
        "a vocabulary of their own", "", "", "",
    )  # fmt: skip
    assert images.with_classes(["a"]).to_json()["classes"] == ["a"]


# Rows out of memory.


@pytest.fixture(params=["pandas", "polars"])
def frame(request):
    return pytest.importorskip(request.param).DataFrame


def test_rows_of_a_table(files, frame):
    (task,) = read("csv:people.csv#married", base=files)
    people = {
        "job": ["cook", "clerk", None],
        "age": [20, None, 25],
        "other": [1, 2, 3],
    }
    lines = ["job,age", "cook,20", "clerk,", ",25"]
    (files / "new.csv").write_text("\n".join(lines) + "\n")
    assert torch.equal(task.encoding.rows(frame(people)), encode("new.csv", task.encoding, base=files))
    assert torch.equal(task.encoding.rows(task.test.x), task.test.x)


def test_wrong_rows_of_a_table(files, frame):
    (task,) = read("csv:people.csv#married", base=files)
    with pytest.raises(ValueError, match=r'the DataFrame .* column "age", which .* did you mean "aeg"'):
        task.encoding.rows(frame({"aeg": [1], "job": ["cook"]}))
    with pytest.raises(
        ValueError, match="column `age` of the DataFrame should be numbers; found 'old' in row 0"
    ):
        task.encoding.rows(frame({"age": ["old"], "job": ["cook"]}))
    with pytest.raises(ValueError, match="DataFrame should be rows and columns; found 0 rows"):
        task.encoding.rows(frame({"age": [], "job": []}))
    with pytest.raises(
        TypeError, match="a DataFrame with columns `age`, `job`; found ndarray; or pass a tensor"
    ):
        task.encoding.rows(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"should be rows of \[5\]; found \[2\]"):
        task.encoding.rows(torch.zeros(2, 2))


@pytest.mark.filterwarnings("ignore:.* are equal to a train row")
def test_rows_of_text(files, frame):
    (task,) = read("text:reviews.csv#label", base=files)
    texts = ["A good film", "bad, no"]
    (files / "new.txt").write_text("\n".join(texts))
    known = encode("new.txt", task.encoding, base=files)
    table = frame({"text": texts, "n": [1, 2]})
    for value in (texts, tuple(texts), np.array(texts), table["text"], table, known, known.int()):
        assert torch.equal(task.encoding.rows(value), known)
    assert task.encoding.rows([None, "good"])[0].tolist() == [0] * 5
    for wrong, found in (
        ("A good film", "found str 'A good film'"),
        ([], r"found list \[\]"),
        (["good", 3], "found 3 in it"),
        (7, "found int 7"),
    ):
        with pytest.raises(TypeError, match=f"should be a list of strings, or a DataFrame; {found}"):
            task.encoding.rows(wrong)
    with pytest.raises(ValueError, match=r"whole numbers of shape \(rows, 5\); found torch.float32 of shape"):
        task.encoding.rows(known.float())


def test_rows_of_images(files):
    (task,) = read("images:parts", base=files, split=SplitSpec(test=0.25))
    known = encode("parts/bolt", task.encoding, base=files)
    paths = sorted((files / "parts" / "bolt").iterdir())
    opened = [Image.open(path) for path in paths]
    pixels = np.stack([np.asarray(image)[None] for image in opened])
    for value in (paths, [str(p) for p in paths], opened, pixels, list(pixels), known, known.double()):
        assert torch.equal(task.encoding.rows(value), known)
    large = Image.new("RGB", (12, 8), (80, 80, 80))
    assert task.encoding.rows([large]).shape == (1, 1, 2, 3)
    with pytest.raises(ValueError, match=r"images should be rows of \[1, 2, 3\]; found \[2, 3\]"):
        task.encoding.rows(pixels[:, 0])
    with pytest.raises(
        FileNotFoundError, match=r"7.png` should be a file; found nothing there; did you mean"
    ):
        task.encoding.rows([files / "parts" / "bolt" / "7.png"])
    for wrong in ("photo.jpg", 3, [], large):
        with pytest.raises(TypeError, match="should be a list of paths or of images, or an array of pixels"):
            task.encoding.rows(wrong)


def test_rows_of_arrays(files, frame):
    (task,) = read("npz:rows.npz#x,y", base=files)
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    table = frame({"a": [1.0, 3.0], "b": [2.0, 4.0]})
    for value in (x, x.double().requires_grad_(), x.bfloat16()):  # are rows
        assert torch.equal(task.encoding.rows(value), x)
    for value in (x.numpy(), x.tolist(), table):  # become rows
        assert torch.equal(task.encoding.rows(value), task.encoding.scaled(x))
    for wrong, found in (
        ([[1, 2], [3]], "rows that differ"),
        (["a"], r"<U1 \(1,\)"),
        ([[1.0, np.nan]], "NaN or infinity in 1 rows"),
    ):
        with pytest.raises(ValueError, match=f"found {found}"):
            task.encoding.rows(wrong)


# Tasks out of frames.


def people(count=40):
    return {
        "age": [20 + i for i in range(count)],
        "job": [("clerk", "cook", None)[i % 3] for i in range(count)],
        "zip": [f"0{i % 2}" for i in range(count)],
        "income": [None if i == 5 else 1.5 * i for i in range(count)],
        "married": [bool(i % 4) for i in range(count)],
    }


def test_a_frame_gives_the_tasks_of_the_same_file(frame, tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(people()), tmp_path / "people.parquet")
    for label in (["married"], ["married", "income"]):
        read_ = read(f"parquet:people.parquet#{','.join(label)}", base=tmp_path)
        made = from_frame(frame(people()), label=label)
        for ours, theirs in zip(made, read_, strict=True):
            assert (ours.name, ours.kind, ours.encoding) == (theirs.name, theirs.kind, theirs.encoding)
            assert torch.equal(ours.train.x, theirs.train.x)
            assert torch.equal(ours.test.y.nan_to_num(-1), theirs.test.y.nan_to_num(-1))
        assert made[0].train.x is made[-1].train.x


def test_settings_of_a_frame(frame):
    table = frame(people())
    settings = {"split": SplitSpec(valid=0.2), "drop": ["job"]}
    (task,) = from_frame(table, label="married", name="wed", **settings)
    assert task.name == "wed"
    assert list(task.encoding.features) == ["age", "zip", "income"]
    assert [len(part) for part in (task.train, task.valid, task.test)] == [24, 8, 8]
    (again,) = from_frame(table, label="married", encoding=task.encoding.to_json())
    assert again.encoding == task.encoding
    assert from_frame(table, label="age", kind="classes")[0].kind == Multiclass(range(20, 60))
    (grouped,) = from_frame(table, label="married", split=SplitSpec(test=0.5, group="zip"))
    assert list(grouped.encoding.features) == ["age", "job", "income"]


def test_text_in_a_frame(frame):
    texts = {
        "review": [f"{('good', 'bad')[i % 2]} film {i}" for i in range(20)],
        "title": [f"film {i}" for i in range(20)],
        "label": [("pos", "neg")[i % 2] for i in range(20)],
    }
    (task,) = from_frame(frame(texts), label="label", text="review")
    assert (task.encoding.column, task.encoding.reader) == ("review", "text")
    (again,) = from_frame(frame(texts), label="label", encoding=task.encoding)
    assert torch.equal(again.train.x, task.train.x)
    assert torch.equal(task.encoding.rows(frame(texts))[:1], task.encoding.rows(texts["review"])[:1])


def test_missing_values_of_every_sort():
    pandas = pytest.importorskip("pandas")
    columns = {
        "whole": pandas.array([1, None, 3, 4], dtype="Int64"),
        "yes": pandas.array([True, None, False, True], dtype="boolean"),
        "word": pandas.array(["a", None, "b", "a"], dtype="string"),
        "day": pandas.to_datetime(["2024-01-01", None, "2024-01-02", "2024-01-01"]),
        "kind": pandas.Categorical(["u", None, "v", "u"]),
        "object": np.array([np.int64(1), None, np.float32(2.5), np.int64(3)], dtype=object),
    }
    labels = {"label": [("x", "y")[i % 2] for i in range(40)]}
    table = pandas.DataFrame({n: list(pandas.Series(c)) * 10 for n, c in columns.items()} | labels)
    with pytest.warns(UserWarning, match=r"the DataFrame: column `day` read as dates \(ISO\)"):
        (task,) = from_frame(table, label="label", split=SplitSpec(test=0))
    features = task.encoding.features
    assert features["word"].categories == ("a", "b")
    assert features["kind"].categories == ("u", "v")
    assert (features["day"].hours, features["day"].missing) == (False, True)
    assert features["day"].mean == pytest.approx(19723 + 1 / 3)
    assert features["whole"].missing
    assert features["object"].missing
    assert features["object"].mean == pytest.approx(6.5 / 3)
    assert features["yes"].categories == ("false", "true")


def test_wrong_frames(frame):
    table = frame(people())
    with pytest.raises(TypeError, match="`frame` should be a pandas or polars DataFrame; found dict"):
        from_frame(people(), label="married")
    with pytest.raises(ValueError, match=r'DataFrame .* column "maried", the label.* did you mean "married"'):
        from_frame(table, label="maried")
    with pytest.raises(ValueError, match='the DataFrame should be a table with column "words"'):
        from_frame(table, label="married", text="words")
    with pytest.raises(ValueError, match="`label` should be one label, where a name is given"):
        from_frame(table, label=["married", "income"], name="both")
    with pytest.raises(ValueError, match="`label` should be a column, or several"):
        from_frame(table, label=[])
    (digits,) = read("digits:5-9")
    with pytest.raises(ValueError, match='"images:", by which their encoding was made'):
        from_frame(table, label="married", encoding=digits.encoding)


def test_columns_of_one_name_are_told():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame([[1, 2, "x"], [3, 4, "y"]], columns=["a", "a", "label"])
    with pytest.raises(
        ValueError, match="columns of the DataFrame should be distinct names; found `a` 2 times"
    ):
        from_frame(table, label="label")
