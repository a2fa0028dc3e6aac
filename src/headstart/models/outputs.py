"""What backbones give: a tensor, or one among other things in a mapping, a tuple or a dataclass."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..errors import wrong

STANDARD = ("pooler_output", "last_hidden_state")  # what other libraries call features
WRAP = (
    "wrap it in a module whose `forward` returns one tensor (rows, features), "
    'as in `return self.model(x)["z"]` or `return self.model(x).mean(1)`'
)
NUMBERS = "give `z.float()`, or of complex numbers `torch.view_as_real(z).flatten(1)`"


def features_of(value: Any) -> Tensor:
    """Take the features out of what a backbone gave.

    A tensor is taken as it is. Of a mapping or a dataclass ``pooler_output`` is taken, else
    ``last_hidden_state``, else the only tensor there is; of a tuple or a list its first part, if that is a
    tensor, else the only tensor.

    Raises:
        TypeError: if it is not plain which tensor is meant.

    Example:
        >>> import torch
        >>> features_of({"last_hidden_state": torch.zeros(2, 3), "attentions": None}).shape
        torch.Size([2, 3])
        >>> features_of({"low": torch.zeros(2, 3), "high": torch.zeros(2, 3)})
        Traceback (most recent call last):
        TypeError: what the backbone gives should be one tensor; found dict of low (2, 3), high (2, 3); ...
    """
    if isinstance(value, Tensor):
        return value
    parts = _parts(value)
    there = {name: part for name, part in parts.items() if isinstance(part, Tensor)}
    first = next(iter(parts), "")
    wanted = STANDARD if not isinstance(value, tuple | list) else (first,)
    for name in wanted:
        if name in there:
            return there[name]
    if len(there) == 1:
        return next(iter(there.values()))
    inside = ", ".join(f"{name} {_shown(part)}" for name, part in parts.items())
    found = f"{type(value).__name__} of {inside}" if parts else type(value).__name__
    raise wrong("what the backbone gives", expected="one tensor", found=found, hint=WRAP, error=TypeError)


def width(value: Any) -> int:
    """Count the features per row of what a backbone gave.

    Raises:
        ValueError: if they are no table, as maps or tokens are not, or no real numbers.
        TypeError: as ``features_of`` does.
    """
    features = features_of(value)
    if features.ndim == 2 and features.is_floating_point():
        return features.shape[1]
    if features.ndim == 2:
        found = str(features.dtype).removeprefix("torch.")
        raise wrong("features of the backbone", expected="real numbers", found=found, hint=NUMBERS)
    named = {3: "tokens, or a row of channels", 4: "maps"}.get(features.ndim, "another form")
    raise wrong(
        "features of the backbone",
        expected="of shape (rows, features)",
        found=f"{tuple(features.shape)}: {named}",
        hint=_pooling(features.ndim),
    )


def _pooling(axes: int) -> str:
    if axes == 4:
        return "average over the map, as in nn.Sequential(backbone, nn.AdaptiveAvgPool2d(1), nn.Flatten())"
    return WRAP


def _parts(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(name): part for name, part in value.items()}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return (
        dict(zip(map(str, range(len(value))), value, strict=True)) if isinstance(value, tuple | list) else {}
    )


def _shown(part: Any) -> str:
    return str(tuple(part.shape)) if isinstance(part, Tensor) else type(part).__name__
