"""How long a trial trains, and the rows that it holds out to see when it was best."""

import dataclasses

import pytest
import torch
from torch import nn

from headstart.comparison import Problem
from headstart.engine import Held, Run, fit, losses_of
from headstart.models import Net
from headstart.strategies import STRATEGIES, Budget, Trial, holding
from headstart.strategies import trial as trials
from headstart.strategies.holding import enough, hold_out, same_rows
from headstart.tasks import Labelled, Multiclass, Multilabel, Regression, Task, batches
from headstart.transfer import Supervised

from .problems import numbers, same, weights


def classes(counts, kind=None):
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])
    return Task("new", kind or Multiclass(len(counts)), Labelled(torch.arange(len(y)).float()[:, None], y))


# Steps.


@pytest.mark.parametrize(("rows", "steps"), [(1, 200), (100, 200), (640, 200), (1600, 500), (50_000, 2000)])
def test_steps_grow_with_the_rows_within_bounds(rows, steps):
    assert Budget().of(rows) == steps
    assert Budget(steps=7).of(rows) == 7


def test_steps_are_those_of_the_rows_that_have_a_label():
    task = classes([400, 400])
    y = task.train.y.clone()
    y[:160] = -100
    task = dataclasses.replace(task, train=Labelled(task.train.x, y), test=task.train)
    assert Problem(task).steps == 200
    assert Problem(dataclasses.replace(task, train=task.test)).steps == 250
    assert Problem(task, budget=Budget(steps=3)).steps == 3


# Which rows.


def test_rows_are_enough_from_two_thousand_and_twenty_of_every_class():
    assert enough(classes([20, 1980]))
    assert not enough(classes([20, 1979]))
    assert not enough(classes([19, 3000]))
    assert not enough(classes([3000, 3000], Multiclass(3)))
    for count, there in ((1999, False), (2000, True)):
        x = torch.zeros(count, 1)
        assert enough(Task("a", Regression(), Labelled(x, x[:, 0]))) == there
        assert enough(Task("a", Multilabel(1), Labelled(x, x))) == there
    assert not enough(Task("a", Multiclass(2), torch.utils.data.TensorDataset(torch.zeros(3000, 1))))


def test_a_tenth_of_every_class_is_held_out_and_the_inputs_stay_shared():
    task = classes([20, 200])
    kept, held = hold_out(task, 0)
    assert held.train.y.bincount().tolist() == [2, 20]
    assert kept.train.x is task.train.x
    there = kept.train.present()
    assert torch.equal(kept.train.y[there], task.train.y[there])
    assert sorted([*kept.train.x[there].flatten().tolist(), *held.train.x.flatten().tolist()]) == list(
        range(220)
    )
    assert torch.equal(held.train.y, task.train.y[~there])
    assert not torch.equal(hold_out(task, 1)[1].train.x, held.train.x)


def test_features_of_the_labelled_rows_are_divided_as_the_rows_are():
    task = classes([20, 20])
    y = task.train.y.clone()
    y[::5] = -100
    task = dataclasses.replace(task, train=Labelled(task.train.x, y))
    features = dataclasses.replace(task, train=task.train.known())
    assert same_rows(task, features)
    assert not same_rows(task, classes([20, 20]))
    for one, other in zip(hold_out(task, 3), hold_out(features, 3), strict=True):
        assert torch.equal(one.train.known().x, other.train.known().x)


# Looking, and keeping the best.


def parabola(*values):
    """A net whose loss on the held-out rows is the square of its one weight."""
    net = Net(nn.Identity(), {"a": nn.Linear(1, 1, bias=False)})
    rows = Labelled(torch.linspace(0.5, 1.5, 32)[:, None], torch.zeros(32))
    held = Held(losses_of(Task("a", Regression(), rows)), every=10)
    for look, value in enumerate(values, start=1):
        nn.init.constant_(net.heads["a"].weight, value)
        for step in range(10 * look - 9, 10 * look + 1):
            held.after(net, step)
    return net, held


def test_the_weights_of_the_best_look_are_kept():
    net, held = parabola(3.0, 1.0, 2.0)
    assert held.step == 20
    held.keep(net)
    assert net.heads["a"].weight.item() == 1.0


def test_the_last_weights_are_kept_where_they_are_best_or_no_worse_than_noise():
    net, held = parabola(3.0, 2.0, 1.0)
    held.keep(net)
    assert net.heads["a"].weight.item() == 1.0
    net = Net(nn.Identity(), {"a": nn.Linear(1, 1)})  # whose rows disagree on which is better
    y = torch.randn(32, generator=torch.Generator().manual_seed(0))
    held = Held(losses_of(Task("a", Regression(), Labelled(torch.zeros(32, 1), y - y.mean()))), every=1)
    for step, value in enumerate((0.0, 0.01), start=1):
        nn.init.constant_(net.heads["a"].bias, value)
        held.after(net, step)
    assert held.step == 1
    held.keep(net)
    assert net.heads["a"].bias.item() == pytest.approx(0.01)


def test_frozen_weights_are_not_copied_and_modes_stay():
    net = Net(nn.BatchNorm1d(1), {"a": nn.Linear(1, 1)})
    net.backbone.requires_grad_(False)
    net.train()
    held = Held(losses_of(Task("a", Regression(), Labelled(torch.zeros(8, 1), torch.zeros(8)))), every=1)
    held.after(net, 1)
    assert "backbone.weight" not in held.state_dict()["weights"]
    assert "backbone.running_mean" in held.state_dict()["weights"]
    assert net.training
    assert not net.backbone.training


def trained(directory, *, steps, until=None):
    """Overfit ten rows while looking at others; stop dead at a step."""
    task = Task("new", Multiclass(2), numbers(10, 1))
    held = Held(losses_of(dataclasses.replace(task, train=numbers(40, 2))), every=5)
    torch.manual_seed(0)
    net = Net(nn.Sequential(nn.Linear(2, 16), nn.ReLU()), {"new": nn.Linear(16, 2)})
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    stream = batches([task], 8, generator=torch.Generator().manual_seed(0))
    objective = Supervised(task)

    def dying(net, batch, progress):
        if until is not None and round(progress * steps) == until:
            raise KeyboardInterrupt
        return objective(net, batch, progress)

    with Run.create(directory, {"a": 1}, every_steps=7) as run:
        fit(net, stream, dying, steps=steps, optimizer=optimizer, run=run, held=held, progress=False)
    return net, held


def test_a_run_that_was_killed_keeps_the_weights_of_an_unbroken_one(tmp_path):
    unbroken, seen = trained(tmp_path / "unbroken", steps=60)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", steps=60, until=33)
    resumed, again = trained(tmp_path / "killed", steps=60)
    finished, _ = trained(tmp_path / "killed", steps=60)
    assert seen.step == again.step
    assert same(weights(unbroken), weights(resumed))
    assert same(weights(unbroken), weights(finished))


# In a trial.


def problem(each=60, **changes):
    target = Task("new", Multiclass(2), numbers(each, 1), test=numbers(20, 2))
    source = Task("old", Multiclass(3), numbers(30, 3, classes=3))
    return Problem(target, [source], **{"settings": {"hidden": [6]}} | changes)


@pytest.fixture
def calls(monkeypatch):
    kept, real, judged = [], trials.fit, trials.losses_of

    def fitted(net, stream, objective, **given):
        kept.append(given | {"stream": stream})
        return real(net, stream, objective, **given)

    def known(*tasks):
        losses = judged(*tasks)
        losses.tasks = tasks
        return losses

    monkeypatch.setattr(trials, "fit", fitted)
    monkeypatch.setattr(trials, "losses_of", known)
    monkeypatch.setattr(holding, "ROWS", 100)
    return kept


@pytest.mark.parametrize("name", ["scratch", "probe", "features+mlp", "lp_ft", "l2sp", "multitask"])
def test_every_strategy_that_trains_on_the_target_holds_out_the_same_rows(name, calls):
    posed = problem(budget=Budget(pretrain=3))
    STRATEGIES[name].learn(Trial(posed, STRATEGIES[name].options[0], 0))
    looks = [call["held"] for call in calls if call["phase"] != "pretrain"]
    assert looks
    assert None not in looks
    assert all(call["held"] is None for call in calls if call["phase"] == "pretrain")
    _, rows = hold_out(posed.target, 0)
    for call in calls:
        if call["held"] is not None:
            assert torch.equal(call["held"].losses.tasks[0].train.y, rows.train.y)
            assert call["held"].every == max(1, call["steps"] // 20)
            table = call["stream"].tasks[0].train
            assert int(table.present().sum()) == 120 - 12


@pytest.mark.parametrize("changes", [{"budget": Budget(steps=5)}, {"shots": [5]}, {"each": 19}])
def test_no_row_is_held_out_where_the_steps_are_given_or_rows_are_few(changes, calls):
    posed = problem(**changes)
    posed = posed.cut(5, 0) if posed.shots else posed
    STRATEGIES["scratch"].learn(Trial(posed, {"lr": 3e-3}, 0))
    assert [call["held"] for call in calls] == [None]
