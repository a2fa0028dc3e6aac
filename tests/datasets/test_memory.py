"""Reading takes about three times the memory of what is read at most, each in a process of its own."""

import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow

MEASURE = """
import resource, sys, warnings
warnings.simplefilter("ignore")
from headstart.datasets import read

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

read(sys.argv[1])  # imports, and memory that stays
before = peak()
(task,) = read(sys.argv[2])
parts = [part.x for part in (task.train, task.valid, task.test) if part is not None]
print((peak() - before) / sum(x.numel() * x.element_size() for x in parts))
"""


def npz(path, count, kind=np.float64, shape=(100,)):
    draw = np.random.default_rng(0)
    np.savez(path, x=draw.normal(size=(count, *shape)).astype(kind), y=draw.integers(0, 2, count))
    return f"npz:{path}#x,y"


def flat(path, count):
    return npz(path, count)


def singles(path, count):
    return npz(path, count, np.float32)


def maps(path, count):
    return npz(path, count, np.float32, (1, 10, 10))


def table(path, count):
    pa, csv = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.csv")
    draw = np.random.default_rng(0)
    columns = {f"f{k}": draw.normal(size=count).round(4) for k in range(100)}
    csv.write_csv(pa.table(columns | {"y": draw.integers(0, 2, count)}), path)
    return f"csv:{path}#y"


def parquet(path, count):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    draw = np.random.default_rng(0)
    columns = {f"f{k}": draw.normal(size=count) for k in range(100)}
    pq.write_table(pa.table(columns | {"y": draw.integers(0, 2, count)}), path)
    return f"parquet:{path}#y"


WRITERS = [
    (flat, 3.1),
    (singles, 3.1),
    (maps, 3.1),
    (parquet, 3.5),
    (table, 3.5),
]  # table: all as texts first


@pytest.mark.parametrize(("write", "most"), WRITERS)
def test_reading_takes_no_more_memory_than_some_times_that_of_its_rows(tmp_path, write, most):
    ending = {table: "csv", parquet: "parquet"}.get(write, "npz")
    small, large = (write(tmp_path / f"{n}.{ending}", n) for n in (50, 200_000))
    command = [sys.executable, "-c", MEASURE, small, large]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(found.stdout) < most
