"""Many runs of proximal policy optimisation, step by step together.

Shapes: ``R`` runs, ``E`` episodes of each side by side, ``T`` steps of a round, ``B = T E`` rows, ``D``
numbers of an observation, ``A`` actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models import Net
from ._score import Score
from .held import SHARE, Held, affordable
from .physics import Numbers
from .play import play
from .returns import of_stack
from .stack import Stack
from .world import World

if TYPE_CHECKING:
    from .ppo import Lesson, Settings

LONGEST = 0.5  # gradient
LEAST = 0.1  # of the step size, at the end


@dataclass(frozen=True, eq=False)
class Round:
    """What a round of acting gave, by run and row, ``(R, B, ...)``."""

    x: Tensor
    action: Tensor
    log_p: Tensor
    gain: Tensor
    wanted: Tensor
    taught: Tensor | None


class Runs:
    """Hold the nets and the episodes of all runs."""

    def __init__(self, lessons: Sequence[Lesson], settings: Settings, steps: int) -> None:
        self.lessons, self.settings, self.steps = lessons, settings, steps
        world = lessons[0].worlds[0]
        self.units, self.reward, self.discount = world.units, world.reward, world.discount
        self.policy = Stack([one.policy for one in lessons], world.units).requires_grad()
        self.value = Stack([one.value for one in lessons], world.units).requires_grad()
        self.taught, self.teacher = self._some([one.teacher if one.pull else None for one in lessons])
        self.shaped, self.potential = self._some([one.potential for one in lessons])
        self.fixed, moves = self._some([one.moves for one in lessons], [1.0] * len(world.units))
        self.moves = moves.parameters if moves else []
        self.weighed = [r for r, one in enumerate(lessons) if one.weighing]
        self.place = torch.tensor([_places(lessons[r].worlds, settings.episodes) for r in self.weighed])
        self.waiting, self.before = self._some([one.before for one in lessons])
        self.rngs = [np.random.default_rng([one.seed, 1]) for one in lessons]
        self.stage = play([one.worlds for one in lessons], settings.episodes, [one.seed for one in lessons])
        self.adam = Adam([*self.policy.parameters, *self.value.parameters])
        self.score = Score(len(lessons), settings.episodes, [one.worlds[0].points for one in lessons])
        self.first, self.best = self.policy.state(), self.policy.state()
        self.held: dict[int, Held] = {r: one.held for r, one in enumerate(lessons) if one.held}
        self.idle = np.array([one.spent for one in lessons])  # steps until which nothing is learned
        self.until = np.array([steps * (1 - SHARE) if one.held else steps for one in lessons])
        self.moved = np.zeros(len(lessons), bool)  # since it was last looked at

    def _some(
        self, nets: Sequence[Net | None], units: Sequence[float] | None = None
    ) -> tuple[Tensor, Stack | None]:
        """Stack the nets that some runs have; say of which runs they are."""
        there = [r for r, net in enumerate(nets) if net is not None]
        given = [net for net in nets if net is not None]
        return torch.tensor(there, dtype=torch.long), Stack(given, units or self.units) if given else None

    def run(
        self, looks: Sequence[int], episodes: int, seed: int
    ) -> tuple[list[list[Net]], list[Net], list[Numbers]]:
        """Learn to the last look: policies by run and look, values, and returns of the test episodes."""
        states, told, done = [], [], 0
        side = self.settings.episodes
        for look in looks:
            while done < look:
                length = min(self.settings.round, -(-(look - done) // side))
                self.learn(self.act(length, done), done)
                done += length * side
            self.keep(look)
            states.append(self.handed(look))
            told.append(self.test(states[-1], episodes, seed))
        policies = [
            [self.policy.holding(state).net(one.policy, r) for state in states]
            for r, one in enumerate(self.lessons)
        ]
        values = [self.value.net(one.value, r) for r, one in enumerate(self.lessons)]
        spoilt = [not all(w[r].isfinite().all() for w in self.adam.parameters) for r in range(len(values))]
        returned = [np.stack([each[r] for each in told]) for r in range(len(values))]
        return policies, values, [np.full_like(t, np.nan) if bad else t
                                  for t, bad in zip(returned, spoilt, strict=True)]  # fmt: skip

    def act(self, length: int, done: int) -> Round:
        """Act for some steps, and say how much better each action was than expected."""
        shape, width = (length, len(self.lessons), self.settings.episodes), len(self.units)
        x, last = torch.empty(*shape, width), torch.empty(*shape, width)
        action, reward = np.empty(shape, dtype=np.int64), np.empty(shape)
        ended, cut = np.empty(shape, bool), np.empty(shape, bool)
        drawn = np.stack([rng.random(shape[::2]) for rng in self.rngs], axis=1)
        with torch.no_grad():
            for t in range(length):
                x[t] = torch.from_numpy(self.stage.look()) / self.policy.units
                p = self.policy(x[t]).softmax(2).numpy()
                action[t] = (p.cumsum(2) < drawn[t][..., None]).sum(2).clip(max=p.shape[2] - 1)
                reward[t], ended[t], cut[t], after = self.stage.step(action[t])
                last[t] = torch.from_numpy(after) / self.policy.units
                self.score.add(reward[t], ended[t] | cut[t])
        return self._told(x, action, reward, ended, cut, last)

    def _told(
        self, x: Tensor, action: NDArray[Any], reward: Numbers, ended: Any, cut: Any, last: Tensor
    ) -> Round:
        def by_run(values: Tensor) -> Tensor:
            return values.transpose(0, 1).flatten(1, 2)

        rows, after, chosen = by_run(x), by_run(last), by_run(torch.from_numpy(action)[..., None])
        dead, over = (torch.from_numpy(flags).transpose(0, 1) for flags in (ended, ended | cut))
        r = torch.from_numpy(reward / self.reward).float().transpose(0, 1).clone()
        with torch.no_grad():
            log_p = self.policy(rows).log_softmax(2).gather(2, chosen)[..., 0]
            v, then = (self.value(at)[..., 0].reshape(r.shape) for at in (rows, after))
            if self.potential is not None:
                here, there = (self.potential(at[self.shaped])[..., 0] for at in (rows, after))
                rises = self.discount * there.reshape(-1, *r.shape[1:]) * ~dead[self.shaped]
                r[self.shaped] += rises - here.reshape(rises.shape)
            gain = advantages(r, v, then, dead, over, self.discount, self.settings.trace)
            taught = None if self.teacher is None else self.teacher(rows[self.taught]).log_softmax(2)
        return Round(rows, chosen, log_p, gain.flatten(1), (gain + v).flatten(1), taught)

    def learn(self, told: Round, done: int) -> None:
        """Pass over a round several times."""
        s, rows = self.settings, told.x.shape[1]
        left = np.array([max(1, self.steps - one.spent) for one in self.lessons])
        behind = np.array([max(0, done - one.spent) for one in self.lessons])
        awake = (np.minimum(done + rows, self.until) - np.maximum(done, self.idle)).clip(0, rows) / rows
        warm = behind >= left * [one.warmup for one in self.lessons]
        self.moved |= warm & (awake > 0)
        given = torch.tensor([one.rate for one in self.lessons], dtype=torch.float32)
        rate = s.lr * (1 - (1 - LEAST) * done / self.steps) * given * torch.from_numpy(awake).float()
        at = self.taught.numpy()
        share = behind[at] / left[at]
        taught = [self.lessons[r] for r in self.taught]
        pull = torch.tensor(
            [one.pull * (max(0.0, 1 - part / one.fades) if one.fades else 1.0)
             for one, part in zip(taught, share, strict=True)],
            dtype=torch.float32,
        )  # fmt: skip
        for _ in range(s.epochs):
            order = torch.from_numpy(np.stack([rng.permutation(rows) for rng in self.rngs]))
            for part in order.split(max(2, rows // s.parts), dim=1):
                if part.shape[1] > 1:
                    self.step(told, part, pull, rate * torch.from_numpy(warm), rate)

    def step(self, told: Round, part: Tensor, pull: Tensor, rate: Tensor, rate_of_value: Tensor) -> None:
        """Take a step on some rows of each run, ``part (R, b)``."""
        gradients, count = self.gradients(told, part, pull), len(self.policy.parameters)
        of_policy, of_value = gradients[:count], gradients[count:]
        for gradient, moves in zip(of_policy, self.moves, strict=False):
            gradient[self.fixed] *= moves
        self.adam.step(
            [*shortened(of_policy), *shortened(of_value)],
            [rate] * count + [rate_of_value] * len(of_value),
        )

    def gradients(self, told: Round, part: Tensor, pull: Tensor) -> list[Tensor]:
        """Give the gradients of all runs' losses, which do not touch one another."""
        s, run = self.settings, torch.arange(len(part))[:, None]
        gain = told.gain[run, part]
        gain = (gain - gain.mean(1, keepdim=True)) / (gain.std(1, keepdim=True) + 1e-8)
        x = told.x[run, part]
        log_p = self.policy(x).log_softmax(2)
        ratio = (log_p.gather(2, told.action[run, part])[..., 0] - told.log_p[run, part]).exp()
        better = torch.minimum(ratio * gain, ratio.clamp(1 - s.clip, 1 + s.clip) * gain)
        rows = s.entropy * (log_p.exp() * log_p).sum(2) - better
        loss = rows.mean(1)
        if told.taught is not None:
            t = told.taught[torch.arange(len(self.taught))[:, None], part[self.taught]]
            apart = (t.exp() * (t - log_p[self.taught])).sum(2).mean(1)
            loss = loss.index_add(0, self.taught, pull * apart)
        off = (self.value(x)[..., 0] - told.wanted[run, part]).square().mean(1)
        parameters = [*self.policy.parameters, *self.value.parameters]
        total = (loss + 0.5 * off).sum()
        found = list(torch.autograd.grad(total, parameters, retain_graph=bool(self.weighed)))
        if self.weighed:
            self.weigh(found, rows[self.weighed], part[self.weighed] % s.episodes)
        return found

    def weigh(self, gradients: Sequence[Tensor], rows: Tensor, episode: Tensor) -> None:
        """Weigh the gradients of the worlds of some runs, in the place of their plain sum.

        ``rows (W, b)`` are the losses of the rows of these runs, ``episode (W, b)`` says whose they are.
        """
        policy, place = self.policy.parameters, self.place.gather(1, episode)
        mine = torch.nn.functional.one_hot(place).to(rows)  # (W, b, K)
        counts = mine.sum(1)
        means = (rows[..., None] * mine).sum(1) / counts.clamp(min=1)
        each = [torch.autograd.grad(mean.sum(), policy, retain_graph=True) for mean in means.unbind(1)]
        flat = torch.stack([torch.cat([g[self.weighed].flatten(1) for g in one], 1) for one in each], 1)
        factors = -counts / rows.shape[1]
        for factor, gramian, count, r in zip(factors, flat @ flat.mT, counts, self.weighed, strict=True):
            there = count.nonzero()[:, 0]
            weighing = self.lessons[r].weighing
            assert weighing is not None
            factor[there] += weighing(gramian[there][:, there]).to(factor) / len(there)
        change = (factors[:, :, None] * flat).sum(1).split([p[0].numel() for p in policy], 1)
        for gradient, part in zip(gradients, change, strict=False):
            gradient[self.weighed] += part.view(-1, *gradient.shape[1:])

    def keep(self, look: int) -> None:
        """Keep each run's policy where it is the best so far, or go back to the one it began with."""
        taken, back = self.score.better()
        taken[[*self.held]] = back[[*self.held]] = False
        taken[self.surpassed(look)] = True
        for best, now, first in zip(self.best, self.policy.state(), self.first, strict=True):
            best[taken], best[back] = now[taken], first[back]

    def surpassed(self, look: int) -> list[int]:
        """List the runs whose policy of now is better in the held-out episodes than the one that is kept.

        The steps are charged: nothing is learned for so long after a look, and before the last one.
        """
        at = [r for r in self.held if self.moved[r]]
        if not at:
            return []
        stack = self.policy.holding([weights[at] for weights in self.policy.state()])
        worlds, seeds = [self.lessons[r].worlds[0] for r in at], [self.held[r].seed for r in at]
        episodes = max(len(self.held[r].returns) for r in at)
        taken = []
        for r, told, steps in zip(at, *of_stack(stack, worlds, episodes, seeds), strict=True):
            before = self.held[r]
            now = Held(before.seed, told, steps).first(len(before.returns))
            now = now.first(affordable(now.steps, SHARE * self.steps))
            self.idle[r], self.moved[r] = min(look, self.until[r]) + now.spent, False
            if self.idle[r] <= self.steps and now.surpasses(before):
                taken.append(r)
                self.held[r] = now
        return taken

    def handed(self, look: int) -> list[Tensor]:
        """Copy what is handed out: the best so far, or what was there before where steps are still spent."""
        state = [weights.clone() for weights in self.best]
        if self.before is not None:
            still = torch.tensor([look < self.lessons[r].spent for r in self.waiting])
            for weights, before in zip(state, self.before.parameters, strict=True):
                weights[self.waiting[still]] = before[still]
        return state

    def test(self, state: Sequence[Tensor], episodes: int, seed: int) -> Numbers:
        """Let policies act in test episodes, ``(R, episodes)``."""
        if not episodes:
            return np.zeros((len(self.lessons), 0))
        worlds = [one.worlds[0] for one in self.lessons]
        return of_stack(self.policy.holding(state), worlds, episodes, [seed] * len(worlds))[0]


def _places(worlds: Sequence[World], episodes: int) -> list[int]:
    """Number the worlds of the episodes side by side, equal ones alike."""
    names = list(dict.fromkeys(world.name for world in worlds))
    return [names.index(worlds[e % len(worlds)].name) for e in range(episodes)]


def advantages(
    reward: Tensor, v: Tensor, then: Tensor, dead: Tensor, over: Tensor, discount: float, trace: float
) -> Tensor:
    r"""Say how much better each step was than expected (generalised advantage estimation).

    .. math:: A_t = \sum_{l \ge 0} (\gamma\lambda)^l \delta_{t+l}, \qquad
              \delta_t = r_t + \gamma V(s_{t+1}) - V(s_t)

    Args:
        reward: of each step.
        v: value of the state before it.
        then: value of the state after it, before any new beginning.
        dead: where an episode ended, and nothing comes after.
        over: where it ended or was cut off, so that the sum ends.
        discount: :math:`\gamma`.
        trace: :math:`\lambda`.

    Shape:
        all ``(R, T, E)``.
    """
    delta = reward + discount * then * ~dead - v
    gain, running = torch.empty_like(delta), torch.zeros_like(delta[:, 0])
    for t in reversed(range(delta.shape[1])):
        running = delta[:, t] + discount * trace * running * ~over[:, t]
        gain[:, t] = running
    return gain


class Adam:
    """Adam with a step size of each run.

    References:
        Kingma & Ba (ICLR 2015), algorithm 1, https://arxiv.org/abs/1412.6980
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters, self.count = parameters, 0
        self.mean = [torch.zeros_like(p) for p in parameters]
        self.square = [torch.zeros_like(p) for p in parameters]

    def step(self, gradients: Sequence[Tensor], rates: Sequence[Tensor]) -> None:
        """Move each parameter ``(R, ...)`` by its gradient, at the rate ``(R,)`` of its run."""
        self.count += 1
        low, high = 1 - 0.9**self.count, 1 - 0.999**self.count
        with torch.no_grad():
            for p, g, m, q, rate in zip(
                self.parameters, gradients, self.mean, self.square, rates, strict=True
            ):
                m.lerp_(g, 0.1)
                q.lerp_(g * g, 0.001)
                p -= rate[:, None, None] * (m / low) / ((q / high).sqrt() + 1e-5)


def shortened(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Shorten the gradients of each run, all together."""
    length = torch.stack([g.square().sum((1, 2)) for g in gradients]).sum(0).sqrt()
    factor = (LONGEST / (length + 1e-6)).clamp(max=1.0)
    return [g * factor[:, None, None] for g in gradients]
