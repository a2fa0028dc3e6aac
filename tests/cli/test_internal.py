"""What nobody foresaw is told without a traceback, and nothing that is printed steers a terminal."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headstart.cli import main
from headstart.errors import clean, wrong
from headstart.inference.predictions import Predictions
from headstart.tasks import Multiclass

Call = Callable[..., Any]


@pytest.fixture
def refused(call: Call) -> Callable[..., str]:
    """Run a command that is wrong, beside files that nobody may look into."""

    def run(*words: object) -> str:
        answer = call(*words)
        assert answer.status == 2, answer
        return answer.err

    return run


@pytest.mark.parametrize(
    "error", [TypeError("'int' is not"), KeyError("mean"), AttributeError("x"), RecursionError()]
)
def test_an_internal_error_says_where_its_details_lie(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("headstart.cli.listing._own", fail)
    answer = call("list", "strategies")
    assert answer.status == 2
    assert answer.err.startswith(f"internal error: {type(error).__name__}: ")
    assert "`--debug`" in answer.err
    (file,) = tmp_path.glob("headstart-*.txt")
    assert str(file) in answer.err
    assert "Traceback" in file.read_text()
    assert "headstart list strategies" in file.read_text()


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")],
)
def test_memory_that_ran_out_is_told_as_such(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("headstart.cli.listing._own", fail)
    answer = call("list", "strategies")
    assert answer.status == 2
    assert answer.err.startswith("error: memory ran out: ")


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("headstart.cli.listing._own", lambda *_: 1 / 0)
    assert main(["--debug", "list", "strategies"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("sign", ["\x1b]0;title\x07", "\x1b[2J", "\u202e", "\x9b31m"])
def test_names_out_of_files_do_not_steer_the_terminal(
    call: Call, table: Path, problem: Path, sign: str
) -> None:
    table.write_text(table.read_text().replace("bolt", f"bolt{sign}").replace("f0", f"f{sign}"))
    quick = ["--set", "fit.strategy=constant", "--set", "sources=[]", "--set", "fit.settings={}"]
    answers = [
        call("fit", problem.name, *quick, "--out", f"runs/a{sign}"),
        call("fit", problem.name, "--set", "target.data=csv:new.csv#lab"),
        call("adapt", f"runs/a{sign}/model", "csv:new.csv#label", "-o", "few"),
        call("runs"),
    ]
    for answer in answers:
        assert sign not in answer.out + answer.err
    assert [answer.status for answer in answers] == [0, 2, 0, 0]
    assert "bolt" in answers[2].out


def test_messages_of_the_library_are_clean() -> None:
    assert str(wrong("\x1b", expected="a name", found="\u202e")) == r"\x1b should be a name; found \u202e"
    assert clean("two\nlines\tand \udcff") == "two\nlines\tand \\udcff"


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-x", "@sum", "\tx", "\r=1"])
def test_predicted_cells_cannot_start_a_formula(name: str) -> None:
    import torch

    said = Predictions(Multiclass([name, "b"]), torch.tensor([[9.0, 0.0]]), files=["=photo.png"])
    lines = said.to_csv().split("\n", 1)[1]
    assert lines.startswith(f"'=photo.png,'{name},")
    assert said.to_csv(formulas=True).split("\n", 1)[1].startswith(f"=photo.png,{name},")


def test_numbers_that_are_classes_stay_numbers() -> None:
    import torch

    said = Predictions(Multiclass([-1, 1]), torch.tensor([[9.0, 0.0]]))
    assert said.to_csv().split("\n")[1].startswith("-1,")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "problem.toml"])
def test_a_pipe_in_place_of_a_file_is_refused_at_once(
    refused: Callable[..., str], model: Path, problem: Path, name: str
) -> None:
    path = problem if name == problem.name else model / name
    path.unlink()
    os.mkfifo(path)
    words = ["fit", path] if path == problem else ["predict", model, "csv:new.csv", "-o", "p.csv"]
    said = refused(*words)
    assert name in said
    assert "a pipe, a socket or a device" in said


def test_endless_and_deep_files_are_refused_at_once(refused: Callable[..., str], problem: Path) -> None:
    assert "a pipe, a socket or a device" in refused("fit", "/dev/zero")
    Path("deep.toml").write_text("[target]\ndata=" + "[" * 3000 + "]" * 3000)
    assert "deep.toml" in refused("fit", "deep.toml")
    with Path("huge.toml").open("wb") as file:
        file.truncate(2**40)
    assert "at most" in refused("compare", "huge.toml")


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["fit", "compare", "compare --workers 2"])
def test_a_signal_interrupts_and_the_same_command_goes_on(
    call: Call, problem: Path, number: signal.Signals, command: str
) -> None:
    settings = ["--out", "out", "--set", "budget.steps=3000", "--set", "target.shots=2"]
    begin = [sys.executable, "-m", "headstart", *command.split(), problem.name, *settings]
    process = subprocess.Popen(begin, stderr=subprocess.PIPE, text=True, start_new_session=True)
    status = Path("out/status.json")
    for _ in range(3000):
        if status.exists() and '"phase": ""' not in status.read_text():
            break
        time.sleep(0.02)
    if "workers" in command:  # a terminal and a batch system tell all processes of a group
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    said = process.communicate(timeout=120)[1]
    # Python gives -SIGINT, which shells show as 130, where the signal came while it made a dataclass.
    assert process.returncode in (130, -signal.SIGINT), said
    assert "interrupted; go on with: headstart resume out" in said
    assert "Traceback" not in said
    assert '"interrupted"' in status.read_text()
    for _ in range(250):  # no process of the group is left
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.02)
    else:
        pytest.fail("a process that the command began is still there")


@pytest.mark.parametrize(
    "content", ["null", "[]", "3", '"text"', "", "{", "[" * 3000, '{"a": 1e999999', "{}"]
)
@pytest.mark.parametrize("name", ["status.json", "scores.json"])
def test_a_run_with_json_of_another_form_hides_no_other(call: Call, name: str, content: str) -> None:
    for run in ("bad", "good"):
        Path("runs", run).mkdir(parents=True)
        Path("runs", run, "run.toml").write_text("")
        Path("runs", run, "status.json").write_text('{"state": "done"}')
    Path("runs", "bad", name).write_text(content)
    answer = call("runs")
    assert answer.status == 0, answer
    assert "good" in answer.out
    assert "internal error" not in answer.err


@pytest.mark.parametrize("content", [b"null", b"[]", b"3", b"", b"{", b"[" * 3000, b"\xff\xfe", b"\0" * 99])
def test_a_description_of_another_form_is_refused_by_its_name(
    refused: Callable[..., str], model: Path, content: bytes
) -> None:
    (model / "model.json").write_bytes(content)
    said = refused("predict", model, "csv:new.csv", "-o", "p.csv")
    assert said.startswith("error: ")
    assert "model.json" in said


@pytest.mark.parametrize("sign", ["\x1b[31m", "\x07", "\u202e", "\u2066", "\x9b2J"])
def test_unknown_names_that_are_given_back_do_not_steer_the_terminal(
    refused: Callable[..., str], problem: Path, sign: str
) -> None:
    for words in (
        ("fit", problem.name, "--set", f"fit.strategy=prob{sign}"),
        ("fit", problem.name, "--set", f"budget.st{sign}=3"),
        ("predict", f"no{sign}", "csv:new.csv", "-o", "p.csv"),
        ("compare", f"no{sign}.toml"),
    ):
        said = refused(*words)
        assert sign not in said
        assert said.startswith(("error: ", "Usage: "))
