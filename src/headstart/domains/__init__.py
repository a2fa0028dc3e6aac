"""Objectives for a task that is met once with labels and once, elsewhere, without."""

from ._afn import AFN
from ._cdan import CDAN
from ._cmd import CMD
from ._coral import CORAL
from ._dann import DANN
from ._deepjdot import DeepJDOT
from ._jan import JAN
from ._mcc import MCC
from ._mcd import MCD
from ._mdd import MDD
from ._mmd import MMD

__all__ = ["AFN", "CDAN", "CMD", "CORAL", "DANN", "JAN", "MCC", "MCD", "MDD", "MMD", "DeepJDOT"]
