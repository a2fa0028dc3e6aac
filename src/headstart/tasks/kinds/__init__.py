"""What an answer is: the loss that trains it, the head that gives it, the measures that score it.

One file per kind. A missing label is NaN (float targets) or -100 (integer targets). It adds nothing
to a loss: every loss is the mean over the labels that are there, and 0 (with a graph, so that
``backward`` works) where none is.
"""

from .binary import Binary
from .boxes import Box
from .dense import DenseRegression
from .detection import Detection
from .kind import Kind, Label, kind_from_json
from .measures import Measure
from .missing import MISSING, known, present
from .multiclass import Multiclass
from .multilabel import Multilabel
from .named import class_names
from .regression import Regression
from .segmentation import Segmentation
from .standard import Standard
from .tokens import Tokens

__all__ = [
    "MISSING", "Binary", "Box", "DenseRegression", "Detection", "Kind", "Label", "Measure", "Multiclass",
    "Multilabel", "Regression", "Segmentation", "Standard", "Tokens", "class_names", "kind_from_json",
    "known", "present",
]  # fmt: skip
