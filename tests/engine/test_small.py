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


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_link_stays_and_its_file_is_written(tmp_path):
    (tmp_path / "folder").mkdir()
    link, file = tmp_path / "link", tmp_path / "folder" / "file"
    link.symlink_to(file)
    for content in ("new", "newer"):
        write_atomic(link, content)
        assert (link.is_symlink(), file.is_symlink(), file.read_text()) == (True, False, content)
    assert list((tmp_path / "folder").iterdir()) == [file]


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
def test_a_pipe_is_written_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomic(pipe, "through")
        assert os.read(reader, 20) == b"through"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_full_device_is_told_and_stays_one(tmp_path, monkeypatch):
    link = tmp_path / "link"
    link.symlink_to("/dev/full")

    def replace(*paths):
        raise AssertionError(f"a device was about to be replaced: {paths}")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match=r"link` should be writable; found No space left on device"):
        write_atomic(link, "anything")
    assert link.is_char_device()


def test_bar_waits_then_writes_a_plain_line(capsys):
    with Bar("head", 10) as bar:
        bar.show(1, {"a": 1.0})
        assert capsys.readouterr().err == ""
        bar.due = 0.0
        bar.show(5, {"a": 0.25})
        bar.show(6, {"a": 0.25})
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("head: step 5/10")
    assert err.endswith("  a 0.25\n")


def test_bar_counts_in_the_callers_unit(capsys, monkeypatch):
    with Bar("letters.zip", 180, True, unit="MB") as bar:
        bar.show(12)
    assert capsys.readouterr().err.startswith("letters.zip: MB 12/180")
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
