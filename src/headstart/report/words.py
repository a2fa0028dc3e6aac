"""What was found, in words: from the facts of a result, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .answer import Answer, answers
from .board import Board, about, number, read, targets
from .sizes import MINUS, chance, clean, plural, rounded, sentence

Facts = Mapping[str, Any]
RULED_OUT = 5  # least gains: a bound of harm below it is worth saying as one
UNEQUAL = 0.8  # of an equal share: a class below it is worth telling
UNLIKELY = 0.03  # chance of being the best below which a way is only named
CLASSES = 6  # most classes whose shares are said one by one
OUTCOMES = {
    "better": "better", "not better": "not better", "not known yet": "not known yet",
    "nothing works": "nothing works yet", "no score": "no score yet",
}  # fmt: skip


def reasons(result: Facts, details: Facts) -> list[str]:
    """Say what was found, for each target and number of labels, and what is missing.

    Args:
        result: the plain values of ``result.json``.
        details: the plain values of ``details.json``.

    Example:
        >>> found = {"target": "new", "shots": 1, "strategy": None, "outcome": "no score"}
        >>> row = {"target": "new", "strategy": "probe", "shots": 1}
        >>> reasons({"metric": "accuracy", "rows": [row], "answers": [found]}, {})
        ['With 1 labelled row per class: no trial has a score.']
    """
    named, said = targets(result), []
    for name in named:
        board = read(result, details, name)
        for found in answers(board, result, details):
            place = f"{board.task}: " if len(named) > 1 else ""
            said.append(f"{place}{heading(found, board)}: {reason(found, board)}".replace(MINUS, "-"))
    return said + notes(details)


def notes(details: Facts) -> list[str]:
    """Say which trials are missing, and which failed."""
    said, budget = [], details.get("budget") or {}
    if missing := details.get("missing"):
        why = "" if budget.get("trials") else ", which the choice of settings took"
        said.append(
            f"{missing} trials did not run within the time budget{why}; the same command continues with them."
        )
    failed = [trial for trial in budget.get("failed") or () if isinstance(trial, Mapping)]
    if failed:
        names = sorted({clean(trial.get("strategy", "?")) for trial in failed})
        said.append(
            f"{plural(len(failed), 'trial')} failed with a loss that was not finite, and "
            f"count{'s' * (len(failed) == 1)} as the floor: {', '.join(names)}."
        )
    return said


def heading(found: Answer, board: Board) -> str:
    """Say how many labels there were, as a sentence begins."""
    if found.shots is None and not board.labelled:
        return "Without labels of the target"
    return f"With {board.amount(found.shots)}"


def reason(found: Answer, board: Board) -> str:
    """Say what was found, how sure it is, over what, and what to do next."""
    if found.outcome == "no score":
        return "no trial has a score."
    said = [what(found, board), f"Judged {scope(found)}." * bool(scope(found)), harm(found, board)]
    return " ".join(filter(None, [*said, following(found, board)]))


def what(found: Answer, board: Board) -> str:
    """Say what was found in one sentence, without a capital."""
    say, over = board.say, f"over {against(found, board)}"
    if found.row is None:
        return "not known yet: nothing was chosen."
    best = found.name + ("" if found.row.reuse or not found.baseline else f", {board.plainly},")
    if found.outcome == "nothing works":
        works = f"{found.name} is not" if found.row.reuse else "no way is"
        return f"nothing works yet: {works} clearly above a constant answer, which looks at no input."
    if found.outcome == "not better":
        return f"not better: no way of reuse gains {say.gain(say.least)} {over}."
    if found.outcome == "better" and found.gain is not None:
        least = f" (at least {say.gain(found.gain_ci[0], unit=not say.ratio)})" if found.gain_ci else ""
        others = [name for name in found.gaining if name != found.name]
        also = f" {plural(len(others), 'other')} gain{'s' * (len(others) == 1)} too." if others else ""
        return f"{found.name} gains about {say.gain(found.gain)}{least} {over}.{also}"
    if found.gain is None:
        return f"not known yet: {against(found, board)}, is in front."
    if found.gain_ci is None:
        return f"not known yet: {best} scored highest, {say.gain(found.gain, signed=True)} {over}."
    low, high = say.change(found.gain_ci[0]), say.gain(found.gain_ci[1], signed=True)
    return f"not known yet: {best} is in front, between {low} and {high} {over}."


def headline(found: Answer, board: Board) -> tuple[str, str]:
    """Say the gain in a few words, and how much of it is sure."""
    say, ends = board.say, found.gain_ci
    if found.outcome == "not better":
        return f"no gain of {say.gain(say.least)}", ""
    if found.outcome not in ("better", "not known yet") or found.gain is None:
        return "", ""
    if found.outcome == "better" and ends:
        return f"about {say.gain(found.gain, signed=True)}", f"(at least {say.change(ends[0])})"
    sure = f"({say.change(ends[0])} to {say.change(ends[1])})" if ends else "(no interval)"
    return say.gain(found.gain, signed=True), sure


def reached(found: Answer, board: Board) -> str:
    """Say what score was reached."""
    row = found.row
    if row is None or row.mean is None:
        return "No trial has a result yet." if found.outcome == "no score" else ""
    ends = f" ({board.say.value(row.ci[0])} to {board.say.value(row.ci[1])})" if row.ci else ""
    over = f", {scope(found)}" if scope(found) else ""
    return f"It reached {board.say.score(row.mean)} {board.say.name}{ends}{over}."


def against(found: Answer, board: Board) -> str:
    """Name the baseline and say what it is."""
    if found.among is None:
        return found.baseline or "the baseline"
    where = f"the best {board.plainly} on held-out rows" if found.among else f"the highest {board.plainly}"
    return f"{found.baseline}, {where}"


def scope(found: Answer) -> str:
    """Say over how many seeds and test rows scores are, or ""."""
    few, most = found.seeds
    parts = [plural(most, "seed") if few == most else f"{few} to {most} seeds"] if most else []
    parts += [plural(found.test_rows, "test row")] if found.test_rows else []
    return f"over {' and '.join(parts)}" if parts else ""


def may_be_best(found: Answer) -> str:
    """List the ways that may be the best, each with its chance; never one chance alone."""
    best = sorted(found.best, key=lambda row: -(row.chance or 0.0))
    if len(best) < 2 or all(row.chance is None for row in best):
        return ""
    likely = [f"{row.strategy} ({chance(p)})" for row in best if (p := row.chance or 0.0) >= UNLIKELY]
    others = [row.strategy for row in best if (row.chance or 0.0) < UNLIKELY]
    rest = f"hardly {', '.join(others)}" if others else ""
    return f"May be best: {'; '.join(filter(None, [', '.join(likely), rest]))}."


def harm(found: Answer, board: Board) -> str:
    """Name every way that did harm with the least it lost, and bound what may hide in the others."""
    say, said = board.say, []
    if found.harmed:
        lost = [
            row.strategy + (f" ({say.gain(row.gain_ci[1], signed=True)} or worse)" if row.gain_ci else "")
            for row in found.harmed
        ]
        said.append(f"Did harm: {', '.join(lost)}.")
    others = bool(said) or found.outcome == "better"
    if found.worst is not None and found.worst < 0:
        if -found.worst <= RULED_OUT * say.least:
            rest = " for the others" * others
            said.append(f"Harm beyond {say.gain(found.worst)} is ruled out{rest}.")
        else:
            rest = " among the others" * others
            said.append(f"Harm up to {say.gain(found.worst)} could hide{rest}.")
    return " ".join(said)


def following(found: Answer, board: Board) -> str:
    """Say what to do next."""
    if found.outcome == "better":
        return f"Next: use {found.name}."
    if found.outcome == "not better":
        return f"Next: keep {found.baseline}."
    if found.row is None:
        return ""
    seeds, rows = found.needed.get("seeds"), found.needed.get("test_rows")
    size = f"; only gains from {board.say.gain(found.seen)} on could be seen here" if found.seen else ""
    if seeds:
        total = found.seeds[1] + seeds
        step = f"run it with about {rounded(total)} seeds, what ran is kept{size}"
    elif rows:
        step = f"it takes about {rounded(rows)} test rows, more seeds do not decide it{size}"
    elif found.seeds[1] < 2:
        step = "run it with at least 3 seeds"
    else:
        step = f"run it with more seeds{size}"
    if found.outcome == "nothing works":
        return f"Next: see that the inputs say anything of the labels; else {step}."
    return f"Next: {step}. Until then use {found.name}."


def shares(board: Board, details: Facts) -> str:
    """Say how the classes share the training rows, where they do so unequally, and why they are so scored."""
    told = about(details, board.task)
    found = {clean(name): number(share) for name, share in (told.get("shares") or {}).items()}
    parts = {name: share for name, share in found.items() if share is not None}
    if len(parts) < 2 or min(parts.values()) >= UNEQUAL / len(parts):
        return ""
    named = [f"{name} {100 * share:.1f} %" for name, share in parts.items()]
    if len(parts) > CLASSES:
        ends = sorted(parts, key=lambda name: parts[name])
        named = [f"{name} {100 * parts[name]:.1f} %" for name in (ends[0], ends[-1])]
        said = f"shares: from {' to '.join(named)} ({len(parts)} classes)"
    else:
        said = f"shares: {', '.join(named)}"
    because = clean(told.get("metric_because") or "")
    return said + f"; scored by {board.say.name}" + (f", because {because}" if because else "")


def warnings(board: Board, found: Answer, details: Facts) -> list[str]:
    """Say what spoils scores: one answer for every row, and seeds that change nothing."""
    classes, rows = about(details, board.task).get("classes") or [], board.at(found.shots)
    said, scored = [], [row for row in rows if row.mean is not None]
    floor = clean(details.get("floor") or "constant")
    level = 1 / len(classes) if len(classes) > 1 else None
    stuck = [
        row.strategy for row in scored
        if level is not None and row.strategy != floor
        and (balanced := row.measures.get("balanced_accuracy")) is not None and abs(balanced - level) < 1e-6
    ]  # fmt: skip
    stuck += [name for name in _one_answer(board, found, details) if name not in stuck]
    if stuck:
        said.append(f"No better than one class for every test row: {', '.join(stuck)}.")
    spread = [len({x for x in row.seeds if x is not None}) > 1 for row in scored if row.strategy != floor]
    if found.seeds[1] > 1 and spread and not any(spread):
        said.append("Every seed gave the same scores: more seeds add nothing here.")
    return [sentence(each) for each in said]


def _one_answer(board: Board, found: Answer, details: Facts) -> list[str]:
    """Name the ways whose matrix of mistakes has all its rows in one column."""
    names = []
    for each in details.get("confusions") or [details.get("confusion") or {}]:
        here = each.get("target", board.task) == board.task and each.get("shots") == found.shots
        matrix = each.get("matrix") or []
        columns = [sum(number(x) or 0.0 for x in column) for column in zip(*matrix, strict=False)]
        if here and each.get("strategy") and len(columns) > 1 and sum(x > 0 for x in columns) == 1:
            names.append(clean(each["strategy"]))
    return names
