"""Losses that are no task's stand beside the tasks that are weighed."""

import pytest
import torch

from headstart.engine import total
from headstart.models import mlp
from headstart.multitask import (
    PLE,
    MMoE,
    SharedPrivate,
    Soft,
    Uncertainty,
    _backward,
    backward,
    beside,
    weighted,
)
from headstart.transfer import Supervised

from .patterns import netted, rows, seeded, two

TASKS = two(rows())


def softly():
    return netted(Soft({t: mlp(5, hidden=[4]) for t in ("a", "b")}, weight=0.3), TASKS)


def shared_private():
    return SharedPrivate(mlp(5, hidden=[4]), {t: mlp(5, hidden=[3]) for t in ("a", "b")})


def experts():
    return MMoE([mlp(5, hidden=[4]) for _ in range(2)], ["a", "b"])


def levels():
    return PLE([[mlp(5, hidden=[4])]], {t: [[mlp(5, hidden=[4])]] for t in ("a", "b")})


def ones(gramian):
    return gramian.new_ones(len(gramian))


def losses(net):
    return Supervised(*TASKS)(net, {t.name: t.train for t in TASKS}, 0.0)


def gradients(combine):
    net = seeded(softly)
    combine(losses(net), net)
    return {n: p.grad for n, p in net.named_parameters() if p.grad is not None}


def test_a_distance_is_no_task_to_be_weighed():
    seen = []

    def spy(losses, net):
        seen.append(sorted(losses))
        torch.stack([*losses.values()]).sum().backward()

    both = gradients(beside(spy))
    assert seen == [["a", "b"]]
    plain = gradients(lambda losses, net: torch.stack([*losses.values()]).sum().backward())
    assert both.keys() == plain.keys()
    for name, gradient in both.items():
        torch.testing.assert_close(gradient, plain[name])


def test_uncertainty_knows_its_tasks_alone():
    found = gradients(beside(weighted(Uncertainty(["a", "b"]))))
    assert all(g.isfinite().all() for g in found.values())


@pytest.mark.parametrize("make", [shared_private, experts, levels])
@pytest.mark.parametrize("small", [0, 10**9])
def test_weights_of_1_are_the_plain_sum_on_every_way_of_taking_the_gramian(make, small, monkeypatch):
    monkeypatch.setattr(_backward, "SMALL", small)
    found = {}
    for name, combine in (("sum", total), ("ones", beside(backward(ones)))):
        net = seeded(lambda: netted(make(), TASKS))
        combine(losses(net), net)
        found[name] = {n: p.grad for n, p in net.named_parameters()}
    for key, gradient in found["sum"].items():
        torch.testing.assert_close(found["ones"][key], gradient)
