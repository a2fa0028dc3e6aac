"""Policies that others learned, as nets of this library."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..errors import wrong
from ..models import Net, mlp
from .stack import ELEMENTWISE


def imported(model: Any, name: str = "act") -> Net:
    """Take the policy out of an agent of Stable-Baselines3 (PPO, A2C, DQN) with an ``MlpPolicy``.

    Of a DQN this is its net of values of actions; the action of the largest is the likeliest. How sure the
    policy is where it goes on learning depends on how far these values are apart.

    Args:
        model: the agent, as ``PPO.load(path)`` gives it. That call unpickles: load only what you trust.
        name: of the head.

    Returns:
        a net from observations to a number for each action, for ``rl.Problem(policy=...)``; its own weights.

    Raises:
        TypeError: if it is no such agent.
        ValueError: if its policy is no chain of layers with ReLU or tanh between, has none, or its actions
            are not counted.

    Example:
        >>> import pytest
        >>> sb3 = pytest.importorskip("stable_baselines3")
        >>> imported(sb3.PPO("MlpPolicy", "CartPole-v1")).heads["act"].out_features
        2

    References:
        Raffin et al. (JMLR 2021), https://www.jmlr.org/papers/v22/20-1364.html
    """
    policy = getattr(model, "policy", None)
    hidden = getattr(getattr(policy, "mlp_extractor", None), "policy_net", None)
    head = getattr(policy, "action_net", None)
    values = getattr(getattr(policy, "q_net", None), "q_net", None)
    if isinstance(values, nn.Sequential):
        *others, head = values
        hidden = nn.Sequential(*others)
    if not isinstance(hidden, nn.Sequential) or not isinstance(head, nn.Linear):
        raise wrong(
            "`model`",
            expected="an agent of Stable-Baselines3 with an `MlpPolicy`, such as its PPO",
            found=type(model).__name__,
            error=TypeError,
        )
    if not hasattr(getattr(model, "action_space", None), "n"):
        found = getattr(model, "action_space", None)
        raise wrong("actions of `model`", expected="counted", found=found)
    linear = [one for one in hidden if isinstance(one, nn.Linear)]
    between = {type(one) for one in hidden if not isinstance(one, nn.Linear)}
    if not linear or len(between) != 1 or not between <= set(ELEMENTWISE):
        found = ", ".join(type(one).__name__ for one in hidden) or "no hidden layer"
        raise wrong("policy of `model`", expected="layers with ReLU or with tanh between", found=found)
    activation = "tanh" if nn.Tanh in between else "relu"
    backbone = mlp(linear[0].in_features, hidden=[one.out_features for one in linear], activation=activation)
    net = Net(backbone, {name: nn.Linear(head.in_features, head.out_features)})
    mine = [one for one in backbone.modules() if isinstance(one, nn.Linear)]
    for own, theirs in zip([*mine, net.heads[name]], [*linear, head], strict=True):
        own.load_state_dict({key: value.cpu() for key, value in theirs.state_dict().items()})
    return net
