"""What kinds are scored by, against scikit-learn and torchmetrics."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk

from headstart.tasks import Binary, Multiclass, Multilabel, Regression, Tokens
from headstart.tasks.kinds import known

NAN = math.nan
G = torch.Generator().manual_seed(0)
CASES = {
    "multiclass": (Multiclass(4), torch.randn(60, 4, generator=G), torch.randint(3, (60,), generator=G)),
    "two_classes": (
        Multiclass(2),
        torch.randn(60, 2, generator=G).mul(2).round().div(2),  # with ties
        torch.randint(4, (60,), generator=G).clamp(max=1),
    ),
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
    "regression_ties": (
        Regression(),
        torch.randn(60, 1, generator=G).mul(2).round(),
        torch.randn(60, generator=G).mul(2).round(),
    ),
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


# Of outputs p, targets t without holes and weights w, one per row.
def sk_classes(p, t, w):
    said, q, here = p.argmax(1), p.double().softmax(1).numpy(), t.unique().numpy()
    one_hot = np.eye(p.shape[1])[t.numpy()]
    if p.shape[1] == 2:
        rarer = int(2 * (t == 1).sum() <= len(t))
        precisions = [sk.average_precision_score(t == rarer, q[:, rarer], sample_weight=w)]
    else:
        precisions = [sk.average_precision_score(t == c, q[:, c], sample_weight=w) for c in here]
    return {
        "accuracy": sk.accuracy_score(t, said, sample_weight=w),
        "balanced_accuracy": sk.recall_score(t, said, average="macro", labels=here, sample_weight=w),
        "macro_f1": sk.f1_score(t, said, average="macro", sample_weight=w),
        "auroc": np.mean([sk.roc_auc_score(t == c, q[:, c], sample_weight=w) for c in here]),
        "average_precision": np.mean(precisions),
        "log_loss": sk.log_loss(t, q, labels=range(p.shape[1]), sample_weight=w),
        "brier": np.average(((q - one_hot) ** 2).sum(1), weights=w),
    }


def sk_binary(p, t, w):
    said, q = p[:, 0] > 0, p[:, 0].double().sigmoid()
    return {
        "accuracy": sk.accuracy_score(t, said, sample_weight=w),
        "balanced_accuracy": sk.balanced_accuracy_score(t, said, sample_weight=w),
        "auroc": sk.roc_auc_score(t, p[:, 0], sample_weight=w),
        "average_precision": sk.average_precision_score(t, p[:, 0], sample_weight=w),
        "f1": sk.f1_score(t, said, sample_weight=w),
        "log_loss": sk.log_loss(t, q, sample_weight=w),
        "brier": sk.brier_score_loss(t, q, sample_weight=w),
    }


def sk_labels(p, t, w):
    there = ~t.isnan()
    columns = [sk_binary(p[k, c, None], t[k, c], w[k]) for c, k in enumerate(there.T)]
    q, every = p.double().sigmoid()[there], w[:, None].expand(t.shape)[there]
    return {
        "auroc": np.mean([each["auroc"] for each in columns]),
        "map": np.mean([each["average_precision"] for each in columns]),
        "macro_f1": np.mean([each["f1"] for each in columns]),
        "log_loss": sk.log_loss(t[there], q, sample_weight=every),
        "brier": sk.brier_score_loss(t[there], q, sample_weight=every),
    }


def sk_whole_numbers(p, t, w):
    found = {
        "r2": sk.r2_score(t, p, sample_weight=w),
        "rmse": sk.mean_squared_error(t, p, sample_weight=w) ** 0.5,
        "mae": sk.mean_absolute_error(t, p, sample_weight=w),
    }
    if (w == 1).all():  # SciPy knows no weights
        found["spearman"] = np.mean([stats.spearmanr(a, b).statistic for a, b in zip(p.T, t.T, strict=True)])
    return found


def sk_numbers(p, t, w):
    """Each output over its own rows, averaged; of the squared error before its root."""
    p, t = p.reshape(len(p), -1), t.reshape(len(t), -1)
    holes = enumerate(~t.isnan().T)
    each = [sk_whole_numbers(p[at, k : k + 1], t[at, k : k + 1], w[at]) for k, at in holes]
    mean = {key: sum(one[key] for one in each) / len(each) for key in each[0]}
    return mean | {"rmse": (sum(one["rmse"] ** 2 for one in each) / len(each)) ** 0.5}


SCIKIT_LEARN = {
    "multiclass": sk_classes,
    "two_classes": sk_classes,
    "tokens": sk_classes,
    "binary": sk_binary,
    "multilabel": sk_labels,
    "regression": sk_numbers,
    "regression_ties": sk_numbers,
    "regression_column": sk_numbers,
    "regression_many": sk_numbers,
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_values_equal_those_of_scikit_learn(name, holes, weighted):
    kind, outputs, y = case(name, holes)
    outputs, y = outputs.double(), y.double() if y.is_floating_point() else y
    y = y.reshape(outputs.shape) if "regression" in name else y
    there = known(y)
    if "regression" in name or name == "multilabel":
        there = there.any(1)
    w = torch.ones(there.sum(), dtype=torch.float64)
    if weighted:
        w.exponential_(generator=torch.Generator().manual_seed(5))
    expected = SCIKIT_LEARN[name](outputs[there], y[there], w)
    p, t, _ = kind.scored(outputs, y)
    for key, value in expected.items():
        assert kind.measures()[key](p, t, w[None]).item() == pytest.approx(value, abs=1e-12), key
    assert weighted or list(expected) == list(kind.measures())


def torchmetrics_of(name):
    """The metrics of torchmetrics by our names."""
    import torchmetrics as tm
    from torchmetrics import classification as of

    match name:
        case "multiclass" | "two_classes" | "tokens":
            count = len(CASES[name][0].classes)
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
    if name == "regression_many" and holes:
        pytest.skip("torchmetrics has no numbers that are missing")
    expected = {key: float(metric(p, t)) for key, metric in torchmetrics_of(name).items()}
    found = {key: value for key, value in values(kind, outputs, y).items() if key in expected}
    assert found == pytest.approx(expected, abs=1e-5, rel=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_the_main_metric_comes_first(name):
    kind = CASES[name][0]
    assert next(iter(kind.measures())) == kind.metric
    assert all(name == measure.name for name, measure in kind.measures().items())


@pytest.mark.parametrize("name", CASES)
def test_weights_are_repetitions(name):
    kind, outputs, y = CASES[name]
    counts = torch.randint(3, (len(y),), generator=torch.Generator().manual_seed(3))
    twice = torch.arange(len(y)).repeat_interleave(counts)
    p, t, row = kind.scored(outputs, y)
    repeated = values(kind, outputs[twice], y[twice])
    for key, measure in kind.measures().items():
        assert measure(p, t, counts[None, row].double()).item() == pytest.approx(repeated[key])


@pytest.mark.parametrize("gaps", ["none in common", "a third", "one output whole"])
@pytest.mark.parametrize("name", ["r2", "mae", "spearman"])
def test_several_outputs_score_as_the_mean_of_each_over_its_own_rows(name, gaps):
    g = torch.Generator().manual_seed(0)
    t = torch.randn(60, 3, generator=g, dtype=torch.float64)
    p = t + torch.randn(60, 3, generator=g, dtype=torch.float64)
    row, output = torch.arange(60)[:, None], torch.arange(3)
    t[
        {
            "none in common": row % 3 != output,
            "a third": (row + output) % 3 == 0,
            "one output whole": (row % 2 == 0) & (output > 0),
        }[gaps]
    ] = torch.nan

    def value(p, t):
        kind = Regression(p.shape[1])
        p, t, _ = kind.scored(p, t)
        return kind.measures()[name](p, t, torch.ones(1, len(t), dtype=torch.float64)).item()

    alone = [value(p[:, k : k + 1], t[:, k : k + 1]) for k in range(3)]
    assert value(p, t) == pytest.approx(sum(alone) / 3, rel=1e-12)
