"""Networks: a shared backbone with heads, freezing, parameter groups, backbones by name, saving."""

from .net import (
    Adapted,
    Backbone,
    Net,
    Trunk,
    count_parameters,
    device_of,
    freeze,
    parameter_groups,
    stages,
    unfreeze,
)

__all__ = [
    "Adapted", "Backbone", "Net", "Trunk", "count_parameters", "device_of", "freeze", "parameter_groups", "stages",
    "unfreeze",
]  # fmt: skip
