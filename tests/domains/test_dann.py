import math

import pytest
import torch
import torch.nn.functional as F

from headstart.domains import DANN
from headstart.testing import assert_linear_in_weight, assert_trained_by

from .problems import assert_no_mixed_statistics, source_accuracy, target_accuracy


def test_dann_losses_are_the_two_of_the_paper(photos):
    task, net, batch = photos
    method = DANN(task, features=5).double()
    losses = method(net, batch, 0.3)
    torch.testing.assert_close(
        losses["label"], F.cross_entropy(net(batch.source.x, "photos"), batch.source.y)
    )
    logits = method.critic(net.features(torch.cat([batch.source.x, batch.target.x])))[:, 0]
    side = torch.tensor([1.0] * 6 + [0.0] * 8, dtype=torch.float64)
    torch.testing.assert_close(losses["domain"], F.binary_cross_entropy_with_logits(logits, side))


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 1.0), (0.2, 1.0), (0.9, 0.3)])
def test_dann_reverses_the_critics_gradient_along_the_ramp(photos, progress, weight):
    task, net, batch = photos
    method = DANN(task, features=5, weight=weight).double()
    logits = method.critic(net.features(torch.cat([batch.source.x, batch.target.x])))[:, 0]
    side = torch.tensor([1.0] * 6 + [0.0] * 8, dtype=torch.float64)
    plain = torch.autograd.grad(
        F.binary_cross_entropy_with_logits(logits, side), [net.backbone[0].weight, method.critic[0].weight]
    )
    got = torch.autograd.grad(
        method(net, batch, progress)["domain"], [net.backbone[0].weight, method.critic[0].weight]
    )
    scale = weight * (2 / (1 + math.exp(-10 * progress)) - 1)
    torch.testing.assert_close(got[0], -scale * plain[0])
    torch.testing.assert_close(got[1], plain[1])


def test_dann_says_what_is_wrong(photos):
    task, net, batch = photos
    with pytest.raises(ValueError, match="`features` should be at least 1; found 0"):
        DANN(task, features=0)
    with pytest.raises(ValueError, match="`weight` should be at least 0 and finite; found -1"):
        DANN(task, features=5, weight=-1)
    with pytest.raises(ValueError, match=r"should be \(rows, 7\); found \(14, 5\); set `features`"):
        DANN(task, features=7).double()(net, batch, 0.0)


def test_domains_do_not_mix_their_batch_statistics(photos):
    task, _, batch = photos
    assert_no_mixed_statistics(DANN(task, features=3).double(), batch)


def test_the_weight_is_a_factor_and_0_leaves_the_labels(photos):
    task, net, batch = photos

    def make(weight):
        torch.manual_seed(0)
        return DANN(task, features=5, weight=weight).double()

    assert_linear_in_weight(make, net, batch)
    assert_trained_by(make(0.0), net, batch, ["label"])


@pytest.mark.parametrize("seed", range(2))
def test_matching_beats_the_source_alone_under_a_shift(seed):
    assert target_accuracy(seed, lambda task: DANN(task, features=16)) > source_accuracy(seed) + 0.1
