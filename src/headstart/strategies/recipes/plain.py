"""Learners without a network, on rows as they are: what raw, pooled and source recipes share.

Rows become numbers as ``Raw`` and ``Words`` say it. Numbers and pixels are standardised by the rows that are
learned from: the mean of each column, and for tables its own spread. There is one spread for all columns
where they share their units, as pixels do, and tables of which nine tenths are 0, such as counts of words
(books to kitchen: 77 against 71 %); and of five rows or fewer, which do not tell the spread of a column (it
costs up to 20 points).

Nothing is learned from more rows than a learner goes through in a few seconds; beyond, rows are drawn at
random. Where the situation moves images, up to eight moved copies of each stand beside it, for nearest rows
and support vectors; a plane loses by them (on digits, 8 to 13 points).

References:
    Pedregosa et al. (JMLR 2011), https://jmlr.org/papers/v12/pedregosa11a.html
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from ...datasets.shots import drawn
from ...errors import wrong
from ...models import Backbone, Net, freeze
from ...models.backbones.plain import Raw, Words
from ...models.heads import Neighbours, Trees, Vectors, Votes
from ...tasks import Kind, Labelled
from ...tasks.arrays import lit
from ...tasks.spelling import unspelled
from ..moves import shifted_images
from ..situation import Situation, facts_of, of_words
from ..trial import Trained, Trial
from .constant import prior

COPIES = 8  # moved copies beside each image, at most
KNOWN = 6  # rows from which on the spread of each column of a table is known well enough
COUNTS = 0.9  # share of zeros in a table from which on its columns are taken for counts of rare things
CHUNK = 256  # rows that are made at a time


@dataclass(frozen=True, eq=False)
class Rows:
    """Hold what a learner of scikit-learn takes.

    Args:
        backbone: made the numbers of the rows, and makes those of new ones.
        z: the numbers ``(n, D)``, float64, dense or sparse.
        y: class numbers ``(n,)``, or numbers ``(n, O)``.
        weights: of the rows, 1 on average; ``None`` where all count the same.
    """

    backbone: Backbone
    z: Any
    y: numpy.ndarray
    weights: numpy.ndarray | None
    group: Tensor | None = None


@dataclass(frozen=True)
class Learner:
    """Say how a head is learned, and from how much.

    Args:
        fit: from a trial and rows to a head.
        most: rows, at most, of so many columns and classes; those that take a few seconds.
        moved: whether copies of images that are moved serve it.
        standardised: whether the units of its columns matter to it.
    """

    fit: Callable[[Trial, Rows], nn.Module]
    most: Callable[[int, int], int]
    moved: bool = True
    standardised: bool = True


def learn(trial: Trial, learner: Learner, *sets: tuple[Labelled, float]) -> Trained:
    """Learn a head on rows as they are.

    Args:
        trial: whose target, settings and seed.
        learner: how.
        sets: rows, and how much each set of them counts in all.
    """
    target = trial.target
    rows = represent(trial, learner, *sets)
    if target.kind.exclusive and len(numpy.unique(rows.y)) < 2:  # nothing to tell apart
        head: nn.Module = prior(target.kind, torch.from_numpy(rows.y), rows.z.shape[1])
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence warnings: the scores tell
            head = learner.fit(trial, rows)
    return Trained(Net(rows.backbone.eval(), {target.name: head}).to(trial.problem.on), {})


def represent(trial: Trial, learner: Learner, *sets: tuple[Labelled, float]) -> Rows:
    """Make the numbers of rows, not more than the learner takes, with copies that are moved."""
    kind, problem = trial.target.kind, trial.problem
    parts = [_answered(kind, rows).to("cpu") for rows, _ in sets]
    if not any(map(len, parts)):
        raise wrong("labelled rows", expected="some that miss no number, for such a learner", found="none")
    words = of_words(problem)
    backbone: Raw | Words = _words(problem, parts) if words else Raw(tuple(_x(parts[0]).shape[1:]))
    columns = _x(parts[0]).shape[1] if words else backbone.width
    most = max(1, learner.most(columns, len(kind.classes)))
    generator = trial.generator("rows of a learner")
    counts = divided([len(part) for part in parts], most)
    parts = [drawn(kind, part, n, generator) for part, n in zip(parts, counts, strict=True)]
    x, y = torch.cat([_x(part) for part in parts]), torch.cat([_answers(kind, part) for part in parts])
    share = [torch.full((len(p),), w / max(1, len(p))) for p, (_, w) in zip(parts, sets, strict=True)]
    if isinstance(backbone, Words):
        weigh(backbone, x, facts_of(problem.target).get("special", []))
    elif learner.standardised:
        standardise(backbone, x)
    made, copies = [numbers(backbone, x)], 1
    if learner.moved and problem.shift and x.ndim == 4:
        copies = max(1, min(1 + COPIES, most // len(x)))
        moves = trial.generator("moved rows of a learner")
        for _ in range(copies - 1):
            made.append(numbers(backbone, shifted_images(x, problem.shift, moves)))
    z = made[0] if copies == 1 else numpy.concatenate(made)
    weights = None if len(parts) == 1 else _of_mean_one(torch.cat(share)).repeat(copies).numpy()
    group = parts[0].group if len(parts) == copies == 1 else None
    return Rows(backbone, z, torch.cat([y] * copies).numpy(), weights, group)


def _answers(kind: Kind, rows: Labelled) -> Tensor:
    """Give the class number of each row, or its numbers ``(n, O)``."""
    return kind.numbers(rows.y) if kind.exclusive else rows.y.double().reshape(len(rows), -1)


def _of_mean_one(weights: Tensor) -> Tensor:
    return (weights / weights.mean()).double()


def _answered(kind: Kind, rows: Labelled) -> Labelled:
    """Keep the rows whose answer is there as a whole."""
    rows = rows.known()
    if kind.exclusive or rows.y.ndim < 2:
        return rows
    return rows.take((~rows.y.isnan().any(1)).nonzero().flatten())


def _x(rows: Labelled) -> Tensor:
    assert isinstance(rows.x, Tensor)  # `needs` asked for it
    return unspelled(lit(rows.x))


def divided(counts: Sequence[int], most: int) -> list[int]:
    """Say how many of each set's rows are taken where all are too many: equally many, or all of a small one.

    Example:
        >>> divided([5, 100], 20), divided([100, 5], 20), divided([100, 50], 20), divided([3, 4], 20)
        ([5, 15], [15, 5], [10, 10], [3, 4])
    """
    found: list[int] = []
    for place, count in enumerate(counts):
        left, others = most - sum(found), counts[place + 1 :]
        found.append(min(count, max(1, left // (1 + len(others)), left - sum(others))))
    return found


def _words(problem: Situation, parts: Sequence[Labelled]) -> Words:
    """Count as many words as the caller's settings or the reader say there are, else those in the rows."""
    told = problem.settings.get("vocabulary", facts_of(problem.target).get("vocabulary"))
    return Words(told or 1 + max(int(_x(part).max()) for part in parts if len(part)))


def weigh(backbone: Words, x: Tensor, special: Sequence[int] = ()) -> None:
    r"""Weigh words by :math:`1 + \ln \frac{1 + n}{1 + n_w}` for the rows ``n_w`` of ``n`` that hold them.

    Words that no row holds do not count, nor do those that are ``special``: marks of a tokenizer.
    """
    held = torch.from_numpy(numpy.bincount(_counted(backbone, x).indices, minlength=backbone.width))
    idf = 1 + ((1 + len(x)) / (1 + held.double())).log()
    idf[list(special)] = 0
    backbone.idf.copy_(torch.where(held > 0, idf, 0.0))


def _counted(backbone: Words, x: Tensor) -> Any:
    """Count the words of each row in a sparse matrix: what ``backbone.counts`` gives, in less room."""
    from scipy import sparse

    ids = x.flatten(1).abs().numpy()
    row, place = ((ids > 0) & (ids < backbone.width)).nonzero()
    ones = numpy.ones(len(row))
    return sparse.coo_matrix((ones, (row, ids[row, place])), (len(ids), backbone.width)).tocsr()


def standardise(backbone: Raw, x: Tensor, *, each: bool = False) -> None:
    """Write the mean of each column into a backbone, and its spread, or one spread for all.

    Args:
        backbone: of these rows.
        x: rows.
        each: whether columns have a spread each in any case.
    """
    z = torch.cat([backbone(some).double() for some in x.split(CHUNK)])
    centre = z.mean(0)
    square = (z - centre).square().mean(0)
    if not each and (x.ndim != 2 or len(x) < KNOWN or bool((x == 0).double().mean() > COUNTS)):
        square = square.mean().expand_as(square)
    spread = square.sqrt()
    backbone.mean.copy_(centre)
    backbone.spread.copy_(torch.where(spread > 1e-6 * centre.abs(), spread, 1.0))


def numbers(backbone: Raw | Words, x: Tensor) -> Any:
    """Return what a backbone makes of rows, as scikit-learn takes it; counts of words are sparse."""
    if isinstance(backbone, Raw):
        return numpy.concatenate([backbone(some).double().numpy() for some in x.split(CHUNK)])
    from sklearn.preprocessing import normalize

    return normalize(_counted(backbone, x).multiply(backbone.idf.double().numpy()).tocsr())


# The learners.


def readout(kind: Kind, seen: Sequence[int], scores: int) -> tuple[Tensor, Tensor]:
    """Say how the scores of the classes that have rows become a head's outputs: weights and offsets.

    A class without rows is never the answer. One score stands for two classes, and is high for the second.

    Args:
        kind: of the target.
        seen: the numbers of the classes that have rows.
        scores: how many there are; one for each class that is seen, or 1.
    """
    if not kind.extensible:
        return torch.tensor([[1.0]] if scores == 1 else [[-1.0, 1.0]]), torch.zeros(1)
    weights, offsets = torch.zeros(kind.outputs, scores), torch.full((kind.outputs,), -1e4)
    at = torch.as_tensor(seen).long()
    offsets[at] = 0.0
    weights[at] = torch.tensor([[-0.5], [0.5]]) if scores == 1 else torch.eye(scores)
    return weights, offsets


def layer(weights: Tensor, offsets: Tensor) -> nn.Linear:
    """Make a linear layer of its weights and offsets."""
    made = nn.utils.skip_init(nn.Linear, weights.shape[1], weights.shape[0])
    with torch.no_grad():
        made.weight.copy_(weights)
        made.bias.copy_(offsets)
    return made


def read_out(head: nn.Module, kind: Kind, seen: Sequence[int], scores: int) -> nn.Module:
    """Put the readout behind a head that scores classes."""
    return nn.Sequential(head, freeze(layer(*readout(kind, seen, scores))))


def planes(model: Any, kind: Kind) -> nn.Linear:
    """Write scikit-learn's linear model of classes, or of numbers, into a linear layer."""
    weights = torch.from_numpy(numpy.atleast_2d(model.coef_)).float()
    offsets = torch.from_numpy(numpy.atleast_1d(model.intercept_)).float()
    if not kind.exclusive:
        return layer(weights, offsets)
    out, more = readout(kind, model.classes_, len(weights))
    return layer(out @ weights, out @ offsets + more)


WORK = 2**31  # numbers that a logistic regression may go through, over all planes and passes


def _logistic(trial: Trial, rows: Rows) -> nn.Module:
    from sklearn.linear_model import LogisticRegression

    steps = WORK // (math.prod(rows.z.shape) * max(1, len(numpy.unique(rows.y)) - 1))
    most = max(50, min(300, steps))  # passes over the rows
    model = LogisticRegression(C=_setting(trial, "C"), class_weight=trial.class_weight, max_iter=most)
    return planes(model.fit(rows.z, rows.y, sample_weight=rows.weights), trial.target.kind)


def _ridge(trial: Trial, rows: Rows) -> nn.Module:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=_setting(trial, "alpha"))
    return planes(model.fit(rows.z, rows.y, sample_weight=rows.weights), trial.target.kind)


def _setting(trial: Trial, name: str) -> float:
    """Read a setting of the trial, 1 for a learner that does not leave it to be chosen."""
    return float(trial.settings.get(name, 1.0))


def _neighbours(trial: Trial, rows: Rows) -> nn.Module:
    kind, k = trial.target.kind, max(1, int(trial.settings["k"]))
    if kind.exclusive:
        answers = nn.functional.one_hot(torch.from_numpy(rows.y), len(kind.classes)).float()
    else:
        answers, k = torch.from_numpy(rows.y).float(), max(k, 5)  # one row's number is mostly noise
    z = torch.from_numpy(rows.z).float()
    head = Neighbours(len(z), z.shape[1], answers.shape[1], k=min(k, len(z)), classes=kind.exclusive)
    head.rows.copy_(z)
    head.answers.copy_(answers)
    if not kind.exclusive or kind.extensible:
        return head
    return read_out(head, kind, (0, 1), 2)


def _vectors(trial: Trial, rows: Rows) -> nn.Module:
    return (_machine if trial.target.kind.exclusive else _machines)(trial, rows)


def _machine(trial: Trial, rows: Rows) -> nn.Module:
    from sklearn.svm import SVC

    model = SVC(C=_setting(trial, "C"), class_weight=trial.class_weight, random_state=trial.seed)
    model.fit(rows.z, rows.y, sample_weight=rows.weights)
    counts, columns, seen = model.n_support_.tolist(), rows.z.shape[1], model.classes_
    head = Vectors(sum(counts), columns, 1) if len(seen) == 2 else Votes(counts, columns)
    _copy(head, rows=model.support_vectors_, gamma=model._gamma)
    _copy(head, coefficients=model.dual_coef_, intercepts=model.intercept_)
    return read_out(head, trial.target.kind, seen, 1 if len(seen) == 2 else len(seen))


def _machines(trial: Trial, rows: Rows) -> nn.Module:
    from sklearn.svm import SVR

    models = [SVR(C=_setting(trial, "C")) for _ in rows.y.T]
    for model, y in zip(models, rows.y.T, strict=True):
        model.random_state = trial.seed  # else it draws from NumPy's global random state
        model.fit(rows.z, y, sample_weight=rows.weights)
    coefficients = numpy.zeros((len(models), len(rows.z)))
    for row, model in zip(coefficients, models, strict=True):
        row[model.support_] = model.dual_coef_[0]
    used = numpy.abs(coefficients).max(axis=0) > 0
    used[0] |= not used.any()  # one row at least, so that there is a tensor of them
    head = Vectors(int(used.sum()), rows.z.shape[1], len(models))
    _copy(head, rows=rows.z[used], gamma=models[0]._gamma, coefficients=coefficients[:, used])
    _copy(head, intercepts=numpy.concatenate([model.intercept_ for model in models]))
    return head


def _copy(head: nn.Module, **values: Any) -> None:
    """Fill buffers of a head."""
    for name, value in values.items():
        head.get_buffer(name).copy_(torch.as_tensor(value))


def _boosting(trial: Trial, rows: Rows) -> nn.Module:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = trial.target.kind
    settings = {
        "learning_rate": _setting(trial, "learning_rate"),
        "max_leaf_nodes": int(trial.settings["leaves"]),
        "min_samples_leaf": min(20, max(1, len(rows.z) // 10)),
        "early_stopping": False,
        "random_state": trial.seed,
    }
    if not kind.exclusive:
        numbers_ = [HistGradientBoostingRegressor(**settings).fit(rows.z, y) for y in rows.y.T]
        return _trees(numbers_)
    seen = numpy.unique(rows.y).tolist()
    rounds = max(1, min(100, TREES // len(seen)))
    model = HistGradientBoostingClassifier(max_iter=rounds, class_weight=trial.class_weight, **settings)
    model.fit(rows.z, rows.y)
    return read_out(_trees([model]), kind, seen, 1 if len(seen) == 2 else len(seen))


TREES = 2500  # of boosting, at most: a round has one for each class


def _trees(models: Sequence[Any]) -> Trees:
    """Write the trees of scikit-learn's boosting into tensors; of several models, one for each number."""
    rounds = zip(*(model._predictors for model in models), strict=True)
    trees = [tree.nodes for side in rounds for trees in side for tree in trees]
    outputs = len(trees) // len(models[0]._predictors)
    nodes, depth = max(map(len, trees)), max(int(tree["depth"].max()) for tree in trees)
    head = Trees(len(trees), nodes, outputs, depth)
    for place, tree in enumerate(trees):
        leaf, here = tree["is_leaf"].astype(bool), numpy.arange(len(tree))
        parts = {
            "column": numpy.where(leaf, 0, tree["feature_idx"]),
            "threshold": _below(numpy.where(leaf, 0.0, tree["num_threshold"])),
            "left": numpy.where(leaf, here, tree["left"]),
            "right": numpy.where(leaf, here, tree["right"]),
            "value": tree["value"],
        }
        for name, values in parts.items():
            head.get_buffer(name)[place, : len(tree)] = torch.as_tensor(values)
    starts = numpy.concatenate([numpy.ravel(model._baseline_prediction) for model in models])
    head.start.copy_(torch.from_numpy(starts))
    return head


def _below(thresholds: numpy.ndarray) -> numpy.ndarray:
    """Round to float32 downwards, so that no float32 number changes its side."""
    near = thresholds.astype(numpy.float32)
    return numpy.where(near > thresholds, numpy.nextafter(near, numpy.float32(-math.inf)), near)


def _by_cells(cells: int) -> Callable[[int, int], int]:
    """Take so many numbers in all, and at most 20,000 rows."""
    return partial(_of_cells, cells)


def _of_cells(cells: int, columns: int, classes: int) -> int:
    return min(20_000, cells // columns)


def by_planes(columns: int, classes: int) -> int:
    """Take 32,000,000 numbers in all over the planes between classes, and at most 20,000 rows."""
    return min(20_000, 2**25 // (columns * max(1, classes - 1)))


def _by_pairs(columns: int, classes: int) -> int:
    """Take what makes 1,500,000,000 products of numbers in all pairs of rows, and at most 3,000 rows."""
    return min(3_000, math.isqrt(1_500_000_000 // columns))


LOGISTIC = Learner(_logistic, by_planes, moved=False)
RIDGE = Learner(_ridge, _by_cells(2**23), moved=False)
NEIGHBOURS = Learner(_neighbours, _by_cells(2**22))
VECTORS = Learner(_vectors, _by_pairs)
BOOSTING = Learner(_boosting, _by_cells(2**19), moved=False, standardised=False)
