"""How sound a way is, by the rule and by the same rule where nothing is said of what lies outside."""

from __future__ import annotations

from headstart.comparison import problem as comparing
from headstart.strategies import Starts


def judged(problem, way, shifts):
    """Judge a way at its stated settings: how sound, how sound without, and the part that lies outside."""
    seen, known = [], comparing.VALIDATORS

    def both(said, held, y, outside, ratio):
        seen.append((known["sound"](said, held, y, 0.0, ratio), outside))
        return known["sound"](said, held, y, outside, ratio)

    comparing.VALIDATORS = {**known, "sound": both}
    try:
        return problem.judge(way, 0, None, 0, Starts(), shifts)[0], *seen[0]
    finally:
        comparing.VALIDATORS = known
