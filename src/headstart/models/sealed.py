"""Tensors and JSON under hashes, so that what is read is what was written. Nothing is ever unpickled.

Tensors are bytes in the format of safetensors, read back under the hash of these bytes. Facts are a
mapping of JSON that holds a hash of its own, under ``"sha256"``, and the hash of the tensors they belong to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

MARK = "sha256"


def pack(tensors: Mapping[str, Tensor]) -> bytes:
    """Write tensors, from whatever device and each with memory of its own."""
    whole = torch.contiguous_format
    return safetensors.torch.save(
        {name: tensor.detach().cpu().clone(memory_format=whole) for name, tensor in tensors.items()}
    )


def sha256(data: bytes) -> str:
    """Hash bytes."""
    return hashlib.sha256(data).hexdigest()


def unpack(data: bytes, mark: object) -> dict[str, Tensor] | None:
    """Read tensors that ``pack`` wrote, on the CPU; ``None`` if ``mark`` is not their hash.

    Example:
        >>> data = pack({"a": torch.ones(2)})
        >>> unpack(data, sha256(data))
        {'a': tensor([1., 1.])}
        >>> unpack(data[:-1], sha256(data)) is None
        True
    """
    return safetensors.torch.load(data) if sha256(data) == mark else None


def seal(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Add the hash of facts to them, in place of one that they have.

    Example:
        >>> sealed = seal({"steps": 3})
        >>> unseal(sealed)
        {'steps': 3}
        >>> unseal(sealed | {"steps": 4}) is None
        True
    """
    bare = _bare(facts)
    return bare | {MARK: _hash(bare, sort_keys=True)}


def unseal(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return facts without their hash; ``None`` if it is not theirs, however their file is laid out."""
    bare = _bare(facts)
    # Checkpoints of version 0.1 are hashed in the order in which they are written.
    return bare if facts.get(MARK) in (_hash(bare, sort_keys=True), _hash(bare, sort_keys=False)) else None


def _bare(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != MARK}


def _hash(facts: Mapping[str, Any], *, sort_keys: bool) -> str:
    return sha256(json.dumps(facts, sort_keys=sort_keys).encode())
