"""The quadratic program behind several weighings.

Shapes: ``K`` tasks, ``m`` programs that share their matrix.
"""

from __future__ import annotations

import numpy as np

from ._gramian import Array

NOISE, BLOCKS, LIMIT = 1e-15, 10, 300


def least(matrix: Array, slopes: Array) -> Array:
    r"""Minimise :math:`\tfrac12 x^T C x + q^T x` over :math:`x \ge 0`, for every row ``q`` of ``slopes``.

    By principal pivoting: guess which entries are above 0, solve for them, and exchange those that come
    out with the wrong sign. All at once at first, which nearly always ends in a few rounds; then the last
    one alone, which always ends.

    Args:
        matrix: ``C (K, K)``, positive definite.
        slopes: ``(m, K)``.

    References:
        Portugal, Judice & Vicente (Mathematics of Computation 1994), A comparison of block pivoting and
        interior-point algorithms, https://doi.org/10.1090/S0025-5718-1994-1250776-4
    """
    free, unit = slopes < 0, np.eye(len(matrix))
    noise = NOISE * np.abs(slopes).max(initial=0)
    for round in range(LIMIT):
        systems = np.where(free[:, :, None] & free[:, None, :], matrix, unit)
        x = np.linalg.solve(systems, np.where(free, -slopes, 0)[:, :, None])[:, :, 0]
        off = np.where(free, x < 0, slopes + x @ matrix < -noise)
        if not off.any():
            break
        if round >= BLOCKS:
            off &= off[:, ::-1].cumsum(1)[:, ::-1] == 1  # the last of each row
        free = free ^ off
    return np.asarray(np.maximum(x, 0))
