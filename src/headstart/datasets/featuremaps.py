"""Rows of another space as rows of the target's: sources whose columns are not the target's become usable.

Shapes: ``D`` target columns, ``E`` source columns, ``N`` paired rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import wrong
from ..maths import random
from ..tasks import Encoding, Inputs, Labelled, Lazy, Task
from .readers.tables import TableEncoding

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # times the number of rows, for columns of variance 1
LEAST = 1.96  # standard errors by which the relation to the label differs in a column that is dropped
LABELLED = 10  # labelled rows of a side, from which a relation is told

Columns = Sequence[int | None]


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Bring rows of one space to another by a linear map.

    Args:
        weight: ``(D, E)``.
        bias: ``(D,)``.
        shared: target columns that are a source column as it is.
        filled: target columns that are made of others.
        residuals: what filled columns of rows of the target were off by, ``(R, F)``; a mapped task gets one
            such row, drawn at random, on each of its own, or filled columns would vary less than the target's
            and be taken at more than their worth. ``None`` adds nothing.

    Example:
        >>> double = FeatureMap(torch.tensor([[2.0, 0.0]]), torch.zeros(1))
        >>> double.rows(torch.tensor([[1.0, 5.0]]))
        tensor([[2.]])
    """

    weight: Tensor
    bias: Tensor
    shared: tuple[int, ...] = ()
    filled: tuple[int, ...] = ()
    residuals: Tensor | None = None

    def rows(self, x: Tensor) -> Tensor:
        """Map rows ``(*, E)`` to ``(*, D)`` as they are expected; ``ValueError`` for another width."""
        if x.ndim != 2 or x.shape[1] != self.weight.shape[1]:
            expected = f"tables of {self.weight.shape[1]} columns"
            raise wrong("rows to be mapped", expected=expected, found=tuple(x.shape))
        return (x.double() @ self.weight.double().T + self.bias.double()).to(x.dtype)

    def __call__(self, task: Task) -> Task:
        """Map all rows of a source, which then stands beside the target; its labels stay."""
        return mapped(task, self._drawn)

    def _drawn(self, x: Tensor, part: str) -> Tensor:
        """Map rows, with residuals of the target's rows drawn at random, the same every time."""
        x = self.rows(x)
        if self.residuals is not None:
            generator = random.generator("filled columns", part)
            at = torch.randint(len(self.residuals), (len(x),), generator=generator)
            x[:, list(self.filled)] += self.residuals[at].to(x)
        return x


def mapped(task: Task, rows: Callable[[Tensor, str], Tensor]) -> Task:
    """Make a task of mapped rows: ``rows`` takes those of a part, and its name."""
    parts: dict[str, Any] = {
        name: None if (part := getattr(task, name)) is None else replace(part, x=rows(table(part), name))
        for name in ("train", "valid", "test", "unlabelled")
    }
    return replace(task, **parts, encoding=None)


def map_columns(target: Task, columns: Columns) -> FeatureMap:
    """Keep the columns that a source shares with the target, and fill the target's others from them.

    How the others go with the shared ones, and how far that is off, is learned from all rows of the target,
    with labels or without, by ridge regressions whose penalty is chosen by leaving rows out. Columns of the
    source alone are left out: no row of the target has them.

    Args:
        target: with its rows in tensors; at least ten, test rows aside.
        columns: for each column of the source which one of the target it is, ``None`` for none.

    Raises:
        ValueError: if a column is no column of the target's or named twice, none is shared, or there are too
            few rows.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> x = torch.arange(20.0)[:, None] * torch.tensor([1.0, 2.0])
        >>> fill = map_columns(Task("new", Multiclass(2), Labelled(x, torch.arange(20) % 2)), [None, 0])
        >>> fill.rows(torch.tensor([[7.0, 3.0]])).round(decimals=1)
        tensor([[3., 6.]])

    References:
        Hoerl & Kennard (Technometrics 1970), https://doi.org/10.1080/00401706.1970.10488634; with residuals
        drawn at random: Little & Rubin (2019), section 4.3.2, https://doi.org/10.1002/9781119482260
    """
    from sklearn.linear_model import RidgeCV

    x = _all_rows(target)
    width = x.shape[1]
    there = {new: old for old, new in enumerate(columns) if new is not None}
    told = [new for new in columns if new is not None]
    if not told or len(there) < len(told) or not all(0 <= new < width for new in there):
        raise wrong("`columns`", expected=f"distinct, of the target's {width}, and some", found=list(columns))
    shared = sorted(there)
    filled = [k for k in range(width) if k not in there]
    weight, bias = numpy.zeros((width, len(columns))), numpy.zeros(width)
    for new, old in there.items():
        weight[new, old] = 1
    if filled:
        known, other = x[:, shared], x[:, filled]
        scale = numpy.where(known.std(0) > 0, known.std(0), 1)
        fit = RidgeCV([r * len(x) for r in RIDGES]).fit(known / scale, other)
        weight[numpy.ix_(filled, [there[k] for k in shared])] = fit.coef_ / scale
        bias[filled] = fit.intercept_
        residuals = torch.from_numpy(other - fit.predict(known / scale).reshape(other.shape))
    else:
        residuals = None
    made = torch.from_numpy(weight), torch.from_numpy(bias)
    return FeatureMap(*made, tuple(shared), tuple(filled), residuals)


def map_pairs(target: Tensor, source: Tensor, dims: int | None = None, ridge: float = 1e-3) -> FeatureMap:
    r"""Learn from paired rows how rows of the source look in the target's space.

    Row by row the two are the same thing, seen twice. The map keeps the first canonical correlations:

    .. math:: x_t \approx \bar x_t + C_t^{1/2} V \Sigma U^\top C_s^{-1/2} (x_s - \bar x_s), \qquad
        C_t^{-1/2} C_{ts} C_s^{-1/2} = V \Sigma U^\top

    Of all of them it is least squares.

    Args:
        target: rows ``(N, D)``.
        source: the same rows in the other space, ``(N, E)``; at least ten.
        dims: canonical directions that are kept; ``None`` keeps all.
        ridge: that is added to the variances, in their mean, at least 0.

    Raises:
        ValueError: if there are too few rows, not as many of both, or an argument is out of its range.

    Example:
        >>> rows = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        >>> turned = map_pairs(rows, rows @ torch.tensor([[0.0, 1, 0], [0, 0, 2], [1, 0, 0]]), ridge=0)
        >>> turned.rows(torch.tensor([[3.0, 1.0, 4.0]])).round(decimals=3)
        tensor([[1., 2., 3.]])

    References:
        Hotelling (Biometrika 1936), https://doi.org/10.1093/biomet/28.3-4.321
    """
    if len(target) != len(source) or len(target) < LABELLED:
        found = f"{len(target)} and {len(source)}"
        raise wrong("paired rows", expected=f"as many of both sides, at least {LABELLED}", found=found)
    if ridge < 0 or (dims is not None and dims < 1):
        raise wrong("`dims` and `ridge`", expected="at least 1 and at least 0", found=f"{dims} and {ridge}")
    t, s = (side.double().numpy() for side in (target, source))
    means = t.mean(0), s.mean(0)
    t, s = t - means[0], s - means[1]
    root_t, inverse_t = _roots(t, ridge)
    _, inverse_s = _roots(s, ridge)
    v, strengths, u = numpy.linalg.svd(inverse_t @ (t.T @ s / len(t)) @ inverse_s, full_matrices=False)
    kept = slice(dims)
    weight = root_t @ (v[:, kept] * strengths[kept]) @ u[kept] @ inverse_s
    bias = means[0] - weight @ means[1]
    made = tuple(range(t.shape[1]))
    return FeatureMap(torch.from_numpy(weight), torch.from_numpy(bias), filled=made)


def _roots(x: NDArray[numpy.float64], ridge: float) -> tuple[NDArray[numpy.float64], NDArray[numpy.float64]]:
    """Give the root of the covariance of centred rows, and its inverse."""
    covariance = x.T @ x / len(x)
    covariance += ridge * covariance.trace() / len(covariance) * numpy.eye(len(covariance))
    values, vectors = numpy.linalg.eigh(covariance)
    good = values > 1e-12 * max(values.max(), 1e-300)
    root = numpy.sqrt(numpy.where(good, values, 0))
    inverse = numpy.where(good, 1 / numpy.where(good, root, 1), 0)
    return (vectors * root) @ vectors.T, (vectors * inverse) @ vectors.T


def match_by_label(target: Labelled, source: Labelled, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pair each source row with a target row of its class, drawn at random, for ``map_pairs``.

    It knows of two spaces that they have the same classes, and nothing else: what differs within a class is
    lost. Source rows of a class without a target row are left out.

    Returns:
        the target's rows and the source's, as many of both.

    Example:
        >>> new = Labelled(torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1]))
        >>> old = Labelled(torch.tensor([[5.0, 5.0], [6.0, 6.0], [6.0, 7.0]]), torch.tensor([0, 1, 1]))
        >>> match_by_label(new, old, torch.Generator())[0].T
        tensor([[0., 1., 1.]])
    """
    new, old = target.known(), source.known()
    x, y = table(new), table(old)
    places = {int(k): (new.y == k).nonzero().flatten() for k in new.y.unique()}
    at = [i for i, k in enumerate(old.y.tolist()) if int(k) in places]
    drawn = [
        int(of[torch.randint(len(of), (1,), generator=generator)])
        for of in (places[int(old.y[i])] for i in at)
    ]
    return x[drawn], y[at]


def transferable(target: Task, source: Task, columns: Columns, least: float = LEAST) -> list[int | None]:
    r"""Leave out shared columns whose relation to the label differs between the two domains.

    Of each column, its correlations with the label on both sides are compared, class by class, as Fisher's
    :math:`z`; a column is left out where a difference is above ``least`` standard errors.

    .. math:: \frac{\lvert \operatorname{artanh} r_s - \operatorname{artanh} r_t \rvert}
        {\sqrt{1 / (n_s - 3) + 1 / (n_t - 3)}} > \text{least}

    Args:
        target: with labelled rows, at least ten.
        source: with labelled rows, at least ten.
        columns: as of ``map_columns``.
        least: in standard errors, above 0. With many columns some differ by chance.

    Returns:
        ``columns``, with ``None`` for those that are left out.

    Raises:
        ValueError: if a side has too few labelled rows.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> y = torch.arange(60) % 2
        >>> x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
        >>> one, other = x + 2.0 * y[:, None], x + y[:, None] * torch.tensor([2.0, -2.0])
        >>> tasks = [Task("a", Multiclass(2), Labelled(rows, y)) for rows in (one, other)]
        >>> transferable(*tasks, [0, 1])
        [0, None]

    References:
        Fisher (Metron 1921), On the "probable error" of a coefficient of correlation
    """
    sides = [(table(task.train.known()).double(), _member(task)) for task in (target, source)]  # type: ignore[union-attr]
    if min(len(x) for x, _ in sides) < LABELLED:
        found = " and ".join(str(len(x)) for x, _ in sides)
        raise wrong("labelled rows of target and source", expected=f"at least {LABELLED} each", found=found)
    error = sum(1 / (len(x) - 3) for x, _ in sides) ** 0.5
    (z, old) = (torch.atanh(_correlations(x, y).clamp(-0.999, 0.999)) for x, y in sides)
    return [
        new if new is not None and float((z[new] - old[k]).abs().max()) <= least * error else None
        for k, new in enumerate(columns)
    ]


def _member(task: Task) -> Tensor:
    """Give the answers as numbers, ``(N, K)``: one column for each class, or for each number."""
    rows = task.train.known()  # type: ignore[union-attr]
    if not task.kind.exclusive:
        return rows.y.double().reshape(len(rows), -1)
    return torch.nn.functional.one_hot(task.kind.numbers(rows.y), len(task.kind.classes)).double()


def _correlations(x: Tensor, y: Tensor) -> Tensor:
    """Give the correlations of columns ``(N, D)`` and answers ``(N, K)``: ``(D, K)``; 0 for one alone."""
    x, y = (part - part.mean(0) for part in (x, y))
    return (x.T @ y) / (x.norm(dim=0)[:, None] * y.norm(dim=0)).clamp(min=1e-12)


def columns_by_name(target: Encoding | None, source: Encoding | None) -> list[int | None]:
    """Match the features of two tables by the names of their columns, and categories by their names.

    Each side's numbers are standardised by its own train rows.

    Args:
        target: the encoding of a table.
        source: that of another one.

    Returns:
        as of ``map_columns``.

    Raises:
        TypeError: if one is no encoding of a table.

    Example:
        >>> from headstart.datasets.readers.columns import Categories, Numbers
        >>> age, few, more = Numbers(40.0, 10.0, False), Categories(("cook",)), Categories(("smith", "cook"))
        >>> new = TableEncoding(reader="csv", features={"age": age, "job": few})
        >>> old = TableEncoding(reader="csv", features={"job": more, "age": age})
        >>> columns_by_name(new, old)
        [None, 1, 0]
    """
    names = {name: k for k, name in enumerate(_names(target))}
    return [names.get(name) for name in _names(source)]


def _names(encoding: Encoding | None) -> list[str]:
    if not isinstance(encoding, TableEncoding):
        found = type(encoding).__name__
        raise wrong("encoding", expected="that of a table", found=found, error=TypeError)
    return encoding.feature_names()


def table(rows: Labelled | Inputs | Lazy) -> Tensor:
    """Give rows that are a table; ``ValueError`` for others."""
    if not rows.held or not isinstance(rows.x, Tensor) or rows.x.ndim != 2:
        found = tuple(rows.x.shape) if rows.held and isinstance(rows.x, Tensor) else "other rows"
        raise wrong("rows to be mapped", expected="tables in a tensor, (rows, columns)", found=found)
    return rows.x


def _all_rows(task: Task) -> NDArray[numpy.float64]:
    """Stack the rows that may be learned from: not the test rows."""
    parts = [table(rows) for rows in (task.train, task.unlabelled) if rows is not None and len(rows)]
    x = torch.cat(parts).double().numpy() if parts else numpy.zeros((0, 0))
    if len(x) < LABELLED:
        raise wrong(f"rows of {task.name!r}", expected=f"at least {LABELLED}", found=len(x))
    return x
