"""Tasks side by side: what they share, and whose gradient counts how much.

Hard sharing, one backbone with one head per task, is a plain ``Net`` trained by ``Supervised``. All other
patterns are backbones that are told the task.
"""

from ..models.sharing import MTAN, PLE, CrossStitch, Hierarchical, MMoE, Routed, SharedPrivate, Soft
from ._backward import backward
from ._beside import beside
from ._mgda import mgda
from ._pcgrad import pcgrad
from ._uncertainty import Uncertainty
from ._weighted import PerTask, weighted

__all__ = [
    "MTAN",
    "PLE",
    "CrossStitch",
    "Hierarchical",
    "MMoE",
    "PerTask",
    "Routed",
    "SharedPrivate",
    "Soft",
    "Uncertainty",
    "backward",
    "beside",
    "mgda",
    "pcgrad",
    "weighted",
]
