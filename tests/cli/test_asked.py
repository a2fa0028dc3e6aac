"""What a comparison says that the labels were taken for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_compare_starts_by_saying_what_the_target_asks_for(call: Callable[..., Any], problem: Path) -> None:
    answer = call("compare", "problem.toml", "--strategies", "scratch", "--seeds", "1")
    assert answer.out.startswith("label: 3 classes (bolt, nut, washer)\n")
    changes = (
        "--set",
        "target.data=csv:new.csv#f0",
        "--strategies",
        "scratch",
        "--seeds",
        "1",
        "--out",
        "price",
    )
    assert call("compare", "problem.toml", *changes).out.startswith("f0: a number (regression)\n")
