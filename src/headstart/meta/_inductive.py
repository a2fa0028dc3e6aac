"""Adapt to a net whose answer to a row depends on that row alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import wrong
from ..models import Adapted, Net
from ..models.resting import resting
from ..seams import Adaptation, TaskAdaptation
from ..tasks import Labelled, X


def with_outputs(net: Net, adaptation: TaskAdaptation, outputs: int, row: X) -> Net:
    """Return a net whose head has as many outputs as there are classes.

    A head of another number starts from zeros, so that no class is preferred before the first step.

    Args:
        net: with the trunk and the head that were learned.
        adaptation: what will adapt it.
        outputs: classes, at least 2.
        row: of the net, by which its width is measured.

    Raises:
        ValueError: if the adaptation needs the head as it was learned, and it has another number.
    """
    task = adaptation.task
    with torch.no_grad(), resting(net):
        z = net.features(row, task)
        had = net.head(task)(z).shape[1]
    if had == outputs:
        return Net(net.backbone, {task: net.head(task)})
    if getattr(adaptation, "fixed_head", False):
        expected = f"as many classes as the head that was learned has outputs ({had})"
        hint = "use `MAML`, whose head is learned anew"
        raise wrong("`labels`", expected=expected, found=outputs, hint=hint)
    head = nn.utils.skip_init(nn.Linear, z.shape[1], outputs, device=z.device, dtype=z.dtype)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return Net(net.backbone, {task: head})


@torch.no_grad()
def inductive(adaptation: Adaptation, net: Net, support: Labelled) -> Net:
    """Adapt, without a graph, and return a net in eval mode with the weights that were learned.

    Where only a head is learned, features keep the running statistics that they were learned with. Where
    the trunk moves, it does so as in meta-training: normalisation layers that train (that are not frozen)
    go by the statistics of the support rows in every step, and those under the last weights become the
    running ones. Running statistics of before the steps are those of other weights: by them a net that was
    meta-trained with batch statistics answers at random.

    Args:
        adaptation: any.
        net: in any mode, left as it was.
        support: rows to adapt on.
    """
    with resting(net):
        adapted = adaptation(net, support)
    moves = any(name.startswith("backbone.") for name in adapted.weights)
    with batched(net) as norms:
        if moves and norms:
            adapted = adaptation(net, support)
    _check_finite(adapted, adaptation, net, support)
    new = adapted.export()
    if not (moves and norms):
        return new.eval()
    with batched(new) as norms:
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches, of which there is one
        new(support.x, adapted.task)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return new.eval()


def _check_finite(adapted: Adapted, adaptation: Adaptation, net: Net, support: Labelled) -> None:
    """Raise ``FloatingPointError`` where weights are no numbers, with the step at which they ceased to be."""
    if _numbers(adapted):
        return
    path, lr = getattr(adaptation, "path", None), getattr(adaptation, "lr", None)
    found = "NaN or infinity in them"
    if path is not None:
        found += f" after step {next(i for i, at in enumerate(path(net, support), 1) if not _numbers(at))}"
    what = "adapted weights" if lr is None else f"weights adapted with `lr={lr}`"
    hint = "lower the step size, or scale the inputs"
    raise wrong(what, expected="numbers", found=found, hint=hint, error=FloatingPointError)


def _numbers(adapted: Adapted) -> bool:
    # Minus infinity is the bias of a class without rows.
    return not any((value.isnan() | value.isposinf()).any() for value in adapted.weights.values())


@contextmanager
def batched(net: nn.Module) -> Iterator[list[_BatchNorm]]:
    """Let the norms of a net that train go by the rows of each call, all else being as at test time.

    Gives those of them that keep running statistics.
    """
    with resting(net):
        norms = [m for m in net.train().modules() if isinstance(m, _BatchNorm) and m.training]
        net.eval()
        for norm in norms:
            norm.train()
        yield [norm for norm in norms if norm.running_mean is not None]
