"""A saved model in use: load it, ask it, measure it, teach it new classes."""

from ._load import load
from .model import Model
from .predictions import Predictions

__all__ = ["Model", "Predictions", "load"]
