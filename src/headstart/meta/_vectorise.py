"""Run a function of one episode over a stack of episodes, exactly.

Two things stand between ``torch.func.vmap`` and the plain loop. The second derivative of an affine
batch, layer or instance norm is silently wrong under it (https://github.com/pytorch/functorch/issues/534),
and running statistics cannot be written from inside. Both are cured here by calling the norms
without their affine part and without their buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

UNKNOWN = {torch.batch_norm, torch.instance_norm, torch.native_batch_norm, torch.native_layer_norm}


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None, shape: Iterable[int]) -> Tensor:
    shape = tuple(shape)
    if weight is None:
        return x if bias is None else x + bias.view(shape)
    return x * weight.view(shape) if bias is None else torch.addcmul(bias.view(shape), x, weight.view(shape))


def _channels(x: Tensor) -> tuple[int, ...]:
    return (1, x.shape[1], *(1 for _ in x.shape[2:]))


class ExactNorms(TorchFunctionMode):
    """While entered, norms are exact under ``vmap``; ``seen`` collects statistics for ``net``'s buffers.

    Args:
        net: whose running statistics would have been written; those of copies are thrown away.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        tracking = [m for m in net.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
        self.owners = {id(m.running_mean): m for m in tracking}
        self.counters = {id(m.num_batches_tracked) for m in tracking if m.num_batches_tracked is not None}
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
        if func is Tensor.add_ and id(args[0]) in self.counters:
            return args[0]
        return func(*args, **kwargs)

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
        if training:
            owner = self.owners.get(id(running_mean))
            if owner is not None:
                var, mean = torch.var_mean(input.detach(), [d for d in range(input.ndim) if d != 1])
                self.seen.append((owner, mean, var))
            running_mean = running_var = None
        out = F.batch_norm(input, running_mean, running_var, training=training, eps=eps)
        return _affine(out, weight, bias, _channels(input))

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


def over_episodes(
    function: Callable[..., Tensor], net: nn.Module, arguments: tuple[Any, ...], *, chunk: int | None = None
) -> Tensor:
    """Call ``function`` on every episode of ``arguments`` (leading axis ``T``) at once: ``(T, ...)``.

    The running statistics of ``net`` move as if the episodes had come one after another.
    """
    owners: list[_BatchNorm] = []

    def one(*episode: Any) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        with ExactNorms(net) as norms:
            value = function(*episode)
        owners[:] = [owner for owner, _, _ in norms.seen]
        return value, [(mean, var) for _, mean, var in norms.seen]

    values, statistics = torch.func.vmap(one, randomness="different", chunk_size=chunk)(*arguments)
    with torch.no_grad():
        for index in range(len(values)):
            for owner, (means, variances) in zip(owners, statistics, strict=True):
                _track(owner, means[index], variances[index])
    return values


def _track(norm: _BatchNorm, mean: Tensor, var: Tensor) -> None:
    """Move running statistics towards those of one batch, as the layer's own forward pass does."""
    assert norm.running_mean is not None and norm.running_var is not None
    rate = norm.momentum
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        rate = 1.0 / float(norm.num_batches_tracked) if rate is None else rate
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), rate or 0.0)
    norm.running_var.lerp_(var.to(norm.running_var.dtype), rate or 0.0)
