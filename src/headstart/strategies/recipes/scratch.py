"""No reuse: what everything else is measured against."""

from __future__ import annotations

from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial


def run(trial: Trial) -> Trained:
    """Train a backbone with new weights on the target's rows alone."""
    net, steps = trial.fresh(), trial.problem.steps
    return Trained(net, trial.train(net, [trial.target], steps=steps, lr=trial.settings["lr"], phase="all"))


SCRATCH = Strategy(
    name="scratch",
    run=run,
    summary="new weights, trained on the target alone",
    options=rates(3e-3, 1e-3, 1e-2),
    needs=needs.labels,
)
