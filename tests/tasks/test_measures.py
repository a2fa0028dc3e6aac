"""What kinds are scored by, against scikit-learn and torchmetrics."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from headstart.tasks import Binary, Multiclass, Multilabel, Regression, Tokens

NAN = math.nan
G = torch.Generator().manual_seed(0)
CASES = {
    "multiclass": (Multiclass(4), torch.randn(60, 4, generator=G), torch.randint(3, (60,), generator=G)),
    "binary": (
        Binary(),
        torch.randn(60, 1, generator=G).mul(2).round().div(2),  # with ties
        torch.randint(2, (60,), generator=G).float(),
    ),
    "multilabel": (
        Multilabel(3),
        torch.randn(60, 3, generator=G),
        torch.randint(2, (60, 3), generator=G).float(),
    ),
    "regression": (Regression(), 3 + torch.randn(60, 1, generator=G), 3 + torch.randn(60, generator=G)),
    "regression_column": (Regression(), torch.randn(60, 1, generator=G), torch.randn(60, 1, generator=G)),
    "regression_many": (Regression(2), torch.randn(60, 2, generator=G), torch.randn(60, 2, generator=G)),
    "tokens": (Tokens(3), torch.randn(20, 5, 3, generator=G), torch.randint(3, (20, 5), generator=G)),
}


def case(name, holes):
    """A kind, outputs and targets, some of them missing."""
    kind, p, y = CASES[name]
    if holes:
        y = y.clone()
        y[:5] = NAN if y.is_floating_point() else -100
        y.view(len(y), -1)[6:20:3, -1] = NAN if y.is_floating_point() else -100
    return kind, p, y


def values(kind, outputs, y):
    p, t, _ = kind.scored(outputs, y)
    ones = torch.ones(1, len(t), dtype=torch.float64)
    return {name: measure(p, t, ones).item() for name, measure in kind.measures().items()}


def sk_classes(p, t):
    said = p.argmax(-1)
    return {"accuracy": sk.accuracy_score(t, said), "macro_f1": sk.f1_score(t, said, average="macro")}


def sk_binary(p, t):
    said = p[:, 0] > 0
    auroc = sk.roc_auc_score(t, p[:, 0])
    return {"accuracy": sk.accuracy_score(t, said), "auroc": auroc, "f1": sk.f1_score(t, said)}


def sk_labels(p, t):
    columns = [(a[~a.isnan()], b[~a.isnan()]) for a, b in zip(t.T, p.T, strict=True)]
    return {
        "auroc": np.mean([sk.roc_auc_score(a, b) for a, b in columns]),
        "macro_f1": np.mean([sk.f1_score(a, b > 0) for a, b in columns]),
    }


def sk_numbers(p, t):
    rmse = sk.mean_squared_error(t, p) ** 0.5
    return {"r2": sk.r2_score(t, p), "rmse": rmse, "mae": sk.mean_absolute_error(t, p)}


SCIKIT_LEARN = {
    "multiclass": sk_classes,
    "tokens": sk_classes,
    "binary": sk_binary,
    "multilabel": sk_labels,
    "regression": sk_numbers,
    "regression_column": sk_numbers,
    "regression_many": sk_numbers,
}


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_values_equal_those_of_scikit_learn(name, holes):
    kind, p, y = case(name, holes)
    t = y.reshape(p.shape) if "regression" in name else y
    there = t >= 0 if name in ("multiclass", "tokens") else ~t.isnan()
    if "regression" in name:
        there = there.all(1)  # a row with a hole is left out as a whole
    known = (p, t) if name == "multilabel" else (p[there], t[there])
    assert values(kind, p, y) == pytest.approx(SCIKIT_LEARN[name](*known), abs=1e-6)


def torchmetrics_of(name):
    """The metrics of torchmetrics by our names."""
    import torchmetrics as tm
    from torchmetrics import classification as of

    match name:
        case "multiclass" | "tokens":
            count = {"multiclass": 4, "tokens": 3}[name]
            return {
                "accuracy": of.MulticlassAccuracy(count, average="micro"),
                "macro_f1": of.MulticlassF1Score(count),
            }
        case "binary":
            return {"accuracy": of.BinaryAccuracy(), "auroc": of.BinaryAUROC(), "f1": of.BinaryF1Score()}
        case "multilabel":
            gone = {"ignore_index": -100}
            return {"auroc": of.MultilabelAUROC(3, **gone), "macro_f1": of.MultilabelF1Score(3, **gone)}
    return {"r2": tm.R2Score(), "rmse": tm.MeanSquaredError(squared=False), "mae": tm.MeanAbsoluteError()}


@pytest.mark.usefixtures("torchmetrics")
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_values_equal_those_of_torchmetrics(name, holes):
    kind, outputs, y = case(name, holes)
    p, t, _ = kind.scored(outputs, y)
    expected = {key: float(metric(p, t)) for key, metric in torchmetrics_of(name).items()}
    assert values(kind, outputs, y) == pytest.approx(expected, abs=1e-5, rel=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_the_main_metric_comes_first(name):
    kind = CASES[name][0]
    assert next(iter(kind.measures())) == kind.metric
    assert kind.higher_is_better


@pytest.mark.parametrize("name", CASES)
def test_weights_are_repetitions(name):
    kind, outputs, y = CASES[name]
    counts = torch.randint(3, (len(y),), generator=torch.Generator().manual_seed(3))
    twice = torch.arange(len(y)).repeat_interleave(counts)
    p, t, row = kind.scored(outputs, y)
    repeated = values(kind, outputs[twice], y[twice])
    for key, measure in kind.measures().items():
        assert measure(p, t, counts[None, row].double()).item() == pytest.approx(repeated[key])
