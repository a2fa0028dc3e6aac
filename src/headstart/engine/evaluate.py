"""Predictions, and how good they are with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.data import Dataset

from ..errors import wrong
from ..maths import wilson
from ..models import Adapted, Net, device_of
from ..models.resting import resting
from ..progress import Bar
from ..tasks import Labelled, Lazy, Task, X
from ..tasks.arrays import lengths
from ..tasks.kinds.missing import said
from ..tasks.nouns import as_tensors, rows, take, tensors, wrapped
from . import devices
from .devices import computing, moved

RESAMPLES = 200
CHUNK = 4_000_000  # weights held at once


@dataclass(frozen=True, slots=True)
class Estimate:
    """Hold a metric and its 95 % interval.

    Args:
        value: the metric on the rows that have a label; NaN where it is not defined.
        low: lower end of the interval.
        high: upper end.
        n: labelled rows (tokens, for sequences).

    Example:
        >>> str(Estimate(0.913, 0.88, 0.94, n=300))
        '0.913 [0.880, 0.940]'
        >>> str(Estimate(math.nan, math.nan, math.nan, n=4))  # an area under the curve, of one class alone
        'not defined for these rows'
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not defined for these rows"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode without gradients; parts and buffers are afterwards as they were."""
    kept = [
        (part, name, value, value.detach().clone())
        for part in module.modules()
        for name, value in part.named_buffers(recurse=False)
        if not is_lazy(value)
    ]
    with resting(module), torch.no_grad():
        try:
            yield
        finally:
            for part, name, value, before in kept:
                if getattr(part, name) is not value:
                    setattr(part, name, value)
                if not torch.equal(value, before):
                    value.copy_(before)


def predict(
    net: Net | Adapted,
    task_name: str,
    x: X,
    *,
    batch: int = 128,
    precision: str = "float32",
    progress: bool | None = None,
) -> Tensor:
    """Return the head's outputs for all rows, in eval mode and without a graph.

    Args:
        net: its parts are back in their own modes afterwards; an ``Adapted`` knows its task itself.
        task_name: which head.
        x: rows ``(n, *)``, a tensor, an array or a mapping of them; moved to the net's device piece by piece.
        batch: rows at a time, at least 1.
        precision: as in ``fit``.
        progress: as in ``fit``.

    Shape:
        outputs ``(n, O)``, on the device of ``x``.

    Raises:
        KeyError: if the net has no such head.
        ValueError: if ``batch`` is below 1, or rows are of a shape or a type that the net does not take.
        FloatingPointError: if an answer is NaN.

    Example:
        >>> net = Net(nn.Linear(2, 4), {"coins": nn.Linear(4, 3)})
        >>> predict(net, "coins", torch.zeros(5, 2)).shape
        torch.Size([5, 3])
    """
    x = as_tensors(x)
    places = bounds(rows(x), batch)

    def outputs(part: X) -> Tensor:
        found = net(part) if isinstance(net, Adapted) else net(part, task_name)
        if found.ndim < 2:
            shape = list(tensors(x)[0].shape)
            raise wrong("rows", expected="one or more", found=f"{shape}, one", hint="pass `x[None]`")
        return found

    whole = net.net if isinstance(net, Adapted) else net
    return said(mapped(outputs, whole, x, places, precision=precision, progress=progress, title="predict"))


def bounds(count: int, batch: int) -> list[int]:
    """Divide ``count`` rows into pieces of ``batch``: where each begins, and where the last ends.

    Example:
        >>> bounds(5, 2), bounds(0, 2)
        ([0, 2, 4, 5], [0, 0])
    """
    if batch < 1:
        raise wrong("`batch`", expected="at least 1", found=batch)
    return [0, *range(batch, count, batch), count]


def mapped(
    function: Callable[[X], Tensor],
    net: Net,
    x: X,
    bounds: Sequence[int],
    *,
    precision: str,
    progress: bool | None,
    title: str,
) -> Tensor:
    """Apply a function to ``x`` piece by piece, with ``net`` at rest; the result is where ``x`` is.

    Texts of like length go together, so that little of a piece is padding.
    """
    device, home, parts = device_of(net), tensors(x)[0].device, []
    order = by_length(x) if len(bounds) > 2 else None
    x = x if order is None else take(x, order)
    dtype = devices.precision(precision, device)
    with undisturbed(net), computing(net, dtype), Bar(title, bounds[-1], progress, unit="row") as bar:
        pieces = (take(x, slice(start, end)) for start, end in pairwise(bounds))
        for end, piece in zip(bounds[1:], moved(pieces, device), strict=True):
            parts.append(function(piece).to(home))
            bar.show(end)
    whole = parts[0] if len(parts) == 1 else torch.cat(parts)
    return whole if order is None else whole[order.argsort()]


def by_length(x: X) -> Tensor | None:
    """Order rows of token numbers by how many are not padding; ``None`` for other rows, or equal ones.

    Example:
        >>> by_length(torch.tensor([[3, 4], [5, 0], [6, 7]])).tolist()
        [1, 0, 2]
    """
    found = lengths(x)
    return None if found is None or bool((found == found[0]).all()) else found.argsort(stable=True)


def score(
    net: Net | Adapted,
    task: Task,
    data: Labelled | Lazy | Dataset | None = None,
    *,
    batch: int = 128,
    precision: str = "float32",
) -> float:
    """Return the main metric alone, without an interval or progress: the cheap way for comparisons.

    Args:
        net: as in ``predict``.
        task: whose head and metric.
        data: rows with labels; the task's test rows by default.
        batch: rows at a time.
        precision: as in ``fit``.

    Raises:
        ValueError: if there is no data.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long))
        >>> net = Net(nn.Identity(), {"coins": nn.Linear(2, 1)})
        >>> score(net, Task("coins", Multiclass(2), rows), rows) in (0.0, 1.0)
        True
    """
    prediction, y = _answers(net, task, data, batch, precision, progress=False)
    p, t, _ = task.kind.scored(prediction, y)
    if not len(t):
        return math.nan
    measure = task.kind.measures()[task.kind.metric]
    return measure(p, t, torch.ones(1, len(t), dtype=torch.float64)).item()


def evaluate(
    net: Net | Adapted,
    task: Task,
    data: Labelled | Lazy | Dataset | None = None,
    *,
    batch: int = 128,
    precision: str = "float32",
) -> dict[str, Estimate]:
    r"""Measure a net on a task, each metric with a 95 % interval.

    Accuracy over independent rows has Wilson's interval

    .. math:: \frac{\hat p + z^2/2n \pm z\sqrt{\hat p(1-\hat p)/n + z^2/4n^2}}{1 + z^2/n}

    and the other metrics the percentile bootstrap over rows (200 draws from a fixed seed; whole
    sequences are drawn, not tokens); where all draws of a share are 0, or 1, Wilson's for as many rows. Rows
    without a label are left out. The metrics are
    ``task.kind.measures()``; where one is not defined it is NaN.

    Args:
        net: as in ``predict``.
        task: whose head and metrics.
        data: rows with labels, or a map-style dataset of ``(x, y)``; the task's test rows by default.
        batch: rows at a time.
        precision: as in ``fit``.

    Raises:
        ValueError: if there is no data.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long))
        >>> net = Net(nn.Identity(), {"coins": nn.Linear(2, 2)})
        >>> result = evaluate(net, Task("coins", Multiclass(2), rows), rows)
        >>> list(result), result["accuracy"].n
        (['accuracy', 'balanced_accuracy', 'macro_f1', 'auroc', 'average_precision', 'log_loss', 'brier'], 4)

    References:
        Wilson (JASA 1927); Efron & Tibshirani (1993), section 13.3, https://doi.org/10.1201/9780429246593
    """
    prediction, y = _answers(net, task, data, batch, precision)
    p, t, row = task.kind.scored(prediction, y)
    result = {}
    for name, measure in task.kind.measures().items():
        if not len(t):
            result[name] = Estimate(math.nan, math.nan, math.nan, 0)
            continue
        value = measure(p, t, torch.ones(1, len(t), dtype=torch.float64)).item()
        if name == "accuracy" and task.kind.exclusive:
            low, high = wilson(round(value * len(t)), len(t))
        else:
            count = int(row.max()) + 1
            draws = torch.cat([measure(p, t, w[:, row]) for w in _resamples(count, len(t))])
            low, high = draws.nanquantile(torch.tensor([0.025, 0.975], dtype=draws.dtype)).tolist()
            if low == high and low in (0, 1) and measure.bounds == (0, 1):  # as if all were known
                low, high = wilson(round(low) * count, count)
        result[name] = Estimate(value, low, high, len(t))
    return result


def _resamples(count: int, width: int) -> Iterator[Tensor]:
    """Draw how often each row occurs in bootstrap samples, some ``(R, count)`` at a time."""
    generator = torch.Generator().manual_seed(0)
    size = max(1, min(RESAMPLES, CHUNK // max(width, count)))
    for start in range(0, RESAMPLES, size):
        here = min(size, RESAMPLES - start)
        drawn = torch.randint(count, (here, count), generator=generator)
        drawn += torch.arange(here)[:, None] * count
        yield drawn.flatten().bincount(minlength=here * count).view(here, count).double()


def _answers(
    net: Net | Adapted,
    task: Task,
    data: Labelled | Lazy | Dataset | None,
    batch: int,
    precision: str,
    progress: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """Return outputs and targets, on the CPU."""
    data = task.test if data is None else data
    if data is None:
        hint = "pass `data`, or Task(..., test=...)"
        raise wrong(f"`test` rows of task {task.name!r}", expected="given", found="None", hint=hint)

    def outputs(x: X, progress: bool | None) -> Tensor:
        return predict(net, task.name, x, batch=batch, precision=precision, progress=progress).cpu()

    given: Labelled | Lazy = wrapped(data)
    if given.held:
        return outputs(given.x, progress), given.y.cpu()
    count, parts, targets = len(given), [], []
    if not count:
        raise wrong(f"rows of task {task.name!r}", expected="at least one", found="none")
    with Bar("evaluate", count) as bar:
        for start in range(0, count, batch):
            part = given.take(torch.arange(start, min(start + batch, count)))
            parts.append(outputs(part.x, False))
            targets.append(part.y)
            bar.show(min(start + batch, count))
    return torch.cat(parts), torch.cat(targets)
