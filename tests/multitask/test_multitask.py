import functools
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import nn
from torchjd.aggregation import MGDA, PCGrad

from headstart.models import Net, freeze
from headstart.multitask import PerTask, Uncertainty, backward, mgda, pcgrad, weighted
from headstart.tasks import Labelled, Multiclass, Regression, Task, batches
from headstart.transfer import L2SP, Plus, Supervised

F64 = torch.float64


def jacobian(tasks, width=6, seed=0):
    return torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=F64)


def surgery(rows, orders):
    """Algorithm 1 of the paper, in parameter space."""
    total = torch.zeros_like(rows[0])
    for i, order in enumerate(orders):
        own = rows[i].clone()
        for j in order:
            if j != i and own @ rows[j] < 0:
                own -= own @ rows[j] / rows[j].square().sum() * rows[j]
        total += own
    return total


# PCGrad


@pytest.mark.parametrize("tasks", [1, 2, 3, 7])
@pytest.mark.parametrize("seed", range(4))
def test_pcgrad_equals_the_projections_in_parameter_space(tasks, seed):
    rows = jacobian(tasks, seed=seed)
    orders = [range(tasks)] * tasks
    torch.testing.assert_close(pcgrad(rows @ rows.T) @ rows, surgery(rows, orders))
    g, twin = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    orders = [torch.randperm(tasks, generator=twin).tolist() for _ in range(tasks)]
    torch.testing.assert_close(pcgrad(rows @ rows.T, generator=g) @ rows, surgery(rows, orders))


@pytest.mark.parametrize("tasks", [2, 5])
def test_pcgrad_agrees_with_torchjd(tasks):
    rows = jacobian(tasks, seed=3)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        expected = PCGrad()(rows)
    got = pcgrad(rows @ rows.T, generator=torch.Generator().manual_seed(7)) @ rows
    torch.testing.assert_close(got, expected)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-1000, 1000)] * 3), min_size=2, max_size=2))
def test_pcgrad_of_two_never_conflicts(rows):
    rows = torch.tensor(rows, dtype=F64) / 100
    step = pcgrad(rows @ rows.T) @ rows
    sizes = rows.norm(dim=1)
    assert ((rows @ step) >= -1e-9 * sizes * sizes.sum()).all()


# MGDA


def shortest(gram):
    """Solve the quadratic program by a general solver."""
    g = gram.numpy() / gram.diagonal().max().item()
    count = len(g)
    best = minimize(
        lambda a: a @ g @ a,
        np.full(count, 1 / count),
        jac=lambda a: 2 * g @ a,
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": lambda a: np.ones(count)},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    return best.fun * gram.diagonal().max().item()


@pytest.mark.parametrize("seed", range(10))
def test_mgda_of_two_is_the_closed_form(seed):
    rows = jacobian(2, 3, seed) * torch.tensor([[1.0], [3.0]])
    a, b = rows
    first = ((b - a) @ b / (a - b).square().sum()).clamp(0, 1)
    torch.testing.assert_close(mgda(rows @ rows.T), torch.stack([first, 1 - first]), rtol=0, atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 10_000), st.booleans())
def test_mgda_is_the_shortest_point_of_the_hull(tasks, width, seed, offset):
    rows = jacobian(tasks, width, seed) + 1.5 * offset
    gram = rows @ rows.T
    alpha = mgda(gram)
    assert (alpha >= 0).all()
    assert alpha.sum().item() == pytest.approx(1)
    # Optimality: no gradient has a smaller product with the point than the point itself.
    slope = gram @ alpha
    assert slope.min() >= alpha @ slope - 1e-12 * gram.diagonal().max()


@pytest.mark.parametrize("tasks", [3, 5, 8])
def test_mgda_agrees_with_a_general_solver_and_torchjd(tasks):
    for seed in range(3):
        rows = jacobian(tasks, 10, seed) + 0.5
        gram = rows @ rows.T
        alpha = mgda(gram)
        value = (alpha @ gram @ alpha).item()
        assert value == pytest.approx(shortest(gram), rel=1e-6)
        theirs = MGDA(epsilon=1e-8, max_iters=5000)(rows)
        assert value <= theirs.square().sum().item() * (1 + 1e-9)
        torch.testing.assert_close(alpha @ rows, theirs, rtol=0, atol=0.05)


# Both


@pytest.mark.parametrize("weighing", [pcgrad, mgda])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize(
    "rows",
    [
        [[0.0, 0.0], [1.0, 2.0]],
        [[0.0, 0.0], [0.0, 0.0]],
        [[1.0, 2.0], [2.0, 4.0]],
        [[1.0, 2.0], [-1.0, -2.0]],
        [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]],
        [[1e-20, 0.0], [-1e20, 0.0]],
        [[1e-7, 0.0], [-1.0, 1.0], [1e4, 1.0]],
        [[3.0, 1.0]],
    ],
)
def test_zero_collinear_and_extreme_gradients_give_finite_weights(weighing, rows, dtype):
    rows = torch.tensor(rows, dtype=F64)
    weights = weighing(
        (rows @ rows.T).to(torch.float32).to(dtype) if rows.abs().max() < 1e18 else rows @ rows.T
    )
    assert weights.shape == (len(rows),)
    assert weights.isfinite().all()
    assert (weights >= 0).all()


@pytest.mark.parametrize("weighing", [pcgrad, mgda])
def test_weighings_say_what_is_wrong(weighing):
    with pytest.raises(ValueError, match=r"`gramian` should be shape \(K, K\), K at least 1; found \(2, 3\)"):
        weighing(torch.ones(2, 3))
    with pytest.raises(FloatingPointError, match="should be finite"):
        weighing(torch.full((2, 2), torch.nan))


def test_tiny_gradients_keep_the_shortest_point_exact():
    rows = torch.tensor([[1.0, 0.0], [0.0, 1e-6]], dtype=F64)
    alpha = mgda(rows @ rows.T)
    assert alpha[0].item() == pytest.approx(1e-12, rel=1e-3)


@pytest.mark.parametrize("width", [1, 3, 10])
def test_mgda_of_dependent_gradients_in_single_precision_ends_early(width, monkeypatch):
    calls = []
    monkeypatch.setattr(np.linalg, "lstsq", lambda *a, f=np.linalg.lstsq, **k: calls.append(1) or f(*a, **k))
    for seed in range(10):
        rows = jacobian(20, width, seed)
        single = rows.float()
        alpha = mgda(single @ single.T).double()
        slope = rows @ (alpha @ rows)
        assert slope.min() >= slope @ alpha - 1e-5 * rows.square().sum(1).max()
    assert len(calls) < 10 * 80  # rounding made it go in circles, 4000 times each


# backward


def make(seed=0, names=("a", "b", "c"), dtype=F64):
    torch.manual_seed(seed)
    backbone = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4))
    net = Net(backbone, {n: nn.Linear(4, 1) for n in names}).to(dtype)
    x = torch.randn(8, 3, dtype=dtype)
    return net, x


def losses_of(net, x, names=("a", "b", "c")):
    return {n: (net(x, n)[:, 0] - k).square().mean() for k, n in enumerate(names)}


def flat(tensors):
    return torch.cat([t.flatten() for t in tensors])


@pytest.mark.parametrize("weighing", [pcgrad, mgda, lambda g: torch.linspace(-1, 2, len(g), dtype=g.dtype)])
def test_backward_equals_the_flat_jacobian(weighing):
    net, x = make()
    losses = losses_of(net, x)
    shared, own = list(net.backbone.parameters()), list(net.heads.parameters())
    rows = torch.stack([flat(torch.autograd.grad(v, shared, retain_graph=True)) for v in losses.values()])
    heads = torch.autograd.grad(sum(losses.values()), own, retain_graph=True)
    backward(weighing)(losses, net)
    torch.testing.assert_close(flat(p.grad for p in shared), weighing(rows @ rows.T) @ rows)
    torch.testing.assert_close(flat(p.grad for p in own), flat(heads))


def test_backward_with_equal_weights_is_the_sum():
    net, x = make()
    sum(losses_of(net, x).values()).backward()
    expected = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    backward(lambda g: torch.ones(len(g)))(losses_of(net, x), net)
    torch.testing.assert_close([p.grad for p in net.parameters()], expected)


def test_backward_adds_to_gradients_that_are_there():
    net, x = make()
    combine = backward(pcgrad)
    combine(losses_of(net, x), net)
    once = [p.grad.clone() for p in net.parameters()]
    combine(losses_of(net, x), net)
    torch.testing.assert_close([p.grad for p in net.parameters()], [2 * g for g in once])


@pytest.mark.parametrize("weighing", [pcgrad, mgda])
def test_one_task_is_plain_backward(weighing):
    net, x = make()
    losses_of(net, x)["b"].backward()
    expected = [p.grad for p in net.parameters()]
    net.zero_grad()
    backward(weighing)({"b": losses_of(net, x)["b"]}, net)
    for got, want in zip([p.grad for p in net.parameters()], expected, strict=True):
        assert (got is None) == (want is None)
        if want is not None:
            torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_absent_tasks_and_constants_add_no_row():
    net, x = make()
    seen = []

    def spy(gramian):
        seen.append(gramian.shape)
        return pcgrad(gramian)

    backward(spy)({k: v for k, v in losses_of(net, x).items() if k != "b"} | {"flat": torch.zeros(())}, net)
    assert seen == [(2, 2)]
    assert net.heads["b"].weight.grad is None
    backward(spy)({}, net)
    backward(spy)({"flat": torch.zeros(())}, net)
    assert seen == [(2, 2)]


def test_layers_that_a_task_does_not_reach_count_as_zero():
    net, x = make()
    losses = {
        "a": net(x, "a").mean(),
        "l2": net.backbone[0].weight.square().sum(),
        "head": net.heads["c"].bias.sum(),
    }
    shared = list(net.backbone.parameters())
    rows = torch.stack(
        [
            flat(torch.autograd.grad(v, shared, retain_graph=True, allow_unused=True, materialize_grads=True))
            for v in losses.values()
        ]
    )
    backward(mgda)(losses, net)
    gramian = rows @ rows.T
    torch.testing.assert_close(flat(p.grad for p in shared), mgda(gramian) @ rows)
    net.zero_grad()
    backward(pcgrad)(losses_of(net, x) | {"head": net.heads["c"].bias.sum()}, net)
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_frozen_parts_get_no_gradient():
    net, x = make()
    freeze(net.backbone[0])
    backward(pcgrad)(losses_of(net, x), net)
    assert net.backbone[0].weight.grad is None
    assert net.backbone[2].weight.grad is not None
    freeze(net.backbone)
    backward(pcgrad)(losses_of(net, x), net)
    assert all(p.grad is None for p in net.backbone.parameters())
    assert all(p.grad is not None for p in net.heads.parameters())


def test_objectives_own_weights_get_their_gradient():
    net, x = make()
    own = nn.Parameter(torch.ones((), dtype=F64))
    losses = losses_of(net, x)
    backward(pcgrad)({"a": losses["a"] * own, "b": losses["b"]}, net)
    torch.testing.assert_close(own.grad, losses["a"].detach())


def test_the_graph_is_freed_with_the_last_task():
    net, x = make()
    losses = losses_of(net, x)
    z = net.features(x)
    losses = {"a": net.heads["a"](z).square().mean(), "b": net.heads["b"](z).square().mean()}
    backward(pcgrad)(losses, net)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        losses["b"].backward()


def test_a_weighing_of_the_wrong_shape_is_refused():
    net, x = make()
    with pytest.raises(ValueError, match=r"weights of the tasks should be \(3,\); found \(\)"):
        backward(lambda g: g.sum())(losses_of(net, x), net)


def test_a_weighing_with_weights_is_held_by_its_combine():
    class Learned(nn.Linear):
        def forward(self, gramian):
            return gramian.new_ones(len(gramian))

    assert len(list(backward(Learned(2, 2)).parameters())) == 2
    assert list(backward(pcgrad).parameters()) == []


def test_combines_pickle():
    net, x = make()
    seeded = functools.partial(pcgrad, generator=None)
    for combine in (
        backward(pcgrad),
        backward(mgda),
        backward(seeded),
        weighted(Uncertainty(["a", "b", "c"])),
    ):
        pickle.loads(pickle.dumps(combine))(losses_of(net, x), net)


# weighted


def test_weighted_by_a_function_gets_the_tasks_that_are_there():
    net, x = make()
    losses = losses_of(net, x)
    weighted(lambda v: v @ torch.arange(1.0, len(v) + 1, dtype=F64))(
        {"a": losses["a"], "c": losses["c"]}, net
    )
    got = net.backbone[0].weight.grad.clone()
    net.zero_grad()
    losses = losses_of(net, x)
    (losses["a"] + 2 * losses["c"]).backward()
    torch.testing.assert_close(got, net.backbone[0].weight.grad)
    weighted(torch.sum)({}, net)


def test_uncertainty_is_its_formula():
    weighing = Uncertainty(["a", "b"], regression=["b"])
    with torch.no_grad():
        weighing.log_variance.copy_(torch.tensor([0.5, -1.0]))
    losses = torch.tensor([2.0, 3.0])
    expected = 2 * np.exp(-0.5) + 0.25 + 0.5 * 3 * np.exp(1.0) - 0.5
    assert weighing(losses).item() == pytest.approx(expected, rel=1e-6)


def test_uncertainty_learns_the_noise_of_each_task():
    weighing = Uncertainty(["a", "b"], regression=["b"])
    optimizer = torch.optim.Adam(weighing.parameters(), 0.05)
    for _ in range(400):
        optimizer.zero_grad()
        weighing(torch.tensor([0.5, 4.0])).backward()
        optimizer.step()
    torch.testing.assert_close(weighing.log_variance.exp(), torch.tensor([1.0, 4.0]), rtol=1e-2, atol=0)


def test_absent_tasks_add_nothing_to_uncertainty():
    net, x = make(names=("a", "b"))
    combine = weighted(Uncertainty(["a", "b"]))
    combine({"b": losses_of(net, x, ("a", "b"))["b"]}, net)
    grad = combine.weighing.log_variance.grad
    assert grad[0] == 0
    assert grad[1] != 0
    assert net.heads["a"].weight.grad is None
    assert net.backbone[0].weight.grad.isfinite().all()
    assert combine.weighing(torch.tensor([torch.nan, torch.nan])) == 0


def test_uncertainty_says_what_is_wrong():
    net, x = make()
    with pytest.raises(ValueError, match="at least one, all distinct"):
        Uncertainty([])
    with pytest.raises(KeyError, match='did you mean "depth"'):
        Uncertainty(["depth"], regression=["dept"])
    with pytest.raises(ValueError, match=r"`losses` should be \(2,\)"):
        Uncertainty(["a", "b"])(torch.ones(3))
    with pytest.raises(KeyError, match='found "c"'):
        weighted(Uncertainty(["a", "b"]))(losses_of(net, x), net)
    assert issubclass(Uncertainty, PerTask)


# with streams


def two_tasks():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, generator=g)
    y = torch.where(torch.rand(40, generator=g) < 0.5, torch.arange(40) % 2, -100)
    a = Task("a", Multiclass(2), Labelled(x, y))
    far = torch.where(torch.rand(40, generator=g) < 0.5, x[:, 0], torch.nan)
    return a, Task("b", Regression(), Labelled(x, far)), Task("c", Regression(), Labelled(x + 1, x[:, 1]))


@pytest.mark.parametrize("sampling", ["equal", "alternate", "proportional"])
@pytest.mark.parametrize(
    "make_combine",
    [lambda: backward(pcgrad), lambda: backward(mgda), lambda: weighted(Uncertainty(["a", "b", "c"]))],
)
def test_combines_train_through_holes_and_absent_tasks(sampling, make_combine):
    tasks, combine = two_tasks(), make_combine()
    torch.manual_seed(0)
    net = Net(
        nn.Sequential(nn.Linear(3, 8), nn.Tanh()),
        {"a": nn.Linear(8, 2), "b": nn.Linear(8, 1), "c": nn.Linear(8, 1)},
    )
    objective, stream = Supervised(*tasks), batches(tasks, 4, sampling=sampling, generator=torch.Generator())
    optimizer = torch.optim.Adam([*net.parameters(), *combine.parameters()], 1e-2)
    last = []
    for step, batch in zip(range(60), stream, strict=False):
        optimizer.zero_grad()
        losses = objective(net, batch, step / 60)
        combine(losses, net)
        optimizer.step()
        last.append(sum(losses.values()).item() / max(1, len(losses)))
    assert all(p.isfinite().all() for p in net.parameters())
    assert np.mean(last[-15:]) < np.mean(last[:15])


def test_a_pull_to_the_start_is_one_more_task():
    a, b, c = two_tasks()
    net = Net(nn.Linear(3, 4), {"a": nn.Linear(4, 2), "b": nn.Linear(4, 1), "c": nn.Linear(4, 1)})
    objective = Plus(Supervised(a, b, c), L2SP(net, weight=1.0))
    backward(pcgrad)(objective(net, {"a": a.train, "b": b.train}, 0.0), net)  # its gradient is zero here
    assert all(p.grad.isfinite().all() for p in net.backbone.parameters())
