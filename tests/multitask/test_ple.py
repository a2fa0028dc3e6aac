"""Progressive layers: the levels by hand, who reads whom, and what does not fit."""

import pytest
import torch

from headstart.models import mlp
from headstart.multitask import PLE

from .patterns import check_pattern, netted, rows, seeded, trained, two


def levels(count=2):
    return [[mlp(5 if not level else 4, hidden=[4])] for level in range(count)]


def ple(count=2):
    return seeded(lambda: PLE(levels(count), {"a": levels(count), "b": levels(count)}))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_ple_keeps_the_contract(count, tmp_path):
    check_pattern(ple(count), tmp_path, rows())
    check_pattern(ple(count), tmp_path / "apart", rows(), rows(1))


def test_two_levels_are_those_of_the_formula():
    p, x = ple(), rows()
    shared, own = p.shared[0][0](x), {t: p.own[t][0][0](x) for t in ("a", "b")}
    first = p.gates["a"][0](torch.stack([own["a"], shared], 1))
    common = p.shared_gates[0](torch.stack([own["a"], own["b"], shared], 1))
    second = p.gates["a"][1](torch.stack([p.own["a"][1][0](first), p.shared[1][0](common)], 1))
    torch.testing.assert_close(p(x, "a"), second)


def test_another_tasks_experts_count_through_the_shared_gate_and_not_at_the_last_level():
    p = ple()
    p(rows(), "a").sum().backward()
    assert p.own["b"][0][0].layers[0].weight.grad.abs().sum() > 0
    assert p.own["b"][1][0].layers[0].weight.grad is None
    assert p.shared_gates[0].layer.weight.grad.abs().sum() > 0
    private = set(p.state_dict()) - {n.removeprefix("backbone.") for n in netted(p, two(rows())).shared()}
    assert {name.rsplit(".", 1)[0] for name in private} == {f"own.{t}.1.0.layers.0" for t in ("a", "b")} | {
        f"gates.{t}.1.layer" for t in ("a", "b")
    }


def test_ple_learns():
    _, history = trained(ple(), two(rows(many=64)), steps=200)
    assert sum(history[-1].values()) < 0.5 * sum(history[0].values())


def test_ple_says_where_the_levels_part():
    with pytest.raises(
        ValueError, match=r"level 1 of PLE, shared expert 0, should be one that takes 4 features"
    ):
        PLE([[mlp(5, hidden=[4])], [mlp(9, hidden=[4])]], {"a": levels()})
    with pytest.raises(ValueError, match=r"as many for all, at least one; found {'shared': 2, 'a': 1}"):
        PLE(levels(2), {"a": levels(1)})
    with pytest.raises(ValueError, match=r"of one width; found 4 of shared expert 0, 6 of expert 0 of 'a'"):
        PLE(levels(1), {"a": [[mlp(5, hidden=[6])]]})
    with pytest.raises(ValueError, match="level 0 of PLE should be an expert shared and for each task"):
        PLE([[]], {"a": levels(1)})
