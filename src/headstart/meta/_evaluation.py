"""How well methods adapt: the same episodes for all of them, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import cast

import torch
from torch import Tensor

from ..errors import unknown, wrong
from ..maths import interval, paired_interval
from ..models import Net, device_of
from ..models.fresh import copied
from ..progress import Bar
from ..seams import TaskAdaptation, Transduction
from ..tasks import Episode, Labelled, Task
from ..tasks.nouns import take
from ._inductive import batched, inductive, with_outputs

INDUCTIVE, TRANSDUCTIVE = "inductive", "transductive"


@dataclass(frozen=True)
class EpisodeScores:
    """Hold what each method scored on each of the same episodes.

    Args:
        measure: ``"accuracy"``, higher is better, or ``"mse"``, lower is better.
        episodes: that were played.
        scores: by method and by how it was judged, one number per episode.

    Example:
        >>> scores = EpisodeScores("accuracy", (), {"a": {"inductive": (0.8, 0.6)}, "b": {"inductive": (0.7, 0.4)}})
        >>> scores.mean("a"), [round(v, 2) for v in scores.difference("a", "b")]
        (0.7, [0.15, -0.49, 0.79])
    """  # noqa: E501

    measure: str
    episodes: tuple[Episode, ...]
    scores: Mapping[str, Mapping[str, tuple[float, ...]]]

    def mean(self, method: str, how: str = INDUCTIVE) -> float:
        """Return the mean over the episodes."""
        return fmean(self._of(method, how))

    def ci95(self, method: str, how: str = INDUCTIVE) -> tuple[float, float]:
        """Return the 95 % interval of the mean."""
        return interval(self._of(method, how))

    def difference(self, one: str, other: str, how: str = INDUCTIVE) -> tuple[float, float, float]:
        """Return by how much a method's mean is above another's, with the paired 95 % interval."""
        a, b = self._of(one, how), self._of(other, how)
        return fmean(x - y for x, y in zip(a, b, strict=True)), *paired_interval(a, b)

    def table(self) -> str:
        """Return all means as text: accuracies in %, with half the width of their intervals."""
        factor, lines = (100.0, []) if self.measure == "accuracy" else (1.0, [])
        for method, ways in self.scores.items():
            for how in ways:
                low, high = self.ci95(method, how)
                half = f"{factor * (high - low) / 2:.2f}"
                lines.append(f"{method} ({how}): {factor * self.mean(method, how):.2f} +- {half}")
        return "\n".join(lines)

    def _of(self, method: str, how: str) -> tuple[float, ...]:
        if method not in self.scores:
            raise unknown("method", method, self.scores)
        if how not in self.scores[method]:
            raise unknown(f"judgement of {method!r}", how, self.scores[method])
        return self.scores[method][how]


def evaluate_episodes(
    methods: Mapping[str, tuple[Net, TaskAdaptation | Transduction]],
    tasks: Task | Sequence[Task],
    episodes: Sequence[Episode],
    *,
    progress: bool | None = None,
) -> EpisodeScores:
    """Judge methods on the same episodes, so that their differences are paired.

    Every method is judged **inductive**: each query row is answered alone, as in use. A method whose net has
    batch normalisation that trains is judged **transductive** as well: normalisation goes by all query rows
    together, as in most published figures, which tells the net something of the classes asked for. So are
    methods that answer all query rows together by themselves, as ``TIM``, and in no other way. The two are
    never mixed.

    A net is taken as it is; only heads of another number of outputs than an episode has classes start from
    zeros, as in ``FewShot``. Nothing of the caller's is written to.

    Args:
        methods: by name, a net and how it adapts, or how it answers all query rows.
        tasks: that the episodes were drawn from.
        episodes: of ``draw_episodes``, at least one.
        progress: ``None`` shows progress on stderr after two seconds, ``True`` at once, ``False`` never.

    Returns:
        the accuracy of each episode, or for numbers the mean squared error.

    Raises:
        ValueError: if there is no method or no episode, or an episode is of a task that is not there.

    Example:
        >>> from headstart.meta import ProtoNet
        >>> from headstart.tasks import Multiclass, draw_episodes
        >>> y = torch.arange(30) % 3
        >>> coins = Task("coins", Multiclass(3), Labelled(torch.eye(3)[y], y))
        >>> net = Net(torch.nn.Identity(), {"coins": torch.nn.Linear(3, 2)})
        >>> drawn = draw_episodes(coins, 10, ways=2, shots=1, queries=2, seed=0)
        >>> evaluate_episodes({"means": (net, ProtoNet("coins"))}, coins, drawn).table()
        'means (inductive): 100.00 +- 0.00'

    References:
        Nichol, Achiam & Schulman (2018), section 6.1, on the transductive setting,
        https://arxiv.org/abs/1803.02999
    """
    if not methods or not episodes:
        raise wrong(
            "`methods` and `episodes`",
            expected="at least one of each",
            found=f"{len(methods)} and {len(episodes)}",
        )
    known = [tasks] if isinstance(tasks, Task) else list(tasks)
    scores: dict[str, dict[str, list[float]]] = {name: {} for name in methods}
    nets = {name: copied(net) for name, (net, _) in methods.items()}
    measures: set[str] = set()
    with Bar("episodes", len(episodes), progress) as bar:
        for done, episode in enumerate(episodes, 1):
            measure = _accuracy if episode.classes else _mse
            measures.add(measure.__name__.lstrip("_"))
            support, query = episode.rows(known)
            for name, (_, adaptation) in methods.items():
                for how, outputs in _answers(nets[name], adaptation, support, query, len(episode.classes)):
                    scores[name].setdefault(how, []).append(measure(outputs, query.y.to(outputs.device)))
            bar.show(done)
    frozen = {name: {how: tuple(some) for how, some in ways.items()} for name, ways in scores.items()}
    return EpisodeScores(" and ".join(sorted(measures)), tuple(episodes), frozen)


@torch.no_grad()
def _answers(
    net: Net, method: TaskAdaptation | Transduction, support: Labelled, query: Labelled, classes: int
) -> list[tuple[str, Tensor]]:
    """Return the outputs for the query rows, judged in each way that makes a difference."""
    device = device_of(net)
    support, query = support.to(device), query.to(device)
    if getattr(method, "transductive", False):
        return [(TRANSDUCTIVE, cast(Transduction, method)(net, support, query.inputs()))]
    adaptation = cast(TaskAdaptation, method)
    if classes:
        net = with_outputs(net, adaptation, classes, take(support.x, slice(1)))
    task = adaptation.task
    found = [(INDUCTIVE, inductive(adaptation, net, support)(query.x, task))]
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    with batched(net) as norms:
        if norms:
            found.append((TRANSDUCTIVE, adaptation(net, support)(query.x)))
    for name, buffer in net.named_buffers():
        buffer.copy_(before[name])
    return found


def _accuracy(outputs: Tensor, y: Tensor) -> float:
    return (outputs.argmax(1) == y).double().mean().item()


def _mse(outputs: Tensor, y: Tensor) -> float:
    return (outputs - y.reshape(outputs.shape)).double().square().mean().item()
