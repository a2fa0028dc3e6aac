"""Two processes at one moment: one works, the other is told of it, and the result is that of one."""

import random

import pytest

from headstart.engine import Heartbeat, Run, lock

from .ground import COMPARISON, RUN, came_to, lay, make
from .kills import child, ended
from .races import often_together


@pytest.fixture
def ground(tmp_path, monkeypatch):
    lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def met(kind, ground, times):
    assert make(kind, ground / "alone")[0] == 0
    whole = came_to(kind, ground / "alone")
    found = often_together(kind, ground, times, random.Random(0))
    assert set(found) <= {(0, 2), (0, 0)}, found  # both only where the second came when the first was through
    assert found[0, 2]
    for i in range(times):
        assert came_to(kind, ground / f"{kind}-{i}") == whole
    return found


def test_two_runs_in_one_directory(ground):
    met(RUN, ground, 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RUN, COMPARISON])
def test_two_at_one_moment_fifty_times(ground, kind):
    met(kind, ground, 50)


def test_a_lock_is_of_a_process_and_ends_with_it(tmp_path):
    def hold() -> None:
        lock.acquire(tmp_path)  # and end without letting go

    assert ended(child(hold)) == 0
    with Heartbeat(tmp_path) as heart:
        assert heart.read().state == "running"

        def join() -> None:
            with Heartbeat(tmp_path):
                pass

        def told() -> None:
            with pytest.raises(FileExistsError, match=r"should be free; found a run of process \d+ on "):
                join()

        assert ended(child(told)) == 0
        heart.check_free()  # for this process it is
    with Heartbeat(tmp_path):
        pass


def test_a_lock_that_was_deleted_is_taken_anew(tmp_path):
    assert lock.acquire(tmp_path)
    (tmp_path / ".lock").unlink()
    assert not lock.holds(tmp_path)
    assert lock.acquire(tmp_path)
    assert (tmp_path / ".lock").exists()
    lock.release(tmp_path)
    lock.release(tmp_path)  # twice does no harm


def test_a_refused_run_lets_go_of_the_directory(tmp_path):
    with Run.create(tmp_path, {"seed": 1}):
        pass
    with pytest.raises(FileExistsError, match="found a run with others"):
        Run.create(tmp_path, {"seed": 2})
    assert not lock.holds(tmp_path)
