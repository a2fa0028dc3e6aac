"""Nouns: what a task is, what a batch is, what an episode is, and streams of them."""

from .encoding import Encoding
from .kinds import (
    Binary,
    Box,
    DenseRegression,
    Detection,
    Kind,
    Label,
    Multiclass,
    Multilabel,
    Regression,
    Segmentation,
    Tokens,
)
from .nouns import Batch, Episodes, Inputs, Labelled, Lazy, Shift, Task, X
from .streams import Episode, Stream, batches, draw_episodes, episodes, pairs, shifted
from .thin import Thin

__all__ = [
    "Batch",
    "Binary",
    "Box",
    "DenseRegression",
    "Detection",
    "Encoding",
    "Episode",
    "Episodes",
    "Inputs",
    "Kind",
    "Label",
    "Labelled",
    "Lazy",
    "Multiclass",
    "Multilabel",
    "Regression",
    "Segmentation",
    "Shift",
    "Stream",
    "Task",
    "Thin",
    "Tokens",
    "X",
    "batches",
    "draw_episodes",
    "episodes",
    "pairs",
    "shifted",
]
