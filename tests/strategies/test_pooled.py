"""Source rows taken as rows of the target: alone, or in one pool with the target's own."""

import dataclasses
import json
import math

import numpy
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import SVC

from headstart.comparison import Problem, applicable, choice
from headstart.engine import Run, predict
from headstart.strategies import STRATEGIES, Budget, Starts, Trial
from headstart.strategies.recipes.align import joined
from headstart.strategies.recipes.plain import LOGISTIC, Learner, represent
from headstart.strategies.recipes.pooled import Halves
from headstart.tasks import Inputs, Labelled, Multiclass, Regression, Task
from headstart.testing import check_strategy

TINY = Budget(steps=4, pretrain=6, options=2, repeats=1)
SHARED = ["source+logreg", "source+svm", "source-only", "pooled+logreg", "pooled+svm", "pooled"]
NUMBERS = ["source+svm", "source+ridge", "source-only", "pooled+svm", "pooled+ridge", "pooled"]


def drawn(rows, seed, *, move=0.0, kind=None):
    """Draw rows of four numbers; three classes by a rule, or one number."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=generator) + move
    rule = torch.randn(4, 3, generator=torch.Generator().manual_seed(9))
    scores = x @ rule
    return Labelled(x, scores[:, :1] if isinstance(kind, Regression) else scores.argmax(1))


def posed(kind=None, shots=8, labels=True, bare=False, budget=TINY):
    """Pose a target of few rows and two sources with its kind of answer, and one of another kind."""
    kind = kind or Multiclass(["a", "b", "c"])
    train, test = drawn(3 * shots, 1, kind=kind), drawn(60, 2, kind=kind)
    train = train if labels else train.take(torch.arange(0))
    unlabelled = Inputs(drawn(40, 5).x) if bare else None
    sources = [Task(f"old{n}", kind, drawn(50 + n, 3 + n, move=0.5, kind=kind)) for n in (0, 1)]
    other = Task("other", Multiclass(5), Labelled(torch.randn(20, 4), torch.arange(20) % 5))
    target = Task("new", kind, train, test=test, unlabelled=unlabelled)
    return Problem(target, [*sources, other], settings={"hidden": [6]}, budget=budget)


def run(name, problem, seed=0, **settings):
    strategy = STRATEGIES[name]
    net = strategy.run(Trial(problem, dict(strategy.options[0]) | settings, seed)).net
    return predict(net, "new", problem.target.test.x, progress=False).double()


def both(problem, weight):
    """Return rows of target and sources, standardised, their answers and their weights."""
    target, sources = problem.target.train, joined(problem.target, problem.shared()).train
    x = torch.cat([target.x, sources.x]).double().numpy()
    mean, spread = x.mean(0), x.std(0)
    each = weight * len(sources) / len(target)
    weights = numpy.repeat([each, 1.0], [len(target), len(sources)])
    y = torch.cat([target.y, sources.y]).numpy()
    new = (problem.target.test.x.double().numpy() - mean) / spread
    return (x - mean) / spread, y, weights / weights.mean(), new


@pytest.mark.parametrize("kind", [Multiclass(3), Regression(1)])
@pytest.mark.parametrize("labels", [True, False])
def test_what_shares_the_targets_answers_applies_with_labels_and_without(kind, labels):
    names = SHARED if kind.exclusive else NUMBERS
    found = applicable(posed(kind, labels=labels), list(STRATEGIES)).strategies
    expected = [n for n in names if labels or STRATEGIES[n].learns == "source"]
    assert [n for n in found if n.startswith(("source", "pooled"))] == expected
    for name in expected:
        check_strategy(STRATEGIES[name], posed(kind, labels=labels))


def test_without_a_source_of_the_targets_kind_nothing_applies():
    for kind, reason in ((Multiclass(3), "classes"), (Regression(1), "kind of numbers")):
        lone = dataclasses.replace(posed(kind), sources=posed(Multiclass(4)).sources)
        skipped = applicable(lone).skipped
        assert {n for n in (*SHARED, *NUMBERS) if n not in skipped} == set()
        assert skipped["source-only"] == skipped["pooled"]
        assert skipped["pooled"].startswith(f"no source has the target's {reason}")
    wide = dataclasses.replace(posed(Regression(1)), sources=[Task("two", Regression(2), two_numbers())])
    assert applicable(wide).skipped["pooled+ridge"] == "no source has the target's kind of numbers"


def two_numbers():
    rows = drawn(20, 3, kind=Regression(1))
    return Labelled(rows.x, torch.cat([rows.y, rows.y], 1))


def test_numbers_are_adapted_by_what_needs_no_classes():
    problem = posed(Regression(1), bare=True)
    assert {"dann", "mmd"} <= set(applicable(problem).strategies)
    assert applicable(problem, ["cdan"]).skipped["cdan"] == "the target is no classification"


@pytest.mark.parametrize("weight", [1.0, 0.1])
def test_a_pool_weighs_each_side_as_a_whole(weight):
    problem = posed()
    a, y, weights, b = both(problem, weight)
    model = LogisticRegression(max_iter=300).fit(a, y, sample_weight=weights)
    found = run("pooled+logreg", problem, weight=weight).softmax(1)
    torch.testing.assert_close(found, torch.from_numpy(model.predict_proba(b)), atol=1e-4, rtol=1e-4)
    machine = SVC(tol=1e-6).fit(a, y, sample_weight=weights).decision_function(b)
    found = run("pooled+svm", problem, weight=weight).numpy()
    assert numpy.mean(abs(found - machine) < 2e-3) > 0.99


def test_a_pool_of_numbers_weighs_each_side_as_a_whole():
    problem = posed(Regression(1))
    a, y, weights, b = both(problem, 10.0)
    expected = Ridge().fit(a, y[:, 0], sample_weight=weights).predict(b)
    found = run("pooled+ridge", problem, weight=10.0)[:, 0]
    torch.testing.assert_close(found, torch.from_numpy(expected), atol=1e-4, rtol=1e-4)


def test_the_source_alone_is_scikit_learns_model_of_its_rows():
    problem = posed(labels=False)
    rows = joined(problem.target, problem.shared()).train
    x, new = rows.x.double().numpy(), problem.target.test.x.double().numpy()
    mean, spread = x.mean(0), x.std(0)
    model = LogisticRegression(C=10, max_iter=300).fit((x - mean) / spread, rows.y.numpy())
    found = run("source+logreg", problem, C=10.0).softmax(1)
    expected = torch.from_numpy(model.predict_proba((new - mean) / spread))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_pool_of_texts_counts_words():
    rows = [Labelled(torch.tensor([[1, 2, 0], [3, 4, 4]]), torch.tensor([0, 1])) for _ in range(3)]
    target = Task("new", Multiclass(2), rows[0], test=rows[1])
    problem = Problem(target, [Task("old", Multiclass(2), rows[2])], settings={"vocabulary": 5}, budget=TINY)
    names = list(applicable(problem).strategies)
    assert {"tfidf+logreg", "source+logreg", "source-only", "pooled+logreg", "pooled"} <= set(names)
    assert not {"source+svm", "pooled+svm"} & set(names)
    for name in ("source+logreg", "pooled+logreg"):
        assert run(name, problem).argmax(1).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["source+logreg", "source+svm", "source-only"])
def test_the_targets_labels_are_not_read(name):
    problem = posed()
    flipped = Labelled(problem.target.train.x, problem.target.train.y.flip(0))
    other = dataclasses.replace(problem, target=dataclasses.replace(problem.target, train=flipped))
    assert torch.equal(run(name, problem), run(name, other))


@pytest.mark.parametrize("name", ["pooled", "pooled+logreg", "pooled+svm"])
@pytest.mark.parametrize("side", ["target", "source"])
def test_labels_of_both_sides_are_read(name, side):
    problem = posed(budget=dataclasses.replace(TINY, steps=30, pretrain=30))
    if side == "target":
        rows = problem.target.train
        changed = {"target": dataclasses.replace(problem.target, train=Labelled(rows.x, (rows.y + 1) % 3))}
    else:
        old = problem.sources[0]
        train = Labelled(old.train.x, (old.train.y + 1) % 3)
        changed = {"sources": [dataclasses.replace(old, train=train), *problem.sources[1:]]}
    assert not torch.allclose(run(name, problem), run(name, dataclasses.replace(problem, **changed)))


def test_sides_of_a_pool_are_cut_evenly_and_keep_their_weight():
    problem = posed()
    sides = (problem.target.train, 2.0), (joined(problem.target, problem.shared()).train, 1)
    for most in (200, 60, 20):
        few = Learner(LOGISTIC.fit, lambda columns, classes, most=most: most)
        rows = represent(Trial(problem, {}, 0), few, *sides)
        assert len(rows.z) == min(most, 24 + 101)
        own = min(24, max(most // 2, most - 101))
        assert rows.weights.mean() == pytest.approx(1)
        assert rows.weights[:own].sum() / rows.weights[own:].sum() == pytest.approx(2)


def test_halves_resume():
    problem = posed()
    task = joined(problem.target, problem.shared())
    one, other = (Halves(problem.target, task, 8, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    batch = next(one)["new"]
    assert len(batch) == 8
    own = {tuple(row) for row in problem.target.train.x.tolist()}
    assert [tuple(row) in own for row in batch.x.tolist()] == [True] * 4 + [False] * 4
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert all(torch.equal(next(one)["new"].x, next(other)["new"].x) for _ in range(3))


def test_a_run_of_a_pool_is_continued_where_it_is(tmp_path):
    problem, found = posed(), []
    for _ in range(2):
        with Run.create(tmp_path / "run", {"strategy": "pooled"}, every_steps=2) as kept:
            trial = Trial(problem, dict(STRATEGIES["pooled"].options[0]), 0, run=kept)
            net = STRATEGIES["pooled"].run(trial).net
            found.append(predict(net, "new", problem.target.test.x, progress=False).double())
    found.append(run("pooled", problem))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_numbers_of_one_axis_and_of_two_are_joined():
    problem = posed(Regression(1))
    flat = [
        dataclasses.replace(s, train=Labelled(s.train.x, s.train.y[:, 0])) if s.name == "old1" else s
        for s in problem.sources
    ]
    rows = problem.target.train
    target = dataclasses.replace(problem.target, train=Labelled(rows.x, rows.y[:, 0]))
    for mixed in ({"sources": flat}, {"target": target}):
        for name in ("source-only", "source+ridge", "pooled", "pooled+ridge", "pooled+svm"):
            assert torch.equal(run(name, problem), run(name, dataclasses.replace(problem, **mixed)))


# How settings are chosen.


@pytest.mark.parametrize("kind", [Multiclass(3), Regression(1)])
@pytest.mark.parametrize("name", ["source+svm", "source-only"])
def test_settings_of_a_source_are_chosen_on_its_own_rows(kind, name):
    problem = posed(kind)
    how = problem.choice(STRATEGIES[name], None)
    assert (how.how, how.when) == (choice.SOURCE, "before")
    value, guard = problem.judge(STRATEGIES[name], 1, None, 0, Starts())
    assert math.isfinite(value)
    assert guard == 0


def test_a_pool_has_its_defaults_where_held_out_classes_stand_in_for_the_target():
    problem = posed(shots=2)
    classes = Task("wide", Multiclass(9), Labelled(torch.randn(180, 4), torch.arange(180) % 9))
    problem = dataclasses.replace(problem, sources=[*problem.sources, classes], shots=[2])
    assert problem.choice(STRATEGIES["finetune"], 2).how == choice.PSEUDO
    assert problem.choice(STRATEGIES["raw+svm"], 2).how == choice.PSEUDO
    assert problem.choice(STRATEGIES["pooled"], 2).how == choice.DEFAULTS
