"""What weighing tasks by their gradients takes, counted beforehand.

Shapes: ``K`` tasks, ``B`` rows.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import wrong
from ..models import Net
from ..tasks import Task, batches
from ._products import BLOCK, BLOCKS, DENSE

POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten)
PLAIN = (nn.ReLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Dropout, nn.Identity)


@dataclass(frozen=True)
class Cost:
    """Say what a step takes, in steps of the plain sum of the losses.

    Args:
        losses: with ``weighted``, at any number of tasks.
        features: with ``backward(..., at="features")``.
        weights: with ``backward``, where tasks share their rows.
        rows: with ``backward``, where each task has rows of its own that went through the net together;
            ``None`` where a layer of the net does not treat each row by itself.
    """

    losses: float
    features: float
    weights: float
    rows: float | None


def cost(net: Net, tasks: Sequence[Task], *, rows: int = 256) -> Cost:
    r"""Count what each way of weighing tasks takes, before anything is run.

    Multiplications are counted, layer by layer, on one row of each task. With ``f`` those of a layer's
    forward in a row, a plain step takes about ``3 f``; for the exact Gramian each task takes another ``f`` to
    go back, and for inner products up to ``B o`` where the layer is linear with ``o`` outputs, or another
    ``f``; where convolutions stand one behind the other, each feature does, if these are fewer. What is
    measured is often less, since larger products run faster.

    Args:
        net: with a head for each task; left as it is.
        tasks: that are trained together.
        rows: :math:`B`, in a batch.

    Shape:
        returns numbers of plain steps: ``losses`` for ``weighted``, ``features`` and ``weights`` for the two
        places of ``backward``, and ``rows`` for ``backward`` where each task has rows of its own that went
        through the net together (``None`` where a layer does not treat each row by itself).

    Raises:
        ValueError: if there is no task, or ``rows`` is below 1.
        KeyError: if a task has no head.

    Example:
        >>> from headstart.tasks import Labelled, Regression
        >>> task = Task("a", Regression(), Labelled(torch.zeros(4, 784), torch.zeros(4)))
        >>> backbone = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256))
        >>> found = cost(Net(backbone, {"a": nn.Linear(256, 1)}), [task])
        >>> found.losses, found.weights < 2
        (1.0, True)

    References:
        the counts are those of the algorithms in Quinton & Rey (2024), section 6,
        https://arxiv.org/abs/2406.16232
    """
    if not tasks:
        raise wrong("`tasks`", expected="at least one", found="none")
    if rows < 1:
        raise wrong("`rows`", expected="at least 1", found=rows)
    layers, heads, width = _measured(net, tasks)
    count, trained = len(tasks), [layer for layer in layers if layer.trained]
    back = _way_back(layers)
    plain = sum(a.work for a in layers) + sum(a.work for a in trained) + back + 3 * heads
    products = sum(layer.products(count, rows) for layer in trained)
    exact = plain + (count - 1) * back + products
    if _of_maps(net.backbone):
        passes, filters = min(count, width), [layer for layer in trained if not layer.linear]
        products = sum(layer.products(count, rows) for layer in trained if layer.linear)
        products += sum(layer.along(count, passes, rows) - layer.work for layer in filters)
        exact = plain + (passes - 1) * back + products
    rowwise = _rowwise(net.backbone) and all(layer.linear for layer in trained)
    pairs = sum(_pairs(rows) * (layer.inputs + layer.outputs) for layer in trained)
    return Cost(
        1.0,
        (plain + count * count * width) / plain,
        exact / plain,
        (plain + pairs) / plain if rowwise else None,
    )


@dataclass(frozen=True, slots=True)
class _Layer:
    work: float  # multiplications of the forward of a row
    inputs: int
    outputs: int
    linear: bool
    trained: bool

    def products(self, tasks: int, rows: int) -> float:
        """Count what the inner products of a layer take in a row, beyond the plain step."""
        if self.linear and rows <= DENSE * self.inputs:
            return _pairs(rows) * (self.inputs + tasks * self.outputs)
        if self.linear:
            return tasks * self.work + tasks * tasks * self.inputs * self.outputs / rows
        return (tasks - 1) * self.work + tasks * tasks * self.inputs * self.outputs / rows

    def along(self, tasks: int, passes: int, rows: int) -> float:
        """Count what the tasks' gradients of filters and their products take in a row of a chain."""
        weights = self.inputs * self.outputs
        formed = tasks * self.work
        if passes < tasks:
            formed = min(formed, passes * (self.work + tasks * weights))
        return formed + tasks * tasks * weights / rows


def _pairs(rows: int) -> float:
    """Count the rows that a row meets, where blocks of rows meet those from theirs on."""
    blocks = math.ceil(rows / max(BLOCK, math.ceil(rows / BLOCKS)))
    return rows * (blocks + 1) / (2 * blocks)


def _way_back(layers: list[_Layer]) -> float:
    """Count the way back to the first trained layer, whose own input needs no gradient."""
    first = next((i for i, layer in enumerate(layers) if layer.trained), len(layers))
    return sum(layer.work for layer in layers[first + 1 :])


def _measured(net: Net, tasks: Sequence[Task]) -> tuple[list[_Layer], float, int]:
    """Run one row of the first task through the backbone and of each through its head."""
    net = copy.deepcopy(net).eval()
    layers: list[_Layer] = []

    def note(module: nn.Module, given: tuple[Any, ...], result: Any) -> None:
        out = (
            result if isinstance(result, Tensor) else next((t for t in result if isinstance(t, Tensor)), None)
        )
        own = list(module.parameters(recurse=False))
        weights = sum(p.numel() for p in own if p.ndim > 1)
        if out is None or not own:
            return
        axis = 1 if isinstance(module, nn.modules.conv._ConvNd) else -1
        places = 0.0 if isinstance(module, nn.Embedding | nn.EmbeddingBag) else out.numel() / out.shape[axis]
        outputs = out.shape[axis]
        flat = isinstance(module, nn.Linear) and out.ndim == 2
        trained = any(p.requires_grad for p in own)
        layers.append(_Layer(weights * places, weights // max(outputs, 1), outputs, flat, trained))

    hooks = [part.register_forward_hook(note) for part in net.modules() if part is not net]
    stream = batches(list(tasks), 1, generator=torch.Generator())
    batch, heads, shared, width = next(iter(stream)), 0.0, None, 0
    with torch.no_grad():
        for task in tasks:
            features = net.features(batch[task.name].x, task.name)
            shared = shared if shared is not None else list(layers)
            layers.clear()
            net.head(task.name)(features)
            heads += sum(layer.work for layer in layers)
            layers.clear()
            width = math.prod(features.shape[1:])
    for hook in hooks:
        hook.remove()
    return shared or [], heads, width


def _rowwise(backbone: nn.Module) -> bool:
    leaves = [m for m in backbone.modules() if not any(True for _ in m.children())]
    return all(isinstance(m, (*PLAIN, nn.Linear)) for m in leaves)


def _of_maps(backbone: nn.Module) -> bool:
    """Tell whether a backbone is taken for a chain of convolutions, by its layers."""
    leaves = [m for m in backbone.modules() if not any(True for _ in m.children())]
    maps = [m for m in leaves if isinstance(m, nn.Conv2d) and m.groups == 1]
    return bool(maps) and all(m in maps or isinstance(m, (*PLAIN, *POOLS, nn.Linear)) for m in leaves)
