"""What was killed, whenever it was, and is made again by the same command, is what an unbroken one is."""

import random
import time

import pytest

from .ground import COMPARISON, RUN, came_to, lay, make
from .kills import at_random, at_write


@pytest.fixture
def ground(tmp_path, monkeypatch):
    lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def unbroken(kind, ground):
    """Make it once; say what it came to, and the seconds that it took."""
    began = time.monotonic()
    assert make(kind, ground / "unbroken")[0] == 0
    return came_to(kind, ground / "unbroken"), time.monotonic() - began


def went_on(kind, place, whole):
    status, said = make(kind, place)
    assert status == 0, said
    assert came_to(kind, place) == whole
    assert not list(place.rglob("*.tmp"))
    assert not list(place.rglob(".next"))


@pytest.mark.parametrize("number", [1, 2, 7])
def test_a_run_killed_at_a_write_goes_on(ground, number):
    whole, _ = unbroken(RUN, ground)
    assert at_write(RUN, ground / "broken", number)
    went_on(RUN, ground / "broken", whole)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RUN, COMPARISON])
def test_killed_at_every_write(ground, kind):
    whole, _ = unbroken(kind, ground)
    number = 1
    while at_write(kind, ground / f"at-{number}", number):
        went_on(kind, ground / f"at-{number}", whole)
        number += 1
    assert number > 20


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RUN, COMPARISON])
def test_killed_a_hundred_times_at_random(ground, kind):
    whole, seconds = unbroken(kind, ground)
    rng, met, place = random.Random(0), 0, 0
    while met < 100:
        place += 1
        met += at_random(kind, ground / f"broken-{place}", 5, seconds, rng)
        went_on(kind, ground / f"broken-{place}", whole)
