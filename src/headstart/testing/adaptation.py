"""The check of adaptations."""

from __future__ import annotations

import copy

import torch

from ..models import Adapted, Net, freeze
from ..seams import Adaptation
from ..tasks import Labelled
from ._common import (
    cast,
    close,
    in_float64,
    moved,
    name_of,
    pickled,
    placed,
    reaches,
    require,
    require_type,
    same,
    untouched,
)


def check_adaptation(adaptation: Adaptation, net: Net, support: Labelled, query: Labelled) -> None:
    """Check that an adaptation keeps the contract of its seam.

    It returns an ``Adapted`` with finite outputs, twice the same; leaves the rows, the net's weights and
    buffers, and every global random state alone; its outputs on the query set have a gradient in the
    backbone, but none in a frozen one; it works without gradients, in float64, through pickle, on a
    GPU where there is one; and ``export()`` gives a net of the same outputs.

    Args:
        adaptation: any value of the signature ``(net, support)``.
        net: a net that fits it, without dropout.
        support: rows to adapt on.
        query: rows to be judged on.

    Raises:
        AssertionError: if the contract is broken; the message says how.

    Example:
        >>> from headstart.meta import ProtoNet
        >>> rows = Labelled(torch.randn(6, 3), torch.arange(6) % 2)
        >>> net = Net(torch.nn.Linear(3, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> check_adaptation(ProtoNet("coins"), net, rows, rows)
    """
    name = name_of(adaptation)
    net = moved(net)
    with untouched(name, support, query, net.state_dict()):
        adapted = adaptation(net, support)
        output = adapted(query.x)
    require_type(adapted, Adapted, f"what {name} returns")
    require(len(output) == len(query), f"{name} gives {len(output)} outputs for {len(query)} rows")
    require(output.isfinite().all(), f"{name} gives outputs that are not finite")
    require(same(output, adaptation(net, support)(query.x)), f"{name} adapts differently when called again")

    output.square().mean().backward()
    require(reaches(net.backbone), f"{name} gives the backbone no gradient, or not a finite one")
    net.zero_grad()

    with torch.no_grad():
        require(
            close(adaptation(net, support)(query.x), output), f"{name} adapts differently without gradients"
        )
    calm = copy.deepcopy(net).eval()
    settled = adaptation(calm, support)
    exported = settled.export()
    require(
        close(exported(query.x, settled.task), settled(query.x)), f"{name} exports a net of other outputs"
    )

    frozen = copy.deepcopy(net)
    freeze(frozen.backbone)
    try:
        result = adaptation(frozen, support)(query.x)
    except ValueError:
        pass  # a method that adapts the backbone alone may refuse
    else:
        if result.requires_grad:
            result.square().mean().backward()
        left = all(p.grad is None for p in frozen.backbone.parameters())
        require(left, f"{name} gives a frozen backbone a gradient")

    double = cast(adaptation, torch.float64)(copy.deepcopy(net).double(), in_float64(support))
    wide = double(in_float64(query.x))
    require(wide.dtype == torch.float64, f"{name} gives {wide.dtype} in float64")
    require(close(wide, output), f"{name} adapts differently in float64")
    sent = pickled(name, adaptation)
    require(close(sent(net, support)(query.x), output), f"{name} adapts differently after pickling")
    if torch.cuda.is_available():
        there = cast(adaptation, "cuda")(copy.deepcopy(net).cuda(), support.to("cuda"))
        require(close(there(placed(query.x, "cuda")), output), f"{name} adapts differently on the GPU")
