"""Step sizes that fall from block to block: on every sort of backbone, or a word that there are no blocks."""

from importlib.util import find_spec

import pytest
import torch
from torch import nn

from headstart.models import Net, backbone, conv4, decayed_groups, depths, textcnn, timm, torchvision

MADE = {
    "conv4": lambda: conv4(1, width=4, size=16),
    "mlp": lambda: backbone("mlp", inputs=(4,)),
    "textcnn": lambda: textcnn(50),
    "torchvision:resnet18": lambda: torchvision("resnet18", weights=None),
    "torchvision:mobilenet_v3_small": lambda: torchvision("mobilenet_v3_small", weights=None),
    "torchvision:vit_b_16": lambda: torchvision("vit_b_16", weights=None),
    "timm:tf_efficientnet_lite0": lambda: timm("tf_efficientnet_lite0", weights=None),
    "timm:vit_tiny_patch16_224": lambda: timm("vit_tiny_patch16_224", weights=None),
}


@pytest.mark.parametrize("name", MADE)
def test_rates_fall_from_block_to_block_and_every_parameter_has_one(name):
    for package in ("PIL", "torchvision", *name.split(":")[:1]) if ":" in name else ():
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    with torch.random.fork_rng():
        net = Net(MADE[name](), {"a": nn.Linear(1, 1)})
    groups = decayed_groups(net, 1.0, 0.5)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(rates) == sum(len(group["params"]) for group in groups) == len(list(net.parameters()))
    assert len({group["lr"] for group in groups}) >= 3
    order = [rates[id(p)] for p in net.backbone.parameters()]
    assert order == sorted(order)  # from the input up
    assert order[0] < order[-1] <= rates[id(net.heads["a"].weight)] == 1.0


def test_rates_are_those_of_the_formula():
    stack = nn.Sequential(*[nn.Linear(2, 2) for _ in range(3)])
    net = Net(nn.ModuleDict({"stem": nn.Linear(2, 2), "blocks": stack, "norm": nn.LayerNorm(2)}), {})
    assert {n: d for n, d in depths(net.backbone).items() if n.endswith("weight")} == {
        "stem.weight": 4, "blocks.0.weight": 3, "blocks.1.weight": 2, "blocks.2.weight": 1, "norm.weight": 0,
    }  # fmt: skip
    rates = {group["name"]: group["lr"] for group in decayed_groups(net, 0.1, 0.8)}
    assert rates == pytest.approx({f"backbone -{d}": 0.1 * 0.8**d for d in range(5)})


def test_a_backbone_without_blocks_says_so_and_bad_numbers_are_told():
    with pytest.raises(ValueError, match="blocks of the backbone should be at least two; found 0"):
        depths(nn.Linear(2, 2))
    net = Net(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), {})
    with pytest.raises(ValueError, match="`lr` should be above 0; found 0"):
        decayed_groups(net, 0, 0.5)
    with pytest.raises(ValueError, match=r"`decay` should be in \(0, 1\]; found 1.5"):
        decayed_groups(net, 1.0, 1.5)
