"""Policies carried to other observations, and to reversed actuators, by random steps alone.

``python bridges.py`` writes ``bridges.json`` beside this file. Observations are hidden behind a random
rotation of as many numbers and three of noise; the map is found from 4000 random steps. Reversed worlds are
mapped from 200. No reward is used, and nothing is learned in the target: mean returns of three policies, 20
episodes each.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from headstart.rl import Walk, World, bridge, fitted, returns, walk
from headstart.rl.bridge import explained
from headstart.rl.play import play
from headstart.strategies.rl import Arena, Budget, Shared

SEEDS, EPISODES = range(3), 20
WORLDS = {
    "CartPole-v1": (20_000, {"force": -10}),
    "MountainCar-v0": (50_000, {"force": -0.001}),
    "Acrobot-v1": (30_000, {"torque": -1}),
}


def hidden(rows, scale, turn, rng):
    return np.concatenate([rows / scale, 0.5 * rng.normal(size=(len(rows), 3))], axis=1) @ turn


def acting(nets, world, see):
    """Give mean returns of nets that see a world otherwise."""
    found = []
    for net in nets:
        stage, total, active = play([[world]], EPISODES, [7]), np.zeros(EPISODES), np.ones(EPISODES, bool)
        while active.any():
            with torch.no_grad():
                actions = net(torch.from_numpy(see(stage.look()[0])).float(), "act").argmax(1).numpy()
            reward, ended, cut, _ = stage.step(actions[None])
            total += reward[0] * active
            active &= ~(ended | cut)[0]
        found.append(total.mean())
    return found


def main():
    torch.set_num_threads(1)
    told = {}
    for env, (steps, turned) in WORLDS.items():
        world, other, starts = World(env), World(env, context=turned), Shared(SEEDS)
        problem = Arena(other, [world], budget=Budget(pretrain=steps))
        policies = [starts.learned_in([world], problem, seed).policies[-1] for seed in SEEDS]
        there, rng = walk(world, 4000, 1), np.random.default_rng(5)
        size, scale = world.observations, there.before.std(0)
        turn = np.linalg.qr(rng.normal(size=(size + 3, size + 3)))[0]
        seen = walk(world, 4000, 2)
        rows = [hidden(part, scale, turn, rng) for part in (seen.before, seen.after)]
        found = bridge(there, Walk(rows[0], seen.action, rows[1], seen.actions))
        true = turn.T[:, :size] * scale, np.zeros(size)

        def see(x, scale=scale, turn=turn, rng=rng):
            return hidden(x, scale, turn, rng)

        def each(nets, where):
            return returns(nets, [where] * len(nets), EPISODES, 7).mean(1)

        aligned = [
            fitted(p, bridge(there, walk(other, 200, s))) for p, s in zip(policies, SEEDS, strict=True)
        ]
        means = {
            "in its own world": each(policies, world),
            "behind the rotation, true map": acting([fitted(p, true) for p in policies], world, see),
            "behind the rotation, map found": acting([fitted(p, found) for p in policies], world, see),
            "reversed, as it is": each(policies, other),
            "reversed, map found": each(aligned, other),
        }
        told[env] = {name: float(np.mean(value)) for name, value in means.items()}
        print(env, told[env], flush=True)
    pendulum = World("Pendulum-v1", actions=5)
    told["Pendulum-v1"] = {"share of its changes that is linear": explained(walk(pendulum, 4000, 0))}
    (Path(__file__).parent / "bridges.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
