"""What a saved model says of a head, in JSON, and the head that is built of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ...tasks.kinds.placed import AtPlaces, Even
from .attention import Attention
from .average import Average
from .chain import Chain
from .denoised import Denoised
from .layer import Layer
from .lookup import Lookup
from .nearest import Nearest
from .neighbours import Neighbours
from .relations import Relations
from .sphere import Sphere
from .sums import Sums
from .trees import Trees
from .vectors import Vectors, Votes

_MAKE: dict[str, Callable[..., nn.Module]] = {
    "linear": lambda **about: nn.Linear(about["in"], about["out"], about["bias"]),
    "relu": lambda **about: nn.ReLU(),
    "tanh": lambda **about: nn.Tanh(),
    "even": lambda **about: Even(),
    "average": lambda **about: Average(map(build, about["parts"])),
    "at_places": lambda **about: AtPlaces(build(about["head"]), about["size"]),
} | {
    kind.layer: kind
    for kind in (
        Attention,
        Chain,
        Denoised,
        Lookup,
        Nearest,
        Neighbours,
        Relations,
        Sphere,
        Sums,
        Trees,
        Vectors,
        Votes,
    )
}


def describe(head: nn.Module) -> dict[str, Any] | list[Any] | None:
    """Say in JSON how a head is built; ``None`` for one that is not made of layers known here.

    Example:
        >>> describe(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
        [{'layer': 'linear', 'in': 2, 'out': 3, 'bias': True}, {'layer': 'relu'}]
    """
    match head:
        case Layer():
            return {"layer": head.layer, **head.settings}
        case nn.Linear() if {name for name, _ in head.named_parameters()} <= {"weight", "bias"}:
            bias = head.bias is not None
            return {"layer": "linear", "in": head.in_features, "out": head.out_features, "bias": bias}
        case nn.ReLU():
            return {"layer": "relu"}
        case nn.Tanh():
            return {"layer": "tanh"}
        case Even():
            return {"layer": "even"}
        case Average():
            parts = [describe(part) for part in head.parts]
            return None if None in parts else {"layer": "average", "parts": parts}
        case AtPlaces():
            inner = describe(head.head)
            size = None if head.size is None else list(head.size)
            return None if inner is None else {"layer": "at_places", "size": size, "head": inner}
        case nn.Sequential():
            parts = [describe(part) for part in head]
            return None if None in parts else parts
    return None


def build(about: Mapping[str, Any] | list[Any]) -> nn.Module:
    """Build the head that ``describe`` told of, with weights to be filled.

    Example:
        >>> build({"layer": "linear", "in": 2, "out": 3, "bias": True})
        Linear(in_features=2, out_features=3, bias=True)
    """
    if isinstance(about, list):
        return nn.Sequential(*map(build, about))
    return _MAKE[about["layer"]](**{name: value for name, value in about.items() if name != "layer"})
