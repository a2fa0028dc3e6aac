"""What answers without the library behind it, and the statuses of the process."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from headstart.cli import main
from headstart.cli.listing import WHATS


def test_help_needs_no_torch() -> None:
    calls = "c.main(['--help']); c.main(['compare', '--help'])"
    code = f"import sys, headstart.cli as c; {calls}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "compare",
        "check",
        "rank",
        "report",
        "fit",
        "resume",
        "evaluate",
        "predict",
        "adapt",
        "export",
        "slim",
        "list",
        "runs",
    ],
)
def test_every_command_has_help(call: Callable[..., Any], command: str) -> None:
    answer = call(command, "--help")
    assert answer.status == 0
    assert "Usage: headstart" in answer.out


def test_version(call: Callable[..., Any]) -> None:
    import headstart

    assert call("--version").out == f"headstart {headstart.__version__}\n"


@pytest.mark.parametrize("what", WHATS)
def test_list_names_what_there_is(call: Callable[..., Any], what: str) -> None:
    answer = call("list", what)
    assert answer.status == 0
    assert all(len(line.split("  ", 1)) == 2 for line in answer.out.splitlines()), "each with a description"


def test_list_without_a_word_lists_all(call: Callable[..., Any]) -> None:
    out = call("list").out
    assert all(f"{what}:\n" in out for what in WHATS)
    assert "pretrain+multitask+fewshot" in out


def test_wrong_words(wrong: Callable[..., str]) -> None:
    assert 'did you mean "strategies"?' in wrong("list", "strateges")
    assert "'compar'" in wrong("compar")
    assert "--sed" in wrong("compare", "p.toml", "--sed", "3")
    assert "DATA" in wrong("predict", "model")


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--debug", "compare", "none.toml"]) == 2
    assert "Traceback" in capsys.readouterr().err
