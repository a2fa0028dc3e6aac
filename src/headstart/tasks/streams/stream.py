"""What every stream is: one seed, one step, and the batch that follows from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ...errors import wrong
from ..nouns import Batch, Task


def positive(name: str, value: int) -> int:
    """Return ``value``, or raise ``ValueError`` where it is not a whole number above zero."""
    if value is True or not isinstance(value, int) or value < 1:
        raise wrong(f"`{name}`", expected="a whole number of at least 1", found=repr(value))
    return value


def check_names(tasks: Sequence[Task]) -> None:
    """Raise ``ValueError`` where tasks do not have distinct names, or there is none."""
    names = [t.name for t in tasks]
    if not names or len(set(names)) != len(names):
        raise wrong("`tasks`", expected="at least one task, with distinct names", found=names)


class Stream(ABC):
    """Iterate over batches for ever; ``state_dict`` and ``load_state_dict`` resume exactly."""

    def __init__(self, generator: torch.Generator) -> None:
        self._seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
        self._step = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        batch = self._batch()
        self._step += 1
        return batch

    @abstractmethod
    def _batch(self) -> Batch:
        """Give the batch of the step that is due."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain integers, fit for JSON."""
        return {"seed": self._seed, "step": self._step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the step that ``state`` was taken at."""
        self._seed, self._step = state["seed"], state["step"]
