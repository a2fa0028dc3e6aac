"""The units that numbers are learned in."""

import pytest
import torch

from headstart.tasks import Binary, Multiclass, Multilabel, Regression, Tokens
from headstart.tasks.kinds import Standard


def test_centre_and_scale_are_the_median_and_the_median_deviation_of_what_is_there():
    y = torch.tensor([[1.0, 5.0], [2.0, torch.nan], [4.0, 5.0], [1000.0, 7.0]])
    standard = Regression(2).standard(y)
    assert standard.centre.tolist() == [3.0, 5.0]
    assert standard.scale[0].item() == 1.4826 * 1.5
    assert standard.scale[1].item() == pytest.approx(torch.tensor([5.0, 5.0, 7.0]).std(correction=0).item())
    z = standard.apply(y)
    assert z.dtype == torch.float32
    assert z.isnan().tolist() == y.isnan().tolist()
    assert z[0, 0].item() == pytest.approx(-2 / (1.4826 * 1.5))


@pytest.mark.parametrize("y", [[7.0], [7.0, 7.0, 7.0], [torch.nan]])
def test_answers_without_a_spread_keep_their_scale(y):
    standard = Standard.of(torch.tensor(y))
    assert standard.scale.tolist() == [1.0]
    assert standard.centre.isfinite().all()


@pytest.mark.parametrize(("a", "b"), [(1e4, 5e4), (1.0, 100.0), (1e-3, 0.0), (-2.0, 3.0)])
@pytest.mark.parametrize("tied", [False, True])
def test_units_follow_the_answers_through_a_change_of_unit(a, b, tied):
    y = torch.randn(31, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y[3, 1] = torch.nan
    if tied:
        y[:20] = 1.0
    one, other = Standard.of(y), Standard.of(a * y + b)
    sign = 1 if a > 0 else -1
    torch.testing.assert_close(
        sign * one.apply(y), other.apply(a * y + b), rtol=1e-5, atol=1e-6, equal_nan=True
    )


@pytest.mark.parametrize("unit", [1e-5, 1.0])
def test_float32_answers_far_from_zero_lose_nothing_more(unit):
    steps = torch.arange(9)
    y = unit * (200_000 + steps.float() / 2)  # the grain of float32 is 1/64 here
    z = Standard.of(y).apply(y)
    torch.testing.assert_close(z.diff(), z.diff().mean().expand(8), rtol=0.05, atol=0)


@pytest.mark.parametrize("kind", [Binary(), Multiclass(2), Multilabel(2), Tokens(2)])
def test_kinds_with_classes_have_no_unit(kind):
    assert kind.standard(torch.zeros(4)) is None
