"""Objectives for a task that is met once with labels and once, elsewhere, without."""

from ._adamatch import AdaMatch
from ._adda import ADDA
from ._afn import AFN
from ._cdan import CDAN
from ._cmd import CMD
from ._coral import CORAL
from ._dann import DANN
from ._deepjdot import DeepJDOT
from ._jan import JAN
from ._joint import JointSpace
from ._mcc import MCC
from ._mcd import MCD
from ._mdann import MultiDANN
from ._mdd import MDD
from ._mmd import MMD
from ._one_pass import OnePass
from ._pada import PADA
from ._pseudo import PseudoLabel
from ._shot import SHOT, centres

__all__ = [
    "ADDA",
    "AFN",
    "CDAN",
    "CMD",
    "CORAL",
    "DANN",
    "JAN",
    "MCC",
    "MCD",
    "MDD",
    "MMD",
    "PADA",
    "SHOT",
    "AdaMatch",
    "DeepJDOT",
    "JointSpace",
    "MultiDANN",
    "OnePass",
    "PseudoLabel",
    "centres",
]
