"""Would it survive another protocol? The best ways and the baseline again, with other reasonable choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import wrong
from ..strategies import Strategy
from ._compare import compare
from .plan import with_family
from .question import Question
from .verdicts import LEAST

WAYS = 3  # of those that may be the best, the likeliest
TURNED = {"gains": {"harms"}, "harms": {"gains"}}  # verdicts that contradict each other


@dataclass(frozen=True)
class Checked:
    """Hold what was found under other protocols.

    Args:
        strategy: whose verdict is checked.
        baseline: what it is measured against.
        verdict: what the comparison said.
        rows: one per protocol: ``protocol``, ``verdict``, ``gain``, ``gain_ci95``.
    """

    strategy: str
    baseline: str
    verdict: str
    rows: Sequence[Mapping[str, Any]]

    @property
    def stays(self) -> int:
        """Count the protocols under which the verdict is the same."""
        return sum(row["verdict"] == self.verdict for row in self.rows)

    @property
    def turned(self) -> list[str]:
        """Name the protocols under which it is the contrary, or the gain is on the other side of 0."""
        ours = [row for row in self.rows if row["gain"] is not None]
        side = {"gains": 1, "harms": -1}.get(self.verdict, 0)
        return [
            r["protocol"]
            for r in ours
            if side * r["gain"] < 0 or r["verdict"] in TURNED.get(self.verdict, ())
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the facts, as JSON."""
        return {
            "strategy": self.strategy,
            "baseline": self.baseline,
            "verdict": self.verdict,
            "stays": self.stays,
            "of": len(self.rows),
            "turned": self.turned,
            "protocols": [dict(row) for row in self.rows],
        }

    def __str__(self) -> str:
        lines = [
            f"{self.strategy} {self.verdict} over {self.baseline}: so it is under {self.stays} of "
            f"{len(self.rows)} other protocols."
        ]
        width = max((len(row["protocol"]) for row in self.rows), default=0)
        for row in self.rows:
            gain = "–" if row["gain"] is None else f"{100 * row['gain']:+.1f}"
            ends = row["gain_ci95"]
            span = f" [{100 * ends[0]:+.1f}, {100 * ends[1]:+.1f}]" if ends else ""
            lines.append(f"  {row['protocol']:<{width}}  {row['verdict']:<5}  {gain}{span}")
        if self.turned:
            lines.append(f"It turns under: {', '.join(self.turned)}.")
        return "\n".join(lines)


def check(
    problem: Question,
    data: Mapping[str, Any],
    *,
    seeds: int = 5,
    strategies: Sequence[Strategy] = (),
    out: str | Path | None = None,
    workers: int = 1,
    progress: bool | None = None,
) -> Checked:
    """Run the ways that may be the best and the baseline again, under a handful of other protocols.

    Each protocol changes one choice that another person might have made: how long and how fast is trained,
    which rows are test rows, how many labels there are, how sources are moved in pretraining. A finding that
    turns with such a choice is one of the protocol.

    Args:
        problem: what was asked.
        data: what was found, as ``result.data`` has it.
        seeds: of each protocol.
        strategies: those that were compared and are none of the library's.
        out: directory for the comparisons, one folder each; a check that was stopped goes on there.
        workers: as in ``compare``.
        progress: as in ``compare``.

    Raises:
        ValueError: if nothing was recommended.
    """
    answer = next((a for a in reversed(data["answers"]) if a["strategy"]), None)
    if answer is None:
        raise wrong("result", expected="one with a recommendation", found="no score")
    rows = [r for r in data["rows"] if (r["target"], r["shots"]) == (answer["target"], answer["shots"])]
    reuse = [r for r in rows if r["verdict"] is not None and "-without-" not in r["strategy"]]
    likely = sorted(reuse, key=lambda r: (not r["may_be_best"], -(r["best_probability"] or 0)))
    recommended = answer["strategy"] if any(r["strategy"] == answer["strategy"] for r in reuse) else None
    way = recommended or likely[0]["strategy"] if likely else None
    if way is None:
        raise wrong("result", expected="one with a way of reuse", found="none")
    names = list(dict.fromkeys([way, *(r["strategy"] for r in likely[:WAYS])]))
    known = {strategy.name: strategy for strategy in strategies}
    ways = list(with_family(problem, [known.get(n, n) for n in names], answer["baseline"]).values())
    told = []
    for protocol, other, posed in _protocols(problem, ways, way):
        place = None if out is None else Path(out) / protocol.replace(" ", "-")
        result = compare(
            other,
            posed,
            seeds,
            baseline=answer["baseline"],
            least=data.get("least", LEAST),
            out=place,
            workers=workers,
            progress=progress,
        )
        row = next(
            r for r in reversed(result.rows) if r["strategy"] == way and r["target"] == answer["target"]
        )
        told.append({"protocol": protocol, **{key: row[key] for key in ("verdict", "gain", "gain_ci95")}})
    verdict = next(r["verdict"] for r in rows if r["strategy"] == way)
    return Checked(way, answer["baseline"], verdict, told)


def _protocols(
    problem: Question, ways: Sequence[Strategy], way: str
) -> list[tuple[str, Question, Sequence[Strategy]]]:
    """List protocols: a name, the problem as it is then, and the strategies."""
    found: list[tuple[str, Question, Sequence[Strategy]]] = [
        (name, other, ways) for name, other in problem.protocols().items()
    ]
    rated = any("lr" in option for each in ways if each.name == way for option in each.options)
    for name, factor in (("a third of the rate", 1 / 3), ("three times the rate", 3.0)) if rated else ():
        found.append((name, problem, [_at_rate(way, factor) for way in ways]))
    return found


def _at_rate(strategy: Strategy, factor: float) -> Strategy:
    """Multiply the step size of a strategy that has one."""
    options = [{**o, "lr": factor * float(o["lr"])} if "lr" in o else dict(o) for o in strategy.options]  # type: ignore[arg-type]
    return replace(strategy, options=options)
