import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.domains import MMD
from headstart.domains._mmd import discrepancy
from headstart.testing import assert_discrepancy, assert_linear_in_weight, assert_trained_by

from .problems import assert_no_mixed_statistics, rows, source_accuracy, target_accuracy

BANDS = (0.25, 0.5, 1.0, 2.0, 4.0)


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
    assert value <= 2
    assert_discrepancy(lambda a, b: discrepancy(a, b, BANDS), a, b, tolerance=1e-12)
    torch.testing.assert_close(discrepancy(a * scale, b * scale, BANDS), value, atol=1e-8, rtol=1e-6)


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


def test_domains_do_not_mix_their_batch_statistics(photos):
    task, _, batch = photos
    assert_no_mixed_statistics(MMD(task), batch)


def test_the_weight_is_a_factor_and_0_leaves_the_labels(photos):
    task, net, batch = photos

    assert_linear_in_weight(lambda weight: MMD(task, weight=weight), net, batch)
    assert_trained_by(MMD(task, weight=0.0), net, batch, ["label"])


@pytest.mark.parametrize("seed", range(2))
def test_matching_beats_the_source_alone_under_a_shift(seed):
    assert target_accuracy(seed, MMD) > source_accuracy(seed) + 0.1
