"""What was killed half-way and run again gives what an unbroken run gives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

STRATEGIES = ["finetune", "gradual"]  # those that killed.py trains


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Run all of ``killed.py`` once; its children kill themselves and are started again."""
    root = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-m", "comparison.killed", root]
    tests = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=tests, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_that_was_killed_gives_the_same_weights(root, name):
    unbroken, broken = (torch.load(root / f"{name}-{way}/net.pt") for way in ("unbroken", "broken"))
    assert unbroken.keys() == broken.keys()
    assert all(torch.equal(unbroken[key], broken[key]) for key in unbroken)
    losses = [(root / f"{name}-{way}/metrics.jsonl").read_bytes() for way in ("unbroken", "broken")]
    assert losses[0] == losses[1]
    assert json.loads((root / f"{name}-broken/status.json").read_text())["state"] == "done"


def files(directory, pattern):
    return {str(f.relative_to(directory)): f.read_bytes() for f in directory.glob(pattern)}


def test_a_comparison_that_was_killed_gives_the_same_rows(root):
    def rows(way):
        return [
            {key: value for key, value in row.items() if key != "seconds"}
            for row in json.loads((root / way / "result.json").read_text())["rows"]
        ]

    assert rows("unbroken") == rows("broken")
    assert all(len(row["seeds"]) == 2 and None not in row["seeds"] for row in rows("broken"))
    for pattern in ("settings/*.json", "models/*/model.safetensors"):
        unbroken, broken = (files(root / way, pattern) for way in ("unbroken", "broken"))
        assert unbroken == broken
        assert unbroken
    reasons = [
        json.loads((root / way / "result.json").read_text())["reasons"] for way in ("unbroken", "broken")
    ]
    assert reasons[0] == reasons[1]


def test_nothing_half_written_stays(root):
    left = {str(f.relative_to(root / "broken")) for f in (root / "broken").rglob("*")}
    assert left == {str(f.relative_to(root / "unbroken")) for f in (root / "unbroken").rglob("*")}
