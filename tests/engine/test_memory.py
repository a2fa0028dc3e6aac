"""Memory that was freed and is asked for again costs no page anew."""

import ctypes
import subprocess
import sys

import pytest

import headstart.cli  # noqa: F401
from headstart import memory
from headstart.engine import keep_memory

FAULTS = """
import resource, torch
from headstart.engine import keep_memory
if {keep}:
    assert keep_memory()
def fault():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    parts = [torch.zeros(2**20) for _ in range(16)]  # 4 MB each
    del parts
for _ in range(3):
    step()
before = fault()
for _ in range(5):
    step()
print(fault() - before)
"""


def faults(keep):
    told = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True
    )
    return int(told.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no `mallopt`")
def test_a_step_like_the_last_one_asks_the_system_for_nothing():
    assert faults(keep=True) < 5_000
    # Else 64 MB of pages in each of five steps; in one process of four something that lies behind them in
    # memory keeps them even so.
    assert any(faults(keep=False) > 20_000 for _ in range(8))


def test_elsewhere_nothing_changes(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_memory() is False
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())  # as with musl
    assert keep_memory() is False


def test_the_program_keeps_it_and_a_call_within_another_process_does_not(monkeypatch):
    app = sys.modules["headstart.cli.app"]
    calls = []
    monkeypatch.setattr(app, "keep_memory", lambda: calls.append(1))
    monkeypatch.setattr(sys, "argv", ["headstart", "--version"])
    assert app.main(["--version"]) == 0
    assert calls == []
    assert app.main() == 0
    assert calls == [1]
