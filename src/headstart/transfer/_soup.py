"""The mean of several nets that were tuned from one start.

Shapes: those of the weights.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from ..errors import wrong
from ..models import Net
from ._wise_ft import check_alike


def soup(nets: Sequence[Net]) -> Net:
    r"""Take the mean of the weights of nets that began at the same pretrained weights.

    .. math:: \theta = \frac{1}{k} \sum_i \theta_i

    Nets that were tuned from one start with other rates or seeds lie in one valley, and their mean is often
    better than each, at the cost of one. Nets with another start have no such mean. Heads are averaged too,
    so they have to begin alike, as those of a regression on the same features do.

    Args:
        nets: two or more of the same weights by name and shape; they are left as they are.

    Shape:
        all weights and floating buffers; what is counted in whole numbers is the first net's. Running
        statistics that moved are best taken anew with ``headstart.engine.settle``.

    Raises:
        ValueError: if there are fewer than two nets, or they differ in names or shapes.

    Example:
        >>> from torch import nn
        >>> nets = [Net(nn.Linear(2, 2), {"a": nn.Linear(2, 1)}) for _ in range(3)]
        >>> mean = torch.stack([n.backbone.weight for n in nets]).mean(0)
        >>> torch.allclose(soup(nets).backbone.weight, mean)
        True

    References:
        Wortsman et al. (ICML 2022), section 2, the uniform soup, https://arxiv.org/abs/2203.05482
    """
    if len(nets) < 2:
        raise wrong("`nets`", expected="two or more", found=len(nets))
    for net in nets[1:]:
        check_alike(nets[0], net, "weights of a net", "those of the first")
    mean, states = copy.deepcopy(nets[0]), [net.state_dict() for net in nets]
    with torch.no_grad():
        for name, value in mean.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.stack([state[name].to(value) for state in states]).mean(0))
    return mean
