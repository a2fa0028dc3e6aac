"""Tasks at depths: what each reads, what it leaves alone, and successive regularisation."""

import pytest
import torch
from torch import nn

from headstart.models import conv4, mlp, textcnn, widths
from headstart.multitask import Hierarchical
from headstart.transfer import L2SP, Plus, Supervised

from .patterns import check_pattern, netted, rows, seeded, two


def low(at=None, make=lambda: mlp(5, hidden=[6, 4]), x=None):
    encoder = seeded(make)
    return Hierarchical(encoder, at or {"a": "0", "b": ""}, widths(encoder, rows() if x is None else x))


def test_hierarchical_keeps_the_contract(tmp_path):
    check_pattern(low(), tmp_path, rows())
    check_pattern(low(), tmp_path / "apart", rows(), rows(1))
    images = rows(width=64).reshape(24, 1, 8, 8)
    deep = low({"a": "0", "b": "2"}, lambda: conv4(1, width=4, size=8), images)
    check_pattern(deep, tmp_path / "images", images)


def test_a_task_reads_its_block_and_those_of_lower_tasks():
    pattern, x = low(), rows()
    layers = pattern.encoder.backbone.layers
    torch.testing.assert_close(pattern(x, "a"), layers[0](x))
    torch.testing.assert_close(pattern(x, "b"), torch.cat([layers[0](x), layers(x)], 1))


def test_a_low_task_does_not_move_what_is_above_it():
    pattern = low()
    pattern(rows(), "a").sum().backward()
    layers = pattern.encoder.backbone.layers
    assert layers[0].weight.grad is not None
    assert layers[2].weight.grad is None


def test_successive_regularisation_keeps_what_the_lower_task_learned():
    a, b = two(rows())

    def moved(weight):
        net = netted(low(), (a, b))
        start = {n: p.detach().clone() for n, p in net.backbone.named_parameters()}
        objective = Plus(Supervised(b), L2SP(net, weight=weight))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        for _ in range(50):
            optimizer.zero_grad()
            torch.stack([*objective(net, {"b": b.train}, 0.0).values()]).sum().backward()
            optimizer.step()
        return sum((p - start[n]).square().sum() for n, p in net.backbone.named_parameters())

    assert moved(2.0) < 0.3 * moved(0.0)


def test_hierarchical_says_what_does_not_fit():
    encoder = mlp(5, hidden=[6, 4])
    with pytest.raises(ValueError, match='block of the encoder should be a known name; found "1"'):
        Hierarchical(encoder, {"a": "1"}, {"1": 6})
    with pytest.raises(ValueError, match="width at block '0' should be known"):
        Hierarchical(encoder, {"a": "0"}, {"": 4})
    with pytest.raises(ValueError, match="features at block '0' should be 7, as said; found 6"):
        Hierarchical(encoder, {"a": "0"}, {"0": 7})(rows(), "a")


def test_any_encoder_with_blocks_serves():
    text = textcnn(9, embedding=4, filters=3)
    ids = torch.randint(1, 9, (4, 6), generator=torch.Generator().manual_seed(0))
    pattern = Hierarchical(text, {"a": ""}, widths(text, ids))
    assert pattern(ids, "a").shape == (4, 9)
    own = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 2))
    assert Hierarchical(own, {"a": "0"}, widths(own, rows())).use == ""
