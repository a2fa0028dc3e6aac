"""Pictures of a comparison as inline SVG that follows the page's light or dark colours.

Matplotlib draws with stand-in colours; `_svg` replaces each by a variable of the page's style sheet,
so that one picture serves both schemes. Text stays text: it can be searched, and takes the page's font.
"""

from __future__ import annotations

import html
import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .board import Board, Interval, Row, clean, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Stand-ins, each replaced by the style sheet's variable of that name.
PALETTE = {
    "#010101": "--ink",
    "#010102": "--muted",
    "#010103": "--line",
    "#010104": "--gains",
    "#010105": "--open",
    "#010106": "--harms",
    "#010107": "--card",
    **{f"#01020{i}": f"--series-{i}" for i in range(7)},
}
INK, MUTED, LINE, GAINS, OPEN, HARMS, CARD, *SERIES = PALETTE
MARKS = {
    "gains": ("o", GAINS), "harms": ("X", HARMS), "equal": ("D", OPEN), "open": ("o", OPEN),
    "unknown": ("o", OPEN), "none": ("s", OPEN), "baseline": ("s", OPEN),
}  # fmt: skip
HOLLOW = ("open", "unknown", "none", "baseline")
NARROW, WIDE = 410.0, 860.0  # px of a gain picture: one of several, or alone
DASHES = ("-", "--", ":", "-.")
CHARACTER = 7.2  # mean advance in px of a letter at 12 px in the widest font of the style sheet
NAME = 26
POINTS = 240  # of one curve; more cannot be told apart at the width of a small picture

SETTINGS: Any = {  # matplotlib's own type for this is a list of every key
    "svg.fonttype": "none",
    "font.size": 12,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "lines.solid_capstyle": "round",
}


def short(name: str, width: int = NAME) -> str:
    """Cut a long name in the middle: names of one family differ at their ends.

    Example:
        >>> short("pretrain+multitask+fewshot", 15)
        'pretrai…fewshot'
    """
    if len(name) <= width:
        return name
    tail = (width - 1) // 2
    return f"{name[: width - 1 - tail]}…{name[len(name) - tail :]}"


def _svg(figure: Figure, name: str, label: str) -> str:
    """Write a figure as an ``<svg>`` element; ``name`` keeps its ids apart from other pictures'."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": f"headstart-{name}"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # the browser has the font, not matplotlib
        figure.savefig(out, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    text = out.getvalue()
    box = re.search(r'viewBox="([^"]*)"', text)
    assert box is not None  # matplotlib always writes one
    text = text[text.index(">", text.index("<svg")) + 1 :]
    for pattern, by in _TIDY:
        text = re.sub(pattern, by, text, flags=re.DOTALL)
    text = re.sub(r' d="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), text)
    text = re.sub(r'style="[^"]*"', lambda found: _style(found[0]), text)
    alt, width = html.escape(label), box[1].split()[2]
    return f'<svg viewBox="{box[1]}" role="img" aria-label="{alt}" style="--width: {width}px">{text}'


_METADATA = ("Date", "Creator", "Format", "Type")
_TIDY = (
    (
        r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>",
        "",
    ),  # an inline <style> would reach the whole page
    (r'<g id="[^"]*"/>', ""),
    (r'<g id="[^"]*">', "<g>"),
    (r' transform="rotate\(-0 [^"]*"', ""),
    (r"\s+", " "),
    (r"> <", "><"),
)


def _style(style: str) -> str:
    style = re.sub(r"#01[0-9a-f]{4}", lambda found: f"var({PALETTE.get(found[0], '--ink')})", style)
    return re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", style)


def _axes(width: float, height: float, margins: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """Open a figure of ``width x height`` px whose axes leave left, right, bottom and top margins."""
    from matplotlib.figure import Figure

    left, right, bottom, top = margins
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    box = (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    return figure, figure.add_axes(box)


def _reach(board: Board) -> Interval:
    """Return the ends of the gain axis, by the ways of reuse: what is far beyond them is cut there."""
    rows = [row for row in board.rows if row.gain is not None]
    ends = [end for row in rows for end in row.gain_ci or (row.gain or 0.0,)] + [0.0]
    rows = [row for row in rows if row.reuse] or rows
    ways = [row.gain for row in rows if row.gain is not None]
    wide = sorted(max(map(abs, row.gain_ci)) for row in rows if row.gain_ci)
    edge = max(2.5 * max(map(abs, ways), default=0.0), 1.25 * wide[len(wide) // 2] if wide else 0.0, 0.02)
    low, high = max(min(ends), -edge), min(max(ends), edge)
    pad = 0.06 * ((high - low) or 1.0)
    return low - pad, high + pad


def gains(board: Board, shots: int | None, recommended: str | None = None, *, width: float = NARROW) -> str:
    """Draw the gain of every strategy with its interval, best score first.

    A filled circle is a gain that was decided, a cross is harm, a diamond is equal and a hollow circle is
    open; a hollow square needs no reuse. Faint dots are the seeds' own differences, where a gain is one.

    Args:
        width: in px.
    Shape:
        returns one ``<svg>`` element, or "" where no strategy has a gain.
    """
    import matplotlib

    say, baseline = board.say, board.baseline(shots)
    rows = [row for row in board.at(shots) if row.gain is not None]
    if not rows:
        return ""
    base = next((row.seeds for row in board.at(shots) if row.strategy == baseline), ())
    low, high = _reach(board)
    name = CHARACTER * max(len(short(row.strategy)) for row in rows) + 22
    with matplotlib.rc_context(SETTINGS):
        figure, ax = _axes(width, 23 * len(rows) + 60, (name, 56, 44, 16))
        ax.set_xlim(low, high)
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.axvline(0, color=MUTED, linewidth=1.2, zorder=1)
        for i, row in enumerate(rows):
            _gain(ax, board, row, i, base)
            where = ax.get_yaxis_transform()
            ax.text(1.02, i, say.change(row.gain), transform=where, va="center")
        ax.set_yticks(range(len(rows)), [short(row.strategy) for row in rows])
        for row, tick in zip(rows, ax.get_yticklabels(), strict=True):
            tick.set_fontweight("bold" if row.strategy == recommended else "normal")
            tick.set_color(INK if row.reuse else MUTED)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0, pad=10)
        _numbers(ax, say.scale(gain=True), signed=True)
        unit = f", {say.gain_unit}" if say.gain_unit else ""
        legend = f"gain over {short(baseline, 20)}{unit} (right is better)"
        figure.text(0.5, 10 / figure.bbox.height, legend, color=MUTED, ha="center")
    words = "; ".join(f"{row.strategy} {say.change(row.gain)}" for row in rows)
    label = f"Gain over {baseline}, {board.amount(shots)}: {words}"
    return _svg(figure, f"gains-{board.task}-{shots}-{width:.0f}", label)


def _gain(ax: Axes, board: Board, row: Row, y: float, base: Sequence[float | None]) -> None:
    assert row.gain is not None
    low, high = ax.get_xlim()
    marker, color = MARKS.get(board.verdict(row), MARKS["open"])
    if each := _differences(board, row, base):
        ax.plot(each, [y] * len(each), ".", color=color, alpha=0.3, markersize=5, markeredgewidth=0)
    ends = row.gain_ci or (row.gain, row.gain)
    if row.gain_ci is not None and ends[0] < high and ends[1] > low:
        ax.plot([max(ends[0], low), min(ends[1], high)], [y, y], color=color, linewidth=2.4)
    for beyond, edge, arrow in ((ends[0] < low, low, "<"), (ends[1] > high, high, ">")):
        if beyond:  # the interval goes on outside of the picture
            ax.plot(edge, y, arrow, color=color, markersize=6, clip_on=False)
    hollow = board.verdict(row) in HOLLOW
    face: dict[str, Any] = {"markerfacecolor": CARD} if hollow else {}
    if low <= row.gain <= high:
        ax.plot(row.gain, y, marker, color=color, markersize=8, markeredgewidth=1.6 if hollow else 0, **face)


def _differences(board: Board, row: Row, base: Sequence[float | None]) -> list[float]:
    """Give the gain of each seed, where the gain is their mean: of ratios it is not."""
    if board.say.ratio or row.gain is None or len(base) != len(row.seeds):
        return []
    sign = 1 if board.say.higher else -1
    pairs = [sign * (a - b) for a, b in zip(row.seeds, base, strict=True) if a is not None and b is not None]
    return pairs if abs(sum(pairs) - row.gain * len(pairs)) < 1e-6 * len(pairs) else []


def _numbers(ax: Axes, scale: float, *, signed: bool = False, axis: str = "x") -> None:
    """Write an axis in the metric's own way, on few round numbers, with a faint grid."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    def say(x: float, _: int) -> str:
        return f"{round(x * scale, 6):{'+' if signed and x else ''}g}".replace("-", "\N{MINUS SIGN}")

    target = ax.xaxis if axis == "x" else ax.yaxis
    target.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    target.set_major_formatter(FuncFormatter(say))
    ax.grid(axis="x" if axis == "x" else "y")
    ax.set_axisbelow(True)


def highlighted(board: Board, recommended: Sequence[str]) -> list[str]:
    """Choose which strategies a line picture names: the baseline, the recommended, the best ones."""
    leaders = [
        row.strategy for rank in range(3) for shots in board.shots for row in board.at(shots)[rank:][:1]
    ]
    bases = [board.baseline(shots) for shots in board.shots[::-1]]
    chosen = dict.fromkeys([*bases[:1], *recommended, *leaders, *bases])
    return [name for name in chosen if name in board.strategies][:6]


def by_shots(board: Board, recommended: Sequence[str] = ()) -> str:
    """Draw the score against the number of labelled rows, with 95 % intervals.

    At most six strategies are named and coloured; the others are faint lines, so that thirty fit.

    Shape:
        returns one ``<svg>`` element, or "" where fewer than two numbers of labels were tried.
    """
    import matplotlib

    if len({row.shots for row in board.rows if row.mean is not None}) < 2:
        return ""
    chosen, bases = highlighted(board, recommended), set(map(board.baseline, board.shots))
    right = 1.2 * CHARACTER * max([4, *(len(short(name, 20)) for name in chosen)]) + 14  # bold is wider
    ends: list[tuple[float, str, str]] = []
    with matplotlib.rc_context(SETTINGS):
        figure, ax = _axes(700, 320, (40, right, 44, 14))
        ax.set_xlim(-0.12, len(board.shots) - 1 + 0.12)
        for name in [n for n in board.strategies if n not in chosen] + chosen:
            points = {row.shots: row for row in board.rows if row.strategy == name and row.mean is not None}
            found = [(x, points[shots]) for x, shots in enumerate(board.shots) if shots in points]
            if not found:
                continue
            means = [row.mean for _, row in found if row.mean is not None]
            if name not in chosen:
                ax.plot([x for x, _ in found], means, color=LINE, linewidth=1.2, zorder=1)
                continue
            place = chosen.index(name)
            color = MUTED if name in bases else SERIES[place % len(SERIES)]
            dodge = 0.012 * (len(board.shots) - 1) * (place - (len(chosen) - 1) / 2)
            for x, row in found:
                if row.ci is not None:
                    ax.plot([x + dodge] * 2, row.ci, color=color, linewidth=2, alpha=0.55)
            style = "--" if name in bases else "-"
            ax.plot([x + dodge for x, _ in found], means, "o", linestyle=style, color=color, linewidth=2)
            ends.append((means[-1], name, color))
        _numbers(ax, board.say.scale(gain=False), axis="y")
        ax.tick_params(axis="y", labelcolor=MUTED)
        ax.set_xticks(range(len(board.shots)), ["all" if n is None else str(n) for n in board.shots])
        each = f" per class{' on average' * board.at_random}" * board.per_class
        ax.set_xlabel(f"{board.noun}s{each}", labelpad=8)
        ax.tick_params(length=0)
        _name_ends(ax, ends)
    words = "; ".join(f"{name} {board.say.score(mean)}" for mean, name, _ in ends)
    return _svg(
        figure, f"by-shots-{board.task}", f"{board.say.name} against {board.noun}s; at the right end {words}"
    )


def _name_ends(ax: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write names at the right of their lines, moved apart so that none covers another."""
    low, high = ax.get_ylim()
    height = ax.get_window_extent().height / ax.figure.dpi * 72
    gap = 15 * (high - low) / height
    order = sorted(ends)
    places = [mean for mean, *_ in order]
    for _ in range(200):
        for i in range(len(places) - 1):
            overlap = gap - (places[i + 1] - places[i])
            if overlap > 1e-12:
                places[i] -= overlap / 2
                places[i + 1] += overlap / 2
    for y, (_, name, color) in zip(places, order, strict=True):
        ax.text(
            1.015,
            y,
            short(name, 20),
            transform=ax.get_yaxis_transform(),
            color=color,
            va="center",
            weight="bold",
        )


def loss_names(curves: Mapping[str, Any]) -> list[str]:
    """Name every loss of the curves once, in the order in which they come."""
    return list(dict.fromkeys(clean(name) for curve in curves.values() for name in curve.get("losses") or {}))


def line_style(place: int) -> tuple[str, str]:
    """Return the colour and dash of the loss in that place; colours repeat with another dash."""
    return SERIES[place % len(SERIES)], DASHES[place // len(SERIES) % len(DASHES)]


def _smooth(values: Sequence[object]) -> tuple[list[float], list[float], list[float]]:
    """Return steps, losses and their running mean over about a twentieth of the run, thinned."""
    points = [(i + 1.0, y) for i, value in enumerate(values) if (y := number(value)) is not None]
    reach = max(len(points) // 40, 0)
    means = []
    for i in range(len(points)):
        near = [y for _, y in points[max(0, i - reach) : i + reach + 1]]
        means.append(sum(near) / len(near))
    stride = max(1, math.ceil(len(points) / POINTS))
    keep = sorted({*range(0, len(points), stride), *([len(points) - 1] if points else [])})
    return [points[i][0] for i in keep], [points[i][1] for i in keep], [means[i] for i in keep]


def curve(strategy: str, losses: Mapping[str, Sequence[object]], order: Sequence[str]) -> str:
    """Draw the losses of one training: faint as they were, strong as a running mean.

    The loss axis is logarithmic where the losses are positive and span over a factor of 30.

    Args:
        strategy: whose training it is.
        losses: one value per step for each name; None and NaN where a step has none.
        order: names in the order that decides their colours, see `line_style`.
    Shape:
        returns one ``<svg>`` element, or "" where no loss has a finite value.
    """
    import matplotlib
    from matplotlib.ticker import MaxNLocator, NullFormatter

    drawn = {clean(name): _smooth(values) for name, values in losses.items()}
    drawn = {name: line for name, line in drawn.items() if line[0]}
    if not drawn:
        return ""
    lowest = min(min(line[2]) for line in drawn.values())
    highest = max(max(line[2]) for line in drawn.values())
    with matplotlib.rc_context(SETTINGS):
        figure, ax = _axes(250, 174, (52, 10, 38, 8))
        for name, (steps, raw, means) in drawn.items():
            color, dash = line_style(order.index(name))
            ax.plot(steps, raw, color=color, linewidth=0.7, alpha=0.28)
            ax.plot(steps, means, dash, color=color, linewidth=1.8, marker="o" * (len(steps) == 1))
        if min(min(line[1]) for line in drawn.values()) > 0 and highest > 30 * lowest:
            ax.set_yscale("log")
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.set_ylim(lowest / 1.6, highest * 1.6)
            ax.yaxis.set_major_formatter("{x:g}")
        else:
            ax.set_ylim(min(0.0, lowest * 1.05), highest * 1.08 or 1.0)
            ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        ax.tick_params(length=2, labelsize=11)
        ax.tick_params(axis="y", labelcolor=MUTED)
        ax.set_xlabel("step", fontsize=11, labelpad=2)
        ax.set_ylabel("loss", fontsize=11)
        ax.yaxis.set_label_coords(-42 / 188, 0.5)
        ax.grid(axis="y")
        ax.set_axisbelow(True)
    last = "; ".join(f"{name} ends at {line[2][-1]:.3g}" for name, line in drawn.items())
    return _svg(figure, f"curve-{strategy}", f"Training losses of {strategy}: {last}")


PANEL = 330.0  # px of a side


def both(task: str, planes: Sequence[tuple[str, Mapping[str, Any]]], classes: Sequence[str]) -> str:
    """Draw rows of a source, coloured by class, and rows of a target, hollow, on one plane after another.

    Args:
        task: the target's name.
        planes: each with its title: ``source``, rows of two places and a class number, and ``target``, rows
            of two places.
        classes: names of the source's classes.

    Shape:
        returns one ``<svg>`` element, or "" where there is nothing to draw.
    """
    import matplotlib
    from matplotlib.figure import Figure

    known = [(title, p) for title, p in planes if p.get("source") and p.get("target")]
    if not known:
        return ""
    width, legend = PANEL * len(known), 44.0
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width / 72, (PANEL + legend) / 72), dpi=72)
        for at, (title, places) in enumerate(known):
            box = (
                at / len(known) + 0.01,
                legend / (PANEL + legend),
                1 / len(known) - 0.02,
                1 - 1.7 * legend / (PANEL + legend),
            )
            ax = figure.add_axes(box, xticks=[], yticks=[])
            ax.set_title(title, color=INK, fontsize=12)
            for spine in ax.spines.values():
                spine.set_visible(True)
            x, y = zip(*places["target"], strict=True)
            ax.plot(x, y, "o", color=MUTED, markersize=5, markerfacecolor="none", markeredgewidth=0.8)
            for number in sorted({int(c) for *_, c in places["source"]}):
                x, y = zip(*(place for *place, c in places["source"] if int(c) == number), strict=True)
                ax.plot(x, y, ".", color=_of_class(number), markersize=6, markeredgewidth=0)
        named = [short(str(name), 14) for name in classes[: len(SERIES)]]
        spare = len(classes) > len(SERIES)
        marks = [(name, _of_class(i), ".") for i, name in enumerate(named)]
        marks += [("other classes", MUTED, ".")] * spare + [("target, no labels", MUTED, "o")]
        handles = [
            matplotlib.lines.Line2D(
                [],
                [],
                color=color,
                marker=mark,
                linestyle="",
                markerfacecolor="none" if mark == "o" else color,
            )
            for _, color, mark in marks
        ]
        figure.legend(
            handles, [name for name, *_ in marks], loc="lower center", ncols=4 * len(known), frameon=False,
            handletextpad=0.2, columnspacing=1.2,
        )  # fmt: skip
    label = f"Rows of the source by class and of {task}: {'; '.join(title for title, _ in known)}"
    return _svg(figure, f"both-{task}", label)


def _of_class(number: int) -> str:
    return SERIES[number] if number < len(SERIES) else MUTED
