"""How much each row moves a measure: a value as the mean of one number per row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import wrong


def influence(
    measure_of: Callable[[Tensor, Tensor, Tensor], Tensor], p: Tensor, t: Tensor, unit: Tensor, units: int
) -> tuple[float, np.ndarray[Any, np.dtype[np.float64]]]:
    r"""Write a measure as the mean of one number per row, the infinitesimal jackknife's.

    With the measure :math:`M(w)` as a function of the weights of the entries, unit :math:`u` of
    :math:`U` has

    .. math:: D_u = M + U \sum_{i \in u} \frac{\partial M}{\partial w_i} \Big|_{w = 1}

    Measures do not know the scale of the weights, so the derivatives sum to 0 and the mean of
    :math:`D` is :math:`M`. To first order the measure on other rows of the kind is the mean of their
    :math:`D`: its variance is that of :math:`D` over :math:`U`, and differences of two models on the
    same rows are paired row by row. Where a measure is a mean over rows (accuracy), :math:`D` is what
    is averaged, exactly.

    Args:
        measure_of: predictions, targets and weights ``(1, n)`` to ``(1,)``, differentiable in the weights.
        p: predictions.
        t: targets.
        unit: the unit of each entry, in ``[0, units)``: a row, or a group of rows that belong together.
        units: how many there are, those without an entry included.

    Shape:
        ``p (n, ...)``, ``t (n, ...)``, ``unit (n,)`` to a number and ``(units,)``, float64.

    Returns:
        the measure and the influence values; all NaN where the measure is not defined.

    Raises:
        ValueError: if an entry is of a unit that is not there.

    Example:
        >>> hits = lambda p, t, w: w @ (p == t).double() / w.sum(1)
        >>> value, each = influence(hits, torch.tensor([1, 0, 1]), torch.ones(3), torch.arange(3), 3)
        >>> round(value, 3), each.round(3).tolist()
        (0.667, [1.0, 0.0, 1.0])

    References:
        Jaeckel (1972), The infinitesimal jackknife, Bell Laboratories MM 72-1215-11; Efron (1982),
        The Jackknife, the Bootstrap and Other Resampling Plans, ch. 6, https://doi.org/10.1137/1.9781611970319
    """
    if len(unit) and int(unit.max()) >= units:
        raise wrong("`unit`", expected=f"numbers in [0, {units})", found=int(unit.max()))
    with torch.inference_mode(False), torch.enable_grad():
        w = torch.ones(1, len(t), dtype=torch.float64, device=t.device, requires_grad=True)
        value = measure_of(p.detach().clone(), t.detach().clone(), w)[0] if len(t) else w.sum() * math.nan
        if not value.isfinite():
            return value.item(), np.full(units, value.item())
        (slope,) = torch.autograd.grad(value, w)
    moved = np.bincount(unit.cpu().numpy(), slope[0].cpu().numpy(), minlength=units)
    return value.item(), value.item() + units * (moved - moved.mean())
