"""The signatures that methods have, and what each promises: the one place where the seams are written down.

A method is a value with one of these signatures. They are protocols, so nothing has to be derived from
them: a function, a frozen dataclass with ``__call__``, and an ``nn.Module`` fit alike. For all of them:

* **The form tells the state.** A function has none, a frozen dataclass is settings, an ``nn.Module`` keeps
  something: learned weights, which train along with the net (see ``learned``), and running values in
  buffers. All of it is in its ``state_dict``, so in every checkpoint of ``fit``; a call may move it.
* **What is given stays as it is**: batches, losses and Gramians are never written to, and neither are the
  net's weights. Running statistics of normalisation layers may move where the net is in training mode.
* **Deterministic.** Equal inputs give equal results from the same state. What is random takes a
  ``generator``, or a seed where it keeps its own count; the global random states of torch, numpy and Python
  are neither read nor set.
* **On any device, in any floating type**: results come where the inputs are and in their type.
* **Copied and pickled** with the same results afterwards, so that workers can be handed one.
* **No bookkeeping**: no counting of steps, no moving between devices, no printing, no files.

``headstart.testing`` has a check for each.

Shapes: ``B`` rows, ``S`` support rows, ``Q`` query rows, ``N`` scored rows, ``D`` features, ``K`` tasks.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor, nn

from .models import Adapted, Net
from .tasks import Inputs, Labelled

__all__ = [
    "Adaptation",
    "Combine",
    "GramianWeighing",
    "LossWeighing",
    "Objective",
    "Score",
    "TaskAdaptation",
    "Transduction",
    "learned",
]


class Objective(Protocol):
    r"""Say what to lower: ``(net, batch, progress) -> losses``.

    The losses come apart, each a finite scalar with a graph, under names that are the same at every call
    with the same batch. A task that is absent from the batch, or has no label in it, gives no entry, never
    a zero or a NaN. Which loss counts how much is for the ``Combine`` to say; without one they are summed,
    so a factor of the method's own (a ``weight``) is in the loss already. Every entry is in the unit that
    the docstring names.

    The objective may read the weights of the net, frozen ones too, but gives no gradient to those. It
    neither calls ``backward`` nor changes ``requires_grad`` or the training mode. From a ``Shift`` it
    cannot read target labels, because there are none.

    Args:
        net: whose losses are asked for.
        batch: what the model meets in one step: labelled rows by task name, a ``Shift``, or ``Episodes``.
        progress: how much of the run is behind, in [0, 1): 0 at the first step and never 1. What changes
            along a run is a function of it.

    Shape:
        rows ``(B, *)``; returns scalars ``()`` by name.

    Example:
        >>> import torch
        >>> def energy(net, batch, progress):
        ...     return {name: net(rows.x, name).square().mean() for name, rows in batch.items()}
        >>> method: Objective = energy
        >>> rows = Labelled(torch.ones(4, 3), torch.zeros(4))
        >>> net = Net(nn.Linear(3, 2), {"a": nn.Linear(2, 1)})
        >>> list(method(net, {"a": rows}, 0.0))
        ['a']
    """

    def __call__(self, net: Net, batch: Any, progress: float, /) -> dict[str, Tensor]:
        """Return the losses by name."""


class LossWeighing(Protocol):
    r"""Turn the losses of several tasks into the one to lower: ``losses -> loss``.

    The result is finite, and its gradient reaches every loss. A weighing is given the losses that are
    there, in the order of the objective, and so cannot tell which tasks are missing. One that keeps
    something for each of its tasks has an attribute ``names``, the tasks in its order, as that of a
    ``multitask.PerTask``: it is given all of them, NaN where a task is absent, and an absent task adds
    nothing to the result and to no gradient.

    Args:
        losses: at least one, with a graph, at least 0 for most kinds of task.

    Shape:
        ``losses (K,)``; returns ``()``.

    Example:
        >>> import torch
        >>> geometric: LossWeighing = lambda losses: losses.log().mean()
        >>> geometric(torch.tensor([1.0, 1.0])).item()
        0.0
    """

    def __call__(self, losses: Tensor, /) -> Tensor:
        """Return the loss to lower."""


class GramianWeighing(Protocol):
    r"""Say by how much each task's gradient counts: ``gramian -> weights``.

    With :math:`g_k` the gradient of loss ``k`` over the shared weights and :math:`G_{kl} = g_k \cdot g_l`,
    the step goes along :math:`\sum_k w_k g_k`. The Gramian has one row per task that is there: an absent
    task has no row, never a NaN. A weighing that keeps something for each of its tasks has an attribute
    ``names``, as a ``multitask.PerTask``: it is given all of them, in its order, and the gradient of an
    absent one is zero. The weights are finite for every Gramian, of zero, equal, opposite and badly scaled
    gradients too. They come without a graph: no gradient flows back through them.

    Args:
        gramian: inner products of the task gradients, symmetric, positive semidefinite up to rounding.

    Shape:
        ``gramian (K, K)`` with ``K`` at least 1; returns ``(K,)``.

    Raises:
        FloatingPointError: by the method, if the Gramian is not finite.

    Example:
        >>> import torch
        >>> equal: GramianWeighing = lambda gramian: gramian.new_ones(len(gramian))
        >>> equal(torch.eye(2)).tolist()
        [1.0, 1.0]
    """

    def __call__(self, gramian: Tensor, /) -> Tensor:
        """Return the weights of the tasks."""


class Combine(Protocol):
    """Fill ``.grad`` from the losses of one step: ``(losses, net) -> None``.

    It stands between objective and optimizer. Gradients add to what ``.grad`` holds, as in
    ``loss.backward()``; weights that no loss reaches keep theirs, ``None`` at first; frozen weights get
    none. Without losses, or with none that needs a gradient, it does nothing. It takes no step, sets no
    gradient to zero, and uses the graph up. ``multitask.backward`` makes one of a ``GramianWeighing`` and
    ``multitask.weighted`` of a ``LossWeighing``; ``engine.fit`` sums the losses without one.

    Args:
        losses: what an ``Objective`` returned, by name.
        net: that the losses were computed with.

    Example:
        >>> import torch
        >>> def largest(losses, net):
        ...     max(losses.values()).backward()
        >>> combine: Combine = largest
        >>> net = Net(nn.Linear(2, 2), {"a": nn.Linear(2, 1)})
        >>> combine({"a": net(torch.ones(1, 2), "a").sum()}, net)
        >>> net.backbone.weight.grad.shape
        torch.Size([2, 2])
    """

    def __call__(self, losses: dict[str, Tensor], net: Net, /) -> None:
        """Fill ``.grad``."""


class Adaptation(Protocol):
    """Turn a net and a support set into a net that fits it: ``(net, support) -> adapted``.

    It is written for one episode and touches nothing: new weights are functions of the old ones and of the
    support set, held by the ``Adapted``, so that a loss on query rows trains the net through them. Frozen
    weights get no gradient; a method that could then adapt nothing raises ``ValueError``. Under
    ``torch.no_grad`` it adapts all the same, to the same weights, detached. ``meta.Episodic`` runs it for
    many episodes side by side under ``torch.func.vmap``; where control flow depends on the values of
    tensors, they run one after another.

    Args:
        net: to start from.
        support: rows to adapt on, all of them labelled.

    Shape:
        support ``x (S, *)``, ``y (S, ...)``; the result maps ``(Q, *)`` to ``(Q, O)``.

    Example:
        >>> import torch
        >>> asis: Adaptation = lambda net, support: Adapted(net, "a", {})
        >>> rows = Labelled(torch.ones(4, 3), torch.zeros(4))
        >>> asis(Net(nn.Linear(3, 2), {"a": nn.Linear(2, 1)}), rows)(torch.ones(5, 3)).shape
        torch.Size([5, 1])
    """

    def __call__(self, net: Net, support: Labelled, /) -> Adapted:
        """Return the adapted net."""


class TaskAdaptation(Adaptation, Protocol):
    """Adapt by the head of a task that is known beforehand, as ``meta.FewShot`` needs it.

    All is as in ``Adaptation``; the result's ``task`` is this one.

    Example:
        >>> from headstart.meta import ProtoNet
        >>> nearest: TaskAdaptation = ProtoNet("coins")
        >>> nearest.task
        'coins'
    """

    @property
    def task(self) -> str:
        """The head to use."""


class Transduction(Protocol):
    """Answer all query rows of an episode together: ``(net, support, query) -> logits``.

    The query rows come without labels, and their answers may depend on one another. Nothing is left to use
    on a row that comes later, so there is no ``Adapted``, and a result is never compared with that of an
    ``Adaptation``. Features come from the net in eval mode. No gradient flows back.

    Args:
        net: whose features are taken.
        support: rows to learn from, all of them labelled.
        query: rows to answer.

    Shape:
        support ``x (S, *)``, ``y (S,)`` in ``[0, N)``, query ``(Q, *)``; returns ``(Q, N)``.

    Example:
        >>> from headstart.meta import TIM
        >>> method: Transduction = TIM("coins")
        >>> method.transductive
        True
    """

    transductive: ClassVar[Literal[True]]

    @property
    def task(self) -> str:
        """Whose features, where a trunk knows tasks apart."""

    def __call__(self, net: Net, support: Labelled, query: Inputs, /) -> Tensor:
        """Return the logits of the query rows."""


class Score(Protocol):
    """Say, before any training, how well a pretrained net would transfer: ``(values, labels) -> score``.

    Higher is better, in the unit that the docstring names, and compared only between nets on the same
    rows. The score does not depend on the order of the rows. Rows without a label (NaN, -100) are left
    out. Values may come with a graph and in half precision; it is computed in float64.

    Args:
        values: features of the pretrained net, or its probabilities for its own classes.
        labels: the new task's, class numbers or real targets.

    Shape:
        ``values (N, D)``; ``labels (N,)``, or ``(N, C)`` for several targets per row; returns a ``float``.

    Raises:
        ValueError: by the method, if there is not one label per row, or a value is not finite.

    Example:
        >>> import torch
        >>> spread: Score = lambda values, labels: float(values.var())
        >>> spread(torch.ones(4, 2), torch.tensor([0, 1, 0, 1]))
        0.0
    """

    def __call__(self, values: Tensor, labels: Tensor, /) -> float:
        """Return the score."""


def learned(*methods: object) -> list[nn.Module]:
    """List those methods that have learned weights: the modules.

    Their parameters belong into the optimizer, their state into a checkpoint, and they move with the net
    to its device.

    Args:
        methods: values of any of the signatures.

    Example:
        >>> import torch
        >>> learned(torch.sum, nn.Linear(2, 1))
        [Linear(in_features=2, out_features=1, bias=True)]
    """
    return [method for method in methods if isinstance(method, nn.Module)]
