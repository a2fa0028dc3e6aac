"""Soft sharing: what a distance is, that it falls, and that rows of other tables are taken."""

import pytest
import torch
from torch import nn

from headstart.models import conv4, mlp
from headstart.models.sharing.soft import l21, pairwise, to_mean, trace_norm
from headstart.multitask import Soft

from .patterns import check_pattern, rows, seeded, trained, two, unknown

W = torch.randn(3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def soft(weight=0.1, tie="mean", second=5):
    return seeded(
        lambda: Soft({"a": mlp(5, hidden=[6, 4]), "b": mlp(second, hidden=[6, 4])}, tie=tie, weight=weight)
    )


def test_soft_keeps_the_contract_on_the_same_rows_and_on_tables_of_other_columns(tmp_path):
    check_pattern(soft(), tmp_path / "same", rows())
    check_pattern(soft(second=3), tmp_path / "other", rows(), rows(1, width=3))


def test_penalties_are_those_of_their_formulas():
    mean = W.mean(0)
    assert to_mean(W) == pytest.approx(sum((row - mean).square().sum().item() for row in W))
    pairs = [(W[i] - W[j]).square().sum().item() for i in range(3) for j in range(i)]
    assert pairwise(W) == pytest.approx(sum(pairs))
    eigen = torch.linalg.eigvalsh(W @ W.T)
    assert trace_norm(W) == pytest.approx(eigen.sqrt().sum().item())
    assert l21(W) == pytest.approx(sum(column.norm().item() for column in W.T))


@pytest.mark.parametrize("tie", ["mean", "pairs", "trace", "l21"])
def test_every_distance_falls_in_training_and_stays_larger_without_it(tie):
    tasks = two(rows(), rows(1))
    held, history = trained(soft(0.3, tie), tasks)
    free, _ = trained(soft(0.0, tie), tasks)
    assert history[-1]["distance"] < 0.7 * history[0]["distance"]
    assert held.backbone.distance() < 0.7 * free.backbone.distance()


def test_a_pull_to_the_mean_ends_at_one_encoder_for_all():
    net, _ = trained(soft(30.0), two(rows(), rows(1)), steps=300)
    one, other = net.backbone.encoders["a"], net.backbone.encoders["b"]
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=0.05, rtol=0)


def test_no_weight_is_shared_by_two_tasks():
    net, _ = trained(soft(), two(rows()), steps=1)
    assert net.shared() == {}


def test_soft_says_where_the_shapes_part():
    with pytest.raises(
        ValueError, match=r"one shape in all of them; found `layers.0.weight`: \(6, 5\) of 'a'"
    ):
        Soft({"a": mlp(5, hidden=[6]), "b": nn.Linear(5, 6)}, x=rows())
    with pytest.raises(ValueError, match="of one width; found 6 of a, 7 of b"):
        Soft({"a": mlp(5, hidden=[6]), "b": mlp(5, hidden=[7])})
    with pytest.raises(ValueError, match=r"of one width; found 6 of a, 64 of b"):
        Soft({"a": mlp(5, hidden=[6]), "b": conv4(1)})
    with pytest.raises(ValueError, match='`tie` should be a known name; found "means"; did you mean "mean"'):
        soft(tie="means")
    with pytest.raises(ValueError, match="`weight` should be at least 0"):
        soft(weight=-1.0)
    with pytest.raises(ValueError, match="width of an encoder should be known; found Sequential"):
        Soft({"a": unknown(), "b": unknown()})
    assert Soft({"a": unknown(), "b": unknown()}, x=rows()).width == 6


def test_many_tasks_are_not_walked_through_once_for_each(monkeypatch):
    """The modules of 139 encoders are many: one walk a step tells whether rows have to be copied."""
    from headstart.models import net as nets

    names, walks = [f"t{k}" for k in range(12)], []
    whole = nets._might_write
    monkeypatch.setattr(nets, "_might_write", lambda module: walks.append(module) or whole(module))
    rows = {name: torch.randn(3, 2) for name in names}
    soft = Soft({name: nn.Linear(2, 4) for name in names}, x=rows["t0"])
    net = nets.Net(soft, {name: nn.Identity() for name in names})
    walks.clear()  # of building it
    features, own = net.together(rows, 0.0)
    assert walks == [soft]
    assert set(own) == {"distance"}
    torch.testing.assert_close(features["t3"], soft.encoders["t3"](rows["t3"]))
