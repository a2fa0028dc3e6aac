"""Rows that belong together: held out together, and one draw of an interval."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.comparison import Problem, choice, compare
from headstart.datasets import SplitSpec, read
from headstart.problems import load_problem
from headstart.strategies import holding
from headstart.tasks import Labelled, Multiclass, Regression, Task

from .problems import TINY, numbers

RECHECK = Path(__file__).parents[2] / "benchmarks" / "trust" / "recheck.py"


def grouped(each, seed, *, of=5, start=0):
    """Draw rows of two classes; so many in a row are of one group."""
    rows = numbers(each, seed)
    return Labelled(rows.x, rows.y, group=start + torch.arange(len(rows)) // of)


def problem(**changes):
    target = Task("new", Multiclass(2), grouped(20, 1), test=grouped(30, 2, start=100))
    return Problem(target, [], **{"settings": {"hidden": [6]}, "budget": TINY} | changes)


def counted(kind, answers, y, group):
    test = Labelled(torch.zeros(len(y), 2), torch.from_numpy(y), group=torch.from_numpy(group))
    asked = Problem(Task("new", kind, test, test=test), [], budget=TINY)
    return asked.counted("new", answers, {"y": y, "group": group})


def test_what_a_group_counts_has_the_mean_of_its_rows_and_their_shared_error():
    g = np.random.default_rng(0)
    y, group = g.integers(0, 2, 60), np.repeat([5, 9, 2], [10, 20, 30])
    answers = g.standard_normal((60, 2))
    hits = (answers.argmax(1) == y).astype(float)
    of_group = counted(Multiclass(2), answers, y, group)
    assert of_group.mean() == pytest.approx(hits.mean())
    # of U groups, one of n_u of n rows counts M + U n_u (hits of u - M) / n, in the order of their numbers
    for place, (number, size) in enumerate([(2, 30), (5, 10), (9, 20)]):
        moved = 3 * size * (hits[group == number].mean() - hits.mean()) / 60
        assert of_group[place] == pytest.approx(hits.mean() + moved)


def test_copies_of_rows_in_a_group_do_not_narrow_an_interval():
    g = np.random.default_rng(1)
    y = g.standard_normal(40).astype(np.float32)
    answers = (y + g.standard_normal(40))[:, None].astype(np.float32)
    alone = counted(Regression(), answers, y, np.arange(40))
    copied = counted(Regression(), answers.repeat(10, 0), y.repeat(10), np.arange(40).repeat(10))
    assert copied == pytest.approx(alone, rel=1e-5)


def test_groups_without_a_labelled_test_row_do_not_count():
    y, group = np.array([0.0, np.nan, 1.0, 2.0], dtype=np.float32), np.array([1, 7, 1, 3])
    assert len(counted(Regression(), np.ones((4, 1), np.float32), y, group)) == 2


@pytest.mark.parametrize("place", range(4))
def test_rows_of_a_group_are_held_out_together(place):
    rows = grouped(20, 1)
    kept, held = choice.part(rows, 0.25, 0, place)
    assert len(kept) + len(held) == len(rows)
    assert len(held.group.unique()) == 2  # of 8
    assert not set(kept.group.tolist()) & set(held.group.tolist())
    others = [choice.part(rows, 0.25, 0, p)[1].group for p in range(4) if p != place]
    assert not any(set(held.group.tolist()) & set(each.tolist()) for each in others)


def test_a_class_that_one_group_alone_has_keeps_rows_to_learn_from():
    rows = Labelled(torch.zeros(8, 2), torch.arange(8) // 4, group=torch.arange(8) // 4)
    kept, held = choice.part(rows, 0.5, 0)
    assert kept.y.unique().tolist() == held.y.unique().tolist() == [0, 1]


def test_many_rows_are_held_out_by_groups_for_the_best_weights():
    rows = grouped(1500, 1, of=30)
    task = Task("new", Multiclass(2), rows)
    kept, held = holding.hold_out(task, 0)
    assert len(held.train.group.unique()) == 10  # of 100
    learned = kept.train.known()
    assert len(learned) == 2700
    assert not set(learned.group.tolist()) & set(held.train.group.tolist())


def test_another_division_moves_whole_groups():
    task = choice.divided(problem().target, 3)
    sides = [set(part.group.tolist()) for part in (task.train, task.test)]
    assert not sides[0] & sides[1]
    assert len(sides[1]) == 12
    assert len(task.train) + len(task.test) == 100


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    one = problem(shots=[4])
    return compare(one, "features+logreg", 3, baseline="raw+logreg", out=tmp_path_factory.mktemp("g") / "out")


def test_a_comparison_says_over_how_many_groups(compared):
    assert compared.data["answers"][0]["test_rows"] == 12
    assert json.loads((compared.directory / "details.json").read_text())["targets"][0]["test_groups"] == 12
    assert "12 test groups" in compared.report(compared.directory / "report.html").read_text()


def test_its_numbers_are_found_again_from_outside(compared):
    done = subprocess.run([sys.executable, RECHECK, compared.directory], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def table(path):
    """Write a table of 60 rows, three of each of 20 patients, 3 columns."""
    g = np.random.default_rng(0)
    names = ["patient", "a", "b", "y"]
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(names)
        for i in range(60):
            out.writerow([f"p{i // 3}", *g.standard_normal(2).round(4), "yes" if i % 2 else "no"])


def test_a_problem_file_gives_the_groups_of_a_table(tmp_path):
    table(tmp_path / "t.csv")
    (tmp_path / "p.toml").write_text(
        '[target]\ndata = "csv:t.csv#y"\n[target.split]\ngroup = "patient"\ntest = 0.25\n'
    )
    (target,) = load_problem(tmp_path / "p.toml").problem().targets
    assert target.test.group.bincount().unique().tolist() in ([3], [0, 3])
    assert not set(target.train.group.tolist()) & set(target.test.group.tolist())


def test_arrays_with_a_test_part_have_groups_too(tmp_path):
    x, y = np.zeros((6, 2), np.float32), np.arange(6) % 2
    parts = {"x": x, "y": y, "x_test": x + 1, "y_test": y, "who": [0, 0, 1, 1, 2, 2]}
    np.savez(tmp_path / "good.npz", **parts, who_test=[3, 3, 4, 4, 5, 5])
    (task,) = read("npz:good.npz", base=tmp_path, split=SplitSpec(group="who"))
    assert task.test.group.tolist() == [3, 3, 4, 4, 5, 5]
    np.savez(tmp_path / "bad.npz", **parts, who_test=[2, 2, 4, 4, 5, 5])
    with pytest.raises(ValueError, match="no `who` on two sides; found 2"):
        read("npz:bad.npz", base=tmp_path, split=SplitSpec(group="who"))


@pytest.mark.parametrize("group", [torch.zeros(3, dtype=torch.long), torch.zeros(4)])
def test_groups_are_whole_numbers_one_per_row(group):
    with pytest.raises(ValueError, match="`group`"):
        Labelled(torch.zeros(4, 1), torch.zeros(4), group=group)
