"""Tasks side by side: whose gradient counts how much.

Hard sharing, one backbone with one head per task, is a plain ``Net`` trained by ``Supervised``.
"""

from ._backward import backward
from ._mgda import mgda
from ._pcgrad import pcgrad
from ._uncertainty import Uncertainty
from ._weighted import PerTask, weighted

__all__ = ["PerTask", "Uncertainty", "backward", "mgda", "pcgrad", "weighted"]
