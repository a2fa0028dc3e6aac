"""Columns that tell rows apart and say nothing of them: each kind is told, and what looks like it is not."""

import random
import warnings

import numpy as np
import pytest

from headstart.datasets import SplitSpec, read
from headstart.datasets.readers.numbered import GROUPS, ROWS, numbered

R = random.Random(0)
N = 300
SHUFFLED = R.sample(range(1000, 10**6), N)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("customer_number", SHUFFLED, ROWS),
        ("patient no.", SHUFFLED, ROWS),
        ("accountNumber", SHUFFLED, ROWS),
        ("#", SHUFFLED, ROWS),
        ("Unnamed: 0", range(5), ROWS),
        ("v", range(N, 0, -1), ROWS),
        ("v", sorted(SHUFFLED), ROWS),  # with gaps, in order
        ("v", [10**17 + 1000 * n for n in SHUFFLED], ROWS),  # more digits than a float has
        ("user_id", [n % 50 for n in range(N)], GROUPS),
        ("patientId", [*range(50), *range(50), np.nan], GROUPS),
        ("v", SHUFFLED, ""),
        ("v", range(12), ""),
        ("v", [R.gauss(0, 1) * 1e30 for _ in range(N)], ""),
        ("v", R.sample(range(7, 7 + N), N), ""),  # such as ranks
        ("user_id", [n % 5 for n in range(N)], ""),
        ("piano", SHUFFLED, ""),
        ("barcode reader", SHUFFLED, ""),
        ("id", [n + 0.5 for n in SHUFFLED], ""),
        ("rooms_number", [n % 9 for n in range(N)], ""),
        ("year", [1990 + n % 30 for n in range(N)], ""),
        ("v", [], ""),
    ],
)
def test_numbers_that_stand_for_rows(name, values, said):
    assert numbered(name, np.array([*values], dtype=float)) == said


@pytest.mark.parametrize("reader", ["csv", "npz"])
def test_they_are_told_with_their_column(tmp_path, reader):
    x = np.stack([np.arange(N), [R.gauss(0, 1) for _ in range(N)]], 1)
    y = ["a" if n < N / 2 else "b" for n in range(N)]
    if reader == "npz":
        np.savez(tmp_path / "a.npz", x=x, y=np.array(y))
    else:
        rows = "".join(f"{a},{b},{c}\n" for (a, b), c in zip(x, y, strict=True))
        (tmp_path / "a.csv").write_text("visit,f,y\n" + rows)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        read(f"{reader}:a.{reader}" + "#y" * (reader == "csv"), base=tmp_path, split=SplitSpec(test=0))
    (one,) = [str(w.message) for w in told]
    assert "tell rows apart" in one
    assert ("`visit`" in one) or ("column 0 of" in one)
