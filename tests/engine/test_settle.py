"""Statistics of normalisation layers after training."""

import contextlib
import copy

import pytest
import torch
from torch import nn

from headstart.comparison import Problem
from headstart.engine import Run, predict, settle
from headstart.models import Net, freeze
from headstart.strategies import STRATEGIES, Starts, Trial
from headstart.tasks import Labelled, Multiclass, Task, batches
from headstart.transfer import Supervised


def blobs(rows, seed):
    """Three classes, far from zero."""
    y = torch.arange(rows) % 3
    x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed))
    return Labelled(20 + 5 * (x + 2 * nn.functional.one_hot(y, 4)), y)


def net(momentum=0.01):
    torch.manual_seed(0)
    return Net(
        nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=momentum), nn.ReLU()),
        {"new": nn.Linear(8, 3)},
    )


def parts(rows=96):
    task = Task("new", Multiclass(3), blobs(rows, 1))
    return batches([task], 32, generator=torch.Generator().manual_seed(0)), Supervised(task)


def test_statistics_are_the_mean_over_the_batches_whatever_the_momentum():
    stream, objective = parts()
    one = net().train()
    weights = [p.clone() for p in one.parameters()]
    settle(one, stream, objective)
    norm, (again, _) = one.backbone[1], parts()
    z = [one.backbone[0](next(again)["new"].x).detach() for _ in range(32)]
    torch.testing.assert_close(norm.running_mean, torch.stack([b.mean(0) for b in z]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([b.var(0) for b in z]).mean(0))
    assert norm.momentum == 0.01
    assert norm.training
    assert all(torch.equal(a, b) for a, b in zip(weights, one.parameters(), strict=True))
    assert all(p.grad is None for p in one.parameters())


def test_layers_that_do_not_train_or_see_no_row_keep_their_statistics():
    stream, objective = parts()
    frozen, spare = net(), net().train()
    freeze(frozen.backbone)
    frozen.train()
    with torch.no_grad():
        spare.backbone[1].running_mean.fill_(7)
    before = copy.deepcopy(frozen.state_dict())
    settle(frozen, stream, objective)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), frozen.state_dict().values(), strict=True))
    settle(spare, stream, lambda net, batch, progress: {})
    assert spare.backbone[1].running_mean.tolist() == [7] * 8
    settle(spare, [], objective)
    assert spare.backbone[1].running_mean.tolist() == [7] * 8
    bare = Net(nn.BatchNorm1d(4, track_running_stats=False), {"new": nn.Linear(4, 3)})
    settle(bare.train(), stream, objective)


def test_an_error_leaves_the_momentum():
    def broken(net, batch, progress):
        raise RuntimeError("no")

    one = net().train()
    with pytest.raises(RuntimeError, match="no"):
        settle(one, parts()[0], broken)
    assert one.backbone[1].momentum == 0.01


def problem(momentum):
    backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=momentum), nn.ReLU())
    target = Task("new", Multiclass(3), blobs(60, 1), test=blobs(90, 2))
    return Problem(target, backbone=backbone)


@pytest.mark.parametrize("name", ["scratch", "finetune"])
def test_a_slow_momentum_is_no_harm(name):
    def trained(momentum):
        torch.manual_seed(1)
        posed, strategy = problem(momentum), STRATEGIES[name]
        found = posed.train(strategy, ["new"], strategy.options[0], 0, Starts())["new"]
        return found.record["score"], predict(found.trained.net, "new", posed.target.test.x).argmax(1)

    (slow, answers), (usual, _) = trained(0.01), trained(0.1)
    assert len(answers.unique()) == 3
    assert slow == pytest.approx(usual, abs=1e-6)  # training itself does not read the statistics
    assert slow > 0.7  # by chance a third


def test_a_run_that_is_resumed_ends_with_the_same_statistics(tmp_path):
    posed, strategy = problem(0.01), STRATEGIES["scratch"]
    nets = []
    for _ in range(2):  # the second time the phase is found finished
        with Run.create(tmp_path / "run", {"a": 1}) as run:
            nets.append(strategy.run(Trial(posed, strategy.options[0], 0, run=run)).net.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(nets[0].values(), nets[1].values(), strict=True))


# Statistics that were never taken anew would not do: what they would have been is known.


def far(rows, seed):
    """Three classes around 50, with a spread of 5."""
    y = torch.arange(rows) % 3
    x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed))
    return Labelled(50 + 5 * (x + 2 * (nn.functional.one_hot(y, 4) - 0.25)), y)


def trained_far(monkeypatch, *, settled):
    """Train 30 steps as every strategy does, on inputs that a normalisation of momentum 0.01 reads."""
    backbone = nn.Sequential(nn.BatchNorm1d(4, momentum=0.01), nn.Linear(4, 16), nn.ReLU())
    target = Task("new", Multiclass(3), far(96, 1), test=far(90, 2))
    with monkeypatch.context() as patch:
        if not settled:  # as it would be without: each step moves the statistics by a hundredth
            patch.setattr("headstart.strategies.trial.settle", lambda *_, **__: None)
            patch.setattr("headstart.strategies.trial.following", lambda net: contextlib.nullcontext())
        torch.manual_seed(1)
        trial = Trial(Problem(target, backbone=backbone, weights=None), {}, 0)
        one = Net(backbone, {"new": nn.Linear(16, 3)})
        trial.train(one, [target], steps=30, lr=1e-2, phase="all")
    said = predict(one, "new", target.test.x).argmax(1)
    return one.backbone[0].running_mean, said, (said == target.test.y).float().mean().item()


def test_after_few_steps_a_net_answers_by_the_rows_it_saw(monkeypatch):
    mean, said, right = trained_far(monkeypatch, settled=True)
    assert mean.tolist() == pytest.approx([50] * 4, abs=5)
    assert len(said.unique()) == 3
    assert right > 0.7


def test_without_fresh_statistics_it_answers_by_where_they_began(monkeypatch):
    mean, said, right = trained_far(monkeypatch, settled=False)
    assert mean.tolist() == pytest.approx([50 * (1 - 0.99**30)] * 4, rel=0.1)  # 13, far from 50
    assert len(said.unique()) < 3
    assert right < 0.7
