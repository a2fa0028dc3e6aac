"""Small data of a user's own, and the command line called in this process."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from headstart.cli import main

QUICK = ["budget.steps=4", "budget.pretrain=4", "budget.meta=1", "budget.episodes=2", "budget.options=1"]


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a command in ``tmp_path``; a traceback in what it prints is a failure."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Answer:
        capsys.readouterr()
        status = main([str(w) for w in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err, err
        return Answer(status, out, err)

    return run


@pytest.fixture
def wrong(call: Call) -> Callable[..., str]:
    """Run a command that is wrong: exit status 2, one message, nothing new on the disk."""

    def run(*words: object) -> str:
        before = files()
        answer = call(*words)
        assert answer.status == 2, answer
        assert files() == before, "something half-written"
        assert answer.err.startswith(("error: ", "Usage: ", "warning: ")), answer.err
        return answer.err

    def files() -> set[str]:
        return {str(p) for p in Path().rglob("*")}

    return run


def write_table(path: Path, classes: list[str], rows: int = 12, columns: int = 3, seed: int = 0) -> Path:
    """Write a CSV file whose classes are apart by their mean."""
    rng = random.Random(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"f{i}" for i in range(columns)), "label"])
        for k, name in enumerate(classes):
            for _ in range(rows):
                writer.writerow([*(f"{rng.gauss(3 * k * (i % 2), 1):.6f}" for i in range(columns)), name])
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "new.csv", ["bolt", "nut", "washer"])


@pytest.fixture
def problem(tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A target and a source in CSV files, with a budget of next to nothing, and few ways without reuse."""
    monkeypatch.setattr("headstart.comparison.problem.NO_REUSE", ("constant", "raw+logreg", "scratch"))
    write_table(tmp_path / "old.csv", ["cat", "dog", "eel", "fox"], rows=16, seed=1)
    path = tmp_path / "problem.toml"
    path.write_text(
        """
target = {data = "csv:new.csv#label", shots = 2}
sources = [{data = "csv:old.csv#label"}]
backbone = {use = "mlp", hidden = [8, 8]}
budget = {steps = 4, pretrain = 4, meta = 1, episodes = 2, options = 1}
compare = {strategies = ["scratch", "probe"], seeds = 2}
fit = {strategy = "finetune"}
"""
    )
    return path


@pytest.fixture
def model(tmp_path: Path, table: Path) -> Path:
    """A saved model for ``new.csv``."""
    import torch

    from headstart.datasets import read
    from headstart.models import Net, mlp, save

    (task,) = read("csv:new.csv#label", base=tmp_path)
    generator = torch.Generator().manual_seed(0)
    net = Net(mlp(3, hidden=(8,)), {task.name: task.kind.head(8)})
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return save(net, tmp_path / "model", kinds={task.name: task.kind}, encoding=task.encoding)
