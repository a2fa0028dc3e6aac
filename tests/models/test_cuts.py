"""Features at a backbone's blocks, and backbones that end behind one."""

import copy

import pytest
import torch
from torch import nn

from headstart.models import AtAllCuts, Net, backbone, conv4, cut, cuts, freeze, load, mlp, save, widths
from headstart.models.backbones.cuts import Cut, first_tensor, pooled
from headstart.tasks import Multiclass


class Stack(nn.Module):
    """A stem, a stack of blocks of two layers, and a last layer; blocks give tuples."""

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

        def forward(self, x):
            return x + self.second(self.first(x).relu()), "more"

    def __init__(self, width=6):
        super().__init__()
        self.stem = nn.Linear(2, width)
        self.blocks = nn.ModuleList([self.Block(width) for _ in range(3)])
        self.drop, self.last = nn.Dropout(0.5), nn.Linear(width, 4)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x, _ = block(x)
        return self.last(self.drop(x))


def test_cuts_are_the_blocks_of_a_stack_in_order():
    assert cuts(Stack()) == ["blocks.0", "blocks.1", "blocks.2", ""]
    assert len(cuts(mlp(3, hidden=[5, 4]))) == 3
    wrapped = nn.ModuleDict({"model": Stack()})
    assert cuts(wrapped) == cuts(Stack())  # a wrapper is looked through


def test_a_convolution_and_its_norm_are_one_block():
    names = cuts(conv4(1, size=[8, 8], width=4))
    assert len(names) == 5  # four blocks, and the whole


@pytest.mark.parametrize(
    ("name", "first", "count"),
    [("torchvision:resnet18", "layer1.0", 9), ("torchvision:mobilenet_v2", "0", 20)],
)
def test_cuts_of_known_nets(name, first, count):
    pytest.importorskip("PIL")
    found = cuts(backbone(name, weights=None))
    assert (found[0], len(found)) == (first, count)


def test_one_pass_gives_the_features_at_every_cut():
    net, x = Stack().eval(), torch.randn(5, 2)
    by_hand, h = {}, net.stem(x)
    for number, block in enumerate(net.blocks):
        h, _ = block(h)
        by_hand[f"blocks.{number}"] = h
    by_hand[""] = net.last(h)
    assert widths(net, x) == {"blocks.0": 6, "blocks.1": 6, "blocks.2": 6, "": 4}
    found = AtAllCuts(net, list(by_hand)).by_name(x)
    assert all(torch.equal(found[name], value) for name, value in by_hand.items())
    assert torch.equal(AtAllCuts(net, ["blocks.1", ""])(x), torch.cat([by_hand["blocks.1"], by_hand[""]], 1))
    assert not any(block._forward_hooks for block in net.modules())


def test_widths_move_nothing():
    net = Stack().train()
    net.blocks[1].eval()
    widths(net, torch.randn(3, 2))
    assert net.training
    assert net.drop.training
    assert not net.blocks[1].training


def test_what_changes_in_place_later_does_not_change_the_features():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True), nn.Linear(3, 2))
    x = torch.randn(9, 2)
    assert torch.equal(AtAllCuts(net, ["0"]).by_name(x)["0"], net[0](x))


@pytest.mark.parametrize("layer", ["blocks.0", "blocks.2"])
def test_a_cut_backbone_gives_what_the_whole_gave_there_and_keeps_no_more(layer):
    net, x = Stack().eval(), torch.randn(5, 2)
    there = AtAllCuts(net, [layer]).by_name(x)[layer]
    made = cut(copy.deepcopy(net), layer, x)
    assert torch.equal(made(x), there)
    assert made.width == 6
    blocks = int(layer[-1]) + 1
    assert sum(p.numel() for p in made.parameters()) == 18 + blocks * 84
    made(x).sum().backward()
    assert all(p.grad is not None for p in made.parameters())
    assert torch.equal(copy.deepcopy(made)(x), there)


def test_the_whole_is_left_as_it_is():
    net = Stack()
    assert cut(net, "", torch.randn(1, 2)) is net


def test_a_name_that_is_no_block_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean .blocks\.0"):
        cut(Stack(), "block.0", torch.randn(1, 2))


class Late(nn.Module):
    """Uses what is written last before what is written first."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.before = nn.Linear(2, 2)

    def forward(self, x):
        x = self.before(x)
        for block in self.blocks:
            x = block(x)
        return x


def test_a_block_that_needs_what_is_written_behind_it_is_refused():
    with pytest.raises(ValueError, match=r"features at block 'blocks\.0'"):
        cut(Late(), "blocks.0", torch.randn(1, 2))


def test_maps_are_averaged_over_a_grid_and_tokens_over_the_text():
    maps = torch.arange(36.0).view(1, 1, 6, 6)
    assert pooled(maps).tolist() == [[3.5, 5.5, 7.5, 15.5, 17.5, 19.5, 27.5, 29.5, 31.5]]
    last = torch.randn(2, 6, 6, 5)
    assert torch.equal(pooled(last), pooled(last.movedim(3, 1)))  # channels last
    tokens = torch.randn(2, 7, 5)
    assert torch.equal(pooled(first_tensor({"hidden": (tokens, None)})), tokens.mean(1))


def test_a_saved_model_ends_where_it_was_cut(tmp_path):
    x = torch.randn(3, 1, 8, 8)
    made = cut(conv4(1, size=[8, 8], width=4), "1", x)
    net = Net(freeze(made), {"digits": nn.Linear(made.width, 2)}).eval()
    save(net, tmp_path / "model", kinds={"digits": Multiclass(2)})
    saved = load(tmp_path / "model")
    assert torch.equal(saved.net(x, "digits"), net(x, "digits"))
    again = backbone(f"file:{tmp_path / 'model'}")
    assert torch.equal(again.eval()(x), made(x))
    assert isinstance(again, Cut)


def test_a_cut_module_of_the_users_own_is_filled_from_a_whole_one(tmp_path):
    x = torch.randn(3, 2)
    made = cut(Stack(), "blocks.0", x)
    net = Net(made, {"coins": nn.Linear(6, 2)}).eval()
    save(net, tmp_path / "model", kinds={"coins": Multiclass(2)})
    saved = load(tmp_path / "model", backbone=Stack())
    assert torch.equal(saved.net(x, "coins"), net(x, "coins"))
