"""Units that numbers are learned in: centred, and of one spread whatever the user measures in.

Shapes: ``B`` rows, ``O`` outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NORMAL = 1.4826  # standard deviations of a normal distribution per median absolute deviation


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    r"""Hold the centre and the scale of answers, one of each per output.

    .. math:: z = (y - c) / s

    Args:
        centre: :math:`c`, in the user's unit.
        scale: :math:`s`, in the user's unit, above 0.

    Shape:
        ``centre (O,)``, ``scale (O,)``, float64.

    Example:
        >>> standard = Standard.of(torch.tensor([10.0, 20.0, 30.0, torch.nan]))
        >>> standard.apply(torch.tensor([20.0, 34.826])).tolist()
        [0.0, 1.0]
    """

    centre: Tensor
    scale: Tensor

    @classmethod
    def of(cls, y: Tensor) -> Standard:
        """Measure answers ``(B,)`` or ``(B, O)``, missing ones left out.

        The centre is the median, the scale 1.4826 times the median absolute deviation, which a few wild
        answers do not move; where that is 0, the standard deviation; where that is 0 too, 1. All of them
        follow the answers through any change of unit.
        """
        columns = (y[:, None] if y.ndim == 1 else y).double().cpu().T
        pairs = [_measured(column[~column.isnan()]) for column in columns]
        centre, scale = torch.tensor(pairs, dtype=torch.float64).T
        return cls(centre, scale)

    def apply(self, y: Tensor) -> Tensor:
        """Write answers ``(B,)``, ``(B, O)`` or those of one row in these units, as float32."""
        flat = y.cpu().double().reshape(-1, len(self.centre))
        return ((flat - self.centre) / self.scale).float().reshape(y.shape).to(y.device)

    def undo(self, z: Tensor) -> Tensor:
        """Write answers in these units, ``(B,)`` or ``(B, O)``, in the user's again, as float64."""
        flat = z.cpu().double().reshape(-1, len(self.centre))
        return (flat * self.scale + self.centre).reshape(z.shape)


def _measured(y: Tensor) -> tuple[float, float]:
    if not len(y):
        return 0.0, 1.0
    centre = _median(y)
    away = y - centre
    for scale in (NORMAL * _median(away.abs()), away.std(correction=0).item()):
        if scale > 0:
            return centre, scale
    return centre, 1.0


def _median(y: Tensor) -> float:
    """Return the mean of the two values in the middle, so that turning the sign turns the median's."""
    ordered = y.sort().values
    return ((ordered[(len(y) - 1) // 2] + ordered[len(y) // 2]) / 2).item()
