"""How long it takes until something happens: the import, and the first help."""

import os
import subprocess
import sys
import time

import pytest

REPEATS = 5


def seconds(*words):
    """Time a process from start to end."""
    start = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return time.perf_counter() - start


def test_importing_headstart_costs_little_more_than_importing_torch(benchmark):
    ours, torchs = [], []
    for _ in range(REPEATS):  # in turn, so that both see the same machine
        torchs.append(seconds(sys.executable, "-c", "import torch"))
        ours.append(seconds(sys.executable, "-c", "import headstart as hs; hs.Net; hs.fit; hs.compare"))
    benchmark.pedantic(lambda: seconds(sys.executable, "-c", "import headstart"), rounds=3)
    benchmark.extra_info["ratio"] = min(ours) / min(torchs)
    assert min(ours) <= 1.15 * min(torchs)


@pytest.mark.parametrize("words", [["--help"], ["compare", "--help"], ["--version"]])
def test_help_comes_at_once(benchmark, words):
    benchmark.pedantic(lambda: seconds(sys.executable, "-m", "headstart", *words), rounds=REPEATS)
    assert benchmark.stats.stats.min <= 0.5


def test_help_does_not_import_torch():
    code = "import sys; from headstart.cli import main; main(['--help']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
