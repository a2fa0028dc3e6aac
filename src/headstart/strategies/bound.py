"""A strategy on one of several backbones, as a strategy of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from .situation import Situation
from .strategy import Strategy
from .trial import Trained, Trial


def bound(strategy: Strategy, backbone: str) -> Strategy:
    """Return a strategy that takes one of a problem's backbones, whichever stands first.

    Args:
        strategy: any that takes a backbone.
        backbone: its name in the problem.

    Example:
        >>> from headstart.strategies import STRATEGIES
        >>> bound(STRATEGIES["probe"], "small").name
        'probe@small'
    """
    return replace(
        strategy,
        name=f"{strategy.name}@{backbone}",
        run=partial(_run, strategy, backbone),
        needs=partial(_needs, strategy, backbone),
        summary=f"{strategy.summary}; on {backbone}",
        backbone=backbone,
    )


def _run(strategy: Strategy, backbone: str, trial: Trial) -> Trained:
    return strategy.run(replace(trial, problem=trial.problem.using(backbone)))


def _needs(strategy: Strategy, backbone: str, situation: Situation) -> str:
    return strategy.needs(situation.using(backbone))
