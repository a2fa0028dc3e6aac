"""Clicks and conversions: the losses by hand, what need not be known, and batches that do not fit."""

import math

import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.multitask import EntireSpace
from headstart.tasks import Labelled

NAN = float("nan")


def net(width=3):
    torch.manual_seed(0)
    heads = {"click": nn.Linear(width, 1).double(), "sale": nn.Linear(width, 1).double()}
    return Net(nn.Identity(), heads)


def batch(clicks, sales):
    x = torch.randn(len(clicks), 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return {"click": Labelled(x, torch.tensor(clicks)), "sale": Labelled(x, torch.tensor(sales))}


def test_the_losses_are_those_of_the_paper():
    own, rows = net(), batch([1.0, 1.0, 0.0, 0.0], [1.0, 0.0, NAN, 0.0])
    found = EntireSpace("click", "sale")(own, rows, 0.0)
    p = own(rows["click"].x, "click").sigmoid().flatten().tolist()
    q = own(rows["click"].x, "sale").sigmoid().flatten().tolist()
    click = -sum(math.log(a if c else 1 - a) for a, c in zip(p, (1, 1, 0, 0), strict=True)) / 4
    both = -sum(math.log(a * b if s else 1 - a * b) for a, b, s in zip(p, q, (1, 0, 0, 0), strict=True)) / 4
    assert found["click"].item() == pytest.approx(click)
    assert found["sale"].item() == pytest.approx(both)


def test_rows_whose_click_is_not_known_do_not_count_and_what_was_not_clicked_was_not_sold():
    own = net()
    whole = EntireSpace("click", "sale")(own, batch([1.0, 0.0, NAN], [1.0, 1.0, 1.0]), 0.0)
    parts = EntireSpace("click", "sale")(own, batch([1.0, 0.0], [1.0, NAN]), 0.0)
    for name in whole:
        torch.testing.assert_close(whole[name], parts[name])


def test_a_sure_click_and_sale_have_a_finite_loss_and_slope():
    own = net()
    with torch.no_grad():
        for head in own.heads.values():
            head.weight.zero_()
            head.bias.fill_(80.0)
    losses = EntireSpace("click", "sale")(own, batch([1.0, 0.0], [1.0, 0.0]), 0.0)
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert all(p.grad.isfinite().all() for p in own.parameters())


def test_it_learns_the_conversions_of_all_rows_though_only_clicked_ones_have_them():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 3, generator=generator, dtype=torch.float64)
    click_chance, sale_chance = (2 * x[:, 0]).sigmoid(), (x[:, 1] - x[:, 0]).sigmoid()
    clicks = torch.bernoulli(click_chance, generator=generator)
    sales = torch.bernoulli(sale_chance, generator=generator).masked_fill(clicks == 0, NAN)
    own = net()
    optimizer = torch.optim.LBFGS(own.parameters(), max_iter=50)
    rows = {"click": Labelled(x, clicks), "sale": Labelled(x, sales)}

    def closure():
        optimizer.zero_grad()
        loss = sum(EntireSpace("click", "sale")(own, rows, 0.0).values())
        loss.backward()
        return loss

    optimizer.step(closure)
    found = own(x, "sale").sigmoid().flatten()
    assert (found - sale_chance).abs().mean() < 0.05


def test_batches_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="no 'sale'"):
        EntireSpace("click", "sale")(net(), {"click": batch([1.0], [1.0])["click"]}, 0.0)
    rows = batch([1.0, 0.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="rows of the two tasks should be the same"):
        EntireSpace("click", "sale")(net(), {**rows, "sale": rows["sale"].take(torch.tensor([0]))}, 0.0)
