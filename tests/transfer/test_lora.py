"""Updates of low rank: what they add, what stays to the bit, and the traps of the library."""

import copy
import importlib
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from headstart.models import Net, conv4, hf
from headstart.transfer import lora
from headstart.transfer._lora import adaptable

needs_peft = pytest.mark.skipif(find_spec("peft") is None, reason="needs peft")


class Texts(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x):
        return self.layers(x).mean(1)


class Depthwise(nn.Sequential):
    def __init__(self):
        parts = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 4, 3, groups=4)
        super().__init__(*parts, nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())


MADE = {
    "conv4": (lambda: conv4(1, width=4, size=16), (6, 1, 16, 16), 4),
    "depthwise": (Depthwise, (6, 1, 8, 8), 4),
    "bare": (lambda: nn.Linear(3, 4), (6, 3), 4),
    "transformer": (Texts, (6, 5, 8), 8),
}


def made(name):
    torch.manual_seed(0)
    make, shape, width = MADE[name]
    return Net(make(), {"a": nn.Linear(width, 2)}).double(), torch.randn(shape).double()


def train(net, x, steps=4):
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for _ in range(steps):
        net.train()
        optimizer.zero_grad()
        net(x, "a").square().sum().backward()
        optimizer.step()


@needs_peft
@pytest.mark.parametrize("name", MADE)
def test_updates_are_merged_and_all_else_stays_to_the_bit(name):
    net, x = made(name)
    before, types = copy.deepcopy(net.state_dict()), [type(part) for part in net.modules()]
    layers = {f"backbone.{layer}.weight".replace("..", ".") for layer in adaptable(net.backbone)}
    answers = net.eval()(x, "a")
    fast = torch.backends.mha.get_fastpath_enabled()
    with lora(net, rank=2):
        torch.testing.assert_close(net.eval()(x, "a"), answers)  # nothing is added at first
        train(net, x)
        with torch.no_grad():
            inside = net.eval()(x, "a")
    assert torch.backends.mha.get_fastpath_enabled() == fast
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(x, "a"), inside)
    assert not torch.allclose(inside, answers)
    assert [type(part) for part in net.modules()] == types
    after = net.state_dict()
    assert after.keys() == before.keys()
    moved = {n for n in after if not torch.equal(after[n], before[n])}
    assert moved == layers | {"heads.a.weight", "heads.a.bias"}
    assert all(p.requires_grad for p in net.parameters())
    for layer in layers:
        change = (after[layer] - before[layer]).flatten(1)
        assert torch.linalg.matrix_rank(change, rtol=1e-6) <= 2 or after[layer].ndim == 4


@needs_peft
def test_updates_are_those_of_the_formula():
    net, _ = made("bare")
    start = net.backbone.weight.detach().clone()
    with lora(net, rank=2, alpha=6.0):
        found = dict(net.backbone.named_parameters())
        a, b = (next(p for n, p in found.items() if f"lora_{m}" in n) for m in "AB")
        with torch.no_grad():
            b.copy_(torch.randn(4, 2))
        a, b = a.detach().clone(), b.detach().clone()
    torch.testing.assert_close(net.backbone.weight.detach(), start + 6.0 / 2 * b @ a)


@needs_peft
def test_a_gpt_is_tuned_too():
    config = {
        "model_type": "gpt2",
        "vocab_size": 12,
        "n_embd": 8,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 8,
    }
    torch.manual_seed(0)
    trunk = hf("new", weights=None, config=config | {"bos_token_id": None, "eos_token_id": None})
    net, x = Net(trunk, {"a": nn.Linear(8, 2)}).double(), torch.tensor([[3, 4, 5], [6, 7, 0]])
    before, answers = copy.deepcopy(net.state_dict()), net.eval()(x, "a")
    assert len(adaptable(trunk)) == 2 * 4  # attention and its output, two of the block behind it
    with lora(net, rank=2):
        torch.testing.assert_close(net.eval()(x, "a"), answers)
        train(net, x)
        inside = net.eval()(x, "a").detach()
    torch.testing.assert_close(net.eval()(x, "a").detach(), inside)
    moved = {n for n, value in net.state_dict().items() if not torch.equal(value, before[n])}
    assert moved == {f"backbone.{n}.weight" for n in adaptable(trunk)} | {"heads.a.weight", "heads.a.bias"}
    for name in adaptable(trunk):
        change = net.state_dict()[f"backbone.{name}.weight"] - before[f"backbone.{name}.weight"]
        assert torch.linalg.matrix_rank(change, rtol=1e-6) == 2


@needs_peft
def test_equal_generators_draw_equal_updates():
    drawn = []
    for seed in (1, 1, 2):
        net, _ = made("conv4")
        with lora(net, rank=2, generator=torch.Generator().manual_seed(seed)):
            drawn.append(torch.cat([p.flatten() for n, p in net.named_parameters() if "lora_A" in n]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_layers_are_found_by_type():
    assert adaptable(Depthwise()) == ["0"]
    assert adaptable(Texts().layers.layers[0]) == ["linear1", "linear2"]


def test_what_cannot_be_is_told():
    net, _ = made("bare")
    with pytest.raises(ValueError, match="`rank` should be at least 1; found 0"), lora(net, 0):
        pass
    with pytest.raises(ValueError, match="`alpha` should be above 0 and finite"), lora(net, 1, 0.0):
        pass
    empty = Net(nn.BatchNorm1d(3), {"a": nn.Linear(3, 1)})
    with pytest.raises(ValueError, match="layers of the backbone should be linear, or conv"), lora(empty):
        pass


def test_a_missing_library_is_named(monkeypatch):
    real = importlib.import_module

    def missing(name, *args):
        if name == "peft":
            raise ModuleNotFoundError("no", name="peft")
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", missing)
    net, _ = made("bare")
    with pytest.raises(ModuleNotFoundError, match=r'pip install "headstart\[peft\]"'), lora(net):
        pass
