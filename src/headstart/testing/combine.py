"""The check of combines."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from ..models import Net, freeze
from ..seams import Combine
from ._common import cast, close, name_of, pickled, reaches, require, untouched


def check_combine(combine: Combine, net: Net, losses: Callable[[Net], dict[str, Tensor]]) -> None:
    """Check that a combine keeps the contract of its seam.

    It fills ``.grad`` with finite gradients that reach the backbone, and adds to those that are there; gives
    none to frozen weights, nor to the head of a task that is absent; does nothing without losses, or with
    none that needs a gradient; leaves the weights and every global random state alone; works in float64,
    through pickle, and on a GPU where there is one.

    Args:
        combine: any value of the signature ``(losses, net)``.
        net: that it is tried on, without dropout; it is left as it was.
        losses: from the net to fresh losses by the names of the net's heads, at least two.

    Raises:
        AssertionError: if the contract is broken; the message says how.

    Example:
        >>> from headstart.multitask import backward, pcgrad
        >>> net = Net(torch.nn.Linear(2, 4), {"a": torch.nn.Linear(4, 1), "b": torch.nn.Linear(4, 1)})
        >>> def losses(net):
        ...     p = next(net.parameters())
        ...     return {name: net(torch.ones_like(p), name).square().mean() for name in net.heads}
        >>> check_combine(backward(pcgrad), net, losses)
    """
    name, net = name_of(combine), copy.deepcopy(net)

    def filled(combine: Combine, net: Net, *, absent: str = "", before: float = 0.0) -> Net:
        net = copy.deepcopy(net)
        for p in net.parameters() if before else ():
            p.grad = torch.full_like(p, before)
        with untouched(name, dict(net.named_parameters())):
            combine({key: loss for key, loss in losses(net).items() if key != absent}, net)
        return net

    nothing = copy.deepcopy(net)
    combine({}, nothing)
    combine({key: loss.detach() for key, loss in losses(nothing).items()}, nothing)
    require(all(p.grad is None for p in nothing.parameters()), f"{name} makes gradients of no loss")

    whole = filled(cast(combine, "cpu"), net)
    require(reaches(whole.backbone), f"{name} gives the backbone no gradient, or not a finite one")
    added = filled(cast(combine, "cpu"), net, before=0.5)
    for (key, p), q in zip(whole.named_parameters(), added.parameters(), strict=True):
        if p.grad is not None and q.grad is not None:
            require(close(p.grad + 0.5, q.grad), f"{name} does not add to the gradient that {key} has")

    for absent in losses(net):
        rest = filled(cast(combine, "cpu"), net, absent=absent)
        require(reaches(rest.backbone), f"{name} gives the backbone no gradient without {absent!r}")
        left = all(p.grad is None for p in rest.head(absent).parameters())
        require(left, f"{name} gives the head of {absent!r} a gradient, which is absent")
    frozen = copy.deepcopy(net)
    freeze(frozen.backbone)
    left = all(p.grad is None for p in filled(cast(combine, "cpu"), frozen).backbone.parameters())
    require(left, f"{name} gives a frozen backbone a gradient")

    others = {
        "in float64": (cast(combine, torch.float64), copy.deepcopy(net).double()),
        "after pickling": (pickled(name, combine), net),
    }
    if torch.cuda.is_available():
        others["on the GPU"] = cast(combine, "cuda"), copy.deepcopy(net).cuda()
    for how, (other, of) in others.items():
        for (key, p), q in zip(whole.named_parameters(), filled(other, of).parameters(), strict=True):
            same = (p.grad is None) == (q.grad is None)
            require(
                same and (p.grad is None or q.grad is None or close(p.grad, q.grad)),
                f"{name} gives {key} another gradient {how}",
            )
