"""The strategies of episodes that run where they are named."""

import dataclasses

import pytest
import torch
from torch import nn

from headstart.comparison import Problem, applicable
from headstart.engine import predict
from headstart.models import load, save
from headstart.strategies import FURTHER, Budget, Starts, Trial
from headstart.tasks import Labelled, Multiclass, Task

NAMES = ["matching", "r2d2", "anil", "reptile"]
pytestmark = pytest.mark.usefixtures("soon_settled")
BUDGET = Budget(steps=20, meta=3, pretrain=5, episodes=2, options=1)


def pictures(classes, each, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(classes * each) % classes
    pattern = torch.randn(classes, 1, 8, 8, generator=torch.Generator().manual_seed(classes))
    return Labelled(pattern[y] + 0.3 * torch.randn(len(y), 1, 8, 8, generator=g), y)


def posed():
    old = Task("old", Multiclass(6), pictures(6, 8, 0))
    new = Task("new", Multiclass(3), pictures(3, 4, 1), test=pictures(3, 8, 2))
    return Problem(new, [old], backbone="conv4", settings={"width": 8, "halvings": 1}, budget=BUDGET)


def ran(name, seed=0, starts=None, **settings):
    problem = posed()
    given = Trial(problem, {**FURTHER[name].options[0], **settings}, seed, starts or Starts())
    return FURTHER[name].learn(given), problem


@pytest.mark.parametrize("name", NAMES)
def test_they_learn_from_episodes_and_hand_over_one_head(name, tmp_path):
    assert name in applicable(posed(), [name]).strategies
    state = torch.get_rng_state()
    (once, problem), (twice, _), (other, _) = (ran(name, seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert list(once.net.heads) == ["new"]
    x = problem.target.test.x
    outputs = predict(once.net, "new", x)
    assert outputs.shape == (24, 3)
    assert (outputs.argmax(1) == problem.target.test.y).float().mean() > 0.6
    assert torch.equal(outputs, predict(twice.net, "new", x))
    assert not torch.equal(outputs, predict(other.net, "new", x))
    (curve,) = (c for n, c in once.curves.items() if n.startswith("meta"))
    assert len(curve) == 3
    save(once.net, tmp_path, kinds={"new": problem.target.kind})
    assert torch.equal(predict(load(tmp_path).net, "new", x), outputs)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_of_another_setting_is_not_taken(name):
    (setting,) = FURTHER[name].options[0]
    kept = Starts()
    nets = [ran(name, starts=kept, **{setting: option[setting]})[0].net for option in FURTHER[name].options]
    alone = ran(name, **{setting: FURTHER[name].options[1][setting]})[0].net
    x = posed().target.test.x
    assert torch.equal(predict(nets[1], "new", x), predict(alone, "new", x))
    assert not torch.equal(predict(nets[0], "new", x), predict(alone, "new", x))


@pytest.mark.parametrize("name", NAMES)
def test_statistics_of_the_norms_stay(name):
    trained, problem = ran(name)
    start = Trial(problem, {}, 0, Starts()).pretrained().backbone
    moved = []
    for key, before in start.state_dict().items():
        same = torch.equal(before, trained.net.backbone.state_dict()[key])
        if isinstance(start.get_submodule(key.rpartition(".")[0]), nn.BatchNorm2d):
            assert same, key
        else:
            moved.append(not same)
    assert any(moved)


def test_without_sources_the_reason_is_said():
    problem = dataclasses.replace(posed(), sources=[])
    assert set(applicable(problem, NAMES).skipped.values()) == {"there is no source to train with"}
