"""A chain over tags as a strategy: it begins as the regression of each word, and leaves the encoder alone."""

import torch

from headstart.strategies import FURTHER
from headstart.testing import check_strategy

from .test_tuned import posed, ran, sentences

NAME = "features@layer+chain"


def test_it_begins_as_the_regression_and_trains_the_head_alone():
    problem = sentences(30)
    frozen, found = ran(problem, "features@layer+logreg"), ran(problem, NAME, lr=1e-9)
    assert found.told["layer"] == frozen.told["layer"]
    x = problem.target.test.x
    each, chain = (net(x, "tags").softmax(2) for net in (frozen.net.eval(), found.net.eval()))
    torch.testing.assert_close(chain, each, atol=1e-5, rtol=1e-5)
    moved = ran(problem, NAME, lr=0.1).net
    assert moved.heads["tags"].follows.abs().max() > 0.05
    for one, other in zip(moved.backbone.parameters(), frozen.net.backbone.parameters(), strict=True):
        assert torch.equal(one, other)
        assert not one.requires_grad


def test_it_keeps_what_strategies_promise():
    check_strategy(FURTHER[NAME], sentences(30))


def test_it_asks_for_tags_of_words():
    assert FURTHER[NAME].needs(posed()) == "the target has no class for each token of a text"
