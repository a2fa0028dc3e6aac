"""A start that is less sure of itself: the last layer of the policy is flattened, so that it explores again.

References:
    Nikishin et al. (ICML 2022), on nets that are too sure of what they learned first,
    https://arxiv.org/abs/2205.07802, who draw the last layers anew where this divides them
"""

from __future__ import annotations

import torch

from ...rl import Lesson
from ..strategy import Strategy
from .arena import Arena
from .trial import HEAD, Trial

FLATTER, WARMUP = 0.3, 0.05


def run(trial: Trial) -> Lesson:
    """Flatten the policy's last layer, warm the value up, then learn."""
    policy, value = trial.source()
    with torch.no_grad():
        for parameter in policy.heads[HEAD].parameters():
            parameter.mul_(FLATTER)
    held = trial.brief(policy)
    return trial.lesson(policy, value, warmup=WARMUP, spent=held.spent, held=held)


REHEAT = Strategy(
    name="reheat",
    run=run,
    summary="continue, from a policy that is less sure of itself",
    needs=Arena.alike,
    reused="policy and value, as a start",
    frozen="the policy at first",
    paper="[Nikishin et al. 2022](https://arxiv.org/abs/2205.07802)",
)
