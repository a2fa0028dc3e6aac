"""Strategies that adapt to unlabelled rows: what makes each of them that one."""

import dataclasses
from functools import partial
from importlib.util import find_spec

import numpy
import pytest
import scipy.linalg
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC
from torch import nn

from headstart.comparison import Problem, applicable
from headstart.datasets import unlabel
from headstart.engine import predict
from headstart.inference import load
from headstart.models import Net, save
from headstart.models.heads import Average
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial
from headstart.strategies.posing import posed as standing
from headstart.strategies.reading import beyond_of, reads
from headstart.strategies.recipes.align import joined
from headstart.strategies.recipes.shallow import both
from headstart.strategies.recipes.ways import components, coral, spread, subspace, transport
from headstart.tasks import Binary, Inputs, Labelled, Multiclass, Regression, Task
from headstart.testing import check_strategy

DEEP = (
    "coral", "cmd", "jan", "cdan", "mcc", "afn", "mdd", "mcd", "pada", "self-training", "adda", "shot",
)  # fmt: skip
SHALLOW = (
    "coral+logreg", "coral+svm", "coral+knn", "sa+logreg", "sa+svm", "sa+knn", "tca+logreg", "tca+knn",
    "source+knn", "iw+logreg", "kliep+logreg", "bbse", "msda+logreg",
)  # fmt: skip
OF_LAYERS = ("msda+mmd", "msda+dann", "adapted+mean")  # these need an mlp that learns from the start
WITH_POT = ("deepjdot", "ot+logreg")
POT = pytest.mark.skipif(find_spec("ot") is None, reason="POT is not installed")
ALL = [*DEEP, "adabn", *SHALLOW, *(pytest.param(name, marks=POT) for name in WITH_POT)]


def drawn(rows, seed, *, move=0.0, kind=None, share=0.5, width=4):
    """Draw two clusters on the first column, moved along the others; of another share where it is said."""
    g = torch.Generator().manual_seed(seed)
    y = (torch.rand(rows, generator=g) < share).long()
    x = torch.randn(rows, width, generator=g)
    x[:, 0] += 3 * y - 1.5
    return Labelled(x * (1 + move) + move, y.float() if isinstance(kind, Binary) else y)


def posed(kind=None, *, backbone="auto", move=0.5, share=0.5, rows=60, **given):
    kind = kind or Multiclass(["a", "b"])
    target = unlabel(
        Task(
            "new",
            kind,
            drawn(rows, 1, move=move, kind=kind, share=share),
            test=drawn(rows, 2, move=move, kind=kind, share=share),
        )
    )
    settings = {"hidden": [6]} if backbone == "auto" else {}
    source = Task("old", kind, drawn(rows + 20, 3, kind=kind))
    return Problem(
        target, [source], backbone=backbone, settings=settings, budget=Budget(pretrain=6, options=3), **given
    )


def normalised():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU())


def trial(name, problem, **settings):
    return Trial(problem, {**FURTHER[name].options[0], **settings}, 0, Starts())


def answers(name, problem, **settings):
    net = FURTHER[name].learn(trial(name, problem, **settings)).net
    return predict(net, "new", problem.target.test.x, progress=False).double()


@pytest.mark.usefixtures("soon_settled")
@pytest.mark.parametrize("kind", [Multiclass(["a", "b"]), Binary()])
@pytest.mark.parametrize("name", ALL)
def test_every_one_keeps_the_contract(name, kind):
    check_strategy(FURTHER[name], posed(kind, backbone=normalised()))


@pytest.mark.parametrize("name", [*SHALLOW, *OF_LAYERS])
def test_shallow_ones_take_rows_as_they_are_without_a_pretrained_backbone(name):
    check_strategy(FURTHER[name], posed())


@pytest.mark.parametrize(
    "name",
    ["coral+logreg", "sa+svm", "sa+knn", "tca+logreg", "bbse", "msda+logreg", "msda+mmd", "adapted+mean"],
)
def test_a_saved_one_gives_the_same_answers(name, tmp_path):
    problem = posed()
    net = FURTHER[name].learn(trial(name, problem)).net
    expected = predict(net, "new", problem.target.test.x, progress=False)
    save(net, tmp_path / "model", kinds={"new": problem.target.kind})
    found = load(tmp_path / "model").predict(problem.target.test.x)
    assert found == problem.target.kind.decode(expected)


# Each by its definition, in float64.


def sides(problem, name="coral+logreg", **settings):
    asked = trial(name, problem, **settings)
    return asked, both(asked, 4000, apart=True)


def test_each_domain_is_standardised_by_its_own_rows():
    _, made = sides(posed())
    for side in (made.source, made.target):
        numpy.testing.assert_allclose(side.mean(0), 0, atol=1e-6)
        numpy.testing.assert_allclose(side.std(0), 1, rtol=1e-5)


@pytest.mark.parametrize("width", [4, 90])
def test_coral_whitens_and_colours(width):
    problem = posed()
    target, source = (drawn(60, seed, width=width, move=move) for seed, move in ((1, 0.5), (3, 0.0)))
    task = Task(
        "new", problem.target.kind, target.take(torch.arange(0)), test=target, unlabelled=target.inputs()
    )
    wide = dataclasses.replace(
        problem, target=task, sources=[dataclasses.replace(problem.sources[0], train=source)]
    )
    asked, made = sides(wide)
    one, other = (numpy.cov(side.T) + numpy.eye(width) for side in (made.source, made.target))
    expected = made.source @ scipy.linalg.inv(scipy.linalg.sqrtm(one)).real @ scipy.linalg.sqrtm(other).real
    numpy.testing.assert_allclose(coral(asked, made).source, expected, atol=1e-8)


def test_coral_logreg_is_these_rows_and_a_logistic_regression():
    problem = posed()
    asked, made = sides(problem)
    model = LogisticRegression(C=0.1, max_iter=300).fit(coral(asked, made).source, made.y)
    bare, test = problem.target.unlabelled.x.double(), problem.target.test.x.double()
    new = (test - bare.mean(0)) / bare.std(0, correction=0)
    expected = torch.from_numpy(model.decision_function(new.numpy()))
    found = answers("coral+logreg", problem, C=0.1)
    torch.testing.assert_close(found[:, 1] - found[:, 0], expected, atol=1e-4, rtol=1e-4)


def test_features_of_a_pretrained_backbone_are_taken_where_there_is_one():
    problem = posed(backbone=normalised())
    asked, made = sides(problem, "coral+svm")
    with torch.no_grad():
        net = normalised().eval()
        bare, test = (net(x).double() for x in (problem.target.unlabelled.x, problem.target.test.x))
    scale = (bare - bare.mean(0)).square().sum(1).mean().sqrt()
    model = LinearSVC(C=0.1, random_state=0, max_iter=2000).fit(coral(asked, made).source, made.y)
    expected = torch.from_numpy(model.decision_function(((test - bare.mean(0)) / scale).numpy()))
    found = answers("coral+svm", problem, C=0.1)
    torch.testing.assert_close(found[:, 1] - found[:, 0], expected, atol=1e-4, rtol=1e-3)


def test_subspace_alignment_is_that_of_main_directions():
    asked, made = sides(posed(), "sa+logreg", dims=2)
    one, other = (
        numpy.linalg.svd(s - s.mean(0), full_matrices=False)[2][:2].T for s in (made.source, made.target)
    )
    found = subspace(asked, made)
    expected = made.source @ one @ one.T @ other
    assert found.map.weight.shape == (2, 4)
    moved = made.target @ found.map.weight.double().numpy().T
    numpy.testing.assert_allclose(moved @ moved.T, made.target @ other @ other.T @ made.target.T, atol=1e-5)
    numpy.testing.assert_allclose(found.source @ found.source.T, expected @ expected.T, atol=1e-8)


@pytest.mark.parametrize("shape", [(30, 5), (5, 30)])
def test_directions_are_those_of_the_covariance(shape):
    z = numpy.random.default_rng(0).normal(size=shape)
    values, vectors = spread(z)
    numpy.testing.assert_allclose(vectors * values @ vectors.T, numpy.cov(z.T), atol=1e-10)
    assert (numpy.diff(values) <= 0).all()


def test_transfer_components_solve_their_problem():
    asked, made = sides(posed(rows=25), "tca+logreg", dims=3)
    rows = numpy.concatenate([made.source, made.target])
    kernel = numpy.exp(-numpy.square(rows[:, None] - rows[None]).sum(2) / rows.shape[1])
    count, one = len(rows), len(made.source)
    sign = numpy.where(numpy.arange(count) < one, 1 / one, -1 / (count - one))
    within = kernel @ numpy.outer(sign, sign) @ kernel + numpy.eye(count)
    around = kernel @ (numpy.eye(count) - 1 / count) @ kernel
    highest = numpy.linalg.eigvals(numpy.linalg.solve(within, around)).real
    found = components(asked, made)
    w = found.map.coefficients.double().numpy().T
    ratios = numpy.diag(w.T @ around @ w) / numpy.diag(w.T @ within @ w)
    numpy.testing.assert_allclose(numpy.sort(ratios), numpy.sort(highest)[-3:], rtol=1e-4)
    moved = found.map(torch.from_numpy(made.source).float()).double().numpy()
    numpy.testing.assert_allclose(moved, found.source, atol=1e-4)


@POT
def test_transport_is_that_of_pot():
    import ot

    asked, made = sides(posed(), "ot+logreg")
    cost = ot.dist(made.source, made.target)
    reference = ot.da.SinkhornTransport(reg_e=0.1, norm="median", max_iter=500)
    expected = reference.fit_transform(Xs=made.source, Xt=made.target)
    assert cost.shape == (80, 60)
    numpy.testing.assert_allclose(transport(asked, made).source, expected, atol=1e-5)


def test_importance_weights_are_those_of_the_density_ratio():
    problem = posed(move=0.3)
    asked = trial("iw+logreg", problem)
    made = both(asked, 4000, apart=False)
    assert abs(made.source.mean(0)).max() < 1e-6
    assert abs(made.target.mean(0)).max() > 0.1  # standardised by the source's rows


def test_bbse_corrects_for_other_shares_and_leaves_equal_ones():
    def accuracy(name, share):
        problem = posed(move=0.0, share=share, rows=600)
        y = problem.target.test.y
        if name == "source":
            rows = joined(problem.target, problem.shared()).train
            told = (
                LogisticRegression()
                .fit(rows.x.numpy(), rows.y.numpy())
                .predict(problem.target.test.x.numpy())
            )
            return float((torch.from_numpy(told) == y).double().mean())
        return float((answers(name, problem).argmax(1) == y).double().mean())

    assert accuracy("bbse", 0.05) > accuracy("source", 0.05) + 0.01
    assert abs(accuracy("bbse", 0.5) - accuracy("source", 0.5)) < 0.01
    assert accuracy("coral+logreg", 0.05) < accuracy("source", 0.05)  # alignment does harm here


def test_bbse_says_of_the_source_what_it_was_taught_there():
    problem = posed(move=0.0, share=0.05, rows=600)
    strategy = FURTHER["bbse"]
    learned = strategy.learn(Trial(problem, dict(strategy.options[0]), 0))
    rows = joined(problem.target, problem.shared()).train.take(torch.arange(50))
    said, y = learned.of_source(rows)
    assert torch.equal(y, rows.y)
    after = predict(learned.net, problem.target.name, rows.x, progress=False)
    moved = after - said
    torch.testing.assert_close(moved, moved[:1].expand_as(moved), atol=1e-5, rtol=0)  # one bias for all rows
    assert float(moved.abs().max()) > 0.1


def test_adabn_takes_the_targets_statistics_and_the_sources_weights():
    problem = posed(backbone=normalised())
    plain = {
        n: v for n, v in STATE("source-only", problem).items() if "running" not in n and "batches" not in n
    }
    found = STATE("adabn", problem)
    assert all(torch.equal(value, found[name]) for name, value in plain.items())
    first = problem.target.unlabelled.x @ found["backbone.0.weight"].T + found["backbone.0.bias"]
    torch.testing.assert_close(found["backbone.1.running_mean"], first.mean(0), atol=0.1, rtol=0.1)


@pytest.mark.parametrize("name", ["cmd", "shot", "multi-dann"])
def test_the_net_of_an_alignment_answers_by_the_targets_statistics(name):
    """As in training, where each side passed alone; source rows are judged by those of the source."""
    problem = posed(backbone=normalised(), move=2.0)
    if name == "multi-dann":
        problem = dataclasses.replace(
            problem, sources=[*problem.sources, Task("older", problem.target.kind, drawn(80, 4))]
        )
    trained = FURTHER[name].learn(trial(name, problem))
    found = trained.net.state_dict()
    first = problem.target.unlabelled.x @ found["backbone.0.weight"].T + found["backbone.0.bias"]
    torch.testing.assert_close(found["backbone.1.running_mean"], first.mean(0), atol=0.1, rtol=0.1)
    held = problem.sources[0].train
    outputs, y = trained.of_source(held)
    assert torch.equal(y, held.y)
    assert not torch.allclose(outputs, predict(trained.net, "new", held.x, progress=False))


def test_without_batch_normalisation_one_net_answers_for_both_sides():
    assert FURTHER["cmd"].learn(trial("cmd", posed())).of_source is None


def STATE(name, problem):
    strategy = (STRATEGIES | FURTHER)[name]
    return strategy.run(Trial(problem, dict(strategy.options[0]), 0, Starts())).net.state_dict()


def test_two_phases_leave_the_head_and_tell_what_was_left_behind():
    for name in ("adda", "shot"):
        problem = posed(backbone=normalised())
        trained = FURTHER[name].learn(trial(name, problem))
        assert {phase.split(":")[0].split(" ")[0] for phase in trained.curves} == {"source", "target"}
        held = problem.sources[0].train
        outputs, y = trained.of_source(held)
        assert torch.equal(y, held.y)
        assert not torch.equal(outputs, predict(trained.net, "new", held.x, progress=False))
        z = trained.net.heads["new"].weight
        assert torch.equal(z, trained.of_source.args[0].heads["new"].weight)


def test_several_sources_are_told_apart():
    problem = posed()
    assert FURTHER["multi-dann"].needs(problem) == "there is one source alone with the target's classes"
    (source,) = problem.sources
    two = dataclasses.replace(problem, sources=[source, dataclasses.replace(source, name="older")])
    check_strategy(FURTHER["multi-dann"], two)


def test_a_handful_of_labels_joins_the_loss():
    problem = posed(rows=40)
    few = drawn(6, 5, move=0.5)
    target = dataclasses.replace(problem.target, train=few)
    with_labels = dataclasses.replace(problem, target=target)
    assert FURTHER["mmd+labels"].needs(problem) == "the target has no labelled rows"
    turned = dataclasses.replace(
        problem, target=dataclasses.replace(target, train=Labelled(few.x, 1 - few.y))
    )
    for name in ("mmd+labels", "dann+labels", "cmd+labels"):
        check_strategy(FURTHER[name], with_labels)
    assert not torch.equal(answers("mmd+labels", with_labels), answers("mmd+labels", turned))


# What does not fit is said.


def test_a_source_of_one_class_gives_that_class():
    problem = posed()
    (source,) = problem.sources
    lone = dataclasses.replace(source, train=Labelled(source.train.x, torch.ones_like(source.train.y)))
    for name in SHALLOW:
        found = answers(name, dataclasses.replace(problem, sources=[lone]))
        assert found.isfinite().all()
        assert set(found.argmax(1).tolist()) == {1}, name


def test_a_target_without_rows_is_left_out_with_the_reason():
    problem = posed()
    none = dataclasses.replace(problem.target, unlabelled=Inputs(torch.zeros(0, 4)))
    skipped = applicable(dataclasses.replace(problem, target=none), list(FURTHER)).skipped
    assert {skipped[name] for name in (*DEEP, *SHALLOW)} == {"the target has no unlabelled rows"}


def test_classes_that_differ_are_listed():
    problem = posed()
    (source,) = problem.sources
    other = dataclasses.replace(source, kind=Multiclass(["a", "c"]))
    expected = "no source has the target's classes: 'old' lacks 'b', has 'c' besides"
    for name in ("coral", "bbse", "adabn"):
        assert FURTHER[name].needs(dataclasses.replace(problem, sources=[other])) == expected
    turned = dataclasses.replace(problem, sources=[dataclasses.replace(source, kind=Multiclass(["b", "a"]))])
    assert FURTHER["coral"].needs(turned).endswith("'old' has them in another order")


def test_rows_of_another_shape_are_refused():
    problem = posed()
    (source,) = problem.sources
    wide = dataclasses.replace(source, train=Labelled(torch.zeros(6, 5), torch.arange(6) % 2))
    with pytest.raises(ValueError, match=r"rows of source 'old' should be of the target's shape \(4,\)"):
        dataclasses.replace(problem, sources=[wide])


def test_adamatch_asks_for_images():
    said = "the target's rows are no images, which can be changed and stay what they are"
    assert FURTHER["adamatch"].needs(posed()) == said


def test_adabn_needs_batch_normalisation():
    assert FURTHER["adabn"].needs(posed()) == "the backbone has no batch normalisation"


OF_CLASSES = (
    "jan",
    "cdan",
    "mcc",
    "afn",
    "mdd",
    "mcd",
    "pada",
    "self-training",
    "adda",
    "shot",
    "bbse",
    "adamatch",
)


def of_numbers(rows=60, move=0.5, scale=1000.0, **given):
    """Pose prices: the target's columns are moved and stretched, and it has no price."""
    kind = Regression()

    def drawn_of(count, seed, move=0.0):
        x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
        return Labelled(x * (1 + move) + move, scale * (x[:, :1] + 0.5 * x[:, 1:2] + 3))

    test = drawn_of(rows, 2, move)
    target = Task(
        "new", kind, test.take(torch.arange(0)), test=test, unlabelled=drawn_of(rows, 1, move).inputs()
    )
    source = Task("old", kind, drawn_of(rows + 20, 3))
    return Problem(target, [source], budget=Budget(pretrain=6, options=3), **given)


@pytest.mark.parametrize(
    "name",
    ["source-only", "dann", "mmd", "coral", "cmd", "coral+ridge", "sa+ridge", "tca+ridge", "iw+ridge",
     pytest.param("ot+ridge", marks=POT)],
)  # fmt: skip
def test_numbers_are_adapted_too(name):
    check_strategy((STRATEGIES | FURTHER)[name], of_numbers(settings={"hidden": [6]}))


def test_numbers_come_back_in_the_users_units():
    problem = of_numbers(rows=300)
    y = problem.target.test.y
    found = answers("coral+ridge", problem)
    assert float((found - y).abs().mean()) < 0.1 * float(y.std())
    source = STRATEGIES["source+ridge"].learn(Trial(problem, {"alpha": 1.0}, 0, Starts())).net
    plain = predict(source, "new", problem.target.test.x, progress=False)
    assert float((plain - y).abs().mean()) > 0.3 * float(y.std())  # the columns are another unit there


def test_coral_ridge_is_these_rows_and_a_ridge_regression():
    problem = of_numbers()
    asked = Trial(standing(problem), {"ridge": 1.0, "alpha": 10.0, "scale": "columns"}, 0, Starts())
    made = both(asked, 4000, apart=True)
    model = Ridge(alpha=10.0).fit(coral(asked, made).source, made.y)
    bare, test = problem.target.unlabelled.x.double(), problem.target.test.x.double()
    new = ((test - bare.mean(0)) / bare.std(0, correction=0)).numpy()
    expected = asked.target.standard.undo(torch.from_numpy(model.predict(new)).reshape(-1, 1)).numpy()
    numpy.testing.assert_allclose(answers("coral+ridge", problem).numpy(), expected, rtol=1e-3)


def test_what_asks_for_classes_says_so_and_numbers_for_numbers():
    for name in OF_CLASSES:
        assert FURTHER[name].needs(of_numbers()) == "the target is no classification"
    assert FURTHER["coral+ridge"].needs(posed()) == "the target has classes"


def test_without_pot_the_command_that_brings_it_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in WITH_POT:
        assert FURTHER[name].needs(posed()) == 'POT is not installed: pip install "headstart[ot]"'


def test_held_out_rows_are_aligned_without_their_labels_and_answered_by_the_learner():
    problem = posed(rows=80)
    way, source = trial("coral+logreg", problem), problem.sources[0].train
    parts = source.take(torch.arange(70)), source.take(torch.arange(70, 100))
    posed_ = problem.with_rows(sources=[dataclasses.replace(problem.sources[0], train=parts[0])])
    trained = FURTHER["coral+logreg"].learn(dataclasses.replace(way, problem=posed_))
    outputs, y = trained.of_source(parts[1])
    assert torch.equal(y, parts[1].y)
    sides = both(dataclasses.replace(way, problem=posed_), 4000, apart=True)
    mean, spread_ = parts[0].x.double().mean(0), parts[0].x.double().std(0, correction=0)
    z = numpy.concatenate([sides.source, ((parts[1].x - mean) / spread_).numpy()])
    moved = coral(way, dataclasses.replace(sides, source=z)).source
    model = LogisticRegression(max_iter=300).fit(moved[:70], parts[0].y)
    found = outputs.softmax(1)[:, 1].double()
    torch.testing.assert_close(
        found, torch.from_numpy(model.predict_proba(moved[70:])[:, 1]), atol=1e-3, rtol=0
    )
    flipped = trained.of_source(Labelled(parts[1].x, 1 - parts[1].y))[0]
    assert torch.equal(flipped, outputs)


@pytest.mark.parametrize("name", ["source+logreg", "source-only", "iw+logreg", "msda+logreg"])
def test_a_way_that_aligns_nothing_has_the_target_outside(name):
    source = posed(rows=80, move=0.0).sources[0].train
    train, held = source.take(torch.arange(70)), source.take(torch.arange(70, 100))
    parts = {}
    for move in (0.0, 4.0):
        problem = posed(rows=80, move=move)
        trained = (STRATEGIES | FURTHER)[name].learn(
            Trial(problem, (STRATEGIES | FURTHER)[name].options[0], 0, Starts())
        )
        beyond = trained.beyond or partial(beyond_of, trained.net, trained.net, "new")
        parts[move] = beyond(train, held, problem.target.unlabelled.x)
    assert parts[0.0] < 0.15
    assert parts[4.0] > 0.6


@pytest.mark.parametrize("name", ["coral+logreg", "sa+logreg", "tca+logreg"])
def test_a_way_that_aligns_has_it_inside(name):
    problem = posed(rows=80, move=4.0)
    trained = FURTHER[name].learn(trial(name, problem))
    assert trained.beyond(None, None, None) < 0.2


def test_heads_that_answer_together_are_looked_at_one_by_one():
    torch.manual_seed(0)
    parts = [nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), nn.Linear(4, 2)]
    net = Net(nn.Identity(), {"new": Average(parts)})
    x = torch.randn(300, 4)
    hidden, plain = reads(net, "new", x)
    torch.testing.assert_close(hidden, parts[0][:2](x))
    assert torch.equal(plain, x)


def test_a_way_that_extrapolates_is_not_taken_for_sound():
    problem = posed(rows=200, move=4.0)
    worth = {
        name: problem.judge((STRATEGIES | FURTHER)[name], 0, None, 0, Starts())[0]
        for name in ("source+logreg", "coral+logreg")
    }
    assert worth["coral+logreg"] > worth["source+logreg"] + 0.2
