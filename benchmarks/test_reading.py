"""How long it takes to read a table and a folder of images, beside the libraries that do the reading.

``pytest benchmarks/test_reading.py`` measures the short form, ``python benchmarks/test_reading.py`` the long
one: each part in a process of its own, and what it prints is kept in ``reading.json``.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from headstart.datasets import read


def table(path: Path, rows: int) -> None:
    """Write twenty columns: numbers, whole numbers, words, and a label."""
    import pyarrow
    from pyarrow import csv

    rng = np.random.default_rng(0)
    columns = {f"f{k}": rng.normal(size=rows).round(6) for k in range(16)}
    columns |= {f"k{k}": rng.integers(0, 1000, rows) for k in range(2)}
    columns |= {"c": np.array(["red", "green", "blue", "grey"])[rng.integers(0, 4, rows)]}
    csv.write_csv(pyarrow.table(columns | {"y": rng.integers(0, 2, rows)}), path)


def photos(folder: Path, count: int, side: int) -> None:
    """Write noise as pictures of two classes; a few are drawn, and the others are links to them."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in "ab":
        (folder / name).mkdir(parents=True)
        for k in range(count // 2):
            file, drawn = folder / name / f"{k}.jpg", folder / name / f"{k % 50}.jpg"
            if k < 50:
                Image.fromarray(rng.integers(0, 255, (side, side, 3)).astype("u1")).save(file, quality=60)
            else:
                file.hardlink_to(drawn)


def measured(what: str, where: Path) -> dict[str, float]:
    """Read once, and tell the time of the processor, and the memory beside that of the result."""
    torch.zeros(3).sum()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    size = 0
    if what == "pyarrow":
        from pyarrow import csv

        csv.read_csv(where)
    elif what == "pandas":
        import pandas

        pandas.read_csv(where)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (task,) = read(f"{what}:{where}" + ("#y" if what == "csv" else ""))
        size = task.train.x.nbytes + task.test.x.nbytes
    seconds, after = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": round(seconds, 2), "peak_mb": (after - before) // 1024, "result_mb": size >> 20}


def test_a_table_is_read_within_a_few_times_of_the_librarys_own_time(tmp_path: Path) -> None:
    table(tmp_path / "a.csv", 40_000)
    for what in ("pyarrow", "csv"):  # what is done once for all
        measured(what, tmp_path / "a.csv")
    own, ours = (
        min(measured(w, tmp_path / "a.csv")["seconds"] for _ in range(3)) for w in ("pyarrow", "csv")
    )
    assert ours < 6 * max(own, 0.05)


def test_pictures_take_little_more_than_their_tensor(tmp_path: Path) -> None:
    photos(tmp_path / "im", 100, 96)
    (task,) = read(f"images:{tmp_path / 'im'}")
    assert task.train.x.untyped_storage().nbytes() == task.train.x.nbytes


def main() -> None:
    """Measure the long form."""
    with tempfile.TemporaryDirectory() as folder:
        place, found = Path(folder), {}
        table(place / "a.csv", 1_000_000)
        photos(place / "im", 20_000, 224)
        asked = [("pyarrow", "a.csv"), ("pandas", "a.csv"), ("csv", "a.csv"), ("images", "im")]
        for what, name in asked:
            call = [sys.executable, __file__, what, str(place / name)]
            found[what] = json.loads(subprocess.run(call, capture_output=True, check=True, text=True).stdout)
            print(what, found[what], flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measured(sys.argv[1], Path(sys.argv[2]))))
    else:
        main()
