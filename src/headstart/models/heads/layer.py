"""A layer that describes itself, so that a saved model can be rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

PRODUCTS = "use_mm_for_euclid_dist"  # how distances are computed, whatever the number of rows


class Layer(nn.Module):
    """A part of a head that is rebuilt as ``type(layer)(**layer.settings)`` and then filled.

    Attributes:
        layer: its name in saved models.
        settings: JSON, the arguments of its class.
    """

    layer: str
    settings: Mapping[str, Any]
