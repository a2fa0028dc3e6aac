"""Learned routes: relaxed and picked ways, noise without state, and blocks that cost."""

import itertools

import pytest
import torch

from headstart.models import mlp, textcnn
from headstart.multitask import Routed

from .patterns import check_pattern, netted, rows, seeded, trained, two


def routed(sparsity=0.05, candidates=2, hidden=(6, 4)):
    return seeded(
        lambda: Routed(
            [mlp(5, hidden=list(hidden)) for _ in range(candidates)], ["a", "b"], sparsity=sparsity
        )
    )


def test_routed_keeps_the_contract(tmp_path):
    check_pattern(routed(), tmp_path, rows())
    check_pattern(routed(), tmp_path / "apart", rows(), rows(1))


def test_in_eval_mode_a_task_runs_the_likeliest_block_of_each_depth():
    pattern, x = routed().eval(), rows()
    with torch.no_grad():
        pattern.logits[0, 1, 1] = pattern.logits[1, 0, 1] = 2.0
    assert pattern.pattern() == {"a": [0, 1], "b": [1, 0]}
    one, other = (encoder.layers for encoder in pattern.encoders)
    torch.testing.assert_close(pattern(x, "a"), other[3](other[2](one[1](one[0](x)))))
    torch.testing.assert_close(pattern(x, "b"), one[3](one[2](other[1](other[0](x)))))


def test_in_training_the_noise_is_a_function_of_seed_and_progress():
    pattern, x = routed().train(), rows()
    state = torch.get_rng_state()
    first, again, later = (pattern({"a": x}, None, p)[0]["a"] for p in (0.2, 0.2, 0.3))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    assert torch.equal(state, torch.get_rng_state())
    other = Routed(list(pattern.encoders), ["a", "b"], seed=1).train()
    assert not torch.equal(first, other({"a": x}, None, 0.2)[0]["a"])


def test_cost_is_the_expected_share_of_blocks_beyond_one():
    pattern = routed(candidates=3).double()
    with torch.no_grad():
        pattern.logits.copy_(torch.randn(pattern.logits.shape, dtype=torch.float64))
    p = pattern.logits.detach().softmax(2)
    expected = 0.0
    for depth in range(2):
        for i, j in itertools.product(range(3), range(3)):
            expected += float(p[0, depth, i] * p[1, depth, j]) * (len({i, j}) - 1) / 2
    assert pattern.cost().item() == pytest.approx(expected)


def test_tasks_go_one_way_where_blocks_cost_and_part_where_it_pays():
    x = rows(many=64)
    tight, history = trained(routed(5.0, hidden=[2]), two(x), steps=200, lr=3e-2)
    assert history[-1]["routing"] < 0.3 * history[0]["routing"]
    assert len({tuple(way) for way in tight.backbone.pattern().values()}) == 1
    free, _ = trained(routed(0.0, hidden=[2]), two(x), steps=200, lr=3e-2)
    assert free.backbone.cost() > 2 * tight.backbone.cost()


def test_routed_says_what_does_not_fit():
    with pytest.raises(
        ValueError, match=r"at block 0 should be of one shape; found \(6,\) of '0', \(7,\) of '1'"
    ):
        Routed([mlp(5, hidden=[6, 4]), mlp(5, hidden=[7, 4])], ["a"])(rows(), "a")
    with pytest.raises(ValueError, match="encoder '0' should be a chain of blocks"):
        Routed([textcnn(9)], ["a"])
    with pytest.raises(ValueError, match="`temperature` should be above 0"):
        Routed([mlp(5)], ["a"], temperature=0.0)
    with pytest.raises(ValueError, match="`sparsity` should be at least 0"):
        routed(-1.0)


def test_a_graph_gives_what_the_picked_blocks_give():
    pattern, x = routed().eval(), rows()
    with torch.no_grad():
        pattern.logits[0, 1, 1] = 2.0
    inner = torch.export.export(pattern, (x, "a")).module()
    torch.testing.assert_close(inner(x, "a"), pattern(x, "a"))


def test_one_candidate_is_a_plain_encoder():
    pattern, x = routed(candidates=1), rows()
    net = netted(pattern, two(x))
    features, losses = net.together({"a": x, "b": x}, 0.0)
    torch.testing.assert_close(features["a"], pattern.encoders[0](x))
    assert losses["routing"] == 0
