"""How far apart two domains are, and in what way."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from headstart.domains import MMD
from headstart.maths import discrepancy
from headstart.measure import a_distance, bbse, density_ratio, em_priors, kind_of_shift, mmd
from headstart.measure.rows import unseen

from .shifts import made

KINDS = ("none", "label", "covariate", "conditional")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_a_made_shift_is_named_in_eight_of_ten_seeds(kind):
    found = [kind_of_shift(*made(kind, seed)).kind for seed in range(10)]
    assert found.count(kind) >= 8, found


def test_a_diagnosis_says_what_it_rests_on():
    told = kind_of_shift(*made("label", 0))
    assert told.p_value <= 0.05
    assert told.explained > 0.6
    torch.testing.assert_close(
        told.class_ratio, torch.tensor([1.7, 0.3], dtype=torch.float64), atol=0.15, rtol=0
    )
    assert "aligning features does harm" in told.advice
    assert kind_of_shift(*made("conditional", 0)).outside > 0.1
    alone = kind_of_shift(*made("none", 0))
    assert abs(alone.mmd) < 0.01
    assert alone.p_value > 0.05


def test_a_diagnosis_reads_no_global_random_state_and_leaves_out_missing_labels():
    x, y, target = made("label", 1)
    state = torch.get_rng_state()
    one = kind_of_shift(x, y, target)
    assert torch.equal(state, torch.get_rng_state())
    holes = torch.cat([x, 99 * torch.ones(3, 4)]), torch.cat([y, torch.full((3,), -100)])
    again = kind_of_shift(*holes, target)
    assert (one.kind, one.mmd, one.a_distance) == (again.kind, again.mmd, again.a_distance)


def test_a_column_that_the_source_has_one_value_of_is_one_among_others():
    """A word that the source lacks, in a few rows of the target, hides nothing and is nothing by itself."""
    for kind in ("none", "conditional"):
        x, y, target = made(kind, 0)
        word = (torch.arange(len(target)) % 50 == 0).float()[:, None]
        wide = torch.cat([x, 0 * x[:, :2]], 1), y, torch.cat([target, word, 0 * word], 1)
        one, other = kind_of_shift(x, y, target), kind_of_shift(*wide)
        assert one.kind == other.kind == kind
        assert abs(one.mmd - other.mmd) < 0.03
        assert abs(one.a_distance - other.a_distance) < 0.3


def test_the_a_distance_is_that_of_the_error():
    a, b = normal(60, 3), normal(40, 3, seed=1) + 1.0
    p = unseen(torch.cat([a, b]).numpy(), torch.tensor([0] * 60 + [1] * 40).numpy()).argmax(1)
    error = ((p[:60] == 1).mean() + (p[60:] == 0).mean()) / 2
    assert a_distance(a, b) == pytest.approx(2 * (1 - 2 * error))
    assert abs(a_distance(normal(400, 3), normal(400, 3, seed=2))) < 0.3
    assert a_distance(a, a + 50) == 2.0


def test_mmd_is_that_of_the_objective():
    a, b = normal(30, 3), normal(20, 3, seed=1) + 1
    assert mmd(a, b) == pytest.approx(float(discrepancy(a, b, MMD.bandwidths)))


@pytest.mark.parametrize("estimate", [bbse, em_priors])
def test_class_ratios_are_found_under_label_shift(estimate):
    g = torch.Generator().manual_seed(0)

    def drawn(shares, rows):
        y = torch.multinomial(torch.tensor(shares), rows, True, generator=g)
        return torch.eye(3)[y] * 2 + torch.randn(rows, 3, generator=g), y

    (x, y), (held, labels), (target, _) = (
        drawn(p, 4000) for p in ([0.2, 0.4, 0.4], [0.2, 0.4, 0.4], [0.6, 0.3, 0.1])
    )
    model = LogisticRegression().fit(x, y)
    p, q = (torch.from_numpy(model.predict_proba(z)) for z in (held, target))
    expected = torch.tensor([3.0, 0.75, 0.25], dtype=torch.float64)
    torch.testing.assert_close(estimate(p, labels, q), expected, atol=0.2, rtol=0)


def test_bbse_solves_the_confusions():
    p, labels, q = normal(50, 3).softmax(1), torch.arange(50) % 3, normal(40, 3, seed=1).softmax(1)
    confusions = torch.zeros(3, 3, dtype=torch.float64)
    for guess, truth in zip(p.argmax(1), labels, strict=True):
        confusions[guess, truth] += 1 / 50
    answers = torch.bincount(q.argmax(1), minlength=3) / 40
    expected = torch.linalg.solve(confusions, answers.double()).clamp(min=0)
    expected = expected / (expected @ (torch.bincount(labels) / 50).double())
    torch.testing.assert_close(bbse(p, labels, q), expected)


def test_em_gives_the_likeliest_shares():
    p, labels, q = normal(50, 3).softmax(1), torch.arange(50) % 3, normal(400, 3, seed=1).softmax(1)
    ratio = em_priors(p, labels, q)
    shares = torch.bincount(labels).double() / 50

    def likelihood(ratio):
        return float((q @ ratio).log().mean())

    for step in (normal(3, seed=s) * 0.01 for s in range(20)):
        other = (ratio + step).clamp(min=0)
        assert likelihood(ratio) >= likelihood(other / (other @ shares)) - 1e-9


def test_rows_like_the_targets_count_more():
    a, b = normal(400, 2), normal(400, 2, seed=1) + torch.tensor([1.0, 0.0])
    weights = density_ratio(a, b)
    expected = (a[:, 0] - 0.5).exp()  # of two normal distributions a unit apart
    assert float(torch.corrcoef(torch.stack([weights.log(), expected.log()]))[0, 1]) > 0.95
    assert float(weights.mean()) == pytest.approx(1, abs=0.15)


def test_rows_that_are_none_are_refused():
    rows, y = normal(20, 3), torch.arange(20) % 2
    for call in (a_distance, mmd, density_ratio):
        with pytest.raises(ValueError, match="`target` should be features of at least 10 rows"):
            call(rows, rows[:0])
        with pytest.raises(ValueError, match="should be of one width; found 3 and 2"):
            call(rows, rows[:, :2])
        with pytest.raises(ValueError, match="`source` should be finite"):
            call(rows.log(), rows)
    with pytest.raises(ValueError, match=r"`labels` should be two classes, .* found \[20\] rows"):
        kind_of_shift(rows, torch.zeros(20, dtype=torch.long), rows)
    with pytest.raises(ValueError, match="one row per label"):
        kind_of_shift(rows, y[:-1], rows)
    p = torch.full((20, 3), 1 / 3)
    for call in (bbse, em_priors):
        with pytest.raises(ValueError, match=r"of all 3 classes; found \[10, 10, 0\] rows"):
            call(p, y, p)
        with pytest.raises(ValueError, match=r"should be \(N, K\), class numbers"):
            call(p, y, torch.full((4, 2), 0.5))
        with pytest.raises(ValueError, match="at least 0 and of sum 1"):
            call(rows, y, p)
