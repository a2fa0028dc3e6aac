"""A frozen backbone sees each distinct row once per comparison and set of weights."""

import pytest
import torch

from headstart.comparison import Problem, compare, rank
from headstart.tasks import Labelled, Multiclass, Task

from .problems import TINY, numbers

FROZEN = ["probe", "features+logreg", "features+svm", "features+mlp"]


MODULE = '''
import os

from torch import nn


class Counting(nn.Module):
    """Write down how many rows the pretrained weights are asked for, in a file that processes share."""

    def __init__(self, file):
        super().__init__()
        self.file, self.layer, self.pretrained = str(file), nn.Linear(2, 3), True

    def reset_parameters(self):
        self.pretrained = False

    def forward(self, x):
        if self.pretrained:
            with open(self.file, "ab") as file:
                os.write(file.fileno(), b"%d\\n" % len(x))
        return self.layer(x)
'''


@pytest.fixture
def problem(tmp_path, monkeypatch):
    (tmp_path / "countingmodule.py").write_text(MODULE)  # which other processes can import
    monkeypatch.syspath_prepend(str(tmp_path))
    from countingmodule import Counting

    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = Counting(tmp_path / "rows")
    train = numbers(60, 1)
    twice = Labelled(torch.cat([train.x, train.x[:24]]), torch.cat([train.y, train.y[:24]]))  # 120 distinct
    target = Task("new", Multiclass(2), twice, test=numbers(40, 2))
    return Problem(target, backbone=backbone, budget=TINY, shots=[4, 25])


def forwarded(tmp_path):
    """Count the rows of all calls but those of one row or less, which only measure the width."""
    return sum(n for n in map(int, (tmp_path / "rows").read_text().split()) if n > 1)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_each_row_is_forwarded_once_over_seeds_shots_settings_and_strategies(problem, tmp_path, workers):
    result = compare(
        problem, FROZEN, 4, baseline="scratch", out=tmp_path / "out", workers=workers, progress=False
    )
    assert len(result.rows) == 2 * (1 + len(FROZEN))
    assert 160 <= (once := forwarded(tmp_path)) <= 160 + 8 * 20  # groups of less than eight are filled up
    compare(problem, FROZEN, 6, baseline="scratch", out=tmp_path / "out", progress=False)  # two seeds more
    rank(problem, out=tmp_path / "out")
    assert forwarded(tmp_path) - once <= 8 * 8  # a thousand if nothing were kept


def test_without_a_directory_to_keep_it_is_the_same(problem, tmp_path):
    kept = compare(problem, FROZEN, 2, baseline="scratch", out=tmp_path / "out", progress=False)
    again = compare(problem, FROZEN, 2, baseline="scratch", progress=False)
    assert [r["seeds"] for r in kept.rows] == [r["seeds"] for r in again.rows]
