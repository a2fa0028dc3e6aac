"""Scores that say, before any training, how well a pretrained net would transfer."""

from .leep import leep
from .logme import logme

__all__ = ["leep", "logme"]
