import itertools

import pytest
import torch

from headstart.maths import generator


@pytest.mark.parametrize(
    ("key", "seed"),
    [
        ((0,), 8147104208329303767),
        ((7, 1, 2), 4382405004162797328),
        ((2**62 - 1, 0, 3), 5206821510466794947),
        ((-5,), 817656034014462257),
    ],
)
def test_seeds_of_numbers_stay_as_they_are(key, seed):
    assert generator(*key).initial_seed() == seed


def test_equal_keys_give_equal_numbers():
    once, again = (torch.rand(5, generator=generator(3, "source phase 1")) for _ in range(2))
    assert once.equal(again)


def test_distinct_keys_give_distinct_numbers():
    keys = [
        (), (0,), (1,), (0, 0), (0, 1), (1, 0), ("",), ("0",), ("0", 0), (0, "0"), (-1,), ("a", "b"), ("ab",),
        ("source phase 1",), ("target phase 1",),
    ]  # fmt: skip
    seeds = [generator(*key).initial_seed() for key in keys]
    assert len(set(seeds)) == len(keys)


def test_neighbouring_keys_are_unrelated():
    drawn = torch.stack([torch.rand(200, generator=generator(0, "step", i)) for i in range(20)])
    pairs = torch.corrcoef(drawn)[tuple(zip(*itertools.combinations(range(20), 2), strict=True))]
    assert pairs.abs().max() < 0.3


def test_the_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    torch.rand(3, generator=generator(1, "a"))
    assert torch.get_rng_state().equal(before)
