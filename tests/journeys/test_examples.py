"""Every example runs, and its problem files are read."""

import os
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

from headstart.cli import main
from headstart.models.backbones.wheel import place
from headstart.problems import load_asked

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FETCHED = find_spec("torchvision") is not None and place("mobilenet_v2").exists()
PROBLEMS = sorted(p.name for p in EXAMPLES.glob("*.toml"))
WORLDS = "heavy_cartpole.toml"
BUDGET = {"steps": 2, "pretrain": 2, "meta": 1, "episodes": 1, "options": 1, "batch": 8}


def test_own_loop():
    scores = runpy.run_path(str(EXAMPLES / "own_loop.py"))["main"](steps=60)
    assert scores["digits"] > 0.5
    assert scores["odd"] > 0.7


def test_few_shot_parts():
    assert runpy.run_path(str(EXAMPLES / "few_shot_parts.py"))["main"](steps=20) > 0.5


@pytest.mark.parametrize("count", [1, pytest.param(150, marks=pytest.mark.slow)])
def test_two_tasks_at_once(count):
    gains = runpy.run_path(str(EXAMPLES / "two_tasks_at_once.py"))["main"](
        count=count, tested=2 if count == 1 else 40
    )
    assert list(gains) == ["height", "level"]
    assert count == 1 or all(low > 0 for low, _ in gains.values())


@pytest.mark.skipif(
    find_spec("torchvision") is None or not place("mobilenet_v2").exists(),
    reason="weights are not fetched: headstart weights mobilenet_v2",
)
@pytest.mark.slow
def test_textbook_finetuning():
    scores = runpy.run_path(str(EXAMPLES / "textbook_finetuning.py"))["main"](steps=25)
    assert scores["all"] > scores["head"] > 0.6


def test_shapes_on_textures():
    found = runpy.run_path(str(EXAMPLES / "shapes_on_textures.py"))["main"](steps=4, seeds=2)
    assert {"constant", "raw+threshold", "raw+pixels", "finetune", "multitask"} <= set(found)
    assert found["raw+threshold"] < 0.7  # no pixel by itself tells


@pytest.mark.skipif("HEADSTART_DATA" not in os.environ, reason="HEADSTART_DATA is not set")
@pytest.mark.slow
def test_chest_scanners():
    found = runpy.run_path(str(EXAMPLES / "chest_scanners.py"))["main"](steps=2, seeds=1)
    assert {"source+logreg", "source-only", "adabn", "coral", "adamatch"} <= set(found)
    assert 0.62 < found["source+logreg"] < 0.8  # always "pneumonia" has .625


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_file_is_read(name):
    assert load_asked(EXAMPLES / name).settings.target
    assert f"headstart compare examples/{name}" in (EXAMPLES / name).read_text()


@pytest.mark.slow
def test_a_problem_file_of_worlds_can_be_compared(tmp_path):
    words = ["compare", str(EXAMPLES / WORLDS), "--strategies", "zero-shot", "--seeds", "2"]
    words += ["--set", "budget.pretrain=64", "--set", "target.steps=[0, 64]", "--out", str(tmp_path)]
    assert main(words) == 0
    assert (tmp_path / "report.html").exists()


@pytest.mark.skipif("HEADSTART_DATA" not in os.environ, reason="HEADSTART_DATA is not set")
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if "mnist" in n else ()) for n in PROBLEMS if n != WORLDS],
)
def test_a_problem_file_can_be_compared(name, tmp_path):
    names = "scratch,probe" if "mnist.toml" in name else "source-only,mmd"
    names = "shared+logreg,joint+space" if "sites" in name else names
    words = ["compare", str(EXAMPLES / name), "--strategies", names, "--seeds", "1", "--out", str(tmp_path)]
    for key, value in BUDGET.items():
        words += ["--set", f"budget.{key}={value}"]
    assert main(words) == 0
    assert (tmp_path / "report.html").exists()
