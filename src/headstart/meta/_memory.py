"""How much memory a computation holds at its peak, and how many episodes fit."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils._python_dispatch import TorchDispatchMode


class Peak(TorchDispatchMode):
    """While entered, follow the bytes of all tensors that are made; ``most`` is their largest sum."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {tensor.untyped_storage()._cdata for tensor in _tensors(args)}
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            storage = tensor.untyped_storage()
            if storage._cdata not in self._alive and storage._cdata not in given:
                self._add(storage)
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()
        self._alive.add(storage._cdata)
        weakref.finalize(storage, self._remove, storage._cdata, size)
        self.now += size
        self.most = max(self.most, self.now)

    def _remove(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self.now -= size


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)


def episodes_within(limit: int, total: int, run: Callable[[int], None]) -> int:
    """Tell how many episodes side by side stay below a limit in bytes: 0 where not even one does.

    Args:
        limit: in bytes.
        total: episodes there are, the most that is of use.
        run: takes a step with so many of them.
    """
    peaks = []
    for count in (1, 2):
        with Peak() as peak:
            run(min(count, total))
        peaks.append(peak.most)
    each = max(1, peaks[1] - peaks[0])
    return max(0, min(total, (limit - peaks[0]) // each + 1))


class Recomputed(torch.autograd.Function):
    """Call a function without keeping its graph, and once more when its gradient is asked for.

    Args (of ``apply``):
        function: from the state to tensors.
        count: of the tensors that are the state; the leaves that the function reads on its own follow.
    """

    @staticmethod
    def forward(
        ctx: Any, function: Callable[..., tuple[Tensor, ...]], count: int, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.function, ctx.count = function, count
        ctx.save_for_backward(*tensors)
        with torch.no_grad():
            return function(*tensors[:count])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        state = [t.detach().requires_grad_(t.requires_grad) for t in ctx.saved_tensors[: ctx.count]]
        by = [t for t in (*state, *ctx.saved_tensors[ctx.count :]) if t.requires_grad]
        with torch.enable_grad():
            pairs = zip(ctx.function(*state), upstream, strict=True)
            made, up = zip(*((out, u) for out, u in pairs if out.requires_grad), strict=True)
            found = iter(torch.autograd.grad(made, by, up, allow_unused=True))
        asked = ctx.needs_input_grad[2:]
        return None, None, *(next(found) if needed else None for needed in asked)
