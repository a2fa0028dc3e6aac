"""What the loop asks of an optimizer and of a scheduler: a step each, once per step."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..errors import wrong

LOOP = "or write the loop yourself, as in examples/own_loop.py"


def check_steps(optimizer: Optimizer, scheduler: LRScheduler | None, *, several: bool) -> None:
    """Raise ``ValueError`` for an optimizer or a scheduler whose step needs what the loop does not have.

    Args:
        optimizer: whose ``step()`` is to be called without a closure.
        scheduler: whose ``step()`` is to be called without arguments, or a ``ReduceLROnPlateau``.
        several: whether several processes train together.
    """
    if not hasattr(optimizer, "param_groups"):
        found, hint = repr(optimizer)[:40], "as in torch.optim.AdamW(net.parameters())"
        raise wrong("`optimizer`", expected="one of PyTorch's", found=found, hint=hint, error=TypeError)
    if needed := _required(optimizer):
        raise _closure(optimizer, f"`step({', '.join(needed)})`")
    if scheduler is None:
        return
    what, name = "`scheduler`", type(scheduler).__name__
    if isinstance(scheduler, ReduceLROnPlateau):
        if scheduler.mode != "min":
            hint = 'pass `mode="min"`: what it is told is the loss'
            raise wrong(
                what, expected="one that waits for a lower loss", found=name + ' of mode "max"', hint=hint
            )
        if several:
            hint = "each process would see another loss, and take other steps"
            raise wrong(what, expected="one that looks at no loss", found=name, hint=hint)
    elif needed := _required(scheduler):
        found, hint = f"{name}, whose step is `step({', '.join(needed)})`", f"take one of PyTorch's, {LOOP}"
        raise wrong(what, expected="one whose `step()` needs nothing", found=found, hint=hint)


def move(optimizer: Optimizer) -> None:
    """Take the optimizer's step; ``ValueError`` where it turns out to need a closure."""
    try:
        optimizer.step()
    except Exception as error:
        if "closure" in str(error):
            raise _closure(optimizer, " ".join(str(error).split())) from error
        raise


def advance(scheduler: LRScheduler, losses: Mapping[str, float]) -> None:
    """Take the scheduler's step; one that waits for a plateau is told the sum of the step's losses."""
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(sum(losses.values()))
    else:
        scheduler.step()


def _closure(optimizer: Optimizer, found: str) -> Exception:
    expected = "one that steps without a closure, since every gradient is computed once"
    found = f"{type(optimizer).__name__} ({found})"
    return wrong("`optimizer`", expected=expected, found=found, hint=f"take AdamW or SGD, {LOOP}")


def _required(mover: Any) -> list[str]:
    """Name what has to be given to a step; by its class, since a scheduler wraps the optimizer's own."""
    empty, free = inspect.Parameter.empty, (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    _, *parameters = inspect.signature(type(mover).step).parameters.values()
    return [p.name for p in parameters if p.default is empty and p.kind not in free]
