"""Where a net computes, and in what numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from ..errors import unknown, wrong
from ..models import Net, device_of
from ..tasks.nouns import convert, tensors

V = TypeVar("V")
PRECISIONS = ("float32", "bf16", "auto")


def device(name: str = "auto") -> torch.device:
    """Find a device of this machine by its name.

    Args:
        name: ``"auto"`` takes CUDA, else MPS, else the CPU; or ``"cpu"``, ``"cuda"``, ``"cuda:1"``,
            ``"mps"``.

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
def computing(net: Net, dtype: torch.dtype) -> Iterator[None]:
    """Let the backbone of a net compute in a precision for a while, on whatever way it is called.

    Its features come out as float32, so that heads, losses, and whatever weighs or compares them, stay
    in float32, and so do the weights, their gradients and the optimizer.

    Args:
        net: whose backbone; weights, state and behaviour are as before afterwards.
        dtype: what ``precision`` chose.

    Example:
        >>> from torch import nn
        >>> net = Net(nn.Linear(2, 4), {"coins": nn.Linear(4, 2)})
        >>> with computing(net, torch.bfloat16):
        ...     net.features(torch.ones(1, 2)).dtype
        torch.float32
    """
    if dtype == torch.float32:
        yield
        return
    kind = device_of(net).type
    entered: list[torch.autocast] = []
    on = True  # a copy of the net that is made meanwhile has these hooks for good

    def enter(module: torch.nn.Module, args: Any) -> None:
        entered.append(torch.autocast(kind, dtype=dtype, enabled=on))
        entered[-1].__enter__()

    def leave(module: torch.nn.Module, args: Any, given: Any) -> Any:
        entered.pop().__exit__(None, None, None)
        return tree_map_only(Tensor, Tensor.float, given) if on else given

    hooks = [
        net.backbone.register_forward_pre_hook(enter),
        net.backbone.register_forward_hook(leave, always_call=True),
    ]
    try:
        yield
    finally:
        on = False
        for hook in hooks:
            hook.remove()


def to(batch: V, device: torch.device) -> V:
    """Copy a batch to a device; what is there already is not, and rows that tasks share stay shared."""
    if {part.device for part in tensors(batch)} <= {device}:
        return batch
    return convert(batch, lambda part: part.to(device))


class Copier(Protocol):
    """Copy batches in two moves: one that begins, and one that ends where the copy is needed."""

    def begin(self, batch: Any) -> Any:
        """Begin a copy."""

    def end(self, begun: Any) -> Any:
        """Return the copy when whatever comes next may use it."""


class Pinned:
    """Copy batches to a CUDA device from pinned memory, while it computes.

    Args:
        device: where to.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.stream = device, torch.cuda.Stream(device)

    def begin(self, batch: V) -> tuple[V, torch.cuda.Event]:
        """Begin a copy on a stream of its own."""
        with torch.cuda.stream(self.stream):
            there = convert(batch, self._copy)
        return there, self.stream.record_event()

    def _copy(self, part: Tensor) -> Tensor:
        return part.pin_memory().to(self.device, non_blocking=True) if part.is_cpu else part.to(self.device)

    def end(self, begun: tuple[V, torch.cuda.Event]) -> V:
        """Let what is computed from now on wait for the copy."""
        there, event = begun
        now = torch.cuda.current_stream(self.device)
        now.wait_event(event)
        for part in tensors(there):
            part.record_stream(now)
        return there


class Ahead:
    """Copy each batch of a stream while the one before is trained on.

    Its state is that of the stream after the batches that were given, so that resuming is exact
    though one more has been taken.

    Args:
        stream: of batches.
        copier: how to copy.
        resumable: whether the state will be asked for.
    """

    def __init__(self, stream: Any, copier: Copier, *, resumable: bool = False) -> None:
        self.stream, self.copier, self.resumable = stream, copier, resumable
        self._state: dict[str, Any] | None = None

    def pairs(self, count: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Give up to ``count`` batches with their copies, and take no more of the stream than that."""
        begun: deque[tuple[Any, Any, dict[str, Any] | None]] = deque()
        for batch in islice(self.stream, count):
            state = self.stream.state_dict() if self.resumable else None
            begun.append((batch, self.copier.begin(batch), state))
            if len(begun) > 1:
                yield self._give(*begun.popleft())
        while begun:
            yield self._give(*begun.popleft())

    def _give(self, batch: V, begun: Any, state: dict[str, Any] | None) -> tuple[V, V]:
        self._state = state
        return batch, self.copier.end(begun)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the stream after the batch that was given last."""
        return self.stream.state_dict() if self._state is None else self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the step that ``state`` was taken at."""
        self.stream.load_state_dict(state)


def moved(batches: Iterable[V], device: torch.device) -> Iterator[V]:
    """Give batches on a device; on CUDA each is copied while the one before is in use."""
    if device.type != "cuda":
        return (to(batch, device) for batch in batches)
    return (copy for _, copy in Ahead(batches, Pinned(device)).pairs())
