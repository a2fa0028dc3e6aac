"""The laws find what they say they find."""

import math

import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.multitask import mgda, pcgrad
from headstart.testing import (
    assert_absent_adds_nothing,
    assert_discrepancy,
    assert_factor_invariant,
    assert_leaves_out_missing,
    assert_linear_in_weight,
    assert_linear_under_scaling,
    assert_no_conflict,
    assert_non_negative,
    assert_permutation_equivariant,
    assert_relabelling_invariant,
    assert_scale_invariant,
    assert_sum_to_one,
    assert_trained_by,
)

ROWS = torch.tensor([[1.0, 0.0, 2.0], [-3.0, 1.0, 0.0], [0.5, 0.5, -1.0]])


def equal(gramian):
    return gramian.new_ones(len(gramian))


def first(gramian):
    return torch.eye(len(gramian))[0].to(gramian)


def negative(gramian):
    return -equal(gramian)


def longest(gramian):
    return gramian.diagonal()


@pytest.mark.parametrize(
    ("law", "broken", "message"),
    [
        (assert_no_conflict, equal, "equal goes against the gradient of task 2"),
        (assert_non_negative, negative, "negative gives a weight below 0"),
        (assert_sum_to_one, equal, r"equal gives weights of sum 3\.0"),
        (assert_permutation_equivariant, first, r"another step for the tasks in the order \[2, 1, 0\]"),
        (assert_linear_under_scaling, mgda, "mgda is not linear in factors"),
        (assert_factor_invariant, equal, "equal gives another direction where losses are multiplied"),
        (assert_scale_invariant, longest, r"another direction for gradients 0\.001 times as long"),
    ],
)
def test_weighings_of_gramians(law, broken, message):
    with pytest.raises(AssertionError, match=message):
        law(broken, ROWS)


@pytest.mark.parametrize("law", [assert_linear_under_scaling, assert_non_negative, assert_scale_invariant])
def test_surgery_keeps_these(law):
    law(pcgrad, ROWS)


def test_a_weighing_that_counts_absent_losses():
    with pytest.raises(AssertionError, match="returns nan without task 0"):
        assert_absent_adds_nothing(torch.sum, torch.ones(2))
    assert_absent_adds_nothing(torch.nansum, torch.ones(2))


class Pull:
    """A method with a penalty, whose weight may count wrongly."""

    def __init__(self, weight, power=1):
        self.factor = weight**power

    def __call__(self, net, batch, progress):
        return {"label": net.heads["a"].bias.sum(), "pull": self.factor * net.backbone.weight.square().sum()}


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net(nn.Linear(3, 4), {"a": nn.Linear(4, 2)})


def test_objectives(net):
    assert_trained_by(Pull(0.0), net, None, ["label"])
    assert_trained_by(Pull(1.0), net, None, ["label", "pull"])
    assert_linear_in_weight(Pull, net, None)
    with pytest.raises(AssertionError, match=r"Pull trains the net by other losses than \['label'\]"):
        assert_trained_by(Pull(1.0), net, None, ["label"])
    with pytest.raises(AssertionError, match="not train the net in proportion to its weight"):
        assert_linear_in_weight(lambda weight: Pull(weight, power=2), net, None)
    assert all(p.grad is None for p in net.parameters())


def counts(values, labels):
    return float(len(labels))


def numbers(values, labels):
    return float(labels.sum())


def test_scores():
    labels = torch.tensor([0, 1, 2])
    with pytest.raises(AssertionError, match=r"counts gives 5\.0, not 3\.0, with unlabelled rows"):
        assert_leaves_out_missing(counts, ROWS, labels)
    with pytest.raises(AssertionError, match="with other numbers for the classes"):
        assert_relabelling_invariant(numbers, ROWS, labels)
    assert_relabelling_invariant(counts, ROWS, labels)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda a, b: a.square().mean(), "one way and"),
        (lambda a, b: torch.tensor(-1.0), r"is -1\.0, not at least 0"),
        (lambda a, b: torch.tensor(1.0), r"of a set and itself is 1\.0"),
        (lambda a, b: torch.tensor(math.nan), "is nan, not at least 0"),
    ],
)
def test_discrepancies(broken, message):
    with pytest.raises(AssertionError, match=message):
        assert_discrepancy(broken, ROWS, ROWS[:2] + 1)
