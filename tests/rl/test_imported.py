"""Policies of Stable-Baselines3, and pictures of policies."""

from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from headstart.models import Net, mlp
from headstart.rl import PHYSICS, World, film, imported


@pytest.fixture
def sb3():
    return pytest.importorskip("stable_baselines3", reason="needs stable-baselines3")


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_a_policy_of_stable_baselines_says_the_same(sb3, activation):
    kwargs = {"net_arch": [8, 6], "activation_fn": activation}
    agent = sb3.PPO("MlpPolicy", "CartPole-v1", policy_kwargs=kwargs, seed=0, device="cpu")
    net, x = imported(agent), torch.randn(5, 4)
    with torch.no_grad():
        theirs = agent.policy.get_distribution(x).distribution.logits
        torch.testing.assert_close(net(x, "act").log_softmax(1), theirs)
        nn.init.zeros_(net.heads["act"].weight)  # its own weights
        assert not torch.equal(agent.policy.action_net.weight, torch.zeros(2, 6))


def test_a_net_of_values_of_actions_chooses_the_same(sb3):
    made = sb3.DQN("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [8, 6]}, seed=0, device="cpu")
    net, x = imported(made), torch.randn(5, 4)
    with torch.no_grad():
        torch.testing.assert_close(net(x, "act"), made.policy.q_net.q_net(x))
    assert net(x, "act").argmax(1).tolist() == made.predict(x.numpy(), deterministic=True)[0].tolist()


def agent(hidden, head, space):
    policy = SimpleNamespace(mlp_extractor=SimpleNamespace(policy_net=hidden), action_net=head)
    return SimpleNamespace(policy=policy, action_space=space)


@pytest.mark.parametrize(
    ("model", "error", "told"),
    [
        (object(), TypeError, "MlpPolicy"),
        (agent(nn.Sequential(), nn.Linear(4, 2), SimpleNamespace(n=2)), ValueError, "no hidden layer"),
        (agent(nn.Sequential(nn.Linear(4, 3), nn.GELU()), nn.Linear(3, 2), SimpleNamespace(n=2)),
         ValueError, "GELU"),
        (agent(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), nn.Linear(3, 1), "Box"), ValueError, "counted"),
    ],
)  # fmt: skip
def test_what_is_no_such_agent_is_refused(model, error, told):
    with pytest.raises(error, match=told):
        imported(model)


@pytest.mark.parametrize("env", PHYSICS)
def test_a_film_has_a_picture_for_every_so_many_steps(env):
    world = World(env, actions=5 if env == "Pendulum-v1" else None)
    net = Net(mlp(world.observations, hidden=[2]), {"act": nn.Linear(2, world.actions_count)})
    root = ElementTree.fromstring(film(net, world, frames=3, every=2))
    assert len(root) == 3
    assert [group[-1].text for group in root] == ["0", "2", "4"]


def test_what_cannot_be_drawn_is_refused():
    pytest.importorskip("gymnasium", reason="needs the extra `rl`")
    with pytest.raises(ValueError, match="rgb_array"):
        film(Net(mlp(4), {"act": nn.Linear(40, 2)}), World("gymnasium:CartPole-v1"))
