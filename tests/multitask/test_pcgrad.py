import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd.aggregation import PCGrad

from headstart.multitask import pcgrad
from headstart.testing import (
    assert_linear_under_scaling,
    assert_no_conflict,
    assert_non_negative,
    assert_permutation_equivariant,
    assert_scale_invariant,
)

from .problems import F64, jacobian


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
    assert_no_conflict(pcgrad, torch.tensor(rows, dtype=F64) / 100)


LAWS = [assert_linear_under_scaling, assert_non_negative, assert_scale_invariant]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_laws(law, tasks):
    for seed in range(5):
        law(pcgrad, jacobian(tasks, seed=seed))
        law(functools.partial(pcgrad, generator=torch.Generator()), jacobian(tasks, 2, seed=seed))


def test_the_order_of_two_does_not_matter_but_that_of_three_does():
    rows = torch.tensor([[1.0, 0.0], [-1.0, 1.0], [0.5, -1.0]], dtype=F64)
    assert_permutation_equivariant(pcgrad, rows[:2])
    with pytest.raises(AssertionError, match="another step for the tasks in the order"):
        assert_permutation_equivariant(pcgrad, rows)
