import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
import tomllib
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.engine import Run, list_runs, to_toml
from headstart.records import read_record, write_record

SCALARS = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.text(st.characters(codec="utf-8"))
)
TABLES = st.recursive(
    st.dictionaries(st.text(st.characters(codec="utf-8")), SCALARS, max_size=3),
    lambda inner: st.dictionaries(
        st.text(st.characters(codec="utf-8")),
        SCALARS | inner | st.lists(SCALARS | inner, max_size=3),
        max_size=3,
    ),
    max_leaves=8,
)


@given(TABLES)
def test_toml_round_trips(settings):
    assert tomllib.loads(to_toml(settings)) == settings


def test_toml_refuses_what_it_cannot_say():
    with pytest.raises(TypeError, match=r"setting `a.b` should be text, .* found set"):
        to_toml({"a": {"b": {1}}})
    assert to_toml({"a": None, "b": 1}) == "b = 1\n"


def test_a_run_holds_everything(tmp_path):
    with Run.create(tmp_path / "r", {"seed": 1, "target": {"data": "digits"}}, data={"digits": "abc"}) as run:
        assert run.status().state == "running"
    assert run.status().state == "done"
    assert Run.open(tmp_path / "r").settings() == {"seed": 1, "target": {"data": "digits"}}
    environment = json.loads((tmp_path / "r" / "environment.json").read_text())
    assert environment["data"] == {"digits": "abc"}
    assert environment["torch"]
    assert [r.directory for r in list_runs(tmp_path)] == [tmp_path / "r"]
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == [
        ".lock", "checkpoints", "environment.json", "metrics.jsonl", "run.toml", "status.json",
    ]  # fmt: skip


@pytest.mark.parametrize(("error", "state"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")])
def test_how_it_ended(error, state, tmp_path):
    with pytest.raises(error), Run.create(tmp_path, {}) as run:
        raise error
    assert run.status().state == state


def test_runs_are_never_mixed(tmp_path):
    Run.create(tmp_path / "r", {"seed": 1})
    Run.create(tmp_path / "r", {"seed": 1})  # the same: goes on
    with pytest.raises(FileExistsError, match=r"or a run with these settings; .*`--out`.* `overwrite=True`"):
        Run.create(tmp_path / "r", {"seed": 2})
    (tmp_path / "r" / "metrics.jsonl").write_text("old")
    run = Run.create(tmp_path / "r", {"seed": 2}, overwrite=True)
    assert run.settings() == {"seed": 2}
    assert run.journal.length() == 0
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"new, empty or a run; found other content"):
            Run.create(tmp_path / "home", {}, overwrite=overwrite)
    assert (tmp_path / "home" / "thesis.tex").read_text() == "dear"
    with pytest.raises(FileNotFoundError, match=r"no run.toml"):
        Run.open(tmp_path / "home")
    with pytest.raises(ValueError, match="`every_steps`"):
        Run.create(tmp_path / "x", {}, every_steps=0)


def tamper(run, **facts):
    path = run.directory / "status.json"
    write_record(path, read_record(path) | facts)


def test_a_run_that_is_gone_is_lost(tmp_path):
    run = Run.create(tmp_path, {})
    assert run.status().state == "running"
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    tamper(run, pid=child.pid)
    assert run.status().state == "lost"
    run.heart.beat("running")
    tamper(run, began="1")  # another process got the number
    assert run.status().state == "lost"
    run.heart.beat("running")
    tamper(run, boot="another", pid=1)
    assert run.status().state == "running"
    tamper(run, time=time.time() - 61)
    assert run.status().state == "lost"
    (tmp_path / "status.json").write_text("{")
    assert run.status().state == "lost"


def test_a_run_of_another_process_is_not_joined(tmp_path, monkeypatch):
    monkeypatch.setattr("headstart.engine.status.LOOK", 0.1)
    with Run.create(tmp_path, {}) as run:
        pass
    tamper(run, state="running", boot="another", pid=os.getpid() + 1)
    with pytest.raises(FileExistsError, match="should be free; found a run of process"):
        Run.create(tmp_path, {})
    with pytest.raises(FileExistsError, match="should be free; found a run of process"), Run.open(tmp_path):
        pass
    assert asdict(run.status())["state"] == "running"
    tamper(run, host="another", pid=os.getpid())  # the same number on another machine
    with pytest.raises(FileExistsError, match=rf"process {os.getpid()} on another; wait until it ends"):
        Run.create(tmp_path, {})
    tamper(run, time=time.time() - 61)
    with Run.open(tmp_path) as run:
        assert run.status().host == platform.node()


def test_a_run_elsewhere_is_seen_to_beat_whatever_its_clock_says(tmp_path, monkeypatch):
    monkeypatch.setattr("headstart.engine.status.LOOK", 2.0)
    monkeypatch.setattr("headstart.engine.status.BEAT", 0.1)
    with Run.create(tmp_path, {}) as run:
        pass
    tamper(run, state="running", boot="another", host="another", time=1.0)
    beat = threading.Timer(0.2, lambda: tamper(run, time=2.0))
    beat.start()
    with pytest.raises(FileExistsError, match="on another; wait until it ends"), Run.open(tmp_path):
        pass
    beat.join()
    tamper(run, time=time.time() + 10**8)  # a clock that is ahead keeps nobody out
    assert run.status().state == "lost"


def test_the_heart_beats_from_a_thread_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("headstart.engine.status.BEAT", 0.02)
    with Run.create(tmp_path, {}) as run:
        first = run.status().time
        for _ in range(200):  # of work that tells nothing
            time.sleep(0.01)
            if run.status().time > first:
                break
        assert run.status().time > first
        assert run.heart.spent() >= run.status().seconds > 0
    spent = run.status().seconds
    with Run.open(tmp_path) as again:
        pass
    assert again.status().seconds > spent


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_work_as_ctrl_c_does(tmp_path, number):
    before = signal.signal(number, signal.SIG_DFL)  # the tests themselves may run under nohup
    try:
        with pytest.raises(KeyboardInterrupt), Run.create(tmp_path, {}) as run:
            signal.raise_signal(number)
        assert run.status().state == "interrupted"
        assert signal.getsignal(number) == signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN)
        with Run.open(tmp_path) as run:  # as under nohup
            os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)
    assert run.status().state == "done"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_directory(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(
        PermissionError, match=r"should be writable; found Permission denied; free some space"
    ):
        Run.create(tmp_path / "r", {})
