"""What trials told beside their scores: layers, shares of sources, columns, and how tasks pull together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .tables import Trials

SHOWN = {"cosines": "after", "affinity": "values"}  # what trials tell, and where its numbers stand


def layers(found: Trials) -> list[dict[str, Any]]:
    """Say at which blocks trials cut their backbone, and how likely left-out rows were at each."""
    rows = []
    for (name, amount), trials in found.items():
        told = [facts.get("told") or {} for trial in trials.values() for facts in trial["targets"].values()]
        told = [one for one in told if "layer" in one]
        if not told:
            continue
        rows.append(
            {
                "strategy": name,
                "shots": amount,
                "taken": dict(Counter(one["layer"] for one in told).most_common()),
                "likelihood": {
                    layer: sum(one["likelihood"][layer] for one in told) / len(told)
                    for layer in told[0]["likelihood"]
                },
            }
        )
    return rows


def shares(found: Trials) -> list[dict[str, Any]]:
    """Give the mean share of each source in a target, for each way that told it."""
    return [
        place | {"shares": {source: sum(one[source] for one in there) / len(there) for source in there[0]}}
        for place, there in _of_targets(found, "shares")
    ]


def dropped(found: Trials) -> list[dict[str, Any]]:
    """Count how often each column of each source was left out, for each way that told it."""
    rows = []
    for place, there in _of_targets(found, "dropped"):
        counts = {
            source: dict(Counter(column for one in there for column in one[source]).most_common())
            for source in there[0]
        }
        rows.append(place | {"trials": len(there), "columns": counts})
    return rows


def _of_targets(found: Trials, what: str) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Go through what was told of something, by way, number of labels and target."""
    for (name, amount), trials in found.items():
        for target in next(iter(trials.values()), {"targets": ()})["targets"]:
            told = [(trial["targets"].get(target) or {}).get("told") or {} for trial in trials.values()]
            if there := [one[what] for one in told if what in one]:
                yield {"strategy": name, "shots": amount, "target": target}, there


def pulls(found: Trials) -> list[dict[str, Any]]:
    """Give the mean over the trials of each way that told cosines or affinities of tasks, and its groups."""
    rows = []
    for (name, amount), trials in found.items():
        told = [
            facts.get("told") or {} for trial in trials.values() for facts in [*trial["targets"].values()][:1]
        ]
        for what, values in SHOWN.items():
            if there := [one for one in told if what in one]:
                tasks = there[0][what]["tasks"]
                rows.append(
                    {
                        "strategy": name,
                        "shots": amount,
                        "what": what,
                        "tasks": tasks,
                        "values": mean(
                            [table(one[what]["tasks"], one[what][values], tasks) for one in there]
                        ),
                        "groups": divided([one["groups"] for one in there if "groups" in one]),
                    }
                )
    return rows


def table(
    named: Sequence[str], values: Sequence[Sequence[float | None]], tasks: Sequence[str]
) -> list[list[float]]:
    """Bring a table to one order of the tasks; what is not known is NaN."""
    at = [named.index(task) for task in tasks]
    return [[math.nan if (value := values[k][m]) is None else value for m in at] for k in at]


def mean(tables: Sequence[Sequence[Sequence[float]]]) -> list[list[float | None]]:
    """Average each cell over the tables that know it.

    Example:
        >>> mean([[[1.0, math.nan]], [[3.0, math.nan]]])
        [[2.0, None]]
    """
    cells = [list(zip(*rows, strict=True)) for rows in zip(*tables, strict=True)]
    known = [[[value for value in cell if not math.isnan(value)] for cell in row] for row in cells]
    return [[sum(cell) / len(cell) if cell else None for cell in row] for row in known]


def divided(divisions: Sequence[Sequence[Sequence[str]]]) -> Mapping[str, int]:
    """Count how often tasks were divided in the same way, the commonest first.

    Example:
        >>> divided([[["a", "b"], ["c"]], [["c"], ["b", "a"]]])
        {'a + b | c': 2}
    """
    named = (" | ".join(sorted(" + ".join(sorted(group)) for group in groups)) for groups in divisions)
    return dict(Counter(named).most_common())
