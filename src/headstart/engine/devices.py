"""Where a net computes, and in what numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..errors import unknown, wrong
from ..models import Net, device_of

PRECISIONS = ("float32", "bf16", "auto")


def device(name: str = "auto") -> torch.device:
    """Find a device of this machine by its name.

    Args:
        name: ``"auto"`` takes CUDA, else MPS, else the CPU; or ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.

    Raises:
        ValueError: for a name that is not known, or a device that this machine does not have.

    Example:
        >>> device("cpu")
        device(type='cpu')
    """
    there = _devices()
    if name == "auto":
        return torch.device(there[0])
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or not (number.isdecimal() or name == kind):
        raise wrong(
            "`device`",
            expected='"auto", "cpu", "cuda", "cuda:N" or "mps"',
            found=f'"{name}"',
            hint='pass device="auto" for the fastest of this machine',
        )
    if name not in there:
        raise wrong(
            "`device`",
            expected=f"one of this machine ({', '.join(there)})",
            found=f'"{name}"',
            hint='pass device="auto", or run where there is one',
        )
    return torch.device(name)


def _devices() -> list[str]:
    """Name the devices of this machine, the fastest first."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    cuda = ["cuda", *(f"cuda:{i}" for i in range(count))] if count else []
    return [*cuda, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def precision(name: str, device: torch.device) -> torch.dtype:
    """Choose the numbers that backbones compute in.

    Args:
        name: ``"float32"``; ``"bf16"`` for half of the memory and, where the device has units for it, a
            multiple of the speed at 8 bits of precision; ``"auto"`` for bf16 on CUDA devices that have
            such units, else float32.
        device: where the net lives.

    Raises:
        ValueError: for a name that is not known.

    Example:
        >>> precision("auto", torch.device("cpu"))
        torch.float32
    """
    if name not in PRECISIONS:
        raise unknown("`precision`", name, PRECISIONS)
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if name == "bf16" or (name == "auto" and native) else torch.float32


@contextmanager
def computing(net: Net, precision_name: str) -> Iterator[torch.dtype]:
    """Let the backbone of a net compute in a precision for a while, on whatever way it is called.

    Its features come out as float32, so that heads, losses, and whatever weighs or compares them, stay
    in float32, and so do the weights, their gradients and the optimizer.

    Args:
        net: whose backbone; weights, state and behaviour are as before afterwards.
        precision_name: as in ``precision``.

    Example:
        >>> from torch import nn
        >>> net = Net(nn.Linear(2, 4), {"coins": nn.Linear(4, 2)})
        >>> with computing(net, "bf16"):
        ...     net.features(torch.ones(1, 2)).dtype
        torch.float32
    """
    place = device_of(net)
    dtype = precision(precision_name, place)
    if dtype == torch.float32:
        yield dtype
        return
    entered: list[torch.autocast] = []
    on = True  # a copy of the net that is made meanwhile has these hooks for good

    def enter(module: torch.nn.Module, args: Any) -> None:
        entered.append(torch.autocast(place.type, dtype=dtype, enabled=on))
        entered[-1].__enter__()

    def leave(module: torch.nn.Module, args: Any, features: Tensor | None) -> Tensor | None:
        entered.pop().__exit__(None, None, None)
        return features.float() if on and features is not None else features

    hooks = [
        net.backbone.register_forward_pre_hook(enter),
        net.backbone.register_forward_hook(leave, always_call=True),
    ]
    try:
        yield dtype
    finally:
        on = False
        for hook in hooks:
            hook.remove()
