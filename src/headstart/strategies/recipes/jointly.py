"""Strategies that learn tasks side by side: what they share, and how their losses become one gradient.

A pattern of sharing and a weighing are a strategy together, ``multitask:PATTERN+WEIGHING``. Any pair may be
asked for by its name; ``SIDE_BY_SIDE`` are those that run wherever several targets are wanted at once.

References:
    Caruana (Machine Learning 1997), https://doi.org/10.1023/A:1007379606734
    Kurin et al. (NeurIPS 2022), https://arxiv.org/abs/2201.04122: a plain sum is to be among them
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from torch import Tensor, nn

from ...engine import seeded, total
from ...engine.devices import to
from ...errors import unknown, wrong
from ...models import Net, cuts, maps, mlp, widths
from ...models.fresh import copied
from ...models.sharing.chain import chained
from ...multitask import (
    DWA,
    FAMO,
    IMTL_L,
    MTAN,
    PLE,
    RLW,
    STCH,
    CrossStitch,
    GradDrop,
    GradNorm,
    GradVac,
    Hierarchical,
    MMoE,
    Routed,
    SharedPrivate,
    Soft,
    Uncertainty,
    aligned,
    backward,
    beside,
    cagrad,
    config,
    cosines,
    dualproj,
    fairgrad,
    gls,
    imtl_g,
    mgda,
    nash,
    pcgrad,
    upgrad,
    weighted,
)
from ...seams import Combine, GramianWeighing
from ...tasks import Task, X, batches
from ...tasks.nouns import move
from ...transfer import Supervised
from .. import needs
from ..ready import first_row
from ..situation import Situation, one_row, row_shape, width_of
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .beside import PRETRAINED, side_by_side
from .finetune import lower

PREFIX = "multitask:"
EXPERTS = 3  # encoders that all tasks mix, and candidates for each block
LOOKS = 4  # batches that cosines of gradients are means over
RATES = (3e-3, 1e-3, 1e-2)  # as of `scratch`, which they are held against


@dataclass(frozen=True)
class Sharing:
    """Say how tasks share a backbone.

    Args:
        summary: one phrase.
        make: builds it from new encoders, one row, and the tasks in their order.
        needs: why a situation does not allow it, beyond what all of them need, or ``""``.
        paper: where it is from.
        shares: whether some weights are of several tasks.
    """

    summary: str
    make: Callable[[Callable[[], nn.Module], X, Sequence[Task]], nn.Module]
    needs: Callable[[Situation], str] = needs.one_answer_each
    paper: str = ""
    shares: bool = True


def hard(encoder: Callable[[], nn.Module], row: X, tasks: Sequence[Task]) -> nn.Module:
    """Take one encoder for all."""
    return encoder()


def soft(encoder: Callable[[], nn.Module], row: X, tasks: Sequence[Task]) -> nn.Module:
    """Take an encoder for each, which begin alike, and pull them together."""
    first = encoder()
    return Soft({t.name: copied(first) for t in tasks}, x=row, placed=places_of(first, tasks))


def places_of(encoder: nn.Module, tasks: Sequence[Task]) -> dict[str, int]:
    """Tell the features at each place for the tasks that have an answer there."""
    return {t.name: width_of(encoder, t) for t in tasks if not t.kind.per_row}


def shared_private(encoder: Callable[[], nn.Module], row: X, tasks: Sequence[Task]) -> nn.Module:
    """Take an encoder for all beside one for each."""
    return SharedPrivate(encoder(), {t.name: encoder() for t in tasks}, x=row)


def cross_stitch(encoder: Callable[[], nn.Module], row: X, tasks: Sequence[Task]) -> nn.Module:
    """Take an encoder for each, mixed behind each block."""
    return CrossStitch({t.name: encoder() for t in tasks}, x=row)


def mmoe(encoder: Callable[[], nn.Module], row: X, tasks: Sequence[Task]) -> nn.Module:
    """Take experts for all, and a gate for each."""
    return MMoE([encoder() for _ in range(EXPERTS)], [t.name for t in tasks], x=row)


def ple(encoder: Callable[[], nn.Module], row: X, tasks: Sequence[Task]) -> nn.Module:
    """Take two levels of one expert for all and one for each."""

    def experts() -> list[list[nn.Module]]:
        first = encoder()
        width = width_of(first, tasks[0])
        return [[first], [mlp(width, hidden=[width])]]

    return PLE(experts(), {t.name: experts() for t in tasks}, x=row)


def mtan(encoder: Callable[[], nn.Module], row: X, tasks: Sequence[Task]) -> nn.Module:
    """Take one encoder of images, and attention over its maps for each."""
    shared = encoder()
    return MTAN(shared, [t.name for t in tasks], maps(shared, row))


def routed(encoder: Callable[[], nn.Module], row: X, tasks: Sequence[Task]) -> nn.Module:
    """Take candidates for each block, among which each learns to choose."""
    return Routed([encoder() for _ in range(EXPERTS)], [t.name for t in tasks], x=row)


def hierarchical(encoder: Callable[[], nn.Module], row: X, tasks: Sequence[Task]) -> nn.Module:
    """Take one encoder, which the tasks read at depths in the order that they are given in."""
    shared = encoder()
    places = widths(shared, row)
    names = list(places)
    if len(names) > 1 and names[-1] == "":
        names.remove(names[-2])  # what the last block gives is the whole, or nearly
    last = len(names) - 1
    depth = [round((i + 1) * last / len(tasks)) for i in range(len(tasks))]
    at = {t.name: names[d] for t, d in zip(tasks, depth, strict=True)}
    return Hierarchical(shared, at, places, placed=[t.name for t in tasks if not t.kind.per_row])


def _chain(situation: Situation) -> str:
    with seeded(0):
        built = situation.build(pretrained=False)
    why = "" if chained(built) is not None else "the backbone is no plain chain of blocks"
    return needs.one_answer_each(situation) or why


def _images(situation: Situation) -> str:
    shape = row_shape(situation.target)
    return needs.one_answer_each(situation) or ("" if shape and len(shape) == 3 else "rows are no images")


def _blocks(situation: Situation) -> str:
    with seeded(0):
        count = len(cuts(situation.build(pretrained=False))) - 1
    if count < 2:
        return "the backbone is no stack of blocks"
    if not needs.one_answer_each(situation):
        return ""
    axes = {t.kind.axes for t in (*situation.targets, *situation.sources)}
    row = one_row(situation.target)
    told = axes <= {0, 1} and row is not None and needs.tokens_at_blocks(situation.build, row)
    return "" if told else needs.NO_TOKENS


def _anything(situation: Situation) -> str:
    return ""


def _alike(situation: Situation) -> str:
    alike = [t for t in (*situation.targets, *situation.sources) if t.kind == situation.target.kind]
    return "" if len(alike) > 1 else "no other task has the target's kind of answer"


PATTERNS: dict[str, Sharing] = {
    "hard": Sharing(
        "one encoder, a head for each task", hard, _anything,
        "[Caruana 1997](https://doi.org/10.1023/A:1007379606734)",
    ),
    "pooled": Sharing(
        "one encoder, one head for all tasks of a kind", hard, _alike,
        "[Daumé III 2007](https://aclanthology.org/P07-1033)",
    ),
    "soft": Sharing(
        "an encoder for each task, pulled together", soft, _anything,
        paper="[Duong et al. 2015](https://aclanthology.org/P15-2139)", shares=False,
    ),
    "hierarchical": Sharing(
        "one encoder, read at a depth for each task", hierarchical, _blocks,
        "[Hashimoto et al. 2017](https://arxiv.org/abs/1611.01587)",
    ),
    "shared-private": Sharing(
        "an encoder for all beside one for each task", shared_private,
        paper="[Liu et al. 2017](https://aclanthology.org/P17-1001)",
    ),
    "cross-stitch": Sharing(
        "an encoder for each task, mixed at each block", cross_stitch, _chain,
        "[Misra et al. 2016](https://arxiv.org/abs/1604.03539)",
    ),
    "mmoe": Sharing(
        "experts for all, a gate for each task", mmoe,
        paper="[Ma et al. 2018](https://doi.org/10.1145/3219819.3220007)",
    ),
    "ple": Sharing(
        "experts for all and for each task, in two levels", ple,
        paper="[Tang et al. 2020](https://doi.org/10.1145/3383313.3412236)",
    ),
    "mtan": Sharing(
        "one encoder, attention over its maps for each task", mtan, _images,
        "[Liu et al. 2019](https://arxiv.org/abs/1803.10704)",
    ),
    "routed": Sharing(
        "a learned way through blocks for each task", routed, _chain,
        "[Sun et al. 2020](https://arxiv.org/abs/1911.12423)",
    ),
}  # fmt: skip


def _plain(tasks: Sequence[Task]) -> Combine:
    return total


def _uncertain(tasks: Sequence[Task]) -> Combine:
    numbers = [t.name for t in tasks if not t.kind.classes]
    return beside(weighted(Uncertainty([t.name for t in tasks], regression=numbers)))


# What turns the losses into one, made for the tasks; and what weighs gradients of shared weights.
LOSSES: dict[str, Callable[[Sequence[Task]], Combine]] = {
    "sum": _plain,
    "uncertainty": _uncertain,
    "dwa": lambda tasks: beside(weighted(DWA([t.name for t in tasks]))),
    "famo": lambda tasks: beside(weighted(FAMO([t.name for t in tasks]))),
    "gls": lambda tasks: beside(weighted(gls)),
    "imtl_l": lambda tasks: beside(weighted(IMTL_L([t.name for t in tasks]))),
    "rlw": lambda tasks: beside(weighted(RLW())),
    "stch": lambda tasks: beside(weighted(STCH())),
    "graddrop": lambda tasks: beside(GradDrop()),
    "gradnorm": lambda tasks: beside(GradNorm([t.name for t in tasks])),
    "gradvac": lambda tasks: beside(backward(GradVac([t.name for t in tasks]))),
}
GRAMIANS: dict[str, GramianWeighing] = {
    "pcgrad": pcgrad,
    "mgda": mgda,
    "aligned": aligned,
    "cagrad": cagrad,
    "config": config,
    "dualproj": dualproj,
    "fairgrad": fairgrad,
    "imtl_g": imtl_g,
    "nash": nash,
    "upgrad": upgrad,
}
ONE_ENCODER = ("hard", "pooled")  # whose last layer is every task's, as GradNorm asks
OF_GRADIENTS = {*GRAMIANS, "graddrop", "gradnorm", "gradvac"}  # of weights that tasks share


def combined(weighing: str, tasks: Sequence[Task]) -> Combine:
    """Make the combine of a weighing's name: what a pattern costs is no task, and stands beside them."""
    return LOSSES[weighing](tasks) if weighing in LOSSES else beside(backward(GRAMIANS[weighing]))


def pair(name: str) -> Strategy:
    """Make the strategy of a pattern and a weighing.

    Args:
        name: ``multitask:PATTERN+WEIGHING``.

    Raises:
        ValueError: for a pattern or a weighing that is not known.

    Example:
        >>> pair("multitask:mmoe+pcgrad").summary
        'experts for all, a gate for each task; losses weighed by pcgrad'
    """
    pattern, plus, weighing = name.removeprefix(PREFIX).partition("+")
    if not plus:
        expected = f'"{PREFIX}PATTERN+WEIGHING", such as "{PREFIX}mmoe+sum"'
        raise wrong("strategy", expected=expected, found=f'"{name}"')
    if pattern not in PATTERNS:
        raise unknown(f"pattern of {name!r}", pattern, PATTERNS)
    if weighing not in LOSSES | GRAMIANS:
        raise unknown(f"weighing of {name!r}", weighing, LOSSES | GRAMIANS)
    one = PATTERNS[pattern]
    how = "losses summed" if weighing == "sum" else f"losses weighed by {weighing}"
    return Strategy(
        name=name,
        run=partial(run, pattern, weighing),
        summary=f"{one.summary}; {how}",
        options=rates(*RATES),
        needs=partial(allows, pattern, weighing),
        reused="the other tasks' rows",
        paper=one.paper,
    )


def allows(pattern: str, weighing: str, situation: Situation) -> str:
    """Ask for other tasks to learn beside, what the pattern needs of the backbone, and weights to weigh."""
    if weighing in OF_GRADIENTS and not PATTERNS[pattern].shares:
        return "no two tasks share a weight, so there is no gradient to weigh"
    if weighing == "gradnorm" and pattern not in ONE_ENCODER:
        return "the encoder's last layer is not that of all tasks"
    return needs.sources(situation) or PATTERNS[pattern].needs(situation)


def run(pattern: str, weighing: str, trial: Trial) -> Trained:
    """Train all tasks side by side for all steps (``side_by_side``); a head for each target is left."""
    targets = wanted(trial)
    tasks = [*targets, *trial.problem.sources]
    net = shared(pattern, trial, tasks)
    before, steps = looks(trial, net, tasks), trial.problem.steps
    combine = combined(weighing, tasks)
    curves = side_by_side(trial, net, tasks, steps=steps, combine=combine, phase="together")
    lying = {"tasks": [t.name for t in tasks], "before": before, "after": looks(trial, net, tasks)}
    routes = {"routes": net.backbone.pattern()} if isinstance(net.backbone, Routed) else {}
    left = Net(net.backbone, {t.name: net.heads[t.name] for t in targets})
    return Trained(left, curves, {"cosines": lying} | routes)


def looks(trial: Trial, net: Net, tasks: Sequence[Task]) -> list[list[float | None]]:
    """Tell how the gradients of the tasks lie to one another on a few batches, always the same ones."""
    stream = batches(tasks, trial.problem.budget.batch, generator=trial.generator("cosines"))
    seen = [to(batch, trial.problem.on) for batch in islice(stream, LOOKS)]
    return matrix(cosines(net, Supervised(*tasks), seen, [t.name for t in tasks]))


def matrix(found: Tensor) -> list[list[float | None]]:
    """Write a table of numbers as JSON has it."""
    return [[None if math.isnan(value) else round(value, 4) for value in row] for row in found.tolist()]


def shared(pattern: str, trial: Trial, tasks: Sequence[Task]) -> Net:
    """Build the net of a pattern, from pretrained encoders where there are some, with new heads."""
    problem, row = trial.problem, first_row(trial.target)
    assert row is not None  # the target has labelled rows

    def encoder() -> nn.Module:
        return problem.build(pretrained=problem.comes_pretrained())

    with seeded(trial.seed):
        backbone = PATTERNS[pattern].make(encoder, move(row, problem.on), tasks)
        net = Net(backbone.to(problem.on), {t.name: t.kind.head(width_of(backbone, t)) for t in tasks})
    if pattern == "pooled":
        firsts = {t.name: next(f for f in tasks if f.kind == t.kind).name for t in tasks}
        net = Net(net.backbone, {t.name: net.heads[firsts[t.name]] for t in tasks})
    return net.to(problem.on)


def then_alone(trial: Trial) -> Trained:
    """Train all tasks on one encoder, then go on with a copy of it for each target, on its rows alone."""
    targets = wanted(trial)
    tasks, steps = [*targets, *trial.problem.sources], trial.problem.steps
    net, lr = shared("hard", trial, tasks), trial.settings["lr"]
    lr *= PRETRAINED if trial.problem.comes_pretrained() else 1
    curves = side_by_side(trial, net, tasks, steps=steps - steps // 4, phase="together")
    own = {t.name: Net(copied(net.backbone), {t.name: net.heads[t.name]}) for t in targets}
    for target in targets:
        curves |= trial.train(
            own[target.name],
            [target],
            steps=steps // 4,
            lr=lr / 3,
            factor=lower(own[target.name]),
            phase=f"{target.name} alone",
        )
    return Trained(apart(trial, own), curves)


def wanted(trial: Trial) -> list[Task]:
    """List the targets that have a label to learn from."""
    return [t for t in trial.targets if bool(t.train.present().any())]


def apart(trial: Trial, own: Mapping[str, Net]) -> Net:
    """Make one net of a net for each target, which share nothing."""
    backbones = {name: one.backbone for name, one in own.items()}
    placed = places_of(next(iter(backbones.values())), wanted(trial))
    encoders = Soft(backbones, weight=0.0, x=first_row(trial.target), placed=placed)
    return Net(encoders, {name: one.heads[name] for name, one in own.items()})


MULTITASK_FINETUNE = Strategy(
    name="multitask+finetune",
    run=then_alone,
    summary="all tasks on one encoder, then each target alone",
    options=rates(*RATES),
    needs=needs.sources,
    reused="the other tasks' rows",
    paper="[Caruana 1997](https://doi.org/10.1023/A:1007379606734)",
)

# What runs where several targets are wanted at once, beside ``multitask``.
_PAIRS = ("pooled+sum", "soft+sum", "mmoe+sum", "hard+pcgrad")
SIDE_BY_SIDE: dict[str, Strategy] = {
    one.name: one for one in (*(pair(PREFIX + name) for name in _PAIRS), MULTITASK_FINETUNE)
}
