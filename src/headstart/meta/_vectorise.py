"""Run a function of one episode over a stack of episodes, exactly.

Two things stand between ``torch.func.vmap`` and the plain loop. The second derivative of an affine
batch, layer or instance norm is silently wrong under it (https://github.com/pytorch/functorch/issues/534),
and running statistics cannot be written from inside. Both are cured here by calling the norms
without their affine part and without their buffers, and by moving the statistics afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.overrides import TorchFunctionMode

UNKNOWN = {torch.batch_norm, torch.instance_norm, torch.native_batch_norm, torch.native_layer_norm}


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None, shape: Iterable[int]) -> Tensor:
    shape = tuple(shape)
    if weight is not None:  # not `addcmul`, whose second derivative passes over the rows more often
        x = x * weight.view(shape)
    return x if bias is None else x + bias.view(shape)


def _channels(x: Tensor) -> tuple[int, ...]:
    return (1, x.shape[1], *(1 for _ in x.shape[2:]))


def normalised(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, axes: tuple[int, ...], eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows by the mean and the deviation over ``axes``, then the mean and the unbiased variance.

    Scale and shift have the axes of ``x``. Sums rather than ``torch.var_mean``, whose derivatives pass over
    the rows more often, as do those of a scale and a shift that come after a division by the deviation. The
    mean is negated rather than subtracted, because subtraction negates the gradients of all rows before it
    adds them up.
    """
    count = math.prod(x.shape[axis] for axis in axes)
    minus_mean = x.sum(axes, keepdim=True) / -count
    centred = x + minus_mean
    var = (centred * centred).sum(axes, keepdim=True) / count
    scale = (var + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    out = centred * scale
    return out if bias is None else out + bias, -minus_mean, var * (count / (count - 1))


class ExactNorms(TorchFunctionMode):
    """While entered, norms are exact under ``vmap``; ``seen`` collects statistics for ``net``'s buffers.

    Args:
        net: whose running statistics would have been written, by itself or by an ``Adapted`` of it, which
            works on copies.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.owners = {id(m.running_mean): m for m, _ in _tracking(net)}
        self.copies: list[Tensor] = []  # kept, so that no other tensor gets the number of one
        self.seen: list[tuple[_BatchNorm, Tensor, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return self._batch(*args, **kwargs)
        if func is F.layer_norm or func is torch.layer_norm:
            return self._layer(*args, **kwargs)
        if func is F.instance_norm:
            return self._instance(*args, **kwargs)
        if func in UNKNOWN:
            raise RuntimeError(f"{func.__name__} is not exact under vmap")
        out = func(*args, **kwargs)
        if func is Tensor.clone and (owner := self.owners.get(id(args[0]))) is not None:
            self.owners[id(out)] = owner
            self.copies.append(out)
        return out

    # Arguments have the names of `torch.nn.functional`, which passes some of them by name.

    def _batch(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        shape = _channels(input)
        axes = tuple(axis for axis in range(input.ndim) if axis != 1)
        count = math.prod(input.shape[axis] for axis in axes)
        if not training or count < 2:  # torch refuses a single value
            out = F.batch_norm(input, running_mean, running_var, training=training, eps=eps)
            return _affine(out, weight, bias, shape)
        if not torch._C._are_functorch_transforms_active():  # PyTorch's own is exact, and half the price
            wide = torch.promote_types(input.dtype, torch.float32)
            mean, unbiased = input.new_zeros(2, input.shape[1], dtype=wide)
            out = F.batch_norm(input, mean, unbiased, weight, bias, training=True, momentum=1.0, eps=eps)
            return self._note(running_mean, out, mean, unbiased)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        scale, shift = (None if v is None else v.view(shape) for v in (weight, bias))
        out, mean, unbiased = normalised(x, scale, shift, axes, eps)
        return self._note(
            running_mean, out.to(input.dtype), mean.detach().flatten(), unbiased.detach().flatten()
        )

    def _note(self, running: Tensor | None, out: Tensor, mean: Tensor, unbiased: Tensor) -> Tensor:
        owner = self.owners.get(id(running))
        if owner is not None:
            self.seen.append((owner, mean, unbiased))
        return out

    def _layer(
        self,
        input: Tensor,
        normalized_shape: list[int],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
        cudnn_enable: bool = True,
    ) -> Tensor:
        return _affine(F.layer_norm(input, normalized_shape, eps=eps), weight, bias, normalized_shape)

    def _instance(
        self,
        input: Tensor,
        running_mean: Tensor | None = None,
        running_var: Tensor | None = None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        use_input_stats: bool = True,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if running_mean is not None:
            raise RuntimeError("instance norm with running statistics is not exact under vmap")
        return _affine(F.instance_norm(input, eps=eps), weight, bias, _channels(input))


def _tracking(net: nn.Module) -> list[tuple[_BatchNorm, Tensor]]:
    """List the batch norms of ``net`` that keep running statistics, each with its counter of batches."""
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm)]
    return [(m, m.num_batches_tracked) for m in norms if m.num_batches_tracked is not None]


def _may_normalise(net: nn.Module) -> bool:
    """Tell whether a forward pass may reach a norm: where it has one, or a module whose code is not known."""
    norms = (_NormBase, nn.LayerNorm, nn.RMSNorm)
    known = ("torch.nn.modules.", "headstart.")
    return any(isinstance(m, norms) or not type(m).__module__.startswith(known) for m in net.modules())


def over_episodes(function: Callable[..., Tensor], net: nn.Module, arguments: tuple[Any, ...]) -> Tensor:
    """Call ``function`` on every episode of ``arguments`` (leading axis ``T``) at once: ``(T, ...)``.

    The running statistics of ``net`` move as if the episodes had come one after another, each with all the
    forward passes of its adaptation.
    """
    if not _may_normalise(net):  # looking at every call of torch costs a third of a small net's time
        return torch.func.vmap(function, randomness="different")(*arguments)
    owners: list[_BatchNorm] = []
    counts = [(count, count.clone()) for _, count in _tracking(net)]

    def one(*episode: Any) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        with ExactNorms(net) as norms:
            value = function(*episode)
        owners[:] = [owner for owner, _, _ in norms.seen]
        # A clone leaves the transform that a statistic was taken inside, as of an inner gradient.
        return value, [(mean.clone(), var.clone()) for _, mean, var in norms.seen]

    values, statistics = torch.func.vmap(one, randomness="different")(*arguments)
    with torch.no_grad():
        for count, before in counts:
            count.copy_(before)
        track(owners, statistics)
    return values


def one_by_one(function: Callable[[int], Tensor], net: nn.Module, count: int) -> Tensor:
    """Call ``function`` on the number of each episode, ``(T, ...)``; running statistics move as above."""
    values = []
    for index in range(count):
        counts = [(seen, seen.clone()) for _, seen in _tracking(net)]
        with ExactNorms(net) as norms:
            values.append(function(index))
        with torch.no_grad():
            for seen, before in counts:
                seen.copy_(before)
            track([owner for owner, _, _ in norms.seen], [(m[None], v[None]) for _, m, v in norms.seen])
    return torch.stack(values)


def track(owners: list[_BatchNorm], statistics: list[tuple[Tensor, Tensor]]) -> None:
    """Move running statistics towards those of batches ``(T, C)``, in the order of episodes, then of calls.

    After ``n`` batches the oldest counts :math:`m (1 - m)^{n-1}` and the newest :math:`m`, as the layer's own
    forward pass has it; without a momentum all batches that were ever seen count alike.
    """
    for norm in dict.fromkeys(owners):
        own = [pair for owner, pair in zip(owners, statistics, strict=True) if owner is norm]
        assert norm.num_batches_tracked is not None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, var = (
            torch.stack(some, 1).flatten(0, 1).to(norm.running_mean) for some in zip(*own, strict=True)
        )
        norm.num_batches_tracked.add_(len(mean))
        if norm.momentum is None:
            share = mean.new_ones(len(mean)) / int(norm.num_batches_tracked)
        else:
            left = torch.arange(len(mean) - 1, -1, -1, dtype=mean.dtype, device=mean.device)
            share = norm.momentum * (1 - norm.momentum) ** left
        for running, new in ((norm.running_mean, mean), (norm.running_var, var)):
            running.mul_(1 - share.sum()).add_(share.to(new) @ new)


class Accumulated(torch.autograd.Function):
    """Add up losses part by part and take each part's gradient at once, so that one graph lives at a time."""

    @staticmethod
    def forward(ctx: Any, function: Callable[[int], Tensor], parts: int, *weights: Tensor) -> Tensor:
        total = torch.zeros(())
        gradients: list[Tensor | None] = [None for _ in weights]
        for part in range(parts):
            with torch.enable_grad():
                loss = function(part)
                new = torch.autograd.grad(loss, weights, allow_unused=True)
            total = total.to(loss) + loss.detach()
            gradients = [
                b if a is None else a if b is None else a + b for a, b in zip(gradients, new, strict=True)
            ]
        ctx.gradients = gradients
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Any:
        return None, None, *(None if g is None else upstream * g for g in ctx.gradients)
