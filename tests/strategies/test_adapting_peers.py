"""Shallow adaptation beside skada and the literature's protocol for feature tables, to the decimal."""

import dataclasses
from types import SimpleNamespace

import numpy
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from headstart.engine import predict
from headstart.strategies import FURTHER, Starts, Trial
from headstart.strategies.recipes.shallow import Sides, both
from headstart.strategies.recipes.ways import components, coral, subspace

from .test_adapting import normalised, posed, trial


def tables(rows=(60, 50), width=6):
    """Make centred features of two domains and class numbers of the first."""
    draws = numpy.random.default_rng(0)
    one, other = (draws.normal(size=(n, width)) @ draws.normal(size=(width, width)) for n in rows)
    y = (one[:, 0] > 0).astype(int)
    return Sides(nn.Identity(), one - one.mean(0), y, other - other.mean(0), own=numpy.asarray)


def by_skada(adapter, sides):
    """Adapt rows as skada does, on copies: it writes into what it is given."""
    x = numpy.concatenate([sides.source, sides.target])
    domain = numpy.repeat([1, -2], [len(sides.source), len(sides.target)])
    y = numpy.concatenate([sides.y, numpy.full(len(sides.target), -1)])
    made = adapter.fit_transform(x, y, sample_domain=domain)
    return made[: len(sides.source)], made[len(sides.source) :]


def asked(**settings):
    return SimpleNamespace(settings=settings)


skada = pytest.importorskip  # called within tests: `skada` is a peer to measure beside, no dependency


def test_subspace_alignment_and_nearest_rows_are_those_of_skada():
    adapter = skada("skada", reason="skada is not installed").SubspaceAlignmentAdapter(3)
    sides = tables()
    one, other = by_skada(adapter, sides)
    ours = subspace(asked(dims=3), sides)
    moved = sides.target @ ours.map.weight.double().numpy().T
    numpy.testing.assert_allclose(ours.source @ moved.T, one @ other.T, atol=1e-4)
    theirs = KNeighborsClassifier(1).fit(one, sides.y).predict(other)
    numpy.testing.assert_array_equal(KNeighborsClassifier(1).fit(ours.source, sides.y).predict(moved), theirs)


def test_coral_is_that_of_skada():
    adapter = skada("skada", reason="skada is not installed").CORALAdapter(reg=None)
    sides = tables()
    one, _ = by_skada(adapter, sides)
    # skada divides covariances by the rows of a side, the paper and this library by one less
    unbiased = ((59 / 60) * (50 / 49)) ** 0.5
    numpy.testing.assert_allclose(coral(asked(ridge=1e-10), sides).source, unbiased * one, atol=1e-6)


def test_transfer_components_span_those_of_skada():
    adapter = skada("skada", reason="skada is not installed").TransferComponentAnalysisAdapter(
        n_components=3, mu=1.0
    )
    sides = tables()
    one, other = by_skada(adapter, sides)
    ours = components(asked(dims=3), sides)
    bases = [
        numpy.linalg.qr(z)[0]
        for z in (numpy.concatenate([one, other]), adapter.K_ @ ours.map.coefficients.double().numpy().T)
    ]
    # skada takes the eigenvectors of a matrix that is not symmetric by a routine for symmetric ones
    numpy.testing.assert_allclose(numpy.linalg.svd(bases[0].T @ bases[1])[1], 1, atol=1e-3)


def protocol(x):
    """Divide rows by their sums and make z-scores, as code of published tables does."""
    x = x / numpy.abs(x).sum(1, keepdims=True)
    return (x - x.mean(0)) / x.std(0)


def positive(problem):
    """Make all rows positive, as histograms are."""
    target, (source,) = problem.target, problem.sources
    target = dataclasses.replace(
        target,
        unlabelled=dataclasses.replace(target.unlabelled, x=target.unlabelled.x.abs()),
        test=dataclasses.replace(target.test, x=target.unlabelled.x.abs()),
    )
    source = dataclasses.replace(source, train=dataclasses.replace(source.train, x=source.train.x.abs()))
    return dataclasses.replace(problem, target=target, sources=[source])


def test_rows_are_scaled_as_published_tables_have_them():
    problem = positive(posed())
    made = both(trial("sa+knn", problem, scale="rows"), 4000, apart=True)
    source, bare = problem.sources[0].train, problem.target.unlabelled
    numpy.testing.assert_allclose(made.source, protocol(source.x.double().numpy()), atol=1e-4)
    numpy.testing.assert_allclose(made.target, protocol(bare.x.double().numpy()), atol=1e-4)


@pytest.mark.parametrize("scale", ["columns", "rows"])
def test_the_nearest_row_is_that_of_scikit_learn(scale):
    problem = positive(posed())
    found = FURTHER["source+knn"].learn(trial("source+knn", problem, scale=scale)).net
    one, other = (
        protocol(x.double().numpy())
        if scale == "rows"
        else ((x - x.mean(0)) / x.std(0, correction=0)).double().numpy()
        for x in (problem.sources[0].train.x, problem.target.unlabelled.x)
    )
    expected = KNeighborsClassifier(1).fit(one, problem.sources[0].train.y.numpy()).predict(other)
    answers = predict(found, "new", problem.target.test.x, progress=False).argmax(1)
    numpy.testing.assert_array_equal(answers.numpy(), expected)


def test_another_scale_is_told_and_rows_are_not_scaled_behind_a_pretrained_net():
    with pytest.raises(ValueError, match=r'`scale` should be a known name; found "row"; did you mean "rows"'):
        FURTHER["sa+knn"].learn(trial("sa+knn", posed(), scale="row"))
    with pytest.raises(ValueError, match="with features of a pretrained backbone"):
        FURTHER["sa+knn"].learn(trial("sa+knn", posed(backbone=normalised()), scale="rows"))


def test_no_weight_makes_up_for_a_direction_that_the_target_hardly_has():
    """What subspace alignment shrinks stays small: a strong learner would blow up the target's part there."""
    problem = posed(rows=300)
    option = FURTHER["sa+logreg"].options[0]
    net = FURTHER["sa+logreg"].learn(Trial(problem, option, 0, Starts())).net
    right = predict(net, "new", problem.target.test.x, progress=False).argmax(1) == problem.target.test.y
    assert option["C"] == 0.01
    assert float(right.double().mean()) > 0.85
    assert torch.isfinite(net.heads["new"][1].weight).all()
