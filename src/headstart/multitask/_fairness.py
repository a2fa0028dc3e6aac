"""The system of equations behind the weighings that share gains fairly.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import numpy as np

from ._cone import least
from ._gramian import Array

EXACT, LIMIT, LONGEST, HALVINGS, TINY = 1e-12, 100, 10.0, 12, 1e-300


def fair(matrix: Array, shares: Array, power: float) -> Array:
    r"""Solve :math:`C x = s\, x^{-p}` for :math:`x > 0`, by Newton's steps in logarithms.

    There it is :math:`\log (C x)_k + p \log x_k = \log s_k`. The derivative has no eigenvalue below ``p``, so
    halving a step until it brings the sides nearer ends at the one solution, however far apart the entries
    are. It begins at an ``x`` with ``C x`` above 0.

    Args:
        matrix: ``C (K, K)``, positive definite, with diagonal 1.
        shares: ``s (K,)``, above 0.
        power: ``p``, above 0.
    """
    count, wanted = len(shares), np.log(shares)
    if count == 0:
        return shares
    x = least(matrix, np.full((1, count), -1.0))[0] + 0.5 / count
    gains = matrix @ x
    off = np.log(gains) + power * np.log(x) - wanted
    for _ in range(LIMIT):
        if np.abs(off).max() <= EXACT:
            break
        slope = matrix * x / gains[:, None]
        slope.flat[:: count + 1] += power
        step = np.linalg.solve(slope, -off)
        step *= min(1, LONGEST / np.abs(step).max())
        for size in 0.5 ** np.arange(HALVINGS):
            new = x * np.exp(size * step)
            gains = matrix @ new
            there = np.log(np.maximum(gains, TINY)) + power * np.log(new) - wanted
            if there @ there < (1 - size / 10) * (off @ off):
                break
        else:
            break  # no better to rounding
        x, off = new, there
    return np.asarray(x)
