import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from headstart.domains import DANN, MMD
from headstart.domains._mmd import discrepancy
from headstart.models import Net
from headstart.tasks import Inputs, Labelled, Multiclass, Shift, Task, shifted

BANDS = (0.25, 0.5, 1.0, 2.0, 4.0)


def rows(count=6, width=3, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def photos():
    torch.manual_seed(0)
    source = Labelled(rows(), torch.arange(6) % 2)
    task = Task("photos", Multiclass(2), source, unlabelled=Inputs(rows(8, seed=1) + 2))
    net = Net(nn.Sequential(nn.Linear(3, 5), nn.Tanh()), {"photos": nn.Linear(5, 2)}).double()
    return task, net, Shift(source, task.unlabelled)


def test_dann_losses_are_the_two_of_the_paper(photos):
    task, net, batch = photos
    method = DANN(task, features=5).double()
    losses = method(net, batch, 0.3)
    torch.testing.assert_close(
        losses["label"], F.cross_entropy(net(batch.source.x, "photos"), batch.source.y)
    )
    logits = method.critic(net.features(torch.cat([batch.source.x, batch.target.x])))[:, 0]
    side = torch.tensor([1.0] * 6 + [0.0] * 8, dtype=torch.float64)
    torch.testing.assert_close(losses["domain"], F.binary_cross_entropy_with_logits(logits, side))


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 1.0), (0.2, 1.0), (0.9, 0.3)])
def test_dann_reverses_the_critics_gradient_along_the_ramp(photos, progress, weight):
    task, net, batch = photos
    method = DANN(task, features=5, weight=weight).double()
    logits = method.critic(net.features(torch.cat([batch.source.x, batch.target.x])))[:, 0]
    side = torch.tensor([1.0] * 6 + [0.0] * 8, dtype=torch.float64)
    plain = torch.autograd.grad(
        F.binary_cross_entropy_with_logits(logits, side), [net.backbone[0].weight, method.critic[0].weight]
    )
    got = torch.autograd.grad(
        method(net, batch, progress)["domain"], [net.backbone[0].weight, method.critic[0].weight]
    )
    scale = weight * (2 / (1 + math.exp(-10 * progress)) - 1)
    torch.testing.assert_close(got[0], -scale * plain[0])
    torch.testing.assert_close(got[1], plain[1])


def test_domains_do_not_mix_their_batch_statistics(photos):
    task, _, batch = photos
    net = Net(nn.BatchNorm1d(3, affine=False), {"photos": nn.Linear(3, 2)}).double()
    seen = []
    net.backbone.register_forward_hook(lambda module, given, out: seen.append(out.detach()))
    MMD(task)(net, batch, 0.0)
    assert len(seen) == 2
    for side in seen:
        torch.testing.assert_close(side.mean(0), torch.zeros(3, dtype=torch.float64))


def test_dann_says_what_is_wrong(photos):
    task, net, batch = photos
    with pytest.raises(ValueError, match="`features` should be at least 1; found 0"):
        DANN(task, features=0)
    with pytest.raises(ValueError, match="`weight` should be at least 0 and finite; found -1"):
        DANN(task, features=5, weight=-1)
    with pytest.raises(ValueError, match=r"should be \(rows, 7\); found \(14, 5\); set `features`"):
        DANN(task, features=7).double()(net, batch, 0.0)


def naive(a, b, bandwidths):
    """The definition, term by term."""
    every = torch.cat([a, b])
    apart = [(x - y).square().sum() for i, x in enumerate(every) for y in every[i + 1 :]]
    median = torch.stack(apart).median()

    def mean(p, q):
        values = [
            sum(torch.exp(-(x - y).square().sum() / (m * median)) for m in bandwidths) / len(bandwidths)
            for x in p
            for y in q
        ]
        return torch.stack(values).mean()

    return mean(a, a) + mean(b, b) - 2 * mean(a, b)


def test_discrepancy_is_its_definition():
    a, b = rows(5), rows(7, seed=1) + 0.5
    torch.testing.assert_close(discrepancy(a, b, BANDS), naive(a, b, BANDS))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99), st.floats(-3, 3), st.floats(1e-2, 1e2))
def test_discrepancy_laws(count, other, seed, move, scale):
    a, b = rows(count, seed=seed), rows(other, seed=seed + 100) + move
    value = discrepancy(a, b, BANDS)
    assert 0 <= value <= 2
    torch.testing.assert_close(discrepancy(b, a, BANDS), value)
    torch.testing.assert_close(discrepancy(a * scale, b * scale, BANDS), value, atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(
        discrepancy(a, a, BANDS), torch.zeros((), dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_discrepancy_grows_with_the_distance_and_has_finite_gradients_at_zero():
    a, b = rows(40), rows(40, seed=1)
    values = [discrepancy(a, b + move, BANDS).item() for move in (0, 0.5, 1, 2)]
    assert values == sorted(values)
    same = torch.ones(3, 2, requires_grad=True)
    discrepancy(same, same * 1, BANDS).backward()
    assert same.grad.isfinite().all()


def test_mmd_weighs_the_discrepancy_of_the_features(photos):
    task, net, batch = photos
    losses = MMD(task, weight=0.3, bandwidths=[1.0])(net, batch, 0.0)
    expected = 0.3 * discrepancy(net.features(batch.source.x), net.features(batch.target.x), (1.0,))
    torch.testing.assert_close(losses["mmd"], expected)
    assert list(losses) == ["label", "mmd"]


@pytest.mark.parametrize(("weight", "bandwidths"), [(-1, BANDS), (math.inf, BANDS), (1, ()), (1, (0.0,))])
def test_mmd_refuses_settings_out_of_range(photos, weight, bandwidths):
    with pytest.raises(ValueError, match="should be at least"):
        MMD(photos[0], weight=weight, bandwidths=bandwidths)


def target_accuracy(seed, method, steps=300):
    """Train on two clusters, and judge on clusters moved along one of the columns that carry labels."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(400) % 2
    sign = 2.0 * y - 1
    x = torch.randn(400, 8, generator=g)
    x[:, :4] += sign[:, None]
    x[:200, 0] += 0.5 * sign[:200]
    x[200:, 0] += 4
    task = Task("side", Multiclass(2), Labelled(x[:200], y[:200]), unlabelled=Inputs(x[200:]))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Net(nn.Sequential(nn.Linear(8, 16), nn.Tanh()), {"side": nn.Linear(16, 2)})
        objective = method(task)
    learned = objective.parameters() if isinstance(objective, nn.Module) else ()
    optimizer = torch.optim.Adam([*net.parameters(), *learned], 3e-3)
    for step, batch in zip(range(steps), shifted(task, 64, generator=g), strict=False):
        optimizer.zero_grad()
        sum(objective(net, batch, step / steps).values()).backward()
        optimizer.step()
    with torch.no_grad():
        return (net(x[200:], "side").argmax(1) == y[200:]).float().mean().item()


def source_alone(task):
    def objective(net, batch, progress):
        return {"label": task.kind.loss(net(batch.source.x, task.name), batch.source.y)}

    return objective


def test_matching_beats_the_source_alone_under_a_shift():
    for seed in range(2):
        alone = target_accuracy(seed, source_alone)
        assert target_accuracy(seed, MMD) > alone + 0.1
        assert target_accuracy(seed, lambda task: DANN(task, features=16)) > alone + 0.1
