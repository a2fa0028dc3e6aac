"""One pass of all episodes of a step through a chain of layers.

Shapes: ``T`` episodes, ``N`` rows of each. A weight is *shared*, as it is in the net, or a task's *own*,
``(T, *)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .._vectorise import normalised
from .chain import Link, Links
from .conv import Pass, Shape, convolve, weight_gradient
from .norm import batch_norm
from .pool import halves, max_pool

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
                x = self._each(link, x, links[index - 1] if index else None)
            elif link.form == "flatten":
                x = self._flat(x)
            elif link.form == "maps":
                quick = halves(link.call) and x.is_cpu and min(_maps(x).shape[2:]) > 1
                x = max_pool(x) if quick else link.call(_maps(x))
            else:
                x = self._layer(link, x, drop_bias=any(map(batched, links[index + 1 : index + 2])))
        return x

    def _each(self, link: Link, x: Tensor, before: Link | None) -> Tensor:
        if isinstance(link.call, nn.ReLU):  # what a norm or a pool gives is nobody's input for a derivative
            free = before is not None and x.ndim == 4 and (batched(before) or halves(before.call))
            return torch.relu_(x) if free else torch.relu(x)
        return link.call(x)

    def _flat(self, x: Tensor) -> Tensor:
        if x.ndim == 3:
            return x
        return x.unflatten(1, (self.tasks, -1)).transpose(0, 1).flatten(2)

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
            return _scaled(normed, weight, bias)
        scale, shift = (None if v is None else v.flatten() for v in (weight, bias))
        if isinstance(layer, nn.GroupNorm):
            return F.group_norm(x, self.tasks * layer.num_groups, scale, shift, layer.eps)
        return F.instance_norm(_maps(x), None, None, scale, shift, eps=layer.eps)

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
        weight, tasks = self.own.get(w), self.tasks
        each = Shape.of(layer, tasks, self.running)
        bias = self._bias(b, drop_bias)
        if weight is None:
            beside = x.reshape(len(x) * tasks, -1, *x.shape[2:])
            out = convolve(beside, self.shared[w], Shape.of(layer, 1, self.running))
            out = out.view(len(x), -1, *out.shape[2:])
        else:
            self._ask(w, weight)
            out = convolve(x, weight.flatten(0, 1), each)
        if bias is not None:
            out = out + (bias.flatten() if b in self.own else bias.repeat(tasks))[:, None, None]
        if weight is None:
            shape = torch.Size((tasks * layer.out_channels, *self.shared[w].shape[1:]))
            self._by_hand(
                out,
                {
                    w: lambda d: weight_gradient(d, x, shape, each).view(tasks, *self.shared[w].shape),
                    b: lambda d: d.sum((0, 2, 3)).view(tasks, -1),
                },
                drop_bias,
            )
        return out

    def _batch(self, link: Link, layer: _BatchNorm, x: Tensor) -> Tensor:
        if (x.ndim == 4) != isinstance(layer, nn.BatchNorm2d):
            raise Unfolded("a batch norm of other rows")
        weight, bias = self._vector(link, "weight"), self._vector(link, "bias")
        if not batched(link):
            return self._settled(layer, x, weight, bias)
        if x.ndim == 3:
            if x.shape[1] < 2:
                raise Unfolded("a single row")
            scale, shift = (None if v is None else v[:, None] for v in (weight, bias))
            out, mean, var = normalised(x, scale, shift, (1,), layer.eps)
        else:
            if x.numel() == x.shape[1]:
                raise Unfolded("a single row")
            ones = x.new_ones(x.shape[1]) if weight is None else weight.flatten()
            out, mean, var = batch_norm(x, ones, None if bias is None else bias.flatten(), layer.eps)
        dropped, self._dropped = self._dropped, None
        if layer.training and layer.num_batches_tracked is not None:
            mean, var = (v.detach().view(self.tasks, -1) for v in (mean, var))
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
        if x.ndim == 3:
            return torch.addcmul(shift[:, None], x, scale[:, None])
        return torch.addcmul(shift.flatten()[:, None, None], x, scale.flatten()[:, None, None])

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
        x = x * weight[:, None]
    return x if bias is None else x + bias[:, None]


def _rows(x: Tensor) -> Tensor:
    if x.ndim != 3:
        raise Unfolded("maps where rows are expected")
    return x


def _maps(x: Tensor) -> Tensor:
    if x.ndim != 4:
        raise Unfolded("rows where maps are expected")
    return x
