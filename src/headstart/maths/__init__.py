"""Functions of tensors alone that more than one room needs."""

from .directions import size, unit
from .discrepancy import discrepancy
from .distances import gaussian, squared_distances
from .influence import influence
from .random import generator
from .reversal import ReverseGradient
from .statistics import interval, paired_interval, wilson

__all__ = [
    "ReverseGradient",
    "discrepancy",
    "gaussian",
    "generator",
    "influence",
    "interval",
    "paired_interval",
    "size",
    "squared_distances",
    "unit",
    "wilson",
]
