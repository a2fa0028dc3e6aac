import errno
import os

import pytest
import torch

from headstart.engine import seeded, write_atomic
from headstart.progress import Bar


def test_seeded_puts_the_random_state_back():
    before = torch.get_rng_state()
    with seeded(1):
        first = torch.rand(3)
    assert torch.equal(before, torch.get_rng_state())
    with seeded(1):
        assert torch.equal(first, torch.rand(3))


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_atomic(path, "old")

    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        OSError, match=r"a.txt` should be writable; found No space left on device; free some space"
    ):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_bar_waits_then_writes_a_plain_line(capsys):
    with Bar("head", 10) as bar:
        bar.show(1, {"a": 1.0})
        assert capsys.readouterr().err == ""
        bar.due = 0.0
        bar.show(5, {"a": 0.25})
        bar.show(6, {"a": 0.25})
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("head: step 5/10, ")
    assert err.endswith("s left  a 0.25\n")


def test_bar_counts_in_the_callers_unit(capsys, monkeypatch):
    with Bar("letters.zip", 180, True, unit="MB") as bar:
        bar.show(12)
    assert capsys.readouterr().err.startswith("letters.zip: MB 12/180, ")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Bar("compare", 260, True, unit="trial") as bar:
        bar.show(3)
        drawn = " ".join(str(column(bar.bar.tasks[0])) for column in bar.bar.columns)
    assert "trial   3/260" in drawn


def test_bar_is_silent_when_told(capsys):
    with Bar("head", 10, False) as bar:
        bar.show(5)
    with Bar("head", 10, True) as bar:
        bar.show(5)
    assert capsys.readouterr().err.count("\n") == 1


def test_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Bar("head", 10, True) as bar:
        bar.show(5, {"a": 0.5})
        assert bar.bar.tasks[0].completed == 5
