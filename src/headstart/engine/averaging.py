"""The mean of the weights along training, in place of the last ones.

Shapes: those of the weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import wrong
from ..models import Net
from .held import moving


class Averaged:
    r"""Keep a mean of the weights that ``fit`` passes through, and leave it in the net at the end.

    Weights that are averaged along the way lie in a wider valley than the last ones. Without ``decay`` it is
    the plain mean of the steps from ``start`` on (SWA); with it the exponential one (EMA),

    .. math:: \bar\theta \leftarrow d \, \bar\theta + (1 - d) \, \theta

    which begins at the weights of ``start``. Weights that are frozen stay as they are, to the bit. Running
    statistics are averaged too; take them anew with ``settle``, as ``Trial.train`` does. It is passed to
    ``fit`` in place of ``Held``, and goes on exactly in a run that is resumed.

    Args:
        start: the first step whose weights count, from 1.
        decay: :math:`d`, in (0, 1); ``None`` for the plain mean.

    Shape:
        all weights that train, and floating buffers; the mean is kept in their own type.

    Raises:
        ValueError: if a number is out of its range.

    Example:
        >>> from torch import nn
        >>> net, mean = Net(nn.Identity(), {"a": nn.Linear(1, 1)}), Averaged(start=2)
        >>> for step, value in enumerate((9.0, 1.0, 3.0), start=1):
        ...     _ = nn.init.constant_(net.heads["a"].weight, value)
        ...     mean.after(net, step)
        >>> mean.keep(net)
        >>> net.heads["a"].weight.item()
        2.0

    References:
        Izmailov et al. (UAI 2018), algorithm 1, https://arxiv.org/abs/1803.05407
        Polyak & Juditsky (1992), https://doi.org/10.1137/0330046
    """

    def __init__(self, start: int = 1, decay: float | None = None) -> None:
        if start < 1:
            raise wrong("`start`", expected="at least 1", found=start)
        if decay is not None and not 0 < decay < 1:
            raise wrong("`decay`", expected="in (0, 1), or None", found=decay)
        self.start, self.decay = start, decay
        self.count = 0
        self._mean: dict[str, Tensor] = {}

    def after(self, net: Net, step: int) -> None:
        """Take the weights of a step into the mean."""
        if step < self.start:
            return
        self.count += 1
        with torch.no_grad():
            for name, value in _real(net):
                if self.count == 1:
                    self._mean[name] = value.detach().clone()
                else:
                    share = 1 / self.count if self.decay is None else 1 - self.decay
                    self._mean[name].lerp_(value, share)

    def keep(self, net: Net) -> None:
        """Write the mean into the net, where a step has counted."""
        with torch.no_grad():
            for name, value in _real(net) if self.count else []:
                value.copy_(self._mean[name])

    def state_dict(self) -> dict[str, Any]:
        """Return the mean so far."""
        return {"count": self.count, "mean": self._mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with a mean."""
        self.count, self._mean = state["count"], dict(state["mean"])


def _real(net: Net) -> list[tuple[str, Tensor]]:
    """List what training moves and is no whole number."""
    return [(name, value) for name, value in moving(net) if value.is_floating_point()]
