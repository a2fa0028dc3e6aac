"""What the objectives share: both sides through the net, a critic, and how its pull grows.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.func import functional_call

from ..errors import wrong
from ..models import Net
from ..tasks import Shift, Task

TINY = 1e-12  # least probability whose logarithm is taken


def sides(net: Net, batch: Shift, task: Task) -> tuple[Tensor, Tensor]:
    """Give the features of source and target, ``(B, *)`` and ``(C, *)``, from one pass for each.

    So a batch-normalisation layer normalises each side by its own statistics.
    """
    return net.features(batch.source.x, task.name), net.features(batch.target.x, task.name)


def classes(task: Task) -> int:
    """Count the classes of a task; ``ValueError`` where rows are not of one class each."""
    if not task.kind.exclusive:
        raise wrong(f"task {task.name!r}", expected="of one class per row", found=task.kind.describe())
    return len(task.kind.classes)


def guesses(task: Task, outputs: Tensor) -> Tensor:
    """Turn outputs of the head into probabilities of the classes."""
    p = task.kind.probabilities(outputs)
    assert p is not None  # the task has classes
    return p


def as_it_is(module: nn.Module, x: Tensor) -> Tensor:
    """Call a module whose parameters are not to move: the gradient goes through it to what it reads."""
    still = {name: p.detach() for name, p in module.named_parameters()}
    return functional_call(module, still, (x,))


def check_weight(weight: float) -> None:
    """Raise ``ValueError`` for a weight that is no factor."""
    if not 0 <= weight < math.inf:
        raise wrong("`weight`", expected="at least 0 and finite", found=weight)


def critic(features: int, hidden: int, outputs: int = 1) -> nn.Sequential:
    """Make a net with two hidden layers."""
    for name, value in (("features", features), ("hidden", hidden)):
        if value < 1:
            raise wrong(f"`{name}`", expected="at least 1", found=value)
    return nn.Sequential(
        nn.Linear(features, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )


def check_features(features: Tensor, width: int) -> None:
    """Raise ``ValueError`` where features are no table of the width that was said."""
    if features.ndim != 2 or features.shape[1] != width:
        found, expected = tuple(features.shape), f"(rows, {width})"
        raise wrong("features of the backbone", expected=expected, found=found, hint="set `features`")


def ramp(progress: float) -> float:
    r"""Grow from 0 to 1 along a run: :math:`2 / (1 + e^{-10 p}) - 1`."""
    return 2 / (1 + math.exp(-10 * progress)) - 1
