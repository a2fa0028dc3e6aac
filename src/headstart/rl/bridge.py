"""A linear map of observations under which one world moves as another does, found without rewards.

Shapes: ``n`` steps, ``D`` numbers of a source's observation, ``Q`` of the target's, ``A`` actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import wrong
from ..models import Net, mlp
from ..models.fresh import copied
from .physics import Numbers
from .play import play
from .stack import Stack, layers
from .world import World

SIDE = 50  # steps of each episode side by side, about
KNOWN = 1e-4  # of the largest singular value: what hardly moves anything, as where a cart is, stays 0


@dataclass(frozen=True, eq=False)
class Walk:
    """Hold steps: observations before ``(n, D)``, actions ``(n,)`` and observations after ``(n, D)``.

    Raises:
        ValueError: if the three are not of one length, or hold NaN.
    """

    before: Numbers
    action: NDArray[np.int64]
    after: Numbers
    actions: int

    def __post_init__(self) -> None:
        if not len(self.before) == len(self.action) == len(self.after):
            found = f"{len(self.before)}, {len(self.action)} and {len(self.after)}"
            raise wrong("steps of a walk", expected="of one length", found=found)
        if not (np.isfinite(self.before).all() and np.isfinite(self.after).all()):
            raise wrong("observations of a walk", expected="finite", found="NaN or infinity")

    @property
    def chosen(self) -> Numbers:
        """The actions as rows of zeros and a one, ``(n, A)``."""
        return np.eye(self.actions)[self.action]


def walk(world: World, steps: int, seed: int) -> Walk:
    """Take random actions in a world.

    Args:
        world: any.
        steps: in all, over several episodes side by side.
        seed: of the actions and of how episodes begin.

    Example:
        >>> walk(World("CartPole-v1"), 100, seed=0).before.shape
        (100, 4)
    """
    side = max(1, steps // SIDE)
    stage, rng = play([[world]], side, [seed]), np.random.default_rng([seed, 2])
    parts: list[tuple[Any, Any, Any]] = []
    for _ in range(-(-steps // side)):
        action = rng.integers(world.actions_count, size=(1, side))
        before = stage.look()[0]
        parts.append((before, action[0], stage.step(action)[3][0]))
    before, chosen, after = (np.concatenate(part)[:steps] for part in zip(*parts, strict=True))
    return Walk(before, chosen, after, world.actions_count)


def watch(policy: Net, world: World, steps: int, seed: int) -> tuple[Tensor, Tensor]:
    """Give the observations ``(n, D)`` and the likeliest actions ``(n,)`` along episodes of a policy."""
    side = max(1, steps // SIDE)
    stage, stack = play([[world]], side, [seed]), Stack([policy], world.units)
    rows: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        for _ in range(-(-steps // side)):
            x = torch.from_numpy(stage.look()).float()
            action = stack(x / stack.units).argmax(2)
            rows.append((x[0], action[0]))
            stage.step(action.numpy())
    x, y = (torch.cat(part)[:steps] for part in zip(*rows, strict=True))
    return x, y


def linear(steps: Walk) -> tuple[Numbers, Numbers]:
    r"""Fit :math:`s' = s F + e_a G` by least squares: ``F (D, D)`` and ``G (A, D)``."""
    inputs = np.concatenate([steps.before, steps.chosen], axis=1)
    found = np.linalg.lstsq(inputs, steps.after, rcond=None)[0]
    return found[: steps.before.shape[1]], found[steps.before.shape[1] :]


def explained(steps: Walk) -> float:
    """Tell which share of the changes of the observations is linear in them and the action."""
    f, g = linear(steps)
    left = steps.after - steps.before @ f - steps.chosen @ g
    changes = steps.after - steps.before
    spread = changes.std(0).clip(1e-12)
    return float(1 - np.square(left / spread).mean())


def bridge(source: Walk, target: Walk) -> tuple[Numbers, Numbers]:
    r"""Find the map :math:`o B + c` of the target's observations that moves as the source's do.

    With the source's dynamics fitted as :math:`s' = s F + e_a G`, the target's steps :math:`o, a, o'` give
    equations that are linear in the map:

    .. math:: o' B + c = (o B + c) F + e_a G

    Args:
        source: steps of random actions in the source.
        target: such steps in the target; the same actions.

    Returns:
        ``B (Q, D)`` and ``c (D,)``.

    Raises:
        ValueError: if the numbers of actions differ.

    Example:
        >>> from headstart.rl import World
        >>> steps = walk(World("CartPole-v1"), 2000, seed=0)
        >>> mirrored = Walk(-steps.before, steps.action, -steps.after, 2)
        >>> np.abs(bridge(steps, mirrored)[0] + np.eye(4)).max() < 0.05
        np.True_

    References:
        The equations are those of a fitted linear model; see Taylor & Stone (JMLR 2009), section 4.4, on
        mappings between tasks, https://www.jmlr.org/papers/v10/taylor09a.html
    """
    if source.actions != target.actions:
        raise wrong("`target`", expected=f"of {source.actions} actions", found=target.actions)
    f, g = linear(source)
    size, here = f.shape[0], np.std(target.before, axis=0).clip(1e-9)
    count = np.ones((len(target.before), 1))
    before = np.concatenate([target.before / here, count], axis=1)
    after = np.concatenate([target.after / here, count], axis=1)
    weight = 1 / source.before.std(0).clip(1e-9)  # each number of the source counts alike
    # An equation for each step and number e of the source, an unknown for each pair of numbers q and d.
    left = np.einsum("nq,de->nqde", after, np.eye(size)) - np.einsum("nq,de->nqde", before, f)
    rows = (left * weight).transpose(0, 3, 1, 2).reshape(-1, before.shape[1] * size)
    right = (target.chosen @ g * weight).reshape(-1)
    found = np.linalg.lstsq(rows, right, rcond=KNOWN)[0].reshape(before.shape[1], size)
    return found[:-1] / here[:, None], found[-1]


def fitted(net: Net, found: tuple[Numbers, Numbers]) -> Net:
    """Put a net behind a map of its observations: a net of the target's observations, of the same layers."""
    b, c = (torch.from_numpy(part).float() for part in found)
    first = layers(net)[0]
    assert isinstance(first, nn.Linear)
    new = nn.Linear(b.shape[0], first.out_features)
    with torch.no_grad():
        new.weight.copy_(first.weight @ b.T)
        new.bias.copy_(first.weight @ c + (0 if first.bias is None else first.bias))
    return _with_first(net, first, new)


def _with_first(net: Net, first: nn.Module, new: nn.Linear) -> Net:
    known = net.backbone
    settings = dict(getattr(known, "settings", {}))
    if getattr(known, "use", "") == "mlp":  # rebuilt, so that it can be saved
        sizes = settings | {"features": new.in_features}
        made = Net(
            mlp(sizes.pop("features"), **sizes), {name: copied(head) for name, head in net.heads.items()}
        )
        for mine, theirs in zip(layers(made), layers(net), strict=True):
            if isinstance(mine, nn.Linear):
                mine.load_state_dict((new if theirs is first else theirs).state_dict())
        return made
    parts = [new if one is first else copied(one) for one in layers(net)[:-1]]
    return Net(nn.Sequential(*parts), {name: copied(head) for name, head in net.heads.items()})
