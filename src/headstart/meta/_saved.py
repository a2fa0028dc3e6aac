"""What a saved few-shot classifier says of its adaptation, and the adaptation that is built of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from ..errors import unknown, wrong
from ..models import Net
from ..seams import TaskAdaptation
from ._anil import ANIL
from ._baseline import BaselinePlusPlus
from ._boil import BOIL
from ._cosine import CosineProtoNet
from ._imaml import iMAML
from ._logistic import Logistic
from ._maml import MAML
from ._matching import Matching
from ._protonet import ProtoNet
from ._rates import LSLR, MetaSGD
from ._recurrent import LearnedOptimizer, MetaLSTM
from ._relation import Relation
from ._ridge import Ridge
from ._siamese import Siamese
from ._simpleshot import SimpleShot

ALONE: tuple[Callable[..., TaskAdaptation], ...] = (
    ANIL, BOIL, MAML, BaselinePlusPlus, CosineProtoNet, LearnedOptimizer, Logistic, Matching, MetaLSTM,
    ProtoNet, Relation, Ridge, Siamese, SimpleShot, iMAML,
)  # fmt: skip
OF_A_NET: tuple[Callable[..., TaskAdaptation], ...] = (LSLR, MetaSGD)
KNOWN = {kind.__name__: kind for kind in (*ALONE, *OF_A_NET)}
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"cross_entropy": cross_entropy, "mse": mse_loss}


def describe(adaptation: TaskAdaptation) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Say an adaptation in JSON, and list what it has learned.

    Raises:
        TypeError: if the adaptation, or its loss, is not one of this library.
    """
    name = type(adaptation).__name__
    if KNOWN.get(name) is not type(adaptation):
        hint = "save `adapted.export()` with `hs.models.save` instead"
        raise wrong("adaptation", expected=f"one of {sorted(KNOWN)}", found=name, hint=hint, error=TypeError)
    learned: dict[str, Tensor] = {}
    if isinstance(adaptation, nn.Module):
        settings, learned = dict(adaptation.settings), adaptation.state_dict()
    else:
        settings = {f.name: getattr(adaptation, f.name) for f in dataclasses.fields(adaptation)}
    if "loss" in settings:
        known = [n for n, loss in LOSSES.items() if loss is settings["loss"]]
        if not known:
            found = repr(settings["loss"])
            raise wrong(
                "`loss` to be saved", expected=f"one of {sorted(LOSSES)}", found=found, error=TypeError
            )
        settings["loss"] = known[0]
    return {"adaptation": name, "settings": settings}, learned


def build(about: Mapping[str, Any], learned: Mapping[str, Tensor], net: Net) -> TaskAdaptation:
    """Build the adaptation that ``describe`` told of.

    Args:
        about: its JSON.
        learned: its tensors.
        net: that it was made for.
    """
    if about["adaptation"] not in KNOWN:
        raise unknown("adaptation", about["adaptation"], KNOWN)
    kind, settings = KNOWN[about["adaptation"]], dict(about["settings"])
    if "loss" in settings:
        settings["loss"] = LOSSES[settings["loss"]]
    with torch.random.fork_rng(devices=[]):  # weights that are drawn here are overwritten
        adaptation = kind(net, **settings) if kind in OF_A_NET else kind(**settings)
    if isinstance(adaptation, nn.Module):
        for name, value in learned.items():
            owner, _, leaf = name.rpartition(".")
            part = adaptation.get_submodule(owner)
            if leaf in part._buffers:
                part.register_buffer(leaf, value)
        adaptation.load_state_dict(learned)
    return adaptation
