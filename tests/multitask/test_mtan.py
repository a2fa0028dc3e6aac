"""Attention over maps: masks by hand, what tasks share, and encoders without maps."""

import pytest
import torch
from torch import nn

from headstart.models import conv4, maps, mlp
from headstart.multitask import MTAN

from .patterns import check_pattern, netted, rows, seeded, trained, two


def images(seed=0, many=24):
    return rows(seed, many, 64).reshape(many, 1, 8, 8)


def attending(width=4):
    def make():
        encoder = conv4(1, width=width, size=8, norm="group")
        return MTAN(encoder, ["a", "b"], maps(encoder, images()))

    return seeded(make)


def test_mtan_keeps_the_contract(tmp_path):
    check_pattern(attending(), tmp_path, images())


def test_masks_are_those_of_the_formula():
    pattern, x = attending().eval(), images()
    z = [x := block(x) for block in pattern.encoder.blocks]
    own = pattern.attention["a"]
    kept = own.masks[0](z[0]) * z[0]
    for j in range(1, 4):
        carried = nn.functional.adaptive_max_pool2d(own.carry[j - 1](kept), z[j].shape[2:])
        mask = own.masks[j](torch.cat([z[j], carried], 1))
        assert 0 <= mask.min() <= mask.max() <= 1
        kept = mask * z[j]
    torch.testing.assert_close(pattern(images(), "a"), kept.flatten(1))


def test_the_encoder_is_shared_and_attention_is_not():
    net = netted(attending(), two(images()))
    assert {name.split(".")[1] for name in net.shared()} == {"encoder"}


def test_mtan_learns():
    _, history = trained(attending(8), two(images(many=64)), steps=150)
    assert sum(history[-1].values()) < 0.5 * sum(history[0].values())


def test_mtan_says_what_does_not_fit():
    with pytest.raises(
        ValueError, match=r"some that give maps \(channels, height, width\); found \(40,\) behind"
    ):
        maps(mlp(5), rows())
    wrong = MTAN(conv4(1, width=4, size=8), ["a"], {"0": [5, 4, 4]})
    with pytest.raises(ValueError, match=r"map behind block '0' should be of 5 channels; found \(4, 4, 4\)"):
        wrong(images(), "a")
    with pytest.raises(ValueError, match="`maps` of MTAN should be of one block or more; found none"):
        MTAN(conv4(1), ["a"], {})
