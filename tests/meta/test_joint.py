"""Several tasks at once: adaptation to all of them, and adaptations inside nets that share."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import headstart as hs
from headstart.meta import ANIL, MAML, Episodic, Joint, JointEpisodic, ProtoNet
from headstart.models import Net, mlp
from headstart.multitask import CrossStitch, MMoE, backward, pcgrad
from headstart.tasks import Episodes, Labelled
from headstart.testing import check_adaptation

LOSSES = {"kind": F.cross_entropy, "size": F.mse_loss}


def problem():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Tanh())
    net = Net(trunk, {"kind": nn.Linear(6, 4), "size": nn.Linear(6, 1), "other": nn.Linear(6, 2)}).double()
    x = torch.randn(2, 3, 8, 3).double()
    kinds, sizes = torch.arange(8) % 4, torch.randn(2, 3, 5, 1).double()
    return net, {
        "kind": Episodes(Labelled(x[0], kinds.expand(3, -1)), Labelled(x[1], kinds.expand(3, -1)), 4),
        "size": Episodes(Labelled(x[1, :, :5], sizes[0]), Labelled(x[0, :, :5], sizes[1]), 0),
    }


def plain(net, batch, lr, steps):
    """One problem after another, by plain autograd."""
    losses = {task: 0.0 for task in LOSSES}
    moving = {n: p for n, p in net.named_parameters() if not n.startswith("heads.other")}
    for t in range(3):
        weights = dict(moving)

        def of(task, rows):
            return LOSSES[task](torch.func.functional_call(net, weights, (rows.x, task)), rows.y)  # noqa: B023

        for _ in range(steps):
            loss = sum(of(task, e.episode(t)[0]) for task, e in batch.items())
            slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            weights = {n: w - lr * g for (n, w), g in zip(weights.items(), slopes, strict=True)}
        for task, e in batch.items():
            losses[task] = losses[task] + of(task, e.episode(t)[1]) / 3
    return losses


@pytest.mark.parametrize("steps", [1, 3])
def test_gradients_of_heads_of_different_width_are_those_of_the_loop(steps):
    net, batch = problem()
    other = copy.deepcopy(net)
    found = JointEpisodic(Joint(LOSSES, lr=0.1, steps=steps))(net, batch, 0.0)
    expected = plain(other, batch, 0.1, steps)
    for task in LOSSES:
        torch.testing.assert_close(found[task], expected[task], rtol=1e-12, atol=0)
        ours, theirs = (
            torch.autograd.grad(losses[task], list(n.parameters()), retain_graph=True, materialize_grads=True)
            for losses, n in ((found, net), (expected, other))
        )
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)
    for a, b in zip(net.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_weighing_of_tasks_trains_it():
    net, batch = problem()
    before = [p.clone() for p in net.backbone.parameters()]
    history = hs.fit(
        net,
        [batch, batch],
        JointEpisodic(Joint(LOSSES, lr=0.1, steps=1)),
        steps=2,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        combine=backward(pcgrad),
        progress=False,
    )
    assert set(history.losses) == set(LOSSES)
    assert not any(map(torch.equal, before, net.backbone.parameters()))


def test_rows_with_holes_are_named():
    net, batch = problem()
    x = batch["size"].support.x.clone()
    x[0, 0, 0] = torch.nan
    batch["size"] = Episodes(Labelled(x, batch["size"].support.y), batch["size"].query, 0)
    with pytest.raises(ValueError, match="inputs of size, support at step 0 should be finite"):
        hs.fit(
            net, [batch], JointEpisodic(Joint(LOSSES)), steps=1,
            optimizer=torch.optim.SGD(net.parameters(), lr=0.1), progress=False,
        )  # fmt: skip


SHARED = {
    "experts": lambda: MMoE([mlp(3), mlp(3)], ("kind", "size")),
    "stitched": lambda: CrossStitch({n: mlp(3, hidden=[6, 4]) for n in ("kind", "size")}),
}


@pytest.mark.parametrize(
    "adaptation", [MAML("kind", lr=0.1, steps=2), ANIL("kind", lr=0.1), ProtoNet("kind")]
)
@pytest.mark.parametrize("pattern", SHARED)
def test_an_adaptation_works_inside_a_net_that_shares(pattern, adaptation):
    torch.manual_seed(0)
    shared = SHARED[pattern]()
    net = Net(shared, {n: nn.Linear(shared.width_for(n), o) for n, o in (("kind", 4), ("size", 1))})
    rows = Labelled(torch.randn(8, 3), torch.arange(8) % 4)
    check_adaptation(adaptation, net, rows, rows)
    net.double()
    x = torch.randn(2, 3, 8, 3).double()
    y = rows.y.expand(3, -1)
    episodes, objective = Episodes(Labelled(x[0], y), Labelled(x[1], y), 4), Episodic(adaptation)
    weights = list(net.backbone.parameters())
    found = torch.autograd.grad(objective(net, episodes, 0.0)["query"], weights, materialize_grads=True)
    expected = torch.autograd.grad(
        objective._loop(net, episodes, 0.0).mean(), weights, materialize_grads=True
    )
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)


def test_wrong_use_is_explained():
    net, batch = problem()
    objective = JointEpisodic(Joint(LOSSES))
    with pytest.raises(TypeError, match="batch should be Episodes by task; found Episodes"):
        objective(net, batch["kind"], 0.0)
    with pytest.raises(ValueError, match="tasks of a batch should be"):
        objective(net, {"kind": batch["kind"]}, 0.0)
    one = Episodes(*(part.take(torch.arange(1)) for part in batch["kind"].parts().values()), 4)
    with pytest.raises(ValueError, match="problems of a batch should be one number for all tasks"):
        objective(net, batch | {"kind": one}, 0.0)
    with pytest.raises(ValueError, match="`losses` should be one per task"):
        Joint({})
    with pytest.raises(KeyError, match="head should be a known name"):
        Joint({"none": F.mse_loss})(net, {})
