import pytest
import torch
import torch.nn.functional as F
from torch import nn

from headstart.meta import MAML, Episodic
from headstart.models import Net
from headstart.tasks import Episodes, Labelled


def linear():
    net = Net(nn.Identity(), {"a": nn.Linear(3, 1, bias=False)}).double()
    x = torch.randn(2, 1, 8, 3, dtype=torch.float64)
    y = torch.randn(2, 1, 8, 1, dtype=torch.float64)
    return net, Episodes(Labelled(x[0], y[0]), Labelled(x[1], y[1]), 0)


@pytest.mark.parametrize("first_order", [False, True])
def test_meta_gradient_on_least_squares(first_order):
    net, episodes = linear()
    lr = 0.1
    (s, q), w = episodes.episode(0), net.heads["a"].weight.detach()[0]
    # Losses are means over 8 rows: L = |Xw - y|^2 / 8, with gradient 2/8 X'(Xw - y) and Hessian 2/8 X'X.
    adapted = w - lr * s.x.T @ (s.x @ w - s.y[:, 0]) / 4
    outer = q.x.T @ (q.x @ adapted - q.y[:, 0]) / 4
    expected = outer if first_order else outer - lr * s.x.T @ (s.x @ outer) / 4
    objective = Episodic(MAML("a", lr=lr, steps=1, first_order=first_order, loss=F.mse_loss), F.mse_loss)
    objective(net, episodes, 0.0)["query"].backward()
    torch.testing.assert_close(net.heads["a"].weight.grad[0], expected, rtol=1e-12, atol=1e-14)


def batch_net():
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())
    return Net(backbone, {"a": nn.Linear(8, 2)}), Labelled(torch.randn(6, 4), torch.tensor([0, 1] * 3))


def test_no_grad_gives_the_same_weights_without_a_graph():
    net, support = batch_net()
    with_graph = MAML("a", lr=0.1, steps=3)(net, support).weights
    with torch.no_grad():
        without = MAML("a", lr=0.1, steps=3)(net, support).weights
    assert all(w.requires_grad for w in with_graph.values())
    assert not any(w.requires_grad for w in without.values())
    for name, weight in without.items():
        assert torch.equal(weight, with_graph[name])


def test_steps_lower_the_support_loss_and_leave_the_net_alone():
    net, support = batch_net()
    before = {n: t.clone() for n, t in net.state_dict().items()}
    adapted = MAML("a", lr=0.5, steps=20)(net, support)
    start = F.cross_entropy(net.eval()(support.x, "a"), support.y)
    assert F.cross_entropy(adapted(support.x), support.y) < start / 2
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_only_names_what_moves():
    net, support = batch_net()
    assert set(MAML("a", only="heads.")(net, support).weights) == {"heads.a.weight", "heads.a.bias"}
    net.backbone[0].requires_grad_(False)
    assert not any(n.startswith("backbone.0") for n in MAML("a")(net, support).weights)


def test_works_inside_transforms():
    net, support = batch_net()
    w = dict(net.named_parameters())

    def query_loss(weights):
        from headstart.models import Adapted

        def inner(v):
            return F.cross_entropy(Adapted(net, "a", v)(support.x), support.y)

        g = torch.func.grad(inner)(weights)
        return inner({n: weights[n] - 0.1 * g[n] for n in weights})

    expected = torch.func.grad(query_loss)(w)
    loss = F.cross_entropy(MAML("a", lr=0.1, steps=1)(net, support)(support.x), support.y)
    for found, name in zip(torch.autograd.grad(loss, list(w.values())), w, strict=True):
        torch.testing.assert_close(found, expected[name])


@pytest.mark.parametrize(("settings", "message"), [({"lr": 0.0}, "`lr`"), ({"steps": 0}, "`steps`")])
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        MAML("a", **settings)


def test_nothing_to_adapt():
    net, support = batch_net()
    with pytest.raises(ValueError, match=r'`only` should be the start of a trainable weight.*"head_"'):
        MAML("a", only="head_")(net, support)
