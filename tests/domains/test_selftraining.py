"""Objectives that use the net's own answers, a net that was left behind, or domains by name."""

import math

import pytest
import torch
import torch.nn.functional as F

from headstart.domains import ADDA, PADA, SHOT, AdaMatch, MultiDANN, PseudoLabel, centres
from headstart.maths.random import generator
from headstart.models import Net
from headstart.tasks import Inputs, Labelled, Multiclass, Regression, Shift, Task
from headstart.testing import assert_linear_in_weight, assert_trained_by

from .problems import rows

FAR = 0.99  # where the ramp has arrived


def test_own_answers_are_labels_where_they_are_sure(photos):
    task, net, batch = photos
    p = net(batch.target.x, "photos").softmax(1).max(1).values
    threshold = float(p.detach().median())
    losses = PseudoLabel(task, weight=2.0, threshold=threshold)(net, batch, FAR)
    sure = p >= threshold
    assert 0 < sure.sum() < len(p)
    ramp = 2 / (1 + math.exp(-10 * FAR)) - 1
    torch.testing.assert_close(losses["pseudo"], 2 * ramp * -(p.log() * sure).mean())
    assert PseudoLabel(task)(net, batch, 0.0)["pseudo"] == 0
    with pytest.raises(ValueError, match="`threshold` should be at least 0 and below 1; found 1"):
        PseudoLabel(task, threshold=1)


def test_adamatch_is_what_its_paper_writes(photos):
    task, net, batch = photos
    method, wanted = AdaMatch(task, weight=2.0, threshold=1.0), 0.0
    losses = method(net, batch, FAR)
    source, target = net(batch.source.x, "photos"), net(batch.target.x, "photos")
    p, q = source[:3].softmax(1), target[:4].softmax(1)
    shares = p.mean(0) / q.mean(0)
    c = sum(row.max() for row in p) / 3
    kept = 0
    for little, much in zip(q, target[4:].log_softmax(1), strict=True):
        moved = little * shares / (little * shares).sum()
        if moved.max() >= c:
            kept, wanted = kept + 1, wanted - much[moved.argmax()]
    assert 0 < kept < 4
    torch.testing.assert_close(losses["match"], 2 * wanted / 4)
    torch.testing.assert_close(losses["label"], F.cross_entropy(source, batch.source.y))
    quarter = AdaMatch(task, weight=2.0, threshold=1.0)(net, batch, 0.25)["match"]
    torch.testing.assert_close(quarter, losses["match"] / 2)  # a cosine over the first half of the run
    assert AdaMatch(task)(net, batch, 0.0)["match"] == 0


def test_adamatch_draws_the_sources_outputs_between_both_passes():
    rows_of = Labelled(rows(), torch.arange(6) % 2)
    net = Net(torch.nn.BatchNorm1d(3), {"photos": torch.nn.Linear(3, 2)}).double()
    batch, task = Shift(rows_of, Inputs(rows(8, seed=1) + 2)), Task("photos", Multiclass(2), rows_of)
    method = AdaMatch(task, seed=3)
    together = net(torch.cat([batch.source.x, batch.target.x]), "photos")[:6]
    alone = net(batch.source.x, "photos")
    first, second = (method(net, batch, 0.0)["label"] for _ in range(2))
    for step, found in enumerate((first, second)):
        share = torch.rand(6, 2, generator=generator(3, "adamatch", step)).double()
        drawn = share * together + (1 - share) * alone
        torch.testing.assert_close(found, F.cross_entropy(drawn, batch.source.y))
    net.eval()  # both passes are the same
    torch.testing.assert_close(
        method(net, batch, 0.0)["label"], F.cross_entropy(net(batch.source.x, "photos"), batch.source.y)
    )


def test_adamatch_asks_for_each_row_twice(photos):
    task, net, batch = photos
    odd = Shift(batch.source, Inputs(batch.target.x[:7]))
    with pytest.raises(ValueError, match="target rows should be each twice, an even number; found 7"):
        AdaMatch(task)(net, odd, 0.5)
    with pytest.raises(ValueError, match="`threshold` should be above 0 and at most 1; found 0"):
        AdaMatch(task, threshold=0)


def test_adda_trains_the_critic_and_the_backbone_apart(photos):
    task, net, batch = photos
    method = ADDA(task, net, features=5, weight=0.5).double()
    losses = method(net, batch, FAR)
    source, target = (net.features(side.x) for side in (batch.source, batch.target))
    told = method.critic(torch.cat([source, target]))[:, 0]
    side = torch.tensor([1.0] * 6 + [0.0] * 8, dtype=torch.float64)
    torch.testing.assert_close(losses["domain"], F.binary_cross_entropy_with_logits(told, side))
    torch.testing.assert_close(losses["fooled"], 0.5 * F.softplus(-told[6:]).mean())
    weight, critic = net.backbone[0].weight, method.critic[0].weight
    for name, moved in (("domain", (False, True)), ("fooled", (True, False))):
        grads = torch.autograd.grad(method(net, batch, FAR)[name], [weight, critic], allow_unused=True)
        assert tuple(g is not None for g in grads) == moved
    with torch.no_grad():
        net.backbone[0].weight.add_(1)
    assert method(net, batch, FAR)["fooled"] != losses["fooled"]
    torch.testing.assert_close(method.source.features(batch.source.x), source)  # stays as it was


def test_centres_are_those_of_the_paper():
    p, z = rows(9, 3).softmax(1), rows(9, 4, seed=1)
    first = torch.stack([(p[:, k, None] * z).sum(0) / p[:, k].sum() for k in range(3)])
    nearest = torch.stack([F.cosine_similarity(z, c[None]) for c in first]).argmax(0)
    found = centres(p, z)
    for k in range(3):
        expected = z[nearest == k].mean(0) if (nearest == k).any() else first[k]
        torch.testing.assert_close(found[k], expected)


def test_shot_lowers_what_its_paper_does_and_leaves_head_and_source(photos):
    task, net, batch = photos
    z = net.features(batch.target.x)
    p, c = net(batch.target.x, "photos").softmax(1), rows(2, 5, seed=3)
    losses = SHOT(task, c, weight=0.3)(net, batch, 0.0)
    torch.testing.assert_close(losses["sure"], -(p * p.log()).sum(1).mean())
    torch.testing.assert_close(losses["varied"], (p.mean(0) * p.mean(0).log()).sum())
    own = torch.stack([F.cosine_similarity(z, each[None]) for each in c]).argmax(0)
    torch.testing.assert_close(losses["pseudo"], 0.3 * F.nll_loss(p.log(), own))
    other = Shift(Labelled(batch.source.x + 9, batch.source.y), batch.target)
    assert SHOT(task, c, weight=0.3)(net, other, 0.0) == losses
    sum(losses.values()).backward()
    assert net.heads["photos"].weight.grad is None
    with pytest.raises(ValueError, match=r"`centres` should be a row for each of 2 classes"):
        SHOT(task, rows(3, 5))


def test_pada_weighs_rows_by_how_often_the_target_is_of_their_class(photos):
    task, net, batch = photos
    torch.manual_seed(0)
    method = PADA(task, features=5).double()
    losses = method(net, batch, 0.3)
    shares = net(batch.target.x, "photos").softmax(1).mean(0)
    weights = (shares / shares.max())[batch.source.y]
    each = F.cross_entropy(net(batch.source.x, "photos"), batch.source.y, reduction="none")
    torch.testing.assert_close(losses["label"], (weights * each).mean())
    told = method.critic(net.features(torch.cat([batch.source.x, batch.target.x])))[:, 0]
    each = F.softplus(torch.cat([-told[:6], told[6:]]))
    counts = torch.cat([weights, torch.ones(8, dtype=torch.float64)])
    torch.testing.assert_close(losses["domain"], (counts * each).sum() / counts.sum())


def test_a_critic_of_several_sources_names_the_domain(photos):
    task, net, batch = photos
    group = torch.tensor([0, 1, 2, 0, 1, 2])
    named = Shift(Labelled(batch.source.x, batch.source.y, group=group), batch.target)
    method = MultiDANN(task, features=5, sources=3).double()
    told = method.critic(net.features(torch.cat([batch.source.x, batch.target.x])))
    expected = F.cross_entropy(told, torch.cat([group, torch.full((8,), 3)]))
    torch.testing.assert_close(method(net, named, 0.3)["domain"], expected)
    with pytest.raises(ValueError, match="`group` of source rows should be a source below 3; found none"):
        method(net, batch, 0.3)
    with pytest.raises(ValueError, match="`sources` should be at least 1; found 0"):
        MultiDANN(task, features=5, sources=0)


@pytest.mark.parametrize("method", [PseudoLabel, SHOT, lambda task: PADA(task, features=5)])
def test_numbers_are_refused(method):
    x = rows()
    task = Task("photos", Regression(), Labelled(x, x[:, :1]))
    with pytest.raises(ValueError, match="should be of one class per row"):
        method(task)


def test_weights_are_factors(photos):
    task, net, batch = photos
    assert_linear_in_weight(lambda w: PseudoLabel(task, weight=w, threshold=0.0), net, batch)
    assert_trained_by(PseudoLabel(task, weight=0.0), net, batch, ["label"])
