"""What ``fit`` keeps in a run: losses at every step, checkpoints, a heartbeat."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from ..atomic import writing
from ..errors import wrong
from ..models import device_of
from ..tasks import Stream
from .checkpoint import Checkpoint, each_tensor, forget, forget_beyond, latest, save

if TYPE_CHECKING:
    from .fit import Log
    from .run import Run

BEAT = 1.0  # seconds between heartbeats


class Phase:
    """Restore one call of ``fit`` from a run, and record it from there on.

    Args:
        run: where.
        name: which call.
        steps: its length.
        log: filled with the losses of the steps that were done before.
        parts: what has a state, by name; restored in place.
        scheduler: its callables are the caller's and are not stored.

    Raises:
        ValueError: if the run holds this phase with another length or for another net, or if the
            stream cannot be resumed.
    """

    def __init__(
        self,
        run: Run,
        name: str,
        steps: int,
        log: Log,
        parts: Mapping[str, Any],
        scheduler: LRScheduler | None,
    ) -> None:
        if not isinstance(parts["stream"], Stream):
            found, hint = type(parts["stream"]).__name__, "use `batches`, `shifted` or `episodes`"
            raise wrong("`stream` of a run", expected="a `Stream`, which resumes", found=found, hint=hint)
        self.run, self.name, self.steps, self.log = run, name, steps, log
        self.parts, self.scheduler = dict(parts), scheduler
        self.device = device_of(parts["net"])
        self.start = self.offset = run.offset
        self.kept: list[int] = []
        self.lines: list[str] = []
        self._restore(latest(run.checkpoints, name, run.length()))
        self.began, self.before = time.monotonic(), log.seconds
        self.beat_due, self.save_due = self.began, self.began + run.every_seconds
        if log.steps < steps:
            self._cut()

    def _restore(self, found: Checkpoint | None) -> None:
        if found is None:
            return
        if found.steps != self.steps:
            hint = "train in another directory, or pass `overwrite=True`"
            what = f'`steps` of phase "{self.name}"'
            raise wrong(what, expected=f"{found.steps}, as in the run", found=self.steps, hint=hint)
        state = found.state
        if state.keys() != self._state().keys():
            here, there = sorted(self._state()), sorted(state)
            raise wrong(f'parts of phase "{self.name}"', expected=f"{there}, as in the run", found=here)
        try:
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
        except (RuntimeError, ValueError) as error:
            what = f'net and optimizer of phase "{self.name}"'
            raise wrong(what, expected="built as in the run", found=" ".join(str(error).split())) from error
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"], self.device)
        for values in self.run.losses(found.start, found.offset):
            self.log.append(values)
        self.log.seconds = found.seconds
        self.start, self.offset, self.kept = found.start, found.offset, [found.step]
        self.run.offset = found.offset

    def _state(self) -> dict[str, Any]:
        state = {name: part.state_dict() for name, part in self.parts.items()}
        if self.scheduler is not None:
            state["scheduler"] = {k: v for k, v in self.scheduler.state_dict().items() if not callable(v)}
        if self.device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self.device)
        return state | {"random": torch.get_rng_state()}

    def _cut(self) -> None:
        """Forget what an earlier attempt wrote beyond the point where training goes on."""
        forget_beyond(self.run.checkpoints, self.offset)
        with writing(self.run.metrics):
            os.truncate(self.run.metrics, self.offset)

    def after(self, step: int) -> None:
        """Record a step that is done; save where a checkpoint is due."""
        line = json.dumps({"phase": self.name, "step": step - 1, "losses": self.log.last}) + "\n"
        self.lines.append(line)
        now, last = time.monotonic(), step == self.steps
        due = self.run.every_steps is not None and step % self.run.every_steps == 0
        if last or due or now >= self.save_due:
            self._save(step)
            self.save_due = time.monotonic() + self.run.every_seconds
        if last or now >= self.beat_due:
            self.flush()
            self.run.beat("running", self.name, step, self.steps)
            self.beat_due = now + BEAT

    def flush(self) -> None:
        """Append the lines that wait to ``metrics.jsonl``, all of them or none."""
        data = "".join(self.lines).encode()
        with writing(self.run.metrics):
            try:
                with open(self.run.metrics, "ab") as file:
                    file.write(data)
            except OSError:
                os.truncate(self.run.metrics, self.offset)
                raise
        self.offset += len(data)
        self.lines = []

    def _save(self, step: int) -> None:
        state = self._state()
        bad = [n for n, t in state["net"].items() for t in each_tensor(t) if not _finite(t)]
        if bad:
            raise wrong(
                f'weights "{bad[0]}" after step {step - 1}',
                expected="finite",
                found="NaN or infinity",
                error=FloatingPointError,
            )
        self.flush()
        seconds = self.before + time.monotonic() - self.began
        save(
            self.run.checkpoints,
            Checkpoint(self.name, step, self.steps, self.start, self.offset, seconds, state),
        )
        self.kept = [*self.kept[-1:], step]
        forget(self.run.checkpoints, self.name, self.kept)
        self.run.offset = self.offset


def _finite(tensor: torch.Tensor) -> bool:
    return (
        not tensor.is_floating_point() or math.isfinite(tensor.sum().item()) or bool(tensor.isfinite().all())
    )
