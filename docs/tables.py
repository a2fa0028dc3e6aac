"""Tables that are made from code and from result files, so that they cannot go stale.

``python docs/tables.py`` rewrites the tables of the README, of strategies and of what the demo
finds; the documentation's build writes the others.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
QUALITY = ROOT / "benchmarks" / "quality"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out as a Markdown table."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [head, ["---"] * len(head), *rows])


def strategies() -> str:
    """Say what each strategy does, in the order of ``STRATEGIES``: the table of the README."""
    from headstart.strategies import STRATEGIES

    return _told(STRATEGIES)


def further() -> str:
    """Say what each strategy does that runs where it is named: the second table of the README."""
    from headstart.strategies import FURTHER

    return _told(FURTHER)


def _told(known: Mapping[str, Any]) -> str:
    rows = [[f"`{name}`", s.summary, s.reused, s.frozen] for name, s in known.items()]
    return markdown(["strategy", "what it does", "reuses", "frozen on the target"], rows)


def demo(directory: Path = QUALITY / "digits_demo") -> str:
    """Show the recorded demo: accuracy and gains of each strategy, the best at the fewest labels first."""
    result = json.loads((directory / "result.json").read_text())
    rows = result["rows"]
    shots = list(dict.fromkeys(row["shots"] for row in rows))
    found = {(row["strategy"], row["shots"]): row for row in rows}
    bases = {each["shots"]: each.get("baseline") for each in result.get("answers", ())}
    second = any(row.get("gain_scratch") is not None for row in rows)
    head = ["strategy"]
    for count in shots:
        over = f" over `{bases[count]}`" if bases.get(count) else ""
        head += [f"{count} label{'s' * (count != 1)} per class", f"gain{over}", *["over scratch"] * second]
    order = sorted((row for row in rows if row["shots"] == shots[0]), key=lambda row: -(row["mean"] or 0.0))
    lines = []
    for row in order:
        cells = (c for n in shots for c in _points(found.get((row["strategy"], n), {}), second))
        lines.append([f"`{row['strategy']}`", *cells])
    return markdown(head, lines)


def _points(row: Mapping[str, Any], second: bool) -> list[str]:
    """Say a score in per cent and its gains in points."""
    score = "–" if row.get("mean") is None else f"{100 * row['mean']:.1f}"
    gain = _gained(row.get("gain"), row.get("gain_ci95"))
    verdict = _verdict(row)
    told = {"gains": " **gains**", "": ""}.get(verdict, f" {verdict}")
    cell = verdict if verdict == "baseline" else f"{gain}{told}"
    return [score, cell, *[_gained(row.get("gain_scratch"), None)] * second]


def _gained(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return "–"
    ends = f" [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]" if interval else ""
    return f"{100 * value:+.1f}{ends}"


_VERDICTS = {None: "no reuse", "gains": "gains", "harms": "did harm", "equal": "equal", "open": ""}


def _verdict(row: Mapping[str, Any], sign: int = 1) -> str:
    """Say what was decided of a row; of earlier releases, on which side of zero its whole interval lies."""
    if row.get("mean") is None:
        return ""
    if row["gain"] is None:
        return "baseline"
    if "verdict" in row:
        return _VERDICTS[row["verdict"]]
    interval = row["gain_ci95"]
    if row["harmed"]:
        return "did harm"
    return "gains" if interval and min(sign * end for end in interval) > 0 else ""


def settings() -> str:
    """Say what each strategy may choose from, and where it comes from."""
    from headstart.strategies import FURTHER, STRATEGIES

    known = STRATEGIES | FURTHER

    def options(name: str) -> str:
        tried = known[name].options
        return "; ".join(f"`{key}`: {', '.join(_setting(o[key]) for o in tried)}" for key in tried[0])

    head = [
        "strategy",
        "what it does",
        "reuses",
        "frozen on the target",
        "settings, default first",
        "literature",
    ]
    rows = known.items()
    return markdown(head, [[f"`{n}`", s.summary, s.reused, s.frozen, options(n), s.paper] for n, s in rows])


def _setting(value: object) -> str:
    return f"{value:g}" if type(value) is float else str(value).replace("\n", "\\n")


def files() -> str:
    """Map the package: every file with the first sentence of its docstring, room by room."""
    source = ROOT / "src" / "headstart"
    parts = []
    for folder in sorted({path.parent for path in source.rglob("*.py")}):
        rows = []
        for path in sorted(folder.glob("*.py")):
            doc = ast.get_docstring(ast.parse(path.read_text())) or ""
            if path.name != "__init__.py":
                rows.append([f"`{path.name}`", doc.split("\n\n")[0].replace("\n", " ")])
        room = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
        title = str(folder.relative_to(source.parent))
        about = room.split("\n\n")[0].replace("\n", " ")
        parts.append(f"### `{title}/`\n\n{about}\n\n{markdown(['file', 'what it holds'], rows)}")
    return "\n".join(parts)


def keys() -> str:
    """List the keys of problem files, table by table, with their defaults."""
    from headstart.problems.schema import (
        Backbone,
        Candidate,
        Compare,
        Fit,
        Pretrain,
        Source,
        SourceSplit,
        Split,
        Steps,
        Target,
        Variant,
    )

    tables = {
        "[target], [[targets]]": Target, "[[sources]]": Source, "[target.split]": Split,
        "[sources.split]": SourceSplit,
        "[backbone]": Backbone, "[[backbones]]": Candidate, "[pretrain]": Pretrain, "[budget]": Steps,
        "[[strategies]]": Variant, "[compare]": Compare, "[fit]": Fit,
    }  # fmt: skip
    parts = []
    for title, model in tables.items():
        rows = [
            [f"`{name}`", field.description or "", _default(field)]
            for name, field in model.model_fields.items()
        ]
        parts.append(f"## `{title}`\n\n{model.__doc__}\n\n{markdown(['key', 'value', 'default'], rows)}")
    return "\n".join(parts)


def _default(field: Any) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if value in (None, "", {}, []):
        return "none"
    return f"`{json.dumps(value)}`" if isinstance(value, str | int | float) else "its own defaults"


def results(directory: Path = QUALITY) -> str:
    """Show every comparison under ``directory``, one section each."""
    found = sorted(directory.glob("*/result.json"))
    if not found:
        return "No comparison has been recorded under `benchmarks/quality/` yet.\n"
    return "\n".join(_section(file) for file in found)


def _section(file: Path) -> str:
    result = json.loads(file.read_text())
    beside = file.with_name("details.json")
    details = json.loads(beside.read_text()) if beside.exists() else {}
    command = details.get("command")
    told = f"Task `{result['task']}`, {result['metric']}. File: `{file.relative_to(ROOT)}`.{_cost(details)}"
    parts = [f"## {file.parent.name}", told, *([f"```sh\n{command}\n```"] if command else [])]
    for target, shots in dict.fromkeys((row.get("target"), row["shots"]) for row in result["rows"]):
        rows = [r for r in result["rows"] if (r.get("target"), r["shots"]) == (target, shots)]
        metric = {
            "name": result["metric"], "higher_is_better": result["higher_is_better"], "ratio": False,
        } | (details.get("metrics") or {}).get(target, {})  # fmt: skip
        answer = _answered(result, target, shots)
        second = any(row.get("gain_scratch") is not None for row in rows)
        over = f" over `{answer['baseline']}`" if answer.get("baseline") else ""
        gain = f"gain{', share of the error,' * metric['ratio']}{over}"
        head = ["strategy", metric["name"], gain, *["over scratch"] * second, "verdict", "seconds", "seeds"]
        named = f"{target}: " if len({r.get("target") for r in result["rows"]}) > 1 else ""
        scope = f", {answer['test_rows']} test rows" if answer.get("test_rows") else ""
        title = f"**{named}{_amount(shots, details)}{scope}**"
        parts += [title, markdown(head, list(_rows(rows, metric, second, details)))]
    parts.append("\n".join(f"- {reason}" for reason in result["reasons"]))
    return "\n\n".join(parts) + "\n"


def _cost(details: Mapping[str, Any]) -> str:
    """Say what the whole comparison cost, choosing the settings included."""
    budget = details.get("budget")
    if not budget:
        return ""
    workers = f"{budget['workers']} process{'es' * (budget['workers'] > 1)} of one thread"
    return f" {budget['trials']} trials in {budget['seconds'] / 60:.1f} minutes on {workers}."


def _amount(shots: int | None, details: Mapping[str, Any]) -> str:
    if details.get("baseline") == "source-only" or details.get("floor") == "":
        return "No labelled rows of the target"
    return "All labelled rows" if shots is None else f"{shots} labelled row{'s' * (shots != 1)} per class"


def _answered(result: Mapping[str, Any], target: str | None, shots: int | None) -> Mapping[str, Any]:
    """Find what was answered for a target and a number of labels; earlier releases answered nothing."""
    told = (a for a in result.get("answers", ()) if (a["target"], a["shots"]) == (target, shots))
    return next(told, {})


def _rows(
    rows: Sequence[Mapping[str, Any]], metric: Mapping[str, Any], second: bool, details: Mapping[str, Any]
) -> Iterator[list[str]]:
    sign = -1 if metric["higher_is_better"] else 1
    for row in sorted(rows, key=lambda r: (r["mean"] is None, sign * (r["mean"] or 0.0))):
        seconds = "–" if row["seconds"] is None else f"{row['seconds']:.1f}"
        score, gain = _value(row["mean"], row["ci95"], ""), _value(row["gain"], row["gain_ci95"], "+")
        best = ", may be best" if row.get("may_be_best") and row["verdict"] is not None else ""
        cells = [f"`{row['strategy']}`", score, gain, *[_value(row.get("gain_scratch"), None, "+")] * second]
        verdict = f"{_verdict(row, -sign)}{best}".removeprefix(", ")
        if details.get("floor") == "":  # without labels it is the sources as they are
            verdict = verdict.replace("no reuse", "not adapted")
        yield [*cells, verdict, seconds, str(row.get("judged_on", len(row["seeds"])))]


def _value(value: float | None, interval: Sequence[float] | None, sign: str) -> str:
    if value is None:
        return "–"
    ends = f" [{interval[0]:{sign}.3f}, {interval[1]:{sign}.3f}]" if interval else ""
    return f"{value:{sign}.3f}{ends}"


def speed(file: Path = ROOT / "benchmarks" / "result.json") -> str:
    """Show what ``make bench`` measured as ratios of two ways that ran in turn in one process."""
    if not file.exists():
        return "`make bench` has not been run yet.\n"
    record = json.loads(file.read_text())
    machine = record["machine_info"]
    rows = []
    for entry in record["benchmarks"]:
        info = entry["extra_info"]
        ratio = info.get("ratio", info.get("ratio_median"))
        if ratio is not None:
            where, _, name = entry["fullname"].partition("::")
            rows.append([f"`{name.removeprefix('test_')}`", f"{ratio:.2f}", f"`{where}`"])
    told = f"On {machine['cores']} cores of an {machine['cpu']}, Python {machine['python']}."
    table = markdown(["benchmark", "ratio", "file"], rows) + f"\n{told} The goal is in each file.\n"
    once = json.loads((file.parent / "features_once.json").read_text())["ratio"]
    return (
        f"{table}\nA comparison of four strategies on a frozen ResNet-18 (600 images, 5 seeds) takes "
        f"{1 / once:.0%} of the time it took before each row was forwarded once: "
        "`benchmarks/features_once.py`, on another machine.\n"
    )


def real_sets(file: Path = ROOT / "benchmarks" / "trust" / "real_sets.json") -> str:
    """Show what was recommended on real sets beside the best of five plain learners on the same rows."""
    if not file.exists():
        return "`benchmarks/trust/real_sets.py` has not been run yet.\n"
    lines = json.loads(file.read_text())["lines"]
    handed = any("model" in line for line in lines)
    head = [
        "set", "labelled rows", "measure", "recommended", "highest of its ways", "outcome", "gain",
        *["handed over"] * handed, "best of the five", "apart",
    ]  # fmt: skip
    rows = []
    for line in lines:
        gain = _value(line["gain"], line["gain_ci95"], "+")
        over = f"{gain} over `{line['baseline']}`" if line["gain"] is not None else gain
        apart = f"{line['apart']:+.3f} ± {line['half_width']:.3f}{' **worse**' * line['worse']}"
        model, best, sign = line.get("model"), line["best_plain"], 1 if line["higher_is_better"] else -1
        given = f"{_value(model['score'], model['ci95'], '')}, {model['rows']} rows" if model else ""
        ways = {name: mean for name, mean in line["ways"].items() if mean is not None}
        top = max(ways, key=lambda name, up=sign, of=ways: up * of[name])
        rows.append(
            [
                line["set"], str(line["labelled"]), line["metric"],
                f"`{line['recommended']}` {line['mean']:.3f}", f"`{top}` {ways[top]:.3f}",
                line["outcome"], over,
                *[given] * handed, f"{best} {line['plain'][best]:.3f}", apart,
            ]
        )  # fmt: skip
    worse, behind = sum(line["worse"] for line in lines), sum(line["apart"] < 0 for line in lines)
    told = f"Of {len(lines)} rows, {behind} are below the best of the five, {worse} clearly."
    return f"{markdown(head, rows)}\n{told}\n"


def rates(file: Path = ROOT / "benchmarks" / "trust" / "rates.json") -> str:
    """Show how often verdicts are false, and what they find, where the truth is known."""
    if not file.exists():
        return "`benchmarks/trust/rates.py` has not been run yet.\n"
    told = json.loads(file.read_text())
    names = ["world", "baselines", "labels", "test rows"]
    head = [
        *names, "seeds", "false gains", "false harms", "found", "covered", "best in the set", "set",
        "raw", "shrunken", "confirmed",
    ]  # fmt: skip
    rows = []
    for cell in told["cells"]:
        found = f"{cell['found']:.2f}" if cell["world"].startswith("one") else "–"
        error = cell.get("its error")
        confirmed = f"{100 * cell['confirmed minus true']:+.1f} ± {200 * error:.1f}" if error else "–"
        rows.append(
            [
                *(str(cell[name]) for name in names), str(cell["seeds given"]),
                f"{cell['false gains']:.2f}", f"{cell['false harms']:.2f}", found,
                f"{cell['covered']:.3f}", f"{cell['holds best']:.2f}", f"{cell['set']:.2f}",
                f"{100 * cell['raw minus true']:+.1f}", f"{100 * cell['shrunken minus true']:+.1f}",
                confirmed,
            ]
        )  # fmt: skip
    runs = sorted({cell["runs"] for cell in told["cells"]})
    text = f"{markdown(head, rows)}\n{runs[0]} comparisons a row"
    text += (
        f", {runs[-1]} where *one +6* is looked for in 400 rows, seeds as needed.\n" if runs[1:] else ".\n"
    )
    if bins := told.get("best_probability"):
        cells = [
            [f"{b['from']:.1f} to {b['to']:.1f}", str(b["ways"]), f"{b['said']:.2f}", f"{b['true']:.2f}"]
            for b in bins
        ]
        text += f"\n{markdown(['chance of being the best', 'ways', 'said', 'true'], cells)}"
    return text


def copies(file: Path = ROOT / "benchmarks" / "trust" / "copies.json") -> str:
    """Show how often copies of one learner are told apart."""
    if not file.exists():
        return "`benchmarks/trust/copies.py` has not been run yet.\n"
    told = json.loads(file.read_text())
    keys = ["labelled rows", "seeds given", "test rows", "gains", "harms", "covered"]
    rows = [[str(cell[key]) for key in keys] for cell in told["cells"]]
    return f"{markdown(keys, rows)}\n{told['cells'][0]['runs']} comparisons a row.\n"


def sources(file: Path = ROOT / "benchmarks" / "trust" / "sources.json") -> str:
    """Show how often the one of two sources that does harm is named, and what is then recommended."""
    if not file.exists():
        return "`benchmarks/trust/sources.py` has not been run yet.\n"
    head = [
        "labelled rows", "the bad source", "runs", "bad named", "good named", "learned without it",
        "with both", "apart", "contradiction",
    ]  # fmt: skip
    told = json.loads(file.read_text())
    rows = [
        [
            cell["labels"], cell["bad"], *(str(cell[key]) for key in ("runs", "bad named", "good named")),
            str(cell["learned without it"]), f"{100 * cell['with both']:+.1f}",
            f"{100 * cell['apart']:+.1f} (worst {100 * cell['worst']:+.1f})",
            "–" if cell["contradiction"] is None else str(cell["contradiction"]),
        ]
        for cell in told["cells"]
    ]  # fmt: skip
    return f"{markdown(head, rows)}\nOver {told['seeds']} seeds and 400 test rows each.\n"


def worlds(directory: Path = QUALITY / "rl_contexts") -> str:
    """Show what reuse gained in other contexts of the classic controls, family by family as they were run."""
    file = directory / "figures.json"
    if not file.exists():
        return "`benchmarks/quality/rl_contexts/run.py` has not been run yet.\n"
    told, lines = json.loads(file.read_text()), []
    for which, mark in (("contexts", ""), ("unseen", " *")):
        for family in told.get(which, {}).get("families", {}).values():
            for one in family:
                cells = [one["context"] + mark, f"{one['ways']['scratch']['area']:.0f}"]
                for way in ("continue", "gate"):
                    row = one["ways"][way]
                    low, high = row["gain_ci95"]
                    verdict = {"gains": " **gains**", "harms": " did harm"}.get(row["verdict"], "")
                    cells += [f"{row['jump']:+.0f}", f"{row['gain']:+.0f} [{low:+.0f}, {high:+.0f}]{verdict}"]
                lines.append(cells)
    head = ["context", "`scratch`, area", "`continue`, jump start", "gain in area", "`gate`, jump start",
            "gain in area"]  # fmt: skip
    return markdown(head, lines)


def texts(file: Path = QUALITY / "texts" / "figures.json") -> str:
    """Show what each way reached on sets of texts: the mean over its seeds, its lowest and its highest."""
    if not file.exists():
        return "`benchmarks/quality/texts/run.py` has not been run yet.\n"
    return "\n".join(map(_study, json.loads(file.read_text()).values()))


def _study(study: Mapping[str, Any]) -> str:
    rows = []
    for way, seeds in study["ways"].items():
        if seeds:
            scores = [100 * run["score"] for run in seeds.values()]
            layers = dict.fromkeys(str(run["layer"]) for run in seeds.values() if "layer" in run)
            ends = f"{min(scores):.1f} to {max(scores):.1f}"
            mean = sum(scores) / len(scores)
            rows.append([f"`{way}`", f"{mean:.1f}", ends, str(len(scores)), ", ".join(layers) or "–"])
    rows.sort(key=lambda row: -float(row[1]))
    per = "sentences" if study["data"] in ("ud_ewt", "wnut17") else "texts per class"
    count = "all its rows" if study["shots"] is None else f"{study['shots']} {per}"
    count = "64 reviews of each domain, pooled" if study["data"] == "fdu_mtl" else count
    tuned = f", {study['steps']} steps of {study.get('batch', 32)} rows where weights are tuned"
    told = f"**`{study['data']}`**, {count}, {study['test']} test rows{tuned if study['steps'] else ''}"
    head = ["way", f"{study['metric']} in %", "lowest and highest", "seeds", "block"]
    return f"{told}\n\n{markdown(head, rows)}"


def together(file: Path = QUALITY / "texts_together" / "figures.json") -> str:
    """Show what tasks on texts reached in one net, and what it is above frozen features and single nets."""
    if not file.exists():
        return "`benchmarks/quality/texts_together/run.py` has not been run yet.\n"
    found = json.loads(file.read_text())
    named = {name: f"{name.partition(' ')[0]}, {about['metric']}" for name, about in found["tasks"].items()}
    rows, joint = [], []
    for way, seeds in found["ways"].items():
        runs = {name: [run[name] for run in seeds.values()] for name in named}
        seconds = _mean([run["cpu_seconds"] for run in seeds.values()])
        cells = [_over(each, "score", "over_frozen") for each in runs.values()]
        rows.append([f"`{way}`", *cells, str(len(seeds)), f"{seconds:.0f}"])
        if way.startswith("multitask:"):
            joint.append([f"`{way}`", *(_over(each, "gain") for each in runs.values())])
    first = markdown(["way", *named.values(), "seeds", "CPU seconds"], rows)
    return f"{first}\n{markdown(['gain over `alone`', *named.values()], joint)}"


def _over(runs: Sequence[Mapping[str, Any]], *keys: str) -> str:
    """Write a score in % and in brackets what it is above another, or that alone, averaged over seeds."""
    cells = []
    for key in (key for key in keys if key in runs[0]):
        value, low, high = (100 * _mean([run[key][i] for run in runs]) for i in range(3))
        cells.append(f"{value:.1f}" if key == "score" else f"{value:+.1f} [{low:+.1f}, {high:+.1f}]")
    return cells[0] if len(cells) < 2 else f"{cells[0]} ({cells[1]})"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def disparity(file: Path = QUALITY / "disparity" / "figures.json") -> str:
    """Show how far disparities are off, by each way."""
    if not file.exists():
        return "`benchmarks/quality/disparity/run.py` has not been run yet.\n"
    rows = []
    found = json.loads(file.read_text())["layouts"]
    listed = [(layout, way, told) for layout, ways in found.items() for way, told in ways.items()]
    for layout, way, told in listed:
        cells = []
        for name, factor, digits in (
            ("mae", 1, 1), ("mae below the constant's", 1, 1), ("rmse", 1, 1), ("within", 100, 0),
        ):  # fmt: skip
            value, low, high = (factor * each for each in told[name])
            cells.append(f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]")
        rows.append([layout, way if " " in way else f"`{way}`", *cells])
    head = ["tiles asked", "way", "MAE, pixels", "below the constant's", "RMSE, pixels", "within 3 pixels, %"]
    return markdown(head, rows)


def encoder(file: Path = QUALITY / "own_encoder" / "figures.json") -> str:
    """Show what an encoder of our own brings that read texts for some minutes."""
    if not file.exists():
        return "`benchmarks/quality/own_encoder/run.py` has not been run yet.\n"
    return "\n".join(_study(study) for study in json.loads(file.read_text()).values() if "ways" in study)


def layers(file: Path = QUALITY / "layers" / "figures.json") -> str:
    """Show the accuracy at every cut, the cut that is best on the test rows, and the one that was chosen."""
    if not file.exists():
        return "`benchmarks/quality/layers/run.py` has not been run yet.\n"
    parts = []
    for study in json.loads(file.read_text()).values():
        means, lines = [], []
        for shots, seeds in study["shots"].items():
            runs = list(seeds.values())
            cuts = list(runs[0]["accuracy"])
            mean = {cut: 100 * sum(run["accuracy"][cut] for run in runs) / len(runs) for cut in cuts}
            got = 100 * sum(run["accuracy"][run["chosen"]] for run in runs) / len(runs)
            own = 100 * sum(max(run["accuracy"].values()) for run in runs) / len(runs)
            best = max(mean, key=lambda cut, of=mean: of[cut])
            taken = dict.fromkeys(run["chosen"] for run in runs)
            counts = [f"`{cut}` {sum(run['chosen'] == cut for run in runs)}" for cut in sorted(taken)]
            lines.append(
                [shots, str(len(runs)), f"`{best}` {mean[best]:.1f}", f"{mean['all']:.1f}", _plain(runs),
                 f"{got:.1f}", f"{mean[best] - got:.1f}", f"{own - got:.1f}", ", ".join(counts)]
            )  # fmt: skip
            means.append([shots, *(f"{mean[cut]:.1f}" for cut in cuts)])
        what = "sentences" if study["data"] == "ud_ewt" else "labels per class"
        head = [what, "draws", "best cut", "last cut", "plain at `4.2`", "chosen", "regret",
                "to each draw's best", "which were chosen"]  # fmt: skip
        short = [f"`{cut.removeprefix('blocks.').removeprefix('encoder.layer.')}`" for cut in cuts]
        told = f"**`{study['data']}`**, {study['test']} test rows, accuracy in %"
        parts.append(f"{told}\n\n{markdown(head, lines)}\n{markdown([what, *short], means)}")
    return "\n".join(parts)


def _plain(runs: Sequence[Mapping[str, Any]]) -> str:
    """Give the mean of what scikit-learn's regression reached on one block, where it was asked."""
    if any("plain" not in run for run in runs):
        return "–"
    return f"{100 * sum(run['plain'] for run in runs) / len(runs):.1f}"


def pneumonia(file: Path = QUALITY / "pneumonia" / "figures.json") -> str:
    """Show accuracy and AUC on chest X-rays, from four sizes of labels and by another scanner."""
    if not file.exists():
        return "`benchmarks/quality/pneumonia/run.py` has not been run yet.\n"
    told = json.loads(file.read_text())
    sizes = list(dict.fromkeys(size for way in told["labels"].values() for size in way))
    sizes.sort(key=lambda size: ("10", "30", "100", "2000 rows", "all").index(size))
    named = [f"{size} per class" if size.isdigit() else size for size in sizes]
    rows = [
        [f"`{way}`", *(_both(found.get(size)) for size in sizes)] for way, found in told["labels"].items()
    ]
    moved = [[f"`{way}`", _both(found["none"])] for way, found in told["another scanner"].items()]
    return (
        f"{markdown(['way', *named], rows)}\n**Another scanner, without labels**\n\n"
        f"{markdown(['way', 'accuracy / AUC'], moved)}"
    )


def _both(seeds: Mapping[str, Mapping[str, float]] | None) -> str:
    """Say the mean accuracy over seeds, how far the seeds are apart, and the mean AUC."""
    if not seeds:
        return "–"
    right, auc = ([run[name] for run in seeds.values()] for name in ("accuracy", "auroc"))
    apart = f" ({100 * min(right):.1f} to {100 * max(right):.1f})" if len(set(right)) > 1 else ""
    few = "" if len(right) > 2 else f", {len(right)} seed{'s' * (len(right) > 1)}"
    return f"{100 * sum(right) / len(right):.1f}{apart} / .{1000 * sum(auc) / len(auc):.0f}{few}"


def write(directory: Path) -> None:
    """Write the parts that pages include."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("settings", settings()),
        ("keys", keys()),
        ("files", files()),
        ("results", results()),
        ("speed", speed()),
        ("real_sets", real_sets()),
        ("other_sets", real_sets(ROOT / "benchmarks" / "trust" / "other_sets.json")),
        ("rates", rates()),
        ("copies", copies()),
        ("sources", sources()),
        ("worlds", worlds()),
        ("texts", texts()),
        ("together", together()),
        ("disparity", disparity()),
        ("encoder", encoder()),
        ("layers", layers()),
        ("pneumonia", pneumonia()),
    ):
        (directory / f"{name}.md").write_text(text)


def with_tables(readme: str) -> str:
    """Put the tables of the README between their marks."""
    tables = (("demo-table", demo()), ("strategies", strategies()), ("further", further()))
    for name, table in tables:
        before, start, rest = readme.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->\n")
        readme = before + start + table + end + after
    return readme


if __name__ == "__main__":
    file = ROOT / "README.md"
    file.write_text(with_tables(file.read_text()))
