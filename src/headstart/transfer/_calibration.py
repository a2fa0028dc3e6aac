"""Contextual calibration: take away what a language model says of a text that says nothing.

Shapes: ``N`` content-free texts, ``K`` words.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import wrong


def contextual_calibration(empty: Tensor) -> nn.Linear:
    r"""Make the head that brings a model's answer to texts without content to equal shares.

    With :math:`\hat p` the mean share of each word over content-free texts (``""``, ``"N/A"``, ``"[MASK]"``),
    put into the same prompt as all others, log-likelihoods :math:`z` of a row become

    .. math:: z_k - \log(K \hat p_k)

    so that the softmax of the answers is :math:`\hat W p` with :math:`\hat W = \text{diag}(\hat p)^{-1}`,
    brought to a sum of 1.

    Args:
        empty: log-likelihoods of each word for content-free texts; their level per text does not matter.

    Shape:
        ``empty (N, K)``; the head maps ``(B, K)`` to ``(B, K)``.

    Raises:
        ValueError: if there is no text, or a likelihood is not finite.

    Example:
        >>> bias = torch.tensor([[2.0, 0.0]])
        >>> (contextual_calibration(bias)(bias).softmax(1) - 0.5).abs().max().item() < 1e-6
        True

    References:
        Zhao et al. (ICML 2021), section 5, https://arxiv.org/abs/2102.09690
    """
    if empty.ndim != 2 or not len(empty) or not bool(empty.isfinite().all()):
        found = f"{empty.dtype} of shape {tuple(empty.shape)}"
        raise wrong("`empty`", expected="finite likelihoods, of shape (texts, words)", found=found)
    p = empty.detach().double().softmax(1).mean(0)
    head = nn.utils.skip_init(nn.Linear, len(p), len(p), device=empty.device, dtype=empty.dtype)
    with torch.no_grad():
        nn.init.eye_(head.weight)
        head.bias.copy_(-(len(p) * p.clamp(min=torch.finfo(torch.float64).tiny)).log())
    return head
