"""Networks: a shared backbone with heads, freezing, parameter groups, backbones by name, saving."""

from .backbones import BACKBONES, backbone, tokenizer
from .backbones.conv4 import conv4
from .backbones.cuts import AtAllCuts, cut, cuts, widths
from .backbones.decay import decayed_groups, depths
from .backbones.hf import hf
from .backbones.hf_written import save_hf
from .backbones.mlp import mlp
from .backbones.textcnn import textcnn
from .backbones.timm import timm
from .backbones.torchvision import torchvision
from .backbones.words import words
from .fresh import reinitialise
from .heads import Chain
from .net import (
    Adapted,
    Backbone,
    Net,
    Trunk,
    blocks,
    count_parameters,
    device_of,
    fix_norms,
    freeze,
    parameter_groups,
    stages,
    unfreeze,
    width_of,
)
from .saving import Saved, load, save, slim
from .sharing import Pattern, maps

__all__ = [
    "BACKBONES", "Adapted", "AtAllCuts", "Backbone", "Chain", "Net", "Pattern", "Saved", "Trunk", "backbone",
    "blocks", "conv4", "count_parameters", "cut", "cuts", "decayed_groups", "depths", "device_of",
    "fix_norms", "freeze", "hf", "load", "maps", "mlp", "parameter_groups", "reinitialise", "save",
    "save_hf", "slim", "stages", "textcnn", "timm", "tokenizer", "torchvision", "unfreeze", "width_of",
    "widths", "words",
]  # fmt: skip
