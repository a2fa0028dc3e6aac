"""Meta-learning over worlds: a policy is a net and a world a task, so what serves tasks serves worlds."""

import pytest
import torch
from torch import nn

from headstart.engine import fit, seeded
from headstart.meta import MAML, Episodic
from headstart.models import Net, mlp
from headstart.rl import World, returns
from headstart.rl.bridge import watch
from headstart.tasks import Episodes, Labelled

from .test_bridge import balancing

FORCES, FEW = (6.0, 14.0, -6.0, -14.0), 10


@pytest.mark.slow
def test_a_start_learned_over_worlds_is_a_policy_after_a_few_steps_of_a_teacher():
    g = torch.Generator().manual_seed(0)
    shown = {}
    for force in (*FORCES, 10.0, -10.0):
        world = World("CartPole-v1", context={"force": force})
        teacher = balancing(1.0 if force > 0 else -1.0)
        shown[force] = world, *watch(teacher, world, 400, seed=int(abs(force)))

    def episodes():
        while True:
            rows = []
            for force in FORCES:
                _, x, y = shown[force]
                at = torch.randperm(len(x), generator=g)[: 4 * FEW]
                rows.append((x[at], y[at]))
            x, y = (torch.stack(part) for part in zip(*rows, strict=True))
            yield Episodes(Labelled(x[:, :FEW], y[:, :FEW]), Labelled(x[:, FEW:], y[:, FEW:]), ways=2)

    with seeded(0):
        net = Net(mlp(4, hidden=[32], activation="tanh"), {"act": nn.Linear(32, 2)})
        maml = MAML("act", lr=1.0, steps=5, first_order=True)
        adam = torch.optim.Adam(net.parameters(), lr=1e-2)
        fit(net, episodes(), Episodic(maml), steps=150, optimizer=adam, progress=False)
    for force in (10.0, -10.0):
        world, x, y = shown[force]
        tuned = maml(net, Labelled(x[:FEW], y[:FEW])).export()
        before, after = (returns([one], [world], 5, seed=1).mean() for one in (net, tuned))
        assert before < 100
        assert after > 200
