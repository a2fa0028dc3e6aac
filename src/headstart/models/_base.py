"""Weights that a saved model points to, in place of a copy: those of the net that it began with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..errors import wrong
from .backbones.references import backbone
from .hashing import feed
from .net import as_backbone
from .wrappers import plain_state


def pointed(tensors: Mapping[str, Tensor], base: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Leave out the tensors that are equal to some of a base, to the last bit.

    Returns:
        the others, and what says where those are, as JSON.

    Raises:
        ValueError: if none is.
    """
    there = {_hash([tensor]): name for name, tensor in _state(base).items()}
    found = {name: _hash([tensor]) for name, tensor in tensors.items()}
    same = {name: there[code] for name, code in found.items() if code in there}
    if not same:
        hint = "pass the net's backbone as it was before it was trained, or leave `base` out"
        raise wrong("`base`", expected="a module with weights of the net", found="none alike", hint=hint)
    known = as_backbone(base)
    about = {
        "use": known.use if known else "",
        "weights": same,
        "sha256": _hash([tensors[name] for name in same]),
    }
    return {name: tensor for name, tensor in tensors.items() if name not in same}, about


def fetched(about: Mapping[str, Any], base: nn.Module | None, where: str) -> dict[str, Tensor]:
    """Give the tensors that were left out.

    Args:
        about: what ``pointed`` said.
        base: that has them; ``None`` builds the one that is named, without a network.
        where: the file, for messages.

    Raises:
        ValueError: if there is no base, or its weights are others.
    """
    use, names = str(about["use"]), dict(about["weights"])
    told = f"hs.backbone({use!r})" if use else "the module"
    hint = f"pass it as it was then: load(directory, base={told})"
    expected = f"the base that {len(names)} of its weights are in"
    if base is None and not use:
        raise wrong(where, expected=expected, found="none given", hint=hint)
    state = _state(backbone(use, fetch="never") if base is None else base)
    if missing := sorted(set(names.values()) - state.keys()):
        found = f"one without {', '.join(missing[:3])}"
        raise wrong(where, expected=expected, found=found, hint=hint)
    tensors = {name: state[there] for name, there in names.items()}
    if (found := _hash(list(tensors.values()))) != about["sha256"]:
        expected = f"a base with the weights that it was saved beside (sha256 {about['sha256'][:12]}...)"
        raise wrong(where, expected=expected, found=f"others (sha256 {found[:12]}...)", hint=hint)
    return tensors


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in plain_state(module).items() if isinstance(value, Tensor)}


def _hash(tensors: list[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        feed(digest, tensor)
    return digest.hexdigest()
