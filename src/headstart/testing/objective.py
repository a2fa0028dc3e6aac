"""The check of objectives."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from ..models import Net, freeze
from ..seams import Objective, learned
from ._common import (
    cast,
    close,
    in_float64,
    moved,
    name_of,
    pickled,
    placed,
    reaches,
    require,
    require_type,
    same,
    untouched,
)


def check_objective(objective: Objective, net: Net, batch: Any) -> None:
    """Check that an objective keeps the contract of its seam.

    It returns finite scalars by name, twice the same; leaves its inputs, the net's weights and every
    global random state alone; its gradient reaches the backbone, but no frozen part; it works in
    float64, on copies, through pickle, on a GPU where there is one, and, if it is a module, through
    its state.

    Args:
        objective: any value of the signature ``(net, batch, progress)``.
        net: a net that fits it, without dropout; it is left as it was, but for running statistics.
        batch: labelled rows by task name, a shift, or episodes.

    Raises:
        AssertionError: if the contract is broken; the message says how.

    Example:
        >>> from headstart.tasks import Labelled, Multiclass, Task
        >>> from headstart.transfer import Supervised
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(torch.nn.Linear(3, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> check_objective(Supervised(Task("coins", Multiclass(2), rows)), net, {"coins": rows})
    """
    name = name_of(objective)
    net = moved(net)
    for progress in (0.0, 0.5, 0.999):
        with untouched(name, batch, dict(net.named_parameters())):
            losses = objective(net, batch, progress)
        _check_losses(name, losses)
        again = objective(net, batch, progress)
        require(list(losses) == list(again), f"{name} gives other names when called again")
        for key, value in losses.items():
            require(same(value, again[key]), f"{name} gives another {key!r} when called again")
    losses = objective(net, batch, 0.5)
    _check_gradients(name, objective, net, batch)
    _check_frozen(name, objective, net, batch)

    def agrees(how: str, other: Objective, net: Net, batch: Any, dtype: torch.dtype | None = None) -> None:
        result = other(net, batch, 0.5)
        require(list(result) == list(losses), f"{name} gives other names {how}")
        for key, value in result.items():
            require(close(value, losses[key]), f"{name} gives another {key!r} {how}")
            require(dtype is None or value.dtype == dtype, f"{name} gives {key!r} as {value.dtype} {how}")

    double = torch.float64
    agrees("in float64", cast(objective, double), copy.deepcopy(net).double(), in_float64(batch), double)
    agrees("after `.to('cpu')`", cast(objective, "cpu"), copy.deepcopy(net), placed(batch, "cpu"))
    agrees("after pickling", pickled(name, objective), net, batch)
    if torch.cuda.is_available():
        agrees("on the GPU", cast(objective, "cuda"), copy.deepcopy(net).cuda(), placed(batch, "cuda"))
    for module in learned(objective):
        twin = copy.deepcopy(module)
        with torch.no_grad():
            for value in twin.state_dict().values():
                value.mul_(0)
        twin.load_state_dict(module.state_dict())
        agrees("after its state was loaded", twin, net, batch)


def _check_losses(name: str, losses: dict[str, Tensor]) -> None:
    require_type(losses, dict, f"what {name} returns")
    require(len(losses) > 0, f"{name} should return at least one loss by name")
    for key, value in losses.items():
        require_type(key, str, f"the name {key!r} that {name} gives a loss")
        require_type(value, Tensor, f"what {name} returns as {key!r}")
        require(value.shape == (), f"{name} should return a scalar as {key!r}, not {tuple(value.shape)}")
        require(value.is_floating_point(), f"{name} returns {key!r} as {value.dtype}")
        require(value.isfinite(), f"{name} returns {value.item()} as {key!r}")


def _check_gradients(name: str, objective: Objective, net: Net, batch: Any) -> None:
    net, objective = copy.deepcopy(net), copy.deepcopy(objective)
    torch.stack(list(objective(net, batch, 0.5).values())).sum().backward()
    require(reaches(net.backbone), f"{name} gives the backbone no gradient, or not a finite one")
    for module in learned(objective):
        for key, parameter in module.named_parameters():
            idle = parameter.requires_grad and parameter.grad is None
            require(not idle, f"{name} has a parameter {key!r} that gets no gradient")


def _check_frozen(name: str, objective: Objective, net: Net, batch: Any) -> None:
    net, objective = copy.deepcopy(net), copy.deepcopy(objective)
    freeze(net.backbone)
    losses = [v for v in objective(net, batch, 0.5).values() if v.requires_grad]
    if losses:
        torch.stack(losses).sum().backward()
    require(
        all(p.grad is None for p in net.backbone.parameters()), f"{name} gives a frozen backbone a gradient"
    )
