"""Which of several adapted nets of numbers to trust, without a number of the target.

Shapes: ``N`` source rows, ``M`` target rows, ``D`` features, ``O`` numbers.
"""

from __future__ import annotations

from torch import Tensor

from ..errors import wrong
from ._validators import density_ratio


def weighted_error(outputs: Tensor, answers: Tensor, source: Tensor, target: Tensor) -> float:
    r"""Judge a net of numbers by held-out source rows, each counted as often as the target has rows like it.

    .. math:: - \frac{\sum_i w_i \, \overline{(f(x_i) - y_i)^2}}{\sum_i w_i}

    with the weights of ``weighted_risk``. Nothing else is known of a target without numbers: an answer that
    is sure does not look otherwise than another.

    Args:
        outputs: numbers that the net gives for held-out source rows.
        answers: theirs; NaN is left out.
        source: features of the same rows.
        target: features of the target's rows.

    Shape:
        ``outputs (N, O)``, ``answers (N, O)`` or ``(N,)`` where ``O`` is 1, ``source (N, D)``,
        ``target (M, D)``.

    Returns:
        squared units of the answers, at most 0, higher is better.

    Raises:
        ValueError: if shapes do not match, no answer is there, or a side has under 10 rows.

    Example:
        >>> import torch
        >>> g = torch.Generator().manual_seed(0)
        >>> x, y = torch.randn(40, 2, generator=g), torch.ones(40)
        >>> weighted_error(torch.zeros(40, 1), y, x, x + 0.1)
        -1.0

    References:
        Sugiyama, Krauledat & Müller (JMLR 2007), equation 7, https://jmlr.org/papers/v8/sugiyama07a.html
    """
    if outputs.ndim != 2 or len(source) != len(outputs) or answers.numel() != outputs.numel():
        found = f"{tuple(outputs.shape)}, {tuple(answers.shape)} and {len(source)} rows"
        raise wrong("`outputs`, `answers` and `source`", expected="(rows, numbers), of as many", found=found)
    errors = (outputs.detach().double() - answers.detach().double().reshape(outputs.shape)).square()
    each, there = errors.nanmean(1), ~errors.isnan().all(1)
    if not there.any():
        raise wrong("`answers`", expected="some that are there", found="none")
    weights = density_ratio(source, target)[there]
    return -float((weights * each[there]).sum() / weights.sum())
