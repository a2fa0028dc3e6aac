"""What learning by a Q-network would cost: that of Stable-Baselines3 in CartPole, with settings tuned for it.

``python benchmarks/quality/rl_contexts/dqn.py [SEED ...]`` writes returns of 20 episodes and CPU seconds into
``dqn.json`` beside this file; two minutes a seed on one thread. Settings are those that its authors publish
for CartPole in RL Baselines3 Zoo.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import gymnasium
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.evaluation import evaluate_policy

FILE = Path(__file__).with_suffix(".json")
WORLD, STEPS, EPISODES = "CartPole-v1", (20_000, 50_000), 20


def learned(steps: int, seed: int) -> dict[str, float]:
    """Learn anew for so many steps."""
    begun = time.process_time()
    model = DQN(
        "MlpPolicy", WORLD, learning_rate=2.3e-3, batch_size=64, buffer_size=100_000, learning_starts=1000,
        gamma=0.99, target_update_interval=10, train_freq=256, gradient_steps=128,
        exploration_fraction=0.16, exploration_final_eps=0.04, policy_kwargs={"net_arch": [256, 256]},
        seed=seed,
    )  # fmt: skip
    model.learn(steps)
    told, _ = evaluate_policy(model, gymnasium.make(WORLD), n_eval_episodes=EPISODES, warn=False)
    return {"seed": seed, "steps": steps, "return": told, "seconds": round(time.process_time() - begun)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = [learned(steps, int(seed)) for seed in sys.argv[1:] or ("0", "1") for steps in STEPS]
    FILE.write_text(json.dumps(found, indent=1) + "\n")
