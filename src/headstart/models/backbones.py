"""Backbones by name: our own small ones, those of other libraries, and saved models."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import unknown, wrong
from ._weights import fill, read_weights
from .conv4 import conv4
from .mlp import mlp
from .net import Backbone, unfreeze
from .textcnn import textcnn
from .torchvision import torchvision

BACKBONES: dict[str, str] = {
    "mlp": "fully connected layers, for rows of numbers",
    "conv4": "four convolutional blocks, for small images",
    "textcnn": "convolutions over word vectors, for short texts",
    "torchvision:NAME": "a classifier of torchvision without its last layer, e.g. torchvision:resnet18",
    "file:DIR": "the backbone of a model saved before",
}

_OWN: dict[str, Callable[..., Backbone]] = {"mlp": mlp, "conv4": conv4, "textcnn": textcnn}


def backbone(
    use: str,
    *,
    inputs: tuple[int, ...] | None = None,
    weights: str | None = "default",
    settings: Mapping[str, Any] | None = None,
) -> Backbone:
    """Build a backbone from its name, all of it trainable.

    Args:
        use: ``"mlp"``, ``"conv4"``, ``"textcnn"``, ``"torchvision:resnet18"`` or ``"file:DIR"``.
        inputs: shape of one row, without the batch axis; gives ``features`` of ``mlp``, ``channels``
            and ``size`` of ``conv4``. Token ids do not tell ``vocabulary``: pass that as a setting.
            One row of zeros is passed through to see that the backbone takes it.
        weights: of ``torchvision:``, the name of its weights (``"IMAGENET1K_V1"``); a path to a file
            (``.safetensors``, or ``.pth`` read without unpickling objects); ``None`` for random ones
            from the global random state. ``"default"``: torchvision's best, those of the saved
            model, random for our own.
        settings: of the backbone, by the names in its function's signature; they go before ``inputs``.

    Raises:
        ValueError: for an unknown name, source or setting, a setting that is missing, or rows that
            the backbone does not take.
        ConnectionError: if weights have to be downloaded and cannot be.
        ModuleNotFoundError: if the library that a name needs is not installed.

    Example:
        >>> backbone("conv4", inputs=(3, 32, 32), settings={"width": 16}).width
        64
        >>> backbone("conv5")
        Traceback (most recent call last):
        ValueError: `use` of a backbone should be a known name; found "conv5"; did you mean "conv4"?
    """
    built = _build(use, inputs, weights, dict(settings or {}))
    if inputs is not None:
        _check_rows(built, use, inputs)
    return built


def _build(
    use: str, inputs: tuple[int, ...] | None, weights: str | None, settings: dict[str, Any]
) -> Backbone:
    source, colon, name = use.partition(":")
    if source == "file" and colon:
        return _from_file(Path(name), weights, settings)
    if source == "torchvision" and colon:
        _check_names(use, settings, ["transforms", "raw"])
        return torchvision(name, weights=weights, **settings)
    if colon:
        hint = f'"{source}:" is not supported yet' if source in {"timm", "hf", "keras"} else ""
        expected = 'one of "torchvision:" and "file:"'
        raise wrong("source of a backbone", expected=expected, found=f'"{use}"', hint=hint)
    if use not in _OWN:
        raise unknown("`use` of a backbone", use, BACKBONES)
    parameters = inspect.signature(_OWN[use]).parameters
    _check_names(use, settings, parameters)
    settings = _from_inputs(use, inputs) | settings
    if missing := [n for n, p in parameters.items() if p.default is p.empty and n not in settings]:
        hint = f"pass `settings={{{missing[0]!r}: ...}}`" + (" or `inputs`" if use == "mlp" else "")
        expected = f"with {', '.join(missing)}"
        raise wrong(f"settings of backbone {use!r}", expected=expected, found=settings, hint=hint)
    try:
        built = _OWN[use](**settings)
    except TypeError as error:
        expected = str(inspect.signature(_OWN[use])).partition(" ->")[0].replace("'", "").replace("*, ", "")
        raise wrong(
            f"settings of backbone {use!r}",
            expected=f"numbers, names or lists as in {expected}",
            found=settings,
        ) from error
    if weights is not None and weights != "default":
        fill(built, read_weights(Path(weights)), f'"{weights}"')
    return built


def is_known(use: str) -> bool:
    """Tell whether ``backbone`` can build ``use`` from settings alone."""
    return use in _OWN or use.startswith("torchvision:")


def _check_names(use: str, settings: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in settings:
        if name not in names:
            raise unknown(f"setting of backbone {use!r}", name, names)


def _from_inputs(use: str, inputs: tuple[int, ...] | None) -> dict[str, Any]:
    """Say what the shape of a row tells about a backbone of ours."""
    if inputs is None or use == "textcnn":
        return {}
    if use == "mlp":
        return {"features": math.prod(inputs)}
    if len(inputs) != 3:
        hint = "add an axis of one channel to grey images: `x[:, None]`; use `mlp` for rows of numbers"
        raise wrong(
            "`inputs` of `conv4`", expected="(channels, height, width)", found=tuple(inputs), hint=hint
        )
    return {"channels": inputs[0], "size": list(inputs[1:])}


def _from_file(directory: Path, weights: str | None, settings: dict[str, Any]) -> Backbone:
    """Take the backbone of a saved model, with its weights or with random ones."""
    from .saving import load

    if settings:
        expected = "empty: the model was saved with them"
        raise wrong('`settings` of "file:"', expected=expected, found=settings)
    if weights not in (None, "default"):
        raise wrong('`weights` of "file:"', expected='"default" or None', found=weights)
    built = load(directory).net.backbone
    assert isinstance(built, Backbone)  # `load` without a module builds nothing else
    if weights is None:
        return backbone(built.use, weights=None, settings=built.settings)
    return unfreeze(built.train())  # type: ignore[return-value]


def _check_rows(built: Backbone, use: str, inputs: tuple[int, ...]) -> None:
    """Pass one row of zeros through, without a trace."""
    first = next(built.parameters())
    try:
        with torch.no_grad():
            built.eval()(torch.zeros(1, *inputs, dtype=first.dtype, device=first.device))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        hint = "resize the rows, or choose other settings or another backbone"
        found = f"{tuple(inputs)} ({str(error).splitlines()[0]})"
        raise wrong(
            "`inputs`", expected=f"a shape that backbone {use!r} takes", found=found, hint=hint
        ) from error
    built.train()
