"""The check of scores."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..seams import Score
from ._common import name_of, pickled, require, require_type, untouched


def check_score(score: Score, values: Tensor | None = None, labels: Tensor | None = None) -> None:
    """Check that a transferability score keeps the contract of its seam.

    It returns a finite ``float``, twice the same, whatever the order of the rows and in float32 as in
    float64; takes values with a graph; leaves its inputs and every global random state alone; refuses
    values and labels of different length with ``ValueError``; and can be pickled.

    Args:
        score: from features or probabilities, and labels, to a number.
        values: ``(N, D)``; rows of probabilities when left out, which are features as well.
        labels: ``(N,)``; three classes when left out.

    Raises:
        AssertionError: if the contract is broken; the message says how.

    Example:
        >>> from headstart.measure import leep
        >>> check_score(leep)
    """
    name = name_of(score)
    generator = torch.Generator().manual_seed(0)
    if values is None:
        values = torch.randn(30, 5, generator=generator).softmax(1)
    if labels is None:
        labels = torch.arange(len(values)) % 3
    with untouched(name, values, labels):
        result = score(values, labels)
    require_type(result, float, f"what {name} returns")
    require(math.isfinite(result), f"{name} returns {result}")
    require(score(values, labels) == result, f"{name} gives another score when called again")

    order = torch.randperm(len(values), generator=generator)
    others = {
        "for another order of the rows": score(values[order], labels[order]),
        "in float64": score(values.double(), labels),
        "in float32": score(values.float(), labels),
        "for values with a graph": score(values.clone().requires_grad_() * 1, labels),
        "after pickling": pickled(name, score)(values, labels),
    }
    for how, other in others.items():
        require(
            math.isclose(other, result, rel_tol=1e-3, abs_tol=1e-5),
            f"{name} gives {other}, not {result}, {how}",
        )
    try:
        score(values, labels[:-1])
    except ValueError:
        return
    raise AssertionError(
        f"{name} takes {len(values)} rows with {len(labels) - 1} labels without a ValueError"
    )
