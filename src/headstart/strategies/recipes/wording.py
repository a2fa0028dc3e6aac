"""The words that stand for the classes, where a strategy reads them."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import wrong
from ..strategy import Setting
from ..trial import Trial

AS_NAMED: dict[str, Setting] = {"words": []}  # the names of the classes


def worded(trial: Trial, names: Sequence[str]) -> list[str]:
    """Give the setting ``words``, or the names of the classes where it is left out.

    Args:
        trial: with the setting.
        names: of the trial's classes, written as words; as many as these.

    Raises:
        ValueError: if there are more or fewer words than classes.
    """
    given = [str(word) for word in trial.settings["words"]] or list(names)
    if len(given) != len(names):
        expected = f"one for each of {len(names)} classes, in their order"
        raise wrong("`words`", expected=expected, found=f"{len(given)}")
    return given
