"""Cross-stitch units: the mixing by hand, its gradient, and where encoders part."""

import pytest
import torch
from torch import nn

from headstart.models import conv4, mlp, textcnn
from headstart.multitask import CrossStitch

from .patterns import check_pattern, rows, seeded, trained, two


def stitched(own=0.9, make=lambda: mlp(5, hidden=[6, 4])):
    return seeded(lambda: CrossStitch({t: make() for t in ("a", "b")}, own=own))


def test_cross_stitch_keeps_the_contract(tmp_path):
    check_pattern(stitched(), tmp_path, rows())
    check_pattern(stitched(), tmp_path / "apart", rows(), rows(1))
    images = rows(width=64).reshape(24, 1, 8, 8)
    check_pattern(stitched(make=lambda: conv4(1, width=4, size=8)), tmp_path / "images", images)


def test_features_are_mixed_behind_every_block():
    pattern, x = stitched(0.7), rows()
    a, b = pattern.encoders["a"].layers, pattern.encoders["b"].layers
    one, other = a[1](a[0](x)), b[1](b[0](x))
    one, other = 0.7 * one + 0.3 * other, 0.3 * one + 0.7 * other
    last = 0.7 * a[3](a[2](one)) + 0.3 * b[3](b[2](other))
    torch.testing.assert_close(pattern(x, "a"), last)


def test_alone_the_units_change_nothing():
    pattern, x = stitched(1.0), rows()
    assert torch.equal(pattern(x, "a"), pattern.encoders["a"](x))


def test_the_mixing_is_learned():
    net, history = trained(stitched(), two(rows(many=64)), steps=150)
    assert sum(history[-1].values()) < 0.5 * sum(history[0].values())
    assert (net.backbone.mixing - stitched().mixing).abs().max() > 0.05


def test_cross_stitch_says_where_the_shapes_part():
    pattern = CrossStitch({"a": mlp(5, hidden=[6, 4]), "b": mlp(5, hidden=[7, 4])})
    with pytest.raises(
        ValueError, match=r"at block 0 should be of one shape; found \(6,\) of 'a', \(7,\) of 'b'"
    ):
        pattern(rows(), "a")
    with pytest.raises(ValueError, match=r"encoders should be of as many blocks; found {'a': 2, 'b': 1}"):
        CrossStitch({"a": mlp(5, hidden=[6, 4]), "b": mlp(5, hidden=[4])})
    with pytest.raises(ValueError, match="encoder 'a' should be a chain of blocks; found _TextCNN"):
        CrossStitch({"a": textcnn(9), "b": textcnn(9)})
    with pytest.raises(ValueError, match=r"`own` should be in \(0, 1\]"):
        stitched(own=0.0)
    assert CrossStitch({t: nn.Sequential(nn.Linear(5, 3)) for t in "ab"}, x=rows()).width == 3
