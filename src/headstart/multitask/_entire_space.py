"""Click and conversion over all impressions: conversions are known of clicked rows alone.

Shapes: ``B`` rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from ..errors import wrong
from ..models import Net
from ..tasks import Labelled


@dataclass(frozen=True)
class EntireSpace:
    r"""Learn how likely a click becomes a conversion from all that was shown, not only from what was clicked.

    .. math::
        L = \ell(p_{click}(x), y_{click})
          + \ell(p_{click}(x) \, p_{conv}(x), y_{click} \, y_{conv}), \quad
        \ell(p, y) = -y \log p - (1 - y) \log(1 - p)

    A model of conversions that learns from clicked rows alone is asked about all rows later: those who click
    are no fair sample of those who see. Here the head of conversions is never trained by itself; it is what
    turns clicks into clicks that convert. Wherever a row was not clicked, its conversion may be missing.

    Args:
        click: the yes-or-no task of clicks, which every row has.
        conversion: that of conversions, given a click; over the same rows.

    Shape:
        rows ``x (B, *)``, ``y (B,)`` of both tasks, the same rows; returns two scalars in nats, under the
        names of the tasks; that of ``conversion`` is of clicks that convert.
    Raises:
        ValueError: if the batch lacks one of the tasks, or their rows are not the same.

    Example:
        >>> import torch
        >>> x = torch.randn(8, 3)
        >>> clicks, sales = torch.tensor([1.0, 0] * 4), torch.tensor([1.0, float("nan"), 0, 0] * 2)
        >>> net = Net(torch.nn.Identity(), {"click": torch.nn.Linear(3, 1), "sale": torch.nn.Linear(3, 1)})
        >>> batch = {"click": Labelled(x, clicks), "sale": Labelled(x, sales)}
        >>> sorted(EntireSpace("click", "sale")(net, batch, 0.0))
        ['click', 'sale']

    References:
        Ma et al. (SIGIR 2018), equation 4, https://arxiv.org/abs/1804.07931
    """

    click: str
    conversion: str

    def __call__(self, net: Net, batch: Mapping[str, Labelled], progress: float) -> dict[str, Tensor]:
        """Return both losses."""
        if missing := [name for name in (self.click, self.conversion) if name not in batch]:
            raise wrong(
                "batch",
                expected=f"rows of {self.click!r} and {self.conversion!r}",
                found=f"no {missing[0]!r}",
            )
        clicks, sales = batch[self.click], batch[self.conversion]
        if clicks.x is not sales.x and len(clicks) != len(sales):
            hint = "stack them: one table with both columns, in one task list"
            raise wrong(
                "rows of the two tasks",
                expected="the same",
                found=f"{len(clicks)} and {len(sales)}",
                hint=hint,
            )
        known = ~clicks.y.isnan()
        clicked, sold = clicks.y[known], sales.y[known].nan_to_num(0.0)
        features, own = net.together({self.click: clicks.x, self.conversion: sales.x}, progress)
        logits = [
            net.head(n)(features[n]).reshape(len(known), -1)[:, 0][known]
            for n in (self.click, self.conversion)
        ]
        both = F.logsigmoid(logits[0]) + F.logsigmoid(logits[1])  # log of p_click p_conv
        none = (-both.expm1()).clamp(min=1e-12).log()  # log of 1 - p_click p_conv
        wanted = clicked * sold
        return {
            self.click: F.binary_cross_entropy_with_logits(logits[0], clicked),
            self.conversion: -(wanted * both + (1 - wanted) * none).mean(),
        } | own
