"""What the graph of several losses says about the weights that they share.

Names of nodes and what they save are PyTorch's own affair: where one is not as it is known here, a layer is
not recognised and its gradients are taken in the ordinary way, slower and just as exact.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import GradientEdge, get_gradient_edge

# Nodes that treat every row by itself, and that vmap runs as fast as a loop over tasks, or faster.
ROWWISE = frozenset(
    f"{name}Backward0"
    for name in (
        "Add",
        "Clone",
        "Div",
        "Elu",
        "Exp",
        "Gelu",
        "Hardtanh",
        "LeakyRelu",
        "Mul",
        "NativeDropout",
        "Neg",
        "Relu",
        "Sigmoid",
        "Silu",
        "Softplus",
        "Sub",
        "Tanh",
    )
)


@dataclass(frozen=True, slots=True)
class Layer:
    """A linear layer that the losses go through once.

    Args:
        edge: where the gradient of its output ``(B, o)`` is.
        x: its input, ``(B, i)``.
        weight: ``(o, i)``, trained.
        bias: ``(o,)``, or ``None`` where there is none or it is frozen.
    """

    edge: GradientEdge
    x: Tensor
    weight: nn.Parameter
    bias: nn.Parameter | None


# Nodes that treat every row by itself where they keep the number of rows, beside those above.
OF_MAPS = ROWWISE | {
    f"{name}Backward{number}"
    for name, number in (
        ("View", 0),
        ("UnsafeView", 0),
        ("ReshapeAlias", 0),
        ("MaxPool2DWithIndices", 0),
        ("AvgPool2D", 0),
        ("AdaptiveAvgPool2D", 0),
        ("Mean", 1),
    )
}
Filters = tuple[nn.Parameter, nn.Parameter | None]  # a convolution's weights, and its bias


@dataclass(frozen=True, slots=True)
class Graph:
    """The ways from several losses to the weights.

    Args:
        layers: the linear layers among the shared weights.
        rest: the other shared weights that are reached.
        own: weights that are not shared, such as those of heads.
        waist: the one tensor, such as the features, by which all losses reach what they share, if there is
            one.
        rowwise: whether all behind the waist treats each row by itself, and is in ``layers``.
        chain: the nodes from the waist on, one behind the other, where each treats every row by itself, there
            are convolutions among them, and all shared weights are theirs or of ``layers``: each with its
            weights, or ``None``.
        owners: for each row of the waist the loss that alone depends on it, if it is so.
        open: whether nothing of the user's own waits for gradients on their way: no function written in
            Python, which may hide weights, and no hook on a weight.
    """

    layers: list[Layer]
    rest: list[nn.Parameter]
    own: list[Tensor]
    waist: GradientEdge | None
    rowwise: bool
    chain: list[tuple[Any, Layer | Filters | None]] | None
    owners: Tensor | None
    open: bool

    def shared(self) -> list[nn.Parameter]:
        """List the shared weights that are reached."""
        of_layers = [p for layer in self.layers for p in (layer.weight, layer.bias) if p is not None]
        return of_layers + self.rest


def read(losses: Sequence[Tensor], shared: Iterable[nn.Parameter]) -> Graph:
    """Follow the graph from the losses, each with one, to the shared weights."""
    starts = [loss.grad_fn if loss.grad_fn is not None else get_gradient_edge(loss).node for loss in losses]
    nodes = _reached(starts)
    variables = {node: node.variable for node in nodes if hasattr(node, "variable")}
    wanted = {id(p) for p in shared}
    uses = Counter(child for children in nodes.values() for child, _ in children)
    layers = [layer for node in nodes if (layer := _layer(node, variables, uses, wanted)) is not None]
    known = {id(p) for layer in layers for p in (layer.weight, layer.bias)}
    rest = [v for v in variables.values() if id(v) in wanted - known]
    own = [v for v in variables.values() if id(v) not in wanted]
    leading = _leading(nodes, {node for node, v in variables.items() if id(v) in wanted})
    waist, into = _waist(starts, nodes, leading)
    linear = {layer.edge.node for layer in layers}
    rowwise = waist is not None and not rest and _rowwise(waist[0], nodes, leading, linear)
    edge = None if waist is None else GradientEdge(waist[0], waist[1])
    owners = _owners(starts, nodes, into) if rowwise else None
    parts = {layer.edge.node: layer for layer in layers}
    chain = None if waist is None or rowwise else _chain(waist[0], nodes, leading, parts, variables, uses)
    if chain is not None and set(map(id, rest)) != {id(p) for _, part in chain for p in _filters(part)}:
        chain = None  # others are shared too, or not all of these are
    hooked = any(v._backward_hooks or v._post_accumulate_grad_hooks for v in variables.values())
    written = any(isinstance(node, BackwardCFunction) for node in nodes)
    return Graph(layers, rest, own, edge, rowwise, chain, owners, not (hooked or written))


Nodes = dict[Any, list[tuple[Any, int]]]


def _reached(starts: Iterable[Any]) -> Nodes:
    """List the children of every node that is reached, with the number of the output that is meant."""
    nodes: Nodes = {}
    open_ = list(starts)
    while open_:
        node = open_.pop()
        if node not in nodes:
            nodes[node] = [(child, at) for child, at in node.next_functions if child is not None]
            open_ += [child for child, _ in nodes[node]]
    return nodes


def _layer(node: Any, variables: dict[Any, Any], uses: Counter[Any], wanted: set[int]) -> Layer | None:
    """Recognise a linear layer whose weights are used nowhere else."""
    name = node.name()
    if name == "AddmmBackward0" and node._saved_alpha == 1 and node._saved_beta == 1:
        (bias, _), _, (turned, _) = node.next_functions
    elif name == "MmBackward0":
        bias, (turned, _) = None, node.next_functions[1]
    else:
        return None
    leaf = turned.next_functions[0][0] if turned is not None and turned.name() == "TBackward0" else None
    for part in (leaf, bias):
        if part is not None and (id(variables.get(part)) not in wanted or uses[part] != 1):
            return None
    if leaf is None or uses[turned] != 1:
        return None
    x = node._saved_mat1 if name == "AddmmBackward0" else node._saved_self
    bias_weight = None if bias is None else variables[bias]
    return Layer(GradientEdge(node, 0), x.detach(), variables[leaf], bias_weight)


def _leading(nodes: Nodes, leaves: set[Any]) -> set[Any]:
    """Find the nodes that lead to one of the leaves."""
    parents: dict[Any, list[Any]] = {}
    for node, children in nodes.items():
        for child, _ in children:
            parents.setdefault(child, []).append(node)
    found, open_ = set(leaves), list(leaves)
    while open_:
        for parent in parents.get(open_.pop(), ()):
            if parent not in found:
                found.add(parent)
                open_.append(parent)
    return found


def _waist(starts: list[Any], nodes: Nodes, leading: set[Any]) -> tuple[tuple[Any, int] | None, list[Any]]:
    """Find the one output through which all ways to the leaves go, and the nodes right above it.

    Nodes are numbered as they are made: the newest is replaced by its children until a single one is left.
    """
    front = {(node, 0) for node in starts if node in leading}
    heap = [(-node._sequence_nr(), i, node) for i, (node, _) in enumerate(front)]
    heapq.heapify(heap)
    above: dict[tuple[Any, int], list[Any]] = {}
    count = len(heap)
    while heap and len(front) > 1:
        _, _, node = heapq.heappop(heap)
        if hasattr(node, "variable"):
            return None, []
        met = [edge for edge in front if edge[0] is node]
        if not met:
            continue
        front -= set(met)
        for edge in nodes[node]:
            if edge[0] not in leading:
                continue
            if not hasattr(edge[0], "variable") and edge[0]._sequence_nr() >= node._sequence_nr():
                return None, []
            above.setdefault(edge, []).append(node)
            if edge not in front:
                front.add(edge)
                count += 1
                heapq.heappush(heap, (-edge[0]._sequence_nr(), count, edge[0]))
    if len(front) != 1:
        return None, []
    (edge,) = front
    return (None, []) if hasattr(edge[0], "variable") else (edge, above.get(edge, []))


def _rowwise(start: Any, nodes: Nodes, leading: set[Any], linear: set[Any]) -> bool:
    """Tell whether all that leads on to weights is a linear layer, or goes entry by entry."""
    open_, seen = [start], set()
    while open_:
        node = open_.pop()
        if node in seen or node not in leading:
            continue
        seen.add(node)
        if node in linear:
            open_ += [node.next_functions[-2][0]]  # its input; the others are its weights
        elif node.name() in ROWWISE:
            open_ += [child for child, _ in nodes[node]]
        else:
            return False
    return True


def _chain(
    start: Any,
    nodes: Nodes,
    leading: set[Any],
    layers: dict[Any, Layer],
    variables: dict[Any, Any],
    uses: Counter[Any],
) -> list[tuple[Any, Layer | Filters | None]] | None:
    """List the nodes behind the waist, if each has one child that leads on, and goes row by row."""
    found: list[tuple[Any, Layer | Filters | None]] = []
    node, form = start, start._input_metadata[0]
    if form.dtype not in (torch.float32, torch.float64):
        return None
    while node is not None:
        one = node._input_metadata
        if len(one) == 0 or one[0].shape[0] != form.shape[0] or one[0].dtype != form.dtype:
            return None
        part: Layer | Filters | None = layers.get(node)
        if part is None and node.name() == "ConvolutionBackward0":
            part = _convolution(node, variables, uses)
            if part is None:
                return None
        elif part is None and node.name() not in OF_MAPS:
            return None
        weight = node.next_functions[-1][0] if isinstance(part, Layer) else None  # turned
        on = [c for c, _ in nodes[node] if c in leading and c not in variables and c is not weight]
        found.append((node, part))
        if len(on) > 1:
            return None
        node = on[0] if on else None
    return found if any(isinstance(part, tuple) for _, part in found) else None


def _filters(part: Layer | Filters | None) -> list[nn.Parameter]:
    return [p for p in part if p is not None] if isinstance(part, tuple) else []


def _convolution(node: Any, variables: dict[Any, Any], uses: Counter[Any]) -> Filters | None:
    """Recognise a convolution of maps whose weights are used nowhere else."""
    if node._saved_transposed or node._saved_groups != 1 or len(node._saved_stride) != 2:
        return None
    _, (weight, _), (bias, _) = node.next_functions
    if weight not in variables or uses[weight] != 1 or (bias is not None and uses[bias] != 1):
        return None
    return variables[weight], None if bias is None else variables[bias]


def _owners(starts: list[Any], nodes: Nodes, into: list[Any]) -> Tensor | None:
    """Read off which loss takes which rows of the waist, where each takes its own part of a split."""
    if len(into) != 1 or into[0].name() not in ("SplitBackward0", "SplitWithSizesBackward0"):
        return None
    split = into[0]
    if split._saved_dim != 0:
        return None
    if split.name() == "SplitBackward0":
        size, total = split._saved_split_size, split._saved_self_sym_sizes[0]
        sizes = [min(size, total - at) for at in range(0, total, size)]
    else:
        sizes = list(split._saved_split_sizes)
    owners = torch.full((len(sizes),), -1)
    for task, start in enumerate(starts):
        for part in _parts(start, nodes, split):
            if owners[part] >= 0:
                return None
            owners[part] = task
    return owners.repeat_interleave(torch.tensor(sizes)) if (owners >= 0).all() else None


def _parts(start: Any, nodes: Nodes, split: Any) -> set[int]:
    """Tell which parts of a split a loss depends on."""
    open_, seen, parts = [start], set(), set()
    while open_:
        node = open_.pop()
        if node in seen:
            continue
        seen.add(node)
        for child, at in nodes[node]:
            if child is split:
                parts.add(at)
            else:
                open_.append(child)
    return parts
