"""Where a model computes."""

from __future__ import annotations

import torch

from ..errors import wrong


def device(name: str) -> torch.device:
    """Find a device of this machine by its name; ``"auto"`` takes CUDA, else MPS, else the CPU."""
    there = [d for d, here in (("cuda", torch.cuda), ("mps", torch.backends.mps)) if here.is_available()]
    there = [*there, "cpu"]
    if name == "auto":
        return torch.device(there[0])
    if name.partition(":")[0] not in there:
        raise wrong("`device`", expected=f"one of this machine ({', '.join(there)})", found=f'"{name}"')
    return torch.device(name)
