"""Tasks side by side: whose gradient counts how much.

Hard sharing, one backbone with one head per task, is a plain ``Net`` trained by ``Supervised``.
"""

from ._aligned import aligned
from ._backward import backward
from ._cagrad import cagrad
from ._dualproj import dualproj
from ._fairgrad import fairgrad
from ._gradvac import GradVac
from ._imtl_g import imtl_g
from ._mgda import mgda
from ._nash import nash
from ._pcgrad import pcgrad
from ._uncertainty import Uncertainty
from ._upgrad import upgrad
from ._weighted import PerTask, weighted

__all__ = [
    "GradVac",
    "PerTask",
    "Uncertainty",
    "aligned",
    "backward",
    "cagrad",
    "dualproj",
    "fairgrad",
    "imtl_g",
    "mgda",
    "nash",
    "pcgrad",
    "upgrad",
    "weighted",
]
