"""Many nets of one shape as a single one, so that all runs of a comparison take each step together.

A policy and a value are nets of fully connected layers. They read observations as they are; while they
learn, observations are in the world's units, which the first layer's weights take up.

Shapes: ``R`` runs, ``B`` rows of each, ``D`` numbers of an observation, ``O`` outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..errors import wrong
from ..models import Net
from ..models.fresh import copied

Layers = list[tuple[Tensor, Tensor]]  # weights (R, in, out) and biases (R, 1, out)
ELEMENTWISE: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {nn.ReLU: torch.relu, nn.Tanh: torch.tanh}


def layers(net: Net) -> list[nn.Module]:
    """List the layers of a net with one head, from the observations to the outputs.

    Raises:
        ValueError: if it is no chain of fully connected layers with ReLU or tanh between.
    """
    (head,) = net.heads.values()
    found: list[nn.Module] = []
    for part in (net.backbone, head):
        chain = getattr(part, "chain", None)
        inner = chain() if callable(chain) else [part]
        for one in inner or []:
            found += list(one) if isinstance(one, nn.Sequential) else [one]
    found = [one for one in found if not isinstance(one, nn.Flatten | nn.Identity)]
    known = all(isinstance(one, nn.Linear) or type(one) in ELEMENTWISE for one in found)
    if not found or not known or not isinstance(found[0], nn.Linear):
        raise wrong(
            "`policy`",
            expected="fully connected layers with ReLU or tanh between",
            found=", ".join(type(one).__name__ for one in found) or type(net.backbone).__name__,
            hint='take `hs.backbone("mlp", ...)`',
        )
    return found


def shape(net: Net) -> tuple[object, ...]:
    """Say what nets that can be stacked have in common."""
    return tuple(tuple(one.weight.shape) if isinstance(one, nn.Linear) else type(one) for one in layers(net))


class Stack:
    """Hold the weights of several nets side by side.

    Args:
        nets: of one shape, each with one head.
        units: what each number of an observation is divided by, ``(D,)``.

    Example:
        >>> nets = [Net(nn.Linear(2, 3), {"a": nn.Linear(3, 1)}) for _ in range(4)]
        >>> stack = Stack(nets, [1.0, 10.0])
        >>> x = torch.ones(4, 5, 2)
        >>> torch.allclose(stack(x / torch.tensor([1.0, 10.0]))[3], nets[3](x[3], "a"))
        True
    """

    def __init__(self, nets: Sequence[Net], units: Sequence[float]) -> None:
        chains = [layers(net) for net in nets]
        self.units = torch.tensor(units, dtype=torch.float32)
        self.activations = [ELEMENTWISE.get(type(one)) for one in chains[0]]
        self.parameters: list[Tensor] = []
        for at, one in enumerate(chains[0]):
            if isinstance(one, nn.Linear):
                weights = torch.stack([chain[at].weight.detach().T for chain in chains]).float()  # type: ignore[operator]
                if not self.parameters:
                    weights = weights * self.units[:, None]
                biases = torch.stack([_bias(chain[at])[None] for chain in chains])
                self.parameters += [weights.contiguous(), biases.contiguous()]

    def __call__(self, x: Tensor, runs: Tensor | None = None) -> Tensor:
        """Return outputs ``(R, B, O)`` of observations ``(R, B, D)`` in units; of some runs alone."""
        at = 0
        for activation in self.activations:
            if activation is None:
                weights, biases = self.parameters[at : at + 2]
                if runs is not None:
                    weights, biases = weights[runs], biases[runs]
                x, at = torch.baddbmm(biases, x, weights), at + 2
            else:
                x = activation(x)
        return x

    def holding(self, state: Sequence[Tensor]) -> Stack:
        """Return a stack of the same shape with other weights."""
        other = copy.copy(self)
        other.parameters = list(state)
        return other

    def requires_grad(self) -> Stack:
        """Let the weights learn."""
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        return self

    def state(self) -> list[Tensor]:
        """Copy the weights."""
        return [parameter.detach().clone() for parameter in self.parameters]

    def net(self, like: Net, run: int) -> Net:
        """Copy a net, with the weights of one run."""
        made, at = copied(like), 0
        with torch.no_grad():
            for one in layers(made):
                if isinstance(one, nn.Linear):
                    weights, biases = (parameter[run].detach() for parameter in self.parameters[at : at + 2])
                    one.weight.copy_((weights / self.units[:, None] if at == 0 else weights).T)
                    if one.bias is not None:
                        one.bias.copy_(biases[0])
                    at += 2
        return made


def _bias(layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Linear)
    return torch.zeros(layer.out_features) if layer.bias is None else layer.bias.detach().float()
