"""A small run, a small comparison and a small model, and what they come to where nothing is done to them."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import warnings
from pathlib import Path

from headstart.cli import main
from headstart.engine import Run

STEPS = 24
PROBLEM = """
target = {data = "csv:new.csv#label", shots = [1, 2]}
sources = [{data = "csv:old.csv#label"}]
backbone = {use = "mlp", hidden = [6]}
budget = {steps = 24, pretrain = 8, meta = 1, episodes = 2, options = 2}
compare = {strategies = ["scratch", "probe"], seeds = 2, baseline = "scratch"}
fit = {strategy = "scratch"}
"""
RUN, COMPARISON = "run", "comparison"
COMMANDS = {  # how each is made, or gone on with
    RUN: ["fit", "problem.toml", "--set", "target.shots=2", "--out"],
    COMPARISON: ["compare", "problem.toml", "--set", "budget.steps=6", "--out"],
}


def lay(root: Path) -> None:
    """Write the data and the problem."""
    rng = random.Random(0)
    for name, classes in (("new", "ab"), ("old", "cd")):
        lines = ["f0,f1,label"]
        for i in range(40):
            x = [f"{rng.gauss(2 * (i % 2), 1):.4f}" for _ in range(2)]
            lines.append(",".join([*x, classes[i % 2]]))
        (root / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (root / "problem.toml").write_text(PROBLEM)


def call(*words: object) -> tuple[int, str]:
    """Run a command in this process: its exit status, and all that it printed."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        status = main([str(word) for word in words])
    return status, text.getvalue()


@contextlib.contextmanager
def often(steps: int = 5):
    """Save a checkpoint every few steps, as a long run does."""
    defaults = Run.create.__func__.__kwdefaults__
    before = dict(defaults)
    defaults["every_steps"] = steps
    try:
        yield
    finally:
        defaults.update(before)


def make(kind: str, place: Path) -> tuple[int, str]:
    """Run the command of a kind, anew or to go on."""
    with often():
        return call(*COMMANDS[kind], place)


def came_to(kind: str, place: Path) -> dict[str, object]:
    """Say what a run or a comparison came to: all that does not depend on the clock."""
    if kind == RUN:
        names = ["metrics.jsonl", "scores.json", "model/model.safetensors", "model/model.json"]
        return {name: (place / name).read_bytes() for name in names}
    result = json.loads((place / "result.json").read_text())
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in result["rows"]]
    said = [reason for reason in result["reasons"] if "second" not in reason]
    files = [*place.glob("outputs/*"), *place.glob("settings/*"), *place.glob("model*/**/*.safetensors")]
    kept = {str(f.relative_to(place)): f.read_bytes() for f in files}
    return {"rows": rows, "reasons": said, "recommended": result["recommended"], **kept}


def renewed(pristine: Path, place: Path) -> Path:
    """Put a fresh copy of a directory in a place."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(pristine, place)
    return place
