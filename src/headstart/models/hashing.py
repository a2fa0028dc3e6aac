"""The hash of a module: of what it is made of, and of its numbers."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn


def module_hash(module: nn.Module, more: str = "") -> str:
    """Hash architecture, weights and buffers of a module, as SHA-256 in hexadecimal digits.

    Args:
        module: on any device, in any mode; nothing of it moves.
        more: is hashed along.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> module_hash(layer) == module_hash(layer), module_hash(layer) == module_hash(nn.Linear(2, 2))
        (True, False)
    """
    digest = hashlib.sha256(repr((str(module), more)).encode())
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        feed(digest, tensor, name)
    return digest.hexdigest()


def feed(digest: Any, tensor: Tensor, *about: str) -> None:
    """Hash a tensor along: words about it, its shape, its type, its numbers."""
    digest.update(repr((*about, tuple(tensor.shape), str(tensor.dtype))).encode())
    digest.update(memoryview(as_bytes(tensor.flatten()).numpy()))  # type: ignore[arg-type]


def as_bytes(tensor: Tensor) -> Tensor:
    """View a tensor ``(..., D)`` as bytes, on the CPU.

    Example:
        >>> as_bytes(torch.tensor([1, 2], dtype=torch.int16)).tolist()
        [1, 0, 2, 0]
    """
    return tensor.detach().cpu().contiguous().view(torch.uint8)
