"""What chooses among adapted nets without labels: each by its definition, and what it is blind to."""

import math

import pytest
import torch
import torch.nn.functional as F

from headstart.measure import (
    bnm,
    certainty,
    corr_c,
    density_ratio,
    information,
    snd,
    source_risk,
    weighted_error,
    weighted_risk,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


P = normal(12, 3).softmax(1)
Y = torch.arange(12) % 3
ONE = torch.eye(3, dtype=torch.float64)[[0] * 9]
SURE = torch.eye(3, dtype=torch.float64)[[0, 1, 2] * 3]
FAIR = torch.full((9, 3), 1 / 3, dtype=torch.float64)
OF_TARGET = (bnm, certainty, information, snd, corr_c)


def test_source_risk_is_the_cross_entropy():
    assert source_risk(P, Y) == pytest.approx(-float(F.nll_loss(P.log(), Y)))
    holes = torch.where(torch.arange(12) < 2, -100, Y)
    assert source_risk(P, holes) == pytest.approx(-float(F.nll_loss(P[2:].log(), Y[2:])))


def test_weighted_risk_weighs_rows_by_the_density_ratio():
    source, target = normal(12, 2), normal(30, 2, seed=1) + 1
    w = density_ratio(source, target)
    losses = F.nll_loss(P.log(), Y, reduction="none")
    assert weighted_risk(P, Y, source, target) == pytest.approx(-float((w * losses).sum() / w.sum()))
    holes = torch.where(torch.arange(12) < 2, -100, Y)
    expected = -float((w * losses)[2:].sum() / w[2:].sum())
    assert weighted_risk(P, holes, source, target) == pytest.approx(expected)


def test_certainty_is_minus_the_entropy_and_blind_to_collapse():
    assert certainty(P) == pytest.approx(float((P * P.log()).sum(1).mean()))
    assert certainty(ONE) == certainty(SURE) == 0.0


def test_information_sees_collapse():
    assert information(SURE) == pytest.approx(math.log(3))
    assert information(ONE) == pytest.approx(0)
    assert information(FAIR) == pytest.approx(0)


def test_snd_is_the_entropy_of_similarities():
    z = F.normalize(P, dim=1)
    rows = []
    for i in range(12):
        q = torch.stack([(z[i] @ z[j] / 0.1).exp() for j in range(12) if j != i])
        q = q / q.sum()
        rows.append(-(q * q.log()).sum())
    assert snd(P, 0.1) == pytest.approx(float(torch.stack(rows).mean()))
    assert snd(SURE) == pytest.approx(math.log(2), abs=1e-6)
    assert snd(ONE) == pytest.approx(math.log(8))


def test_bnm_is_the_sum_of_singular_values_over_the_most_it_can_be():
    values = torch.linalg.eigvalsh(P.T @ P).clamp(min=0).sqrt()
    assert bnm(P) == pytest.approx(float(values.sum()) / 6)  # of 12 rows and 3 classes
    assert bnm(SURE) == pytest.approx(1)
    assert bnm(ONE) == pytest.approx(1 / math.sqrt(3))
    assert bnm(SURE[:2]) == pytest.approx(1)  # fewer rows than classes


def test_corr_c_is_the_cosine_to_the_unit_matrix():
    a = P.T @ P / 12
    expected = F.cosine_similarity(a.flatten(), torch.eye(3, dtype=torch.float64).flatten(), dim=0)
    assert corr_c(P) == pytest.approx(float(expected))
    assert corr_c(SURE) == pytest.approx(1)
    assert corr_c(ONE) == pytest.approx(1 / math.sqrt(3))


@pytest.mark.parametrize("judge", OF_TARGET)
def test_the_order_of_rows_and_the_type_of_numbers_do_not_matter(judge):
    expected = judge(P)
    assert judge(P.flip(0)) == pytest.approx(expected)
    assert judge(P.float()) == pytest.approx(expected, rel=1e-5)
    assert judge(P.clone().requires_grad_() * 1) == pytest.approx(expected)


@pytest.mark.parametrize("judge", OF_TARGET)
def test_what_is_no_probability_is_refused(judge):
    with pytest.raises(ValueError, match="at least 0 and of sum 1"):
        judge(normal(4, 3))
    with pytest.raises(ValueError, match="a row for each case"):
        judge(P[:0])


def test_bad_input_of_the_rest_is_refused():
    with pytest.raises(ValueError, match="at least 2, and above 0"):
        snd(P[:1])
    with pytest.raises(ValueError, match="at least 2, and above 0"):
        snd(P, 0.0)
    with pytest.raises(ValueError, match="class numbers below 3"):
        source_risk(P, Y + 1)
    with pytest.raises(ValueError, match="a row for each label"):
        weighted_risk(P, Y, normal(11, 2), normal(30, 2))


def test_the_error_of_numbers_is_weighed_by_how_common_rows_are_in_the_target():
    g = torch.Generator().manual_seed(0)
    source, target = torch.randn(400, 1, generator=g), torch.randn(400, 1, generator=g) + 1.5
    y = source.clone()
    high, low = torch.where(source > 0.7, 0.0, y), torch.where(source < -0.7, 0.0, y)
    for outputs in (high, low):
        w = density_ratio(source, target)
        expected = -float((w * (outputs - y).double().square()[:, 0]).sum() / w.sum())
        assert abs(weighted_error(outputs, y[:, 0], source, target) - expected) < 1e-9
    assert weighted_error(low, y, source, target) > weighted_error(high, y, source, target) + 0.3
    some = torch.where(torch.arange(400)[:, None] < 5, math.nan, y)
    assert weighted_error(y, some, source, target) == 0
    with pytest.raises(ValueError, match=r"`answers` should be some that are there"):
        weighted_error(y, y * math.nan, source, target)
    with pytest.raises(ValueError, match=r"should be \(rows, numbers\), of as many"):
        weighted_error(y, y[:3], source, target)
