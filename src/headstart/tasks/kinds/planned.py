"""A kind that is to come."""

from __future__ import annotations

from collections.abc import Sequence

from .kind import Kind, Label


def Detection(classes: int | Sequence[Label]) -> Kind:
    """Boxes with one of several classes; to come."""
    raise NotImplementedError("`Detection` is not there yet; use `Segmentation` for each pixel")
