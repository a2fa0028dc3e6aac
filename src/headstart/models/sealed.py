"""Tensors under hashes, so that what is read is what was written. Nothing is ever unpickled.

Tensors are bytes in the format of safetensors, read back under the hash of these bytes. What belongs to
them is a record (`records.py`) that holds this hash.
"""

from __future__ import annotations

from collections.abc import Mapping

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..records import sha256


def pack(tensors: Mapping[str, Tensor]) -> bytes:
    """Write tensors, from whatever device and each with memory of its own."""
    whole = torch.contiguous_format
    return safetensors.torch.save(
        {name: tensor.detach().cpu().clone(memory_format=whole) for name, tensor in tensors.items()}
    )


def unpack(data: bytes, mark: object) -> dict[str, Tensor] | None:
    """Read tensors that ``pack`` wrote, on the CPU; ``None`` if ``mark`` is not their hash, or they are none.

    Example:
        >>> data = pack({"a": torch.ones(2)})
        >>> unpack(data, sha256(data))
        {'a': tensor([1., 1.])}
        >>> unpack(data[:-1], sha256(data)) is None
        True
    """
    if sha256(data) != mark:
        return None
    try:
        return safetensors.torch.load(data)
    except safetensors.SafetensorError:
        return None
