"""What ``fit`` keeps in a run: losses at every step, checkpoints, a heartbeat."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch.optim.lr_scheduler import LRScheduler

from ..errors import explain, wrong
from ..models import device_of
from .checkpoint import Checkpoint, Checkpoints, forget, forget_beyond, latest, save
from .journal import Journal
from .log import Log
from .status import BEAT, Heartbeat


class Phase:
    """Restore one call of ``fit`` from a run, and record it from there on.

    Args:
        name: which call.
        steps: its length.
        log: filled with the losses of the steps that were done before.
        parts: what has a state, by name; restored in place.
        scheduler: its callables are the caller's and are not stored.
        checkpoints: where they lie, and how often there is one.
        journal: where the losses of every step go.
        heart: where it is told how far the phase is.

    Raises:
        ValueError: if there are checkpoints of this phase with another length or for another net.
    """

    def __init__(
        self,
        name: str,
        steps: int,
        log: Log,
        parts: Mapping[str, Any],
        scheduler: LRScheduler | None,
        *,
        checkpoints: Checkpoints,
        journal: Journal,
        heart: Heartbeat,
    ) -> None:
        self.name, self.steps, self.log = name, steps, log
        self.parts, self.scheduler = dict(parts), scheduler
        self.checkpoints, self.journal, self.heart = checkpoints, journal, heart
        self.device = device_of(parts["net"])
        self.start, self.kept = journal.kept, list[int]()
        journal.go_to(self.start)
        self._restore(latest(checkpoints.directory, name, journal))
        self.began, self.before = time.monotonic(), log.seconds
        self.flush_due, self.save_due = self.began, self.began + checkpoints.every_seconds
        heart.tell(name, log.steps, steps)
        if log.steps < steps:  # forget what an earlier attempt wrote beyond the point where it goes on
            forget_beyond(checkpoints.directory, journal.end)
            journal.cut()

    def _restore(self, found: Checkpoint | None) -> None:
        if found is None:
            return
        if found.steps != self.steps:
            hint = "train in another directory, or pass `overwrite=True`"
            what = f'`steps` of phase "{self.name}"'
            raise wrong(what, expected=f"{found.steps}, as in the run", found=self.steps, hint=hint)
        state = dict(found.state)
        on_cuda = state.pop("random_cuda", None)
        if state.keys() != self._state().keys():
            here, there = sorted(self._state()), sorted(state)
            raise wrong(f'parts of phase "{self.name}"', expected=f"{there}, as in the run", found=here)
        try:
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
                if isinstance(part, torch.optim.Optimizer):
                    _lay_as_weights(part)
        except (RuntimeError, ValueError) as error:
            what = f'net and optimizer of phase "{self.name}"'
            raise wrong(what, expected="built as in the run", found=" ".join(str(error).split())) from error
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        torch.set_rng_state(state["random"])
        self._restore_cuda(on_cuda)
        for values in self.journal.losses(found.start, found.offset):
            self.log.append(values)
        self.log.seconds = found.seconds
        self.start, self.kept = found.start, [found.step]
        self.journal.go_to(found.offset)

    def _state(self) -> dict[str, Any]:
        state = {name: part.state_dict() for name, part in self.parts.items()}
        if self.scheduler is not None:
            state["scheduler"] = {k: v for k, v in self.scheduler.state_dict().items() if not callable(v)}
        return state | {"random": torch.get_rng_state()}

    def _cuda(self) -> dict[str, Any]:
        """Return the random state of the device, where it has one of its own."""
        there = self.device.type == "cuda"
        return {"random_cuda": torch.cuda.get_rng_state(self.device)} if there else {}

    def _restore_cuda(self, random: torch.Tensor | None) -> None:
        """Go on on another device as well, but say that the numbers will be others."""
        if (random is not None) != (self.device.type == "cuda"):
            there, here = ("CUDA", self.device.type) if random is not None else ("another device", "CUDA")
            what = f'device of phase "{self.name}"'
            hint = "it goes on, with numbers that differ from those of an unbroken run"
            warnings.warn(
                explain(what, expected=f"{there}, as in the run", found=here, hint=hint), stacklevel=2
            )
        elif random is not None:
            torch.cuda.set_rng_state(random, self.device)

    def after(self, step: int) -> None:
        """Record a step that is done; save where a checkpoint is due, or the work is asked to end."""
        self.journal.add(self.name, step - 1, self.log.last)
        now, last, asked = time.monotonic(), step == self.steps, self.heart.ending.asked
        if last or asked or self.checkpoints.due(step) or now >= self.save_due:
            self._save(step)
            self.save_due = time.monotonic() + self.checkpoints.every_seconds
        if last or now >= self.flush_due:
            self.journal.flush()
            self.flush_due = now + BEAT
        self.heart.tell(self.name, step, self.steps)
        if asked:
            self.heart.ending.stop()

    def __enter__(self) -> Self:
        self.heart.ending.patient = True
        return self

    def __exit__(self, *error: object) -> None:
        self.heart.ending.patient = False
        if self.heart.ending.asked and error == (None, None, None):
            self.heart.ending.stop()

    def _save(self, step: int) -> None:
        _check_finite(self.parts["net"], step)
        self.journal.flush()
        seconds = self.before + time.monotonic() - self.began
        state, place, written = self._state() | self._cuda(), self.journal.end, self.journal.digest()
        now = Checkpoint(self.name, step, self.steps, self.start, place, written, seconds, state)
        save(self.checkpoints.directory, now)
        self.kept = [*self.kept[-1:], step]
        forget(self.checkpoints.directory, self.name, self.kept)
        self.journal.kept = self.journal.end


def check_resumable(stream: Any) -> None:
    """Raise ``ValueError`` for a stream that cannot go on where it was."""
    try:
        stream.state_dict()
    except AttributeError:
        found, hint = type(stream).__name__, "use `batches`, `shifted` or `episodes`"
        raise wrong(
            "`stream` of a run", expected="a `Stream`, which resumes", found=found, hint=hint
        ) from None


def _check_finite(net: torch.nn.Module, step: int) -> None:
    """Raise ``FloatingPointError`` for weights and buffers that are kept and hold NaN or infinity."""
    kept = net.state_dict()
    for name, tensor in (*net.named_parameters(), *net.named_buffers()):
        if name in kept and not _finite(tensor):
            raise wrong(
                f'weights "{name}" after step {step - 1}',
                expected="finite",
                found="NaN or infinity",
                error=FloatingPointError,
            )


def _finite(tensor: torch.Tensor) -> bool:
    return (
        not tensor.is_floating_point() or math.isfinite(tensor.sum().item()) or bool(tensor.isfinite().all())
    )


def _lay_as_weights(optimizer: torch.optim.Optimizer) -> None:
    """Lay what an optimizer keeps of each weight out in memory as the weight: sums round by that order."""
    for weight, kept in optimizer.state.items():
        for name, value in kept.items():
            if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                kept[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
