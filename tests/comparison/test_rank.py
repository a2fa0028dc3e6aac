"""What looks promising before anything is trained on the target."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from headstart.comparison import rank
from headstart.strategies import Budget
from headstart.tasks import Labelled, Multiclass, Regression, Task

from .problems import TINY, numbers, table


def noise(rows, seed=0):
    """Give rows labels that say nothing."""
    return Labelled(rows.x, torch.randint(5, (len(rows),), generator=torch.Generator().manual_seed(seed)))


def test_a_source_that_is_like_the_target_comes_first():
    problem = table(budget=Budget(pretrain=150))
    like = Task("like", Multiclass(2), numbers(60, 5))
    far = Task("far", Multiclass(5), noise(numbers(24, 3, classes=5)))
    for sources in ([like, far], [far, like]):
        ranked = rank(dataclasses.replace(problem, sources=sources))
        assert [row.start for row in ranked] == ["like", "far"]
        assert ranked[0].leep > ranked[1].leep
        assert all(row.leep <= 0 for row in ranked)


def test_the_ranking_is_the_same_each_time_and_has_no_test_rows():
    problem = dataclasses.replace(table(), shots=[2, 4])
    test = problem.target.test
    spoiled = Labelled(torch.full_like(test.x, math.nan), test.y.flip(0))
    other = dataclasses.replace(problem, target=dataclasses.replace(problem.target, test=spoiled))
    assert rank(problem) == rank(problem) == rank(other)
    assert rank(problem, seed=1) != rank(problem)


def test_a_pretrained_backbone_is_one_start():
    problem = table(backbone=nn.Sequential(nn.Linear(2, 4), nn.ReLU()), budget=TINY)
    (row,) = rank(problem)
    assert row.leep is None
    assert math.isfinite(row.logme)


def test_what_cannot_be_ranked_is_told():
    problem = table()
    with pytest.raises(ValueError, match="`sources` should be given; found none, and no pretrained backbone"):
        rank(dataclasses.replace(problem, sources=[]))
    rows = Labelled(numbers(8, 1).x, numbers(8, 1).x)
    target = Task("new", Regression(2), rows, test=rows)
    with pytest.raises(ValueError, match="target to rank for should be classes and labelled rows"):
        rank(dataclasses.replace(problem, target=target))
