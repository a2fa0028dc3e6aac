"""Networks: a shared backbone with heads, freezing, parameter groups, backbones by name, saving."""

from .backbones import BACKBONES, backbone
from .conv4 import conv4
from .mlp import mlp
from .net import (
    Adapted,
    Backbone,
    Net,
    Trunk,
    count_parameters,
    device_of,
    freeze,
    parameter_groups,
    reinitialise,
    stages,
    unfreeze,
)
from .saving import Saved, load, save
from .textcnn import textcnn
from .torchvision import torchvision

__all__ = [
    "BACKBONES", "Adapted", "Backbone", "Net", "Saved", "Trunk", "backbone", "conv4", "count_parameters",
    "device_of", "freeze", "load", "mlp", "parameter_groups", "reinitialise", "save", "stages", "textcnn",
    "torchvision", "unfreeze",
]  # fmt: skip
