"""Which weights of a net that learns for a target without labels are left, as the validator says."""

import dataclasses

import pytest
import torch
from torch import nn

from headstart.comparison import Problem
from headstart.datasets import unlabel
from headstart.engine import Held, evaluate, predict, seeded
from headstart.measure import source_risk, weighted_risk
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial
from headstart.strategies import trial as trials
from headstart.strategies.holding import hold_out
from headstart.strategies.recipes.align import aligned, begun, joined
from headstart.strategies.recipes.sides import distrust, drawn_alike, watched
from headstart.tasks import Binary, Inputs, Labelled, Multiclass, Regression, Task


def drawn(rows, seed, kind, *, move=0.0):
    """Draw two clusters on the first column, moved along all of them; numbers are that column."""
    g = torch.Generator().manual_seed(seed)
    y = (torch.rand(rows, generator=g) < 0.5).long()
    x = torch.randn(rows, 4, generator=g)
    x[:, 0] += 4 * y - 2
    answers = y if isinstance(kind, Multiclass) else y.float()
    return Labelled(x + move, x[:, 0] if isinstance(kind, Regression) else answers)


def posed(kind=None, *, rows=300, move=0.3, backbone="auto", **given):
    kind = kind or Multiclass(["a", "b"])
    one = drawn(rows, 1, kind, move=move)
    target = Task("new", kind, one, valid=drawn(100, 4, kind, move=move), test=drawn(200, 2, kind, move=move))
    source = Task("old", kind, drawn(rows, 3, kind))
    settings = {"hidden": [32]} if backbone == "auto" else {}
    given = {"budget": Budget(pretrain=80, looks=8)} | given
    return Problem(unlabel(target), [source], settings=settings, backbone=backbone, **given)


def trial(problem):
    return Trial(problem, {"weight": 0.3, "lr": 1e-3}, 0, Starts())


class Spoils:
    """Learn the classes for a third of the steps, and their opposite from then on."""

    def __init__(self, task):
        self.task = task

    def __call__(self, net, batch, progress):
        y = batch.source.y if progress < 1 / 3 else 1 - batch.source.y
        return {"label": self.task.loss(net(batch.source.x, "new"), y)}


def spoiled(problem):
    """Give what a net that is spoiled on the way scores on the target's test rows."""
    asked = trial(problem)
    task, net, watch = begun(asked, asked.problem.budget.pretrain)
    trained = aligned(asked, net, task, Spoils(task), watch=watch)
    return evaluate(trained.net, problem.target)["accuracy"].value


@pytest.mark.parametrize("validator", ["sound", "source_risk", "weighted_risk", "labels"])
@pytest.mark.parametrize("kind", [Multiclass(["a", "b"]), Binary()])
def test_weights_that_were_spoiled_on_the_way_are_not_left(validator, kind):
    assert spoiled(posed(kind, validator=validator, budget=Budget(pretrain=600))) < 0.5
    assert spoiled(posed(kind, validator=validator, budget=Budget(pretrain=600, looks=10))) > 0.85


def test_without_classes_the_loss_on_held_out_source_rows_says_it():
    problem = posed(Regression())
    _, watch = watched(trial(problem), joined(problem.target, problem.shared()), 80)
    held = hold_out(joined(problem.target, problem.shared()), 0)[1].train
    net = trial(problem).fresh()
    outputs = predict(net, "new", held.x, progress=False)
    each = torch.stack([(outputs[n::8, 0] - held.y[n::8]).square().mean() for n in range(8)]).double()
    torch.testing.assert_close(watch.losses(net), each)


def test_the_last_weights_are_left_where_none_were_trusted_more():
    problem = posed()
    looked = FURTHER["cmd"].run(trial(problem)).net
    asked = trial(problem)
    task, net, _ = begun(asked, 80)  # of the same rows, and looked at by nobody
    with seeded(0):
        lower = FURTHER["cmd"].run.keywords["method"](task, weight=0.3)
    plain = aligned(asked, net, task, lower).net
    for (name, one), other in zip(looked.state_dict().items(), plain.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_a_tenth_of_the_source_is_held_out_where_that_is_asked_for():
    problem = posed()
    task = joined(problem.target, problem.shared())
    kept, watch = watched(trial(problem), task, 81)
    assert int(kept.train.present().sum()) == 270
    assert watch.every == 10
    assert watched(trial(posed(budget=Budget())), task, 81) == (task, None)
    few = posed(rows=30)
    task = joined(few.target, few.shared())
    assert watched(trial(few), task, 81) == (task, None)
    known = posed(validator="labels")
    task = joined(known.target, known.shared())
    assert watched(trial(known), task, 81)[0] is task  # the target's own rows say it


@pytest.mark.parametrize("name", ["source-only", "mmd", "dann", "adda", "shot"])
def test_every_net_for_a_target_without_labels_is_looked_at(name, monkeypatch):
    phases, real = {}, trials.fit

    def fitted(net, stream, objective, **given):
        phases[given["phase"]] = given["held"]
        return real(net, stream, objective, **given)

    monkeypatch.setattr(trials, "fit", fitted)
    (STRATEGIES | FURTHER)[name].run(trial(posed(budget=Budget(pretrain=12, looks=2))))
    last = list(phases.values())[-1]
    assert isinstance(last, Held)
    if name in ("adda", "shot"):
        assert phases["source"] is None


def test_a_look_leaves_a_net_as_it_is_and_reads_the_target_by_its_own_statistics():
    with seeded(0):
        backbone = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU())
    problem = posed(backbone=backbone, move=3.0)
    asked = trial(problem)
    task = joined(problem.target, problem.shared())
    kept, held = hold_out(task, 0)
    net = asked.fresh().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    told = distrust(asked, kept, held.train, net)
    assert net.training
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert told.shape == (8,)
    far = dataclasses.replace(kept, unlabelled=Inputs(problem.target.unlabelled.x[:30] ** 2))
    there = distrust(asked, far, held.train, net)
    assert not torch.equal(told, there)


def test_rows_are_drawn_as_the_target_has_them():
    g = torch.Generator().manual_seed(0)
    x, bare = torch.randn(2000, 1, generator=g), torch.randn(600, 1, generator=g) + 1
    y = (x[:, 0] > 0).long()
    kind = Multiclass(["a", "b"])
    target = Task("new", kind, Labelled(x[:0], y[:0]), unlabelled=Inputs(bare), test=Labelled(x[:9], y[:9]))
    problem = Problem(target, [Task("old", kind, Labelled(x, y))], validator="weighted_risk")
    found = drawn_alike(problem, Labelled(x, y), 0)
    assert abs(float(found.x.mean()) - 1) < 0.15
    assert abs(float(x.mean())) < 0.05
    p = torch.stack([1 - x[:, 0].sigmoid(), x[:, 0].sigmoid()], 1)
    there = torch.stack([1 - found.x[:, 0].sigmoid(), found.x[:, 0].sigmoid()], 1)
    assert source_risk(there, found.y) == pytest.approx(weighted_risk(p, y, x, bare), abs=0.03)
    assert source_risk(p, y) < source_risk(there, found.y) - 0.05


def test_a_validator_that_sees_the_target_alone_may_not_say_which_weights_are_left():
    with pytest.raises(ValueError, match='`validator="information"` with looks along the way should be one'):
        posed(validator="information")
    assert posed(validator="information", budget=Budget()).validator == "information"
    with pytest.raises(ValueError, match="`looks` of the budget should be at least 0; found -1"):
        Budget(looks=-1)


def test_rows_that_are_no_numbers_cannot_be_weighed():
    ids = torch.randint(1, 20, (60, 5), generator=torch.Generator().manual_seed(0))
    y = torch.arange(60) % 2
    kind = Multiclass(["a", "b"])
    target = Task("new", kind, Labelled(ids[:0], y[:0]), unlabelled=Inputs(ids), test=Labelled(ids, y))
    problem = Problem(
        target, [Task("old", kind, Labelled(ids, y))], settings={"vocabulary": 20}, validator="weighted_risk"
    )
    with pytest.raises(ValueError, match=r'`validator="weighted_risk"` should be rows that can be weighed;'):
        drawn_alike(problem, Labelled(ids, y), 0)
