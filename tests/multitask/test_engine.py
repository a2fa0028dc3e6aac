"""Gramians by layers are those of explicit Jacobians, whatever the net; and the fast ways are taken."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from headstart.models import Net, freeze
from headstart.multitask import GradVac, _backward, _graph, backward, cost, mgda, upgrad
from headstart.tasks import Labelled, Regression, Task
from headstart.testing import check_combine

from .problems import F64, flat

NAMES = ("a", "b", "c")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Read the graph of the smallest nets, too."""
    monkeypatch.setattr(_backward, "SMALL", 0)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, x):
        return self.inside(x).mean(1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.LSTM(8, 6, batch_first=True)

    def forward(self, x):
        return self.inside(x)[0][:, -1]


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(8, 8)

    def forward(self, x):
        return self.inside(self.inside(x).tanh())


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8, bias=False)

    def forward(self, x):
        return x + self.second(torch.relu(self.first(x)))


class Mixing(nn.Module):
    """Lets rows see one another by entries alone, without a layer that says so."""

    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(8, 8)

    def forward(self, x):
        z = self.inside(x)
        return z + (z.t() @ z)[:1]


def conv():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 5),
    )


def mlp(*norm):
    return nn.Sequential(nn.Linear(8, 12), *norm, nn.ReLU(), nn.Linear(12, 5, bias=False), nn.Tanh())


ROWS = 10
NETS = {
    # name: backbone, shape of a row, its width, whether rows are seen to be apart
    "linear": (mlp, (8,), 5, True),
    "one": (lambda: nn.Linear(8, 5), (8,), 5, True),
    "deep rows": (lambda: nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 5)), (2,), 5, True),
    "residual": (Residual, (8,), 8, True),
    "layer norm": (lambda: mlp(nn.LayerNorm(12)), (8,), 5, False),
    "batch norm": (lambda: mlp(nn.BatchNorm1d(12)), (8,), 5, False),
    "conv": (conv, (1, 6, 6), 5, False),
    "attention": (Attention, (4, 8), 8, False),
    "recurrent": (Recurrent, (4, 8), 6, False),
    "twice": (Twice, (8,), 8, False),
    "mixing": (Mixing, (8,), 8, False),
}


def problem(name, dtype=F64):
    torch.manual_seed(0)
    build, shape, width, _ = NETS[name]
    net = Net(build(), {n: nn.Linear(width, 1) for n in NAMES}).to(dtype)
    return net, torch.randn(ROWS, *shape, dtype=dtype)


def shared_losses(net, x):
    z = net.features(x)
    return {n: (net.heads[n](z)[:, 0] - k).square().mean() for k, n in enumerate(NAMES)}


def apart_losses(net, x):
    """Give each task rows of its own, which go through the net together."""
    parts = net.features(x).split([3, 5, 2])
    return {
        n: (net.heads[n](z)[:, 0] - k).square().mean()
        for k, (n, z) in enumerate(zip(NAMES, parts, strict=True))
    }


def each_losses(net, x):
    """Give each task a pass of its own."""
    return {n: (net(x[k:], n)[:, 0] - k).square().mean() for k, n in enumerate(NAMES)}


def jacobian(losses, shared):
    grads = [
        torch.autograd.grad(v, shared, retain_graph=True, allow_unused=True, materialize_grads=True)
        for v in losses.values()
    ]
    return torch.stack([flat(g) for g in grads])


class Spy:
    def __init__(self, weighing=upgrad):
        self.weighing, self.seen = weighing, []

    def __call__(self, gramian):
        self.seen.append(gramian)
        return self.weighing(gramian)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("how", [shared_losses, apart_losses, each_losses])
@pytest.mark.parametrize("name", NETS)
def test_the_gramian_and_the_step_are_those_of_the_jacobian(name, how, dtype):
    net, x = problem(name, dtype)
    twin, spy = copy.deepcopy(net), Spy()
    backward(spy)(how(net, x), net)
    twin_losses = how(twin, x)
    rows = jacobian(twin_losses, list(twin.shared().values()))
    gram, bound = rows @ rows.T, 1e-12 if dtype == F64 else 1e-5
    assert (spy.seen[0] - gram).norm() <= bound * gram.norm()
    step = flat(p.grad for p in net.shared().values())
    assert (step - upgrad(spy.seen[0]) @ rows).norm() <= bound * rows.norm()
    heads = torch.autograd.grad(sum(twin_losses.values()), list(twin.heads.parameters()))
    torch.testing.assert_close(flat(p.grad for p in net.heads.parameters()), flat(heads))


@pytest.mark.parametrize("name", NETS)
def test_the_fast_ways_are_taken_where_rows_are_seen_to_be_apart(name):
    net, x = problem(name)
    rowwise = NETS[name][-1]
    graph = _graph.read(list(shared_losses(net, x).values()), net.shared().values())
    assert graph.rowwise == rowwise
    assert graph.waist is not None
    assert graph.owners is None
    apart = _graph.read(list(apart_losses(net, x).values()), net.shared().values())
    assert (apart.owners is not None) == rowwise
    if rowwise:
        assert apart.owners.tolist() == [0] * 3 + [1] * 5 + [2] * 2
    each = _graph.read(list(each_losses(net, x).values()), net.shared().values())
    assert each.waist is None


@pytest.mark.parametrize("name", ["linear", "conv"])
@pytest.mark.parametrize("at", ["weights", "features"])
def test_the_seam_is_kept(name, at):
    net, x = problem(name)
    check_combine(backward(mgda, at=at), net, lambda n: shared_losses(n, x.to(next(n.parameters()))))


def test_a_part_of_a_split_that_two_tasks_use_has_no_owner():
    net, x = problem("linear")

    def losses(net):
        one, other = net.features(x).split(5)
        return {n: net.heads[n](z).square().mean() for n, z in zip(NAMES, (one, one, other), strict=True)}

    assert _graph.read(list(losses(net).values()), net.shared().values()).owners is None
    rows, spy = jacobian(losses(net), list(net.shared().values())), Spy()
    backward(spy)(losses(net), net)
    torch.testing.assert_close(spy.seen[0], rows @ rows.T, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("sparse", [False, True])
def test_embeddings(sparse):
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.EmbeddingBag(20, 8, sparse=sparse), nn.Linear(8, 5), nn.Tanh())
    net = Net(backbone, {n: nn.Linear(5, 1) for n in NAMES}).double()
    ids, spy = torch.randint(0, 20, (ROWS, 3)), Spy()
    dense = Net(copy.deepcopy(backbone), copy.deepcopy(dict(net.heads)))
    dense.backbone[0].sparse = False
    rows = jacobian(shared_losses(dense, ids), list(dense.shared().values()))
    backward(spy)(shared_losses(net, ids), net)
    torch.testing.assert_close(spy.seen[0], rows @ rows.T, rtol=1e-12, atol=1e-14)
    found = flat(p.grad.to_dense() for p in net.shared().values())
    torch.testing.assert_close(found, upgrad(rows @ rows.T) @ rows)


@pytest.mark.parametrize("how", [shared_losses, apart_losses, each_losses])
@pytest.mark.parametrize("layers", [[0], [2], [0, 2]])
def test_frozen_parts_and_accumulated_gradients(how, layers):
    net, x = problem("linear")
    for layer in layers:
        freeze(net.backbone[layer])
    for _ in range(2):
        backward(upgrad)(how(net, x), net)
    for layer in (0, 2):
        assert (net.backbone[layer].weight.grad is None) == (layer in layers)
    shared = list(net.shared().values())
    if shared:
        rows = jacobian(how(net, x), shared)
        torch.testing.assert_close(flat(p.grad for p in shared), 2 * upgrad(rows @ rows.T) @ rows)


def test_absent_tasks_and_those_that_reach_nothing():
    net, x = problem("linear")
    losses = shared_losses(net, x)
    del losses["b"]
    losses["head"] = net.heads["b"].bias.sum()
    rows, spy = jacobian(losses, list(net.shared().values())), Spy()
    backward(spy)(losses, net)
    torch.testing.assert_close(spy.seen[0], rows @ rows.T)
    assert net.heads["b"].weight.grad is None
    assert net.heads["b"].bias.grad.item() == 1
    combine = backward(GradVac(NAMES))
    combine({k: v for k, v in shared_losses(net, x).items() if k != "b"}, net)
    assert (combine.weighing.cosines[1] == 0).all()


def test_a_loss_that_is_a_weight_itself():
    net, x = problem("linear")
    own = nn.Parameter(torch.ones((), dtype=F64))
    backward(upgrad)(shared_losses(net, x) | {"own": own}, net)
    assert own.grad.item() == 1


def test_a_pull_on_the_weights_is_a_task_without_a_waist():
    net, x = problem("linear")

    def losses():
        return shared_losses(net, x) | {"pull": net.backbone[0].weight.square().sum()}

    rows, spy = jacobian(losses(), list(net.shared().values())), Spy()
    backward(spy)(losses(), net)
    torch.testing.assert_close(spy.seen[0], rows @ rows.T)
    torch.testing.assert_close(flat(p.grad for p in net.shared().values()), upgrad(rows @ rows.T) @ rows)


class Checkpointed(nn.Module):
    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x):
        return checkpoint(self.inside, x.requires_grad_(), use_reentrant=True)


def test_weights_that_hide_in_a_function_of_the_users_own_are_found():
    net, x = problem("linear")
    hidden = Net(nn.Sequential(nn.Linear(8, 8).double(), Checkpointed(net.backbone)), dict(net.heads))
    backward(upgrad)(shared_losses(hidden, x), hidden)
    plain = copy.deepcopy(hidden)
    plain.backbone[1] = plain.backbone[1].inside
    plain.zero_grad()
    rows = jacobian(shared_losses(plain, x), list(plain.shared().values()))
    torch.testing.assert_close(flat(p.grad for p in hidden.shared().values()), upgrad(rows @ rows.T) @ rows)


def test_hooks_on_weights_are_run():
    net, x = problem("linear")
    seen = []
    net.backbone[0].weight.register_hook(seen.append)
    backward(upgrad)(shared_losses(net, x), net)
    assert len(seen) == len(NAMES)


def test_a_loss_that_is_not_finite_is_named_before_any_gradient():
    net, x = problem("linear")
    losses = shared_losses(net, x)
    losses["b"] = losses["b"] * torch.nan
    with pytest.raises(FloatingPointError, match='loss "b" should be finite; found nan'):
        backward(upgrad)(losses, net)
    assert all(p.grad is None for p in net.parameters())


def test_by_features_the_gramian_is_that_of_the_features():
    net, x = problem("conv")
    spy = Spy()
    backward(spy, at="features")(shared_losses(net, x), net)
    twin, _ = problem("conv")
    z = twin.features(x)
    losses = [(twin.heads[n](z)[:, 0] - k).square().mean() for k, n in enumerate(NAMES)]
    rows = torch.stack([torch.autograd.grad(v, z, retain_graph=True)[0].flatten() for v in losses])
    torch.testing.assert_close(spy.seen[0], rows @ rows.T)
    sum(w * v for w, v in zip(upgrad(rows @ rows.T), losses, strict=True)).backward()
    for key, p in twin.shared().items():
        torch.testing.assert_close(net.shared()[key].grad, p.grad)
    torch.testing.assert_close(net.heads["a"].bias.grad * upgrad(rows @ rows.T)[0], twin.heads["a"].bias.grad)


def test_by_features_weights_below_them_that_are_no_tasks_get_their_gradient_once():
    net, x = problem("linear")
    scale = nn.Parameter(torch.ones((), dtype=F64))

    def losses():
        z = net.backbone(x * scale)
        return {n: net.heads[n](z).square().mean() for n in NAMES}

    (expected,) = torch.autograd.grad(sum(losses().values()), scale)
    backward(upgrad, at="features")(losses(), net)
    torch.testing.assert_close(scale.grad, expected)


def test_features_that_are_not_shared_are_refused():
    net, x = problem("linear")
    with pytest.raises(ValueError, match="losses should be computed from the same features of the net"):
        backward(upgrad, at="features")(each_losses(net, x), net)
    with pytest.raises(ValueError, match='`at` should be "weights" or "features"; found \'heads\''):
        backward(upgrad, at="heads")


def rows_of(shape, names=NAMES):
    return [Task(n, Regression(), Labelled(torch.zeros(4, *shape), torch.zeros(4))) for n in names]


def test_the_cost_of_a_chain_of_layers_is_that_counted_by_hand():
    net = Net(
        nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256)),
        {n: nn.Linear(256, 1) for n in NAMES},
    )
    found = cost(net, rows_of((784,)), rows=256)
    first, second, heads = 784 * 512, 512 * 256, 3 * 256
    plain = 2 * first + 3 * second + 3 * heads
    products = 160 * (784 + 3 * 512) + 160 * (512 + 3 * 256)  # each of four blocks of rows meets half of them
    assert found.losses == 1
    assert found.weights == pytest.approx((plain + 2 * second + products) / plain)
    assert found.rows == pytest.approx((plain + 160 * (784 + 512 + 512 + 256)) / plain)
    assert found.features == pytest.approx((plain + 9 * 256) / plain)


def test_the_cost_of_convolutions_is_bounded_by_the_features():
    layers = [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 2)]
    names = [f"t{k}" for k in range(40)]
    net = Net(nn.Sequential(*layers), {n: nn.Linear(2, 1) for n in names})
    found = cost(net, rows_of((1, 6, 6), names), rows=64)
    filters, linear, heads = 8 * 9 * 16, 2 * 128, 40 * 2
    plain = 2 * filters + 3 * linear + 3 * heads
    along = 2 * (filters + 40 * 8 * 9) + 40 * 40 * 8 * 9 / 64
    assert found.weights == pytest.approx((plain + linear + 64 * (128 + 40 * 2) + along - filters) / plain)


def test_cost_grows_with_tasks_and_knows_which_rows_are_apart():
    net, _ = problem("conv", torch.float32)
    few = cost(net, rows_of((1, 6, 6), ("a", "b")))
    many = cost(net, rows_of((1, 6, 6)))
    assert few.rows is None
    assert 1 < few.weights < many.weights
    assert few.features < many.weights
    with pytest.raises(ValueError, match="`tasks` should be at least one"):
        cost(net, [])
    with pytest.raises(ValueError, match="`rows` should be at least 1"):
        cost(net, rows_of((1, 6, 6)), rows=0)
    with pytest.raises(KeyError, match="head"):
        cost(net, rows_of((1, 6, 6), ("z",)))
