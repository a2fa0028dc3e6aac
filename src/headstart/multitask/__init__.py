"""Tasks side by side: what they share, and whose gradient counts how much.

Hard sharing, one backbone with one head per task, is a plain ``Net`` trained by ``Supervised``. All other
patterns are backbones that are told the task.
"""

from ..models.sharing import MTAN, PLE, CrossStitch, Hierarchical, MMoE, Routed, SharedPrivate, Soft
from ._affinity import affinity, groups
from ._aligned import aligned
from ._backward import backward
from ._beside import beside
from ._cagrad import cagrad
from ._config import config
from ._cosines import cosines
from ._cost import cost
from ._dualproj import dualproj
from ._dwa import DWA
from ._entire_space import EntireSpace
from ._fairgrad import fairgrad
from ._famo import FAMO
from ._gls import gls
from ._graddrop import GradDrop
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
    "MTAN",
    "PLE",
    "RLW",
    "STCH",
    "CrossStitch",
    "EntireSpace",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "Hierarchical",
    "MMoE",
    "PerTask",
    "Routed",
    "SharedPrivate",
    "Soft",
    "Uncertainty",
    "Weights",
    "affinity",
    "aligned",
    "backward",
    "beside",
    "cagrad",
    "config",
    "cosines",
    "cost",
    "dualproj",
    "fairgrad",
    "gls",
    "groups",
    "imtl_g",
    "mgda",
    "nash",
    "pcgrad",
    "upgrad",
    "weighted",
]
