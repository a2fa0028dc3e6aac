"""The backbone of a saved model: ``file:DIR``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...errors import wrong
from ...records import understood
from .._files import AGAIN, DESCRIPTION, read
from .._weights import fill
from ..net import Backbone
from .cuts import Cut
from .provider import Provider, Shape
from .providers import rebuild

PART = "backbone."  # what its weights' names start with


def _build(directory: str, inputs: Shape | None, weights: str | None, settings: dict[str, Any]) -> Backbone:
    """Take the backbone of a saved model, with its weights or with random ones."""
    if settings:
        expected = "empty: the model was saved with them"
        raise wrong('`settings` of "file:"', expected=expected, found=settings)
    if weights not in (None, "default"):
        raise wrong('`weights` of "file:"', expected='"default" or None', found=weights)
    about, tensors = read(Path(directory))
    with understood(Path(directory) / DESCRIPTION, hint=AGAIN):
        if weights is None:
            return _built(about)
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten
            built = _built(about)
    built.tokenizer = _tokenizer(directory, {})
    own = {name.removeprefix(PART): value for name, value in tensors.items() if name.startswith(PART)}
    fill(built, own, f'"{directory}"')
    return built


def _built(about: Mapping[str, Any]) -> Backbone:
    whole = rebuild(about["backbone"])
    return whole if about.get("cut") is None else Cut(whole, **about["cut"])


def _tokenizer(directory: str, settings: Mapping[str, Any]) -> str:
    """Give the tokenizer that cut the rows of the saved model."""
    about, _ = read(Path(directory))
    return str((about.get("encoding") or {}).get("tokenizer", ""))


FILE = Provider(
    names={"file:DIR": "the backbone of a model saved before"}, build=_build, tokenizer=_tokenizer
)
