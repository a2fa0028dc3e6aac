"""Endless streams of batches that any step of can be computed again.

A stream draws one seed from the caller's generator when it is made and nothing afterwards. What it
gives at a step is a function of that seed and of the step, so its whole state is a few integers
(JSON), resuming is exact and costs nothing, and the global random state is never touched.
"""

from .batches import batches
from .drawn import Episode, draw_episodes
from .episodes import episodes
from .pairs import pairs
from .shifted import shifted
from .stream import Stream, positive

__all__ = ["Episode", "Stream", "batches", "draw_episodes", "episodes", "pairs", "positive", "shifted"]
