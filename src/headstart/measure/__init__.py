"""Scores that say, before any training, how well knowledge would transfer, and which adapted net to trust."""

from ._distance import a_distance, mmd
from ._kliep import kliep
from ._labelshift import bbse, em_priors
from ._leep import leep
from ._logme import logme
from ._mixture import mixture
from ._numbers import weighted_error
from ._outside import outside
from ._shift import Diagnosis, kind_of_shift
from ._validators import (
    bnm,
    certainty,
    corr_c,
    density_ratio,
    information,
    snd,
    sound,
    source_risk,
    weighted_risk,
)

__all__ = [
    "Diagnosis",
    "a_distance",
    "bbse",
    "bnm",
    "certainty",
    "corr_c",
    "density_ratio",
    "em_priors",
    "information",
    "kind_of_shift",
    "kliep",
    "leep",
    "logme",
    "mixture",
    "mmd",
    "outside",
    "snd",
    "sound",
    "source_risk",
    "weighted_error",
    "weighted_risk",
]
