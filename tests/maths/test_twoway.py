"""Means and differences over seeds and rows, held against plain loops and worlds whose truth is known."""

import numpy as np
import pytest

from headstart.maths import twoway
from headstart.maths.statistics import NORMAL
from headstart.maths.twoway import Differences, TwoWay, differences, limits, possible_bests, shrunken, two_way


def drawn(ways=3, seeds=4, rows=30, seed=0):
    """Draw a table of 0 and 1 with rows that are hard for all, and seeds that are bad for all."""
    g = np.random.default_rng(seed)
    hard, luck = g.normal(size=rows), 0.3 * g.normal(size=(ways, seeds, 1))
    return (hard + luck + g.normal(size=(ways, seeds, rows)) > 0).astype(float)


def plain(table):
    """Estimate means and parts entry by entry, as the textbook writes them."""
    ways, k, n = table.shape
    means = [sum(table[w, s, r] for s in range(k) for r in range(n)) / (k * n) for w in range(ways)]
    by_seed, by_row, rest = (np.zeros((ways, ways)) for _ in range(3))
    for v in range(ways):
        for w in range(ways):
            seeds = [[sum(table[x, s]) / n - means[x] for s in range(k)] for x in (v, w)]
            rows = [[sum(table[x, :, r]) / k - means[x] for r in range(n)] for x in (v, w)]
            by_seed[v, w] = sum(a * b for a, b in zip(*seeds, strict=True)) / (k - 1) / k
            by_row[v, w] = sum(a * b for a, b in zip(*rows, strict=True)) / (n - 1) / n
            for s in range(k):
                for r in range(n):
                    left = [
                        table[x, s, r] - means[x] - seeds[i][s] - rows[i][r] for i, x in enumerate((v, w))
                    ]
                    rest[v, w] += left[0] * left[1] / ((k - 1) * (n - 1)) / (k * n)
    return means, by_seed, by_row, rest


@pytest.mark.parametrize("shape", [(3, 4, 20), (1, 2, 2), (2, 5, 3)])
@pytest.mark.parametrize("level", [0.0, 1000.0])
def test_parts_are_those_of_a_plain_double_loop(shape, level):
    table = np.random.default_rng(1).normal(size=shape) + level
    found, tolerance = two_way(table), 1e-12 if not level else 1e-9  # that loop loses digits, too
    for mine, theirs in zip(
        (found.means, found.by_seed, found.by_row, found.rest), plain(table), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
    assert (found.seeds, found.rows) == shape[1:]


def test_simulated_parts_are_found():
    g, (k, n, w), runs = np.random.default_rng(2), (5, 40, 2), 400
    seed, row, rest = 0.3, 0.5, 0.8
    parts = np.zeros((3, w, w))
    for _ in range(runs):
        shared = seed * g.normal(size=(1, k, 1)) + row * g.normal(size=(1, 1, n))  # the same for both ways
        found = two_way(shared + rest * g.normal(size=(w, k, n)))
        parts += np.stack([found.by_seed, found.by_row, found.rest]) / runs
    both, alone = np.ones((w, w)), np.eye(w)
    noise = rest**2 / (k * n) * alone  # stands in the means of the seeds and in those of the rows
    for part, truth in zip(
        parts, (seed**2 / k * both + noise, row**2 / n * both + noise, noise), strict=True
    ):
        np.testing.assert_allclose(part, truth, rtol=0.1, atol=0.1 * rest**2 / (k * n))
    expected = seed**2 / k + row**2 / n + rest**2 / (k * n)  # the variance of a mean
    assert parts[0, 0, 0] + parts[1, 0, 0] - parts[2, 0, 0] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1, 5), (1, 5, 1)])
def test_one_seed_or_one_row_is_refused(shape):
    with pytest.raises(ValueError, match="at least two seeds and two rows"):
        two_way(np.zeros(shape))


# Differences.


@pytest.mark.parametrize("base", [0, None])
def test_an_error_is_never_below_either_part_and_freedom_never_below_its_seeds(base):
    for seed in range(30):
        found = two_way(drawn(seed=seed, seeds=2 + seed % 4))
        over = differences(found, [1, 2], base)
        for i, way in enumerate((1, 2)):
            vary = np.eye(3)[way] - (0 if base is None else np.eye(3)[base])
            of_seeds, of_rows = (max(0.0, vary @ part @ vary) for part in (found.by_seed, found.by_row))
            assert over.error[i] ** 2 >= of_rows - 1e-15
            assert over.error[i] ** 2 >= of_seeds * (1 if base is None else 0.5) - 1e-15  # averaged over ways
            few = (1 if base is None else 2) * (found.seeds - 1)
            assert few <= over.freedom[i] <= 1e6
        assert (over.error > 0).all()


def test_ways_that_never_differ_have_an_error_all_the_same():
    table = np.repeat(drawn(ways=1), 3, 0)
    over = differences(two_way(table), [1, 2], 0)
    assert over.estimate.tolist() == [0, 0]
    assert over.error == pytest.approx([1 / np.sqrt(4 * 30**2)] * 2)
    found = differences(two_way(np.ones((1, 3, 10))), [0], None)
    assert found.error[0] > 0


def test_seeds_parts_are_averaged_over_the_ways():
    found = TwoWay(np.zeros(3), np.diag([0.0, 2.0, 6.0]), np.zeros((3, 3)), np.zeros((3, 3)), 3, 100)
    assert (differences(found, [1, 2], 0).error ** 2).tolist() == pytest.approx([(2 + 4) / 2, (6 + 4) / 2])
    assert differences(found, [2], None).error[0] ** 2 == pytest.approx(6)  # means stand alone


def test_freedom_is_that_of_seeds_or_of_rows_where_one_part_is_all():
    nothing = np.zeros((2, 2))
    one = np.diag([0.0, 1.0])
    of_seeds = differences(TwoWay(np.zeros(2), one, nothing, nothing, 4, 50), [1], 0)
    of_rows = differences(TwoWay(np.zeros(2), nothing, one, nothing, 4, 50), [1], 0)
    assert of_seeds.freedom[0] == pytest.approx(2 * 3)
    assert of_rows.freedom[0] == pytest.approx(49)


def test_the_order_of_rows_seeds_and_ways_changes_nothing():
    table, g = drawn(), np.random.default_rng(3)
    first = differences(two_way(table), [1, 2], 0)
    for other in (table[:, :, g.permutation(30)], table[:, g.permutation(4)]):
        again = differences(two_way(other), [1, 2], 0)
        for key in ("estimate", "error", "freedom"):
            np.testing.assert_allclose(getattr(again, key), getattr(first, key), rtol=1e-10)
    turned = differences(two_way(table[[2, 0, 1]]), [2, 0], 1)  # the same ways at their new places
    for key in ("estimate", "error", "freedom"):
        np.testing.assert_allclose(getattr(turned, key), getattr(first, key), rtol=1e-10)


def test_an_interval_is_as_wide_as_those_of_a_fixed_test():
    """Independent rows and no part of the seeds: the t interval of the rows' means."""
    from scipy.stats import t

    g = np.random.default_rng(4)
    each = g.normal(size=50)
    found = two_way(np.stack([np.zeros((3, 50)), np.tile(each, (3, 1))]))
    half = twoway.widths(differences(found, [1], 0))[0]
    assert half == pytest.approx(t.ppf(0.975, 49) * each.std(ddof=1) / np.sqrt(50), rel=1e-9)


# Limits.


def step_down(z, errors, level):
    """Hold the highest against the maximum of all, take it away, and so on."""
    found, left = [np.inf] * len(z), list(range(len(z)))
    while left:
        highest = sorted(max(row[i] for i in left) for row in errors)
        at = (len(highest) - 1) * (1 - level)
        low, high = highest[int(at)], highest[min(int(at) + 1, len(highest) - 1)]
        limit = max(1.959963984540054, low + (at - int(at)) * (high - low))
        for i in left:
            found[i] = limit
        above = [i for i in left if z[i] > limit]
        if not above:
            break
        left = [i for i in left if i not in above]
    return found


@pytest.mark.parametrize("level", [0.01, 0.05, 0.3])
def test_limits_are_those_of_a_plain_loop(level):
    g = np.random.default_rng(5)
    errors = g.normal(size=(500, 6)) + 0.7 * g.normal(size=(500, 1))
    for z in (np.zeros(6), np.array([9, 2.2, 0, 1.9, 2.4, -3.0]), np.full(6, 9.0), np.arange(6) + 0.5):
        mine = limits(z, errors, level)
        np.testing.assert_allclose(mine, step_down(z, errors, level), rtol=1e-12)
        assert (mine >= NORMAL).all()


def test_one_difference_has_the_limit_of_a_single_interval():
    assert limits(np.zeros(1), np.random.default_rng(6).normal(size=(1000, 1)), 0.05).tolist() == [NORMAL]


def test_t_values_become_normal_ones_of_the_same_level():
    z = twoway.as_normal(np.array([-2.0, 0.0, 2.570581835, 1e9]), np.array([5.0, 5.0, 5.0, 2.0]))
    assert z[0] == pytest.approx(-twoway.as_normal(np.array([2.0]), np.array([5.0]))[0])
    assert z[1:].tolist() == pytest.approx([0, NORMAL, z[3]], abs=1e-6)  # t(5) at .975 is 2.5706
    assert np.isfinite(z).all()


# The best.


def test_the_set_holds_the_highest_and_chances_sum_to_one():
    for seed in range(20):
        found = two_way(drawn(ways=5, rows=60, seed=seed))
        keep, chance = possible_bests(found, 0.05)
        assert keep[found.means.argmax()]
        assert chance.sum() == pytest.approx(1, abs=1e-12)
        assert (chance >= 0).all()


def test_copies_are_all_in_the_set_and_a_way_far_below_is_not():
    g = np.random.default_rng(7)
    rates = np.array([0.7, 0.7, 0.3])[:, None, None]
    keep, chance = possible_bests(two_way((g.random((3, 5, 400)) < rates).astype(float)), 0.05)
    assert keep.tolist() == [True, True, False]
    assert chance[2] < 1e-3


def test_the_leaders_chance_is_how_often_it_is_the_best(monkeypatch):
    """Without a prior the leader of these is said to be the best with .53, and is so in .39."""
    monkeypatch.setattr(twoway, "DRAWS", 1000)
    said, true = [], []
    for seed in range(150):
        g = np.random.default_rng(seed)
        rates = g.normal(0.5, 0.03, 8)
        table = g.normal(rates[:, None, None], 0.4, (8, 5, 100))
        _, chance = possible_bests(two_way(table + g.normal(0, 0.3, (8, 1, 100))), 0.05)
        said.append(chance.max())
        true.append(chance.argmax() == rates.argmax())
    assert np.mean(said) == pytest.approx(np.mean(true), abs=0.1)


def test_one_way_alone_is_the_best():
    found = two_way(drawn(ways=1))
    keep, chance = possible_bests(found, 0.05)
    assert (keep.tolist(), chance.tolist()) == ([True], [1.0])
    assert shrunken(found, [0]).tolist() == found.means.tolist()
    assert found.covariance.shape == (1, 1)
    assert found.covariance[0, 0] > 0


# Shrunken means.


def test_means_are_pulled_together_and_keep_their_order_and_mean():
    for seed in range(20):
        found = two_way(drawn(ways=6, rows=40, seed=seed))
        pulled, raw = shrunken(found, range(6)), found.means
        assert pulled.mean() == pytest.approx(raw.mean())
        assert np.ptp(pulled) <= np.ptp(raw) + 1e-12


def test_with_errors_alike_each_mean_stays_between_the_raw_one_and_the_mean():
    errors = 0.01 * np.eye(4)
    found = TwoWay(np.array([0.1, 0.2, 0.4, 0.5]), errors, np.zeros((4, 4)), np.zeros((4, 4)), 5, 100)
    pulled, middle = shrunken(found, range(4)), 0.3
    share = (pulled - middle) / (found.means - middle)
    np.testing.assert_allclose(share, share[0])
    assert 0 < share[0] < 1
    # the likeliest variance of the true means is that of the raw ones less the error, on a grid
    truth = (found.means - middle) @ (found.means - middle) / 3 - 0.01
    assert share[0] == pytest.approx(max(truth, 0) / (max(truth, 0) + 0.01), abs=0.03)


def test_with_tiny_errors_means_stay_and_with_large_ones_they_are_one():
    means, nothing = np.array([0.1, 0.2, 0.4, 0.5]), np.zeros((4, 4))
    sure, unsure = (TwoWay(means, error * np.eye(4), nothing, nothing, 5, 100) for error in (1e-10, 1.0))
    np.testing.assert_allclose(shrunken(sure, range(4)), means, atol=1e-6)
    np.testing.assert_allclose(shrunken(unsure, range(4)), means.mean(), atol=1e-6)


def test_differences_hold_what_they_are_given():
    one = Differences(np.zeros(1), np.ones(1), np.full(1, 1e6))
    assert twoway.widths(one)[0] == pytest.approx(NORMAL, rel=1e-5)
    assert twoway.one_sided(0.025) == pytest.approx(NORMAL)
