"""Heads that are no network: a file for each, and how every head is described in a saved model."""

from .describe import build, describe
from .layer import Layer
from .lookup import Lookup
from .neighbours import Neighbours
from .sums import Sums
from .trees import Trees
from .vectors import Vectors, Votes

__all__ = ["Layer", "Lookup", "Neighbours", "Sums", "Trees", "Vectors", "Votes", "build", "describe"]
