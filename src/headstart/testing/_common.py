"""What the checks share."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..models import Net
from ..tasks.nouns import convert, tensors


def require(holds: bool | Tensor, message: str) -> None:
    """Raise ``AssertionError`` with a message, also where Python runs with ``-O``."""
    if not holds:
        raise AssertionError(message)


def converted(value: Any, to: torch.dtype | torch.device | str) -> Any:
    """Copy a batch with its real numbers in another type, or on another device."""
    placed = isinstance(to, str | torch.device)
    return convert(value, lambda part: part.to(to) if placed or part.is_floating_point() else part)


def same(a: Tensor, b: Tensor) -> bool:
    """Tell whether two tensors are equal to the bit; NaN equals NaN."""
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a.nan_to_num(7.25), b.nan_to_num(7.25))


def close(a: Tensor, b: Tensor) -> bool:
    """Tell whether two tensors are equal to single precision."""
    return torch.allclose(a.detach().double().cpu(), b.detach().double().cpu(), rtol=1e-3, atol=1e-4)


@contextmanager
def untouched(what: str, *values: Any) -> Iterator[None]:
    """Hold that neither the values nor a global random state change."""
    before = [t.detach().clone() for value in values for t in tensors(value)]
    state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    yield
    after = [t for value in values for t in tensors(value)]
    require(all(map(same, before, after)), f"{what} changes its inputs or the net")
    require(torch.equal(state, torch.get_rng_state()), f"{what} draws from torch's global random state")
    numpy_after = np.random.get_state()  # noqa: NPY002
    require(
        all(np.array_equal(a, b) for a, b in zip(numpy_state, numpy_after, strict=True)),
        f"{what} draws from numpy's global random state",
    )
    require(python_state == random.getstate(), f"{what} draws from Python's global random state")


def pickled(what: str, value: Any) -> Any:
    """Send a value through pickle."""
    try:
        return pickle.loads(pickle.dumps(value))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AssertionError(f"{what} cannot be pickled: {error}") from error


def moved(net: Net) -> Net:
    """Copy a net, with weights a little off, so that what pulls to a start has a gradient."""
    net = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator, dtype=p.dtype).to(p.device))
    return net


def reaches(module: nn.Module) -> bool:
    """Tell whether a finite gradient other than zero arrived at a module."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return all(bool(g.isfinite().all()) for g in gradients) and any(bool(g.any()) for g in gradients)


def cast(value: Any, to: torch.dtype | torch.device | str) -> Any:
    """Copy a method, with its weights in another type or on another device where it has some."""
    value = copy.deepcopy(value)
    return value.to(to) if isinstance(value, nn.Module) else value
