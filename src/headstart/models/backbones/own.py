"""Our own small backbones."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...errors import unknown, wrong
from .._weights import fill, read_weights
from ..net import Backbone
from .conv4 import conv4
from .factors import factors
from .mlp import mlp
from .provider import Provider, Shape
from .textcnn import textcnn

_MAKE: dict[str, Callable[..., Backbone]] = {
    "mlp": mlp,
    "conv4": conv4,
    "textcnn": textcnn,
    "factors": factors,
}


def _of_numbers(inputs: Shape) -> dict[str, Any]:
    return {"features": math.prod(inputs)}


def _of_images(inputs: Shape) -> dict[str, Any]:
    if len(inputs) != 3:
        hint = "add an axis of one channel to grey images: `x[:, None]`; use `mlp` for rows of numbers"
        raise wrong(
            "`inputs` of `conv4`", expected="(channels, height, width)", found=tuple(inputs), hint=hint
        )
    return {"channels": inputs[0], "size": list(inputs[1:])}


# What the shape of a row tells about each; the length of a text tells nothing.
_FROM_INPUTS: dict[str, Callable[[Shape], dict[str, Any]]] = {
    "mlp": _of_numbers,
    "factors": _of_numbers,
    "conv4": _of_images,
}


def fitting(inputs: Shape | None, whole_numbers: bool) -> str:
    """Name the small backbone that fits rows.

    Args:
        inputs: shape of one row; ``None`` where rows are no single tensor.
        whole_numbers: whether they are whole numbers, as token ids are.

    Raises:
        ValueError: if there is none for such rows.

    Example:
        >>> fitting((3, 32, 32), False), fitting((7,), False), fitting((7,), True)
        ('conv4', 'mlp', 'textcnn')
    """
    axes = 0 if inputs is None else len(inputs)
    if axes == 3:
        return "conv4"
    if axes == 1:
        return "textcnn" if whole_numbers else "mlp"
    raise wrong(
        "`backbone`",
        expected="named, for rows that are no images, numbers or token ids",
        found='"auto"',
        hint='pass backbone="torchvision:resnet18" or a module',
    )


def _build(use: str, inputs: Shape | None, weights: str | None, settings: dict[str, Any]) -> Backbone:
    parameters = inspect.signature(_MAKE[use]).parameters
    for name in settings:
        if name not in parameters:
            raise unknown(f"setting of backbone {use!r}", name, parameters)
    if inputs is not None and use in _FROM_INPUTS:
        settings = _FROM_INPUTS[use](inputs) | settings
    if missing := [n for n, p in parameters.items() if p.default is p.empty and n not in settings]:
        hint = f"pass `settings={{{missing[0]!r}: ...}}`" + (" or `inputs`" if use in _FROM_INPUTS else "")
        expected = f"with {', '.join(missing)}"
        raise wrong(f"settings of backbone {use!r}", expected=expected, found=settings, hint=hint)
    try:
        built = _MAKE[use](**settings)
    except TypeError as error:
        expected = str(inspect.signature(_MAKE[use])).partition(" ->")[0].replace("'", "").replace("*, ", "")
        raise wrong(
            f"settings of backbone {use!r}",
            expected=f"numbers, names or lists as in {expected}",
            found=settings,
        ) from error
    if weights is not None and weights != "default":
        fill(built, read_weights(Path(weights)), f'"{weights}"')
    return built


def _pretrained(weights: str | None) -> bool:
    """Tell whether weights come from a file: the default ones are random."""
    return weights not in (None, "default")


def _told(use: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Take those of the facts that are settings, such as ``vocabulary``."""
    parameters = inspect.signature(_MAKE[use]).parameters
    return {name: value for name, value in facts.items() if name in parameters}


OWN = Provider(
    names={
        "mlp": "fully connected layers, for rows of numbers",
        "conv4": "four convolutional blocks, for small images",
        "textcnn": "convolutions over word vectors, for short texts",
        "factors": "vectors of users and items, for tables with ids",
    },
    build=_build,
    comes_pretrained=_pretrained,
    told=_told,
)
