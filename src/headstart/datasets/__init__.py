"""Readers that turn files and references into tasks."""

from ..tasks.encoding import Encoding
from .classes import rotations
from .frames import from_frame
from .options import Reader
from .references import READERS, encode, encoding_from_json, read
from .shots import random_shots, shots, unlabel
from .splits import SplitSpec

__all__ = [
    "READERS",
    "Encoding",
    "Reader",
    "SplitSpec",
    "encode",
    "encoding_from_json",
    "from_frame",
    "random_shots",
    "read",
    "rotations",
    "shots",
    "unlabel",
]
