"""Gradients of several tasks, weighed by what they say about one another.

Shapes: ``K`` tasks, ``p`` parameters of one layer, ``B`` rows, a linear layer with
``i`` inputs and ``o`` outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import unknown, wrong
from ..models import Net
from ..seams import GramianWeighing
from . import _graph
from ._chained import walk
from ._graph import Graph, Layer
from ._products import gramian, products
from ._weighted import check_finite

SMALL = 100_000  # weights below which reading the graph costs more than it saves


def backward(
    weighing: GramianWeighing, *, at: Literal["weights", "features"] = "weights"
) -> _Backward | _AtFeatures:
    r"""Build a combine that weighs the task gradients of the shared weights by their Gramian.

    Every loss is one task. With :math:`g_k` the gradient of loss ``k`` over the backbone,

    .. math:: \text{grad} = \sum_k w_k\, g_k, \qquad w = \text{weighing}(G), \quad G_{kl} = g_k \cdot g_l

    What ``net.shared()`` lists counts as shared. Heads, private parts of the backbone and learned parts of an
    objective get the plain sum of their own gradients, not weighed. Gradients add to what ``.grad`` holds, as
    in ``loss.backward()``. A loss that needs no gradient is left out, and so is a task that is absent: it
    adds no row. With a single task this is ``loss.backward()``.

    The Gramian is exact, and summed layer by layer. For a linear layer with inputs ``X`` and the gradients
    ``D_k`` of its outputs no gradient of a weight is formed for any task:

    .. math:: g_k \cdot g_l = \langle D_k, (X X^T + 1) D_l \rangle, \qquad
        \text{grad} = \Big( \sum_k w_k D_k \Big)^T X

    Where a net of such layers is followed by heads, all tasks go back through it at once; where each task has
    rows of its own that went through it together (``torch.cat``, then ``split``, as ``Supervised`` lets
    them), in a single pass. Where convolutions of maps, poolings and linear layers stand one behind the
    other, as many passes are taken as there are tasks, or features where these are fewer; hooks on tensors
    within are not called. Other nets (normalisation, embeddings, recurrent layers, attention, layers used
    twice) go the ordinary way, one pass for each task. ``cost`` says beforehand what each takes.

    Args:
        weighing: from the Gramian ``(K, K)`` of the tasks that are there to their weights ``(K,)``:
            ``pcgrad``, ``mgda``, or any function or module of that signature. No gradient flows back
            through the weights. One with ``names`` is given all of its tasks, in its order.
        at: ``"features"`` takes the Gramian of the gradients of the features instead, which all losses have
            to share: about the cost of a plain sum, whatever the number of tasks. It is that of an upper
            bound (MGDA-UB), and may call a pair opposed that is not, or the other way round.

    Shape:
        the combine takes ``losses``, scalars by name, and the net.

    Raises:
        ValueError: if the weighing returns another shape than ``(K,)``, ``at`` is neither of the two, or
            losses share no features where these are asked for.
        KeyError: if a weighing with ``names`` does not know that of a loss.
        FloatingPointError: if a loss is not finite; the message names it.

    Example:
        >>> from headstart.multitask import pcgrad
        >>> net = Net(nn.Linear(2, 2), {"a": nn.Linear(2, 1), "b": nn.Linear(2, 1)})
        >>> x = torch.ones(3, 2)
        >>> backward(pcgrad)({"a": net(x, "a").mean(), "b": -net(x, "b").mean()}, net)
        >>> net.backbone.weight.grad.shape
        torch.Size([2, 2])

    References:
        Quinton & Rey (2024), section 6, Gramian-based Jacobian descent, https://arxiv.org/abs/2406.16232;
        heads and features: Sener & Koltun (NeurIPS 2018), algorithm 2 and section 3.3,
        https://arxiv.org/abs/1810.04650
    """
    if at not in ("weights", "features"):
        raise wrong("`at`", expected='"weights" or "features"', found=repr(at))
    return _Backward(weighing) if at == "weights" else _AtFeatures(weighing)


class _Backward(nn.Module):
    def __init__(self, weighing: GramianWeighing) -> None:
        super().__init__()
        self.weighing = weighing

    def forward(self, losses: Mapping[str, Tensor], net: Net) -> None:
        """Fill ``.grad``."""
        present = trained(losses)
        values = list(present.values())
        if len(values) < 2:
            for loss in values:
                loss.backward()
            return
        shared = list(net.shared().values())
        graph = _graph.read(values, shared) if _large(shared) else None
        if graph is not None and graph.chain and graph.open:
            self._along(graph, present)
        elif graph is not None and graph.layers and graph.open:
            self._by_layers(graph, present)
        else:
            columns = gradients(shared, values)
            weights = weigh(self.weighing, gramian(columns, values), list(present))
            _add_weighted(shared, columns, weights)

    def _along(self, graph: Graph, losses: dict[str, Tensor]) -> None:
        layers, filters = walk(graph, torch.stack(at_waist(graph, list(losses.values()))))
        total = gramian([tuple(each) for _, each in filters], list(losses.values()))
        for layer, d in layers:
            total += products(layer, d, None, len(losses)).to(total)
        weights = weigh(self.weighing, total, list(losses))
        for layer, d in layers:
            _add_layer(layer, (weights.to(d) @ d.flatten(1)).view_as(d[0]))
        for p, each in filters:
            add(p, (weights.to(each) @ each).view_as(p))

    def _by_layers(self, graph: Graph, losses: dict[str, Tensor]) -> None:
        values = list(losses.values())
        columns: list[tuple[Tensor | None, ...]] = []
        if graph.owners is not None:
            outputs = _in_one_pass(graph, values)
        elif graph.rowwise:
            outputs = _all_at_once(graph, values)
        else:
            outputs, columns = _one_by_one(graph, values)
        total = gramian(columns, values)
        for layer, d in zip(graph.layers, outputs, strict=True):
            total += products(layer, d, graph.owners, len(values)).to(total)
        weights = weigh(self.weighing, total, list(losses))
        for layer, d in zip(graph.layers, outputs, strict=True):
            of_rows = weights.to(d)
            if graph.owners is None:
                d = (of_rows @ d.flatten(1)).view_as(d[0])
            else:
                d = of_rows[graph.owners.to(d.device), None] * d
            _add_layer(layer, d)
        _add_weighted(graph.rest, columns, weights)


def _add_layer(layer: Layer, d: Tensor) -> None:
    """Add the gradients of a layer's weights, of those of its outputs ``(B, o)``, to ``.grad``."""
    add(layer.weight, d.mT @ layer.x)
    if layer.bias is not None:
        add(layer.bias, d.sum(0))


def gradients(shared: list[nn.Parameter], losses: Sequence[Tensor]) -> list[tuple[Tensor | None, ...]]:
    """Take the tasks' gradients of each shared weight, ``None`` where not reached, by K ordinary passes.

    Those of the other weights are added to ``.grad``; of the shared ones ``.grad`` is left as it was.
    """
    before, rows = [p.grad for p in shared], []
    for k, loss in enumerate(losses):
        for p in shared:
            p.grad = None
        loss.backward(retain_graph=k < len(losses) - 1)
        rows.append([p.grad for p in shared])
    for p, old in zip(shared, before, strict=True):
        p.grad = old
    return list(zip(*rows, strict=True))


class _AtFeatures(nn.Module):
    def __init__(self, weighing: GramianWeighing) -> None:
        super().__init__()
        self.weighing = weighing

    def forward(self, losses: Mapping[str, Tensor], net: Net) -> None:
        """Fill ``.grad``."""
        present = trained(losses)
        values = list(present.values())
        graph = _graph.read(values, net.shared().values()) if len(values) > 1 else None
        if graph is None or not (graph.layers or graph.rest):
            for loss in values:
                loss.backward(retain_graph=loss is not values[-1])
            return
        if graph.waist is None:
            raise wrong(
                "losses",
                expected="computed from the same features of the net",
                found="losses that meet its weights by several ways",
                hint='put all rows through the net at once, or use `at="weights"`',
            )
        found = at_waist(graph, values)
        weights = weigh(self.weighing, gramian([tuple(found)], values), list(present))
        stacked = torch.stack(found)
        weighed = (weights.to(stacked) @ stacked.flatten(1)).view_as(found[0])
        torch.autograd.backward([graph.waist], [weighed], inputs=graph.shared())


def _in_one_pass(graph: Graph, losses: Sequence[Tensor]) -> list[Tensor]:
    """Give the gradients of the layers' outputs ``(B, o)``, of each row by the one task that has it."""
    inputs: list[Any] = [*(layer.edge for layer in graph.layers), *graph.own]
    found = torch.autograd.grad(torch.stack(list(losses)).sum(), inputs)
    for p, g in zip(graph.own, found[len(graph.layers) :], strict=True):
        add(p, g)
    return list(found[: len(graph.layers)])


def _all_at_once(graph: Graph, losses: Sequence[Tensor]) -> list[Tensor]:
    """Give the gradients of the layers' outputs ``(K, B, o)``, through the heads one task after another."""
    assert graph.waist is not None
    stacked = torch.stack(at_waist(graph, losses))
    edges = [layer.edge for layer in graph.layers]
    return list(torch.autograd.grad([graph.waist], edges, [stacked], is_grads_batched=True))


def at_waist(graph: Graph, losses: Sequence[Tensor]) -> list[Tensor]:
    """Give each loss's gradient at the waist, and add those of the weights above it to ``.grad``."""
    found: list[Tensor | None] = []
    inputs: list[Any] = [graph.waist, *graph.own]
    for loss in losses:
        one, *own = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
        found.append(one)
        for p, g in zip(graph.own, own, strict=True):
            if g is not None:
                add(p, g)
    some = next(g for g in found if g is not None)
    return [torch.zeros_like(some) if g is None else g for g in found]


def _one_by_one(
    graph: Graph, losses: Sequence[Tensor]
) -> tuple[list[Tensor], list[tuple[Tensor | None, ...]]]:
    """Give the gradients of the layers' outputs ``(K, B, o)`` and of the other shared weights, per weight."""
    edges = [layer.edge for layer in graph.layers]
    inputs: list[Any] = [*edges, *graph.rest, *graph.own]
    rows = []
    for k, loss in enumerate(losses):
        found = torch.autograd.grad(loss, inputs, retain_graph=k < len(losses) - 1, allow_unused=True)
        for p, g in zip(graph.own, found[len(edges) + len(graph.rest) :], strict=True):
            if g is not None:
                add(p, g)
        rows.append(found)
    columns = list(zip(*rows, strict=True))
    outputs = []
    for column in columns[: len(edges)]:
        some = next(g for g in column if g is not None)
        outputs.append(torch.stack([torch.zeros_like(some) if g is None else g for g in column]))
    return outputs, columns[len(edges) : len(edges) + len(graph.rest)]


def trained(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keep the losses that need a gradient; ``FloatingPointError`` names one that is not finite."""
    present = {name: loss for name, loss in losses.items() if loss.requires_grad}
    if present:
        check_finite(present)
    return present


def weigh(weighing: GramianWeighing, gramian: Tensor, tasks: list[str]) -> Tensor:
    """Ask for the weights of the tasks that are there; one with ``names`` meets them all."""
    names = getattr(weighing, "names", tuple(tasks))
    for task in tasks:
        if task not in names:
            raise unknown("loss", task, names, error=KeyError)
    at = torch.tensor([names.index(task) for task in tasks], device=gramian.device)
    whole = gramian.new_zeros(len(names), len(names))
    whole[at[:, None], at] = gramian
    weights = weighing(whole)
    if weights.shape != (len(names),):
        raise wrong("weights of the tasks", expected=f"({len(names)},)", found=tuple(weights.shape))
    return weights[at]


def _large(shared: list[nn.Parameter]) -> bool:
    return sum(p.numel() for p in shared) >= SMALL or any(p.ndim == 4 for p in shared)  # filters of maps


def _add_weighted(
    shared: list[nn.Parameter], columns: list[tuple[Tensor | None, ...]], weights: Tensor
) -> None:
    scales = weights.tolist()
    for p, gradients in zip(shared, columns, strict=True):
        for scale, g in zip(scales, gradients, strict=True):
            if g is not None:
                add(p, g, scale)


def add(p: Tensor, gradient: Tensor, scale: float | None = None) -> None:
    """Add a gradient, times ``scale``, to ``.grad``; sparse ones stay so until a dense one is added."""
    if p.grad is None:
        p.grad = gradient if scale is None else scale * gradient
    elif p.grad.is_sparse and not gradient.is_sparse:
        p.grad = torch.add(gradient if scale is None else scale * gradient, p.grad)
    else:
        p.grad = p.grad.add_(gradient, alpha=1 if scale is None else scale)
