"""What asks the work to end: SIGTERM and SIGHUP, as batch systems and containers send them, act as Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Ending:
    """Turn signals into ``KeyboardInterrupt``, at once or when the work comes to a place where it can stop.

    Signals that the program handles or ignores itself stay as they are (``nohup``).

    Attributes:
        patient: whether the work looks at ``asked`` itself; a second signal ends it at once all the same.
        asked: whether a signal came.
    """

    def __init__(self) -> None:
        self.patient = self.asked = False
        self._pid, self._taken = 0, list[int]()

    def begin(self) -> None:
        """Take the signals over, where Python lets one: in the main thread."""
        self._pid, self.asked = os.getpid(), False
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is signal.SIG_DFL:
                    signal.signal(number, self._ask)
                    self._taken.append(number)

    def end(self) -> None:
        """Give them back."""
        while self._taken:
            signal.signal(self._taken.pop(), signal.SIG_DFL)

    def stop(self) -> None:
        """End the work that was asked to end."""
        raise KeyboardInterrupt("asked by a signal to end")

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a child by fork ends as if nobody had taken the signal
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self.patient and not self.asked:
            self.asked = True
        else:
            self.asked = True
            self.stop()
