"""Read a net as a chain of layers, by a trace of its ``forward``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...models import Net

Call = Callable[..., Tensor]

LAYERS = (
    nn.Linear, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d,
    nn.Flatten,
)  # fmt: skip
# What does the same to every number, or to every channel of a map.
EACH = (
    nn.ReLU, nn.ReLU6, nn.GELU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Softplus, nn.Hardtanh,
    nn.Identity, nn.Dropout,
)  # fmt: skip
MAPS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
FUNCTIONS: dict[Any, str] = {
    F.gelu: "each", torch.tanh: "each", F.tanh: "each",
    torch.sigmoid: "each", F.sigmoid: "each", F.silu: "each", F.elu: "each", F.leaky_relu: "each",
    F.softplus: "each", F.max_pool2d: "maps", F.avg_pool2d: "maps", F.adaptive_avg_pool2d: "maps",
    torch.max_pool2d: "maps",
}  # fmt: skip
METHODS = ("tanh", "sigmoid")
RELUS = (torch.relu, F.relu, "relu")


@dataclass(frozen=True)
class Link:
    """One layer of a chain.

    Args:
        form: ``"layer"`` for a module of ``LAYERS``; ``"each"`` and ``"maps"`` for what needs no weight, on
            anything or on maps alone; ``"flatten"``.
        call: the module, or a function of one value.
        name: of the module in its net, with a dot behind.
        relu: whether a batch norm cuts off what is below 0.
    """

    form: str
    call: Any
    name: str = ""
    relu: bool = False


Links = tuple[Link, ...]


_KNOWN: WeakKeyDictionary[Net, dict[str, tuple[object, Links | None]]] = WeakKeyDictionary()


def links(net: Net, task: str) -> Links | None:
    """List the layers from rows to the outputs of a task's head; ``None`` where the net is no such chain.

    A trace takes longer than the step of a small net, so that it is kept until a module, its mode or a hook
    changes.
    """
    now = [(id(m), m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in net.modules()]
    known = _KNOWN.setdefault(net, {})
    if task not in known or known[task][0] != now:
        known[task] = now, _links(net, task)
    return known[task][1]


def _links(net: Net, task: str) -> Links | None:
    if net.at_places(task) or _altered(net) or getattr(net.backbone, "task_dependent", False):
        return None
    found: Links = ()
    for name, part in (("backbone.", net.backbone), (f"heads.{task}.", net.head(task))):
        one = _trace(part, name)
        if one is None:
            return None
        found += one
    layers = [
        link.call for link in found if link.form == "layer" and any(True for _ in link.call.parameters())
    ]
    named = list(net.parameters()), list(net.named_parameters(remove_duplicate=False))
    if len(set(map(id, layers))) < len(layers) or len(named[0]) < len(named[1]):
        return None  # a weight that is used twice
    return _cut(_pooled_first(found))


def _pooled_first(links: Links) -> Links:
    """Let max-pooling go before a ReLU: the same numbers and slopes, and a quarter of them to be cut off."""
    found = list(links)
    for i in range(1, len(found)):
        if type(found[i].call) is nn.MaxPool2d and type(found[i - 1].call) is nn.ReLU:
            found[i - 1 : i + 1] = found[i], found[i - 1]
    return tuple(found)


def _cut(links: Links) -> Links:
    """Let a batch norm do the ReLU behind it: a pass over its outputs that is saved."""
    found: list[Link] = []
    for link in links:
        if found and isinstance(found[-1].call, _BatchNorm) and type(link.call) is nn.ReLU:
            found[-1] = replace(found[-1], relu=True)
        else:
            found.append(link)
    return tuple(found)


def _altered(net: nn.Module) -> bool:
    """Tell whether calling a module may do more than its ``forward``."""
    return any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in net.modules())


def _trace(module: nn.Module, prefix: str) -> Links | None:
    if type(module) in (*LAYERS, *EACH, *MAPS):
        link = _module(module, prefix)
        return None if link is None else (link,)
    try:
        graph = fx.Tracer().trace(module)
    except Exception:  # whatever a module does that a trace cannot follow
        return None
    found: list[Link] = []
    last: fx.Node | None = None
    for node in graph.nodes:
        if node.op == "placeholder" and last is None:
            last = node
            continue
        if last is None or node.all_input_nodes != [last] or node.args[:1] != (last,):
            return None
        if node.op == "output":
            return tuple(found)
        link = _link(node, module, prefix)
        if link is None:
            return None
        found.append(link)
        last = node
    return None


def _link(node: fx.Node, root: nn.Module, prefix: str) -> Link | None:
    target, rest, options = node.target, node.args[1:], dict(node.kwargs)
    if node.op == "call_module":
        return (
            _module(root.get_submodule(str(target)), f"{prefix}{target}.")
            if not rest and not options
            else None
        )
    if target in (torch.flatten, "flatten"):
        return Link("flatten", None) if (rest, options) in (((1,), {}), ((), {"start_dim": 1})) else None
    if target in RELUS:
        return Link("each", nn.ReLU())
    if node.op == "call_method" and target in METHODS and not rest:
        return Link("each", getattr(torch, str(target)))
    if node.op == "call_function" and target in FUNCTIONS:
        options.pop("inplace", None)
        if options.get("return_indices"):
            return None
        call: Call = target  # type: ignore[assignment]
        return Link(FUNCTIONS[target], lambda x: call(x, *rest, **options))
    return None


def _module(module: nn.Module, name: str) -> Link | None:
    kind = type(module)
    if kind is nn.Flatten:
        return Link("flatten", None) if (module.start_dim, module.end_dim) == (1, -1) else None
    if kind in LAYERS:
        return Link("layer", module, name) if _plain(module) else None
    if kind in MAPS:
        return None if getattr(module, "return_indices", False) else Link("maps", module)
    if kind not in EACH:
        return None
    if getattr(module, "inplace", False):
        module = copy.copy(module)
        module.__dict__["inplace"] = False
    return Link("each", module)


def _plain(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.padding_mode == "zeros" and not isinstance(module.padding, str)
    if isinstance(module, nn.InstanceNorm2d):
        return module.running_mean is None
    return not isinstance(module, nn.LayerNorm) or len(module.normalized_shape) == 1
