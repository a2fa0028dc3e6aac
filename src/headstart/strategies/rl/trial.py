"""One strategy, once, in a world: what it is given, and the nets that it begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ...engine import seeded
from ...maths import random
from ...models import Net, mlp
from ...models.fresh import copied
from ...rl import Learned, Lesson, World, learn
from ...rl.held import SHARE, Held, affordable, held
from ...rl.physics import Numbers
from ...rl.returns import of_stack
from ...rl.stack import Stack, layers
from ...seams import GramianWeighing
from ..starts import Starts
from .arena import Arena

HEAD = "act"
FLAT = 0.01  # size of a new policy's last layer: it has no opinion yet
HELD = 1_000_003  # added to the seed of a trial, so that episodes are others than those of learning


class Shared(Starts):
    """Keep what was learned in the sources, and what all trials of a job learned.

    Args:
        seeds: of the job: what is learned in the sources is learned for all of them together.
    """

    def __init__(self, seeds: Sequence[int] = ()) -> None:
        super().__init__()
        self.seeds = list(seeds)
        self.before: dict[tuple[tuple[str, ...], int], Learned] = {}
        self.done: dict[tuple[str, int], tuple[Learned, float]] = {}
        self.failed: dict[tuple[str, int], Exception] = {}

    def anew(self) -> Shared:
        """Return this one: it keeps nets by the names of their sources."""
        return self

    def learned_in(self, worlds: Sequence[World], problem: Arena, seed: int) -> Learned:
        """Give what was learned in some worlds at a seed; learned when it is first asked for."""
        names = tuple(world.name for world in worlds)
        if (names, seed) not in self.before:
            seeds = sorted({*self.seeds, seed})
            trials = [Trial(replace(problem, policy=None), {}, each, self) for each in seeds]
            lessons = [Lesson(worlds, *trial.fresh(worlds[0]), trial.number("source")) for trial in trials]
            found = learn(lessons, [problem.budget.pretrain], settings=problem.budget.learning)
            self.before |= {(names, each): one for each, one in zip(seeds, found, strict=True)}
        return self.before[names, seed]


@dataclass(frozen=True, eq=False)
class Trial:
    """What a strategy of worlds is given.

    Args:
        problem: the worlds, what was learned before, and how long to learn.
        settings: the strategy's.
        seed: of everything random in the trial.
        starts: what was learned in the sources, once for all strategies.
    """

    problem: Arena
    settings: Mapping[str, Any]
    seed: int
    starts: Shared

    @property
    def target(self) -> World:
        """The world to act in."""
        return self.problem.target

    def number(self, purpose: str) -> int:
        """Draw a seed for one purpose; equal purposes and seeds give equal numbers."""
        return int(torch.randint(2**31, (), generator=random.generator(purpose, self.seed)))

    def fresh(self, world: World | None = None) -> tuple[Net, Net]:
        """Make a policy and a value with new weights, of the shape of what was learned before."""
        world = world or self.target
        with seeded(self.seed):
            return self._net(world, world.actions_count, FLAT), self._net(world, 1, 1.0)

    def _net(self, world: World, outputs: int, size: float) -> Net:
        hidden, activation = self.problem.shape()
        backbone = mlp(world.observations, hidden=hidden, activation=activation)
        net = Net(backbone, {HEAD: nn.Linear(hidden[-1], outputs)})
        chain = [one for one in layers(net) if isinstance(one, nn.Linear)]
        with torch.no_grad():
            for one in chain:
                nn.init.orthogonal_(one.weight, size if one is chain[-1] else 2**0.5)
                if one.bias is not None:
                    nn.init.zeros_(one.bias)
            chain[0].weight /= torch.tensor(world.units)
        return net

    def source(self) -> tuple[Net, Net]:
        """Give the policy and the value that were learned before; a new value where there is none."""
        problem = self.problem
        if problem.policy is None:
            found = self.starts.learned_in(problem.sources, problem, self.seed)
            return copied(found.policies[-1]), copied(found.value)
        policy = renamed(copied(problem.policy))
        if not problem.sources:
            return policy, self.fresh()[1]
        return policy, copied(self.starts.learned_in(problem.sources, problem, self.seed).value)

    def lesson(
        self,
        policy: Net,
        value: Net,
        *,
        rate: float = 1.0,
        warmup: float = 0.0,
        teacher: Net | None = None,
        pull: float = 0.0,
        fades: float = 0.0,
        potential: Net | None = None,
        moves: Net | None = None,
        weighing: GramianWeighing | None = None,
        worlds: Sequence[World] = (),
        spent: int = 0,
        before: Net | None = None,
        held: Held | None = None,
    ) -> Lesson:
        """Say how to learn in the target; as ``rl.Lesson``."""
        return Lesson(
            worlds or [self.target], policy, value, self.number("target"), rate, warmup, teacher, pull,
            fades, potential, moves, weighing, spent, before, held,
        )  # fmt: skip

    def look(self, policy: Net) -> Held:
        """Act in a few held-out episodes of the target."""
        return held(policy, self.target, self.number("held out") + HELD)

    def brief(self, policy: Net) -> Held:
        """Act in as many of them as a run may spend on each look at a policy."""
        told = self.look(policy)
        return told.first(affordable(told.steps, SHARE * self.problem.steps[-1]))

    def worth(self, held: Held) -> float:
        """Tell what held-out episodes are worth on the scale of the target."""
        return float(scaled(self.target, held.returns).mean())

    def glance(self, policy: Net, steps: int) -> float:
        """Act in the first steps of one held-out episode: the sum of the rewards."""
        seed = self.number("glance") + HELD
        told, _ = of_stack(Stack([policy], self.target.units), [self.target], 1, [seed], longest=steps)
        return float(told.sum())


def scaled(world: World, returned: Any) -> Any:
    """Put returns on the scale of a world, on which 0 is hardly any skill and 1 is solved."""
    low, high = world.points
    return (returned - low) / (high - low)


def area(points: Numbers, steps: Sequence[int]) -> Numbers:
    """Give the mean of curves over steps, ``(looks, ...)`` to ``(...)``; a single look is its own."""
    at = np.asarray(steps, dtype=np.float64)
    return np.asarray(points[-1] if len(at) == 1 else np.trapezoid(points, at, axis=0) / (at[-1] - at[0]))


def renamed(policy: Net) -> Net:
    """Give a policy's head the name that all have here."""
    (head,) = policy.heads.values()
    return Net(policy.backbone, {HEAD: head})
