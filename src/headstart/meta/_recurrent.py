"""Update rules that are learned: a small recurrent net looks at each number's gradient and moves it.

Shapes: ``n`` numbers that move, each a row of the recurrent net, which is the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import vjp
from torch.nn.functional import cross_entropy, linear

from ..errors import wrong
from ..models import Adapted, Net
from ..tasks import Labelled
from ._descent import Loss, lowering, movable
from ._over import OverEpisodes

SMALL = 10.0  # gradients below exp(-10) are told by their size, others by its logarithm
State = list[Tensor]


class _Recurrent(nn.Module):
    """Move weights by a rule that sees gradients and keeps a state for each number.

    Gradients count as constants: the rule is trained through where weights end, not through what it saw.
    """

    def __init__(self, task: str, steps: int, hidden: int, segment: int, loss: Loss) -> None:
        super().__init__()
        for name, value in (("steps", steps), ("hidden", hidden), ("segment", segment)):
            if value < 1:
                raise wrong(f"`{name}`", expected="at least 1", found=value)
        self.task, self.steps, self.hidden, self.segment, self.loss = task, steps, hidden, segment, loss

    def forward(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the weights that fit the support set."""
        *_, last = self.path(net, support)
        return last

    def path(self, net: Net, support: Labelled) -> Iterator[Adapted]:
        """Give the net after each step."""
        start = movable(net, self.task)
        lower = lowering(net, self.task, support, self.loss)
        sizes = [weight.numel() for weight in start.values()]
        numbers = torch.cat([weight.flatten() for weight in start.values()])
        state = self._begin(numbers)

        def shaped(numbers: Tensor) -> dict[str, Tensor]:
            parts = zip(start.items(), numbers.split(sizes), strict=True)
            return {name: part.view_as(weight) for (name, weight), part in parts}

        for step in range(self.steps):
            if step and step % self.segment == 0:
                numbers, state = numbers.detach(), [part.detach() for part in state]
            with torch.no_grad():
                value, pull = vjp(lower, shaped(numbers))[:2]
                (slopes,) = pull(torch.ones_like(value))
            slope = torch.cat([slopes[name].flatten() for name in start])
            numbers, state = self._move(numbers, slope, value, state)
            yield Adapted(net, self.task, shaped(numbers))

    def _begin(self, numbers: Tensor) -> State:
        raise NotImplementedError

    def _move(self, numbers: Tensor, slope: Tensor, value: Tensor, state: State) -> tuple[Tensor, State]:
        raise NotImplementedError


@final
class LearnedOptimizer(_Recurrent):
    r"""Adapt by an update rule that a recurrent net has learned, the same for every number of the net.

    .. math:: \theta_{t+1} = \theta_t + 0.1\, m_\phi(\nabla_t, h_t)

    with a state :math:`h` for each number, so that the rule may build momentum or slow down. It sees
    gradients as logarithm and sign, because their sizes differ by orders of magnitude. ``Unrolled`` trains it
    to lower the loss all the way, from starts that differ; ``Episodic`` to end well from the net's own start,
    which then learns too.

    Args:
        task: head to use.
        steps: updates, at least 1; a rule may run for more than it was trained for, with care.
        hidden: numbers of a state in each of two layers.
        segment: updates through which gradients flow back, at least 1; the longer, the better and the dearer.
        loss: from outputs ``(S, O)`` and targets ``(S, ...)`` to a scalar.

    Shape:
        support ``x (S, *)``, ``y (S, ...)``; the result maps ``(Q, *)`` to ``(Q, O)``.

    Raises:
        ValueError: if a setting is out of range, or nothing trains.

    Example:
        >>> net = Net(nn.Linear(4, 8), {"coins": nn.Linear(8, 2)})
        >>> support = Labelled(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> LearnedOptimizer("coins", steps=5)(net, support)(torch.randn(5, 4)).shape
        torch.Size([5, 2])

    References:
        Andrychowicz et al. (NeurIPS 2016), equations 3 and 4 and appendix A, https://arxiv.org/abs/1606.04474
    """

    def __init__(
        self, task: str, steps: int = 20, hidden: int = 20, segment: int = 20, loss: Loss = cross_entropy
    ) -> None:
        super().__init__(task, steps, hidden, segment, loss)
        self.settings: Mapping[str, Any] = {
            "task": task, "steps": steps, "hidden": hidden, "segment": segment, "loss": loss,
        }  # fmt: skip
        self.low, self.high = _Cell(2, hidden), _Cell(hidden, hidden)
        self.out = nn.Linear(hidden, 1)

    def _begin(self, numbers: Tensor) -> State:
        zero = numbers.new_zeros(len(numbers), self.hidden)
        return [zero, zero, zero, zero]

    def _move(self, numbers: Tensor, slope: Tensor, value: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = self.low(_seen(slope), *state[:2])
        high, d = self.high(h, *state[2:])
        return numbers + 0.1 * self.out(high)[:, 0], [h, c, high, d]


@final
class MetaLSTM(_Recurrent):
    r"""Adapt by learned gates: how much of each number to keep, and how much of its gradient to take.

    .. math:: \theta_t = f_t \odot \theta_{t-1} - i_t \odot \nabla_t

    as the state of an LSTM moves. The gates :math:`f` and :math:`i` see the gradient and the loss, by way of
    a recurrent layer, the number and the gate before; they start near 1 and near 0.01. ``Episodic`` trains
    them along with the net's weights, which are the learned initial state :math:`\theta_0`.

    Args:
        task: head to use.
        steps: updates, at least 1.
        hidden: numbers of the recurrent layer's state.
        segment: updates through which gradients flow back, at least 1.
        loss: from outputs ``(S, O)`` and targets ``(S, ...)`` to a scalar.

    Shape:
        support ``x (S, *)``, ``y (S, ...)``; the result maps ``(Q, *)`` to ``(Q, O)``.

    Raises:
        ValueError: if a setting is out of range, or nothing trains.

    Differs from the paper:
        batch normalisation goes by the rows of each call, as with ``MAML``.

    Example:
        >>> net = Net(nn.Linear(4, 8), {"coins": nn.Linear(8, 2)})
        >>> support = Labelled(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> MetaLSTM("coins", steps=5)(net, support)(torch.randn(5, 4)).shape
        torch.Size([5, 2])

    References:
        Ravi & Larochelle (ICLR 2017), equations 2 to 4, https://openreview.net/forum?id=rJY0-Kcll
    """

    def __init__(
        self, task: str, steps: int = 5, hidden: int = 20, segment: int = 20, loss: Loss = cross_entropy
    ) -> None:
        super().__init__(task, steps, hidden, segment, loss)
        self.settings: Mapping[str, Any] = {
            "task": task, "steps": steps, "hidden": hidden, "segment": segment, "loss": loss,
        }  # fmt: skip
        self.low = _Cell(4, hidden)
        self.gates = nn.Linear(hidden + 3, 2)
        with torch.no_grad():
            self.gates.weight.mul_(0.01)
            self.gates.bias.copy_(torch.tensor([5.0, -4.5]))

    def _begin(self, numbers: Tensor) -> State:
        zero = numbers.new_zeros(len(numbers), self.hidden)
        return [zero, zero, numbers.new_tensor([1.0, 0.0]).expand(len(numbers), 2)]

    def _move(self, numbers: Tensor, slope: Tensor, value: Tensor, state: State) -> tuple[Tensor, State]:
        told = torch.cat([_seen(slope), _seen(value[None]).expand(len(slope), 2)], 1)
        h, c = self.low(told, *state[:2])
        gates = self.gates(torch.cat([h, numbers[:, None], state[2]], 1)).sigmoid()
        return gates[:, 0] * numbers - gates[:, 1] * slope, [h, c, gates]


class _Cell(nn.Module):
    """An LSTM cell in plain operations, which ``vmap`` knows."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(hidden, 4 * hidden, bias=False), nn.Linear(inputs, 4 * hidden)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        given = self.outer(x) + linear(h, self.inner.weight)
        take, keep, new, show = given.chunk(4, dim=1)
        c = keep.sigmoid() * c + take.sigmoid() * new.tanh()
        return show.sigmoid() * c.tanh(), c


def _seen(values: Tensor) -> Tensor:
    """Show numbers as logarithm and sign, small ones by their size: ``(n, 2)``."""
    size = values.abs()
    large = size >= math.exp(-SMALL)
    logarithm = torch.where(large, size.clamp(min=math.exp(-SMALL)).log() / SMALL, -1.0)
    sign = torch.where(large, values.sign(), math.exp(SMALL) * values)
    return torch.stack([logarithm, sign], 1)


@final
class Unrolled(OverEpisodes):
    r"""Lower the query loss along the whole way of a learned update rule.

    .. math:: \frac{1}{T} \sum_t \frac{1}{K} \sum_{k=1}^{K} L\bigl(\theta_t^{(k)}, Q_t\bigr)

    For an optimiser, let support and query be the same rows, and the start another at every step: a stream
    may draw the net's weights anew before it gives the next episodes. Only the rule's weights belong into the
    optimizer then.

    Args:
        adaptation: one with a ``path``: ``LearnedOptimizer`` or ``MetaLSTM``.
        loss: from outputs ``(Q, O)`` and targets ``(Q, ...)`` to a scalar, the unit of ``"query"``.
        chunk: episodes that run side by side, at least 1; ``None`` for all.

    Shape:
        episodes ``x (T, S, *)`` and ``(T, Q, *)``; returns ``{"query": ()}``.

    Raises:
        TypeError: if the batch is not ``Episodes``.
        ValueError: if ``chunk < 1``.

    Example:
        >>> from headstart.tasks import Episodes
        >>> net = Net(torch.nn.Linear(4, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> rows = Labelled(torch.randn(3, 6, 4), torch.tensor([0, 1, 0, 1, 0, 1]).expand(3, -1))
        >>> rule = LearnedOptimizer("coins", steps=4)
        >>> Unrolled(rule)(net, Episodes(rows, rows, ways=2), 0.0)["query"].shape
        torch.Size([])

    References:
        Andrychowicz et al. (NeurIPS 2016), equation 3 with all weights alike, https://arxiv.org/abs/1606.04474
    """

    loss_name = "query"

    def __init__(
        self, adaptation: _Recurrent, loss: Loss = cross_entropy, *, chunk: int | None = None
    ) -> None:
        super().__init__(chunk)
        self.adaptation, self.loss = adaptation, loss

    def episode(self, net: Net, support: Labelled, query: Labelled, progress: float) -> Tensor:
        """Return the mean of the query losses after each step."""
        way = self.adaptation.path(net, support)
        return torch.stack([self.loss(adapted(query.x), query.y) for adapted in way]).mean()
