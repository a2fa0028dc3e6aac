"""Rows that are denoised, and learners that answer together."""

import dataclasses

import numpy
import pytest
import torch
from torch import nn

from headstart.engine import predict
from headstart.models import Net
from headstart.models.backbones.plain import Raw
from headstart.models.heads import Average
from headstart.strategies import FURTHER, STRATEGIES, Starts, Trial
from headstart.strategies.recipes import together
from headstart.strategies.recipes.denoising import denoised, layer
from headstart.testing import check_strategy

from .test_adapting import normalised, posed, trial


def corrupted(h, noise, draws=200_000, seed=0):
    """Fit by least squares on rows of which columns are missing at random."""
    generator = numpy.random.default_rng(seed)
    at = generator.integers(0, len(h), draws)
    seen = h[at] * (generator.random((draws, h.shape[1])) > noise)
    return numpy.linalg.lstsq(numpy.c_[seen, numpy.ones(draws)], h[at], rcond=None)[0].T


def test_a_layer_is_the_limit_of_least_squares_on_corrupted_rows():
    h = numpy.random.default_rng(1).normal(size=(30, 4)) @ numpy.random.default_rng(2).normal(size=(4, 4)) + 1
    found = layer(h, 0.4, numpy.arange(4))
    numpy.testing.assert_allclose(found, corrupted(h, 0.4), atol=0.02)


def test_counts_are_there_or_not_and_columns_that_never_are_say_nothing():
    x = torch.zeros(80, 40)
    generator = torch.Generator().manual_seed(0)
    x[:40, 0] = torch.rand(40, generator=generator) + 1
    x[:40, 1] = 3.0  # comes with the first column always
    x[40:, 2] = 2.0
    head = denoised(x, 0.5, layers=1, kept=3)
    assert head.present
    new = torch.zeros(1, 40)
    new[0, 0] = 9.0
    made = head(new)
    assert made[0, :40].tolist() == [1.0] + [0.0] * 39
    assert made[0, 41] > made[0, 42] + 0.3  # columns 0, 1 and 2 are the commonest, in this order
    new[0, 30] = 5.0  # a column that no row has
    assert torch.equal(head(new)[0, 40:], made[0, 40:])


def test_a_word_that_the_source_lacks_gets_a_weight():
    """Of two words for one thing, each domain has its own; both go with words that the domains share."""
    problem = posed()
    generator = torch.Generator().manual_seed(0)

    def rows(count, word):
        y = torch.arange(count) % 2
        x = torch.zeros(count, 90)
        chance = torch.rand(count, 6, generator=generator)
        x[:, 3:9] = (chance < 0.1 + 0.6 * y[:, None]).float()  # what both share
        x[:, word] = y * (chance[:, 0] < 0.6)
        return x, y

    (x, y), (bare, _) = rows(200, 1), rows(200, 2)
    only = torch.zeros(2, 90)
    only[0, 2] = 1.0  # the target's own word and nothing else, and nothing at all
    target, source = problem.target, problem.sources[0]
    target = dataclasses.replace(
        target,
        train=dataclasses.replace(target.train, x=bare[:0]),
        unlabelled=dataclasses.replace(target.unlabelled, x=bare),
        test=dataclasses.replace(target.test, x=only, y=torch.tensor([1, 0])),
    )
    source = dataclasses.replace(source, train=dataclasses.replace(source.train, x=x, y=y))
    asked = dataclasses.replace(problem, target=target, sources=[source])

    def gap(strategy, **settings):
        net = strategy.learn(Trial(asked, settings, 0, Starts())).net
        outputs = predict(net, "new", only, progress=False)
        margins = outputs[:, 1] - outputs[:, 0]
        return float(margins[0] - margins[1])

    assert abs(gap(STRATEGIES["source+logreg"], C=1.0)) < 1e-3
    assert gap(FURTHER["msda+logreg"], noise=0.7, C=1.0) > 0.1


def test_members_that_lose_the_source_are_left_out(monkeypatch):
    problem = posed(rows=100)

    def lost(asked, first):
        trained = together.mmd(asked, first)
        with torch.no_grad():
            trained.net.heads["new"].weight.zero_()
            trained.net.heads["new"].bias.zero_()
        return trained

    members = together.MEMBERS
    for given, left in ((members, 4), ((*members[1:], (lost, {"weight": 0.3})), 3)):
        asked = dataclasses.replace(problem, budget=dataclasses.replace(problem.budget, pretrain=15))
        monkeypatch.setattr(together, "MEMBERS", given)
        net = FURTHER["adapted+mean"].learn(trial("adapted+mean", asked)).net
        assert len(net.heads["new"].parts) <= left


def test_the_mean_is_that_of_cooled_outputs():
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    expected = (one(x) / 2 + other(x) / 4) / 2
    nets = [Net(Raw([3]), {"a": head}) for head in (one, other)]
    head = Average(together.as_head(net, "a", t) for net, t in zip(nets, (2.0, 4.0), strict=True))
    torch.testing.assert_close(head(x), expected)


def test_what_asks_for_layers_says_so():
    for name in ("msda+mmd", "adapted+mean"):
        assert (
            FURTHER[name].needs(posed(backbone=normalised()))
            == "the backbone is no `mlp` that learns from the start"
        )


@pytest.mark.usefixtures("soon_settled")
def test_the_mean_keeps_the_contract():
    check_strategy(FURTHER["adapted+mean"], posed())
