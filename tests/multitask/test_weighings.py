"""What every weighing of Gramians stands, and every combine trains through."""

import functools
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.multitask import (
    GradVac,
    Uncertainty,
    aligned,
    backward,
    cagrad,
    config,
    dualproj,
    fairgrad,
    imtl_g,
    mgda,
    nash,
    pcgrad,
    upgrad,
    weighted,
)
from headstart.tasks import batches
from headstart.transfer import Supervised

from .problems import F64, losses_of, make, two_tasks

STATELESS = [aligned, cagrad, config, dualproj, fairgrad, imtl_g, mgda, nash, pcgrad, upgrad]
SIGNED = [aligned, config, imtl_g]  # whose weights may be below 0


@pytest.mark.parametrize("weighing", STATELESS)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize(
    "rows",
    [
        [[0.0, 0.0], [1.0, 2.0]],
        [[0.0, 0.0], [0.0, 0.0]],
        [[1.0, 2.0], [2.0, 4.0]],
        [[1.0, 2.0], [-1.0, -2.0]],
        [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]],
        [[1e-20, 0.0], [-1e20, 0.0]],
        [[1e-7, 0.0], [-1.0, 1.0], [1e4, 1.0]],
        [[1e-10, 0.0], [-1e10, 1e10], [1.0, 1.0], [1e10, 1e10]],
        [[3.0, 1.0]],
    ],
)
def test_zero_collinear_and_extreme_gradients_give_finite_weights(weighing, rows, dtype):
    rows = torch.tensor(rows, dtype=F64)
    weights = weighing(
        (rows @ rows.T).to(torch.float32).to(dtype) if rows.abs().max() < 1e18 else rows @ rows.T
    )
    assert weights.shape == (len(rows),)
    assert weights.isfinite().all()
    assert weighing in SIGNED or (weights >= 0).all()


@pytest.mark.parametrize("weighing", [*STATELESS, GradVac(["a", "b"])])
def test_weighings_say_what_is_wrong(weighing):
    with pytest.raises(ValueError, match=r"`gramian` should be .*; found \(2, 3\)"):
        weighing(torch.ones(2, 3))
    with pytest.raises(FloatingPointError, match="should be finite"):
        weighing(torch.full((2, 2), torch.nan))


def test_combines_pickle():
    net, x = make()
    seeded = functools.partial(pcgrad, generator=None)
    for combine in (
        backward(pcgrad),
        backward(mgda),
        backward(seeded),
        weighted(Uncertainty(["a", "b", "c"])),
    ):
        pickle.loads(pickle.dumps(combine))(losses_of(net, x), net)


@pytest.mark.parametrize("sampling", ["equal", "alternate", "proportional"])
@pytest.mark.parametrize(
    "make_combine",
    [
        *[lambda weighing=weighing: backward(weighing) for weighing in STATELESS],
        lambda: backward(GradVac(["a", "b", "c"])),
        lambda: weighted(Uncertainty(["a", "b", "c"])),
    ],
)
def test_combines_train_through_holes_and_absent_tasks(sampling, make_combine):
    tasks, combine = two_tasks(), make_combine()
    torch.manual_seed(0)
    net = Net(
        nn.Sequential(nn.Linear(3, 8), nn.Tanh()),
        {"a": nn.Linear(8, 2), "b": nn.Linear(8, 1), "c": nn.Linear(8, 1)},
    )
    objective, stream = Supervised(*tasks), batches(tasks, 4, sampling=sampling, generator=torch.Generator())
    optimizer = torch.optim.Adam([*net.parameters(), *combine.parameters()], 1e-2)
    last = []
    for step, batch in zip(range(60), stream, strict=False):
        optimizer.zero_grad()
        losses = objective(net, batch, step / 60)
        combine(losses, net)
        optimizer.step()
        last.append(sum(losses.values()).item() / max(1, len(losses)))
    assert all(p.isfinite().all() for p in net.parameters())
    assert np.mean(last[-15:]) < np.mean(last[:15])
