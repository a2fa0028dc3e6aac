"""The geometric mean of the losses.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

from torch import Tensor

from ..errors import wrong

LEAST = 1e-8


def gls(losses: Tensor) -> Tensor:
    r"""Lower the geometric mean of the losses, which a factor on one of them changes only by a factor.

    .. math:: \Big( \prod_k L_k \Big)^{1 / K}

    So it does not matter in which units losses are counted. A loss near 0 gets a large weight.

    Args:
        losses: at least 0; one below 1e-8 counts as that, and gets no gradient.

    Shape:
        losses ``(K,)``; returns a scalar.

    Raises:
        ValueError: if a loss is below 0.

    Example:
        >>> import torch
        >>> round(gls(torch.tensor([4.0, 1.0])).item(), 4)
        2.0

    References:
        Chennupati et al. (CVPR workshops 2019), MultiNet++, equation 3, https://arxiv.org/abs/1904.08492
    """
    return not_negative(losses, "gls").log().mean().exp()


def not_negative(losses: Tensor, method: str) -> Tensor:
    """Return losses whose logarithm is taken, at least 1e-8; ``ValueError`` if one is below 0."""
    if bool((losses < 0).any()):
        raise wrong(
            f"losses of `{method}`",
            expected="at least 0, since their logarithm is taken",
            found=losses.detach().min().item(),
            hint="leave out losses that may be negative, or weigh by `Weights`",
        )
    return losses.clamp_min(LEAST)
