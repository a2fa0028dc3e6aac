"""Looking ahead: by hand, tasks that never meet, the net left as it was; and the best groups."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from headstart.models import Net
from headstart.multitask import affinity, groups
from headstart.multitask._affinity import MOST, divisions
from headstart.transfer import Supervised

from .patterns import rows, two
from .problems import losses_of, make


def test_affinities_are_the_shares_of_loss_that_an_explicit_step_takes_away():
    net, x = make()
    found = affinity(net, lambda net, x, p: losses_of(net, x), [x], ["c", "a"], lr=0.05)
    before = losses_of(net, x)
    for k, name in enumerate("ca"):
        shared = list(net.shared().values())
        slopes = torch.autograd.grad(losses_of(net, x)[name], shared)
        kept = [w.detach().clone() for w in shared]
        with torch.no_grad():
            for weight, slope in zip(shared, slopes, strict=True):
                weight -= 0.05 * slope
            after = losses_of(net, x)
            for weight, value in zip(shared, kept, strict=True):
                weight.copy_(value)
        expected = torch.tensor([float(1 - after[n].detach() / before[n].detach()) for n in "ca"])
        torch.testing.assert_close(found[k], expected, atol=1e-6, rtol=1e-5)


def test_tasks_that_never_meet_have_none_and_the_net_stays_as_it_was():
    tasks = two(rows())
    backbone = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    net = Net(backbone, {t.name: t.kind.head(4) for t in tasks}).train()
    before = {n: v.clone() for n, v in net.state_dict().items()}
    found = affinity(
        net, Supervised(*tasks), [{"a": tasks[0].train}, {"b": tasks[1].train}], ["a", "b"], lr=0.1
    )
    assert found.isnan().tolist() == [[False, True], [True, False]]
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())
    assert all(part.training for part in net.modules())
    assert all(p.grad is None for p in net.parameters())


def test_an_error_on_the_way_leaves_the_weights_as_they_were():
    net, x = make()
    before = {n: v.clone() for n, v in net.state_dict().items()}
    looks = iter([losses_of])

    def once(net, x, progress):
        return next(looks)(net, x)

    with pytest.raises(StopIteration):
        affinity(net, once, [x], ["a", "c"], lr=0.1)
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())


def test_a_step_that_is_none_is_refused():
    net, x = make()
    with pytest.raises(ValueError, match="step size above 0"):
        affinity(net, lambda net, x, p: losses_of(net, x), [x], ["a"], lr=0.0)


def onto(affinities, division):
    return sum(
        sum(affinities[k][m] for k in group if k != m) / (len(group) - 1)
        for group in division
        if len(group) > 1
        for m in group
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(0, 10**6))
def test_no_division_has_a_larger_sum_and_each_task_stands_once(count, seed):
    found = torch.randn(count, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    taken = groups(found)
    assert sorted(task for group in taken for task in group) == list(range(count))
    best = max(onto(found.tolist(), division) for division in divisions(range(count)))
    assert onto(found.tolist(), taken) == pytest.approx(best)


@pytest.mark.parametrize("count", [6, MOST + 4])
def test_two_camps_are_told_apart_few_tasks_or_many(count):
    camp = torch.arange(count) % 2
    alike = camp[:, None] == camp
    assert groups(torch.where(alike, 0.1, -0.1)) == [list(range(0, count, 2)), list(range(1, count, 2))]
    assert groups(torch.full((count, count), -0.1)) == [[task] for task in range(count)]
    assert groups(torch.full((count, count), 0.1)) == [list(range(count))]


def test_what_is_no_square_is_refused():
    with pytest.raises(ValueError, match="square matrix"):
        groups(torch.zeros(2, 3))
