"""Progress for whatever takes over two seconds: on stderr, or in the cell of a notebook."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

QUIET = 2.0  # seconds before anything is shown
REDRAW = 0.2  # seconds between two drawings of the bar
PLAIN = 10.0  # seconds between two lines where stderr is no terminal


class Bar:
    """Show how far a loop is: a bar on a terminal or in a notebook, else a plain line every ten seconds.

    Args:
        title: what is going on.
        steps: how many there are in all.
        progress: ``None`` shows it after two seconds, ``True`` at once, ``False`` never.
        start: steps that were done before.
        unit: what a step is called, such as "trial" or "MB".

    Example:
        >>> with Bar("fit", 3, None) as bar:
        ...     bar.show(1, {"digits": 2.3})
    """

    def __init__(
        self, title: str, steps: int, progress: bool | None = None, *, start: int = 0, unit: str = "step"
    ) -> None:
        self.title, self.steps, self.start, self.unit = title, steps, start, unit
        self.step, self.note = start, ""
        self.began = time.monotonic()
        self.due = float("inf") if progress is False else self.began + (0.0 if progress else QUIET)
        self.bar: Any = None  # of the terminal
        self.cell: Any = None  # of the notebook

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, step: int, losses: Mapping[str, float] | None = None) -> None:
        """Tell how many steps are done, and the losses of the last one."""
        now = time.monotonic()
        if now < self.due:
            return
        self.step = step
        self.note = "  ".join(f"{name} {value:.4g}" for name, value in (losses or {}).items())
        if "ipykernel" in sys.modules:
            self._display()
            self.due = now + REDRAW
        elif sys.stderr.isatty():
            self._draw(step, self.note)
            self.due = now + REDRAW
        else:
            print(f"{self._told()}  {self.note}".rstrip(), file=sys.stderr)
            self.due = now + PLAIN

    def _told(self) -> str:
        """Say how far it is, and how long it will take."""
        left = (time.monotonic() - self.began) / max(1, self.step - self.start) * (self.steps - self.step)
        return f"{self.title}: {self.unit} {self.step}/{self.steps}, {left:.0f} s left"

    def _repr_html_(self) -> str:
        """Show itself in a notebook."""
        bar = f'<progress value="{self.step}" max="{self.steps}" style="width: 20em"></progress>'
        return f"{bar} {html.escape(self._told())} <small>{html.escape(self.note)}</small>"

    def _display(self) -> None:
        """Show the bar in the notebook's cell, in place of what it showed before."""
        if self.cell is None:
            from IPython.display import display

            self.cell = display(self, display_id=True)
        else:
            self.cell.update(self)

    def _draw(self, step: int, note: str) -> None:
        if self.bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self.bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn(self.unit, markup=False),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            self.bar.add_task(self.title, total=self.steps, completed=self.start, note=note)
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], completed=step, note=note)
