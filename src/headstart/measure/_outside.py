"""How many rows of the target lie where a learner has seen hardly any of the source's.

Shapes: ``N`` source rows, ``H`` held-out source rows, ``M`` target rows, ``D`` features.
"""

from __future__ import annotations

import math

from torch import Tensor

from ..errors import wrong
from ..maths import squared_distances

NEAR = 5  # the neighbour that says how many source rows there are around a row
RARE = 0.05  # of held-out source rows, which may be as far from the source as what counts as outside


def outside(source: Tensor, held: Tensor, target: Tensor) -> float:
    r"""Tell which part of the target's rows lie further from the source's than held-out source rows do.

    A row is as far as its fifth nearest source row. It is outside where it is further than 95 % of the
    held-out ones; of ``H`` of these it is the :math:`\lceil 0.95\,(H + 1) \rceil`-th nearest that counts, or
    the furthest where there are fewer. What chance has is taken away:

    .. math:: \max\!\left(0, \frac{s - c}{1 - c}\right), \qquad c = 1 - \frac{i}{H + 1}

    with :math:`s` the share of the target's rows beyond the :math:`i`-th. There a learner has nothing to go
    by, however sure it is: pass the part to ``sound``.

    Args:
        source: features of rows that a learner was fitted on.
        held: of source rows that it was not.
        target: of the target's rows.

    Shape:
        ``source (N, D)``, ``held (H, D)``, ``target (M, D)``.

    Returns:
        in [0, 1].

    Raises:
        ValueError: if a side has no rows, widths differ, or a feature is not finite.

    Example:
        >>> import torch
        >>> g = torch.Generator().manual_seed(0)
        >>> source, held, target = (torch.randn(100, 2, generator=g) for _ in range(3))
        >>> outside(source, held, target) < 0.1, outside(source, held, target + 9)
        (True, 1.0)

    References:
        the rank among held-out rows: Vovk, Gammerman & Shafer (2005), section 4.2,
        https://doi.org/10.1007/b106715
    """
    sides = {"source": source, "held": held, "target": target}
    for name, side in sides.items():
        if side.ndim != 2 or not len(side) or side.shape[1] != source.shape[1]:
            expected = f"features of one row or more, (rows, {source.shape[-1]})"
            raise wrong(f"`{name}`", expected=expected, found=tuple(side.shape))
        if not side.isfinite().all():
            raise wrong(f"`{name}`", expected="finite", found="infinity or NaN")
    source, held, target = (side.detach().double() for side in sides.values())
    near = min(NEAR, len(source))
    own, far = (squared_distances(z, source).kthvalue(near, dim=1).values for z in (held, target))
    place = min(len(held), math.ceil((1 - RARE) * (len(held) + 1)))
    chance = 1 - place / (len(held) + 1)
    share = float((far > own.kthvalue(place).values).double().mean())
    return max(0.0, (share - chance) / (1 - chance))
