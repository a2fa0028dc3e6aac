import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import nn

from headstart.tasks import Binary, Detection, Multiclass, Multilabel, Regression, Segmentation, Tokens
from headstart.tasks.kinds import class_names

NAN = math.nan


def numbers(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def classes(high, *shape, seed=1):
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


# By hand, one label at a time, in plain Python floats.
def cross_entropy(p, y):
    rows = [math.log(sum(math.exp(v) for v in row)) - row[t] for row, t in zip(p, y, strict=True) if t >= 0]
    return sum(rows) / len(rows)


def binary_cross_entropy(p, y):
    pairs = [(v, t) for v, t in zip(p, y, strict=True) if not math.isnan(t)]
    return sum(-t * math.log(1 / (1 + math.exp(-v))) - (1 - t) * math.log(1 / (1 + math.exp(v)))
               for v, t in pairs) / len(pairs)  # fmt: skip


def squared_error(p, y):
    pairs = [(v, t) for v, t in zip(p, y, strict=True) if not math.isnan(t)]
    return sum((v - t) ** 2 for v, t in pairs) / len(pairs)


def flat(t):
    return t.flatten().tolist()


CASES = {  # kind, prediction, targets, reference
    "multiclass": (Multiclass(3), numbers(20, 3), classes(3, 20), cross_entropy),
    "binary": (Binary(), numbers(20, 1), classes(2, 20).double(), binary_cross_entropy),
    "multilabel": (Multilabel(4), numbers(20, 4), classes(2, 20, 4).double(), binary_cross_entropy),
    "regression": (Regression(), numbers(20, 1), numbers(20, seed=2), squared_error),
    "regression_column": (Regression(), numbers(20, 1), numbers(20, 1, seed=2), squared_error),
    "regression_many": (Regression(3), numbers(20, 3), numbers(20, 3, seed=2), squared_error),
    "tokens": (Tokens(3), numbers(20, 5, 3), classes(3, 20, 5), cross_entropy),
}


def missing(y):
    return NAN if y.is_floating_point() else -100


def holed(y):
    """Every third label missing."""
    y = y.clone()
    y.view(-1)[::3] = missing(y)
    return y


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.mark.parametrize("holes", [False, True])
def test_loss_is_the_mean_over_the_labels_that_are_there(case, holes):
    kind, p, y, reference = case
    y = holed(y) if holes else y
    rows = p.flatten(0, -2).tolist() if reference is cross_entropy else flat(p)
    loss = kind.loss(p, y)
    assert loss.shape == ()
    assert loss.dtype == torch.float64
    assert float(loss) == pytest.approx(reference(rows, flat(y)), rel=1e-12)


def test_the_promise_that_no_label_is_missing_changes_no_bit(case):
    kind, p, y, _ = case
    one, other = (p.clone().requires_grad_() for _ in range(2))
    promised, looked = kind.loss(one, y, complete=True), kind.loss(other, y)
    promised.backward()
    looked.backward()
    assert torch.equal(promised, looked)
    assert torch.equal(one.grad, other.grad)


def test_rows_without_a_label_change_nothing(case):
    kind, p, y, _ = case
    p = p.clone().requires_grad_()
    gone = y.clone()
    gone[10:] = missing(y)
    kind.loss(p, gone).backward()
    part = p.detach()[:10].clone().requires_grad_()
    kind.loss(part, y[:10]).backward()
    torch.testing.assert_close(p.grad[:10], part.grad, rtol=1e-13, atol=0)
    assert not p.grad[10:].any()


def test_without_labels_the_loss_is_zero_and_can_be_lowered(case):
    kind, p, y, _ = case
    head = nn.Linear(2, kind.outputs)
    p = head(torch.randn(*p.shape[:-1], 2, generator=torch.Generator()))
    loss = kind.loss(p, torch.full_like(y, missing(y)))
    loss.backward()
    assert loss.item() == 0
    assert all(w.grad.eq(0).all() for w in head.parameters())


def test_gradients_are_finite_beside_extreme_outputs_and_missing_labels(case):
    kind, p, y, _ = case
    p = (p * 1e4).requires_grad_()
    kind.loss(p, holed(y)).backward()
    assert p.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loss_has_the_type_of_the_prediction(case, dtype):
    kind, p, y, _ = case
    assert kind.loss(p.to(dtype), y).dtype == dtype
    assert kind.loss(p.to(dtype), y.float() if y.is_floating_point() else y).dtype == dtype


def test_head_is_linear_from_features_to_outputs(case):
    kind, p, _, _ = case
    head = kind.head(7)
    assert isinstance(head, nn.Linear)
    assert (head.in_features, head.out_features) == (7, kind.outputs)
    assert kind.outputs == p.shape[-1]


def test_targets_pass_their_own_check(case):
    kind, _, y, _ = case
    kind.check(y)
    kind.check(holed(y))


def test_kinds_are_values():
    assert Multiclass(["a", "b"]) == Multiclass(("a", "b"))
    assert Multiclass(2) != Multiclass(3)
    assert len({Binary(), Binary((0, 1)), Regression(), Regression(1), Tokens(2), Multilabel(2)}) == 4


# Names


@pytest.mark.parametrize("names", [("bolt", "nut", "screw"), (7, -2, 40), (False, True), ("1", 1, "one")])
def test_names_go_there_and_back(names):
    for kind in (Multiclass(names), Binary(names[:2])):
        y = kind.encode(list(kind.classes) * 2)
        count = len(kind.classes)
        assert y.tolist() == [*range(count)] * 2
        assert y.dtype == (torch.int64 if isinstance(kind, Multiclass) else torch.float32)
        logits = nn.functional.one_hot(y.long(), count) if isinstance(kind, Multiclass) else y[:, None] - 0.5
        decoded = kind.decode(logits)
        assert decoded == list(kind.classes) * 2
        assert [type(v) for v in decoded] == [type(v) for v in kind.classes] * 2
        kind.check(y)


def test_numbers_of_any_array_are_encoded():
    kind = Multiclass((5, 9))
    assert kind.encode(torch.tensor([9, 5])).tolist() == kind.encode(np.array([9, 5])).tolist() == [1, 0]
    assert kind.encode([]).dtype == torch.int64


def test_unknown_labels_are_named():
    with pytest.raises(
        ValueError, match="label should be one of the 2 classes; found 'blot'; did you mean \"bolt"
    ):
        Multiclass(["bolt", "nut"]).encode(["nut", "blot"])
    with pytest.raises(ValueError, match="found 7; known: 0, 1"):
        Binary().encode([7])


def test_decode_of_every_shape():
    assert Multilabel(["a", "b"]).decode(torch.tensor([[-1.0, -1.0], [1.0, -1.0]])) == [[], ["a"]]
    assert Regression().decode(torch.tensor([[1.5], [2.0]])) == [1.5, 2.0]
    assert Regression(2).decode(torch.tensor([[1.5, 2.0]])) == [[1.5, 2.0]]
    assert Tokens(["x", "y"]).decode(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])) == [["x", "y"]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Multiclass(1), r"`classes` should be at least 2 classes; found 1"),
        (lambda: Multiclass([]), "at least 2 classes; found 0"),
        (lambda: Tokens(["a"]), "at least 2 classes"),
        (lambda: Multilabel(0), "at least 1 classes; found 0"),
        (lambda: Multiclass(["a", "b", "a"]), r"distinct names; found \['a'\] more than once"),
        (lambda: Binary(("a", "a")), r"distinct names; found \['a'\] more than once"),
        (lambda: Binary(("a", "b", "c")), "`classes` should be two names; found 3"),
        (lambda: Regression(0), "`outputs` should be at least 1; found 0"),
        (lambda: Multilabel(2).check(torch.zeros(3)), r"shape \(rows, 2\); found \(3,\)"),
        (lambda: Multilabel(2).check(torch.zeros(3, 3)), r"shape \(rows, 2\); found \(3, 3\)"),
        (lambda: Multilabel(2).check(torch.full((3, 2), 0.5)), "0, 1 or NaN where missing; found 0.5"),
        (lambda: Multilabel(2).check(torch.zeros(3, 2).long()), "float targets"),
        (lambda: Binary().check(torch.zeros(3, 1)), r"of shape \(rows,\); found \(3, 1\)"),
        (
            lambda: Regression().check(torch.zeros(3).long()),
            r"float targets; found torch.int64; call `y.float",
        ),
        (lambda: Regression(2).check(torch.zeros(3)), r"shape \(rows, 2\); found \(3,\)"),
        (lambda: Regression().check(torch.zeros(3, 1, 1)), r"shape \(rows, 1\)"),
        (
            lambda: Regression().check(torch.tensor([1.0, math.inf])),
            "finite numbers, or NaN.*; found infinity",
        ),
    ],
)
def test_what_is_wrong_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_one_label_can_be_a_set():
    assert class_names(["only"], least=1) == Multilabel(["only"]).classes == ("only",)


@pytest.mark.parametrize("kind", [Segmentation, Detection])
def test_what_is_not_there_yet_says_so(kind):
    with pytest.raises(NotImplementedError, match=f"`{kind.__name__}` is not there yet; use `Multiclass`"):
        kind(3)


# Metrics, against scikit-learn


def values(kind, p, y):
    return {k: float(v) for k, v in kind.metrics()(*kind.score(p, y)).items()}


@pytest.mark.usefixtures("torchmetrics")
def test_the_main_metric_is_among_the_metrics(
    case,
):
    kind, p, y, _ = case
    assert kind.metric in values(kind, p, y)
    assert kind.higher_is_better


@pytest.mark.usefixtures("torchmetrics")
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("name", ["multiclass", "tokens"])
def test_class_metrics(name, holes):
    kind, p, y, _ = CASES[name]
    y = holed(y) if holes else y
    said, true = p.argmax(-1)[y >= 0], y[y >= 0]
    expected = {
        "accuracy": sk.accuracy_score(true, said),
        "macro_f1": sk.f1_score(true, said, average="macro"),
    }
    assert values(kind, p, y) == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("torchmetrics")
@pytest.mark.parametrize("holes", [False, True])
def test_binary_metrics(holes):
    kind, p, y, _ = CASES["binary"]
    y = holed(y) if holes else y
    p, t = p[~y.isnan(), 0], y[~y.isnan()]
    expected = {
        "accuracy": sk.accuracy_score(t, p > 0), "auroc": sk.roc_auc_score(t, p), "f1": sk.f1_score(t, p > 0),
    }  # fmt: skip
    assert values(kind, CASES["binary"][1], y) == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("torchmetrics")
@pytest.mark.parametrize("holes", [False, True])
def test_multilabel_metrics(holes):
    kind, p, y, _ = CASES["multilabel"]
    y = holed(y) if holes else y
    columns = [(t[~t.isnan()], v[~t.isnan()]) for t, v in zip(y.T, p.T, strict=True)]
    expected = {
        "auroc": np.mean([sk.roc_auc_score(t, v) for t, v in columns]),
        "macro_f1": np.mean([sk.f1_score(t, v > 0) for t, v in columns]),
    }
    assert values(kind, p, y) == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("torchmetrics")
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("name", ["regression", "regression_column", "regression_many"])
def test_regression_metrics(name, holes):
    kind, p, y, _ = CASES[name]
    y = holed(y) if holes and name != "regression_many" else y
    if holes and name == "regression_many":
        y = y.clone()
        y[:4, 1] = NAN  # a row with a hole is left out as a whole
    t = y.reshape(p.shape)
    full = ~t.isnan().any(1)
    expected = {
        "r2": sk.r2_score(t[full], p[full]),
        "rmse": sk.mean_squared_error(t[full], p[full]) ** 0.5,
        "mae": sk.mean_absolute_error(t[full], p[full]),
    }
    assert values(kind, p, y) == pytest.approx(expected, abs=1e-6)


def test_scores_come_without_missing_labels():
    p, y = Binary().score(torch.tensor([[0.0], [5.0]]), torch.tensor([1.0, NAN]))
    assert (p.tolist(), y.tolist(), y.dtype) == ([0.5], [1], torch.int64)
    p, y = Multilabel(2).score(torch.zeros(1, 2), torch.tensor([[1.0, NAN]]))
    assert (p.tolist(), y.tolist()) == ([[0.5, 0.5]], [[1, -100]])
    p, y = Tokens(2).score(torch.zeros(1, 2, 2), torch.tensor([[1, -100]]))
    assert (p.shape, y.tolist()) == ((1, 2), [1])
    p, y = Regression().score(torch.zeros(2, 1), torch.tensor([NAN, 3.0]))
    assert (p.tolist(), y.tolist()) == ([0.0], [3.0])


# A process of its own, where the torchvision that torchmetrics imports was built for another torch.
BROKEN = """
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "torchmetrics":
            raise RuntimeError("operator torchvision::nms does not exist")
sys.meta_path.insert(0, Broken())
from headstart.tasks import Binary
try:
    Binary().metrics()
except ImportError as error:
    print(error)
"""


def test_a_torchvision_that_does_not_fit_is_explained():
    said = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True, check=True).stdout
    assert "torchvision, which torchmetrics imports, should be built for torch" in said
    assert 'found "operator torchvision::nms does not exist"; install that build' in said
    assert "import_torchvision()" in said
