"""Readers that turn files and references into tasks."""

from ..tasks.encoding import Encoding
from .classes import rotations
from .featuremaps import FeatureMap, columns_by_name, map_columns, map_pairs, match_by_label, transferable
from .frames import from_frame
from .kernelmaps import KernelMap, map_kernel
from .options import Reader
from .readers.unlabelled import plain_texts, train_tokenizer
from .references import READERS, encode, encoding_from_json, read
from .shots import random_shots, shots, unlabel
from .splits import SplitSpec

__all__ = [
    "READERS",
    "Encoding",
    "FeatureMap",
    "KernelMap",
    "Reader",
    "SplitSpec",
    "columns_by_name",
    "encode",
    "encoding_from_json",
    "from_frame",
    "map_columns",
    "map_kernel",
    "map_pairs",
    "match_by_label",
    "plain_texts",
    "random_shots",
    "read",
    "rotations",
    "shots",
    "train_tokenizer",
    "transferable",
    "unlabel",
]
