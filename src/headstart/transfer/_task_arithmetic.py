"""Add what several fine-tunings changed to one backbone.

Shapes: those of the weights.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from ..errors import wrong
from ..models import Net
from ._wise_ft import check_alike


def task_arithmetic(start: Net, tuned: Sequence[Net], scale: float = 0.3) -> Net:
    r"""Make one backbone for the tasks of several nets, and keep the head of each.

    What tuning for task ``t`` changed is its task vector :math:`\tau_t = \theta_t - \theta_0`; their sum is
    added to the start, and nothing is trained:

    .. math:: \theta = \theta_0 + \lambda \sum_t \tau_t

    A negative scale takes away what one net has learned.

    Args:
        start: the net that all tunings began from; its heads are dropped.
        tuned: nets with its backbone, tuned, whose heads have different names.
        scale: :math:`\lambda`, finite; chosen on held-out rows in the paper, mostly 0.3 to 0.5.

    Shape:
        all weights and floating buffers of the backbone; what is counted in whole numbers is the start's.

    Returns:
        a new net; those given are left as they are.

    Raises:
        ValueError: if there is no tuned net, backbones differ in names or shapes, two heads have one name, or
            the scale is not finite.

    Example:
        >>> from torch import nn
        >>> start = Net(nn.Linear(2, 2), {})
        >>> a, b = (Net(nn.Linear(2, 2), {name: nn.Linear(2, 1)}) for name in "ab")
        >>> list(task_arithmetic(start, [a, b]).heads)
        ['a', 'b']

    References:
        Ilharco et al. (ICLR 2023), sections 2 and 4, https://arxiv.org/abs/2212.04089
    """
    if not abs(scale) < float("inf"):
        raise wrong("`scale`", expected="finite", found=scale)
    if not tuned:
        raise wrong("`tuned`", expected="at least one net", found="none")
    names = [name for net in tuned for name in net.heads]
    if len(set(names)) != len(names):
        raise wrong("heads of the tuned nets", expected="of different names", found=sorted(names))
    for net in tuned:
        check_alike(start.backbone, net.backbone, "backbone of a tuned net", "that of the start")
    made = copy.deepcopy(start.backbone)
    before, states = start.backbone.state_dict(), [net.backbone.state_dict() for net in tuned]
    with torch.no_grad():
        for name, value in made.state_dict().items():
            if value.is_floating_point():
                value.add_(scale * sum(state[name].to(value) - before[name] for state in states))
    heads = {name: copy.deepcopy(head) for net in tuned for name, head in net.heads.items()}
    return Net(made, heads)
