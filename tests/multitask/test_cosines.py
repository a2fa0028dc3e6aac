"""Cosines of task gradients: by hand, of tasks that never meet, and a net that is left as it was."""

import torch
from torch import nn

from headstart.models import Net
from headstart.multitask import cosines
from headstart.transfer import Supervised

from .patterns import rows, two
from .problems import flat, losses_of, make


def test_cosines_are_those_of_explicit_gradients():
    net, x = make()
    found = cosines(net, lambda net, x, p: losses_of(net, x), [x, 2 * x], ["c", "a"])
    expected = []
    for batch in (x, 2 * x):
        losses = losses_of(net, batch)
        one, other = (
            flat(torch.autograd.grad(losses[n], list(net.shared().values()), retain_graph=True)) for n in "ca"
        )
        expected.append(nn.functional.cosine_similarity(one, other, dim=0))
    torch.testing.assert_close(found[0, 1].double(), torch.stack(expected).mean(), atol=1e-6, rtol=0)
    torch.testing.assert_close(found, found.T)
    torch.testing.assert_close(found.diagonal(), torch.ones(2))


def test_tasks_that_never_meet_have_none_and_the_net_stays_as_it_was():
    tasks = two(rows())
    backbone = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    net = Net(backbone, {t.name: t.kind.head(4) for t in tasks}).train()
    before = {n: v.clone() for n, v in net.state_dict().items()}
    batches = [{"a": tasks[0].train}, {"b": tasks[1].train}]
    found = cosines(net, Supervised(*tasks), batches, ["a", "b"])
    assert found.isnan().tolist() == [[False, True], [True, False]]
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())
    assert all(part.training for part in net.modules())
    assert all(p.grad is None for p in net.parameters())
