import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from headstart.tasks import Binary, Kind, Multiclass, Multilabel, Regression, Tokens
from headstart.tasks.kinds import class_names, kind_from_json

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
    assert getattr(head, "reads_places", False) != kind.per_row
    assert head(torch.zeros(2, *[3] * kind.axes, 7)).shape == (2, *[3] * kind.axes, kind.outputs)
    head = head if kind.per_row else head.head
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


# What the rest of the library asks.

KINDS = [
    Multiclass(["a", "b", "c"]),
    Binary(("no", "yes")),
    Multilabel(["x", "y"]),
    Regression(),
    Regression(3),
    Tokens(["O", "B"]),
]


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_a_kind_goes_to_json_and_back(kind):
    about = json.loads(json.dumps(kind.to_json()))
    assert kind_from_json(about) == kind
    assert about["kind"] == kind.name == type(kind).__name__


def test_json_is_that_of_saved_models():
    assert Binary(("no", "yes")).to_json() == {"kind": "Binary", "classes": ["no", "yes"]}
    assert Regression(2).to_json() == {"kind": "Regression", "outputs": 2}


def test_an_unknown_kind_is_named():
    with pytest.raises(
        ValueError, match=r"kind of head 'a' should be a known name; found \"Multiclas\"; did you"
    ):
        kind_from_json({"kind": "Multiclas", "classes": [0, 1]}, "kind of head 'a'")


def test_a_kind_of_another_package_is_read_too():
    @dataclass(frozen=True)
    class Angle(Kind):
        metric = "error"
        outputs = 2

        def describe(self):
            return "an angle"

        def loss(self, prediction, y, *, complete=False):
            return prediction.square().mean()

        def measures(self):
            return {}

        def check(self, y):
            pass

        def encode(self, labels):
            return torch.as_tensor(labels)

        def decode(self, prediction):
            return prediction.tolist()

        def to_json(self):
            return {"kind": self.name}

    assert kind_from_json(Angle().to_json()) == Angle()
    assert not Angle().exclusive
    p, t, row = Angle().scored(torch.eye(3), torch.tensor([1.0, NAN, 2.0]))
    assert (p.shape, t.tolist(), row.tolist()) == ((2, 3), [1.0, 2.0], [0, 1])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Multiclass([3, 8]), "2 classes (3, 8)"),
        (Multiclass(9), "9 classes (0, 1, 2, 3, 4, 5, 6, 7, ...)"),
        (Binary(("no", "yes")), "2 classes (no, yes)"),
        (Multilabel(["beach"]), "1 labels, any of them (beach)"),
        (Tokens(2), "2 classes for each token (0, 1)"),
        (Regression(), "a number (regression)"),
        (Regression(2), "2 numbers (regression)"),
    ],
)
def test_kinds_say_what_is_asked_for(kind, said):
    assert kind.describe() == said


def test_which_kinds_count_labels_by_class_and_which_may_grow():
    assert [k.name for k in KINDS if k.exclusive] == ["Multiclass", "Binary"]
    assert [k.name for k in KINDS if k.extensible] == ["Multiclass"]
    assert [k.name for k in KINDS if not k.per_row] == ["Tokens"]
    assert [k.name for k in KINDS if not k.classes] == ["Regression", "Regression"]
    for kind in KINDS:
        main = kind.measures()[kind.metric]
        assert main.higher_is_better
        assert (main.bounds == (0, 1)) == (kind.metric in ("accuracy", "auroc"))


def test_numbers_of_classes():
    assert Multiclass(3).numbers(torch.tensor([2, -100])).tolist() == [2, -100]
    assert Binary().numbers(torch.tensor([1.0, NAN, 0.0])).tolist() == [1, -100, 0]
    for kind in (Multilabel(2), Regression(), Tokens(2)):
        with pytest.raises(TypeError, match="answers should be one class per row; found "):
            kind.numbers(torch.zeros(2))


def test_strata_are_the_classes_of_the_rows():
    assert Multiclass(3).strata(torch.tensor([2, -100, 2])) == [2, -100, 2]
    assert Binary().strata(torch.tensor([1.0, NAN, NAN])) == [1, -100, -100]
    assert Multilabel(2).strata(torch.zeros(3, 2)) is None
    assert Regression().strata(torch.zeros(3)) is None
    assert Tokens(2).strata(torch.zeros(3, 2).long()) is None


def test_probabilities_of_every_kind():
    p = numbers(5, 3)
    assert torch.equal(Multiclass(3).probabilities(p), p.softmax(1))
    assert torch.equal(Multilabel(3).probabilities(p), p.sigmoid())
    yes = Binary().probabilities(p[:, :1])
    assert yes.shape == (5, 2)
    assert torch.equal(yes[:, 1:], p[:, :1].sigmoid())
    torch.testing.assert_close(yes.sum(1), torch.ones(5).double())
    assert Binary().probabilities(torch.tensor([[30.0]]))[0, 0] > 0
    assert Regression(3).probabilities(p) is None
    assert Tokens(3).probabilities(p[None]) is None


def test_sets_numbers_and_sequences_are_encoded():
    y = Multilabel(["a", "b", "c"]).encode([["c", "a"], []])
    assert y.tolist() == [[1, 0, 1], [0, 0, 0]]
    Multilabel(3).check(y)
    with pytest.raises(ValueError, match="one of the 2 classes; found 'd'"):
        Multilabel(["a", "b"]).encode([["a"], ["d"]])
    assert Regression().encode([1, 2.5]).tolist() == [1.0, 2.5]
    assert Regression(2).encode([[1, 2]]).dtype == torch.float32
    y = Tokens(["O", "B"]).encode([["B"], ["O", "B", "O"]])
    assert y.tolist() == [[1, -100, -100], [0, 1, 0]]
    Tokens(2).check(y)


def test_scores_come_without_missing_labels():
    p, t, row = Binary().scored(torch.tensor([[0.0], [5.0]]), torch.tensor([1.0, NAN]))
    assert (p.tolist(), t.tolist(), t.dtype, row.tolist()) == ([0.5], [1], torch.int64, [0])
    p, t, row = Multilabel(2).scored(torch.zeros(2, 2), torch.tensor([[NAN, NAN], [1.0, NAN]]))
    assert (p.tolist(), t.tolist(), row.tolist()) == ([[0.5, 0.5]], [[1, -100]], [0])
    p, t, row = Regression().scored(torch.zeros(2, 1), torch.tensor([NAN, 3.0]))
    assert (p.tolist(), t.tolist(), row.tolist()) == ([0.0], [3.0], [0])
    y = torch.tensor([[NAN, NAN], [1.0, NAN], [2.0, 3.0]])
    p, t, row = Regression(2).scored(torch.zeros(3, 2), y)
    assert (p.shape, row.tolist()) == ((2, 2), [0, 1])
    assert torch.equal(t.nan_to_num(-1), torch.tensor([[1.0, -1.0], [2.0, 3.0]]))


def test_tokens_know_the_sequence_they_come_from():
    y = torch.tensor([[-100, -100], [1, -100], [0, 1]])
    p, t, row = Tokens(2).scored(torch.zeros(3, 2, 2), y)
    assert (p.shape, t.tolist(), row.tolist()) == ((3, 2), [1, 0, 1], [0, 1, 1])


# What a comparison keeps, and by what it scores.


def test_what_is_stored_of_classes_is_small_and_has_the_same_answer():
    p = torch.tensor([[1.0, 1.0, 0.99999], [-1e9, 50.0, -math.inf], [3.0, 1.0, 2.9999], [0.0, 0.0, 0.0]])
    kept = Multiclass(3).stored(p)
    assert kept.dtype == torch.float16
    assert kept.argmax(1).equal(p.argmax(1))
    assert (kept == 0).sum(1).tolist() == [1, 1, 1, 1]
    assert kept[1].tolist() == [-60, 0, -60]
    assert kept[2].tolist() == [0, -2, pytest.approx(-1e-4, rel=1e-2)]
    assert Tokens(3).stored(p[None]).equal(kept[None])
    assert kept.equal(Multiclass(3).stored(p.log_softmax(1)))


def test_what_is_stored_of_yes_or_no_keeps_its_side():
    p = torch.tensor([[1e-30, -1e-30], [0.0, -0.0], [1e9, -1e9], [1.5, -2.25]])
    kept = Multilabel(2).stored(p)
    assert kept.dtype == torch.float16
    assert kept.sign().equal(p.sign().half())
    assert kept[2:].tolist() == [[60, -60], [1.5, -2.25]]
    assert Binary().stored(p[:, :1]).equal(kept[:, :1])
    assert Multilabel(2).decode(kept.float()) == Multilabel(2).decode(p)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
@pytest.mark.parametrize("scale", [0.1, 3, 10])
def test_what_is_stored_scores_as_it_was_given(kind, scale):
    shape = (200, 4) if kind.name == "Tokens" else (200,)
    outputs = scale * numbers(*shape, kind.outputs).float()
    if kind.name == "Regression":
        y = outputs + numbers(200, kind.outputs, seed=2).float()
    elif kind.name == "Multilabel":
        y = classes(2, 200, 2).float()
    else:
        y = classes(len(kind.classes), *shape)
        y = y.float() if kind.name == "Binary" else y
    given = kind.scored(outputs, y)
    kept = kind.scored(kind.stored(outputs).float(), y)
    assert [a.shape for a in kept] == [a.shape for a in given]
    for name, measure in kind.measures().items():
        value, found = (measure(p, t, torch.ones(1, len(t)).double()).item() for p, t, _ in (given, kept))
        assert found == pytest.approx(value, abs=1e-3, rel=1e-3), name
        if name in ("accuracy", "balanced_accuracy", "macro_f1", "f1") or kind.name == "Regression":
            assert found == value, name


def test_shares_are_of_the_labels_that_are_there():
    assert Multiclass(["a", "b", "c"]).shares(torch.tensor([0, 0, 2, -100, 2])) == {
        "a": 0.5,
        "b": 0,
        "c": 0.5,
    }
    assert Binary(("no", "yes")).shares(torch.tensor([0, 1, NAN, 0, 0])) == {"no": 0.75, "yes": 0.25}
    assert Multilabel(2).shares(torch.tensor([[1, NAN], [0, NAN]])) == {0: 0.5, 1: 0}
    assert Tokens(2).shares(torch.tensor([[0, -100], [1, 1]])) == pytest.approx({0: 1 / 3, 1: 2 / 3})
    assert Multiclass(2).shares(torch.tensor([-100])) == {0: 0, 1: 0}
    assert Regression().shares(torch.zeros(3)) is None


@pytest.mark.parametrize(
    ("kind", "counts", "name", "reason"),
    [
        (
            Binary(("no", "yes")),
            [37, 3],
            "balanced_accuracy",
            "yes is 7.5 % of the rows, so classes count alike",
        ),
        (Binary(("no", "yes")), [4, 1], "accuracy", "the rarest class, yes, is 20 % of the rows"),
        (
            Multiclass(["a", "b"]),
            [1, 9],
            "balanced_accuracy",
            "a is 10 % of the rows, so classes count alike",
        ),
        (
            Multiclass(["a", "b", "c"]),
            [1, 9, 10],
            "balanced_accuracy",
            "a is 5 % of the rows, an even share is 33.3 %, so classes count alike",
        ),
        (Multiclass(["a", "b", "c"]), [1, 3, 4], "accuracy", "the rarest class, a, is 12.5 % of the rows"),
        (Multiclass(["a", "b", "c"]), [1, 0, 4], "accuracy", "the rarest class, a, is 20 % of the rows"),
        (Multiclass(2), [0, 3], "accuracy", "the rarest class, 1, is 100 % of the rows"),
        (Multiclass(2), [0, 0], "accuracy", "there is no label to tell the classes' shares by"),
    ],
)
def test_the_measure_that_suits_follows_from_the_rarest_class(kind, counts, name, reason):
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    y = torch.cat([y.float(), torch.tensor([NAN])]) if kind.name == "Binary" else y
    assert kind.suited(y) == (name, reason)


def test_every_kind_names_a_measure_of_its_own():
    assert Tokens(2).suited(torch.tensor([[0] * 9 + [1]]))[0] == "balanced_accuracy"
    assert Multilabel(2).suited(torch.zeros(2, 2))[0] == "auroc"
    assert Regression().suited(torch.zeros(2))[0] == "r2"
    for kind in KINDS:
        assert next(iter(kind.measures())) == kind.metric
        kind.measures().clear()
        assert kind.metric in kind.measures()


def test_measures_say_how_they_are_read():
    facts = {m.name: m for kind in KINDS for m in kind.measures().values()}
    lower = {name for name, m in facts.items() if not m.higher_is_better}
    assert (
        lower == {name for name, m in facts.items() if m.sign == -1} == {"log_loss", "brier", "rmse", "mae"}
    )
    assert {name for name, m in facts.items() if m.ratio} == {"log_loss", "rmse", "mae", "r2"}
    assert {name for name, m in facts.items() if Multiclass(2).measures().get(name, m).balanced} == {
        "balanced_accuracy",
        "macro_f1",
    }
    assert facts["spearman"].bounds == (-1, 1)
    assert Multiclass(2).measures()["brier"].bounds == (0, 2)
    assert Binary().measures()["brier"].bounds == (0, 1)


# Weights of classes.


@pytest.mark.parametrize("kind", [Multiclass(3), Binary()])
@pytest.mark.parametrize("complete", [False, True])
def test_balanced_weights_and_the_loss_by_them_are_those_of_scikit_learn(kind, complete):
    numbers = torch.tensor([0] * 7 + [1] * 2 + [2] * (kind.outputs > 1))
    expected = compute_class_weight("balanced", classes=numbers.unique().numpy(), y=numbers.numpy())
    y = numbers.float() if kind.outputs == 1 else numbers
    weights = kind.balanced(y)
    assert weights.tolist() == pytest.approx(expected.tolist())
    outputs = torch.randn(len(y), kind.outputs, generator=torch.Generator().manual_seed(0)).double()
    loss = kind.loss(outputs, y, complete=complete, weights=weights)
    counted = weights[numbers].numpy()
    assert loss.item() == pytest.approx(log_loss(numbers, kind.probabilities(outputs), sample_weight=counted))
    assert loss.dtype == torch.float64
    if not complete:
        more = torch.cat([y, torch.full((4,), missing(y), dtype=y.dtype)])
        holes = kind.loss(
            torch.cat([outputs, torch.ones(4, kind.outputs)]), more, weights=kind.balanced(more)
        )
        torch.testing.assert_close(holes, loss)


def test_a_class_without_rows_weighs_1_and_takes_no_share():
    assert Multiclass(3).balanced(torch.tensor([0, 0, 0, 2, -100])).tolist() == pytest.approx([2 / 3, 1, 2])
    assert Multiclass(2).balanced(torch.zeros(0, dtype=torch.long)).tolist() == [1, 1]
    assert Regression().balanced(torch.zeros(3)) is None
    assert Multilabel(2).balanced(torch.zeros(3, 2)) is None
