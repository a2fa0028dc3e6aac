"""Domains with other columns in one space."""

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.domains import JointSpace
from headstart.engine import predict
from headstart.maths import discrepancy
from headstart.models import Net
from headstart.tasks import Inputs, Labelled, Multiclass, Shift, Task


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def spaces(rows, seed):
    """See one latent point in 9 columns at the source, and others in 4 at the target."""
    y = torch.arange(rows) % 2
    hidden = normal(rows, 3, seed=seed)
    hidden[:, 0] += 5.0 * (y - 0.5)
    wide, narrow = hidden @ normal(3, 9, seed=90), hidden @ normal(3, 4, seed=91)
    return y, wide + 0.1 * normal(rows, 9, seed=seed + 1), narrow + 0.1 * normal(rows, 4, seed=seed + 2)


def test_losses_are_those_of_the_definition():
    torch.manual_seed(0)
    net = Net(nn.Linear(4, 5), {"t": nn.Linear(5, 2)})
    y, wide, narrow = spaces(12, 0)
    task, few = Task("t", Multiclass(2), Labelled(wide, y)), Labelled(narrow[:3], y[:3])
    method = JointSpace(task, source=nn.Linear(9, 5), labelled=few, weight=0.7)
    found = method(net, Shift(task.train, Inputs(narrow)), 0.5)
    one, other = method.source(wide), net.backbone(narrow)
    torch.testing.assert_close(found["mmd"], 0.7 * discrepancy(one, other))
    cross = nn.functional.cross_entropy
    torch.testing.assert_close(found["label"], cross(net.heads["t"](one), y))
    torch.testing.assert_close(found["target"], cross(net.heads["t"](net.backbone(few.x)), few.y))


def test_six_labels_of_the_target_say_which_class_lies_where():
    y, wide, _ = spaces(400, 0)
    truth, _, bare = spaces(400, 10)

    def right(labels):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = Net(nn.Sequential(nn.Linear(4, 8), nn.Tanh()), {"t": nn.Linear(8, 2)})
            encoder = nn.Sequential(nn.Linear(9, 8), nn.Tanh())
        task = Task("t", Multiclass(2), Labelled(wide, y), unlabelled=Inputs(bare))
        method = JointSpace(task, source=encoder, labelled=Labelled(bare[:6], labels))
        hs.fit(
            net,
            hs.shifted(task, 64, generator=torch.Generator().manual_seed(0)),
            method,
            steps=150,
            optimizer=torch.optim.Adam([*net.parameters(), *method.parameters()], lr=1e-2),
            progress=False,
        )
        return float((predict(net, "t", bare, progress=False).argmax(1) == truth).double().mean())

    assert right(truth[:6]) > 0.95
    assert right(1 - truth[:6]) < 0.5


def test_encoders_that_give_other_widths_are_told():
    net = Net(nn.Linear(4, 5), {"t": nn.Linear(5, 2)})
    y, wide, narrow = spaces(12, 0)
    task = Task("t", Multiclass(2), Labelled(wide, y))
    with pytest.raises(ValueError, match=r"should be equally many; found 6 and 5"):
        JointSpace(task, source=nn.Linear(9, 6))(net, Shift(task.train, Inputs(narrow)), 0.5)
