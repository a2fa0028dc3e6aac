"""Tasks side by side: whose gradient counts how much.

Hard sharing, one backbone with one head per task, is a plain ``Net`` trained by ``Supervised``.
"""

from .backward import backward
from .mgda import mgda
from .pcgrad import pcgrad
from .uncertainty import Uncertainty
from .weighted import PerTask, weighted

__all__ = ["PerTask", "Uncertainty", "backward", "mgda", "pcgrad", "weighted"]
