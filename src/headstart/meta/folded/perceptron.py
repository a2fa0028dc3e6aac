r"""Gradients of a perceptron's loss, with their derivative written out.

With layers :math:`z_l = a_{l-1} W_l^\top + b_l`, :math:`a_l = \max(z_l, 0)`, and :math:`d_l` the gradient of
a loss in :math:`z_l`, that in :math:`W_l` is :math:`d_l^\top a_{l-1}`. The derivative of its product with
some :math:`V` is how fast gradients change along :math:`V` (Pearlmutter, Neural Computation 1994): one pass
forward for the rates of outputs, :math:`\dot z_l = a_{l-1} V_l^\top + \dot a_{l-1} W_l^\top`, and one back
for :math:`\dot d_{l-1} = \dot d_l W_l + d_l V_l`. The arithmetic is that of differentiating twice; saved are
two graphs, which take longer than the arithmetic where layers are small.

Shapes: ``T`` episodes, ``N`` rows of each. A weight is *shared*, ``(O, I)``, or a task's *own*,
``(T, O, I)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .._descent import Loss
from .chain import Links

Along = Callable[[Tensor], Tensor]

# What there is of a gradient where the activation is above a number.
_only_live = torch.ops.aten.threshold_backward.default


def tail(links: Links, loss: Loss) -> int:
    """Return from which link on they are linear layers with a ReLU between each; none for another loss."""
    if loss not in (F.cross_entropy, F.mse_loss) or any(map(torch.is_autocast_enabled, ("cpu", "cuda"))):
        return len(links)
    at = len(links)
    while at and type(links[at - 1].call) is ((nn.ReLU, nn.Linear)[(len(links) - at) % 2 == 0]):
        at -= 1
    return at + (at < len(links) and type(links[at].call) is nn.ReLU)


def gradients(
    links: Links, weights: Mapping[str, Tensor], x: Tensor, y: Tensor, loss: Loss
) -> dict[str, Tensor] | None:
    """Return each episode's gradients ``(T, *)`` in all weights; ``None`` where targets do not fit the loss.

    Args:
        links: a perceptron's.
        weights: shared or each task's own, by name.
        x: rows ``(T, N, D)``.
        y: targets, ``(T, N)`` int64 for ``cross_entropy``, ``(T, N, O)`` for ``mse_loss``.
        loss: one of these two.
    """
    names = _names(links, x, y, loss)
    if names is None:
        return None
    found = _Gradients.apply(loss, y, x, *(weights.get(name) for name in names))
    return {name: g for name, g in zip(names, found, strict=True) if name in weights}


def losses(links: Links, weights: Mapping[str, Tensor], x: Tensor, y: Tensor, loss: Loss) -> Tensor | None:
    """Return each episode's loss ``(T,)``, with the arguments of ``gradients`` and the same ``None``."""
    names = _names(links, x, y, loss)
    return None if names is None else _Losses.apply(loss, y, x, *map(weights.get, names))


def _names(links: Links, x: Tensor, y: Tensor, loss: Loss) -> list[str] | None:
    layers = [link for link in links if link.name]
    if x.ndim != 3 or not layers:
        return None
    named = loss is F.cross_entropy
    shape = x.shape[:2] if named else (*x.shape[:2], layers[-1].call.out_features)
    if y.shape != shape or y.dtype != (torch.int64 if named else x.dtype):
        return None
    return [link.name + kind for link in layers for kind in ("weight", "bias")]


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Loss, y: Tensor, x: Tensor, *values: Tensor | None) -> Tensor:
        inputs, z = _forward(x, values)
        found, d, _ = _judged(loss, z, y)
        ctx.save_for_backward(d, *inputs, *values)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> Any:
        d, *saved = ctx.saved_tensors
        inputs, values = saved[: len(saved) // 3], saved[len(saved) // 3 :]
        rows = ctx.needs_input_grad[2]
        ds = _backward(d * given[:, None, None], inputs, values, rows=rows)
        found = []
        for d, a, weight, bias in zip(ds, inputs, values[::2], values[1::2], strict=False):
            found += [_pull(d, a, weight), None if bias is None else d.sum(1 if bias.ndim == 2 else (0, 1))]
        return None, None, ds[-1] if rows else None, *found


class _Gradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Loss, y: Tensor, x: Tensor, *values: Tensor | None) -> tuple[Tensor, ...]:
        inputs, z = _forward(x, values)
        _, d, ctx.along = _judged(loss, z, y)
        ds = _backward(d, inputs, values)
        weights, biases = values[::2], values[1::2]
        ctx.save_for_backward(*weights, *inputs, *ds)
        ctx.own_biases = [bias is not None and bias.ndim == 2 for bias in biases]
        ctx.set_materialize_grads(False)
        return tuple(g for d, a in zip(ds, inputs, strict=True) for g in (torch.bmm(d.mT, a), d.sum(1)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *given: Tensor | None) -> Any:
        count = len(given) // 2
        saved = ctx.saved_tensors
        weights, inputs, ds = saved[:count], saved[count : 2 * count], saved[2 * count :]
        vs, cs = given[::2], given[1::2]
        rates: list[Tensor | None] = [None]  # of a layer's inputs; rows stay as they are
        for at, (weight, v, c) in enumerate(zip(weights, vs, cs, strict=True)):
            a, moved = inputs[at], rates[-1]
            rate = a.new_zeros(*a.shape[:2], weight.shape[-2]) if v is None else _back(a, v.mT)
            rate = rate if c is None else rate.add_(c[:, None])
            rate = rate if moved is None else _add_back(rate, moved, weight.mT)
            rates.append(_only_live(rate, inputs[at + 1], 0) if at + 1 < count else rate)
        last = rates.pop()
        assert last is not None
        rate = ctx.along(last)
        found: list[Tensor | None] = []
        for at in reversed(range(count)):
            weight, v = weights[at], vs[at]
            asked_weight, asked_bias = ctx.needs_input_grad[3 + 2 * at : 5 + 2 * at]
            by_bias = (rate.sum(1) if ctx.own_biases[at] else rate.sum((0, 1))) if asked_bias else None
            by_weight = None
            if asked_weight:
                by_weight = _pull(rate, inputs[at], weight, (ds[at], rates[at]))
            found += [by_bias, by_weight]
            if at or ctx.needs_input_grad[2]:
                rate = _back(rate, weight)
                rate = rate if v is None else _add_back(rate, ds[at], v)
                rate = _only_live(rate, inputs[at], 0) if at else rate
        return None, None, rate if ctx.needs_input_grad[2] else None, *found[::-1]


def _forward(x: Tensor, values: Sequence[Any]) -> tuple[list[Tensor], Tensor]:
    """Return the inputs of all layers, and the outputs."""
    inputs = [x]
    for at in range(0, len(values) - 2, 2):
        inputs.append(_linear(inputs[-1], values[at], values[at + 1]).relu_())
    return inputs, _linear(inputs[-1], values[-2], values[-1])


def _backward(
    d: Tensor, inputs: Sequence[Tensor], values: Sequence[Any], *, rows: bool = False
) -> list[Tensor]:
    """Return gradients in the outputs of all layers by that of the last, and behind them that in rows."""
    ds = [d]
    for at in reversed(range(1, len(inputs))):
        ds.insert(0, _only_live(_back(ds[0], values[2 * at]), inputs[at], 0))
    return [*ds, _back(ds[0], values[0])] if rows else ds


def _judged(loss: Loss, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Along]:
    """Return each episode's loss, its gradient in outputs ``(T, N, O)``, and how that changes with them."""
    if loss is F.mse_loss:
        away, scale = z - y, 2 / (z.shape[1] * z.shape[2])
        d = away * scale
        return (away * d).sum((1, 2)) / 2, d, lambda rate: rate * scale
    counted = (y != -100).to(z.dtype)[..., None]
    share = counted / counted.sum(1, keepdim=True)
    at, logs = torch.where(y == -100, 0, y)[..., None], z.log_softmax(2)
    p = logs.exp()
    d = p.scatter_add(2, at, -torch.ones_like(share)) * share
    found = -(logs.gather(2, at) * share).sum((1, 2))
    return found, d, lambda rate: p * (rate - (p * rate).sum(2, keepdim=True)) * share


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if bias is None:
        return _back(x, weight.mT)
    each = bias[:, None] if bias.ndim == 2 else bias
    if x.shape[2] == 1 or weight.ndim < bias.ndim + 1:
        return _back(x, weight.mT).add_(each)
    return F.linear(x, weight, bias) if weight.ndim == 2 else torch.baddbmm(each, x, weight.mT)


def _back(d: Tensor, weight: Tensor) -> Tensor:
    if d.shape[2] == 1:  # a product of matrices takes three times as long as this
        return d * weight
    if weight.ndim == 3:
        return torch.bmm(d, weight)
    return torch.mm(d.flatten(0, 1), weight).view(*d.shape[:2], -1)


def _add_back(to: Tensor, d: Tensor, weight: Tensor) -> Tensor:
    if d.shape[2] == 1:
        return to.addcmul_(d, weight)
    if weight.ndim == 3:
        return to.baddbmm_(d, weight)
    to.view(-1, to.shape[2]).addmm_(d.flatten(0, 1), weight)
    return to


def _pull(d: Tensor, a: Tensor, weight: Tensor, more: tuple[Any, Any] = (None, None)) -> Tensor:
    """Return a weight's gradient by that in its layer's outputs; for a shared one the sum over tasks."""
    if weight.ndim == 3:
        found = torch.bmm(d.mT, a)
        return found if more[1] is None else found.baddbmm_(more[0].mT, more[1])
    found = torch.mm(d.flatten(0, 1).mT, a.flatten(0, 1))
    return found if more[1] is None else found.addmm_(more[0].flatten(0, 1).mT, more[1].flatten(0, 1))
