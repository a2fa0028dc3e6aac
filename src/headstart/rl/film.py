"""A policy at work, as a strip of small pictures."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import wrong
from ..models import Net
from .play import play
from .stack import Stack
from .world import World

SIDE = 90  # of a picture, in points


def film(policy: Net, world: World, *, frames: int = 8, every: int = 10, seed: int = 0) -> str:
    """Draw an episode of a policy.

    Args:
        policy: acts with the action that it finds best.
        world: one of the classic controls on our own equations.
        frames: pictures, at most.
        every: steps from one to the next.
        seed: of how the episode begins.

    Returns:
        one ``<svg>`` element.

    Raises:
        ValueError: if the world cannot be drawn.

    Example:
        >>> from torch import nn
        >>> still = Net(nn.Linear(4, 1), {"act": nn.Linear(1, 2)})
        >>> film(still, World("CartPole-v1"), frames=2, every=2).count("<g ")
        2
    """
    if world.physics is None:
        hint = "Gymnasium draws its own: `render_mode='rgb_array'`"
        raise wrong("`world`", expected="one of our own equations", found=world.name, hint=hint)
    stage, stack = play([[world]], 1, [seed]), Stack([policy], world.units)
    drawn: list[tuple[int, list[NDArray[Any]]]] = []
    step, over = 0, False
    with torch.no_grad():
        while not over and len(drawn) < frames:
            if step % every == 0:
                lines = world.physics.draw(stage.state[0], world.whole)  # type: ignore[attr-defined]
                drawn.append((step, [np.asarray(line) for line in lines]))
            x = torch.from_numpy(stage.look()).float() / stack.units
            _, ended, cut, _ = stage.step(stack(x).argmax(2).numpy())
            step, over = step + 1, bool(ended[0, 0] or cut[0, 0])
    return _strip(drawn, f"{world.name}, every {every} steps")


def _strip(drawn: list[tuple[int, list[NDArray[Any]]]], title: str) -> str:
    parts = []
    for place, (step, lines) in enumerate(drawn):
        moved = [
            " ".join(f"{SIDE / 2 * (1 + x):.1f},{SIDE / 2 * (1 - y):.1f}" for x, y in line) for line in lines
        ]
        shapes = "".join(f'<polyline points="{points}"/>' for points in moved)
        label = f'<text x="4" y="12" stroke="none" fill="#777" font-size="10">{step}</text>'
        parts.append(f'<g transform="translate({place * SIDE},0)">{shapes}{label}</g>')
    width = SIDE * len(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {SIDE}" role="img" '
        f'aria-label="{html.escape(title)}" fill="none" stroke="#356" stroke-width="2">{"".join(parts)}</svg>'
    )
