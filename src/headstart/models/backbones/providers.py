"""The sources of backbones, a line each, and how a backbone is rebuilt from what a saved model says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import wrong
from ..net import Backbone
from ..sharing import PATTERNS
from ..sharing.pattern import restored
from .blobs import Blobs
from .cuts import Cut
from .hf import HF
from .hub import fetching
from .keras import KERAS
from .own import OWN
from .plain import PLAIN
from .pointwise import POINTWISE
from .prompted import Prompted, rebuilt
from .provider import Named
from .spelled import SPELLED
from .timm import TIMM
from .torchvision import TORCHVISION
from .wheel import WHEEL
from .words import WORDS

# Those that build from a name and settings alone. Saved models, which name one of them, are above: `file.py`.
PROVIDERS = (OWN, TORCHVISION, TIMM, HF, WORDS, KERAS, WHEEL)


def find(use: str) -> Named | None:
    """Start from the backbone of that name; ``None`` if no source has it."""
    return next((start for provider in PROVIDERS if (start := provider.find(use))), None)


def rebuild(about: Mapping[str, Any] | None) -> Backbone:
    """Build the backbone that a saved model describes, with weights from the global random state.

    Args:
        about: its ``use`` and ``settings``; ``None`` for a module of the writer's own.

    Raises:
        ValueError: if no source builds it.
    """
    if about is not None and (plain := (PLAIN | POINTWISE | SPELLED | {Blobs.use: Blobs}).get(about["use"])):
        return plain(**about["settings"])
    if about is not None and about["use"] == Prompted.use:
        return rebuilt(about["settings"], rebuild)
    if about is not None and (pattern := PATTERNS.get(about["use"])):
        return pattern(**restored(about["settings"], _encoder))
    start = None if about is None else find(about["use"])
    if about is None or start is None:
        found = "a module of its writer's own" if about is None else f'"{about["use"]}"'
        hint = "build that module and pass `load(directory, backbone=module)`"
        raise wrong("backbone of the model", expected="one of `hs.backbone`", found=found, hint=hint)
    with fetching("never"):
        return start.build(weights=None, settings=about["settings"])


def _encoder(about: Mapping[str, Any]) -> Backbone:
    """Build one of the encoders that tasks share."""
    whole = rebuild(about)
    return Cut(whole, **about["cut"]) if "cut" in about else whole
