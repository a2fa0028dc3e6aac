"""Two losses of two weights, after the papers of CAGrad and Nash-MTL: claims about ways down."""

import pytest
import torch

from headstart.multitask import cagrad, imtl_g, mgda, nash, pcgrad, upgrad

from .problems import F64

NUDGE = 1e-3  # at 0 it is for PyTorch to say whether the clamps have a gradient
STARTS = [(-8.5, 7.5), (NUDGE, NUDGE), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0)]


def losses(at):
    a, b = at.T
    up, down = torch.tanh(b / 2).clamp_min(0), torch.tanh(-b / 2).clamp_min(0)
    found = []
    for side, shift, middle in ((-7, 0.0, 7), (3, 2.0, -7)):
        hill = (0.5 * (side - a) + torch.tanh(b) + shift).abs().clamp_min(5e-6).log() + 6
        bowl = ((middle - a) ** 2 + 0.1 * (b + 8) ** 2) / 10 - 20
        found.append(hill * up + bowl * down)
    return found


def path(weighing, scale=1.0, starts=STARTS, steps=60, rate=0.05):
    """Go down by plain steps of one length, so that the direction alone is seen."""
    at, found = torch.tensor(starts, dtype=F64), []
    for _ in range(steps):
        given = at.clone().requires_grad_()
        rows = torch.stack(
            [
                torch.autograd.grad(factor * loss.sum(), given, retain_graph=True)[0]
                for factor, loss in zip((scale, 1.0), losses(given), strict=True)
            ],
            1,
        )
        step = torch.stack([weighing(r @ r.T) @ r for r in rows])
        at = at - rate * torch.nn.functional.normalize(step, dim=1)
        found.append(at)
    return torch.stack(found)


def equal(gramian):
    return gramian.new_ones(len(gramian))


@pytest.mark.parametrize("weighing", [nash, imtl_g])
def test_a_factor_on_a_loss_leaves_the_way_of_these(weighing):
    assert (path(weighing) - path(weighing, 0.1)).abs().max() < 1e-4


@pytest.mark.parametrize("weighing", [equal, pcgrad, mgda, cagrad, upgrad])
def test_and_turns_that_of_the_others(weighing):
    assert (path(weighing) - path(weighing, 0.1)).abs().max() > 0.1


def test_where_one_loss_is_flat_on_the_sum_nash_lowers_both():
    """In the bowls, between their middles, the sum stays where it is along a, however one loss is scaled."""
    inside = [(4.0, -3.0)]
    low, high = (torch.stack(losses(path(w, 0.05, inside, steps=40)[-1])) for w in (nash, equal))
    before = torch.stack(losses(torch.tensor(inside, dtype=F64)))
    assert (low < before).all()  # both fall
    assert (high[0] > before[0]).all()  # the sum gives up the loss that counts little


def test_at_the_point_of_the_clamps_nothing_breaks():
    for weighing in (nash, imtl_g, mgda, cagrad, upgrad, pcgrad):
        assert path(weighing, starts=[(0.0, 0.0)], steps=3).isfinite().all()
