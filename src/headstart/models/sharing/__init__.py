"""Backbones that several tasks share, each in a way of its own; ``multitask`` has their names."""

from .crossstitch import CrossStitch
from .hierarchical import Hierarchical
from .mmoe import MMoE
from .mtan import MTAN, maps
from .pattern import Pattern
from .ple import PLE
from .routed import Routed
from .sharedprivate import SharedPrivate
from .soft import Soft

PATTERNS: dict[str, type[Pattern]] = {
    kind.name: kind for kind in (Soft, Hierarchical, SharedPrivate, CrossStitch, MMoE, PLE, MTAN, Routed)
}

__all__ = [
    "MTAN", "PATTERNS", "PLE", "CrossStitch", "Hierarchical", "MMoE", "Pattern", "Routed", "SharedPrivate",
    "Soft", "maps",
]  # fmt: skip
