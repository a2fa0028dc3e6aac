import warnings

import pytest
import torch
from torch import nn

from headstart.models import reinitialise
from headstart.models.backbones import start
from headstart.models.fresh import copied

new = nn.utils.parametrizations


def old(function, layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(layer)


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.layer = nn.Parameter(torch.randn(4)), nn.Linear(4, 8)
        self.scale = nn.Parameter(torch.full((8,), 1e-5))
        self.codes = nn.Parameter(torch.arange(4.0).sin(), requires_grad=False)

    def forward(self, x):
        return self.layer(x + self.token + self.codes) * self.scale


LAYERS = {
    "weight_norm": lambda: new.weight_norm(nn.Linear(4, 8)),
    "spectral_norm": lambda: new.spectral_norm(nn.Linear(4, 8)),
    "orthogonal": lambda: new.orthogonal(nn.Linear(4, 8)),
    "old weight_norm": lambda: old(nn.utils.weight_norm, nn.Linear(4, 8)),
    "old spectral_norm": lambda: old(nn.utils.spectral_norm, nn.Linear(4, 8)),
    "bare": Bare,
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_weight_is_drawn_anew_however_it_is_kept(name):
    torch.manual_seed(0)
    module, x = nn.Sequential(LAYERS[name](), nn.ReLU(), nn.Linear(8, 3)), torch.randn(6, 4)
    before = {n: p.detach().clone() for n, p in module.named_parameters()}
    said = module(x).detach()
    fresh = start(module).build(weights=None)
    assert not torch.allclose(fresh(x), said)
    for n, value in fresh.named_parameters():
        constant = before[n].std(correction=0) == 0 or not value.requires_grad or n.endswith("0.base")
        assert constant or not torch.equal(value, before[n]), n
        assert value.isfinite().all()
    assert all(torch.equal(p, before[n]) for n, p in module.named_parameters())


def test_what_is_the_same_everywhere_and_what_does_not_train_stays():
    module = Bare()
    token, codes = module.token.detach().clone(), module.codes.clone()
    reinitialise(module)
    assert not torch.equal(module.token, token)
    assert torch.equal(module.scale, torch.full((8,), 1e-5))
    assert torch.equal(module.codes, codes)


def test_a_module_that_does_not_train_at_all_is_drawn_all_the_same():
    module = Bare().requires_grad_(False)
    before = module.token.clone()
    assert not torch.equal(reinitialise(module).token, before)


def test_a_module_that_keeps_its_last_call_is_copied():
    module = nn.Sequential(old(nn.utils.weight_norm, nn.Linear(4, 8)))
    x = torch.randn(5, 4)
    said = module(x)
    assert module[0].weight.grad_fn is not None
    with pytest.raises(RuntimeError, match="deepcopy"):
        __import__("copy").deepcopy(module)
    twin = copied(module)
    assert torch.equal(twin(x), said)
    twin(x).sum().backward()
    assert module[0].weight_v.grad is None
    assert twin[0].weight_v.grad is not None


def test_a_scripted_module_and_one_that_waits_for_its_first_row_are_copied():
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 8)))
    scripted[0].bias.requires_grad_(False)
    made = copied(scripted)
    assert [(p.is_leaf, p.requires_grad) for p in made.parameters()] == [(True, True), (True, False)]
    lazy = nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d())
    assert copied(lazy).eval()(torch.zeros(1, 3)).shape == (1, 8)
    assert torch.nn.parameter.is_lazy(lazy[0].weight)
