"""Tasks side by side: whose gradient counts how much.

Hard sharing, one backbone with one head per task, is a plain ``Net`` trained by ``Supervised``.
"""

from ._aligned import aligned
from ._backward import backward
from ._cagrad import cagrad
from ._cost import Cost, cost
from ._dualproj import dualproj
from ._dwa import DWA
from ._fairgrad import fairgrad
from ._famo import FAMO
from ._gls import gls
from ._gradnorm import GradNorm
from ._gradvac import GradVac
from ._imtl_g import imtl_g
from ._imtl_l import IMTL_L
from ._mgda import mgda
from ._nash import nash
from ._pcgrad import pcgrad
from ._rlw import RLW
from ._stch import STCH
from ._uncertainty import Uncertainty
from ._upgrad import upgrad
from ._weighted import PerTask, weighted
from ._weights import Weights

__all__ = [
    "DWA",
    "FAMO",
    "IMTL_L",
    "RLW",
    "STCH",
    "Cost",
    "GradNorm",
    "GradVac",
    "PerTask",
    "Uncertainty",
    "Weights",
    "aligned",
    "backward",
    "cagrad",
    "cost",
    "dualproj",
    "fairgrad",
    "gls",
    "imtl_g",
    "mgda",
    "nash",
    "pcgrad",
    "upgrad",
    "weighted",
]
