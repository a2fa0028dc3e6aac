"""Where backbones come from: a file for each source, and its line in ``providers.py``."""

from ..net import width_of
from .code import PREFIX, Code, code
from .own import fitting
from .provider import Provider, Start
from .references import BACKBONES, backbone, start, tokenizer

__all__ = [
    "BACKBONES", "PREFIX", "Code", "Provider", "Start", "backbone", "code", "fitting", "start", "tokenizer",
    "width_of",
]  # fmt: skip
