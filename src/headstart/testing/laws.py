"""Laws that a method may promise beyond the contract of its seam, one assertion each.

A check (``check_weighing``, ...) holds for every method of a seam. A law holds for some, and says what sort
of method it is: call those that yours promises, on many inputs. All raise ``AssertionError`` and say what
was found.

Shapes: ``K`` tasks, ``p`` shared weights, ``N`` and ``M`` rows, ``D`` features.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ..models import Net
from ..seams import GramianWeighing, LossWeighing, Objective, Score
from ._common import name_of, require

# Weighings of Gramians


def assert_no_conflict(weighing: GramianWeighing, gradients: Tensor, *, tolerance: float = 1e-9) -> None:
    r"""Hold that the step goes against no task: :math:`g_k \cdot \sum_l w_l g_l \ge 0` for every ``k``.

    Args:
        weighing: from the Gramian of the gradients to weights.
        gradients: one per task.
        tolerance: how far below 0 the product may be, in lengths of the gradients.

    Shape:
        ``gradients (K, p)``.

    Example:
        >>> from headstart.multitask import mgda
        >>> assert_no_conflict(mgda, torch.tensor([[1.0, 0.0], [-3.0, 1.0]]))
    """
    products = gradients @ _step(weighing, gradients)
    sizes = gradients.norm(dim=1)
    short = products + tolerance * sizes * sizes.sum()
    k = int(short.argmin())
    require(short[k] >= 0, f"{name_of(weighing)} goes against the gradient of task {k}: {products.tolist()}")


def assert_non_negative(weighing: GramianWeighing, gradients: Tensor) -> None:
    """Hold that no task is weighed below 0.

    Args:
        weighing: from the Gramian of the gradients to weights.
        gradients: one per task.

    Shape:
        ``gradients (K, p)``.

    Example:
        >>> from headstart.multitask import pcgrad
        >>> assert_non_negative(pcgrad, torch.tensor([[1.0, 0.0], [-3.0, 1.0]]))
    """
    weights = _weights(weighing, gradients)
    require((weights >= 0).all(), f"{name_of(weighing)} gives a weight below 0: {weights.tolist()}")


def assert_sum_to_one(weighing: GramianWeighing, gradients: Tensor, *, tolerance: float = 1e-6) -> None:
    """Hold that the weights sum to 1.

    Args:
        weighing: from the Gramian of the gradients to weights.
        gradients: one per task.
        tolerance: how far from 1 the sum may be.

    Shape:
        ``gradients (K, p)``.

    Example:
        >>> from headstart.multitask import mgda
        >>> assert_sum_to_one(mgda, torch.tensor([[1.0, 0.0], [-3.0, 1.0]]))
    """
    weights = _weights(weighing, gradients)
    require(
        abs(float(weights.sum()) - 1) <= tolerance,
        f"{name_of(weighing)} gives weights of sum {float(weights.sum())}: {weights.tolist()}",
    )


def assert_permutation_equivariant(
    weighing: GramianWeighing, gradients: Tensor, *, tolerance: float = 1e-6
) -> None:
    """Hold that the order of the tasks does not matter: each weight goes with its task.

    Told by the step, since the weights of gradients that depend on one another are not unique.

    Args:
        weighing: from the Gramian of the gradients to weights.
        gradients: one per task.
        tolerance: how far the steps may be apart, in lengths of the gradients.

    Shape:
        ``gradients (K, p)``.

    Example:
        >>> from headstart.multitask import mgda
        >>> assert_permutation_equivariant(mgda, torch.tensor([[1.0, 0.0], [-3.0, 1.0]]))
    """
    step, count = _step(weighing, gradients), len(gradients)
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    for order in (torch.arange(count).flip(0), shuffled):
        other = _step(weighing, gradients[order])
        require(
            _near(other, step, gradients, tolerance),
            f"{name_of(weighing)} gives another step for the tasks in the order {order.tolist()}",
        )


def assert_linear_under_scaling(
    weighing: GramianWeighing, gradients: Tensor, *, tolerance: float = 1e-6
) -> None:
    r"""Hold that the step is linear in factors :math:`c_k > 0` of the gradients.

    So a task whose loss is counted twice weighs twice, and changes nothing in what the others give.

    Args:
        weighing: from the Gramian of the gradients to weights.
        gradients: one per task.
        tolerance: how far the steps may be apart, in lengths of the gradients.

    Shape:
        ``gradients (K, p)``.

    Example:
        >>> from headstart.multitask import pcgrad
        >>> assert_linear_under_scaling(pcgrad, torch.tensor([[1.0, 0.0], [-3.0, 1.0]]))

    References:
        Quinton & Rey (2024), section 2.2, https://arxiv.org/abs/2406.16232
    """
    factors = 0.1 + torch.rand(2, len(gradients), 1, generator=torch.Generator().manual_seed(0))
    c, d = factors.to(gradients)
    once = _step(weighing, (2 * c + 3 * d) * gradients)
    apart = 2 * _step(weighing, c * gradients) + 3 * _step(weighing, d * gradients)
    require(
        _near(once, apart, gradients, tolerance),
        f"{name_of(weighing)} is not linear in factors of the gradients: {once.tolist()}, {apart.tolist()}",
    )


def assert_scale_invariant(weighing: GramianWeighing, gradients: Tensor, *, tolerance: float = 1e-6) -> None:
    """Hold that one factor of all gradients leaves the weights: the step grows as they do.

    Args:
        weighing: from the Gramian of the gradients to weights.
        gradients: one per task.
        tolerance: how far the steps may be apart, in lengths of the gradients.

    Shape:
        ``gradients (K, p)``.

    Example:
        >>> from headstart.multitask import mgda
        >>> assert_scale_invariant(mgda, torch.tensor([[1.0, 0.0], [-3.0, 1.0]]))
    """
    step = _step(weighing, gradients)
    for factor in (1e-3, 30.0):
        other = _step(weighing, factor * gradients) / factor
        require(
            _near(other, step, gradients, tolerance),
            f"{name_of(weighing)} gives another direction for gradients {factor:g} times as long",
        )


def assert_factor_invariant(weighing: GramianWeighing, gradients: Tensor, *, tolerance: float = 1e-6) -> None:
    """Hold that factors above 0, one for each loss, leave the direction of the step as it is.

    So it does not matter in which unit a task's loss is counted.

    Args:
        weighing: from the Gramian of the gradients to weights.
        gradients: one per task.
        tolerance: how far apart the directions may be, of length 1.

    Shape:
        ``gradients (K, p)``.

    Example:
        >>> from headstart.multitask import nash
        >>> assert_factor_invariant(nash, torch.tensor([[1.0, 0.0], [-3.0, 1.0]]), tolerance=1e-3)
    """
    step = _step(weighing, gradients)
    factors = torch.logspace(-3, 3, len(gradients))[:, None].to(gradients)
    other = _step(weighing, factors * gradients)
    apart = (step / step.norm() - other / other.norm()).norm()
    require(
        apart <= tolerance,
        f"{name_of(weighing)} gives another direction where losses are multiplied: {float(apart):g} apart",
    )


# Weighings of losses


def assert_absent_adds_nothing(weighing: LossWeighing, losses: Tensor) -> None:
    """Hold that a task that is absent (NaN) leaves the result finite, and has no gradient.

    For weighings that keep something for each task; the others are only given what is there.

    Args:
        weighing: from losses to the one to lower.
        losses: of all tasks; each is left out in turn.

    Shape:
        ``losses (K,)``, ``K`` at least 2.

    Example:
        >>> from headstart.multitask import Uncertainty
        >>> assert_absent_adds_nothing(Uncertainty(["a", "b"]), torch.tensor([0.5, 2.0]))
    """
    for k in range(len(losses)):
        given = losses.detach().clone()
        given[k] = math.nan
        result = copy.deepcopy(weighing)(given.requires_grad_())
        (gradient,) = torch.autograd.grad(result, given, allow_unused=True, materialize_grads=True)
        require(result.isfinite(), f"{name_of(weighing)} returns {result.item()} without task {k}")
        require(
            gradient.isfinite().all() and gradient[k] == 0,
            f"{name_of(weighing)} gives the losses the gradient {gradient.tolist()} without task {k}",
        )


# Objectives


def assert_trained_by(objective: Objective, net: Net, batch: Any, names: Iterable[str]) -> None:
    """Hold that no loss but the named ones trains the net, as where a weight is 0.

    Args:
        objective: such as a method with ``weight=0``.
        net: a net that fits it, without dropout.
        batch: that it takes.
        names: of the losses that may have a gradient in the net; others may have a value.

    Example:
        >>> from headstart.domains import MMD
        >>> from headstart.tasks import Labelled, Multiclass, Shift, Task
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(torch.nn.Linear(3, 8), {"photos": torch.nn.Linear(8, 2)})
        >>> method = MMD(Task("photos", Multiclass(2), rows), weight=0.0)
        >>> assert_trained_by(method, net, Shift(rows, rows.inputs()), ["label"])
    """
    whole = _gradient(objective, net, batch, 0.5)
    alone = _gradient(objective, net, batch, 0.5, names)
    require(
        torch.allclose(whole, alone, rtol=1e-5, atol=1e-7),
        f"{name_of(objective)} trains the net by other losses than {sorted(names)}",
    )


def assert_linear_in_weight(make: Callable[[float], Objective], net: Net, batch: Any) -> None:
    r"""Hold that a method's weight is a factor of what it adds to the gradient of the net.

    .. math:: \nabla L_\lambda = \nabla L_0 + \lambda (\nabla L_1 - \nabla L_0)

    Args:
        make: from the weight to the method; equal but for the weight, its learned parts included.
        net: a net that fits it, without dropout.
        batch: that it takes.

    Example:
        >>> from headstart.transfer import L2SP
        >>> start, net = (Net(torch.nn.Linear(3, 8), {"a": torch.nn.Linear(8, 2)}) for _ in range(2))
        >>> assert_linear_in_weight(lambda weight: L2SP(start, weight=weight), net, None)
    """
    zero, one, other = (_gradient(make(weight), net, batch, 0.5) for weight in (0.0, 1.0, 2.5))
    require(
        torch.allclose(other, zero + 2.5 * (one - zero), rtol=1e-4, atol=1e-6),
        f"{name_of(make(1.0))} does not train the net in proportion to its weight",
    )


# Scores


def assert_leaves_out_missing(score: Score, values: Tensor, labels: Tensor) -> None:
    """Hold that rows without a label (-100, or NaN) change nothing.

    Args:
        score: from values and labels to a number.
        values: of the rows that have a label.
        labels: none missing.

    Shape:
        ``values (N, D)``, ``labels (N,)``.

    Example:
        >>> from headstart.measure import leep
        >>> assert_leaves_out_missing(leep, torch.eye(3), torch.tensor([0, 1, 0]))
    """
    missing = math.nan if labels.is_floating_point() else -100
    holes = torch.cat([labels, torch.full_like(labels[:2], missing)])
    _equal_scores(score, values, labels, torch.cat([values, values[-2:]]), holes, "with unlabelled rows")


def assert_relabelling_invariant(score: Score, values: Tensor, labels: Tensor) -> None:
    """Hold that only which rows share a class counts, not its number.

    Args:
        score: from values and class numbers to a number.
        values: of the rows.
        labels: class numbers.

    Shape:
        ``values (N, D)``, ``labels (N,)`` int64.

    Example:
        >>> from headstart.measure import leep
        >>> assert_relabelling_invariant(leep, torch.eye(3), torch.tensor([0, 1, 0]))
    """
    other = 7 * (labels.max() - labels) + 3
    _equal_scores(score, values, labels, values, other, "with other numbers for the classes")


# Distances between sets of rows


def assert_discrepancy(
    distance: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor, *, tolerance: float = 1e-6
) -> None:
    """Hold that a distance of two sets of rows is one: at least 0, symmetric, 0 for a set and itself.

    Args:
        distance: from two sets of rows to a scalar.
        a: one set.
        b: another set.
        tolerance: how far apart numbers that should be equal may be.

    Shape:
        ``a (N, D)``, ``b (M, D)``.

    Example:
        >>> energy = lambda a, b: (a.mean(0) - b.mean(0)).square().sum()
        >>> assert_discrepancy(energy, torch.randn(4, 2), torch.randn(3, 2))
    """
    there, back, itself = float(distance(a, b)), float(distance(b, a)), float(distance(a, a))
    require(there >= 0, f"{name_of(distance)} is {there}, not at least 0")
    require(
        math.isclose(there, back, rel_tol=tolerance, abs_tol=tolerance),
        f"{name_of(distance)} is {there} one way and {back} the other",
    )
    require(abs(itself) <= tolerance, f"{name_of(distance)} of a set and itself is {itself}")


def _weights(weighing: GramianWeighing, gradients: Tensor) -> Tensor:
    """Call a weighing as if for the first time, also one that holds a generator."""
    return copy.deepcopy(weighing)(gradients @ gradients.T)


def _step(weighing: GramianWeighing, gradients: Tensor) -> Tensor:
    return _weights(weighing, gradients) @ gradients  # (p,)


def _near(a: Tensor, b: Tensor, gradients: Tensor, tolerance: float) -> bool:
    return bool((a - b).norm() <= tolerance * gradients.norm(dim=1).sum())


def _gradient(
    objective: Objective, net: Net, batch: Any, progress: float, names: Iterable[str] | None = None
) -> Tensor:
    """Give the gradient of the named losses, of all by default, over the whole net, flat."""
    losses = objective(net, batch, progress)
    chosen = [losses[name] for name in (losses if names is None else names)]
    weights = [p for p in net.parameters() if p.requires_grad]
    total = sum((loss for loss in chosen if loss.requires_grad), 0 * weights[0].sum())
    parts = torch.autograd.grad(total, weights, allow_unused=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def _equal_scores(
    score: Score, values: Tensor, labels: Tensor, others: Tensor, other_labels: Tensor, how: str
) -> None:
    expected, found = score(values, labels), score(others, other_labels)
    require(
        math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9),
        f"{name_of(score)} gives {found}, not {expected}, {how}",
    )
