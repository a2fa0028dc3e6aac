"""Kinds that come with the image rooms."""

from __future__ import annotations

from collections.abc import Sequence

from .kind import Kind, Label


def Segmentation(classes: int | Sequence[Label]) -> Kind:
    """One of several classes for each pixel; comes with the image rooms."""
    raise NotImplementedError("`Segmentation` is not there yet; use `Multiclass` for whole images")


def Detection(classes: int | Sequence[Label]) -> Kind:
    """Boxes with one of several classes; comes with the image rooms."""
    raise NotImplementedError("`Detection` is not there yet; use `Multiclass` for whole images")
