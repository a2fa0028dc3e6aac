"""What an answer is: the loss that trains it, the head that gives it, the metrics that score it.

Shapes: ``B`` rows, ``C`` classes, ``O`` outputs, ``L`` tokens of a sequence.

A missing label is NaN (float targets) or -100 (integer targets). It adds nothing to a loss: every
loss is the mean over the labels that are there, and 0 (with a graph, so that ``backward`` works)
where none is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import did_you_mean, wrong

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

Label = str | int | bool
MISSING = -100


def class_names(classes: int | Sequence[Label], *, least: int = 2) -> tuple[Label, ...]:
    """Turn a count or the user's own names into a tuple of distinct class names.

    Raises:
        ValueError: if there are fewer than ``least`` classes, or a name twice.

    Example:
        >>> class_names(3)
        (0, 1, 2)
    """
    names: tuple[Label, ...] = tuple(range(classes)) if isinstance(classes, int) else tuple(classes)
    if len(names) < least:
        raise wrong("`classes`", expected=f"at least {least} classes", found=f"{len(names)} {list(names)}")
    if len(set(names)) != len(names):
        twice = sorted({str(n) for n in names if names.count(n) > 1})
        raise wrong("`classes`", expected="distinct names", found=f"{twice} more than once")
    return names


def _numbers(classes: tuple[Label, ...], labels: Sequence[Label] | Tensor) -> Tensor:
    index = {name: i for i, name in enumerate(classes)}
    values = labels.tolist() if isinstance(labels, Tensor) else list(labels)
    unknown = [v for v in values if v not in index]
    if unknown:
        raise wrong(
            "label",
            expected=f"one of the {len(classes)} classes",
            found=repr(unknown[0]),
            hint=did_you_mean(str(unknown[0]), [str(c) for c in classes]),
        )
    return torch.tensor([index[v] for v in values], dtype=torch.long)


class Kind(ABC):
    """Say what an answer is. Final subclasses below; every one is a frozen dataclass."""

    metric: str
    higher_is_better: bool = True

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Width of the head's output."""

    @abstractmethod
    def loss(self, prediction: Tensor, y: Tensor, *, complete: bool = False) -> Tensor:
        """Score a prediction against targets, as a scalar to lower.

        Args:
            prediction: what the head gave.
            y: the targets.
            complete: promises that no label is missing, which saves looking for them.
        """

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """Build the metrics, the one named by ``metric`` among them."""

    @abstractmethod
    def score(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a head's output and targets into what ``metrics()`` take, without the missing labels."""

    @abstractmethod
    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` where a target is not an answer of this kind."""

    @abstractmethod
    def decode(self, prediction: Tensor) -> list[Any]:
        """Turn a head's output ``(B, ...)`` into the user's own labels, one entry per row."""

    def head(self, features: int) -> nn.Module:
        """Build the linear layer from ``features`` to this kind's output."""
        return nn.Linear(features, self.outputs)


def known(y: Tensor) -> Tensor:
    """Tell which labels are not missing, as a mask of the shape of ``y``.

    Example:
        >>> known(torch.tensor([1, -100])).tolist()
        [True, False]
    """
    return ~y.isnan() if y.is_floating_point() else y != MISSING


def _mean_over_present(losses: Tensor, present: Tensor) -> Tensor:
    """Average ``losses`` where ``present``; 0 with a graph where nothing is."""
    return torch.where(present, losses, 0).sum() / present.sum().clamp(min=1)


def _yes_or_no(prediction: Tensor, y: Tensor, complete: bool) -> Tensor:
    """Average the binary cross-entropy of logits over the labels that are there."""
    target = (y if complete else y.nan_to_num(0)).to(prediction.dtype)
    losses = F.binary_cross_entropy_with_logits(prediction, target, reduction="none")
    return losses.mean() if complete else _mean_over_present(losses, known(y))


def _check_axes(y: Tensor, *axes: str) -> None:
    if y.ndim != len(axes):
        shape = f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"
        raise wrong("`y`", expected=f"of shape {shape}", found=tuple(y.shape))


def _check_classes(y: Tensor, count: int) -> None:
    if y.dtype != torch.int64:
        raise wrong("`y`", expected="class numbers (int64)", found=str(y.dtype))
    bad = y[(y != MISSING) & ((y < 0) | (y >= count))]
    if len(bad):
        raise wrong(
            "`y`",
            expected=f"class numbers in [0, {count}), or {MISSING} where missing",
            found=int(bad[0]),
        )


def _check_yes_or_no(y: Tensor) -> None:
    if not y.is_floating_point():
        raise wrong("`y`", expected="float targets 0.0, 1.0 or NaN", found=str(y.dtype))
    bad = y[~y.isnan() & (y != 0) & (y != 1)]
    if len(bad):
        raise wrong("`y`", expected="0, 1 or NaN where missing", found=float(bad[0]))


def _torchmetrics() -> ModuleType:
    """Import torchmetrics, which imports torchvision where that is installed."""
    try:
        import torchmetrics.classification
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        first = "from headstart.models.backbones.torchvision import import_torchvision; import_torchvision()"
        raise wrong(
            "torchvision, which torchmetrics imports,",
            expected=f"built for torch {torch.__version__}",
            found=f'"{error}"',
            hint=f"install that build, uninstall torchvision, or run `{first}` before; "
            "`headstart.evaluate` works as it is",
            error=ImportError,
        ) from error
    return torchmetrics


@dataclass(frozen=True, init=False)
class _Named(Kind, ABC):
    """Kinds with one output per class, whose names are the user's own."""

    classes: tuple[Label, ...]
    least: ClassVar[int] = 2

    def __init__(self, classes: int | Sequence[Label]) -> None:
        object.__setattr__(self, "classes", class_names(classes, least=self.least))

    @property
    def outputs(self) -> int:
        """Width of the head's output."""
        return len(self.classes)


@final
@dataclass(frozen=True, init=False)
class Multiclass(_Named):
    """One of several classes.

    Args:
        classes: how many, or the user's own names (strings, any integers).

    Shape:
        prediction ``(B, C)`` logits, ``y (B,)`` int64 in ``[0, C)`` or -100.

    Example:
        >>> kind = Multiclass(["bolt", "nut"])
        >>> kind.decode(torch.tensor([[0.1, 2.0]]))
        ['nut']
        >>> float(kind.loss(torch.zeros(2, 2), torch.tensor([0, -100])))  # doctest: +ELLIPSIS
        0.693...
    """

    metric = "accuracy"

    def loss(self, prediction: Tensor, y: Tensor, *, complete: bool = False) -> Tensor:
        """Cross-entropy in nats per labelled row."""
        if complete:
            return F.cross_entropy(prediction, y)
        present = known(y).sum().clamp(min=1)
        return F.cross_entropy(prediction, y, ignore_index=MISSING, reduction="sum") / present

    def metrics(self) -> MetricCollection:
        """Accuracy and macro F1."""
        tm, count = _torchmetrics(), len(self.classes)
        accuracy = tm.classification.MulticlassAccuracy(count, average="micro")
        macro_f1 = tm.classification.MulticlassF1Score(count)
        return tm.MetricCollection({"accuracy": accuracy, "macro_f1": macro_f1}, compute_groups=False)

    def score(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Drop rows without a label."""
        return prediction[y != MISSING], y[y != MISSING]

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for a target outside the classes."""
        _check_axes(y, "rows")
        _check_classes(y, len(self.classes))

    def decode(self, prediction: Tensor) -> list[Label]:
        """Name the likeliest class of each row."""
        return [self.classes[i] for i in prediction.argmax(1).tolist()]

    def encode(self, labels: Sequence[Label] | Tensor) -> Tensor:
        """Number the user's labels, ``(B,)`` int64; ``ValueError`` names an unknown one."""
        return _numbers(self.classes, labels)


@final
@dataclass(frozen=True)
class Binary(Kind):
    """Yes or no, from one logit.

    Args:
        classes: the user's names of the negative and the positive class.

    Shape:
        prediction ``(B, 1)`` logits, ``y (B,)`` float in {0, 1} or NaN.

    Example:
        >>> Binary(("ham", "spam")).decode(torch.tensor([[1.5], [-2.0]]))
        ['spam', 'ham']
    """

    classes: tuple[Label, ...] = (0, 1)
    metric = "accuracy"

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", class_names(self.classes))
        if len(self.classes) != 2:
            raise wrong("`classes`", expected="two names", found=len(self.classes))

    @property
    def outputs(self) -> int:
        """Width of the head's output."""
        return 1

    def loss(self, prediction: Tensor, y: Tensor, *, complete: bool = False) -> Tensor:
        """Binary cross-entropy in nats per labelled row."""
        return _yes_or_no(prediction[:, 0], y, complete)

    def metrics(self) -> MetricCollection:
        """Accuracy, area under the ROC curve, F1."""
        tm = _torchmetrics()
        accuracy, auroc = tm.classification.BinaryAccuracy(), tm.classification.BinaryAUROC()
        f1 = tm.classification.BinaryF1Score()
        return tm.MetricCollection({"accuracy": accuracy, "auroc": auroc, "f1": f1}, compute_groups=False)

    def score(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities of the positive class and targets of the labelled rows."""
        present = ~y.isnan()
        return prediction[present, 0].sigmoid(), y[present].long()

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for a target other than 0, 1 and NaN."""
        _check_axes(y, "rows")
        _check_yes_or_no(y)

    def decode(self, prediction: Tensor) -> list[Label]:
        """Name the likelier class of each row."""
        return [self.classes[int(v > 0)] for v in prediction[:, 0].tolist()]

    def encode(self, labels: Sequence[Label] | Tensor) -> Tensor:
        """Number the user's labels, ``(B,)`` float; ``ValueError`` names an unknown one."""
        return _numbers(self.classes, labels).float()


@final
@dataclass(frozen=True, init=False)
class Multilabel(_Named):
    """Any subset of several labels.

    Args:
        classes: how many, or the user's own names.

    Shape:
        prediction ``(B, C)`` logits, ``y (B, C)`` float in {0, 1} or NaN.

    Example:
        >>> Multilabel(["beach", "dog"]).decode(torch.tensor([[2.0, 1.0], [-1.0, 3.0]]))
        [['beach', 'dog'], ['dog']]
    """

    least = 1
    metric = "auroc"

    def loss(self, prediction: Tensor, y: Tensor, *, complete: bool = False) -> Tensor:
        """Binary cross-entropy in nats per label that is there."""
        return _yes_or_no(prediction, y, complete)

    def metrics(self) -> MetricCollection:
        """Macro area under the ROC curve and macro F1; labels that never occur are left out."""
        tm, count = _torchmetrics(), len(self.classes)
        auroc = tm.classification.MultilabelAUROC(count, ignore_index=MISSING)
        macro_f1 = tm.classification.MultilabelF1Score(count, ignore_index=MISSING)
        return tm.MetricCollection({"auroc": auroc, "macro_f1": macro_f1}, compute_groups=False)

    def score(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities and targets with -100 for a missing label."""
        return prediction.sigmoid(), y.nan_to_num(MISSING).long()

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for a wrong width or a target other than 0, 1 and NaN."""
        if y.ndim != 2 or y.shape[1] != len(self.classes):
            raise wrong("`y`", expected=f"shape (rows, {len(self.classes)})", found=tuple(y.shape))
        _check_yes_or_no(y)

    def decode(self, prediction: Tensor) -> list[list[Label]]:
        """List the labels of each row whose probability is over one half."""
        return [[c for c, v in zip(self.classes, row, strict=True) if v > 0] for row in prediction.tolist()]


@final
@dataclass(frozen=True)
class Regression(Kind):
    """Real numbers.

    Args:
        outputs: numbers per row.

    Shape:
        prediction ``(B, O)``, ``y (B, O)`` (or ``(B,)`` where ``O`` is 1) float or NaN.

    Example:
        >>> Regression().decode(torch.tensor([[2.5]]))
        [2.5]
    """

    outputs: int = 1
    metric = "r2"

    def __post_init__(self) -> None:
        if self.outputs < 1:
            raise wrong("`outputs`", expected="at least 1", found=self.outputs)

    def loss(self, prediction: Tensor, y: Tensor, *, complete: bool = False) -> Tensor:
        """Squared error in squared target units per number that is there."""
        y = y.reshape(prediction.shape)
        if complete:
            return F.mse_loss(prediction, y.to(prediction.dtype))
        return _mean_over_present((prediction - y.nan_to_num(0).to(prediction.dtype)).square(), known(y))

    def metrics(self) -> MetricCollection:
        """Coefficient of determination, root mean squared error, mean absolute error."""
        tm = _torchmetrics()
        r2, rmse, mae = tm.R2Score(), tm.MeanSquaredError(squared=False), tm.MeanAbsoluteError()
        return tm.MetricCollection({"r2": r2, "rmse": rmse, "mae": mae}, compute_groups=False)

    def score(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Drop rows where a number is missing."""
        y = y.reshape(prediction.shape).to(prediction.dtype)
        full = ~y.isnan().any(1)
        return prediction[full].squeeze(1), y[full].squeeze(1)

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for integer targets, a wrong width or an infinite number."""
        if not y.is_floating_point():
            raise wrong("`y`", expected="float targets", found=str(y.dtype), hint="call `y.float()`")
        if y.ndim > 2 or (y.ndim == 2 and y.shape[1] != self.outputs) or (y.ndim == 1 and self.outputs != 1):
            raise wrong("`y`", expected=f"shape (rows, {self.outputs})", found=tuple(y.shape))
        if y.isinf().any():
            raise wrong("`y`", expected="finite numbers, or NaN where missing", found="infinity")

    def decode(self, prediction: Tensor) -> list[float] | list[list[float]]:
        """Return plain numbers."""
        return prediction.squeeze(1).tolist() if self.outputs == 1 else prediction.tolist()


@final
@dataclass(frozen=True, init=False)
class Tokens(_Named):
    """One of several classes for each token of a sequence.

    Args:
        classes: how many, or the user's own names.

    Shape:
        prediction ``(B, L, C)`` logits, ``y (B, L)`` int64 in ``[0, C)`` or -100 (padding, missing).

    Example:
        >>> Tokens(["O", "B-city"]).decode(torch.tensor([[[2.0, 1.0], [0.0, 3.0]]]))
        [['O', 'B-city']]
    """

    metric = "accuracy"

    def loss(self, prediction: Tensor, y: Tensor, *, complete: bool = False) -> Tensor:
        """Cross-entropy in nats per labelled token."""
        return Multiclass(self.classes).loss(prediction.flatten(0, 1), y.flatten(), complete=complete)

    def metrics(self) -> MetricCollection:
        """Accuracy and macro F1 over tokens."""
        return Multiclass(self.classes).metrics()

    def score(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Drop tokens without a label."""
        return Multiclass(self.classes).score(prediction.flatten(0, 1), y.flatten())

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for a target outside the classes."""
        _check_axes(y, "rows", "tokens")
        _check_classes(y, len(self.classes))

    def decode(self, prediction: Tensor) -> list[list[Label]]:
        """Name the likeliest class of each token."""
        return [[self.classes[i] for i in row] for row in prediction.argmax(2).tolist()]


def Segmentation(classes: int | Sequence[Label]) -> Kind:
    """One of several classes for each pixel; comes with the image rooms."""
    raise NotImplementedError("`Segmentation` is not there yet; use `Multiclass` for whole images")


def Detection(classes: int | Sequence[Label]) -> Kind:
    """Boxes with one of several classes; comes with the image rooms."""
    raise NotImplementedError("`Detection` is not there yet; use `Multiclass` for whole images")
