"""What the scores share."""

from __future__ import annotations

from torch import Tensor

from ..errors import wrong


def labelled(values: Tensor, labels: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Return the rows that have a label, values in float64; ``ValueError`` where something is off."""
    if values.ndim != 2 or len(values) != len(labels):
        raise wrong(
            f"`{name}`", expected=f"one row per label, ({len(labels)}, width)", found=tuple(values.shape)
        )
    values, labels = values.detach().double(), labels.detach()
    if not values.isfinite().all():
        raise wrong(f"`{name}`", expected="finite", found="infinity or NaN")
    missing = labels.isnan() if labels.is_floating_point() else labels == -100
    there = ~missing.flatten(1).any(1) if labels.ndim > 1 else ~missing
    if not there.any():
        raise wrong("`labels`", expected="at least one that is not missing", found="none")
    return values[there], labels[there]


def classes(labels: Tensor) -> Tensor:
    """Number the classes that occur from 0, ``(N,)``; ``ValueError`` where they are not classes."""
    if labels.ndim != 1 or labels.is_floating_point():
        raise wrong("`labels`", expected="class numbers (N,)", found=f"{labels.dtype} {tuple(labels.shape)}")
    return labels.unique(return_inverse=True)[1]
