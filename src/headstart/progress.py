"""Progress for whatever takes over two seconds: on stderr, or in the cell of a notebook."""

from __future__ import annotations

import html
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from .errors import clean

QUIET = 2.0  # seconds before anything is shown
REDRAW = 0.2  # seconds between two drawings of the bar
PLAIN = 30.0  # seconds between two lines where stderr is no terminal
TENTH = 2.0  # between two of them where a tenth more is done
TICK = 1.0  # seconds between two looks at the clock, where nobody tells anything
KNOWN = 2  # steps that have to end before it is said how long the others take
RECENT = 10  # parts of the whole: the speed is that of about the last of them


class Bar:
    """Show how far a loop is: a bar on a terminal or in a notebook, else plain lines.

    There is a line for every tenth and every half minute. How long it will take is said from steps that
    have ended, and from the last of them most.

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
        self.title, self.steps, self.start, self.unit = clean(title), steps, start, unit
        self.step, self.note, self.why = start, "", ""
        self.began = self.ended = time.monotonic()  # when the last step ended
        self.pace = 0.0  # seconds for a step
        self.tenth, self.told = 0, float("-inf")  # of the last plain line: how far, and when
        self.lock, self.over = threading.Lock(), threading.Event()
        self.due = float("inf") if progress is False else self.began + (0.0 if progress else QUIET)
        self.bar: Any = None  # of the terminal
        self.cell: Any = None  # of the notebook

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        with self.lock:
            self.due = float("inf")
            if self.bar is not None:
                self.bar.stop()

    def show(self, step: int, losses: Mapping[str, float] | None = None) -> None:
        """Tell how many steps are done, and the losses of the last one."""
        with self.lock:
            now = time.monotonic()
            if step > self.step:
                self._learn(step, now)
            if now < self.due and not (self._further() and now >= self.told + TENTH):
                return
            self.note = clean("  ".join(f"{name} {value:.4g}" for name, value in (losses or {}).items()))
            self._tell(now)

    def extend(self, steps: int, why: str) -> None:
        """Say how many steps there are by now; where they are more than before, why is said with them."""
        if steps > self.steps:
            self.why = f"{steps - self.steps} more: {why}"
        self.steps = steps

    def watch(self) -> None:
        """Tell how far it is even while no step ends, as a step may take minutes."""

        def look() -> None:
            while not self.over.wait(TICK):
                self.show(self.step)

        if self.due < float("inf") and "ipykernel" not in sys.modules:
            threading.Thread(target=look, daemon=True).start()

    def _learn(self, step: int, now: float) -> None:
        """Learn from steps that ended how long one takes."""
        ended, count = step - self.step, step - self.start
        share = 1 - (1 - 1 / min(count, max(KNOWN, self.steps / RECENT))) ** ended if count > ended else 1.0
        self.pace += share * ((now - self.ended) / ended - self.pace)
        self.step, self.ended = step, now

    def _further(self) -> bool:
        """Tell whether a tenth more is done than at the last plain line."""
        return self.tenth < 10 * self.step // max(1, self.steps) and self.told > float("-inf")

    def _tell(self, now: float) -> None:
        if "ipykernel" in sys.modules:
            self._display()
            self.due = now + REDRAW
        elif sys.stderr.isatty():
            self._draw()
            self.due = now + REDRAW
        else:
            print(f"{self._told()}  {self._beside()}".rstrip(), file=sys.stderr)
            self.due, self.told = now + PLAIN, now
            self.tenth = 10 * self.step // max(1, self.steps)

    def _told(self) -> str:
        """Say how far it is, and how long it will take."""
        left = self._left()
        return f"{self.title}: {self.unit} {self.step}/{self.steps}" + f", {left}" * bool(left)

    def _beside(self) -> str:
        return "  ".join(filter(None, (self.why, self.note)))

    def _left(self) -> str:
        """Say how long it will take, where steps that ended tell; where that time is over, nothing."""
        left = self.pace * (self.steps - self.step) - (time.monotonic() - self.ended)
        if self.step - self.start < KNOWN or self.step >= self.steps or left < 0:
            return ""
        return f"{left:.0f} s left" if left < 90 else f"{left / 60:.0f} min left"

    def _repr_html_(self) -> str:
        """Show itself in a notebook."""
        note = html.escape(self._beside())
        bar = f'<progress value="{self.step}" max="{self.steps}" style="width: 20em"></progress>'
        return f"{bar} {html.escape(self._told())} <small>{note}</small>"

    def _display(self) -> None:
        """Show the bar in the notebook's cell, in place of what it showed before."""
        if self.cell is None:
            from IPython.display import display

            self.cell = display(self, display_id=True)
        else:
            self.cell.update(self)

    def _draw(self) -> None:
        note = self._beside()
        if self.bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            self.bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn(self.unit, markup=False),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}", markup=False),
                TextColumn("{task.fields[note]}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            self.bar.add_task(self.title, total=self.steps, completed=self.start, note=note, left="")
            self.bar.start()
        self.bar.update(
            self.bar.task_ids[0], total=self.steps, completed=self.step, note=note, left=self._left()
        )
