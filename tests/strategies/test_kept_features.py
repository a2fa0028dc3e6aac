"""Features that are kept for a frozen backbone are never those of weights that it had before."""

import pytest
import torch
from torch import nn

from headstart.comparison import Problem, applicable
from headstart.engine import FeatureStore, predict
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial
from headstart.tasks import Inputs, Labelled, Multiclass, Task


def rows(seed, classes=3, each=8):
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(classes).repeat(each)
    return Labelled(torch.randn(len(y), 5, generator=g) + nn.functional.one_hot(y, 5), y)


def problem():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU())
    target = Task("new", Multiclass(3), rows(0), unlabelled=Inputs(rows(1).x), test=rows(2))
    source = Task("old", Multiclass(3), rows(3))
    return Problem(
        target, [source], backbone=backbone, budget=Budget(steps=6, pretrain=6, meta=2, episodes=2)
    )


PROBLEM = problem()
ALL = STRATEGIES | FURTHER
NAMES = [name for name in applicable(PROBLEM, list(ALL)).strategies if name in ALL]


@pytest.mark.usefixtures("soon_settled")
@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_of_a_start_is_not_taken_for_what_was_trained_from_it(name):
    starts = Starts(FeatureStore())
    trial = Trial(PROBLEM, dict(ALL["features+logreg"].options[0]), 0, starts)
    ALL["features+logreg"].run(trial)  # keeps the features of the backbone as it came
    trained = ALL[name].run(Trial(PROBLEM, dict(ALL[name].options[0]), 0, starts))
    x = PROBLEM.target.test.x
    kept = starts.predict(trained.net, "new", x)
    torch.testing.assert_close(kept, predict(trained.net, "new", x, progress=False), atol=1e-5, rtol=1e-5)
    alone = ALL[name].run(Trial(PROBLEM, dict(ALL[name].options[0]), 0, Starts())).net
    torch.testing.assert_close(kept, predict(alone, "new", x, progress=False), atol=1e-4, rtol=1e-4)


def test_ways_that_train_the_backbone_are_among_them():
    assert {"contrastive", "finetune", "lp_ft", "protonet", "cmd"} <= set(NAMES)
