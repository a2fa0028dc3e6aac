"""Tasks met one after another: what to lower while a pretrained net learns a new task, and mixing weights."""

from ._adjusted import LogitAdjusted
from ._bss import BSS
from ._calibration import contextual_calibration
from ._cotuning import CoTuning, relation
from ._delta import DELTA
from ._distil import Distil
from ._l2sp import L2SP
from ._lora import lora
from ._masked import MaskedWords, word_head
from ._plus import Plus
from ._soup import soup
from ._supcon import SupCon
from ._supervised import Supervised
from ._surgical import relative_gradients
from ._task_arithmetic import task_arithmetic
from ._wise_ft import wise_ft

__all__ = [
    "BSS",
    "DELTA",
    "L2SP",
    "CoTuning",
    "Distil",
    "LogitAdjusted",
    "MaskedWords",
    "Plus",
    "SupCon",
    "Supervised",
    "contextual_calibration",
    "lora",
    "relation",
    "relative_gradients",
    "soup",
    "task_arithmetic",
    "wise_ft",
    "word_head",
]
