"""Which part of the target lies where a learner has seen nothing, and what answers there are worth."""

import math

import pytest
import torch

from headstart.measure import information, outside, sound


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(source, held, target):
    def far(row):
        return sorted(math.dist(row, other) for other in source.tolist())[min(5, len(source)) - 1]

    own = sorted(map(far, held.tolist()))
    place = min(len(own), math.ceil(0.95 * (len(own) + 1)))
    chance = 1 - place / (len(own) + 1)
    share = sum(far(row) > own[place - 1] for row in target.tolist()) / len(target)
    return max(0.0, (share - chance) / (1 - chance))


@pytest.mark.parametrize("move", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("held", [3, 12, 45])
def test_it_is_the_share_beyond_the_rank_of_held_out_rows(move, held):
    sides = normal(30, 3), normal(held, 3, seed=1), normal(25, 3, seed=2) + move
    assert outside(*sides) == pytest.approx(by_hand(*sides), abs=1e-12)


def test_chance_alone_is_about_nothing():
    found = [outside(*(normal(200, 4, seed=3 * seed + i) for i in range(3))) for seed in range(20)]
    assert sum(found) / 20 < 0.03
    assert outside(normal(200, 4), normal(50, 4, seed=1), normal(9, 4) + 20) == 1.0


def test_rows_are_measured_against_the_source_whatever_their_unit():
    sides = normal(30, 3), normal(20, 3, seed=1), normal(25, 3, seed=2) + 1
    assert outside(*(1000 * z for z in sides)) == outside(*sides)


def test_bad_input_is_refused():
    good = normal(9, 2)
    with pytest.raises(ValueError, match="`held` should be features of one row or more"):
        outside(good, good[:0], good)
    with pytest.raises(ValueError, match=r"`target` should be features .*, \(rows, 2\)"):
        outside(good, good, normal(9, 3))
    with pytest.raises(ValueError, match="`source` should be finite"):
        outside(good * math.nan, good, good)


def test_information_passes_for_the_part_that_is_inside():
    p, q, y = (3 * normal(12, 3)).softmax(1), normal(9, 3, seed=1).softmax(1), torch.arange(9) % 3
    whole, none = sound(p, q, y), sound(p, q, y, outside=1.0)
    assert sound(p, q, y, outside=0.25) == pytest.approx(0.75 * whole + 0.25 * none)
    with pytest.raises(ValueError, match="`outside` should be a part"):
        sound(p, q, y, outside=1.5)


def test_a_row_that_is_lost_loses_its_information():
    """A share of answers replaced by a mark of its own: the mutual information of an erasure channel."""
    p = (3 * normal(40, 3)).softmax(1)
    joint = torch.cat([0.7 * p, torch.full((40, 1), 0.3, dtype=torch.float64)], 1) / 40
    product = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    mutual = float((joint * (joint / product).log()).sum())
    assert mutual == pytest.approx(0.7 * information(p))


def test_answers_in_the_sources_shares_are_the_sounder():
    """Of equal shares it is information; else a net is believed the less, the further it is from them."""
    y = torch.tensor([0, 0, 0, 1])
    q = torch.eye(2, dtype=torch.float64)[y].clamp(min=1e-12)
    alike, even, turned = (
        torch.eye(2, dtype=torch.float64)[at] for at in ([0, 0, 0, 1], [0, 1], [0, 1, 1, 1])
    )
    shares = torch.tensor([0.75, 0.25], dtype=torch.float64)
    entropy = -float((shares * shares.log()).sum())
    assert sound(alike, q, y) == pytest.approx(entropy)
    off = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert sound(even, q, y) == pytest.approx(entropy - off)
    assert information(even) > information(alike)  # which equal shares would have preferred
    assert sound(turned, q, y) == pytest.approx(entropy - 0.5 * math.log(3))
    ratio = torch.tensor([1 / 3, 3.0])  # the target's classes are known to come in other shares
    assert sound(turned, q, y, ratio=ratio) == pytest.approx(entropy)
    last = torch.tensor([[0.0, 1.0]])
    assert sound(last, q, y) == pytest.approx(0.0)  # one class for every row bears nothing out
    equal = torch.tensor([0, 1])
    some = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8]])
    nothing = torch.full((2, 2), 0.5)  # which bears no sharper answers out
    assert sound(some, nothing, equal) == pytest.approx(information(some) - 3 * math.log(2))
