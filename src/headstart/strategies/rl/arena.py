"""What there is in a problem of worlds: one to act in, and what was learned in others."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from torch import nn

from ...errors import wrong
from ...models import Net
from ...rl import Settings, World
from ...rl.stack import layers

AT = (0.1, 0.25, 0.5, 0.75)  # of the steps, where policies are looked at beside those asked for


def looks(steps: Sequence[int]) -> list[int]:
    """List the steps at which policies are looked at, for a curve up to the last of some steps."""
    return sorted({0, *steps, *(round(steps[-1] * at) for at in AT)})


@dataclass(frozen=True)
class Budget:
    """Say how long policies learn beforehand, and by how many episodes they are judged.

    Args:
        pretrain: steps in the sources, all together.
        episodes: test episodes of each look at a policy.
        hidden: sizes of the layers of a policy and of a value, where no policy is given.
        learning: how policies learn, in the sources as in the target.

    Raises:
        ValueError: if a number is below 1.

    Example:
        >>> Budget(episodes=10).pretrain
        40000
    """

    pretrain: int = 40_000
    episodes: int = 20
    hidden: Sequence[int] = (32, 32)
    learning: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        for name, values in (
            ("pretrain", [self.pretrain]),
            ("episodes", [self.episodes]),
            ("hidden", self.hidden),
        ):
            if min(values, default=0) < 1:
                raise wrong(f"`{name}` of the budget", expected="at least 1", found=getattr(self, name))
        if self.episodes < 2:
            raise wrong("`episodes` of the budget", expected="at least 2, for an interval", found=1)


@dataclass(frozen=True, eq=False)
class Arena:
    """Hold a world to act in, the worlds that something was learned in before, and how long to learn.

    Args:
        target: the world to act in.
        sources: worlds of one environment, to learn in beforehand.
        policy: a net with one head, from observations of the sources to a number for each action. It is
            learned in the sources where it is left out.
        steps: in the target, several for a learning curve; 0 is before anything is learned there.
        budget: how long to learn beforehand, and by how many episodes policies are judged.

    Raises:
        ValueError: if worlds share a name, ask for other numbers of actions, sources have several
            environments, steps do not rise, or the policy does not fit.
    """

    target: World
    sources: Sequence[World] = ()
    policy: Net | None = None
    steps: Sequence[int] = (0, 5_000, 20_000)
    budget: Budget = Budget()

    def __post_init__(self) -> None:
        for name, value, hint in (
            ("sources", self.sources, "pass `[World(...), ...]`"),
            ("steps", self.steps, f"pass `[0, {self.steps}]`"),
        ):
            if not isinstance(value, Sequence):
                raise wrong(f"`{name}`", expected="a list", found=repr(value), hint=hint, error=TypeError)
        object.__setattr__(self, "sources", tuple(self.sources))
        for name, one in (("`target`", self.target), *(("each of `sources`", s) for s in self.sources)):
            if not isinstance(one, World):
                hint, found = 'pass `World("CartPole-v1")`', repr(one)
                raise wrong(name, expected="a `World`", found=found, hint=hint, error=TypeError)
        if not isinstance(self.budget, Budget):
            hint, found = "pass `hs.rl.Budget(pretrain=2_000)`", repr(self.budget)
            raise wrong("`budget`", expected="a `Budget`", found=found, hint=hint, error=TypeError)
        object.__setattr__(self, "steps", tuple(self.steps))
        if self.policy is not None and not isinstance(self.policy, Net):
            hint = "`hs.rl.imported(agent)` makes one of an agent of Stable-Baselines3"
            found = type(self.policy).__name__
            raise wrong("`policy`", expected="a `Net`", found=found, hint=hint, error=TypeError)
        names = [self.target.name, *(one.name for one in self.sources)]
        if len(set(names)) < len(names):
            hint = "pass `World(..., name=...)`"
            raise wrong("names of worlds", expected="distinct", found=", ".join(names), hint=hint)
        if list(self.steps) != sorted(set(self.steps)) or not self.steps or self.steps[0] < 0:
            raise wrong("`steps`", expected="rising, from 0 on", found=list(self.steps))
        for one in self.sources:
            if one.actions_count != self.target.actions_count:
                raise wrong(
                    f"source {one.name!r}",
                    expected=f"with the target's {self.target.actions_count} actions",
                    found=one.actions_count,
                )
            if (one.env, one.observations) != (self.sources[0].env, self.sources[0].observations):
                found = f"{one.name!r} beside {self.sources[0].name!r}"
                raise wrong("sources", expected="of one environment", found=found)
        if self.policy is not None:
            self._check(self.policy)

    def _check(self, policy: Net) -> None:
        if len(policy.heads) != 1:
            raise wrong("`policy`", expected="a net with one head", found=f"{len(policy.heads)} heads")
        chain = [one for one in layers(policy) if isinstance(one, nn.Linear)]
        if len(chain) < 2:
            raise wrong("`policy`", expected="with a hidden layer at least", found="one layer")
        reads, says = chain[0].in_features, chain[-1].out_features
        wants = (self.sources or [self.target])[0].observations
        if reads != wants or says != self.target.actions_count:
            raise wrong(
                "`policy`",
                expected=f"from {wants} observations to {self.target.actions_count} actions",
                found=f"from {reads} to {says}",
                hint="observations of another size need a source world; then `bridge` applies",
            )

    def shape(self) -> tuple[list[int], str]:
        """Tell the sizes of the layers of a policy, and what stands between them."""
        if self.policy is None:
            return [*self.budget.hidden], "tanh"
        chain = layers(self.policy)
        sizes = [one.out_features for one in chain if isinstance(one, nn.Linear)]
        return sizes[:-1], "tanh" if any(isinstance(one, nn.Tanh) for one in chain) else "relu"

    def without(self, names: Sequence[str]) -> Self:
        """Return the problem without the sources of some names."""
        other = copy.copy(self)
        object.__setattr__(other, "sources", tuple(s for s in self.sources if s.name not in names))
        return other

    def learned(self) -> str:
        """Tell why nothing was learned before, or ``""``."""
        return "" if self.policy is not None or self.sources else "there is no policy and no source"

    def valued(self) -> str:
        """Tell why there is no value to reuse, or ``""``."""
        return self.alike() or ("" if self.sources else "there is no source to learn a value in")

    def alike(self) -> str:
        """Tell why what was learned before does not read the target's observations, or ``""``."""
        if self.learned() or not self.sources:
            return self.learned()
        there, here = self.sources[0].observations, self.target.observations
        if there == here:
            return ""
        return f"the target has {here} numbers to observe, what was learned reads {there}: `bridge` applies"
