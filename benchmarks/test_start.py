"""How long it takes until something happens: the import, and the first help."""

import os
import resource
import subprocess
import sys

import pytest

REPEATS = 7
NAMES = "import headstart as hs; hs.Net; hs.fit; hs.compare"


def seconds(*words):
    """Give the processor time of a process, which other processes on the machine do not lengthen much."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_importing_headstart_costs_little_more_than_importing_torch(benchmark):
    ours, torchs = [], []
    for _ in range(REPEATS):  # in turn, so that both see the same machine
        torchs.append(seconds(sys.executable, "-c", "import torch"))
        ours.append(seconds(sys.executable, "-c", NAMES))
    benchmark.pedantic(lambda: seconds(sys.executable, "-c", NAMES), rounds=3)
    benchmark.extra_info["ratio"] = min(ours) / min(torchs)
    assert min(ours) <= 1.15 * min(torchs)


@pytest.mark.parametrize("words", ["--help", "compare --help", "--version"])
def test_help_comes_at_once(benchmark, words):
    benchmark.pedantic(lambda: seconds(sys.executable, "-m", "headstart", *words.split()), rounds=REPEATS)
    assert benchmark.stats.stats.min <= 0.5
