"""What a problem file's data become: which columns are inputs, and what no data can be."""

from pathlib import Path

import pytest
import torch

from headstart.comparison import Problem
from headstart.datasets import READERS, Reader
from headstart.datasets.readers.text import TextEncoding
from headstart.problems import load_problem
from headstart.tasks import Binary, Kind, Labelled, Multiclass, Multilabel, Regression, Task, Tokens


def problem(path: Path, target: str, *sources: str):  # type: ignore[no-untyped-def]
    file = path / "problem.toml"
    tables = "".join(f'[[sources]]\ndata = "{s}"\n' for s in sources)
    file.write_text(f'[target]\ndata = "{target}"\n{tables}')
    return load_problem(file).problem()


def people(path: Path) -> None:
    rows = "".join(
        f"{20 + i},{['cook', 'clerk'][i % 2]},{'ny'[i % 3 == 0]},{'hl'[i % 2]}\n" for i in range(24)
    )
    (path / "two.csv").write_text(f"age,job,married,income\n{rows}")


@pytest.mark.parametrize("other", ["two.csv", "copy.csv"])
def test_no_label_of_a_reference_is_an_input_of_another(tmp_path: Path, other: str) -> None:
    people(tmp_path)
    (tmp_path / "copy.csv").write_text((tmp_path / "two.csv").read_text())
    posed = problem(tmp_path, "csv:two.csv#income", f"csv:{other}#married", f"csv:{other}#job,income")
    for task in (posed.target, *posed.sources):
        assert list(task.encoding.features) == ["age"]  # type: ignore[union-attr]
        assert task.train.x.shape[1] == 1  # type: ignore[union-attr]


def test_other_columns_stay_inputs(tmp_path: Path) -> None:
    people(tmp_path)
    posed = problem(tmp_path, "csv:two.csv#income")
    assert list(posed.target.encoding.features) == ["age", "job", "married"]  # type: ignore[union-attr]
    assert torch.equal(posed.target.train.x[:, 3:].sum(1), torch.ones(len(posed.target.train)))


@pytest.mark.parametrize("part", ["train", "valid", "unlabelled"])
@pytest.mark.parametrize("whose", ["target", "source"])
def test_inputs_that_are_not_finite_are_refused(part: str, whose: str) -> None:
    good = Labelled(torch.rand(8, 3), torch.arange(8) % 2)
    bad = Labelled(good.x.index_fill(0, torch.tensor(5), torch.nan), good.y)
    parts = {"train": good, "valid": good, "test": good, "unlabelled": good.inputs()}
    plain, odd = (
        Task("plain", Multiclass(2), **parts),
        Task(  # type: ignore[arg-type]
            "odd",
            Multiclass(2),
            **parts | {part: bad.inputs() if part == "unlabelled" else bad},  # type: ignore[arg-type]
        ),
    )
    with pytest.raises(
        ValueError, match=f"{part} rows of task 'odd' should be finite numbers; found .* in row 5; "
    ):
        Problem(*((odd,) if whose == "target" else (plain, [odd])))


@pytest.mark.parametrize("whose", ["target", "source"])
def test_tasks_of_tokens_are_refused_by_a_backbone_without_them(whose: str) -> None:
    x = torch.randint(1, 9, (8, 5), generator=torch.Generator().manual_seed(0)).float()
    y = x.long() % 3
    tags = Task("tags", Tokens(3), Labelled(x, y), test=Labelled(x, y))
    mood = Task("mood", Multiclass(3), Labelled(x, y[:, 0]), test=Labelled(x, y[:, 0]))
    message = (
        "task 'tags' should be of one answer per row, since backbone 'mlp' gives no features of each token; "
        "found one answer per token; choose another task, or a backbone such"
    )
    with pytest.raises(ValueError, match=message):
        Problem(*((tags, [mood]) if whose == "target" else (mood, [tags])))


def test_one_task_of_a_set_is_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Labelled(torch.rand(8, 3), torch.arange(8) % 2)
    tasks = [Task(name, Multiclass(2), rows, test=rows) for name in ("income", "never-married")]
    monkeypatch.setitem(READERS, "adult", Reader(lambda argument, options: tasks, "two tasks"))
    with pytest.raises(ValueError, match=r'2: .*; name one of them: target.data = "adult#income"'):
        problem(tmp_path, "adult")
    with pytest.raises(ValueError, match=r"keep one name after the # of `target.data`"):
        problem(tmp_path, "adult#income,never-married")
    posed = problem(tmp_path, "adult#income", "adult#never-married", "adult#income")
    assert [t.name for t in (posed.target, *posed.sources)] == ["income", "never-married", "income of adult"]


@pytest.mark.parametrize(
    ("kind", "y", "said"),
    [
        (Multiclass(["bolt", "nut"]), torch.tensor([0, 1]), "new: 2 classes (bolt, nut)"),
        (Multiclass(12), torch.tensor([0, 1]), "new: 12 classes (0, 1, 2, 3, 4, 5, 6, 7, ...)"),
        (Binary(("no", "yes")), torch.tensor([0.0, 1.0]), "new: 2 classes (no, yes)"),
        (Multilabel(["sea", "dog"]), torch.zeros(2, 2), "new: 2 labels, any of them (sea, dog)"),
        (Regression(), torch.zeros(2), "new: a number (regression)"),
        (Regression(3), torch.zeros(2, 3), "new: 3 numbers (regression)"),
    ],
)
def test_what_a_task_asks_for_is_said(kind: Kind, y: torch.Tensor, said: str) -> None:
    Task("new", kind, Labelled(torch.zeros(2, 1), y))
    assert f"new: {kind.describe()}" == said


def texts(name: str, length: int, words: list[str]) -> Task:
    x = torch.randint(1, 4, (8, length), generator=torch.Generator().manual_seed(0))
    rows = Labelled(x, torch.arange(8) % 2)
    encoding = TextEncoding(reader="text", vocabulary=tuple(words), length=length)
    return Task(name, Multiclass(2), rows, test=rows, encoding=encoding)


def test_texts_of_other_lengths_are_brought_to_one_and_those_of_other_words_refused() -> None:
    target = texts("new", 6, ["a", "b"])
    hint = r'write both as tables \("text:new.csv#label"\), so that sources are read by the target\'s words'
    (source,) = Problem(target, [(short := texts("old", 5, ["a", "b"]))]).sources
    assert torch.equal(source.train.x, torch.nn.functional.pad(short.train.x, (0, 1)))
    with pytest.raises(
        ValueError, match=f"numbered by the target's words; found a vocabulary of their own; {hint}"
    ):
        Problem(target, [texts("old", 6, ["b", "c"])])
    assert Problem(target, [texts("old", 6, ["a", "b"])]).backbone == "textcnn"


def test_longer_texts_of_a_source_are_not_cut_to_the_targets_length(tmp_path: Path) -> None:
    short = [f"{'good' if i % 2 else 'bad'} w{i},{i % 2}" for i in range(20)]
    long = [f"w{i} {'so it went on and on ' * 3}{'good' if i % 2 else 'bad'},{i % 2}" for i in range(20)]
    for name, lines in (("new", short), ("old", long)):
        (tmp_path / f"{name}.csv").write_text("\n".join(["words,label", *lines]) + "\n")
    posed = problem(tmp_path, "text:new.csv#label", "text:old.csv#label")
    (source,) = posed.sources
    assert source.train.x.shape[1] == posed.target.train.x.shape[1] == 20
    last = source.train.x[:, 19]
    good, bad = (1 + posed.target.encoding.vocabulary.index(word) + 1 for word in ("good", "bad"))
    assert torch.equal(last, torch.where(source.train.y == 1, good, bad))  # the word that tells comes last


def test_images_have_theirs_and_so_have_rows_that_are_no_table() -> None:
    def noise(name: str, *shape: int) -> Task:
        rows = Labelled(torch.rand(8, *shape), torch.arange(8) % 2)
        return Task(name, Multiclass(2), rows, test=rows)

    for shape, other, hint in (
        ((1, 8, 8), (1, 9, 9), "resize the images"),
        ((3,), (4, 2), "bring both to one shape, or to tables: .*"),
    ):
        with pytest.raises(ValueError, match=f"; {hint}$"):
            Problem(noise("new", *shape), [noise("old", *other)])
