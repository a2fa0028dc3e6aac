"""The strategies of episodes that run where they are named."""

import dataclasses

import pytest
import torch
from torch import nn

from headstart.comparison import Problem, applicable
from headstart.engine import predict
from headstart.models import Adapted, load, save
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial
from headstart.strategies.recipes import episodes as recipe
from headstart.tasks import Labelled, Multiclass, Regression, Task

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


# Numbers: an episode is some rows of one source.

OF_NUMBERS = ["maml", "anil", "reptile", "r2d2"]
EVERY = {**STRATEGIES, **FURTHER}


def lines(count, seed, slope, at=0.0, scale=1.0):
    """Draw rows of a curve whose height alone differs between tasks."""
    x = 4 * torch.rand(count, 1, generator=torch.Generator().manual_seed(seed)) - 2
    return Labelled(x, scale * (slope * torch.sin(2 * x) + at))


def curves(**budget):
    old = [Task(f"old {k}", Regression(), lines(40, k, (-1) ** k * (1 + k / 8))) for k in range(8)]
    new = Task("new", Regression(), lines(6, 50, -1.7, 3.0, 100.0), test=lines(60, 51, -1.7, 3.0, 100.0))
    told = Budget(**{"steps": 20, "meta": 3, "pretrain": 5, "episodes": 2, "options": 1} | budget)
    return Problem(new, old, settings={"hidden": [20, 20]}, budget=told)


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_numbers_are_learned_from_episodes_of_sources_that_have_them(name):
    problem = curves()
    assert name in applicable(problem, [name]).strategies
    once, twice, other = (
        EVERY[name].learn(Trial(problem, EVERY[name].options[0], seed, Starts())) for seed in (0, 0, 1)
    )
    assert list(once.net.heads) == ["new"]
    x, y = problem.target.test.x, problem.target.test.y
    outputs = predict(once.net, "new", x)
    assert torch.equal(outputs, predict(twice.net, "new", x))
    assert not torch.equal(outputs, predict(other.net, "new", x))
    assert abs(outputs.mean() - y.mean()) < y.std()  # in the user's unit
    (curve,) = (c for n, c in once.curves.items() if n.startswith("meta"))
    assert len(curve) == 3


def test_a_ridge_on_meta_trained_features_finds_a_curve_from_six_points():
    away = []
    for steps in (1, 250):
        problem = curves(meta=steps, episodes=8)
        net = FURTHER["r2d2"].learn(Trial(problem, {"penalty": 0.1}, 0, Starts())).net
        rows = problem.target.test
        away.append((predict(net, "new", rows.x) - rows.y).square().mean() / rows.y.var())
    assert away[1] < 0.6 * away[0], away


def test_steps_on_numbers_start_from_the_head_that_was_meta_trained():
    problem, heads = curves(meta=20), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            recipe, "_descend", lambda trial, net, *_: heads.append(net.heads["new"]) or _as_it_is(net)
        )
        STRATEGIES["maml"].learn(Trial(problem, {"lr": 0.01}, 0, Starts()))
    assert heads[0].weight.abs().max() > 0


def _as_it_is(net):
    return Adapted(net, "new", {})


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_several_numbers_at_once(name):
    def doubled(rows):
        return Labelled(rows.x, torch.cat([rows.y, -rows.y], 1))

    problem, kind = curves(), Regression(2)
    old = [dataclasses.replace(t, kind=kind, train=doubled(t.train)) for t in problem.sources]
    new = dataclasses.replace(
        problem.target, kind=kind, train=doubled(problem.target.train), test=doubled(problem.target.test)
    )
    both = dataclasses.replace(problem, target=new, sources=old)
    net = EVERY[name].learn(Trial(both, EVERY[name].options[0], 0, Starts())).net
    assert predict(net, "new", new.test.x).shape == (60, 2)

    holes = new.train.y.clone()
    holes[0, 0] = torch.nan
    partly = dataclasses.replace(new, train=Labelled(new.train.x, holes))
    skipped = applicable(dataclasses.replace(both, target=partly), [name]).skipped
    assert skipped[name] == "some of the target's rows lack one of their numbers"


def test_sources_of_other_answers_give_no_episodes_of_numbers():
    problem = curves()
    few = [dataclasses.replace(t, train=lines(5, 0, 1.0)) for t in problem.sources]
    reason = "no source has the target's kind of numbers in more than 5 rows to cut episodes from"
    assert set(applicable(dataclasses.replace(problem, sources=few), OF_NUMBERS).skipped.values()) == {reason}
    skipped = applicable(problem, ["protonet", "matching"]).skipped
    assert set(skipped.values()) == {"the target is not one of several classes"}
