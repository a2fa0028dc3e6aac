"""What a comparison found, in numbers and in words."""

from __future__ import annotations

import json
import math
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .. import __version__, report
from ..engine import write_atomic
from ..errors import wrong
from ..maths import interval, paired_interval
from ..tasks import Kind
from . import choose
from .table import STRATEGIES, baseline

if TYPE_CHECKING:
    from .comparison import _Plan


@dataclass(frozen=True, eq=False)
class Best:
    """The recommended model: where it lies, and what made it."""

    strategy: str
    directory: Path

    def save(self, directory: str | Path) -> Path:
        """Copy the model's directory; ``hs.models.load`` reads it.

        Raises:
            FileExistsError: if ``directory`` is there and not empty.
            FileNotFoundError: if the trial of the first seed, which makes the model, did not run or failed.
        """
        path = Path(directory)
        if not self.directory.exists():
            what, found = (
                f"model of {self.strategy!r}",
                "none: the trial of the first seed did not run or failed",
            )
            hint = "run the same comparison again, or put another seed first"
            raise wrong(
                what, expected=f"at {self.directory}", found=found, hint=hint, error=FileNotFoundError
            )
        if path.exists() and any(path.iterdir()):
            raise wrong(
                f"`directory` {path}", expected="new or empty", found="files in it", error=FileExistsError
            )
        shutil.copytree(self.directory, path, dirs_exist_ok=True)
        return path


@dataclass(frozen=True, eq=False)
class Result:
    """Hold a comparison: ``data`` is ``result.json``, ``details`` what the report shows beside it.

    Example:
        >>> data = {"task": "new", "metric": "accuracy", "higher_is_better": True, "rows": [],
        ...         "recommended": "scratch", "reasons": []}
        >>> Result(data, {}, Path("runs/x")).recommended
        'scratch'
    """

    data: dict[str, Any]
    details: dict[str, Any]
    directory: Path
    _holder: object = None  # keeps a temporary directory alive

    def __repr__(self) -> str:
        return f"Result(task={self.data['task']!r}, recommended={self.recommended!r}, {self.directory})"

    def __str__(self) -> str:
        return self.table()

    @classmethod
    def load(cls, directory: str | Path) -> Result:
        """Read a comparison's directory; ``FileNotFoundError`` where there is none."""
        path = Path(directory)
        if not (path / "result.json").exists():
            raise wrong(
                f"directory {path}",
                expected="a finished comparison",
                found="no result.json in it",
                error=FileNotFoundError,
            )
        return cls(
            json.loads((path / "result.json").read_text()),
            json.loads((path / "details.json").read_text()),
            path,
        )

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per strategy and number of shots, as in ``result.json``."""
        return self.data["rows"]

    @property
    def recommended(self) -> str | None:
        """The strategy to use at the largest number of labels."""
        return self.data["recommended"]

    @property
    def best(self) -> Best:
        """The recommended strategy's model, of the first seed."""
        if self.recommended is None:
            raise wrong(
                "trials of the comparison",
                expected="at least one with a score",
                found="none",
                hint="`reasons` tells why; the same command goes on with the trials that are missing",
            )
        return Best(self.recommended, self.directory / "models" / self.recommended)

    def table(self) -> str:
        """Lay the rows out as text."""
        return report.table(self.data, self.details)

    def report(self, path: str | Path) -> Path:
        """Write the self-contained HTML report."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, report.page(self.data, self.details))
        return path

    def to_dict(self) -> dict[str, Any]:
        """Return ``result.json`` as a dict."""
        return self.data


def summarise(
    plan: _Plan,
    chosen: Mapping[tuple[str, int | None], int],
    skipped: Mapping[str, str],
    *,
    command: str,
    elapsed: float,
    workers: int,
) -> Result:
    """Read the trials' files and write ``result.json``, ``details.json`` and ``report.html``."""
    trials: dict[tuple[str, int | None], dict[int, dict[str, Any]]] = {}
    for count in plan.shots:
        for name in plan.names:
            files = {seed: plan.file("trials", (name, count, seed)) for seed in plan.seeds}
            trials[name, count] = {s: json.loads(f.read_text()) for s, f in files.items() if f.exists()}
    kind, base = plan.problem.target.kind, baseline(plan.problem)
    rows = [
        _row(name, count, found, trials.get((base, count), {}), base, kind, plan.seeds)
        for (name, count), found in trials.items()
    ]
    by_shots = {
        count: _recommend([r for r in rows if r["shots"] == count], base, kind) for count in plan.shots
    }
    # The model that is handed over has the most labels that there are results for.
    recommended = next((name for name, _ in reversed(by_shots.values()) if name), None)
    labels = plan.problem.labelled() > 0
    reasons = [f"{_amount(count, labels, kind)}: {reason}" for count, (_, reason) in by_shots.items()]
    missing = sum(len(plan.seeds) - len(found) for found in trials.values())
    if missing:
        reasons.append(
            f"{missing} trials did not run within the time budget"
            f"{'' if any(trials.values()) else ', which the choice of settings took'}; "
            "the same command continues with them."
        )
    failed = [t for found in trials.values() for t in found.values() if t["score"] is None]
    if failed:
        names = sorted({t["strategy"] for t in failed})
        reasons.append(f"{len(failed)} trials failed with a loss that was not finite: {', '.join(names)}.")
    data = {
        "task": plan.problem.target.name,
        "metric": kind.metric,
        "higher_is_better": kind.higher_is_better,
        "rows": rows,
        "recommended": recommended,
        "reasons": reasons,
    }
    details = _details(plan, chosen, skipped, trials, recommended) | {
        "command": command,
        "baseline": base,
        "recommended_by_shots": {str(c): {"strategy": s, "reason": r} for c, (s, r) in by_shots.items()},
        "budget": {"seconds": elapsed, "workers": workers, "trials": sum(map(len, trials.values())),
                   "failed": [{k: t[k] for k in ("strategy", "shots", "seed", "error")} for t in failed]},
        "partial": bool(missing),
    }  # fmt: skip
    write_atomic(plan.directory / "result.json", json.dumps(data, indent=2))
    write_atomic(plan.directory / "details.json", json.dumps(details))
    report.write(plan.directory)
    return Result(data, details, plan.directory)


def _amount(count: int | None, labels: bool, kind: Kind) -> str:
    if not labels:
        return "Without labels of the target"
    if count is None:
        return "With all labelled rows"
    return f"With {count} labelled row{'s' * (count != 1)}{' per class' * _per_class(kind)}"


def _per_class(kind: Kind) -> bool:
    """Tell whether shots are counted for each class, or in all."""
    return kind.exclusive


def _finite(pair: tuple[float, float]) -> list[float] | None:
    return list(pair) if all(math.isfinite(v) for v in pair) else None


def _scored(trials: Mapping[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {s: t for s, t in trials.items() if t["score"] is not None and math.isfinite(t["score"])}


def _row(
    name: str,
    count: int | None,
    found: Mapping[int, dict[str, Any]],
    base: Mapping[int, dict[str, Any]],
    baseline: str,
    kind: Kind,
    seeds: Sequence[int],
) -> dict[str, Any]:
    good, plain = _scored(found), _scored(base)
    scores = [t["score"] for t in good.values()]
    both = [s for s in good if s in plain] if name != baseline else []
    ours, theirs = [good[s]["score"] for s in both], [plain[s]["score"] for s in both]
    gains = [a - b for a, b in zip(ours, theirs, strict=True)]
    gain_ci = None if _by_chance(gains) else _finite(paired_interval(ours, theirs))
    harmed = gain_ci is not None and (gain_ci[1] < 0 if kind.higher_is_better else gain_ci[0] > 0)
    return {
        "strategy": name,
        "shots": count,
        "mean": sum(scores) / len(scores) if scores else None,
        "ci95": None if _by_chance(scores) else _within_scale(_finite(interval(scores)), kind),
        "gain": sum(gains) / len(gains) if gains else None,
        "gain_ci95": gain_ci,
        "harmed": harmed,
        "seconds": sum(t["seconds"] for t in good.values()) / len(good) if good else None,
        "trained_parameters": next((t["trained_parameters"] for t in good.values()), None),
        "seeds": [good[s]["score"] if s in good else None for s in seeds],
    }


def _by_chance(values: Sequence[float]) -> bool:
    """Tell whether there are too few values for an interval; two that are equal are so by chance."""
    return len(values) < 2 or (len(values) == 2 and abs(values[0] - values[1]) < 1e-9)


def _within_scale(ends: list[float] | None, kind: Kind) -> list[float] | None:
    """End an interval where the metric does: that of a share (accuracy, area under a curve) at 0 and 1."""
    low, high = kind.bounds
    return None if ends is None else [max(low, ends[0]), min(high, ends[1])]


def _recommend(rows: Sequence[dict[str, Any]], base: str, kind: Kind) -> tuple[str | None, str]:
    """Pick the largest gain among those whose whole interval is on the right side of zero."""
    sign = 1 if kind.higher_is_better else -1
    percent = kind.metric == "accuracy"  # told as tables tell it

    def score(row: dict[str, Any]) -> str:
        return f"{100 * row['mean']:.1f} %" if percent else f"{row['mean']:.3f}"

    def difference(value: float) -> str:
        return f"{100 * value:+.1f}" if percent else f"{value:+.3f}"

    there = [r for r in rows if r["mean"] is not None]
    if not there:
        return None, "no trial has a score."
    gains = [r for r in there if r["gain_ci95"] and min(sign * v for v in r["gain_ci95"]) > 0]
    harmed = [r["strategy"] for r in there if r["harmed"]]
    warning = f" Did harm: {', '.join(harmed)}." if harmed else ""
    if gains:
        top = max(gains, key=lambda r: sign * r["gain"])
        low, high = top["gain_ci95"]
        count = len([r for r in there if r["strategy"] != base])
        return top["strategy"], (
            f"{top['strategy']} gains {difference(top['gain'])}{' points' * percent} over {base} "
            f"(95 % interval {difference(low)} to {difference(high)}); {len(gains)} of {count} strategies "
            f"gain with their whole interval.{warning}"
        )
    plain = next((r for r in there if r["strategy"] == base), None)
    if plain is None or len(there) == 1:
        top = max(there, key=lambda r: sign * r["mean"])
        return top["strategy"], f"{top['strategy']} scores {score(top)}; there is nothing to compare it with."
    if all(r["gain_ci95"] is None for r in there):
        top = max(there, key=lambda r: sign * r["mean"])
        return base, (
            f"too few seeds for an interval; {top['strategy']} scored highest ({score(top)}). "
            f"Run more seeds before leaving {base}.{warning}"
        )
    return base, f"no strategy gains over {base} with its whole interval above zero; keep {base}.{warning}"


def _details(
    plan: _Plan,
    chosen: Mapping[tuple[str, int | None], int],
    skipped: Mapping[str, str],
    trials: Mapping[tuple[str, int | None], Mapping[int, dict[str, Any]]],
    recommended: str | None,
) -> dict[str, Any]:
    problem, last, first = plan.problem, plan.shots[-1], plan.seeds[0]
    kind = problem.target.kind
    classes = [str(c) for c in getattr(kind, "classes", ())]
    strategies = {}
    for name in plan.names:
        s = STRATEGIES[name]
        found = trials[name, last]
        strategies[name] = {
            "summary": s.summary,
            "reused": s.reused,
            "frozen": s.frozen,
            "trained": "all weights" if s.frozen == "nothing" else "the rest",
            "settings": {
                "all" if c is None else str(c): dict(s.options[chosen[name, c]])
                if not plan.within(name, c)
                else "each trial its own"
                for c in plan.shots
            },
            "chosen_on": "; ".join(
                sorted(
                    {
                        choose.way(problem, s, c) if plan.options(name) > 1 else choose.DEFAULTS
                        for c in plan.shots
                    }
                )
            ),
        }
    details: dict[str, Any] = {
        "title": f"Which way of reuse is best for {problem.target.name}?",
        "target": {
            "name": problem.target.name,
            "classes": classes,
            "per_class": _per_class(kind),
            "train_rows": len(problem.target.train),
            "test_rows": len(problem.target.test),  # type: ignore[arg-type]
        },
        "sources": [
            {"name": s.name, "rows": len(s.train), "classes": len(s.kind.classes)} for s in problem.sources
        ],
        "backbone": problem.backbone
        if isinstance(problem.backbone, str)
        else type(problem.backbone).__name__,
        "pretrained": _pretrained(plan),
        "strategies": strategies,
        "skipped": dict(skipped),
        "environment": environment(),
        "seeds": list(plan.seeds),
        "curves": {
            name: {"shots": last, "seed": first, "losses": found[first]["curves"]}
            for name in plan.names
            if (found := trials[name, last]) and found.get(first, {}).get("curves")
        },
    }
    top = trials.get((recommended, last), {}).get(first, {}) if recommended else {}
    if top.get("confusion"):
        details["confusion"] = {
            "strategy": recommended,
            "shots": last,
            "classes": classes,
            "matrix": top["confusion"],
        }
    return details


def environment() -> dict[str, str]:
    """Name the versions that a result was made with."""
    versions = {"headstart": __version__, "torch": torch.__version__, "python": platform.python_version()}
    return versions | {"platform": platform.platform()}


def _pretrained(plan: _Plan) -> str:
    problem = plan.problem
    if problem.comes_pretrained():
        return (
            f"came with weights {problem.weights!r}"
            if isinstance(problem.backbone, str)
            else "the caller's own"
        )
    if not problem.sources:
        return "no"
    turned = ", their rotations as extra classes" if problem.rotations else ""
    shifted = f", moved by up to {problem.shift} pixel{'s' * (problem.shift > 1)}" if problem.shift else ""
    return f"on the sources{turned}{shifted}, {problem.budget.pretrain} steps, anew for every seed"
