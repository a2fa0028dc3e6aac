"""Weighings of losses, and GradNorm: values known by hand, what each promises, and what each keeps."""

import copy
import math

import pytest
import torch
from torch import nn

from headstart.engine import Run, fit
from headstart.models import Net
from headstart.multitask import DWA, FAMO, IMTL_L, RLW, STCH, GradNorm, Weights, gls, weighted
from headstart.tasks import batches
from headstart.testing import assert_absent_adds_nothing
from headstart.transfer import Supervised

from .problems import F64, losses_of, make, two_tasks

NAMES = ("a", "b", "c")
NAN = math.nan


def slopes(weighing, losses):
    given = torch.tensor(losses, dtype=F64, requires_grad=True)
    return torch.autograd.grad(weighing(given), given)[0]


def test_weights_by_hand():
    assert slopes(Weights({"a": 0.5, "b": 2.0}), [1.0, 3.0]).tolist() == [0.5, 2.0]
    net, x = make()
    losses = losses_of(net, x)
    weighted(Weights({"c": 3.0, "a": 1.0, "b": 0.0}))({"a": losses["a"], "c": losses["c"]}, net)
    got = net.backbone[0].weight.grad.clone()
    net.zero_grad()
    losses = losses_of(net, x)
    (losses["a"] + 3 * losses["c"]).backward()
    torch.testing.assert_close(got, net.backbone[0].weight.grad)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": -1.0}, 'weight of "a" should be at least 0 and finite; found -1.0'),
        ({"a": NAN}, 'weight of "a" should be at least 0 and finite; found nan'),
        ({"a": 0.0}, "at least one above 0"),
        ({}, "at least one above 0"),
    ],
)
def test_weights_out_of_range_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        Weights(weights)


def test_names_that_do_not_match_are_refused():
    net, x = make()
    for weighing in (Weights({"aa": 1.0, "b": 1.0, "c": 1.0}), DWA(["aa", "b", "c"]), FAMO(["aa", "b", "c"])):
        with pytest.raises(KeyError, match='loss should be a known name; found "a"; did you mean "aa"'):
            weighted(weighing)(losses_of(net, x), net)
    with pytest.raises(KeyError, match='found "a"'):
        GradNorm(["b", "c"])(losses_of(net, x), net)
    with pytest.raises(ValueError, match=r"`losses` should be \(1,\); found \(2,\)"):
        Weights({"a": 1.0})(torch.ones(2))


@pytest.mark.parametrize("weighing", [gls, Weights({n: 1.0 for n in NAMES}), FAMO(NAMES)])
def test_a_loss_that_is_not_finite_is_named(weighing):
    net, x = make()
    losses = losses_of(net, x)
    losses["b"] = losses["b"] * NAN
    with pytest.raises(FloatingPointError, match=r'loss "b" should be finite; found nan'):
        weighted(weighing)(losses, net)
    assert all(p.grad is None for p in net.parameters())


def test_gls_is_the_geometric_mean_and_does_not_see_units():
    losses = [0.5, 2.0, 4.0]
    assert gls(torch.tensor(losses)).item() == pytest.approx(4 ** (1 / 3))
    once, other = slopes(gls, losses), slopes(gls, [0.5, 2e3, 4.0])
    torch.testing.assert_close(other / other[0], once / once[0] * torch.tensor([1, 1e-3, 1], dtype=F64))
    with pytest.raises(ValueError, match="losses of `gls` should be at least 0"):
        gls(torch.tensor([1.0, -1.0]))
    assert gls(torch.tensor([1.0, 0.0])).item() == pytest.approx(1e-4)


def test_stch_is_between_the_largest_and_the_mean():
    assert STCH(mu=0.01)(torch.tensor([1.0, 3.0])).item() == pytest.approx(3.0)
    torch.testing.assert_close(
        slopes(STCH(mu=1e3), [1.0, 3.0]), torch.full((2,), 0.5, dtype=F64), rtol=0, atol=1e-3
    )
    assert slopes(STCH(mu=0.1), [1.0, 3.0])[1] > 0.99
    with pytest.raises(ValueError, match="`mu` should be above 0 and finite"):
        STCH(mu=0)


def test_rlw_draws_anew_from_its_seed_and_goes_on_where_it_was():
    first, twin = RLW(seed=3), RLW(seed=3)
    draws = [slopes(first, [1.0, 1.0, 1.0]) for _ in range(3)]
    assert not torch.equal(draws[0], draws[1])
    assert all(d.sum().item() == pytest.approx(1) for d in draws)
    twin.load_state_dict({"steps": torch.tensor(2)})
    assert torch.equal(slopes(twin, [1.0, 1.0, 1.0]), draws[2])
    assert not torch.equal(slopes(RLW(seed=4), [1.0, 1.0, 1.0]), draws[0])


def test_dwa_is_its_formula_over_windows():
    weighing = DWA(NAMES, every=2, temperature=2.0)
    for losses in ([4.0, 2.0, 1.0], [2.0, 2.0, NAN], [1.0, 1.0, NAN], [2.0, 3.0, NAN]):
        assert slopes(weighing, losses).max().item() == pytest.approx(1)  # no two windows yet
    ratios = torch.tensor([1.5 / 3, 2.0 / 2, 1.0], dtype=F64)  # c was absent in the second: its mean stays
    torch.testing.assert_close(slopes(weighing, [1.0, 1.0, 1.0]), 3 * (ratios / 2).softmax(0))
    for message, settings in (("`every`", {"every": 0}), ("`temperature`", {"temperature": 0.0})):
        with pytest.raises(ValueError, match=message):
            DWA(NAMES, **settings)


def famo(sequence, rate, decay):
    """Algorithm 1 of the paper, by autograd, with the next losses as those after the step."""
    logits = torch.zeros(len(sequence[0]), dtype=F64)
    last, weights = None, []
    for losses in sequence:
        losses = torch.tensor(losses, dtype=F64)
        if last is not None:
            given = logits.clone().requires_grad_()
            (slope,) = torch.autograd.grad(given.softmax(0) @ (last.log() - losses.log()), given)
            logits = logits - rate * (slope + decay * logits)
        z = logits.softmax(0)
        weights.append(z / losses / (z / losses).sum())
        last = losses
    return weights


def test_famo_is_its_algorithm():
    sequence = [[1.0, 2.0, 3.0], [0.5, 1.9, 3.1], [0.4, 1.5, 2.9], [0.1, 1.4, 3.0]]
    weighing = FAMO(NAMES, rate=0.5, decay=0.1).double()
    for losses, expected in zip(sequence, famo(sequence, 0.5, 0.1), strict=True):
        torch.testing.assert_close(slopes(weighing, losses), expected)


def test_famo_makes_no_forward_of_its_own_and_keeps_absent_tasks():
    weighing = FAMO(NAMES, rate=1.0)
    weighing(torch.tensor([1.0, 1.0, 1.0]))
    weighing(torch.tensor([0.5, 1.0, NAN]))
    assert weighing.logits[2] == 0
    assert weighing.last.tolist() == pytest.approx([math.log(0.5), 0.0, 0.0])
    with pytest.raises(ValueError, match="losses of `FAMO` should be at least 0"):
        weighing(torch.tensor([-1.0, 1.0, 1.0]))
    assert weighing(torch.tensor([0.0, 1.0, 1.0])).isfinite()
    for settings in ({"rate": 0.0}, {"decay": -1.0}):
        with pytest.raises(ValueError, match=f"`{next(iter(settings))}`"):
            FAMO(NAMES, **settings)


def test_imtl_l_learns_to_count_losses_alike():
    weighing = IMTL_L(["a", "b"])
    optimizer = torch.optim.Adam(weighing.parameters(), 0.05)
    for _ in range(400):
        optimizer.zero_grad()
        weighing(torch.tensor([0.01, 4.0])).backward()
        optimizer.step()
    torch.testing.assert_close(
        weighing.log_factor.exp() * torch.tensor([0.01, 4.0]), torch.ones(2), rtol=1e-2, atol=0
    )


@pytest.mark.parametrize(
    "weighing", [DWA(NAMES), FAMO(NAMES), IMTL_L(NAMES), Weights({n: 1.0 for n in NAMES})]
)
def test_absent_tasks_add_nothing(weighing):
    assert_absent_adds_nothing(weighing, torch.tensor([0.5, 2.0, 1.0]))


def lengths(net, losses, layer):
    parts = [torch.autograd.grad(v, list(layer.parameters()), retain_graph=True) for v in losses.values()]
    return torch.stack([torch.cat([p.flatten() for p in part]).norm() for part in parts])


def test_gradnorm_makes_gradients_equally_long_where_all_train_at_one_speed():
    net, x = make()
    combine = GradNorm(NAMES, layer="backbone.2", alpha=0.0, rate=0.01)
    scales = {"a": 1.0, "b": 20.0, "c": 0.2}
    for _ in range(1500):
        net.zero_grad()
        combine({n: scales[n] * loss for n, loss in losses_of(net, x).items()}, net)  # no step is taken
    found = combine.weights * lengths(
        net, {n: scales[n] * v for n, v in losses_of(net, x).items()}, net.backbone[2]
    )
    assert combine.weights.sum().item() == pytest.approx(3)
    torch.testing.assert_close(found, found.mean().expand(3), rtol=0.15, atol=0)


def test_gradnorm_pulls_the_slow_task():
    net, x = make(names=("a", "b"))
    combine = GradNorm(["a", "b"], alpha=2.0)
    same = lambda: net(x, "a").square().mean()  # noqa: E731
    combine({"a": same(), "b": same()}, net)
    combine({"a": 0.1 * same(), "b": same()}, net)  # a has fallen
    weights = combine.weights.clone()
    combine({"a": 0.1 * same(), "b": same()}, net)
    assert combine.weights[1] > combine.weights[0]
    net.zero_grad()
    losses = {"a": same(), "b": net(x, "b").square().mean()}
    expected = torch.autograd.grad(weights[0] * losses["a"], net.heads["a"].weight, retain_graph=True)[0]
    twin = copy.deepcopy(combine)
    twin.weights, twin.rate = weights, 1e-12
    twin(losses, net)
    torch.testing.assert_close(net.heads["a"].weight.grad, expected, rtol=1e-5, atol=1e-8)


def test_gradnorm_says_what_is_wrong():
    net, x = make()
    with pytest.raises(KeyError, match="`layer` should be a known name"):
        GradNorm(NAMES, layer="backbone.9")(losses_of(net, x), net)
    for settings in ({"alpha": -1.0}, {"rate": 1.0}, {"rate": 0.0}):
        with pytest.raises(ValueError, match=f"`{next(iter(settings))}`"):
            GradNorm(NAMES, **settings)


@pytest.mark.parametrize(
    "make_combine",
    [
        lambda: weighted(DWA(NAMES, every=2)),
        lambda: weighted(FAMO(NAMES)),
        lambda: weighted(RLW()),
        lambda: weighted(IMTL_L(NAMES)),
        lambda: GradNorm(NAMES),
    ],
)
def test_training_that_is_resumed_is_that_which_was_not_broken(make_combine, tmp_path):
    tasks = two_tasks()

    def train(run, stop=8):
        torch.manual_seed(0)
        net = Net(nn.Linear(3, 4), {"a": nn.Linear(4, 2), "b": nn.Linear(4, 1), "c": nn.Linear(4, 1)})
        combine, supervised = make_combine(), Supervised(*tasks)
        stream = batches(tasks, 4, sampling="proportional", generator=torch.Generator().manual_seed(0))

        def objective(net, batch, progress):
            if progress >= stop / 8:
                raise InterruptedError
            return supervised(net, batch, progress)

        optimizer = torch.optim.SGD(net.parameters(), 0.01)
        fit(net, stream, objective, steps=8, optimizer=optimizer, combine=combine, run=run, progress=False)
        return net.state_dict() | combine.state_dict()

    whole = train(Run.create(tmp_path / "whole", {}, every_steps=1))
    with pytest.raises(InterruptedError), Run.create(tmp_path / "broken", {}, every_steps=1) as run:
        train(run, stop=4)
    again = train(Run.open(tmp_path / "broken", every_steps=1))
    for key, value in whole.items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=0, equal_nan=True)
