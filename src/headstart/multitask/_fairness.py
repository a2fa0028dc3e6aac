"""The system of equations behind the weighings that share gains fairly.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import numpy as np

from ._gramian import Array

EXACT, NEAR, LIMIT, HALVINGS, FAR, TINY = 1e-12, 1e-2, 40, 20, -20.0, 1e-300


def fair(matrix: Array, shares: Array, power: float) -> Array:
    r"""Solve :math:`C x = s\, x^{-p}` for :math:`x > 0`.

    It is where :math:`\tfrac12 x^T C x - \sum_k s_k \phi(x_k)`, :math:`\phi' = x^{-p}`, is least, which is
    convex. Newton's steps are bent so that ``x`` stays above 0, and halved while they go far past the least
    value, told by the slope there, since the value itself does not show what small entries do.

    Args:
        matrix: ``C (K, K)``, positive definite.
        shares: ``s (K,)``, above 0.
        power: ``p``, above 0.
    """

    def on_ray(x: Array) -> Array:
        """Go to the least value on the ray of ``x``, where x C x is the sum of s x^(1 - p)."""
        return np.asarray(x * (shares @ x ** (1 - power) / (x @ matrix @ x)) ** (1 / (1 + power)))

    if not len(shares):
        return shares
    x, last = on_ray(shares ** (1 / (1 + power))), np.inf  # as if the tasks had nothing in common
    for _ in range(LIMIT):
        pull = shares * x**-power
        slope = matrix @ x - pull
        off = np.abs(slope / pull).max()
        if off <= EXACT or (off < NEAR and off > last / 2):
            break  # solved, or no better to rounding
        last = off
        # In units of x the curvature that the shares give is near 1, whatever the range of x.
        curvature = matrix * x * x[:, None]
        curvature.flat[:: len(x) + 1] += power * pull * x
        step = np.linalg.solve(curvature, -slope * x)  # in units of x
        if step.min() > FAR:
            step *= min(1.0, 0.9 / max(-step.min(), TINY))
        for _ in range(HALVINGS):
            new = x * np.where(step > -0.9, 1 + step, 1 / (1 + np.abs(step)))
            if (matrix @ new - shares * new**-power) @ (new - x) <= slope @ (x - new) / 2:
                break
            step /= 2
        x = on_ray(new)
    return x
