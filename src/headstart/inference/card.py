"""What has to be known of an exported model: its answers, how rows are made, its origin, what it gained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..atomic import current
from ..datasets import Encoding
from ..models import Net, count_parameters
from ..models.net import as_backbone
from ..records import read_json
from ..tasks import Kind
from ..version import __version__
from .exporting import FORMATS, TOLERANCE, Checked

UNKNOWN = "not known"


def card(
    file: str,
    data: bytes,
    net: Net,
    kinds: Mapping[str, Kind],
    encoding: Encoding | None,
    notes: Mapping[str, Any],
    directory: Path | None,
    checked: Checked,
    rows_from: str,
) -> dict[str, Any]:
    """Gather the facts of an exported model, as JSON.

    Args:
        file: its name.
        data: its bytes.
        net: that was exported.
        kinds: of the heads.
        encoding: how rows are made.
        notes: that the model was saved with.
        directory: of the saved model, where it has one.
        checked: how far the file's answers are from the net's.
        rows_from: what both were asked.
    """
    suffix = Path(file).suffix
    known = as_backbone(net.backbone)
    return {
        "file": file,
        "format": FORMATS[suffix],
        "sha256": hashlib.sha256(data).hexdigest(),
        "headstart": __version__,
        "inputs": dict(checked.inputs),
        "tasks": {name: _task(kind) for name, kind in kinds.items()},
        "preparation": {
            "steps": _steps(encoding),
            "encoding": encoding.to_json() if encoding is not None else None,
        },
        "check": asdict(checked) | {"rows_from": rows_from, "tolerance": TOLERANCE},
        "backbone": {
            "use": (known.use if known else "") or type(net.backbone).__name__,
            "settings": dict(known.settings) if known else {},
            "cut": dict(known.cut) if known and known.cut else None,
            "licence": (known.licence if known else "") or UNKNOWN,
        },
        "parameters": count_parameters(net, trainable=False),
        "frozen": count_parameters(net, trainable=False) - count_parameters(net),
        "made_by": _made_by(notes),
        "trained_on": _trained_on(notes),
        "source": _source(directory),
        "comparison": _comparison(directory, notes, list(kinds)),
    }


def _task(kind: Kind) -> dict[str, Any]:
    sure = type(kind).probabilities is not Kind.probabilities
    gives = "probabilities" if sure else "logits" if kind.classes else "numbers"
    return {"kind": kind.name, "gives": gives, "classes": list(kind.classes), "asks": kind.describe()}


def _steps(encoding: Encoding | None) -> list[str]:
    return encoding.preparation() if encoding is not None else ["make rows as those that it was trained on"]


def _made_by(notes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Say which strategy made it, and what that reuses and freezes."""
    if not (name := notes.get("strategy")):
        return None
    from ..strategies import STRATEGIES

    about = STRATEGIES.get(name)
    known = {"summary": about.summary, "reused": about.reused, "frozen": about.frozen} if about else {}
    return {key: notes.get(key) for key in ("strategy", "settings", "seed", "shots")} | known


def _trained_on(notes: Mapping[str, Any]) -> dict[str, Any] | None:
    if not (trained := notes.get("trained")):
        return None
    text = json.dumps(sorted(map(list, trained)))
    return {"rows": len(trained), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _source(directory: Path | None) -> dict[str, Any] | None:
    """Name the saved model, and the file of the run that made it."""
    if directory is None:
        return None
    about = current(directory / "model.json")
    weights = json.loads(about.read_text()).get("weights") if about.is_file() else None
    run = directory.parent / "run.toml"
    repeat = {"repeat": f"headstart fit {run}"} if run.is_file() else {}
    return {"directory": str(directory), "weights_sha256": weights} | repeat


def _comparison(
    directory: Path | None, notes: Mapping[str, Any], targets: list[str]
) -> dict[str, Any] | None:
    """Look up what a comparison found of the strategy, where the model lies in the directory of one."""
    above = directory.resolve().parents[:3] if directory is not None else []
    place = next(
        (p for p in above if (p / "result.json").is_file() and (p / "comparison.json").is_file()), None
    )
    if place is None:
        return None
    data, details = (read_json(place / name) for name in ("result.json", "details.json"))
    rows = [r for r in data["rows"] if r["strategy"] == notes.get("strategy") and r["target"] in targets]
    if not rows:
        return None
    row = rows[-1]  # amounts rise, and the model is of the largest
    answers = data.get("answers", [])
    answer: Mapping[str, Any] = next((a for a in reversed(answers) if a["target"] == row["target"]), {})
    return {
        "directory": str(place),
        "metric": details.get("metrics", {}).get(row["target"], {}).get("name", data["metric"]),
        "baseline": answer.get("baseline"),
        "recommended": data["recommended"] == row["strategy"],
        "fingerprint": read_json(place / "comparison.json").get("fingerprint"),
        "repeat": details.get("command") or "",
    } | {key: row.get(key) for key in ("shots", "mean", "ci95", "gain", "gain_ci95", "verdict", "judged_on")}


# The same as a page.


def page(about: Mapping[str, Any]) -> str:
    """Write a card as Markdown."""
    check, made, found = about["check"], about["made_by"], about["comparison"]
    worst = max(check["relative"].values())
    lines = [
        f"# {about['file']}",
        f"\nWritten by headstart {about['headstart']}; sha256 `{about['sha256']}`.",
        "\n## In and out\n",
        *(f"- in `{name}`: {i['dtype']} {_shape(i['shape'])}" for name, i in about["inputs"].items()),
        *(f"- out `{name}`: {_gives(task)}" for name, task in about["tasks"].items()),
        "\n## How rows are made\n",
        *(f"{n}. {step}" for n, step in enumerate(about["preparation"]["steps"], start=1)),
        "\nThe numbers and words for it are under `preparation` in the JSON beside this page.",
        "\n## Checked\n",
        f"On {check['rows']} rows ({check['rows_from']}), {' and '.join(map(str, check['batches']))} at a "
        f"time, {check['runtime']} differs from the model by at most {worst:.1e} of the largest answer.",
        "\n## Where it is from\n",
        f"- backbone `{about['backbone']['use']}`{_cut(about['backbone'])}; licence of pretrained "
        f"weights, if it has any: {about['backbone']['licence']}",
        f"- {about['parameters']:,} parameters, {about['frozen']:,} of them frozen in training",
        *_origin(made),
        *_rows(about["trained_on"]),
        *_saved(about["source"]),
        "\n## What reuse gained\n",
        _gain(found),
    ]
    return "\n".join(lines) + "\n"


def _shape(shape: list[Any]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _gives(task: Mapping[str, Any]) -> str:
    meant = {
        "probabilities": "the probability of each class, as the model itself says it, calibrated alike",
        "logits": "logits",
        "numbers": "numbers, in the unit of the labels",
    }[task["gives"]]
    return f"{meant}; {task['kind']}: {', '.join(map(str, task['classes'])) or task['asks']}"


def _cut(backbone: Mapping[str, Any]) -> str:
    return f", cut behind block `{backbone['cut']['layer']}`" if backbone["cut"] else ""


def _origin(made: Mapping[str, Any] | None) -> list[str]:
    if made is None:
        return [f"- how it was trained: {UNKNOWN}"]
    said = [f"- strategy `{made['strategy']}` (seed {made['seed']}), settings {json.dumps(made['settings'])}"]
    if "reused" in made:
        said.append(f"- reused: {made['reused']}; frozen: {made['frozen']}")
    return said


def _rows(trained: Mapping[str, Any] | None) -> list[str]:
    return [f"- trained on {trained['rows']} rows, sha256 `{trained['sha256']}`"] if trained else []


def _saved(source: Mapping[str, Any] | None) -> list[str]:
    if source is None:
        return []
    said = [f"- saved model `{source['directory']}`, sha256 of its weights `{source['weights_sha256']}`"]
    return said + ([f"- to repeat: `{source['repeat']}`"] if "repeat" in source else [])


def _gain(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "Not known: this model does not lie in the directory of a comparison."
    if found["gain"] is None:
        said = f"`{found['metric']}` {_number(found['mean'])}; no gain over a way without reuse was measured."
    else:
        said = (
            f"`{found['metric']}` {_number(found['mean'])}, a gain of {found['gain']:+.4g} "
            f"{_between(found['gain_ci95'])} over `{found['baseline']}`, the best way without reuse "
            f"({found['verdict'] or 'no verdict'}; mean of {found['judged_on']} seeds)."
        )
    return said + (f"\n\nTo repeat: `{found['repeat']}`" if found["repeat"] else "")


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.4g}"


def _between(ends: list[float] | None) -> str:
    return "(no interval)" if not ends else f"[{ends[0]:+.4g}, {ends[1]:+.4g}]"
