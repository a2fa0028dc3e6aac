"""Backbones by name, whatever source they come from, and modules of the caller's own."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from torch import nn

from ...errors import unknown, wrong
from ..net import Backbone
from ..wrappers import unwrapped
from . import providers
from .file import FILE
from .hub import fetching
from .module import Module
from .provider import Named, Provider, Start


def _sources() -> tuple[Provider, ...]:
    return (*providers.PROVIDERS, FILE)


BACKBONES: dict[str, str] = {name: text for source in _sources() for name, text in source.names.items()}


def backbone(
    use: str,
    *,
    inputs: tuple[int, ...] | None = None,
    weights: str | None = "default",
    settings: Mapping[str, Any] | None = None,
    fetch: str = "yes",
) -> Backbone:
    """Build a backbone from its name, all of it trainable.

    Args:
        use: ``"mlp"``, ``"conv4"``, ``"textcnn"``, ``"torchvision:resnet18"``,
            ``"timm:resnet18.a1_in1k"``, ``"hf:DIR"``, ``"words:FILE"``, ``"keras:FILE.keras"``,
            ``"keras:applications.MobileNetV2"``, ``"wheel:minilm"`` or ``"file:DIR"``.
        inputs: shape of one row, without the batch axis; gives ``features`` of ``mlp``, ``channels``
            and ``size`` of ``conv4``. Token ids do not tell ``vocabulary``: pass that as a setting.
            One row of zeros is passed through to see that the backbone takes it.
        weights: of ``torchvision:``, the name of its weights (``"IMAGENET1K_V1"``); a path to a file
            (``.safetensors``, or ``.pth`` read without unpickling objects); ``None`` for random ones
            from the global random state. ``"default"``: torchvision's best, those of the saved
            model, random for our own.
        settings: of the backbone, by the names in its function's signature; they go before ``inputs``.
        fetch: ``"yes"``: what is not on this machine is fetched over the network; ``"never"``.

    Raises:
        ValueError: for an unknown name, source or setting, a setting that is missing, or rows that
            the backbone does not take.
        ConnectionError: if weights have to be downloaded and cannot or must not be.
        ModuleNotFoundError: if the library that a name needs is not installed.

    Example:
        >>> backbone("conv4", inputs=(3, 32, 32), settings={"width": 16}).width
        64
        >>> backbone("conv5")
        Traceback (most recent call last):
        ValueError: `use` of a backbone should be a known name; found "conv5"; did you mean "conv4"?
    """
    with fetching(fetch):
        return _named(use).build(inputs=inputs, weights=weights, settings=settings)


def start(use: str | nn.Module | Start) -> Start:
    """Say what there is to start from: a name for ``hs.backbone``, or a module.

    Args:
        use: the name; a module, which is copied each time that it is built, without wrappers around it
            (``torch.compile``, ``DataParallel``); or a start, as it is.

    Raises:
        ValueError: for an unknown name or source.
        TypeError: for what is neither, as a function or a class.

    Example:
        >>> start("conv4").comes_pretrained("default"), start(nn.Linear(2, 3)).comes_pretrained("default")
        (False, True)
        >>> start("textcnn").build(weights=None, facts={"vocabulary": 9}).settings["vocabulary"]
        9
    """
    if isinstance(use, nn.Module):
        return Module(unwrapped(use))
    if isinstance(use, str):
        return _named(use)
    if isinstance(use, type) or not hasattr(use, "comes_pretrained"):
        found = f"the class {use.__name__}" if isinstance(use, type) else type(use).__name__
        hint = f"call it: `{use.__name__}()`" if isinstance(use, type) else "wrap it in an `nn.Module`"
        raise wrong("`backbone`", expected="a name or a module", found=found, hint=hint, error=TypeError)
    return use


def tokenizer(use: str, settings: Mapping[str, Any] | None = None) -> str:
    """Give the tokenizer that texts have to be cut by for a backbone, to read them with.

    Args:
        use: its name, as for ``hs.backbone``.
        settings: its own.

    Returns:
        the text of a ``tokenizer.json``, for ``tokens=`` of ``hs.datasets.read``.

    Raises:
        ValueError: for a backbone that has no tokenizer.
        FileNotFoundError: if its file is not there.

    Example:
        >>> tokenizer("conv4")
        Traceback (most recent call last):
        ValueError: tokenizer of backbone 'conv4' should be ...; found none
    """
    if found := start(use).tokenizer(settings):
        return found
    raise wrong(f"tokenizer of backbone {use!r}", expected="one of a pretrained model of text", found="none")


def _named(use: str) -> Named:
    if found := providers.find(use) or FILE.find(use):
        return found
    word, colon, _ = use.partition(":")
    if not colon:
        own = [name for name in BACKBONES if ":" not in name]
        if not use or difflib.get_close_matches(use, own, n=1):
            raise unknown("`use` of a backbone", use, BACKBONES)
        hint = f'write "torchvision:{use}" or "timm:{use}" for a net of theirs'
        expected = f"{', '.join(own)}, or a source and a name"
        raise wrong("`use` of a backbone", expected=expected, found=f'"{use}"', hint=hint)
    *others, last = (f'"{prefix}:"' for source in _sources() for prefix in source.prefixes())
    told = "pass the module itself; a problem file may name it, for a command with `--allow-code`"
    hint = told if word == "python" else ""
    expected = f"one of {', '.join(others)} and {last}"
    raise wrong("source of a backbone", expected=expected, found=f'"{use}"', hint=hint)
