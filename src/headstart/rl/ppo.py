"""Proximal policy optimisation of many runs at once: what is asked, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import wrong
from ..models import Net
from ..models.fresh import copied
from ..seams import GramianWeighing
from ._runs import Runs
from .held import Held
from .physics import Numbers
from .returns import returns
from .stack import shape
from .world import World


@dataclass(frozen=True)
class Settings:
    r"""Say how policies learn; the same for all runs.

    Args:
        episodes: side by side, of each run.
        round: steps of each before the nets learn from them.
        epochs: passes over a round.
        parts: of each pass.
        lr: Adam's step size at the beginning; it falls evenly to a tenth.
        trace: :math:`\lambda` of the advantages.
        clip: :math:`\epsilon`, how far the ratio of probabilities counts.
        entropy: weight of the entropy.

    Raises:
        ValueError: if a number is out of its range.
    """

    episodes: int = 16
    round: int = 64
    epochs: int = 8
    parts: int = 4
    lr: float = 2e-3
    trace: float = 0.95
    clip: float = 0.2
    entropy: float = 0.005

    def __post_init__(self) -> None:
        for name in ("episodes", "round", "epochs", "parts"):
            if getattr(self, name) < 1:
                raise wrong(f"`{name}`", expected="at least 1", found=getattr(self, name))
        if not self.lr > 0:
            raise wrong("`lr`", expected="above 0", found=self.lr)


@dataclass(frozen=True, eq=False)
class Lesson:
    r"""Say what one run begins with and how it learns.

    Args:
        worlds: to act in; the episodes side by side take turns among them.
        policy: a net from observations to one number for each action.
        value: a net from observations to one number, the return that is expected.
        seed: of everything random in the run.
        rate: what the step size is multiplied by; nothing is learned where it is 0.
        warmup: share of the steps in which the value alone learns, in [0, 1].
        teacher: a policy to stay near, of the same shape as ``policy``.
        pull: weight of :math:`\mathrm{KL}(\text{teacher} \,\|\, \text{policy})`.
        fades: share of the steps after which the pull is gone; it stays where this is 0.
        potential: a value whose change along each step is added to the reward.
        moves: a net of the policy's shape, of ones where its weights learn and zeros where they stay.
        weighing: of the gradients of the worlds, from their inner products ``(K, K)`` to weights ``(K,)``,
            such as ``multitask.pcgrad``; all steps count alike where it is left out.
        spent: steps that were spent before the run begins: nothing is learned for so long.
        before: the policy that is handed out while these are spent, of the same shape; ``policy`` where it is
            left out.
        held: what the policy was worth in held-out episodes of the first world, which are among those steps.
            Another is handed out in its place only where it is worth more in the same episodes.
    """

    worlds: Sequence[World]
    policy: Net
    value: Net
    seed: int
    rate: float = 1.0
    warmup: float = 0.0
    teacher: Net | None = None
    pull: float = 0.0
    fades: float = 0.0
    potential: Net | None = None
    moves: Net | None = None
    weighing: GramianWeighing | None = None
    spent: int = 0
    before: Net | None = None
    held: Held | None = None


@dataclass(frozen=True, eq=False)
class Learned:
    """What one run gave.

    Args:
        steps: at which it was looked at.
        policies: the best so far at each of them.
        value: the value at the end.
        returns: of the test episodes at each, ``(steps, episodes)``; NaN where the run diverged.
    """

    steps: Sequence[int]
    policies: Sequence[Net]
    value: Net
    returns: Numbers


def learn(
    lessons: Sequence[Lesson],
    looks: Sequence[int],
    *,
    settings: Settings | None = None,
    episodes: int = 0,
    seed: int = 0,
) -> list[Learned]:
    r"""Learn by proximal policy optimisation, all runs side by side.

    .. math:: \max\; \mathrm{E}\left[\min(r A,\ \mathrm{clip}(r, 1 - \epsilon, 1 + \epsilon) A)\right],
              \qquad r = \pi(a|s) / \pi_\text{old}(a|s)

    with advantages :math:`A` of generalised advantage estimation. Each run has its own random numbers, so
    it does not matter which others it stands beside.

    Args:
        lessons: one of each run, their nets of one shape each and their worlds of one environment.
        looks: steps at which runs are looked at, rising; the last is how many there are in all.
        settings: how policies learn.
        episodes: test episodes of each look, in the first world of the run.
        seed: of the test episodes.

    Raises:
        ValueError: if shapes or environments differ, or looks do not rise.

    Differs from the paper:
        Adam's step size falls over the run; gradients longer than 0.5 are shortened; the value's loss is
        not clipped; an episode that was cut off goes on in the value's eyes. The policy that is handed out
        is the best so far, the one that the run began with among them. Where that one was looked at in
        held-out episodes (``held``), another takes its place at a look if it is worth more in these, by the
        standard error of what it gains; and so on. A look plays as many of them, one at least, as a twentieth
        of all steps allows, and is charged: nothing is learned for so long. A twentieth is left for the last
        look. Any other run goes by the mean of the last 16 episodes that it learned from.

    Example:
        >>> from torch import nn
        >>> nets = [Net(nn.Linear(4, 8), {"act": nn.Linear(8, n)}) for n in (2, 1)]
        >>> (told,) = learn([Lesson([World("CartPole-v1")], *nets, seed=0)], [0, 64], episodes=2)
        >>> told.returns.shape
        (2, 2)

    References:
        Schulman et al. (2017), equation 7, https://arxiv.org/abs/1707.06347
        Schulman et al. (ICLR 2016), equation 16, https://arxiv.org/abs/1506.02438
        Pardo et al. (ICML 2018), on episodes that are cut off, https://arxiv.org/abs/1712.00378
    """
    if list(looks) != sorted(set(looks)) or not looks or looks[0] < 0:
        raise wrong("`looks`", expected="rising, from 0 on", found=list(looks))
    for name in ("policy", "value"):
        shapes = {str(shape(getattr(one, name))) for one in lessons}
        if len(shapes) > 1:
            raise wrong(f"each `{name}`", expected="of one shape", found=" and ".join(sorted(shapes)))
    found: dict[int, Learned] = {}
    still = [r for r, one in enumerate(lessons) if one.rate == 0 or looks[-1] == 0]
    if still:
        found |= zip(still, _still([lessons[r] for r in still], looks, episodes, seed), strict=True)
    moving = [r for r in range(len(lessons)) if r not in found]
    if moving:
        runs = Runs([lessons[r] for r in moving], settings or Settings(), looks[-1])
        policies, values, told = runs.run(looks, episodes, seed)
        for r, nets, value, returned in zip(moving, policies, values, told, strict=True):
            found[r] = Learned(looks, nets, value, returned)
    return [found[r] for r in range(len(lessons))]


def _still(lessons: Sequence[Lesson], looks: Sequence[int], episodes: int, seed: int) -> list[Learned]:
    """Say of policies that do not learn what they are worth, the same at every look."""
    policies = [one.before if one.before and looks[-1] < one.spent else one.policy for one in lessons]
    told = np.zeros((len(lessons), 0))
    if episodes:
        told = returns(policies, [one.worlds[0] for one in lessons], episodes, seed)
    count = len(looks)
    return [
        Learned(looks, [copied(policy)] * count, copied(one.value), np.stack([each] * count))
        for one, policy, each in zip(lessons, policies, told, strict=True)
    ]
