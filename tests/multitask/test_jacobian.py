"""Methods that are told by gradients and not by their Gramian alone: GradDrop, and config, which is."""

import copy

import pytest
import torch
from torchjd.aggregation import ConFIG

from headstart.multitask import GradDrop, config, imtl_g
from headstart.testing import (
    assert_factor_invariant,
    assert_no_conflict,
    assert_permutation_equivariant,
    assert_scale_invariant,
)

from .problems import F64, flat, jacobian, losses_of, make


@pytest.mark.parametrize("tasks", [1, 2, 5, 8])
def test_config_is_the_pseudoinverse_of_the_directions(tasks):
    for seed in range(5):
        rows = jacobian(tasks, 12, seed) * torch.logspace(-1, 1, tasks, dtype=F64)[:, None]
        unit = torch.nn.functional.normalize(
            torch.linalg.pinv(rows / rows.norm(dim=1, keepdim=True)).sum(1), dim=0
        )
        step = config(rows @ rows.T) @ rows
        torch.testing.assert_close(step, (rows @ unit).sum() * unit, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(step, ConFIG()(rows), rtol=1e-6, atol=1e-9)
        other = imtl_g(rows @ rows.T) @ rows
        torch.testing.assert_close(step / step.norm(), other / other.norm())


LAWS = [
    assert_factor_invariant,
    assert_no_conflict,
    assert_permutation_equivariant,
    assert_scale_invariant,
]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("tasks", "width"), [(1, 3), (2, 3), (5, 9), (7, 9)])
def test_laws_of_config(law, tasks, width):
    for seed in range(5):
        law(config, jacobian(tasks, width, seed))


def rows_of(net, x):
    shared = list(net.shared().values())
    losses = losses_of(net, x).values()
    return torch.stack([flat(torch.autograd.grad(v, shared, retain_graph=True)) for v in losses])


def test_graddrop_keeps_one_sign_of_each_weight_with_the_chance_of_its_purity():
    net, x = make()
    rows = rows_of(net, x)
    purity = (1 + rows.sum(0) / rows.abs().sum(0)) / 2
    combine, ups, count = GradDrop(seed=1), torch.zeros_like(purity), 600
    for _ in range(count):
        net.zero_grad()
        combine(losses_of(net, x), net)
        found = flat(p.grad for p in net.shared().values())
        positive, negative = rows.clamp_min(0).sum(0), rows.clamp_max(0).sum(0)
        up = torch.isclose(found, positive)
        assert (up | torch.isclose(found, negative)).all()
        ups += up
    mixed = (purity > 0.01) & (purity < 0.99)
    assert mixed.any()
    torch.testing.assert_close((ups / count)[mixed], purity[mixed], rtol=0, atol=0.1)


def test_graddrop_that_leaks_all_is_the_sum_and_heads_always_get_it():
    net, x = make()
    twin = copy.deepcopy(net)
    sum(losses_of(twin, x).values()).backward()
    heads = flat(p.grad for p in twin.heads.parameters())
    GradDrop(leak=1.0)(losses_of(net, x), net)
    torch.testing.assert_close([p.grad for p in net.parameters()], [p.grad for p in twin.parameters()])
    net.zero_grad()
    GradDrop()(losses_of(net, x), net)
    torch.testing.assert_close(flat(p.grad for p in net.heads.parameters()), heads)


def test_graddrop_goes_on_where_it_was():
    net, x = make()
    combine = GradDrop(seed=5)
    for _ in range(3):
        net.zero_grad()
        combine(losses_of(net, x), net)
    third = flat(p.grad for p in net.parameters())
    again = GradDrop(seed=5)
    again.load_state_dict({"steps": torch.tensor(2)})
    net.zero_grad()
    again(losses_of(net, x), net)
    assert torch.equal(flat(p.grad for p in net.parameters()), third)


def test_graddrop_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"`leak` should be in \[0, 1\]; found 2"):
        GradDrop(leak=2)
    net, x = make()
    with pytest.raises(FloatingPointError, match='loss "a" should be finite'):
        GradDrop()(losses_of(net, x) | {"a": losses_of(net, x)["a"] * torch.nan}, net)
