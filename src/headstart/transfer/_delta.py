"""Stay near what the pretrained net says at each block, rather than near its weights.

Shapes: ``B`` rows, ``n`` features at a block.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import wrong
from ..models import AtAllCuts, Net, cuts
from ..tasks import Labelled


class DELTA(nn.Module):
    r"""Keep the features of a net at its blocks like those it had when fine-tuning started.

    With :math:`F_j` the features at block ``j``, and :math:`w^0` the weights at the start:

    .. math:: \Omega(w) = \frac{\alpha}{2} \sum_j \frac{1}{n_j} |F_j(w, x) - F_j(w^0, x)|^2

    It gives no label loss: add it to one with ``Plus``. The rows pass the net once more for it, and a frozen
    copy of the start, which is in eval mode.

    Args:
        net: the pretrained net; its backbone's weights of this moment are the start.
        weight: :math:`\alpha`, at least 0.

    Shape:
        rows ``x (B, *)`` by task name; returns one scalar ``delta``, the mean over rows, summed over
        different ``x``, in squared feature units.

    Raises:
        ValueError: if the weight is below 0.

    Differs from the paper:
        maps are averaged over a grid of 3 x 3 cells (``models.AtAllCuts``), and all channels count alike; the
        paper weighs them by how much the loss rises without each.

    Example:
        >>> net = Net(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), {"a": nn.Linear(1, 1)})
        >>> near, rows = DELTA(net, weight=1.0), Labelled(torch.ones(4, 1), torch.zeros(4))
        >>> near(net, {"a": rows}, 0.0)["delta"].item()
        0.0

    References:
        Li et al. (ICLR 2019), equations 4 and 5, https://arxiv.org/abs/1901.09229
    """

    def __init__(self, net: Net, *, weight: float) -> None:
        super().__init__()
        if not 0 <= weight < float("inf"):
            raise wrong("`weight`", expected="at least 0 and finite", found=weight)
        self.weight = weight
        self.start = _still(AtAllCuts(net.backbone, cuts(net.backbone)))

    def forward(self, net: Net, batch: Mapping[str, Labelled], progress: float) -> dict[str, Tensor]:
        """Return the distance of the features at all blocks to those at the start."""
        total = next(net.parameters()).new_zeros(())
        for x in {id(rows.x): rows.x for rows in batch.values()}.values():
            here = AtAllCuts(net.backbone, self.start.names).by_name(x)
            with torch.no_grad():
                there = self.start.eval().by_name(x)
            total = total + sum((here[n] - there[n]).square().mean() for n in here)
        return {"delta": self.weight / 2 * total}


def _still(module: AtAllCuts) -> AtAllCuts:
    """Copy a module with its weights as buffers, so that nothing trains them."""
    module = copy.deepcopy(module)
    for part in module.modules():
        for name, weight in list(part._parameters.items()):
            if weight is not None:
                del part._parameters[name]
                part.register_buffer(name, weight.detach().clone())
    return module.eval()
