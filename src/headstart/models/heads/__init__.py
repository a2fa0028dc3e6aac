"""Heads that are no network: a file for each, and how every head is described in a saved model."""

from .attention import Attention
from .average import Average
from .chain import Chain
from .denoised import Denoised
from .describe import build, describe
from .layer import Layer
from .lookup import Lookup
from .nearest import Nearest
from .neighbours import Neighbours
from .relations import Relations
from .sphere import Sphere
from .sums import Sums
from .trees import Trees
from .vectors import Vectors, Votes

__all__ = [
    "Attention",
    "Average",
    "Chain",
    "Denoised",
    "Layer",
    "Lookup",
    "Nearest",
    "Neighbours",
    "Relations",
    "Sphere",
    "Sums",
    "Trees",
    "Vectors",
    "Votes",
    "build",
    "describe",
]
