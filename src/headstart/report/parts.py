"""The parts of the page below the ranks: what was asked, training, mistakes, recipes, cost, repetition."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from . import words
from .board import LABELS, Board, about, number
from .figures import PALETTE, both, curve, line_style, loss_names
from .markup import breakable, definitions, esc, grid, listed
from .sizes import clean, seconds, sentence

CLASSES = 25  # largest confusion matrix that is shown whole


def header(boards: Sequence[Board], details: Mapping[str, Any]) -> str:
    """Say what was asked: targets, sources, backbone and measures."""
    facts = [("Target", _target(board, about(details, board.task))) for board in boards]
    sources = details.get("sources") or []
    source = "; ".join(
        esc(s.get("name", "?"))
        + (f", {esc(s['rows'])} rows" if s.get("rows") is not None else "")
        + (f", {_size(s['classes'])} classes" if s.get("classes") else "")
        + (", other columns than the target's" if s.get("unlike") else "")
        for s in sources
    )
    backbone = esc(details.get("backbone") or "")
    if several := details.get("backbones"):
        backbone = esc(", ".join(f"{one['name']} ({one['backbone']})" for one in several))
    elif details.get("pretrained"):
        backbone += f"{'; ' if backbone else ''}pretrained: {esc(details['pretrained'])}"
    facts += [("Sources", source), ("Backbone", backbone)]
    scored = dict.fromkeys(_scored(b, about(details, b.task)) for b in boards)
    shares = dict.fromkeys(esc(words.shares(b, details).partition(";")[0]) for b in boards)
    named = "; ".join(filter(None, shares)).replace("shares: ", "")
    drawn = dict.fromkeys(words.draw(b, details).partition(" drawn ")[2] for b in boards)
    alike = "; ".join(f"drawn {esc(told)}" for told in drawn if told)
    facts += [("Scored by", "; ".join(scored)), ("Training rows", named), ("Labelled rows", alike)]
    facts += [("Training", esc(words.training(boards, details)))]
    return definitions(facts)


def _scored(board: Board, target: Mapping[str, Any]) -> str:
    because = f"; chosen because {esc(target['metric_because'])}" if target.get("metric_because") else ""
    return f"{esc(board.say.name)}, {'higher' if board.say.higher else 'lower'} is better{because}"


def _target(board: Board, target: Mapping[str, Any]) -> str:
    rows = [f"{target[key]} {word}" for key, word in _PARTS if target.get(key) is not None]
    if target.get("labelled") is not None and target["labelled"] != target.get("train_rows"):
        rows.insert(1, f"{target['labelled']} of them labelled")
    classes = target.get("classes") or []
    about_it = [esc(target.get("name") or board.task), ", ".join(esc(row) for row in rows)]
    if classes:
        about_it.append(f"{len(classes)} classes ({listed(classes)})")
    return "; ".join(filter(None, about_it))


_PARTS = (("train_rows", "training rows"), ("test_rows", "test rows"), ("episodes", "test episodes"))


def _size(classes: object) -> object:
    return len(classes) if isinstance(classes, Sequence) and not isinstance(classes, str) else esc(classes)


def curves(board: Board, curves: Mapping[str, Any]) -> str:
    """Draw the losses of one trial of each strategy."""
    order = loss_names(curves)
    pictures = [
        (name, found, curve(clean(name), found.get("losses") or {}, order)) for name, found in curves.items()
    ]
    panels = "".join(
        f"<figure><figcaption><b>{breakable(name)}</b>{_trial(board, found)}</figcaption>{picture}</figure>\n"
        for name, found, picture in pictures
        if picture
    )
    return f'{_loss_legend(order)}<div class="small">{panels}</div>' if panels else ""


def _trial(board: Board, found: Mapping[str, Any]) -> str:
    shots = number(found.get("shots"))
    parts = [board.amount(None if shots is None else int(shots))] if "shots" in found else []
    parts += [f"seed {esc(found['seed'])}"] if found.get("seed") is not None else []
    return f" {', '.join(parts)}" if parts else ""


def _loss_legend(order: Sequence[str]) -> str:
    dashes = {"-": "", "--": "7 4", ":": "2 4", "-.": "7 4 2 4"}
    items = ""
    for place, name in enumerate(order):
        color, dash = line_style(place)
        items += (
            '<li><svg viewBox="0 0 30 12" aria-hidden="true"><path d="M1 6H29" fill="none" stroke-width="3" '
            f'style="stroke: var({PALETTE[color]})" stroke-dasharray="{dashes[dash]}"/></svg>{esc(name)}</li>'
        )
    return f'<ul class="legend">{items}</ul>'


def confusion(board: Board, confusion: Mapping[str, Any]) -> str:
    """Lay out which classes are taken for which; of many classes, the most frequent mistakes."""
    classes = [esc(name) for name in confusion.get("classes") or []]
    matrix = [[number(cell) or 0.0 for cell in row] for row in confusion.get("matrix") or []]
    if not classes or len(matrix) != len(classes) or any(len(row) != len(classes) for row in matrix):
        return ""
    of = [esc(confusion[key]) for key in ("strategy",) if confusion.get(key)]
    if "shots" in confusion:
        shots = number(confusion["shots"])
        of.append(board.amount(None if shots is None else int(shots)))
    caption = "True class by row, predicted class by column" + (f": {', '.join(of)}" if of else "")
    whole = ""
    if len(classes) <= CLASSES:
        rows = []
        for i, line in enumerate(matrix):
            total = sum(line) or 1.0
            cells = "".join(
                f"<td{' class=' + chr(34) + 'right' + chr(34) if i == j else ''} "
                f'style="--share: {cell / total:.3f}">{cell:g}</td>'
                for j, cell in enumerate(line)
            )
            rows.append(f'<tr><th scope="row">{classes[i]}</th>{cells}</tr>')
        whole = grid(caption, ["true \\ predicted", *classes], rows, "confusion")
    pairs = [
        (matrix[i][j], i, j)
        for i in range(len(classes))
        for j in range(len(classes))
        if i != j and matrix[i][j] > 0
    ]
    worst = sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))[: 3 if whole else 15]
    if not worst:
        return whole + "<p>Every test row was right.</p>"
    items = [f"{classes[i]} taken for {classes[j]} ({cell:g} of {sum(matrix[i]):g})" for cell, i, j in worst]
    if whole:
        return f"{whole}<p>Most frequent mistakes: {'; '.join(items)}.</p>"
    return (
        f"<h3>{caption}: most frequent mistakes</h3><ol>{''.join(f'<li>{item}</li>' for item in items)}</ol>"
    )


def layers(board: Board, cuts: Sequence[Mapping[str, Any]]) -> str:
    """Show how likely left-out rows were at each block, and which was taken, for each number of labels."""
    text = ""
    for cut in cuts:
        taken, likely = cut.get("taken") or {}, cut.get("likelihood") or {}
        low, high = (min(likely.values()), max(likely.values())) if likely else (0.0, 0.0)
        rows = []
        for name in likely or taken:
            share = (likely[name] - low) / ((high - low) or 1.0) if likely else 0.0
            value = f"{math.exp(likely[name]):.3f}" if likely else "no rows to choose by"
            bar = f'<td class="share" style="--share: {share:.3f}">{value}</td>'
            rows.append(f'<tr><th scope="row">{breakable(name)}</th>{bar}<td>{taken.get(name, "")}</td></tr>')
        text += grid(
            _under(board, cut), ["block", "likelihood of a row left out", "taken by seeds"], rows, "layers"
        )
    return text


def shares(board: Board, told: Sequence[Mapping[str, Any]]) -> str:
    """Show which share of the target's rows is like each source."""
    text = ""
    for each in _here(board, told):
        rows = []
        for name, value in (each.get("shares") or {}).items():
            share = min(1.0, max(0.0, number(value) or 0.0))
            bar = f'<td class="share" style="--share: {share:.3f}">{100 * share:.0f} %</td>'
            rows.append(f'<tr><th scope="row">{breakable(name)}</th>{bar}</tr>')
        text += grid(_under(board, each), ["source", "share of the target"], rows, "shares")
    return text


def dropped(board: Board, told: Sequence[Mapping[str, Any]]) -> str:
    """List the columns of each source that were left out, and by how many trials."""
    text = ""
    for each in _here(board, told):
        rows, many = [], int(number(each.get("trials")) or 0)
        for source, columns in (each.get("columns") or {}).items():
            named = ", ".join(f"{breakable(name)} ({count:.0f} of {many})" for name, count in columns.items())
            rows.append(f'<tr><th scope="row">{breakable(source)}</th><td>{named or "none"}</td></tr>')
        text += grid(_under(board, each), ["source", "columns left out, by trials"], rows, "dropped")
    return text


def _here(board: Board, told: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Keep what was told of the board's target."""
    return [each for each in told if clean(each.get("target") or "") == board.task]


def _under(board: Board, each: Mapping[str, Any]) -> str:
    """Say which way a table is of, and from how many labels."""
    shots = number(each.get("shots"))
    amount = board.amount(None if shots is None else int(shots))
    return f"{esc(each.get('strategy') or '')}, {esc(amount)}"


PULLS = {
    "cosines": "cosine of the gradients, after training",
    "affinity": "share of a loss that a step takes away",
}


def pulls(board: Board, told: Sequence[Mapping[str, Any]]) -> str:
    """Show how tasks pull on one another: a row helps (above 0) or harms (below 0) a column."""
    text = ""
    for each in told:
        tasks, values = list(each.get("tasks") or ()), each.get("values") or []
        known = [value for row in values for value in map(number, row) if value is not None]
        if not known:
            continue
        most = max(map(abs, known)) or 1.0
        rows = [
            f'<tr><th scope="row">{breakable(task)}</th>{"".join(_pull(number(v), most) for v in row)}</tr>'
            for task, row in zip(tasks, values, strict=False)
        ]
        what = PULLS.get(str(each.get("what")), "")
        caption = f"{_under(board, each)}: {what}"
        text += grid(caption, ["", *map(breakable, tasks)], rows, "pulls")
        if groups := each.get("groups"):
            named = "; ".join(f"{group} ({count})" for group, count in groups.items())
            text += f"<p>Learned as groups, by trials: {esc(named)}.</p>"
    return text


def work(board: Board, models: Mapping[str, Mapping[str, Any]]) -> str:
    """Show what was handed over at work; as an image, in which no script runs."""
    named = {clean(name): facts for name, facts in models.items()}
    drawn = str(named.get(board.task, {}).get("picture") or "")
    if not drawn:
        return ""
    coded = base64.b64encode(drawn.encode()).decode()
    told = f"{esc(named[board.task].get('strategy') or '?')} at work in {esc(board.task)}"
    return f'<img class="work" src="data:image/svg+xml;base64,{coded}" alt="{told}">\n'


def sides(board: Board, result: Mapping[str, Any]) -> str:
    """Show both sides of a shift, before training and as the net that was handed over sees them."""
    before, after = (
        {clean(name): facts for name, facts in (result.get(key) or {}).items()}.get(board.task) or {}
        for key in ("shifts", "model")
    )
    planes = [
        ("before training", before.get("plane") or {}),
        (f"features of {clean(after.get('strategy') or '?')}", after.get("plane") or {}),
    ]
    drawn = both(board.task, planes, list(map(clean, before.get("class_ratio") or {})))
    return f"<figure>{drawn}</figure>\n" if drawn else ""


def _pull(value: float | None, most: float) -> str:
    if value is None:
        return "<td></td>"
    side = "helps" if value > 0 else "harms"
    return f'<td class="{side}" style="--share: {abs(value) / most:.3f}">{value:+.2f}</td>'


def backbones(board: Board, named: Sequence[Mapping[str, Any]], promises: Sequence[Mapping[str, Any]]) -> str:
    """Show what each of several backbones is, and what its frozen features scored on held-out rows."""
    told = {row["backbone"]: row for row in promises}
    rows = []
    for one in named:
        found = told.get(one.get("name")) or {}
        score = number(found.get("held_out"))
        shown = "" if score is None else esc(board.say.score(score if board.say.higher else -score))
        trained = {True: "yes", False: "no, held-out rows refuse it"}.get(found.get("trained"), "yes")  # type: ignore[arg-type]
        facts = (esc(one.get("backbone") or ""), esc(one.get("pretrained") or ""), shown, trained)
        cells = "".join(f"<td>{fact}</td>" for fact in facts)
        rows.append(f'<tr><th scope="row">{breakable(one.get("name") or "")}</th>{cells}</tr>')
    heads = ["backbone", "is", "pretrained", "frozen features on held-out rows", "trained further"]
    return grid("Backbones of this problem", heads, rows, "backbones") if rows else ""


def _settings(board: Board, settings: Mapping[str, Any]) -> str:
    """Show settings as ``name=value``; settings for each number of labels once where they are the same."""
    nested = {count: value for count, value in settings.items() if isinstance(value, Mapping)}
    if (
        nested
        and len(nested) == len(settings)
        and len({json.dumps(v, default=str) for v in nested.values()}) == 1
    ):
        return _settings(board, next(iter(nested.values())))
    text = ""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            amount = esc(board.short(None if name == "all" else name))
            text += f"<div>{amount}: {_settings(board, value) or 'no settings'}</div>"
        else:
            shown = esc(f"{value:g}") if isinstance(value, float) else esc(value)
            text += f'<code class="setting">{esc(name)}={shown}</code> '
    return text.rstrip()


def recipes(board: Board, strategies: Mapping[str, Any], skipped: Mapping[str, Any]) -> str:
    """Say what each strategy reused, froze and trained, how it was set, and which ones did not run."""
    cards = ""
    for name, recipe in strategies.items():
        facts = [(word, esc(recipe.get(key) or "")) for key, word in _RECIPE]
        facts += [
            ("Settings", _settings(board, recipe.get("settings") or {})),
            ("Chosen on", esc(recipe.get("chosen_on") or "")),
        ]
        summary = f"<p>{esc(sentence(clean(recipe['summary'])))}</p>" if recipe.get("summary") else ""
        cards += f"<article><h3>{breakable(name)}</h3>{summary}{definitions(facts)}</article>\n"
    reasons = {reason: [n for n in skipped if skipped[n] == reason] for reason in skipped.values()}
    left = "".join(
        f"<li><b>{', '.join(map(esc, names))}</b>: {esc(reason)}</li>" for reason, names in reasons.items()
    )
    return (f'<div class="cards">{cards}</div>\n' if cards else "") + (
        f"<h3>Not run</h3><ul>{left}</ul>" if left else ""
    )


_RECIPE = (("reused", "Reused"), ("frozen", "Frozen"), ("trained", "Trained"))


def cost(board: Board, budget: Mapping[str, Any]) -> str:
    """Say what trials cost, and which failed."""
    known = [row for row in board.rows if row.seconds is not None or row.parameters is not None]
    said = []
    if number(budget.get("trials")) is not None:
        said.append(f"{esc(budget['trials'])} trials")
    if number(budget.get("seconds")) is not None:
        said.append(f"{seconds(number(budget['seconds']))} in all")
    if number(budget.get("workers")) is not None:
        said.append(f"{esc(budget['workers'])} worker{'' if budget['workers'] == 1 else 's'}")
    text = f"<p>{', '.join(said)}.</p>" if said else ""
    failed = budget.get("failed") or []
    if isinstance(failed, Sequence) and failed:
        named = [_failure(trial) if isinstance(trial, Mapping) else trial for trial in failed]
        text += f'<p class="warning">Failed trials: {listed(named)}</p>'
    if not known:
        return text
    longest = max((row.seconds or 0.0 for row in known), default=0.0) or 1.0
    lines = []
    for name in board.strategies:
        rows = {row.shots: row for row in known if row.strategy == name}
        if not rows:
            continue
        spent = "".join(
            f'<td class="bar" style="--share: {((rows[n].seconds if n in rows else 0) or 0) / longest:.3f}">'
            f"{seconds(rows[n].seconds if n in rows else None)}</td>"
            for n in board.shots
        )
        trained = max((row.parameters for row in rows.values() if row.parameters is not None), default=None)
        whole = "–" if trained is None else f"{trained:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
        lines.append(f'<tr><th scope="row">{breakable(name)}</th>{spent}<td>{whole}</td></tr>')
    heads = [f"time, {board.short(n)}" for n in board.shots]
    table = grid(
        "Mean wall time of one trial, and how many parameters it trained",
        ["strategy", *heads, "trained parameters"],
        lines,
        "board",
    )
    return text + table


def _failure(trial: Mapping[str, Any]) -> str:
    """Say which trial failed, and why."""
    where = [f"{key} {trial[key]}" for key in ("shots", "seed") if trial.get(key) is not None]
    text = ", ".join([str(trial.get("strategy", "?")), *where])
    return f"{text} ({trial['error']})" if trial.get("error") else text


def again(boards: Sequence[Board], details: Mapping[str, Any]) -> str:
    """Say how to repeat the comparison, with every score that it gave."""
    command = details.get("command")
    text = f"<pre><code>{esc(command)}</code></pre>" if command else ""
    facts = [("Seeds", listed(details.get("seeds") or [], 40))]
    facts += [(esc(name), esc(value)) for name, value in (details.get("environment") or {}).items()]
    text += definitions(facts)
    return text + "".join(_every_score(board, len(boards) > 1) for board in boards)


def _every_score(board: Board, named: bool) -> str:
    most = board.seeds
    if not most:
        return ""
    rows = [
        f'<tr><th scope="row">{esc(row.strategy)}</th><td>{"all" if row.shots is None else row.shots}</td>'
        + "".join(f"<td>{board.say.value(score)}</td>" for score in row.seeds)
        + "<td>–</td>" * (most - len(row.seeds))
        + "</tr>"
        for shots in board.shots
        for row in board.at(shots)
    ]
    amounts = "labels" if board.noun == LABELS else f"{board.noun}s"
    table = grid(
        f"{esc(board.say.unit)} of each seed, in order",
        ["strategy", amounts, *(f"#{i + 1}" for i in range(most))],
        rows,
    )
    title = f"Every score{f' of {esc(board.task)}' * named} ({most} seed{'s' * (most != 1)})"
    return f"<details><summary>{title}</summary>{table}</details>"
