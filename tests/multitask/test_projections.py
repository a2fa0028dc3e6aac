"""Weighings that project onto what no task conflicts with: upgrad, dualproj."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from headstart.multitask import dualproj, upgrad
from headstart.multitask._cone import least
from headstart.testing import (
    assert_linear_under_scaling,
    assert_no_conflict,
    assert_non_negative,
    assert_permutation_equivariant,
    assert_scale_invariant,
)

from .problems import F64, jacobian


def project(rows, vector):
    """Project onto the dual cone by a general solver, in parameter space."""
    return vector + torch.from_numpy(nnls(rows.T.numpy(), -vector.numpy())[0]) @ rows


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 10), st.integers(1, 8), st.integers(0, 10_000))
def test_both_are_their_projections(tasks, width, seed):
    rows = jacobian(tasks, width, seed)
    gram = rows @ rows.T
    torch.testing.assert_close(
        dualproj(gram) @ rows, project(rows, rows.mean(0)), rtol=0, atol=1e-5 * rows.norm().item()
    )
    apart = torch.stack([project(rows, row) for row in rows]).mean(0)
    torch.testing.assert_close(upgrad(gram) @ rows, apart, rtol=0, atol=1e-5 * rows.norm().item())


LAWS = [assert_no_conflict, assert_non_negative, assert_permutation_equivariant, assert_scale_invariant]


@pytest.mark.parametrize(
    ("weighing", "law"),
    [*((w, law) for w in (upgrad, dualproj) for law in LAWS), (upgrad, assert_linear_under_scaling)],
)
@pytest.mark.parametrize(("tasks", "width"), [(1, 3), (2, 3), (5, 9), (7, 3)])
def test_laws(weighing, law, tasks, width):
    for seed in range(5):
        law(weighing, jacobian(tasks, width, seed))


@pytest.mark.parametrize("weighing", [upgrad, dualproj])
def test_without_conflict_it_is_the_mean(weighing):
    rows = jacobian(4).abs()
    torch.testing.assert_close(weighing(rows @ rows.T), torch.full((4,), 0.25, dtype=F64))


def test_agree_with_torchjd():
    theirs = pytest.importorskip("torchjd.aggregation")
    linalg = pytest.importorskip("torchjd.linalg")
    pytest.importorskip("quadprog")
    pytest.importorskip("qpsolvers")
    exact = linalg.QuadprogProjector(norm_eps=1e-12, reg_eps=1e-12)
    for seed in range(5):
        rows = jacobian(6, 12, seed)
        for ours, name in ((upgrad, "UPGrad"), (dualproj, "DualProj")):
            expected = getattr(theirs, name)(projector=exact)(rows)
            torch.testing.assert_close(ours(rows @ rows.T) @ rows, expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.integers(0, 10_000))
def test_pivoting_ends_at_the_optimum(size, rank, count, seed):
    rows = jacobian(size, rank, seed).numpy()
    matrix = rows @ rows.T + 1e-9 * np.eye(size)
    slopes = jacobian(count, size, seed + 1).numpy() @ matrix
    x = least(matrix, slopes)
    slack = slopes + x @ matrix
    scale = np.abs(slopes).max(1, keepdims=True)
    assert (x >= 0).all()
    assert (slack >= -1e-6 * scale).all()
    assert (np.abs(x * slack).max(1) <= 1e-5 * scale[:, 0] * (1 + x.max(1))).all()
