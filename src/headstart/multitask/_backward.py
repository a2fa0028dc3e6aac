"""Gradients of several tasks, weighed by what they say about one another.

Shapes: ``K`` tasks, ``p`` parameters of one layer.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import unknown, wrong
from ..models import Net
from ..seams import GramianWeighing


def backward(weighing: GramianWeighing) -> _Backward:
    r"""Build a combine that weighs the task gradients of the shared weights by their Gramian.

    Every loss is one task. With :math:`g_k` the gradient of loss ``k`` over the backbone,

    .. math:: \text{grad} = \sum_k w_k\, g_k, \qquad w = \text{weighing}(G), \quad G_{kl} = g_k \cdot g_l

    Every trainable weight of the backbone counts as shared, also one that a single task uses (in a
    ``Trunk``). Heads and learned parts of an objective get the plain sum of their own gradients, not
    weighed. The Gramian is summed layer by layer; no matrix of all task gradients is formed, though
    each task's gradients are kept until the weights are known. The graph is kept up to the last task.
    Gradients add to what ``.grad`` holds, as in ``loss.backward()``. A loss that needs no gradient is
    left out, and so is a task that is absent: it adds no row. With a single task this is
    ``loss.backward()``.

    Args:
        weighing: from the Gramian ``(K, K)`` of the tasks that are there to their weights ``(K,)``:
            ``pcgrad``, ``mgda``, or any function or module of that signature. No gradient flows back
            through the weights.

    Shape:
        the combine takes ``losses``, scalars by name, and the net.

    Raises:
        ValueError: if the weighing returns another shape than ``(K,)``.

    Example:
        >>> from headstart.multitask import pcgrad
        >>> net = Net(nn.Linear(2, 2), {"a": nn.Linear(2, 1), "b": nn.Linear(2, 1)})
        >>> x = torch.ones(3, 2)
        >>> backward(pcgrad)({"a": net(x, "a").mean(), "b": -net(x, "b").mean()}, net)
        >>> net.backbone.weight.grad.shape
        torch.Size([2, 2])

    References:
        Quinton & Rey (2024), section 6, Gramian-based Jacobian descent, https://arxiv.org/abs/2406.16232;
        heads: Sener & Koltun (NeurIPS 2018), algorithm 2, https://arxiv.org/abs/1810.04650
    """
    return _Backward(weighing)


class _Backward(nn.Module):
    def __init__(self, weighing: GramianWeighing) -> None:
        super().__init__()
        self.weighing = weighing

    def forward(self, losses: Mapping[str, Tensor], net: Net) -> None:
        """Fill ``.grad``."""
        named = {name: loss for name, loss in losses.items() if loss.requires_grad}
        present = list(named.values())
        if len(present) < 2:
            for loss in present:
                loss.backward()
            return
        shared = list(net.shared().values())
        before = [p.grad for p in shared]
        rows: list[list[Tensor | None]] = []
        for k, loss in enumerate(present):
            for p in shared:
                p.grad = None
            loss.backward(retain_graph=k < len(present) - 1)
            rows.append([_dense(p.grad) for p in shared])
        layers = list(
            zip(*rows, strict=True)
        )  # per parameter the K gradients, None where a task does not reach it
        weights = _weigh(self.weighing, _gramian(layers, present), list(named))
        scales = weights.tolist()
        for p, old, gradients in zip(shared, before, layers, strict=True):
            p.grad = old
            for scale, g in zip(scales, gradients, strict=True):
                if g is not None:
                    p.grad = scale * g if p.grad is None else p.grad.add_(g, alpha=scale)


def _weigh(weighing: GramianWeighing, gramian: Tensor, tasks: list[str]) -> Tensor:
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


def _dense(gradient: Tensor | None) -> Tensor | None:
    """Write the gradient of a sparse embedding out, since products of gradients are taken."""
    return gradient.to_dense() if gradient is not None and gradient.is_sparse else gradient


def _gramian(layers: list[tuple[Tensor | None, ...]], losses: list[Tensor]) -> Tensor:
    """Sum the Gramians ``(K, K)`` of the layers."""
    dtype = torch.promote_types(losses[0].dtype, torch.float32)
    total = torch.zeros(len(losses), len(losses), dtype=dtype, device=losses[0].device)
    for gradients in layers:
        tasks = [k for k, g in enumerate(gradients) if g is not None]
        if tasks:
            jacobian = torch.stack([g.flatten() for g in gradients if g is not None]).to(total)  # (k, p)
            at = torch.tensor(tasks, device=total.device)
            total[at[:, None], at] += jacobian @ jacobian.T
    return total
