"""Log expected empirical prediction.

Shapes: ``N`` rows, ``Z`` classes of the pretrained net.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import wrong
from ._check import classes, labelled


def leep(probabilities: Tensor, labels: Tensor) -> float:
    r"""Score a pretrained classifier by how well its own classes predict the new labels.

    Count which new label goes with which old class, and predict the new labels from that alone:

    .. math:: \hat P(y, z) = \frac1N \sum_{i: y_i = y} \theta(x_i)_z, \qquad
        T = \frac1N \sum_i \log \sum_z \hat P(y_i \mid z)\, \theta(x_i)_z

    Args:
        probabilities: :math:`\theta(x_i)`, the old classifier's softmax on the new rows; each row at
            least 0 with sum 1.
        labels: the new labels; rows with -100 are left out.

    Shape:
        ``probabilities (N, Z)``, ``labels (N,)`` int64.

    Returns:
        mean log-likelihood in nats, at most 0, higher is better: 0 where each old class goes with
        one new label, minus the entropy of the labels where the old classes say nothing.

    Raises:
        ValueError: if shapes do not match, or a row is not a probability.

    Example:
        >>> leep(torch.eye(3), torch.tensor([1, 2, 0]))
        0.0
        >>> round(leep(torch.full((4, 5), 0.2), torch.tensor([0, 1, 0, 1])), 4)
        -0.6931

    References:
        Nguyen et al. (ICML 2020), equation 2, https://arxiv.org/abs/2002.12462
    """
    theta, y = labelled(probabilities, labels, "probabilities")
    if (theta < 0).any():
        raise wrong("`probabilities`", expected="at least 0", found=float(theta.min()))
    sums = theta.sum(1)
    worst = float(sums[(sums - 1).abs().argmax()])
    if abs(worst - 1) > 1e-2:  # half precision sums to 1 within a few thousandths
        raise wrong(
            "rows of `probabilities`", expected="of sum 1", found=worst, hint="pass `logits.softmax(1)`"
        )
    theta = theta / sums[:, None]
    number = classes(y)
    member = torch.nn.functional.one_hot(number).to(theta)  # (N, Y)
    joint = member.T @ theta  # (Y, Z)
    given = joint / joint.sum(0).clamp(min=torch.finfo(theta.dtype).tiny)  # P(y | z)
    return min(0.0, float((theta * given[number]).sum(1).log().mean()))
