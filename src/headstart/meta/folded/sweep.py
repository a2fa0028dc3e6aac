"""One pass of all episodes of a step through a chain of layers.

Shapes: ``T`` episodes, ``N`` rows of each: vectors ``(T, N, D)``, maps ``(T, N, H, W, C)``. A weight is
*shared*, as it is in the net, or a task's *own*, ``(T, *)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .chain import Call, Link, Links
from .conv import Pass, Shape, convolve, weight_gradient
from .norm import batch_norm
from .pool import max_pool

Weights = dict[str, Tensor]
Formula = Callable[[Tensor], Tensor]
Finish = Callable[[Tensor], Weights]


class Unfolded(Exception):
    """Rows or layers of a shape that has no place for a task axis."""


@dataclass
class Sweep:
    """Run links over all episodes, and say what to differentiate by for the gradients that are wanted.

    A shared weight's gradient for each task is made of those of its layer's outputs, so that no pass forms
    the sum over tasks as well.

    Args:
        tasks: ``T``.
        shared: weights of the net, by name.
        own: those that each task has of its own.
        wanted: names of weights whose gradients will be asked for.
        running: tells convolutions what a backward pass is for.

    Attributes:
        asked: tensors to differentiate by, each with what makes gradients ``(T, *)`` by name of its own.
        seen: batch norms with running statistics, the mean and the unbiased variance ``(T, C)`` of each call.
    """

    tasks: int
    shared: Mapping[str, Tensor]
    own: Mapping[str, Tensor]
    wanted: frozenset[str]
    running: Pass
    asked: list[tuple[Tensor, Finish]] = field(default_factory=list)
    seen: list[tuple[_BatchNorm, Tensor, Tensor]] = field(default_factory=list)
    _dropped: Tensor | None = None

    def run(self, links: Links, x: Tensor) -> Tensor:
        """Return what the links give."""
        for index, link in enumerate(links):
            if link.form == "each":
                x = link.call(x)
            elif link.form == "flatten":
                x = x if x.ndim == 3 else x.permute(0, 1, 4, 2, 3).flatten(2)
            elif link.form == "maps":
                pooled = partial(max_pool, module=link.call) if type(link.call) is nn.MaxPool2d else link.call
                x = _on_maps(pooled, x)
            else:
                x = self._layer(link, x, drop_bias=any(map(batched, links[index + 1 : index + 2])))
        return x

    def _layer(self, link: Link, x: Tensor, *, drop_bias: bool) -> Tensor:
        layer = link.call
        if isinstance(layer, nn.Linear):
            return self._linear(link, _rows(x), drop_bias)
        if isinstance(layer, nn.Conv2d):
            return self._conv(link, layer, _maps(x), drop_bias)
        if isinstance(layer, _BatchNorm):
            return self._batch(link, layer, x)
        weight, bias = self._vector(link, "weight"), self._vector(link, "bias")
        if isinstance(layer, nn.LayerNorm):
            return _scaled(F.layer_norm(_rows(x), layer.normalized_shape, eps=layer.eps), weight, bias)
        if isinstance(layer, nn.GroupNorm) and x.ndim == 3:
            normed = F.group_norm(x.flatten(0, 1), layer.num_groups, eps=layer.eps).view_as(x)
        elif isinstance(layer, nn.GroupNorm):
            normed = _on_maps(lambda maps: F.group_norm(maps, layer.num_groups, eps=layer.eps), x)
        else:
            normed = _on_maps(lambda maps: F.instance_norm(maps, eps=layer.eps), x)
        return _scaled(normed, weight, bias)

    def _linear(self, link: Link, x: Tensor, drop_bias: bool) -> Tensor:
        w, b = link.name + "weight", link.name + "bias"
        weight = self.own.get(w)
        bias = self._bias(b, drop_bias)
        if weight is None:
            out = F.linear(x, self.shared[w], bias if b not in self.own else None)
            out = out if bias is None or b not in self.own else out + bias[:, None]
            self._by_hand(out, {w: lambda d: torch.bmm(d.mT, x), b: lambda d: d.sum(1)}, drop_bias)
            return out
        self._ask(w, weight)
        if bias is None:
            return torch.bmm(x, weight.mT)
        return torch.baddbmm(bias[:, None] if b in self.own else bias, x, weight.mT)

    def _conv(self, link: Link, layer: nn.Conv2d, x: Tensor, drop_bias: bool) -> Tensor:
        w, b = link.name + "weight", link.name + "bias"
        own, bias = self.own.get(w), self._bias(b, drop_bias)
        slides, groups = Shape.of(layer, self.running), layer.groups
        if min(slides.out(x.shape[2:4])) < 1:
            raise Unfolded("maps that are smaller than a kernel")
        x = _split(x, groups)  # a group is one task more
        if own is not None:
            weight = self._ask(w, own).unflatten(1, (groups, -1)).flatten(0, 1)
        elif groups > 1:
            weight = self.shared[w].unflatten(0, (groups, -1)).repeat(self.tasks, 1, 1, 1, 1)
        else:
            weight = self.shared[w]
        out = _joined(convolve(x, weight, slides), groups)
        if bias is not None:
            out = out + (_wide(bias, out) if b in self.own else bias)
        if own is None:
            shape = torch.Size((len(x), len(self.shared[w]) // groups, *self.shared[w].shape[1:]))

            def by_weight(d: Tensor) -> Tensor:
                found = weight_gradient(_split(d, groups), x, shape, slides)
                return found.unflatten(0, (-1, groups)).flatten(1, 2)

            self._by_hand(out, {w: by_weight, b: lambda d: d.sum((1, 2, 3))}, drop_bias)
        return out

    def _batch(self, link: Link, layer: _BatchNorm, x: Tensor) -> Tensor:
        if (x.ndim == 5) != isinstance(layer, nn.BatchNorm2d):
            raise Unfolded("a batch norm of other rows")
        weight, bias = self._vector(link, "weight"), self._vector(link, "bias")
        if not batched(link):
            out = self._settled(layer, x, weight, bias)
            return torch.relu(out) if link.relu else out
        if x[0].numel() == x.shape[-1]:
            raise Unfolded("a single row")
        out, mean, var = batch_norm(x, weight, bias, layer.eps, relu=link.relu)
        dropped, self._dropped = self._dropped, None
        if layer.training and layer.num_batches_tracked is not None:
            mean, var = mean.detach(), var.detach()
            self.seen.append((layer, mean if dropped is None else mean + dropped.detach(), var))
        return out

    def _settled(self, layer: _BatchNorm, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """Normalise by running statistics."""
        assert layer.running_mean is not None
        assert layer.running_var is not None
        scale = (layer.running_var + layer.eps).rsqrt().expand(self.tasks, -1)
        scale = scale if weight is None else scale * weight
        shift = -layer.running_mean * scale
        shift = shift if bias is None else shift + bias
        return torch.addcmul(_wide(shift, x), x, _wide(scale, x))

    def _bias(self, name: str, drop: bool) -> Tensor | None:
        """Return a layer's bias, except where a batch norm takes it away again."""
        bias = self.own.get(name, self.shared.get(name))
        if drop:
            self._dropped = bias
            return None
        return bias if name not in self.own else self._ask(name, self.own[name])

    def _vector(self, link: Link, kind: str) -> Tensor | None:
        """Return a norm's scale or shift for each task, ``(T, C)``."""
        name = link.name + kind
        if name in self.own:
            return self._ask(name, self.own[name])
        shared = self.shared.get(name)
        return None if shared is None else self._ask(name, shared.expand(self.tasks, -1))

    def _ask(self, name: str, by: Tensor) -> Tensor:
        if name in self.wanted:
            self.asked.append((by, lambda gradient: {name: gradient}))
        return by

    def _by_hand(self, out: Tensor, formulas: Mapping[str, Formula], drop_bias: bool) -> None:
        """Ask for the gradient in outputs, and make those of the layer's shared weights of it."""
        wanted = {n: f for n, f in formulas.items() if n in self.wanted and n not in self.own}
        if drop_bias:
            wanted = {n: f for n, f in wanted.items() if not n.endswith("bias")}
        if wanted:
            self.asked.append((out, lambda d: {name: formula(d) for name, formula in wanted.items()}))


def batched(link: Link) -> bool:
    """Tell whether a link normalises by the rows of each call."""
    layer = link.call
    return isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None)


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        x = x * _wide(weight, x)
    return x if bias is None else x + _wide(bias, x)


def _wide(v: Tensor, x: Tensor) -> Tensor:
    """Return a number for each task and channel with the axes of ``x (T, *, C)``."""
    return v[(slice(None), *(None for _ in x.shape[2:]))]


def _rows(x: Tensor) -> Tensor:
    if x.ndim != 3:
        raise Unfolded("maps where rows are expected")
    return x


def _maps(x: Tensor) -> Tensor:
    if x.ndim != 5:
        raise Unfolded("rows where maps are expected")
    return x


def _on_maps(call: Call, x: Tensor) -> Tensor:
    """Call what takes maps ``(N, C, H, W)``."""
    out = call(_maps(x).flatten(0, 1).permute(0, 3, 1, 2))
    return out.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


def _split(x: Tensor, groups: int) -> Tensor:
    return x if groups == 1 else x.unflatten(-1, (groups, -1)).movedim(-2, 1).flatten(0, 1)


def _joined(x: Tensor, groups: int) -> Tensor:
    return x if groups == 1 else x.unflatten(0, (-1, groups)).movedim(1, -2).flatten(-2)
