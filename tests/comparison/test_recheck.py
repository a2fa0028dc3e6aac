"""Numbers of a result, found again from its outputs by a script that shares no code with the library."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from headstart.comparison import Problem, compare
from headstart.tasks import Labelled, Regression, Task

from .problems import TINY, few_without_reuse, numbers, table

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "trust" / "recheck.py"
WAYS = ["features+logreg", "probe"]
ALONE = f"""
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
finally:
    for name in ("headstart", "scipy", "torch", "sklearn"):
        assert name not in sys.modules, name
"""


def rechecked(directory):
    """Run the script as a reader would."""
    call = [sys.executable, "-c", ALONE, str(SCRIPT), str(directory)]
    return subprocess.run(call, capture_output=True, text=True, timeout=120)


def largest(done):
    return max(float(line.split("largest difference ")[1].split()[0]) for line in done.stdout.splitlines())


def sums(each, seed):
    rows = numbers(each, seed)
    return Labelled(rows.x, 3 * rows.x.sum(1) + 100)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    one, out = dataclasses.replace(TINY, options=1), tmp_path_factory.mktemp("recheck") / "out"
    with pytest.MonkeyPatch.context() as patch:
        few_without_reuse(patch, "constant", "raw+logreg", "raw+svm", "scratch")
        return compare(table(budget=one, shots=[2, 5]), WAYS, 3, out=out)


def test_accuracies_and_their_intervals_are_found_again(compared):
    done = rechecked(compared.directory)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2  # one for each number of labels
    assert largest(done) < 1e-6


def test_ratios_of_errors_are_found_again(tmp_path, monkeypatch):
    few_without_reuse(monkeypatch, "constant", "raw+ridge", "scratch")
    target = Task("size", Regression(), sums(8, 1), test=sums(20, 2))
    source = Task("old", Regression(), sums(12, 3))
    one = dataclasses.replace(TINY, options=1)
    problem = Problem(target, [source], settings={"hidden": [6]}, budget=one, metric="r2")
    compare(problem, ["pooled+ridge", "probe"], 3, out=tmp_path / "out")
    done = rechecked(tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert largest(done) < 1e-6


def test_another_number_is_seen(compared, tmp_path):
    shutil.copytree(compared.directory, tmp_path / "out")
    place = tmp_path / "out" / "result.json"
    data = json.loads(place.read_text())
    data["rows"][-1]["gain_ci95"][0] -= 0.01
    place.write_text(json.dumps(data))
    done = rechecked(tmp_path / "out")
    assert done.returncode == 1
    assert largest(done) == pytest.approx(0.01, rel=0.01)
