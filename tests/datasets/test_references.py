import subprocess
import sys

import pytest
import torch

from headstart.datasets import READERS, Reader, SplitSpec, encode, options, read, rotations
from headstart.tasks import Labelled, Multiclass, Regression, Task


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            "cvs:a.csv#label",
            'reader of a data reference should be a known name; found "cvs"; did you mean "csv"',
        ),
        ("mnits", 'did you mean "mnist"'),
        ("a.csv", 'name the reader and the label, as in "csv:a.csv#label"'),
        ("omniglot:tset", 'part of `omniglot` .* found "tset"; did you mean "test"'),
        ("amazon_reviews:bok", 'did you mean "books"'),
        ("medmnist:lung", 'found "lung"; known: pneumonia'),
        ("clinc150:smal", 'did you mean "small"'),
        ("ud_ewt:blog", "genre of `ud_ewt`"),
        ("text_cls:SST", 'did you mean "SST-'),
        ("tox21:scafold", 'did you mean "scaffold"'),
        ("snips:train", '"snips" alone; found "snips:train"'),
        ("wnut17:dev", '"wnut17" alone'),
        ("adult:train", '"adult" alone, "adult:here" or "adult:there"'),
        ("digits:7", 'two digits or more, as in "0-4" or "1,3,7"; found "7"'),
        ("digits:5-12", "two digits or more"),
        ("digits:a", "two digits or more"),
        ("digits+rot", 'option of a data reference .* found "rot"; known: rotations'),
    ],
)
def test_a_wrong_reference_is_explained(reference, message):
    with pytest.raises(ValueError, match=message):
        read(reference)


def test_resize_is_for_images(tmp_path):
    with pytest.raises(ValueError, match="`resize` should be given for images only"):
        read("csv:a.csv#label", base=tmp_path, resize=8)


def test_a_missing_extra_names_the_line_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        ImportError, match=r'`pyarrow` should be installed.*pip install "headstart\[tables\]"'
    ):
        read("parquet:a.parquet#label", base=tmp_path)


def test_an_encoding_of_other_things_is_refused(tmp_path):
    (task,) = read("digits:5-9")
    (tmp_path / "a.csv").write_text("a,label\n" + "1,x\n2,y\n" * 5)
    with pytest.raises(ValueError, match='"images:", by which their encoding was made; found "csv:"'):
        read("csv:a.csv#label", base=tmp_path, encoding=task.encoding)
    with pytest.raises(ValueError, match='found "csv:"'):
        encode("csv:a.csv#label", task.encoding, base=tmp_path)


def test_the_table_of_readers():
    assert {"csv", "parquet", "text", "images", "npz", "digits", "omniglot", "mnist", "usps"} <= set(READERS)
    assert all(
        isinstance(r, Reader) and r.description and "\n" not in r.description for r in READERS.values()
    )
    assert READERS["parquet"].extra == "tables"
    assert READERS["images"].extra == "images"


def test_the_room_imports_nothing_heavy():
    code = "import sys, headstart.datasets; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"pandas", "pyarrow", "sklearn", "scipy", "PIL", "torchvision"} & set(loaded)


def test_digits_are_the_same_test_rows_whichever_are_chosen():
    whole, low, high = (read(r)[0] for r in ("digits", "digits:0-4", "digits:5-9"))
    assert (len(low.test) + len(high.test), len(whole.train) + len(whole.test)) == (len(whole.test), 1797)
    assert whole.train.x.shape[1:] == (1, 8, 8)
    assert (float(whole.train.x.min()), float(whole.train.x.max())) == (0, 1)
    assert high.kind.classes == (5, 6, 7, 8, 9)
    assert torch.equal(low.test.x, whole.test.x[whole.test.y < 5])
    assert read("digits:1,3")[0].kind.classes == (1, 3)
    again = read("digits:5-9")[0]
    assert torch.equal(again.train.x, high.train.x)


def test_rotations_are_classes_of_their_own():
    (plain,), (turned,) = read("digits:0-4"), read("digits:0-4+rotations")
    assert turned.kind.classes[:6] == (0, 1, 2, 3, 4, "0 rot90")
    assert turned.kind.classes[-1] == "4 rot270"
    n = len(plain.train)
    assert torch.equal(turned.train.x[n : 2 * n], plain.train.x.rot90(1, (2, 3)))
    assert torch.equal(turned.train.y[n : 2 * n], plain.train.y + 5)
    assert torch.equal(turned.test.y, plain.test.y)
    assert turned.encoding.classes == turned.kind.classes
    assert read("digits+rotations")[0].kind.outputs == 40


def test_rotations_need_square_images_with_classes():
    wide = Task("wide", Multiclass(2), Labelled(torch.rand(4, 1, 8, 6), torch.arange(4) % 2))
    amounts = Task("amounts", Regression(), Labelled(torch.rand(4, 1, 8, 8), torch.rand(4)))
    for task in (wide, amounts):
        with pytest.raises(ValueError, match="should be classes of square images"):
            rotations(task)


def test_encode_takes_a_reference_to_a_benchmark_set():
    (task,) = read("digits:5-9")
    assert torch.equal(encode("digits:5-9", task.encoding), task.test.x)


ORGANS = ["NR-AR", "Injury, poisoning", "Injury", "skin_1"]


@pytest.fixture
def assays(monkeypatch):
    """A set of several tasks on one tensor, one with a comma in its name."""

    def read_assays(argument, options):
        rows = Labelled(torch.rand(40, 2), torch.rand(40))
        parts = {"train": rows, "test": rows}
        return [Task(f"{name}{argument}", Regression(), **parts) for name in ORGANS]

    monkeypatch.setitem(READERS, "assays", Reader(read_assays, "a set"))


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        ("assays", ORGANS),
        ("assays#NR-AR", ["NR-AR"]),
        ("assays#skin_1, NR-AR", ["skin_1", "NR-AR"]),
        ("assays#Injury,Injury, poisoning,NR-AR", ["Injury", "Injury, poisoning", "NR-AR"]),
        ("assays:2#Injury2", ["Injury2"]),
    ],
)
def test_tasks_of_a_set_are_chosen_by_name(assays, reference, names):
    tasks = read(reference, split=SplitSpec(valid=0.5))
    assert [task.name for task in tasks] == names
    assert all(len(task.valid) == 20 for task in tasks)


@pytest.mark.parametrize("reference", ["assays#NR-A", "assays:#NR-A", "assays#skin_1,NR-A"])
def test_an_unknown_task_of_a_set_is_told_with_the_nearest(assays, reference):
    with pytest.raises(ValueError, match=r'task of `assays` .* found "NR-A"; did you mean "NR-AR"\?'):
        read(reference)


def test_a_task_of_a_set_has_the_rows_to_encode(assays, tmp_path):
    encoding = {"reader": "npz", "keys": ["x"], "shape": [2]}
    assert encode("assays#NR-AR", encoding, base=tmp_path).shape == (40, 2)
    assert encode("assays", encoding, base=tmp_path).shape == (40, 2)


def test_one_task_of_digits_with_turns():
    (task,) = read("digits:5-9#digits_5-9+rotations")
    assert len(task.kind.classes) == 20


@pytest.mark.parametrize(("asked", "told"), [("tran-17.csv", "train-17.csv"), ("zzz", "no name is like it")])
def test_a_missing_file_among_many_is_told_by_the_names_like_it(tmp_path, asked, told):
    for i in range(300):
        (tmp_path / f"train-{i}.csv").touch()
    with pytest.raises(FileNotFoundError) as error:
        read(f"csv:{asked}#y", base=tmp_path)
    said = str(error.value)
    assert told in said
    assert "300 files" in said
    assert said.count("train-") <= 3
