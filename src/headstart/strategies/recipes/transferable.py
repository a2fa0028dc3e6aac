"""Strategies for tables some of whose columns mean something else at the source.

A column whose relation to the label differs between the two sides would teach the target what is wrong there.
It is left out of the source, and filled in from the columns that agree, as the target's rows say how they go
together. The target keeps all of its own.

References:
    Uguroglu & Carbonell (ECML 2011), https://doi.org/10.1007/978-3-642-23808-6_28, on keeping the features
    that vary least between domains; that which varies is here a column's relation to the label
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ...datasets import transferable
from ...datasets.featuremaps import LABELLED
from .. import needs
from ..strategy import Setting, Strategy
from ..trial import Trained, Trial
from ..unlike import column_names, shared, with_labels
from .plain import LOGISTIC, RIDGE, Learner, learn
from .pooled import ROWS, pool
from .unlike import filled

OPTIONS: tuple[dict[str, Setting], ...] = (
    {"least": 2.0, "weight": 1.0},
    {"least": 3.0, "weight": 1.0},
    {"least": 2.0, "weight": 10.0},
)


def on_transferable(trial: Trial, learner: Learner) -> Trained:
    """Learn from target and source rows in one pool, each source by the columns that agree with the target's.

    A source of which no column agrees is left out. ``told`` lists what was left out of each. From fewer than
    ten labels of the target nothing is told, and all columns stay.
    """
    target = trial.target
    enough = len(trial.labelled()) >= LABELLED
    names = column_names(target) or [f"column {k + 1}" for k in range(target.train.x.shape[1])]  # type: ignore[union-attr]
    sources, dropped = [], {}
    for source in with_labels(trial.problem):
        every = shared(target, source) if column_names(target) else list(range(len(names)))
        kept = transferable(target, source, every, float(trial.settings["least"])) if enough else every
        dropped[source.name] = [names[k] for k in every if k is not None and k not in kept]
        if any(k is not None for k in kept):
            sources.append(filled(target, source, kept))
    if sources:
        posed = trial.problem.with_rows(sources=sources, unlike=[])
        trained = pool(replace(trial, problem=posed), learner)
    else:
        trained = learn(trial, learner, (trial.labelled(), 1))
    return replace(trained, told={"dropped": dropped})


TRANSFERABLE: tuple[Strategy, ...] = tuple(
    Strategy(
        name=f"transferable+{learner}",
        run=partial(on_transferable, learner=fit),
        summary=f"{words} on target and source rows, by columns whose relation to the label agrees",
        options=OPTIONS,
        needs=asks,
        reused=ROWS,
        paper="[Uguroglu & Carbonell 2011](https://doi.org/10.1007/978-3-642-23808-6_28)",
        builds=False,
        unlike=True,
    )
    for learner, words, fit, asks in (
        ("logreg", "logistic regression", LOGISTIC, needs.transferable_classes),
        ("ridge", "ridge regression", RIDGE, needs.transferable_numbers),
    )
)
