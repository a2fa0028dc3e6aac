"""ANIL, BOIL, learned step sizes and implicit gradients against what they say they are."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from headstart.meta import ANIL, BOIL, LSLR, MAML, Episodic, MetaSGD, iMAML
from headstart.models import Net, freeze
from headstart.tasks import Episodes, Labelled

from .test_episodic import gradients, make, relative_error


@pytest.mark.parametrize("kind", ["batch", "layer"])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize(("method", "only"), [(ANIL, "heads."), (BOIL, "backbone.")])
def test_parts_of_maml(method, only, first_order, kind):
    net, episodes = make(kind)
    same = MAML("a", lr=0.4, steps=3, first_order=first_order, only=only)
    expected = Episodic(same)(net, episodes, 0.0)["query"]
    found = Episodic(method("a", lr=0.4, steps=3, first_order=first_order))(net, episodes, 0.0)["query"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert relative_error(gradients(found, net), gradients(expected, net)) < 1e-10


def test_a_head_of_several_layers_is_adapted_by_anil():
    net = Net(nn.Linear(4, 8), {"a": nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 2))})
    support = Labelled(torch.randn(6, 4), torch.arange(6) % 2)
    assert len(ANIL("a", lr=0.1)(net, support).weights) == 4


def test_what_is_frozen_cannot_be_adapted():
    net, episodes = make("layer")
    freeze(net.heads)
    with pytest.raises(ValueError, match="`only`"):
        ANIL("a")(net, episodes.episode(0)[0])
    with pytest.raises(KeyError, match="head should be a known name"):
        BOIL("b")(net, episodes.episode(0)[0])


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_learned_step_sizes_start_as_maml_and_are_learned(kind):
    net, episodes = make(kind)
    for method, steps in ((MetaSGD(net, "a", 0.4, 2), 2), (LSLR(net, "a", 0.4, 2), 2)):
        objective = Episodic(method.double())
        found = objective(net, episodes, 0.0)["query"]
        expected = Episodic(MAML("a", lr=0.4, steps=steps))(net, episodes, 0.0)["query"]
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
        found.backward()
        moved = [p.grad.abs().sum() > 0 for p in method.parameters()]
        assert sum(moved) >= len(moved) - 2  # biases in front of a batch norm have no effect
        net.zero_grad()


def test_step_sizes_are_of_their_weight_and_step():
    net = Net(nn.Identity(), {"a": nn.Linear(3, 1, bias=False)}).double()
    support = Labelled(torch.randn(8, 3).double(), torch.randn(8, 1).double())
    w = net.heads["a"].weight.detach()[0].clone()

    def slope(w):
        return support.x.T @ (support.x @ w - support.y[:, 0]) / 4

    each = MetaSGD(net, "a", 0.1, loss=F.mse_loss).double()
    each.rates["heads/a/weight"].data = torch.tensor([[0.1, -0.2, 0.0]]).double()
    found = each(net, support).weights["heads.a.weight"][0]
    torch.testing.assert_close(found, w - torch.tensor([0.1, -0.2, 0.0]).double() * slope(w))
    steps = LSLR(net, "a", 0.1, steps=2, loss=F.mse_loss).double()
    steps.rates["heads/a/weight"].data = torch.tensor([0.1, 0.3]).double()
    first = w - 0.1 * slope(w)
    torch.testing.assert_close(steps(net, support).weights["heads.a.weight"][0], first - 0.3 * slope(first))


def least_squares():
    torch.manual_seed(0)
    net = Net(nn.Identity(), {"a": nn.Linear(3, 1, bias=False)}).double()
    x = torch.randn(2, 2, 8, 3, dtype=torch.float64)
    y = torch.randn(2, 2, 8, 1, dtype=torch.float64)
    return net, Episodes(Labelled(x[0], y[0]), Labelled(x[1], y[1]), 0)


def test_implicit_gradient_on_least_squares():
    """On a quadratic the minimum near the start and its slope have a closed form."""
    net, episodes = least_squares()
    pull, start = 0.5, net.heads["a"].weight.detach()[0]
    expected, losses = torch.zeros(3).double(), []
    for t in range(2):
        s, q = episodes.episode(t)
        hessian = s.x.T @ s.x / 4
        system = hessian + pull * torch.eye(3)
        phi = torch.linalg.solve(system, s.x.T @ s.y[:, 0] / 4 + pull * start)
        outer = q.x.T @ (q.x @ phi - q.y[:, 0]) / 4
        expected += pull * torch.linalg.solve(system, outer) / 2
        losses.append(F.mse_loss(q.x @ phi, q.y[:, 0]))
    adaptation = iMAML("a", lr=0.3, steps=400, pull=pull, solves=3, loss=F.mse_loss)
    loss = Episodic(adaptation, F.mse_loss)(net, episodes, 0.0)["query"]
    torch.testing.assert_close(loss, torch.stack(losses).mean(), rtol=1e-9, atol=0)
    loss.backward()
    torch.testing.assert_close(net.heads["a"].weight.grad[0], expected, rtol=1e-8, atol=0)


def test_implicit_gradient_is_that_of_the_steps_where_they_end():
    """Enough unrolled steps of the same descent have the same slope; they need memory for every step."""
    net, episodes = make("layer")
    support, query = episodes.episode(0)
    start = dict(net.named_parameters())

    def lower(weights):
        from headstart.models import Adapted

        away = sum((weights[n] - start[n]).square().sum() for n in start)
        return F.cross_entropy(Adapted(net, "a", weights)(support.x), support.y) + 10 * away

    weights = start
    for _ in range(60):
        slope = torch.autograd.grad(lower(weights), list(weights.values()), create_graph=True)
        weights = {n: w - 0.04 * g for (n, w), g in zip(weights.items(), slope, strict=True)}
    from headstart.models import Adapted

    expected = gradients(F.cross_entropy(Adapted(net, "a", weights)(query.x), query.y), net)
    adapted = iMAML("a", lr=0.04, steps=60, pull=20.0, solves=30)(net, support)
    found = gradients(F.cross_entropy(adapted(query.x), query.y), net)
    assert relative_error(found, expected) < 1e-6


def test_finite_differences():
    """The meta-gradient of a net with affine batch norms, along random directions."""
    net, episodes = make("batch")
    for adaptation in (
        MAML("a", lr=0.4, steps=1),
        ANIL("a", lr=0.4, steps=5),
        MetaSGD(net, "a", 0.4).double(),
    ):
        objective = Episodic(adaptation)
        start = [p.detach().clone() for p in net.parameters()]
        slope = gradients(objective(net, episodes, 0.0)["query"], net)
        g = torch.Generator().manual_seed(0)
        along = [torch.randn(p.shape, generator=g, dtype=torch.float64) for p in start]
        values = []
        for step in (1e-5, -1e-5):
            for p, s, d in zip(net.parameters(), start, along, strict=True):
                p.data = s + step * d
            values.append(objective(net, episodes, 0.0)["query"].item())
        for p, s in zip(net.parameters(), start, strict=True):
            p.data = s
        expected = (values[0] - values[1]) / 2e-5
        assert float(slope @ torch.cat([d.flatten() for d in along])) == pytest.approx(expected, rel=1e-6)
