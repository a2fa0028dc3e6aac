"""Readers that turn files and references into tasks."""

from .classes import rotations
from .options import Reader
from .references import READERS, encode, read
from .shots import shots, unlabel
from .splits import SplitSpec

__all__ = ["READERS", "Reader", "SplitSpec", "encode", "read", "rotations", "shots", "unlabel"]
