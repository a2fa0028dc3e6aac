"""Learning near the source's policy, slowly, after its value has learned the target.

References:
    Schmitt et al. (2018), Kickstarting, https://arxiv.org/abs/1803.03835, whose pull does not fade here;
    Wolczyk et al. (ICML 2024), on policies that are forgotten where they are tuned,
    https://arxiv.org/abs/2402.02868
"""

from __future__ import annotations

from ...models import Net
from ...models.fresh import copied
from ...rl import Lesson
from ...rl.held import Held
from ..strategy import Strategy
from .arena import Arena
from .trial import Trial

RATE, WARMUP, PULL = 0.3, 0.1, 0.1


def run(trial: Trial) -> Lesson:
    """Warm the value up, then move slowly and stay near."""
    return near(trial, *trial.source())


def near(
    trial: Trial,
    policy: Net,
    value: Net,
    *,
    worth: float = 1.0,
    spent: int = 0,
    before: Net | None = None,
    held: Held | None = None,
) -> Lesson:
    """Learn near a policy: the more it is worth, on the scale of the world, the slower and the nearer.

    Args:
        spent: steps beside those of the held-out episodes.
        held: these, where they were played already.
    """
    held = held or trial.brief(policy)
    share = min(max(worth, 0.0), 1.0)
    return trial.lesson(
        policy,
        value,
        rate=max(RATE, 1 - share),
        warmup=WARMUP * share,
        teacher=copied(policy),
        pull=PULL * share,
        spent=spent + held.spent,
        before=before,
        held=held,
    )


ANCHOR = Strategy(
    name="anchor",
    run=run,
    summary="a third of the rate, after the value alone, near the old policy",
    needs=Arena.alike,
    reused="policy and value, as a start",
    frozen="the policy at first",
    paper="[Schmitt et al. 2018](https://arxiv.org/abs/1803.03835)",
)
