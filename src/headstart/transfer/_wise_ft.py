"""Between the weights before fine-tuning and those after it.

Shapes: those of the weights.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from ..errors import wrong
from ..models import Net


def wise_ft(start: Net, tuned: Net, share: float = 0.5) -> Net:
    r"""Mix the weights of a net before and after fine-tuning.

    On the way between both, nets are often better than at either end, the more so on rows that are not quite
    like those they were tuned on.

    .. math:: \theta = (1 - \alpha) \, \theta_0 + \alpha \, \theta_1

    At both ends the weights come out to the bit, and so do weights that tuning left as they were. Running
    statistics are mixed as weights are, which is right where they stood still (``fix_norms``); where they
    moved, take them anew with ``headstart.engine.settle``.

    Args:
        start: the net that tuning started from, with its head.
        tuned: a net of the same weights, tuned; both are left as they are.
        share: :math:`\alpha`, in [0, 1]; the paper takes 0.5 where nothing can choose.

    Shape:
        all weights and floating buffers by their names; what is counted in whole numbers is the tuned net's.

    Returns:
        a copy of the tuned net with the mixed weights.

    Raises:
        ValueError: if ``share`` is out of its range, or the nets differ in names or shapes.

    Example:
        >>> one, other = (Net(nn.Linear(2, 2), {"a": nn.Linear(2, 1)}) for _ in range(2))
        >>> half = wise_ft(one, other).backbone.weight
        >>> torch.allclose(half, (one.backbone.weight + other.backbone.weight) / 2)
        True

    References:
        Wortsman et al. (CVPR 2022), equation 1, https://arxiv.org/abs/2109.01903
    """
    if not 0 <= share <= 1:
        raise wrong("`share`", expected="in [0, 1]", found=share)
    check_alike(start, tuned, "weights of the tuned net", "those of the start")
    before, mixed = start.state_dict(), copy.deepcopy(tuned)
    with torch.no_grad():
        for name, value in mixed.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.lerp(before[name].to(value), value, share))
    return mixed


def check_alike(one: nn.Module, other: nn.Module, what: str, expected: str) -> None:
    """Raise ``ValueError`` where a module has other weights than one, by name or shape."""
    there, here = one.state_dict(), other.state_dict()
    bad = there.keys() ^ here.keys() or {n for n, value in here.items() if value.shape != there[n].shape}
    if bad:
        raise wrong(what, expected=expected, found=f"other {sorted(bad)}")
