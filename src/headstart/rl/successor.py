r"""What a policy will meet: successor features, by least squares, and what to do about other rewards.

Rewards are weighted sums of known features, :math:`r = \phi(s, a, s')^\top w`.

Shapes: ``n`` steps, ``D`` numbers of an observation, ``A`` actions, ``F`` features, ``H`` of the basis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import wrong
from ..models import Net
from .physics import Numbers
from .play import play
from .stack import Stack
from .world import World

SIDE = 50  # steps of each episode side by side, about
RIDGE = 1e-6  # of the largest diagonal entry
WHOLE = 150  # functions of the basis
Basis = Callable[[Numbers], Numbers]  # observations (n, D) to (n, H)


@dataclass(frozen=True, eq=False)
class Steps:
    """Hold steps of a policy that now and then acts at random.

    Args:
        before: observations ``(n, D)``.
        action: ``(n,)``.
        reward: ``(n,)``.
        features: ``(n, F)``.
        after: observations ``(n, D)``.
        then: what the policy does next, ``(n,)``.
        dead: where nothing comes after, ``(n,)``.
    """

    before: Numbers
    action: NDArray[np.int64]
    reward: Numbers
    features: Numbers
    after: Numbers
    then: NDArray[np.int64]
    dead: NDArray[np.bool_]


def lived(policy: Net | None, world: World, steps: int, seed: int, *, chance: float = 0.5) -> Steps:
    """Act by a policy, at random with some chance in each step; always at random where there is none.

    Raises:
        ValueError: if the world does not say what its rewards are made of.
    """
    if world.features is None:
        hint = "pass `World(..., features=...)`"
        raise wrong(f"`features` of {world.name!r}", expected="a function", found="none", hint=hint)
    side = max(1, steps // SIDE)
    stage, rng = play([[world]], side, [seed]), np.random.default_rng([seed, 3])
    stack = None if policy is None else Stack([policy], world.units)

    def likeliest(x: Numbers) -> NDArray[np.int64]:
        if stack is None:
            return np.zeros(x.shape[:2], np.int64)
        with torch.no_grad():
            found = stack(torch.from_numpy(x).float() / stack.units).argmax(2)
        return np.asarray(found.numpy())

    parts: list[tuple[Any, ...]] = []
    for _ in range(-(-steps // side)):
        before = stage.look()
        some = rng.integers(world.actions_count, size=(1, side))
        apart = stack is None or rng.random((1, side)) < chance
        action = np.where(apart, some, likeliest(before))
        reward, ended, _, after = stage.step(action)
        parts.append((before[0], action[0], reward[0], after[0], likeliest(after)[0], ended[0]))
    before, action, reward, after, then, dead = (
        np.concatenate(part)[:steps] for part in zip(*parts, strict=True)
    )
    told = np.asarray(world.features(before, action, after), np.float64)
    return Steps(before, action, reward, told, after, then, dead)


def weights(steps: Steps) -> Numbers:
    """Find the weights of the features, ``(F,)``, in the rewards of some steps by least squares."""
    return np.asarray(np.linalg.lstsq(steps.features, steps.reward, rcond=None)[0])


def basis(rows: Numbers, seed: int, *, size: int = WHOLE) -> Basis:
    """Draw smooth functions of observations: waves about as long as the rows are spread, and a constant."""
    rng, middle, spread = np.random.default_rng([seed, 4]), rows.mean(0), rows.std(0).clip(1e-9)
    turns = rng.normal(size=(rows.shape[1], size - 1)) / np.sqrt(rows.shape[1])
    shifts = rng.uniform(0, 2 * np.pi, size - 1)

    def waves(x: Numbers) -> Numbers:
        inner = np.cos((x - middle) / spread @ turns * np.pi / 2 + shifts)
        return np.concatenate([inner, np.ones((len(x), 1))], axis=1)

    return waves


@dataclass(frozen=True, eq=False)
class Successor:
    r"""Say what of each feature a policy will meet, if it begins with an action.

    .. math:: \psi(s, a) = \mathrm{E}\left[\sum_t \gamma^t \phi_t \mid s, a, \pi\right]

    Args:
        basis: functions of observations.
        weights: of these, ``(A, H, F)``.
    """

    basis: Basis
    weights: Numbers

    def __call__(self, x: Numbers) -> Numbers:
        """Give the features to come, ``(n, A, F)``, at observations ``(n, D)``."""
        return np.einsum("nh,ahf->naf", self.basis(x), self.weights)


def successor(steps: Steps, seen_by: Basis, actions: int, discount: float) -> Successor:
    r"""Fit successor features to steps of a policy by the fixed point of least squares.

    .. math:: \sum_t z_t \left(z_t - \gamma z_t'\right)^\top C = \sum_t z_t \phi_t^\top

    where :math:`z_t` is the basis at the state, in the place of the action; :math:`z_t'` is the same one step
    on, with the action that the policy takes there, or 0 where the episode ended.

    References:
        Lagoudakis & Parr (JMLR 2003), section 5, https://www.jmlr.org/papers/v4/lagoudakis03a.html, whose
        values of one reward are here those of each feature
    """
    here, there = seen_by(steps.before), seen_by(steps.after) * ~steps.dead[:, None]
    count, size = here.shape
    z, after = np.zeros((2, count, actions, size))
    row = np.arange(count)
    z[row, steps.action], after[row, steps.then] = here, there
    z, after = z.reshape(count, -1), after.reshape(count, -1)
    left = z.T @ (z - discount * after)
    left += RIDGE * np.abs(np.diag(left)).max() * np.eye(len(left))
    found = np.linalg.solve(left, z.T @ steps.features)
    return Successor(seen_by, np.asarray(found.reshape(actions, size, -1)))


def improved(each: Sequence[Successor], w: Numbers, x: Numbers) -> Numbers:
    r"""Value actions by the best of several policies for weights of the features (policy improvement).

    .. math:: Q(s, a) = \max_i \psi_i(s, a)^\top w

    Returns:
        values ``(n, A)``; the action of the largest is at least as good as each of the policies.

    References:
        Barreto, Dabney, Munos et al. (NeurIPS 2017), Successor features for transfer, theorem 1,
        https://arxiv.org/abs/1606.05312
    """
    return np.asarray(np.max([one(x) @ w for one in each], axis=0))
