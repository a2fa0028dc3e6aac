"""Learned update rules against torch's own LSTM cell, plain loops, and what they should reach."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from headstart.meta import Episodic, LearnedOptimizer, MetaLSTM, Unrolled
from headstart.models import Net
from headstart.tasks import Episodes, Labelled


def problem(rows=6, outputs=2):
    torch.manual_seed(0)
    net = Net(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), {"a": nn.Linear(4, outputs)}).double()
    return net, Labelled(torch.randn(rows, 3).double(), torch.arange(rows) % outputs)


def torch_cell(cell, inputs, hidden):
    own = nn.LSTMCell(inputs, hidden).double()
    own.load_state_dict(
        {
            "weight_ih": cell.outer.weight,
            "weight_hh": cell.inner.weight,
            "bias_ih": cell.outer.bias,
            "bias_hh": torch.zeros(4 * hidden),
        }
    )
    return own


def seen(values):
    """The preprocessing of appendix A, number by number."""
    return torch.tensor(
        [
            [math.log(abs(v)) / 10, math.copysign(1, v)]
            if abs(v) >= math.exp(-10)
            else [-1, math.exp(10) * v]
            for v in values.tolist()
        ]
    ).double()


def slopes(net, support, weights):
    loss = F.cross_entropy(torch.func.functional_call(net, weights, (support.x, "a")), support.y)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(weights.values()))]), loss.detach()


def shaped(net, numbers):
    sizes = [p.numel() for p in net.parameters()]
    parts = zip(net.named_parameters(), numbers.split(sizes), strict=True)
    return {name: part.view_as(p).detach().requires_grad_() for (name, p), part in parts}


def test_rule_is_two_lstm_layers_on_each_number():
    net, support = problem()
    rule = LearnedOptimizer("a", steps=3, hidden=5).double()
    low, high = torch_cell(rule.low, 2, 5), torch_cell(rule.high, 5, 5)
    numbers = nn.utils.parameters_to_vector(net.parameters()).detach()
    states = [(torch.zeros(len(numbers), 5).double(),) * 2 for _ in range(2)]
    for _ in range(3):
        slope, _ = slopes(net, support, shaped(net, numbers))
        states[0] = low(seen(slope), states[0])
        states[1] = high(states[0][0], states[1])
        numbers = numbers + 0.1 * rule.out(states[1][0])[:, 0]
    found = torch.cat([w.flatten() for w in rule(net, support).weights.values()])
    torch.testing.assert_close(found, numbers)


def test_gates_are_those_of_the_paper():
    net, support = problem()
    learner = MetaLSTM("a", steps=3, hidden=5).double()
    cell = torch_cell(learner.low, 4, 5)
    numbers = nn.utils.parameters_to_vector(net.parameters()).detach()
    state, keep, take = (torch.zeros(len(numbers), 5).double(),) * 2, torch.ones_like(numbers), 0 * numbers
    for _ in range(3):
        slope, loss = slopes(net, support, shaped(net, numbers))
        state = cell(torch.cat([seen(slope), seen(loss[None]).expand(len(slope), 2)], 1), state)
        gates = (
            torch.stack([*state[0].T, numbers, keep, take], 1) @ learner.gates.weight.T + learner.gates.bias
        )
        keep, take = gates.sigmoid().T
        numbers = keep * numbers - take * slope
    found = torch.cat([w.flatten() for w in learner(net, support).weights.values()])
    torch.testing.assert_close(found, numbers)


@pytest.mark.parametrize("kind", [LearnedOptimizer, MetaLSTM])
@pytest.mark.parametrize("objective", [Episodic, Unrolled])
def test_all_episodes_at_once_are_the_loop(kind, objective):
    net, support = problem()
    x = torch.randn(2, 3, 6, 3).double()
    y = support.y.expand(3, -1)
    episodes = Episodes(Labelled(x[0], y), Labelled(x[1], y), 2)
    made = objective(kind("a", steps=3, hidden=4).double())
    weights = [*net.parameters(), *made.parameters()]
    losses = made(net, episodes, 0.0)["query"], made._loop(net, episodes, 0.0).mean()
    ours, theirs = (torch.autograd.grad(loss, weights, materialize_grads=True) for loss in losses)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)


def test_gradients_flow_through_a_segment_alone():
    net, support = problem()
    start = next(net.parameters())

    def reach(segment):
        rule = LearnedOptimizer("a", steps=4, hidden=4, segment=segment).double()
        path = list(rule.path(net, support))
        ends = [F.cross_entropy(at(support.x), support.y) for at in path]
        return [
            torch.autograd.grad(end, start, allow_unused=True, retain_graph=True)[0] is not None
            for end in ends
        ]

    assert reach(4) == [True] * 4
    assert reach(2) == [True, True, False, False]


@pytest.mark.slow
def test_a_rule_learns_to_lower_losses_of_new_tasks():
    g = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net = Net(nn.Identity(), {"a": nn.Linear(5, 1, bias=False)})
    rule = LearnedOptimizer("a", steps=15, hidden=8, loss=F.mse_loss)
    objective = Unrolled(rule, F.mse_loss)

    def tasks(count):
        x, y = torch.randn(count, 5, 5, generator=g), torch.randn(count, 5, 1, generator=g)
        return Episodes(Labelled(x, y), Labelled(x, y), 0)

    new = tasks(50)

    def on_new():
        with torch.no_grad():
            return float(objective(net, new, 0.0)["query"])

    before, optimizer = on_new(), torch.optim.Adam(rule.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        objective(net, tasks(16), 0.0)["query"].backward()
        optimizer.step()
    assert on_new() < 0.75 * before


@pytest.mark.parametrize("name", ["steps", "hidden", "segment"])
@pytest.mark.parametrize("kind", [LearnedOptimizer, MetaLSTM])
def test_settings_out_of_range(kind, name):
    with pytest.raises(ValueError, match=f"`{name}` should be at least 1"):
        kind("a", **{name: 0})
