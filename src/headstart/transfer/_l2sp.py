"""Stay near the pretrained weights.

Shapes: ``P`` backbone parameters.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..errors import wrong
from ..models import Net


class L2SP(nn.Module):
    r"""Pull the backbone towards the point where fine-tuning started.

    Weight decay pulls to zero and so forgets what was pretrained. This pulls to the start
    :math:`w^0`, and the new heads :math:`\bar w` to zero.

    .. math:: \Omega(w) = \frac{\alpha}{2} |w - w^0|^2 + \frac{\beta}{2} |\bar w|^2

    It gives no label loss: add it to one with ``Plus``. Leave the optimizer's own weight decay at 0.

    Args:
        net: the pretrained net; its backbone's weights of this moment are the start.
        weight: :math:`\alpha`, at least 0.
        head_weight: :math:`\beta`, at least 0; 0 gives no entry.

    Shape:
        any batch; returns scalars ``l2sp`` and, with ``head_weight``, ``l2``, in squared weight units.

    Raises:
        ValueError: if a weight is below 0, or the net has other parameters than at the start.

    Differs from the paper:
        all trainable backbone parameters count, those of normalisation layers and biases too.

    Example:
        >>> net = Net(nn.Linear(2, 2), {"a": nn.Linear(2, 1)})
        >>> near = L2SP(net, weight=0.1)
        >>> _ = net.backbone.bias.data.add_(1.0)
        >>> round(near(net, None, 0.0)["l2sp"].item(), 6)
        0.1

    References:
        Li, Grandvalet & Davoine (ICML 2018), equation 3, https://arxiv.org/abs/1802.01483
    """

    def __init__(self, net: Net, *, weight: float, head_weight: float = 0.0) -> None:
        super().__init__()
        for name, value in (("weight", weight), ("head_weight", head_weight)):
            if not 0 <= value < float("inf"):
                raise wrong(f"`{name}`", expected="at least 0 and finite", found=value)
        self.weight, self.head_weight = weight, head_weight
        self.names = [name for name, _ in net.backbone.named_parameters()]
        for k, parameter in enumerate(net.backbone.parameters()):
            self.register_buffer(f"start{k}", parameter.detach().clone())

    def forward(self, net: Net, batch: Any, progress: float) -> dict[str, Tensor]:
        """Return the squared distance to the start; ``batch`` and ``progress`` are not read."""
        here = dict(net.backbone.named_parameters())
        start = dict(zip(self.names, self.buffers(), strict=True))
        if bad := [n for n in here.keys() | start.keys() if n not in here or n not in start]:
            raise wrong("backbone", expected="the parameters of the start", found=f"other {sorted(bad)}")
        zero = next(net.parameters()).new_zeros(())  # where nothing trains
        ways = [(p - start[n]).square().sum() for n, p in here.items() if p.requires_grad]
        losses = {"l2sp": self.weight / 2 * sum(ways, zero)}
        if self.head_weight:
            squares = [p.square().sum() for p in net.heads.parameters() if p.requires_grad]
            losses["l2"] = self.head_weight / 2 * sum(squares, zero)
        return losses
