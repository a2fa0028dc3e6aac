"""Experts and gates: the formula, one pass of the experts, and what does not fit."""

import pytest
import torch

from headstart.models import mlp
from headstart.multitask import MMoE

from .patterns import check_pattern, netted, rows, seeded, trained, two


def mmoe(experts=3):
    return seeded(lambda: MMoE([mlp(5, hidden=[4]) for _ in range(experts)], ["a", "b"]))


def test_mmoe_keeps_the_contract(tmp_path):
    check_pattern(mmoe(), tmp_path, rows())
    check_pattern(mmoe(), tmp_path / "apart", rows(), rows(1))


def test_features_are_the_experts_weighed_by_the_tasks_gate():
    pattern, x = mmoe(), rows()
    found = [expert(x) for expert in pattern.experts]
    gate = pattern.gates["b"].layer
    shares = (torch.cat(found, 1) @ gate.weight.T + gate.bias).softmax(1)
    mixed = sum(shares[:, i, None] * each for i, each in enumerate(found))
    torch.testing.assert_close(pattern(x, "b"), mixed)


def test_experts_run_once_for_tasks_with_the_same_rows():
    pattern, calls = mmoe(), []
    pattern.experts[0].register_forward_hook(lambda *_: calls.append(1))
    x = rows()
    netted(pattern, two(x)).together({"a": x, "b": x}, 0.0)
    assert len(calls) == 1
    netted(pattern, two(x)).together({"a": x, "b": x + 1}, 0.0)
    assert len(calls) == 3


def test_tasks_that_want_other_things_lean_on_other_experts():
    x = rows(many=64)
    tasks = two(x)
    net, history = trained(mmoe(), tasks, steps=200)
    assert sum(history[-1].values()) < 0.5 * sum(history[0].values())
    found = torch.stack([expert(x) for expert in net.backbone.experts], 1)
    a, b = (net.backbone.gates[name].shares(found).mean(0) for name in ("a", "b"))
    assert (a - b).abs().max() > 0.05


def test_gates_are_no_shared_weights():
    net = netted(mmoe(), two(rows()))
    assert {name.split(".")[1] for name in net.shared()} == {"experts"}


def test_mmoe_says_what_does_not_fit():
    with pytest.raises(ValueError, match="of one width; found 4 of expert 0, 6 of expert 1"):
        MMoE([mlp(5, hidden=[4]), mlp(5, hidden=[6])], ["a", "b"])
    with pytest.raises(ValueError, match=r"distinct names; found \['a', 'a'\]"):
        MMoE([mlp(5)], ["a", "a"])
    with pytest.raises(ValueError, match="encoders of MMoE should be at least one; found none"):
        MMoE([], ["a", "b"])
