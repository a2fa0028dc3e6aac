"""What was found, in words: from the facts of a result, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .answer import Answer, Confirmed, answers
from .board import Board, Interval, Row, about, number, read, targets
from .findings import Check
from .sizes import MINUS, chance, clean, plural, rounded, sentence

Facts = Mapping[str, Any]
RULED_OUT = 5  # least gains: a bound of harm below it is worth saying as one
UNEQUAL = 0.8  # of an equal share: a class below it is worth telling
RARE = 0.5  # of an equal share: a class up to it meets other shares in labelled rows than in the data
WEIGHTS = {
    "balanced": "each class weighs alike", "sampled": "each class is drawn alike often",
    "none": "each row weighs alike",
}  # fmt: skip
WIDE = "the interval is too wide"
FAR = 20  # times the test rows there are: beyond it a number of rows is no advice
UNLIKELY = 0.03  # chance of being the best below which a way is only named
LONGEST = 240  # characters of an error
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
    said, budget = weighed(details) + other_columns(details), details.get("budget") or {}
    if missing := details.get("missing"):
        why = "" if budget.get("trials") else ", which the choice of settings took"
        said.append(
            f"{missing} trials did not run within the time budget{why}; the same command continues with them."
        )
    failed = [trial for trial in budget.get("failed") or () if isinstance(trial, Mapping)]
    if failed:
        names = sorted({clean(trial.get("strategy", "?")) for trial in failed})
        errors = {clean(trial.get("error") or "?") for trial in failed}
        said.append(
            f"{plural(len(failed), 'trial')} failed, and count{'s' * (len(failed) == 1)} as the floor: "
            f"{', '.join(names)}. {'The first said' if len(errors) > 1 else 'Said'}: "
            f"{clean(failed[0].get('error') or '?')[:LONGEST].rstrip('.')}."
        )
    return said


def other_columns(details: Facts) -> list[str]:
    """Say of each source with other columns which ways learned from it, and that the others did not.

    Example:
        >>> source = {"name": "there", "unlike": {"columns": 5, "of": 4, "shared": 2}}
        >>> other_columns({"sources": [source], "strategies": {"joint+space": {"unlike": True}}})
        ["Source there has other columns than the target (2 of the target's 4 are shared): joint+space learned
        from it, all other ways ran without it."]
    """
    said = []
    ways = [clean(name) for name, told in (details.get("strategies") or {}).items() if told.get("unlike")]
    for source in details.get("sources") or ():
        if (found := source.get("unlike")) is None:
            continue
        many = f"{found['shared']} of the target's {found['of']} are shared"
        many = (
            many
            if found["shared"]
            else f"{found['columns']} in place of {found['of']}, none known to be shared"
        )
        who = " and ".join(", ".join(ways).rsplit(", ", 1))
        used = f"{who} learned from it, all other ways" if ways else "no way that ran takes such rows, so all"
        said.append(
            f"Source {clean(source.get('name', '?'))} has other columns than the target ({many}): "
            f"{used} ran without it."
        )
    return said


def weighed(details: Facts) -> list[str]:
    """Say by how much targets count, and what is not recommended because it harms one that is protected."""
    said = []
    if counts := details.get("importance"):
        named = ", ".join(f"{clean(name)} {value:g} times" for name, value in counts.items())
        said.append(f"In the mean over all targets {named} as much as a target that is not named.")
    if kept := details.get("withheld"):
        harms = " and ".join(map(clean, kept["harms"]))
        said.append(
            f"{clean(kept['strategy'])} is not recommended: it harms {harms}, which is not to be harmed."
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
    said = [what(found, board), also(found, board), f"Judged {scope(found)}." * bool(scope(found))]
    said += [harm(found, board), apart(found, board), single(found, board), shifted(found)]
    said += [made(found, board), following(found, board)]
    return " ".join(filter(None, said))


def what(found: Answer, board: Board) -> str:
    """Say what was found in one sentence, without a capital."""
    if found.untold:
        return trusted(found, board)
    say, over = board.say, beside(board, against(found, board))
    gains, makes = ("gains: its error is", "makes the error") if say.ratio else ("gains", "gains")
    if found.row is None:
        return "not known yet: nothing was chosen."
    best = found.name + ("" if found.row.reuse or not found.baseline else f", {board.plainly},")
    if found.outcome == "nothing works":
        works = f"{found.name} is not" if found.row.reuse else "no way is"
        return f"nothing works yet: {works} clearly above a constant answer, which looks at no input."
    if found.outcome == "not better":
        return f"not better: no way of reuse {makes} {say.gain(say.least)} {over}."
    if found.outcome == "better" and found.gain is not None:
        others = [n for n in found.gaining if n != found.name and n not in board.without]
        too = f" {plural(len(others), 'other')} gain{'s' * (len(others) == 1)} too." if others else ""
        if found.sure and _borne_out(found):
            sure = _with_ends(board, found.sure.gain, found.sure.gain_ci)
            return f"{found.name} {gains} {sure} {over}, on {_fresh(found.sure)}.{too}"
        return f"{found.name} {gains} {_gain(found, board)} {over}.{too}"
    if found.gain is None:
        return f"not known yet: {against(found, board)}, is in front."
    if found.gain_ci is None:
        return f"not known yet: {best} scored highest, {_size(board, found.gain)} {over}."
    if say.says_nothing(found.gain_ci):
        return f"not known yet: {best} is in front {over}, but nothing can be said yet: {WIDE}."
    low, high = found.gain_ci
    lowest, its = (say.gain(low), "its error ") if say.ratio else (say.change(low), "")
    return (
        f"not known yet: {best} is in front, {its}between {lowest} and {say.gain(high, signed=True)} {over}."
    )


def trusted(found: Answer, board: Board) -> str:
    """Say what was chosen without a label of the target, what the test rows tell of it, and what it cost."""
    assert found.untold is not None
    told, say = found.untold, board.say
    said = f"{found.name} is trusted most, by {told.by}; no label of the target chose it."
    if found.gain is not None:
        ends = f" ({say.span(found.gain_ci)})" if found.gain_ci else ""
        over = beside(board, against(found, board))
        said += f" On the test rows it is {_size(board, found.gain)}{ends} {over}."
    elif found.name == found.baseline:
        said += " It uses the sources as they are."
    if told.best and told.best != found.name:
        cost = f"the error {say.gain(-told.cost)}" if say.ratio else say.gain(told.cost)
        said += f" The choice cost {cost}: {told.best} scored highest there."
    if told.refused:
        said += f" Not trusted, because they align features: {', '.join(told.refused)}."
    return said


def beside(board: Board, other: str) -> str:
    """Say what a gain is over; of an error, what it is compared with."""
    return f"{'compared with' if board.say.ratio else 'over'} {other}"


def _size(board: Board, x: float) -> str:
    """Say a gain by itself."""
    return "error " * board.say.ratio + board.say.gain(x, signed=True)


def _gain(found: Answer, board: Board) -> str:
    """Say a gain that was found, and at least how large it is."""
    say, ends = board.say, found.gain_ci
    least = f" (at least {say.gain(ends[0], unit=not say.ratio)})" if ends else ""
    return f"about {say.gain(found.gain or 0.0)}{least}"


def also(found: Answer, board: Board) -> str:
    """Say what bounds the claim: rows that chose nothing, and other ways without reuse."""
    size, other = highest(found, board)
    start, it = ("Compared with", "it has an") if board.say.ratio else ("Over", "it is")
    said = f"{start} {other}, {it} {size}." if size else ""
    return " ".join(filter(None, [confirmed(found, board), said, unless(found)]))


def _claims(found: Answer) -> bool:
    """Tell whether a gain is said at all."""
    return found.outcome in ("better", "not known yet") and found.gain is not None


def confirmed(found: Answer, board: Board) -> str:
    """Set what the choice was made by beside what was measured after it."""
    told = found.confirmed
    if told is None or not _claims(found):
        return ""
    if _borne_out(found):
        return f"The rows that chose it said {_gain(found, board)}."
    named = f"{told.strategy}, {beside(board, told.baseline)}, is"
    if found.sure:
        named = "it is"
    if board.say.ratio:
        named = "its error is" if found.sure else f"the error of {named}"
    doubt = ", which does not confirm it" * (found.sure is not None and found.outcome == "better")
    return f"On {_fresh(told)} {named} {_with_ends(board, told.gain, told.gain_ci)}{doubt}."


def _borne_out(found: Answer) -> bool:
    """Tell whether a gain was found, and again by rows that had no part in the choice."""
    ends = found.sure.gain_ci if found.sure else None
    return found.outcome == "better" and ends is not None and ends[0] > 0


def _fresh(told: Confirmed) -> str:
    rows = f"{plural(told.test_rows, 'test row')} and " if told.test_rows else ""
    return f"{rows}{plural(told.seeds, 'seed')} that chose nothing"


def _with_ends(board: Board, value: float, ends: Interval | None) -> str:
    return board.say.gain(value, signed=True) + (f" ({board.say.span(ends)})" if ends else "")


def highest(found: Answer, board: Board) -> tuple[str, str]:
    """Say what is gained over the way without reuse that scored highest, where that is another; and which."""
    if found.highest in ("", found.baseline, found.name) or found.over_highest is None or not _claims(found):
        return "", ""
    size = _size(board, found.over_highest)
    return size, f"{found.highest}, the highest {board.plainly} on the test rows"


def unless(found: Answer) -> str:
    """Name a way without reuse that the one to use is not clearly above."""
    plain = found.unless and _claims(found)
    return f"{found.unless} reuses nothing either and may be as good." if plain else ""


def headline(found: Answer, board: Board) -> tuple[str, str]:
    """Say the gain in a few words, and how much of it is sure."""
    say, ends = board.say, found.gain_ci
    if found.outcome == "not better":
        return (f"error not {say.gain(say.least)}" if say.ratio else f"no gain of {say.gain(say.least)}"), ""
    if not _claims(found) or found.gain is None:
        return "", ""
    if told := found.sure:
        return _size(board, told.gain), f"({say.span(told.gain_ci)})" if told.gain_ci else ""
    if found.outcome == "better" and ends:
        least = say.gain(ends[0], unit=False) if say.ratio else say.change(ends[0])
        about = "error about " if say.ratio else "about "
        return about + say.gain(found.gain, signed=True), f"(at least {least})"
    if ends and say.says_nothing(ends):
        return "error not known yet", f"({WIDE})"
    return _size(board, found.gain), f"({say.span(ends)})" if ends else "(no interval)"


def corrected(found: Sequence[Answer], board: Board) -> str:
    """Say why the gain of an answer is not that of the table, where they differ."""
    other = any(
        _claims(each) and not each.sure and each.row and each.row.gain is not None
        and board.say.change(each.gain) != board.say.change(each.row.gain)
        for each in found
    )  # fmt: skip
    return (
        "the gain in the answer is corrected for choosing the best of many, those in the table are not"
        * other
    )


def far(board: Board) -> str:
    """Say what a table shows of an error that is many times as large, where there is one."""
    ends = [
        x for row in board.rows for x in (row.gain, row.over_scratch, *(row.gain_ci or ())) if x is not None
    ]
    low = min(ends, default=0.0)
    return (
        f"{board.say.change(low)}: error {board.say.gain(low)}" if board.say.says_nothing((low, 0.0)) else ""
    )


def where(found: Answer) -> str:
    """Say what the headline number was measured on, where that is apart from the choice; else ""."""
    return f", on {_fresh(found.sure)}" if found.sure and _claims(found) else ""


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
    if board.named:
        return f"{found.baseline}, the baseline that was named"
    where = f"the best {board.plainly} on held-out rows" if found.among else f"the highest {board.plainly}"
    return f"{found.baseline}, {where}"


def scope(found: Answer) -> str:
    """Say over how many seeds and test rows scores are, and for which labelled rows alone, or ""."""
    few, most = found.seeds
    parts = [plural(most, "seed") if few == most else f"{few} to {most} seeds"] if most else []
    parts += [plural(found.test_rows, found.unit)] if found.test_rows else []
    rows = f"{found.labelled} labelled rows" if found.labelled else "labelled rows"
    alone = f"; these {rows} only: another draw of them is not in the intervals" * found.same_rows
    return f"over {' and '.join(parts)}{alone}" if parts else ""


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
            row.strategy + (f" ({_size(board, row.gain_ci[1])} or worse)" if row.gain_ci else "")
            for row in found.harmed
        ]
        said.append(f"Did harm: {', '.join(lost)}.")
    others = bool(said) or found.outcome == "better"
    if found.worst is not None and found.worst < 0:
        if -found.worst <= RULED_OUT * say.least:
            rest = " for the others" * others
            near = f"; {found.worst_of} comes nearest to it" * bool(found.worst_of)
            harm = "An error over" if say.ratio else "Harm beyond"
            said.append(f"{harm} {say.gain(found.worst)} is ruled out{rest}{near}.")
        else:
            said.append(_hidden(found.worst, found.worst_of, " among the others" * others, board))
    return " ".join(said)


def _hidden(worst: float, way: str, among: str, board: Board) -> str:
    """Say how much harm could hide, and where most."""
    say, most = board.say, f", most in {way}" * bool(way)
    if say.says_nothing((worst, 0.0)):
        return f"Nothing can be said of harm{among} yet: intervals are too wide{most}."
    if say.ratio:
        return f"Harm could hide{among}{most}: it could make the error up to {say.gain(worst)}."
    return f"Harm up to {say.gain(worst)} could hide{among}{most}."


def apart(found: Answer, board: Board) -> str:
    """Name every source that harms, with what it costs."""
    said = []
    for name in dict.fromkeys(each.name for each in found.harming):
        here = [each for each in found.harming if each.name == name]
        costs = [
            f"{each.strategy} {board.say.gain(each.gain or 0.0)}"
            + (f" (at least {board.say.gain(each.gain_ci[1], unit=False)})" if each.gain_ci else "")
            for each in here
        ]
        does = "it makes the error of" if board.say.ratio else "it costs"
        left = "; the recommended model is learned without it" * any(each.without for each in here)
        said.append(f"Source {name} harms: {does} {' and '.join(costs)}{left}.")
    return " ".join(said)


def single(found: Answer, board: Board) -> str:
    """Name the source that is the best by itself, where no row has a label."""
    told = [each for each in found.sources if each.alone is not None]
    if board.labelled or len(told) < 2 or told[0].whole is None:
        return ""
    told = [each for each in told if each.strategy == told[0].strategy]
    best = max(told, key=lambda each: (1 if board.say.higher else -1) * (each.alone or 0.0))
    reached = f"{board.say.score(best.alone)} with it alone, {board.say.score(told[0].whole)} with all"
    return f"Of single sources {best.name} is the best: {best.strategy} reaches {reached}."


def shifted(found: Answer) -> str:
    """Say how the target's rows differ from the sources', as it was seen before training."""
    if found.shift is None or found.shift.kind not in _SHIFTS:
        return ""
    told = found.shift
    moved = sorted(told.ratios, key=lambda name: -abs(told.ratios[name] - 1))[:LISTED]
    ratios = ", ".join(f"{name} about {told.ratios[name]:.1f} times" for name in moved)
    return f"Before training: {_SHIFTS[told.kind].format(ratios=ratios, outside=_percent(told.outside))}."


LISTED = 3  # classes whose shares are said
_SHIFTS = {
    "none": "nothing tells the target's rows from the sources'",
    "label": "the classes come in other shares than in the sources (as common: {ratios}), under which "
    "aligning features does harm; correct the shares (bbse)",
    "covariate": "the target's rows are found in the sources too, in other numbers",
    "conditional": "{outside} of the target's rows are where the sources have hardly any, so classes may "
    "have moved",
}


def made(found: Answer, board: Board) -> str:
    """Say what is handed over, its own score and how far its probabilities can be taken at their word."""
    told, say = found.model, board.say
    if told is None or told.score is None:
        return ""
    ends = f" ({say.value(told.ci[0])} to {say.value(told.ci[1])})" if told.ci else ""
    rows = f"all {told.rows} {board.noun}s" if told.rows else "all rows"
    said = [f"{say.score(told.score)} {say.name}{ends} on the {board.unit}s"]
    if told.log_loss is not None and say.name != "log loss":
        said.append(f"log loss {told.log_loss:.3f}")
    if told.off is not None:
        before = f", {100 * told.before:.1f} before they were scaled" if told.before is not None else ""
        said.append(f"probabilities {100 * told.off:.1f} points from what comes true (ECE){before}")
    one = ", the best over all targets together and one for all," if told.strategy != found.name else ""
    return f"The model itself, {told.strategy}{one} trained on {rows}: {'; '.join(said)}."


def survives(told: Check) -> str:
    """Say whether a verdict survives other protocols."""
    verb = {"gains": "gains over", "harms": "harms, against", "equal": "is equal to"}
    said = f"{told.strategy} {verb.get(told.verdict, 'is undecided against')} {told.baseline}"
    stays = f"the verdict is the same under {told.stays} of {len(told.protocols)} other protocols"
    turned = f" It turns under: {', '.join(told.turned)}." if told.turned else ""
    none = " It turns under none." if told.verdict in ("gains", "harms") and not told.turned else ""
    return f"{said}: {stays}.{turned}{none}"


def following(found: Answer, board: Board) -> str:
    """Say what to do next."""
    if found.untold:
        return f"Next: use {found.name}; a handful of labels of the target would tell whether to."
    if found.outcome == "better":
        return f"Next: use {found.name}."
    if found.outcome == "not better":
        return f"Next: keep {found.baseline}."
    if found.row is None:
        return ""
    seeds, rows = found.needed.get("seeds"), found.needed.get("test_rows")
    far = bool(rows and found.test_rows and rows > FAR * found.test_rows)
    size = ""
    if found.seen:
        gain = board.say.gain(found.seen)
        least = f"an error at least {gain}" if board.say.ratio else f"gains from {gain} on"
        size = f"; only {least} could be seen here"
    if seeds:
        total = found.seeds[1] + seeds
        step = f"run it with about {rounded(total)} seeds, what ran is kept{size}"
    elif rows and far:
        step = f"this set-up cannot decide it, {FAR} times the {found.unit}s would not be enough{size}"
    elif rows:
        step = f"it takes about {rounded(rows)} {found.unit}s, more seeds do not decide it{size}"
    elif found.seeds[1] < 2:
        step = "run it with at least 3 seeds"
    else:
        step = f"run it with more seeds{size}"
    if found.outcome == "nothing works":
        return f"Next: see that the inputs say anything of the labels; else {step}."
    return f"Next: {step}. {'Use' if far and not seeds else 'Until then use'} {found.name}."


def shares(board: Board, details: Facts) -> str:
    """Say how the classes share the training rows, where they do so unequally, and why they are so scored."""
    told = about(details, board.task)
    parts = _parts(told)
    labelled = any(parts.values())
    if len(parts) < 2 or not labelled or min(parts.values()) >= UNEQUAL / len(parts):
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


def _parts(told: Facts) -> dict[str, float]:
    found = {clean(name): number(share) for name, share in (told.get("shares") or {}).items()}
    return {name: share for name, share in found.items() if share is not None}


def draw(board: Board, details: Facts) -> str:
    """Say that the labelled rows hold classes alike, where the data are far from it."""
    told = about(details, board.task)
    parts = {name: share for name, share in _parts(told).items() if share > 0}
    alike = board.per_class and not board.at_random and any(shots is not None for shots in board.shots)
    rarest = min(parts, key=lambda name: parts[name], default="")
    if not alike or len(parts) < 2 or parts[rarest] > RARE / len(parts):
        return ""
    return f"labelled rows are drawn equally per class; in the data {rarest} is {100 * parts[rarest]:.1f} %"


def training(boards: Sequence[Board], details: Facts) -> str:
    """Say how long a trial trains on its labelled rows, and what its classes weigh."""
    steps, said = details.get("steps") or {}, []
    if "given" in steps:
        said.append(plural(int(steps["given"]), "step"))
    elif {"passes", "least", "most"} <= set(steps):
        passes = f"{steps['passes']} passes over a trial's labelled rows"
        said.append(f"{passes}, at least {steps['least']} steps and at most {steps['most']}")
    given = {b.task: str(about(details, b.task).get("class_weights")) for b in boards if b.per_class}
    weights = {task: WEIGHTS[told] for task, told in given.items() if told in WEIGHTS}
    if len(set(weights.values())) > 1:
        return "; ".join([*said, *(f"{task}: {told}" for task, told in weights.items())])
    return "; ".join([*said, *dict.fromkeys(weights.values())])


def warnings(board: Board, found: Answer, details: Facts) -> list[str]:
    """Say what spoils scores: one answer for every row, and seeds that change nothing."""
    scored = [row for row in board.at(found.shots) if row.mean is not None]
    floor, said = clean(details.get("floor") or "constant"), []
    if any(row.one_answer is not None for row in scored):
        stuck, are = [row.strategy for row in scored if row.one_answer and row.strategy != floor], "One class"
    else:
        stuck = _stuck(board, found, details, [row for row in scored if row.strategy != floor])
        are = "No better than one class"
    if stuck:
        said.append(f"{are} for every test row: {', '.join(stuck)}.")
    spread = [len({x for x in row.seeds if x is not None}) > 1 for row in scored if row.strategy != floor]
    if found.seeds[1] > 1 and spread and not any(spread):
        said.append("Every seed gave the same scores: more seeds add nothing here.")
    return [sentence(each) for each in [*said, *alarms(found)]]


def alarms(found: Answer) -> list[str]:
    """Say what looks wrong in answers to unlabelled rows, as whoever has no label could see it, too."""
    said = []
    for kind, words in _ALARMS.items():
        here = [each for each in found.alarms if each.kind == kind]
        if named := ", ".join(f"{each.way} ({_percent(each.value)})" for each in here if not each.sources):
            said.append(f"Alarm, without any label: {words}: {named}.")
    said += [
        f"Trouble in training {each.way}, from step {each.value:.0f} on: {_TROUBLES[each.kind]}."
        for each in found.alarms
        if each.kind in _TROUBLES
    ]
    for each in found.alarms:
        if each.sources:
            one, other = each.sources
            said.append(
                f"Alarm, without any label: from {one} alone {each.way} learns other answers than from "
                f"{other} alone for {_percent(each.value)} of the rows; on each of them one of the two errs."
            )
    return said


_TROUBLES = {
    "label loss rises": "its loss on the source's labels rises, so its weight is too large",
    "critic has won": "its critic tells nearly every row's side, so features stay apart; raise its weight",
    "critic is lost": "its critic says the same of every row and has stopped learning",
}
_ALARMS = {
    "one class": "nearly all rows get one class",
    "class shares": "the answers' class shares are not the sources'; so much of the answers is wrong, unless "
    "the target's classes are shared otherwise",
    "little information": "the answers say next to nothing of the rows, in parts of what there is to say",
}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _stuck(board: Board, found: Answer, details: Facts, rows: Sequence[Row]) -> list[str]:
    """Name the ways that look like one answer, of releases that did not tell."""
    classes = about(details, board.task).get("classes") or []
    level = 1 / len(classes) if len(classes) > 1 else None
    names = [
        row.strategy for row in rows
        if level is not None
        and (balanced := row.measures.get("balanced_accuracy")) is not None and abs(balanced - level) < 1e-6
    ]  # fmt: skip
    return names + [name for name in _one_answer(board, found, details) if name not in names]


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
