import pytest
import torch

from headstart.tasks.finite import check_finite_rows


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_the_first_wrong_row_is_named(value):
    x = torch.zeros(6, 2, 3)
    x[4, 1, 0] = x[2, 0, 0] = value
    with pytest.raises(
        ValueError, match="`x` should be finite numbers; found NaN or infinity in row 2 and 1 more"
    ):
        check_finite_rows(x, "`x`")
    with pytest.raises(ValueError, match="in row 2"):
        check_finite_rows({"ids": torch.zeros(6, 2).long(), "x": x, "flat": torch.zeros(6)}, "`x`")


def test_rows_whose_sum_overflows_are_finite():
    check_finite_rows(torch.full((9, 2), torch.finfo(torch.float32).max), "`x`")
    check_finite_rows(torch.full((9, 999), 999.0).half(), "`x`")
    check_finite_rows(torch.zeros(0, 2), "`x`")
    check_finite_rows(torch.zeros(3, 2).long(), "`x`")
