"""A backbone that a function of the user's makes: only where the command allows it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.cli import main
from headstart.models.backbones import code
from headstart.problems import load_problem

SOURCE = """
from pathlib import Path
from torch import nn

Path({mark!r}).touch()  # that it ran


class Flat(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(64, width)

    def forward(self, x):
        return self.layer(x.flatten(1)).relu()


def net(width=8):
    return Flat(width)


def number():
    return 3
"""
FILE = """
[target]
data = "digits:5-9"
shots = 2
[backbone]
use = "python:ours_of_test.nets:net"
width = 6
[budget]
steps = 2
options = 1
[compare]
strategies = ["features+logreg", "scratch"]
seeds = 1
[fit]
strategy = "probe"
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A problem file, and beside it a package whose import leaves a mark."""
    (tmp_path / "ours_of_test").mkdir()
    (tmp_path / "ours_of_test" / "nets.py").write_text(SOURCE.format(mark=str(tmp_path / "ran")))
    (tmp_path / "problem.toml").write_text(FILE)
    before = list(sys.path)
    yield tmp_path / "problem.toml"
    sys.path[:] = before
    for name in [n for n in sys.modules if n.startswith("ours_of_test")]:
        del sys.modules[name]


def test_nothing_runs_unless_it_is_allowed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["compare", file], ["rank", file], ["fit", file]):
        assert main([*map(str, words), *(["--out", str(file.parent / "out")] * (words[0] != "rank"))]) == 2
        said = capsys.readouterr().err
        assert "should be code that you allow to run" in said
        assert "`--allow-code`" in said
    assert not (file.parent / "ran").exists()
    with pytest.raises(ValueError, match="pass the module itself"):
        hs.backbone("python:ours_of_test.nets:net")
    with pytest.raises(ValueError, match="pass the module itself"):
        hs.models.backbones.start("python:ours_of_test.nets:net")


def test_a_comparison_with_it_is_repeated_gone_on_with_and_not_resumed_unasked(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = file.parent / "out"
    words = ["compare", str(file), "--out", str(out), "--allow-code"]
    assert main(words) == 0
    found = json.loads((out / "details.json").read_text())
    assert found["command"].endswith("--allow-code")
    assert main(words) == 0  # the same fingerprint, weights that the function draws included
    del sys.modules["ours_of_test.nets"]
    (file.parent / "ran").unlink()
    assert main(["check", str(out), "--seeds", "1"]) == 2
    assert "--allow-code" in capsys.readouterr().err
    assert not (file.parent / "ran").exists()
    (place,) = (out / "models").glob("features+logreg")
    with pytest.raises(ValueError, match="build that module and pass"):
        hs.load(place)
    assert not (file.parent / "ran").exists()
    trunk = code("python:ours_of_test.nets:net", {"width": 6}, file.parent).module
    (name,) = hs.load(place, backbone=trunk, device="cpu").kinds
    assert name == "digits_5-9"


def test_weights_none_means_that_it_brings_no_knowledge(file: Path) -> None:
    told = load_problem(file, allow_code=True).problem()
    assert told.comes_pretrained()
    assert told.start.name == "python:ours_of_test.nets:net"
    again = load_problem(file, allow_code=True).problem()
    assert again.fingerprint() == told.fingerprint()
    fresh = load_problem(file, ["backbone.weights=none"], allow_code=True).problem()
    assert not fresh.comes_pretrained()
    wide = load_problem(file, ["backbone.width=7"], allow_code=True).problem()
    assert wide.fingerprint() != told.fingerprint()
    one, other = (fresh.build(pretrained=False).layer.weight for _ in range(2))
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ("backbone.use=python:ours_of_test", ValueError, "python:package.module:function"),
        (
            "backbone.use=python:ours_of_test.net:net",
            ModuleNotFoundError,
            r"put `ours_of_test/net\.py` beside",
        ),
        ("backbone.use=python:ours_of_test.nets:nett", ValueError, 'did you mean "net"'),
        (
            "backbone.use=python:ours_of_test.nets:number",
            ValueError,
            "got an unexpected keyword argument 'width'",
        ),
        ("backbone.depth=3", ValueError, "unexpected keyword argument 'depth'"),
        ("backbone.weights=a.pth", ValueError, "load that file in the function"),
    ],
)
def test_what_is_wrong_is_told(file: Path, change: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        load_problem(file, [change], allow_code=True).problem()


def test_what_is_no_module_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match=r"torch\.nn\.Module from rows to features; found int"):
        code("python:ours_of_test.nets:number", {}, file.parent)
    assert isinstance(code("python:ours_of_test.nets:net", {}, file.parent).module, nn.Module)
