"""The global random state, for the few things of PyTorch that read it (initial weights, dropout)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch's global random state for a while, and put it back afterwards.

    Args:
        seed: any integer of 64 bits.

    Example:
        >>> with seeded(0):
        ...     first = torch.rand(1)
        >>> with seeded(0):
        ...     second = torch.rand(1)
        >>> bool(first == second)
        True
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        if torch.accelerator.is_available():
            torch.manual_seed(seed)
        else:  # it would keep its call, with the whole stack, for each sort of device that may come yet
            torch.default_generator.manual_seed(seed)
        yield
