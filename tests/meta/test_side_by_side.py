"""Every adaptation, over a stack of episodes at once, is what it is one episode after another."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from headstart import meta
from headstart.meta import Episodic, MultiStep, Reptile
from headstart.models import Net
from headstart.tasks import Episodes, Labelled

from .adaptations import NAMES, all_of
from .test_episodic import T, gradients, make, relative_error


def alone(episodes, t):
    def one(rows):
        return Labelled(rows.x[t : t + 1], rows.y[t : t + 1])

    return Episodes(one(episodes.support), one(episodes.query), episodes.ways)


def one_after_another(function, episodes):
    return torch.stack([function(*episodes.episode(t)) for t in range(len(episodes))]).mean()


@pytest.mark.parametrize("kind", ["batch", "layer", "none"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_net_and_method_are_those_of_the_loop(name, kind):
    net, episodes = make(kind)
    adaptation = all_of(net, "a", 16)[name]
    adaptation = adaptation.double() if isinstance(adaptation, nn.Module) else adaptation
    objective = Episodic(adaptation)
    weights = [p for p in (*net.parameters(), *objective.parameters()) if p.requires_grad]
    found = objective(net, episodes, 0.0)["query"]
    expected = one_after_another(lambda s, q: F.cross_entropy(adaptation(net, s)(q.x), q.y), episodes)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    both = [torch.autograd.grad(loss, weights, materialize_grads=True) for loss in (found, expected)]
    ours, theirs = (torch.cat([g.flatten() for g in some]) for some in both)
    assert theirs.norm() > 0
    assert relative_error(ours, theirs) < 1e-10


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_reptile_moves_towards_the_adapted_weights(kind):
    net, episodes = make(kind)
    adaptation = meta.MAML("a", lr=0.2, steps=3)
    found = gradients(Reptile(adaptation)(net, episodes, 0.0)["reptile"], net)
    away = torch.zeros_like(found)
    for t in range(T):
        support, query = episodes.episode(t)
        rows = Labelled(torch.cat([support.x, query.x]), torch.cat([support.y, query.y]))
        with torch.no_grad():
            end = adaptation(net, rows).weights
        away += torch.cat([(p.detach() - end[n]).flatten() for n, p in net.named_parameters()]) / T
    torch.testing.assert_close(found, away, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("progress", [0.0, 0.05, 0.1, 0.7])
def test_multi_step_weighs_the_loss_after_every_step(progress):
    net, episodes = make("layer")
    losses = []
    for steps in (1, 2, 3):
        adaptation = meta.MAML("a", lr=0.4, steps=steps)
        losses.append(
            one_after_another(lambda s, q, a=adaptation: F.cross_entropy(a(net, s)(q.x), q.y), episodes)
        )
    early = max(0.0, 1 - progress / 0.2) / 3
    expected = early * (losses[0] + losses[1]) + (1 - 2 * early) * losses[2]
    found = MultiStep(meta.MAML("a", lr=0.4, steps=3), until=0.2)(net, episodes, progress)["query"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert relative_error(gradients(found, net), gradients(expected, net)) < 1e-10


@pytest.mark.parametrize("objective", [meta.Contrastive("a"), meta.Triplet("a", margin=2.0)])
def test_pairs_are_of_one_episode(objective):
    net, episodes = make("layer")
    (found,) = objective(net, episodes, 0.0).values()
    each = torch.stack([next(iter(objective(net, alone(episodes, t), 0.0).values())) for t in range(T)])
    torch.testing.assert_close(found, each.mean())


def test_contrastive_and_triplet_on_rows_by_hand():
    net = Net(nn.Identity(), {"a": nn.Linear(2, 2)})
    support = Labelled(torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]]))
    query = Labelled(torch.tensor([[[0.0, 2.0], [1.0, 0.0]]]), torch.tensor([[0, 1]]))
    rows = Episodes(support, query, 2)
    # One class has rows at distance 1, the other at 0; pairs of two classes are sqrt 2 or sqrt 5 apart.
    found = meta.Contrastive("a", margin=2.0)(net, rows, 0.0)["contrastive"]
    torch.testing.assert_close(
        found, torch.tensor((1 + 0) / 2 + 2 * (2 - 2**0.5) ** 2 / 4), rtol=1e-5, atol=0
    )
    # Of length 1, rows of a class are equal, and those of two classes are 2 apart.
    assert meta.Triplet("a", margin=2.5)(net, rows, 0.0)["triplet"].item() == pytest.approx(0.5)
    assert meta.Triplet("a", margin=1.5)(net, rows, 0.0)["triplet"].item() == 0


@pytest.mark.parametrize(
    ("make_one", "message"),
    [
        (lambda: meta.Contrastive("a", margin=0), "`margin` should be above 0"),
        (lambda: meta.Triplet("a", margin=4), "`margin` should be below 4"),
        (lambda: MultiStep(meta.MAML("a"), until=0), "`until` should be above 0"),
        (lambda: Reptile(meta.MAML("a"), chunk=0), "`chunk` should be at least 1"),
        (lambda: meta.ANIL("a", lr=0), "`lr` should be above 0"),
        (lambda: meta.BOIL("a", steps=0), "`steps` should be at least 1"),
        (lambda: meta.iMAML("a", pull=0), "`pull` should be above 0"),
        (lambda: meta.iMAML("a", solves=0), "`solves` should be at least 1"),
        (lambda: meta.Ridge("a", penalty=0), "`penalty` should be above 0"),
        (lambda: meta.Logistic("a", scale=-1), "`scale` should be above 0"),
        (lambda: meta.Matching("a", scale=0), "`scale` should be above 0"),
        (lambda: meta.CosineProtoNet("a", scale=0), "`scale` should be above 0"),
        (lambda: meta.BaselinePlusPlus("a", scale=0), "`scale` should be above 0"),
        (lambda: meta.SimpleShot("a", torch.zeros(2, 2)), "`centre` should be a vector"),
        (lambda: meta.SimpleShot("a", torch.tensor([torch.nan])), "`centre` should be a vector"),
    ],
)
def test_settings_out_of_range(make_one, message):
    with pytest.raises(ValueError, match=message):
        make_one()


def test_other_batches_are_refused():
    net, episodes = make("layer")
    for objective in (meta.Contrastive("a"), meta.Triplet("a"), Reptile(meta.MAML("a"))):
        with pytest.raises(TypeError, match="batch should be Episodes"):
            objective(net, episodes.support, 0.0)
