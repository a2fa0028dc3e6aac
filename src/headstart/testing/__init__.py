"""Checks that any method of a seam must pass, and laws that it may promise; run them on your own methods."""

from .adaptation import check_adaptation
from .combine import check_combine
from .laws import (
    assert_absent_adds_nothing,
    assert_discrepancy,
    assert_factor_invariant,
    assert_leaves_out_missing,
    assert_linear_in_weight,
    assert_linear_under_scaling,
    assert_no_conflict,
    assert_non_negative,
    assert_permutation_equivariant,
    assert_relabelling_invariant,
    assert_scale_invariant,
    assert_sum_to_one,
    assert_trained_by,
)
from .objective import check_objective
from .score import check_score
from .strategy import check_strategy
from .transduction import check_transduction
from .weighing import check_weighing

__all__ = [
    "assert_absent_adds_nothing",
    "assert_discrepancy",
    "assert_factor_invariant",
    "assert_leaves_out_missing",
    "assert_linear_in_weight",
    "assert_linear_under_scaling",
    "assert_no_conflict",
    "assert_non_negative",
    "assert_permutation_equivariant",
    "assert_relabelling_invariant",
    "assert_scale_invariant",
    "assert_sum_to_one",
    "assert_trained_by",
    "check_adaptation",
    "check_combine",
    "check_objective",
    "check_score",
    "check_strategy",
    "check_transduction",
    "check_weighing",
]
