"""The objectives against their definitions, written out term by term, and the laws that they share."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import nn

from headstart.domains import AFN, CDAN, CMD, CORAL, JAN, MCC, MCD, MDD, DeepJDOT, OnePass
from headstart.domains._cmd import moment_gap
from headstart.domains._coral import covariance_gap
from headstart.domains._deepjdot import plan
from headstart.domains._jan import joint_discrepancy
from headstart.domains._mcc import confusion
from headstart.models import Net
from headstart.tasks import Binary, Inputs, Labelled, Multiclass, Regression, Shift, Task
from headstart.testing import assert_discrepancy, assert_linear_in_weight, assert_trained_by

from .problems import assert_no_mixed_statistics, rows, source_accuracy, target_accuracy


def critical(method, width=5, **settings):
    """Make a method that has weights of its own, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return method(features=width, **settings).double()


def makers(task, width=5):
    own = {
        kind.__name__: lambda weight, kind=kind: critical(lambda **s: kind(task, **s), width, weight=weight)
        for kind in (CDAN, MDD, MCD)
    }
    return own | {
        kind.__name__: lambda weight, kind=kind: kind(task, weight=weight)
        for kind in (AFN, CMD, CORAL, JAN, MCC)
    }


NAMES = ("AFN", "CDAN", "CMD", "CORAL", "JAN", "MCC", "MCD", "MDD")


@pytest.mark.parametrize("name", NAMES)
def test_the_weight_is_a_factor_and_0_leaves_the_labels(photos, name):
    task, net, batch = photos
    make = makers(task)[name]
    assert_linear_in_weight(make, net, batch)
    assert_trained_by(make(0.0), net, batch, ["label"])
    expected = F.cross_entropy(net(batch.source.x, "photos"), batch.source.y)
    torch.testing.assert_close(make(1.0)(net, batch, 0.3)["label"], expected)


@pytest.mark.parametrize("name", NAMES)
def test_in_one_pass_both_sides_share_their_statistics(photos, name):
    task, _, batch = photos
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net(nn.BatchNorm1d(3), {"photos": nn.Linear(3, 2)}).double()
        plain = Net(nn.Identity(), {"photos": net.heads["photos"]})
    method = makers(task, 3)[name](1.0)
    both = net.features(torch.cat([batch.source.x, batch.target.x]))
    parts = both.split([len(batch.source), len(batch.target)])
    by_hand = method(plain, Shift(Labelled(parts[0], batch.source.y), Inputs(parts[1])), 0.3)
    found, apart = OnePass(method)(net, batch, 0.3), method(net, batch, 0.3)
    assert found.keys() == by_hand.keys()
    for loss in found:
        torch.testing.assert_close(found[loss], by_hand[loss])
    assert any(not torch.allclose(found[loss], apart[loss]) for loss in found)
    slopes = [torch.autograd.grad(sum(of.values()), net.backbone.weight)[0] for of in (found, by_hand)]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "MCC"])
def test_domains_do_not_mix_their_batch_statistics(photos, name):
    task, _, batch = photos
    assert_no_mixed_statistics(makers(task, 3)[name](1.0), batch)


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_out_of_range_is_refused(photos, name):
    for weight in (-1.0, math.inf):
        with pytest.raises(ValueError, match="`weight` should be at least 0 and finite; found"):
            makers(photos[0])[name](weight)


@pytest.mark.parametrize("name", ["CDAN", "JAN", "MCC", "MCD", "MDD"])
def test_numbers_have_no_classes_to_align(name):
    task = Task("price", Regression(), Labelled(rows(), torch.zeros(6)))
    with pytest.raises(ValueError, match="task 'price' should be of one class per row"):
        makers(task)[name](1.0)


@pytest.mark.parametrize("name", [*NAMES, "DeepJDOT"])
def test_one_logit_for_two_classes_is_aligned_as_two(name):
    if name == "DeepJDOT":
        pytest.importorskip("ot", reason="needs POT")
    source = Labelled(rows(), (torch.arange(6) % 2).float())
    task = Task("photos", Binary(), source)
    net = Net(nn.Linear(3, 5), {"photos": nn.Linear(5, 1)}).double()
    method = DeepJDOT(task) if name == "DeepJDOT" else makers(task)[name](1.0)
    losses = method(net, Shift(source, Inputs(rows(8, seed=1))), 0.5)
    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values())
    assert net.backbone.weight.grad.isfinite().all()


# Each by its definition.


def test_coral_is_the_distance_of_covariances_in_both_forms(photos):
    task, net, batch = photos
    a, b = rows(6, 20), rows(9, 20, seed=1) * 2  # fewer rows than features
    expected = (a.T.cov() - b.T.cov()).square().sum()
    torch.testing.assert_close(covariance_gap(a, b), expected)
    torch.testing.assert_close(
        covariance_gap(a[:, :3], b[:, :3]), (a[:, :3].T.cov() - b[:, :3].T.cov()).square().sum()
    )
    s, t = net.features(batch.source.x), net.features(batch.target.x)
    expected = 0.3 / (4 * 25) * (s.T.cov() - t.T.cov()).square().sum()
    torch.testing.assert_close(CORAL(task, weight=0.3)(net, batch, 0.0)["coral"], expected)


def test_coral_needs_two_rows_of_each_side(photos):
    task, net, batch = photos
    with pytest.raises(ValueError, match="should be at least 2 each; found 1 and 8"):
        CORAL(task)(net, Shift(batch.source.take(torch.tensor([0])), batch.target), 0.0)


def test_cmd_is_the_sum_of_the_distances_of_moments(photos):
    a, b = rows(5), rows(7, seed=1) + 0.5
    expected = (a.mean(0) - b.mean(0)).norm() / 3
    for k in (2, 3, 4):
        one, other = ((x - x.mean(0)).pow(k).mean(0) for x in (a, b))
        expected = expected + (one - other).norm() / 3**k
    torch.testing.assert_close(moment_gap(a, b, 4, 3.0), expected)
    task, net, batch = photos
    s, t = net.features(batch.source.x), net.features(batch.target.x)
    span = torch.cat([s, t]).max() - torch.cat([s, t]).min()
    assert span > 1
    losses = CMD(task, weight=0.5)(net, batch, 0.0), CMD(task, weight=0.5, span=2.0)(net, batch, 0.0)
    torch.testing.assert_close(losses[0]["cmd"], 0.5 * moment_gap(s, t, 5, span.item()))
    torch.testing.assert_close(losses[1]["cmd"], 0.5 * moment_gap(s, t, 5, 2.0))
    small = Net(nn.Sequential(net.backbone, nn.Linear(5, 5)), {"photos": nn.Linear(5, 2)}).double()
    with torch.no_grad():
        small.backbone[1].weight.mul_(1e-3)
        s, t = small.features(batch.source.x), small.features(batch.target.x)
    torch.testing.assert_close(CMD(task)(small, batch, 0.0)["cmd"].detach(), moment_gap(s, t, 5, 1.0))
    for settings in ({"moments": 0}, {"span": 0.0}):
        with pytest.raises(ValueError, match="should be"):
            CMD(task, **settings)


@pytest.mark.parametrize("gap", [covariance_gap, lambda a, b: moment_gap(a, b, 5, 2.0)])
def test_gaps_are_discrepancies(gap):
    assert_discrepancy(gap, rows(5), rows(6, seed=1) + 1, tolerance=1e-12)
    same = torch.ones(3, 2, requires_grad=True)
    gap(same, same * 1).backward()
    assert same.grad.isfinite().all()


def test_jan_multiplies_the_kernels_of_features_and_predictions():
    a, b = (rows(4), rows(4, 2, seed=2).softmax(1)), (rows(3, seed=1), rows(3, 2, seed=3).softmax(1))

    def kernel(layer, bands):
        every = torch.cat([a[layer], b[layer]])
        apart = torch.cdist(every, every).square()
        median = apart[tuple(torch.triu_indices(7, 7, 1))].median()
        return sum(torch.exp(-apart / (m * median)) for m in bands) / len(bands)

    k = kernel(0, (0.5, 2.0)) * kernel(1, (1.0,))
    expected = k[:4, :4].mean() + k[4:, 4:].mean() - 2 * k[:4, 4:].mean()
    found = joint_discrepancy((a[0], b[0], (0.5, 2.0)), (a[1], b[1], (1.0,)))
    torch.testing.assert_close(found, expected)


def test_mcc_is_its_definition(photos):
    p = rows(5, 3).softmax(1)
    sure = 1 + torch.exp((p * p.log()).sum(1))
    sure = 5 * sure / sure.sum()
    matrix = sum(w * torch.outer(row, row) for w, row in zip(sure, p, strict=True))
    matrix = matrix / matrix.sum(1, keepdim=True)
    torch.testing.assert_close(confusion(p), (matrix.sum() - matrix.trace()) / 3)
    torch.testing.assert_close(confusion(torch.eye(3)), torch.tensor(0.0))
    task, net, batch = photos
    expected = 0.3 * confusion((net(batch.target.x, "photos") / 2.5).softmax(1))
    torch.testing.assert_close(MCC(task, weight=0.3)(net, batch, 0.0)["confusion"], expected)
    with pytest.raises(ValueError, match="`temperature`"):
        MCC(task, temperature=0.0)


def test_afn_pulls_every_row_a_step_longer(photos):
    task, net, batch = photos
    (found,) = torch.autograd.grad(
        AFN(task, weight=0.5, step=2.0)(net, batch, 0.0)["norm"], net.backbone[0].weight
    )
    lengths = sum(net.features(side.x).norm(dim=1).mean() for side in (batch.source, batch.target))
    (expected,) = torch.autograd.grad(-2 * 2.0 * 0.5 * lengths, net.backbone[0].weight)
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match="`step`"):
        AFN(task, step=0.0)


def test_cdan_weighs_rows_that_are_sure_and_compares_class_by_class(photos):
    task, net, batch = photos
    method = critical(lambda **s: CDAN(task, **s))
    expected = 0.0
    for side, truth in ((batch.source, 1.0), (batch.target, 0.0)):
        z, p = net.features(side.x), net(side.x, "photos").softmax(1).detach()
        both = torch.stack([torch.outer(f, g).flatten() for f, g in zip(z, p, strict=True)])
        losses = F.binary_cross_entropy_with_logits(
            method.critic(both)[:, 0], torch.full((len(z),), truth).double(), reduction="none"
        )
        sure = 1 + torch.exp((p * p.log()).sum(1))
        expected = expected + (sure * losses).sum() / sure.sum() / 2
    torch.testing.assert_close(method(net, batch, 0.3)["domain"], expected)


def test_many_products_have_random_ones_in_their_place():
    torch.manual_seed(0)
    method = CDAN(Task("a", Multiclass(9), Labelled(rows(), torch.arange(6))), features=500)
    assert method.critic[0].in_features == 1024
    z, other, p, q = torch.randn(500), torch.randn(500), torch.rand(9).softmax(0), torch.rand(9).softmax(0)
    one, two = method.products(torch.stack([z, other]), torch.stack([p, q]))
    expected, spread = float((z @ z) * (p @ p)), 500 * float(p @ p) * 3 / 32
    assert abs(float(one @ one) - expected) < 3 * spread
    assert abs(float(one @ two) - float((z @ other) * (p @ q))) < 3 * spread


def test_mdd_agrees_on_the_source_and_contradicts_on_the_target(photos):
    task, net, batch = photos
    method = critical(lambda **s: MDD(task, margin=3.0, **s))
    s, t = net.features(batch.source.x), net.features(batch.target.x)
    here, there = net.heads["photos"](s).argmax(1), net.heads["photos"](t).argmax(1)
    p, q = method.second(s).softmax(1), method.second(t).softmax(1)
    expected = -3 * p[torch.arange(6), here].log().mean() - (1 - q[torch.arange(8), there]).log().mean()
    torch.testing.assert_close(method(net, batch, 0.3)["disparity"], expected)
    with pytest.raises(ValueError, match="`margin`"):
        MDD(task, features=5, margin=0.0)


def test_mcd_pulls_its_heads_apart_and_the_backbone_together(photos):
    task, net, batch = photos
    method = critical(lambda **s: MCD(task, **s))
    losses = method(net, batch, 0.3)
    t = net.features(batch.target.x)
    gap = (net.heads["photos"](t).softmax(1) - method.second(t).softmax(1)).abs().mean()
    scale = 2 / (1 + math.exp(-3)) - 1
    torch.testing.assert_close(losses["apart"], -scale * gap)
    backbone, head = net.backbone[0].weight, net.heads["photos"].weight
    plain = torch.autograd.grad(scale * gap, [backbone, head, method.second.weight])
    found = torch.autograd.grad(losses["apart"], [backbone, head, method.second.weight])
    torch.testing.assert_close(found[0], plain[0])  # the backbone lowers the gap
    torch.testing.assert_close(found[1], -plain[1])  # the heads raise it
    torch.testing.assert_close(found[2], -plain[2])


@pytest.mark.parametrize("kind", [CDAN, MDD, MCD])
def test_features_of_another_width_are_refused(photos, kind):
    task, net, batch = photos
    with pytest.raises(ValueError, match=r"should be \(rows, 7\); found \(\d+, 5\); set `features`"):
        kind(task, features=7).double()(net, batch, 0.0)


def test_a_plan_of_equally_many_rows_is_the_best_assignment():
    pytest.importorskip("ot", reason="needs POT")
    cost = rows(6, 6).square()
    at = linear_sum_assignment(cost.numpy())
    expected = torch.zeros(6, 6, dtype=torch.float64)
    expected[at] = 1 / 6
    torch.testing.assert_close(plan(cost), expected)
    torch.testing.assert_close(plan(rows(4, 6).square()).sum(0), torch.full((6,), 1 / 6, dtype=torch.float64))


def test_deepjdot_is_the_cost_of_the_plan(photos):
    pytest.importorskip("ot", reason="needs POT")
    task, net, batch = photos
    s, t = net.features(batch.source.x), net.features(batch.target.x)
    log_p = net.heads["photos"](t).log_softmax(1)
    cost = 0.1 * torch.cdist(s, t).square() - log_p[:, batch.source.y].T
    expected = 0.5 * (plan(cost) * cost).sum()
    found = DeepJDOT(task, weight=0.5, alpha=0.1)(net, batch, 0.0)["transport"]
    torch.testing.assert_close(found, expected)
    make = lambda weight: DeepJDOT(task, weight=weight)  # noqa: E731
    assert_linear_in_weight(make, net, batch)
    assert_trained_by(make(0.0), net, batch, ["label"])
    with pytest.raises(ValueError, match="`alpha`"):
        DeepJDOT(task, alpha=0.0)


GAINS = {
    "CMD": lambda task: CMD(task),
    "CORAL": lambda task: CORAL(task, weight=100.0),
    "JAN": lambda task: JAN(task),
    "CDAN": lambda task: CDAN(task, features=16),
    "MDD": lambda task: MDD(task, features=16, weight=0.3),
    "MCD": lambda task: MCD(task, features=16, weight=1.0),
    "MCC": lambda task: MCC(task),
}


@pytest.mark.parametrize("name", sorted(GAINS))
def test_alignment_beats_the_source_alone_under_a_shift(name):
    assert target_accuracy(0, GAINS[name]) > source_accuracy(0) + 0.05
