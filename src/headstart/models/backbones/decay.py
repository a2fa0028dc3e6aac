"""Step sizes that fall from block to block towards the input."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...errors import wrong
from ..net import Net
from .cuts import WHOLE, cuts, within


def depths(backbone: nn.Module) -> dict[str, int]:
    """Tell of each parameter how many blocks from the top it is: 0 behind the last, 1 in it.

    Blocks are those of ``cuts``. What is written between two blocks goes with the lower one, and what stands
    before the first is a block of its own.

    Raises:
        ValueError: if the backbone has fewer than two blocks, so that nothing could differ.

    Example:
        >>> depths(nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False)))
        {'0.weight': 2, '2.weight': 1}
    """
    blocks, inner = [name for name in cuts(backbone) if name != WHOLE], within(backbone)
    if len(blocks) < 2:
        hint = "name its blocks by putting them into an `nn.Sequential` or `nn.ModuleList`"
        raise wrong("blocks of the backbone", expected="at least two", found=len(blocks), hint=hint)
    starts = [".".join(filter(None, (inner, name))) + "." for name in blocks]
    found, here = {}, len(blocks) + 1
    names = [name for name, _ in backbone.named_parameters()]
    last = max(at for at, name in enumerate(names) if name.startswith(starts[-1]))
    for at, name in enumerate(names):
        own = [place for place, start in enumerate(starts) if name.startswith(start)]
        here = len(blocks) - own[-1] if own else 0 if at > last else here
        found[name] = here
    return found


def decayed_groups(net: Net, lr: float, decay: float) -> list[dict[str, Any]]:
    r"""Group all parameters, frozen ones included, by block, with step sizes that fall towards the input.

    The heads get ``lr``, as does what stands behind the last block; the block that is ``d``-th from the top
    :math:`lr \cdot decay^{d}`. ``parameter_groups`` does so by stage, of which a large net has four or five.

    Args:
        net: whose parameters.
        lr: step size of the heads, above 0.
        decay: ratio of neighbouring blocks, in (0, 1].

    Raises:
        ValueError: if a number is out of its range, or the backbone has fewer than two blocks.

    Example:
        >>> net = Net(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), {"a": nn.Linear(2, 1)})
        >>> [(g["name"], g["lr"]) for g in decayed_groups(net, 1.0, 0.5)]
        [('heads', 1.0), ('backbone -1', 0.5), ('backbone -2', 0.25)]

    References:
        Clark et al. (ICLR 2020), section 3.1, https://arxiv.org/abs/2003.10555
        Bao et al. (ICLR 2022), appendix, https://arxiv.org/abs/2106.08254
    """
    if not lr > 0:
        raise wrong("`lr`", expected="above 0", found=lr)
    if not 0 < decay <= 1:
        raise wrong("`decay`", expected="in (0, 1]", found=decay)
    groups: list[dict[str, Any]] = [{"name": "heads", "params": list(net.heads.parameters()), "lr": lr}]
    weights, depth = dict(net.backbone.named_parameters()), depths(net.backbone)
    for d in sorted(set(depth.values())):
        params = [weights[name] for name, at in depth.items() if at == d]
        groups.append({"name": f"backbone -{d}", "params": params, "lr": lr * decay**d})
    return [g for g in groups if g["params"]]
