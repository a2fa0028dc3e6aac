"""Strategies that reuse nothing: each equals the plain lines of scikit-learn on the same rows."""

import copy
import dataclasses

import numpy
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from headstart.comparison import Problem, applicable
from headstart.engine import predict
from headstart.models import load, save
from headstart.strategies import NO_REUSE, STRATEGIES, Budget, Trial
from headstart.strategies.recipes import left_out, raw
from headstart.strategies.recipes.left_out import folded, likeliest, plain_penalty
from headstart.strategies.recipes.plain import LOGISTIC, NEIGHBOURS, Learner, Rows, represent
from headstart.tasks import Binary, Labelled, Multiclass, Multilabel, Regression, Task
from headstart.testing import check_strategy

TINY = Budget(steps=2, pretrain=2, options=2, repeats=1)


def posed(x, y, kind, train, **changes):
    """Pose a problem whose target has the first ``train`` of the rows, in a random order, for training."""
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    x, y = torch.as_tensor(x)[order], torch.as_tensor(y)[order]
    x = x.float() if x.is_floating_point() else x
    y = y.long() if isinstance(kind, Multiclass) else y.float()
    target = Task("new", kind, Labelled(x[:train], y[:train]), test=Labelled(x[train:], y[train:]))
    return Problem(target, **{"budget": TINY} | changes)


def digits(train=100, **changes):
    x, y = load_digits(return_X_y=True)
    noise = numpy.random.default_rng(0).normal(size=x.shape)  # no two distances are the same
    x = (x / 16 + 0.01 * noise).reshape(-1, 1, 8, 8)
    return posed(x[:400], y[:400], Multiclass(10), train, **changes)


def wine(**changes):
    return posed(*load_wine(return_X_y=True), Multiclass(3), 30, **changes)


def cancer(kind=None):
    x, y = load_breast_cancer(return_X_y=True)
    return posed(x, y, kind or Binary(), 60)


def diabetes(wide=False):
    x, y = load_diabetes(return_X_y=True)
    y = (y - y.mean()) / y.std()
    return posed(x, numpy.stack([y, x[:, 2]], 1) if wide else y, Regression(2 if wide else 1), 50)


TEXTS = ["a fine film", "fine fine music", "a dull dull book", "dull film", "the music is fine", "a dull day"]


def texts(kind=None):
    words = ["", *sorted({word for text in TEXTS for word in text.split()})]
    ids = [[words.index(word) for word in text.split()] for text in TEXTS]
    rows = torch.tensor([row + [0] * (5 - len(row)) for row in ids])
    y = torch.tensor([0, 0, 1, 1, 0, 1])
    kind = kind or Multiclass(2)
    train = Labelled(rows[:4], y[:4] if isinstance(kind, Multiclass) else y[:4].float())
    test = Labelled(rows[4:], y[4:] if isinstance(kind, Multiclass) else y[4:].float())
    return Problem(Task("new", kind, train, test=test), settings={"vocabulary": len(words)}, budget=TINY)


def outputs(name, problem, seed=0, **settings):
    strategy = STRATEGIES[name]
    net = strategy.run(Trial(problem, dict(strategy.options[0]) | settings, seed)).net
    return predict(net, "new", problem.target.test.x, progress=False).double()


def plain(problem, scale="columns"):
    """Return the training and test rows as scikit-learn's users have them."""
    train, test = problem.target.train, problem.target.test
    a, b = (rows.x.flatten(1).double().numpy() for rows in (train, test))
    if scale == "columns":
        scaler = StandardScaler().fit(a)
        a, b = scaler.transform(a), scaler.transform(b)
    elif scale == "one":
        mean = a.mean(0)
        spread = numpy.sqrt((a - mean).var(0).mean())
        a, b = (a - mean) / spread, (b - mean) / spread
    return a, train.y.numpy(), b


def close(found, expected, tolerance=1e-4):
    torch.testing.assert_close(found, torch.as_tensor(expected).double(), atol=tolerance, rtol=tolerance)


PROBLEMS = [(wine, "columns"), (lambda: digits(shift=0), "one"), (lambda: cancer(Multiclass(2)), "columns")]


@pytest.mark.parametrize(("problem", "scale"), PROBLEMS)
def test_logistic_regression_is_that_of_scikit_learn(problem, scale):
    a, y, b = plain(problem(), scale)
    posed = problem()
    found = plain_penalty(Trial(posed, {"C": 0.1}, 0), Rows(None, a, y, None))
    assert found in (0.01, 0.1, 1.0)
    model = LogisticRegression(C=found, max_iter=300).fit(a, y)
    close(outputs("raw+logreg", posed, C=0.1).softmax(1), model.predict_proba(b))


def by_left_out_rows(x, y, stated):
    """The rule by hand, on the rows themselves: what is stated, unless a tenth or ten times are likelier."""
    folds, likely = folded(y), {}
    for C in (stated, stated / 10, stated * 10):
        said = torch.zeros(len(x), 2).double()
        for fold in folds.unique():
            out = folds == fold
            model = LogisticRegression(C=C, max_iter=1000, tol=1e-8).fit(x[~out], y[~out])
            said[out] = torch.from_numpy(model.predict_log_proba(x[out]))
        likely[C] = likeliest(said, y)
    best = max(likely.values(), key=lambda rows: float(rows.mean()))
    behind = ((C, best - rows) for C, rows in likely.items())
    return next(C for C, rows in behind if rows.mean() <= rows.std() / len(rows) ** 0.5)


def test_rows_left_out_choose_its_penalty(monkeypatch):
    monkeypatch.setattr(left_out, "_some", lambda trial, y: torch.arange(len(y)))
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(120, 30, generator=g), torch.arange(120) % 2
    clear = x.clone()
    clear[:, :3] += 3.0 * y[:, None]
    chosen = {}
    for name, rows, C in (
        ("noise", x, 1.0),
        ("clear", clear, 1e-3),
        ("clear", clear, 1e-4),
        ("clear", clear, 3.0),
    ):
        task = Task("new", Multiclass(2), Labelled(rows, y), test=Labelled(rows, y))
        trial, dense = Trial(Problem(task), {"C": C}, 0), Rows(None, rows.double().numpy(), y.numpy(), None)
        chosen[name, C] = plain_penalty(trial, dense)
        assert chosen[name, C] == pytest.approx(by_left_out_rows(rows.double(), y, C))
        assert plain_penalty(trial, dataclasses.replace(dense, z=csr_matrix(dense.z))) == chosen[name, C]
    assert any(found != C for (_, C), found in chosen.items())


def test_rows_of_one_group_or_single_rows_leave_its_penalty():
    x, y = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    for rows in (Labelled(x, y, group=torch.zeros(8).long()), Labelled(x[:2], y[:2])):
        trial = Trial(Problem(Task("new", Multiclass(2), rows, test=Labelled(x, y))), {"C": 3.0}, 0)
        plain = represent(trial, LOGISTIC, (rows, 1))
        assert plain.group is rows.group or torch.equal(plain.group, rows.group)
        assert plain_penalty(trial, plain) == 3.0


@pytest.mark.parametrize(("problem", "scale"), PROBLEMS)
@pytest.mark.parametrize("k", [1, 5])
def test_nearest_rows_are_those_of_scikit_learn(problem, scale, k):
    a, y, b = plain(problem(), scale)
    model = KNeighborsClassifier(k, weights="distance").fit(a, y)
    p = outputs("raw+knn", problem(), k=k).exp()
    close((p * (k + 1) - 1 / p.shape[1]) / k, model.predict_proba(b))


@pytest.mark.parametrize(("problem", "scale"), PROBLEMS)
def test_support_vectors_are_those_of_scikit_learn(problem, scale):
    a, y, b = plain(problem(), scale)
    scores = SVC(C=10, tol=1e-6).fit(a, y).decision_function(b)
    found = outputs("raw+svm", problem(), C=10)
    found = found.numpy() if scores.ndim == 2 else (found[:, 1] - found[:, 0]).numpy()
    assert numpy.mean(abs(found - scores) < 2e-3) > 0.998  # it stops at 1e-3, which may turn one vote


@pytest.mark.parametrize("problem", [wine, digits, cancer, lambda: cancer(Multiclass(2))])
def test_boosted_trees_are_those_of_scikit_learn(problem):
    a, y, b = plain(problem(), "none")
    model = HistGradientBoostingClassifier(
        max_leaf_nodes=8, min_samples_leaf=len(a) // 10, early_stopping=False
    ).fit(a, y)
    found = problem().target.kind.probabilities(outputs("raw+boosting", problem()))
    close(found, model.predict_proba(b), 1e-5)


@pytest.mark.parametrize("name", ["raw+logreg", "raw+knn", "raw+svm"])
def test_yes_or_no_has_one_logit_that_says_what_two_classes_say(name):
    two = outputs(name, cancer(Multiclass(2)))
    close(outputs(name, cancer())[:, 0], two[:, 1] - two[:, 0])


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("raw+ridge", Ridge()),
        ("raw+knn", KNeighborsRegressor(5, weights="distance")),
        ("raw+svm", SVR()),
        (
            "raw+boosting",
            HistGradientBoostingRegressor(max_leaf_nodes=8, min_samples_leaf=5, early_stopping=False),
        ),
    ],
)
def test_numbers_are_those_of_scikit_learn(name, model, wide):
    problem = diabetes(wide)
    a, y, b = plain(problem, "none" if name == "raw+boosting" else "columns")
    one = [model.fit(a, column).predict(b) for column in y.reshape(len(y), -1).astype(float).T]
    close(outputs(name, problem), numpy.stack(one, 1), 1e-5)


def test_words_are_weighed_as_by_scikit_learn(monkeypatch):
    vectorizer = TfidfVectorizer(token_pattern=r"\w+")
    a = vectorizer.fit_transform(TEXTS[:4])
    model = LogisticRegression(max_iter=300).fit(a, [0, 0, 1, 1])
    expected = model.decision_function(vectorizer.transform(TEXTS[4:]))
    with monkeypatch.context() as stated:
        stated.setattr(raw, "plain_penalty", lambda trial, rows: trial.settings["C"])
        found = outputs("tfidf+logreg", texts(), C=1.0)
        close(found[:, 1] - found[:, 0], expected, 1e-5)
        close(outputs("tfidf+logreg", texts(Binary()), C=1.0)[:, 0], expected, 1e-5)


def test_the_constant_is_the_share_of_each_class():
    problem = wine()
    a, y, b = plain(problem)
    close(
        outputs("constant", problem).softmax(1), DummyClassifier(strategy="prior").fit(a, y).predict_proba(b)
    )
    yes = cancer()
    share = yes.target.train.y.mean()
    close(outputs("constant", yes).sigmoid()[0, 0], share.double())


def test_the_constant_is_the_mean_of_the_numbers_and_leaves_out_what_is_missing():
    problem = diabetes(wide=True)
    y = problem.target.train.y
    y[3, 0] = float("nan")
    close(outputs("constant", problem)[5], y.nanmean(0))


def test_the_constant_says_how_often_each_label_occurs():
    y = torch.tensor([[1.0, 0.0], [1.0, float("nan")], [0.0, 0.0], [1.0, 1.0]])
    rows = Labelled(torch.zeros(4, 2), y)
    problem = Problem(Task("new", Multilabel(2), rows, test=rows), budget=TINY)
    assert list(applicable(problem).strategies) == ["constant", "scratch"]
    close(outputs("constant", problem).sigmoid()[0], [3 / 4, 1 / 3])


@pytest.mark.parametrize(
    ("problem", "names"),
    [
        (digits, ["raw+logreg", "raw+knn", "raw+svm", "raw+boosting", "untrained+logreg"]),
        (cancer, ["raw+logreg", "raw+knn", "raw+svm", "raw+boosting", "untrained+logreg"]),
        (diabetes, ["raw+knn", "raw+svm", "raw+boosting", "raw+ridge"]),
        (texts, ["tfidf+logreg", "untrained+logreg"]),
    ],
)
def test_what_applies_without_reuse_keeps_the_contract_and_is_saved(problem, names, tmp_path):
    asked = applicable(problem())
    assert list(asked.strategies) == ["constant", *names, "scratch"]
    assert set(NO_REUSE) == set(asked.strategies) | {n for n in asked.skipped if n in NO_REUSE}
    for name in ["constant", *names]:
        case = digits(30) if problem is digits else problem()
        check_strategy(STRATEGIES[name], case)
        net = STRATEGIES[name].run(Trial(case, STRATEGIES[name].options[-1], 0)).net
        expected = predict(net, "new", case.target.test.x, progress=False)
        save(net, tmp_path / name, kinds={"new": case.target.kind})
        assert torch.equal(
            predict(load(tmp_path / name).net, "new", case.target.test.x, progress=False), expected
        )
        assert torch.equal(predict(copy.deepcopy(net), "new", case.target.test.x, progress=False), expected)


def test_what_reuses_nothing_says_so():
    assert all(STRATEGIES[name].reused == "nothing" for name in NO_REUSE)
    assert list(STRATEGIES)[: len(NO_REUSE)] == list(NO_REUSE)


def test_a_class_without_rows_is_never_the_answer():
    problem = wine()
    kind = Multiclass(5)
    parts = {part: getattr(problem.target, part) for part in ("train", "test")}
    wider = dataclasses.replace(problem, target=Task("new", kind, **parts))
    for name in ("raw+logreg", "raw+knn", "raw+svm", "raw+boosting", "constant"):
        found = outputs(name, wider)
        assert found.shape[1] == 5
        assert (found.argmax(1) < 3).all()
        close(found[:, :3].argmax(1).double(), outputs(name, problem).argmax(1).double())


@pytest.mark.parametrize("name", ["raw+logreg", "raw+knn", "raw+svm", "raw+boosting"])
def test_rows_of_one_class_alone_are_no_harm(name):
    for problem in (wine(), cancer()):
        one = problem.target.train.take((problem.target.train.y == 1).nonzero().flatten())
        lone = dataclasses.replace(problem, target=dataclasses.replace(problem.target, train=one))
        assert set(problem.target.kind.decode(outputs(name, lone))) == {1}


# How rows become numbers.


def made(problem, learner, **settings):
    return represent(Trial(problem, settings, 0), learner, (problem.target.train, 1))


def test_images_have_moved_copies_beside_them():
    problem = digits(30)
    assert problem.shift == 1
    rows = made(problem, NEIGHBOURS)
    assert rows.z.shape == (30 * 9, 64)
    assert (rows.y == problem.target.train.y.repeat(9).numpy()).all()
    original = (rows.z * rows.backbone.spread.numpy() + rows.backbone.mean.numpy()).reshape(9, 30, 8, 8)
    numpy.testing.assert_allclose(original[0], problem.target.train.x[:, 0], atol=1e-6)
    moves = {
        (down, right)
        for copied in original[1:]
        for image, moved in zip(original[0], copied, strict=True)
        for down in (-1, 0, 1) for right in (-1, 0, 1)
        if numpy.allclose(numpy.roll(image, (down, right), (0, 1))[1:-1, 1:-1], moved[1:-1, 1:-1], atol=1e-6)
    }  # fmt: skip
    assert len(moves) == 9
    assert len(made(problem, LOGISTIC).z) == 30


def test_no_more_rows_are_taken_than_a_learner_goes_through():
    few = Learner(LOGISTIC.fit, lambda columns, classes: 20)
    rows = made(digits(), few)
    assert rows.z.shape == (20, 64)
    assert set(rows.y) == set(range(10))
    again = made(digits(), few)
    assert (rows.z == again.z).all()


def test_a_few_rows_do_not_tell_the_spread_of_each_column():
    problem = wine()
    few = dataclasses.replace(
        problem, target=dataclasses.replace(problem.target, train=problem.target.train.take(torch.arange(5)))
    )
    assert len(made(problem, LOGISTIC).backbone.spread.unique()) > 1
    assert len(made(few, LOGISTIC).backbone.spread.unique()) == 1


def test_a_column_that_never_changes_is_left_as_it_is():
    problem = wine()
    problem.target.train.x[:, 4] = 1000.1
    rows = made(problem, LOGISTIC)
    assert rows.backbone.spread[4] == 1
    assert numpy.abs(rows.z[:, 4]).max() < 1e-3


def test_random_weights_are_the_same_in_every_trial():
    problem = digits(40)
    nets = [STRATEGIES["untrained+logreg"].run(Trial(problem, {"C": 1.0}, seed)).net for seed in (0, 1)]
    states = [net.backbone.state_dict() for net in nets]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not any(p.requires_grad for p in nets[0].backbone.parameters())


def test_counts_of_rare_things_share_their_spread():
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(60, 40, generator=generator) < torch.linspace(0.01, 0.1, 40)).float()
    rows = Labelled(x, torch.arange(60) % 2)
    problem = Problem(Task("new", Multiclass(2), rows, test=rows), budget=TINY)
    assert len(made(problem, LOGISTIC).backbone.spread.unique()) == 1


def test_words_are_counted_alike_in_both_places():
    problem = texts()
    rows = made(problem, LOGISTIC)
    found = rows.backbone(problem.target.train.x).double().numpy()
    numpy.testing.assert_allclose(rows.z.toarray(), found, atol=1e-6)


def test_many_classes_are_not_paired_and_many_columns_not_boosted():
    y = torch.arange(402) % 201
    rows = Labelled(torch.randn(402, 10, generator=torch.Generator().manual_seed(0)), y)
    skipped = applicable(Problem(Task("new", Multiclass(201), rows, test=rows), budget=TINY)).skipped
    assert skipped["raw+svm"] == "there are 201 classes, more than 200 to be paired"
    assert skipped["raw+boosting"].startswith("columns times classes are 2010, more than 1024")
