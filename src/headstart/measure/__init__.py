"""Scores that say, before any training, how well a pretrained net would transfer."""

from ._leep import leep
from ._logme import logme

__all__ = ["leep", "logme"]
