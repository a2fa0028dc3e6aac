"""Several sources, each with a policy of its own, distilled into one.

References:
    Rusu et al. (ICLR 2016), Policy distillation, section 3.1, https://arxiv.org/abs/1511.06295, whose
    students learn from Q-values; these learn from the actions
"""

from __future__ import annotations

import torch

from ...engine import fit, seeded
from ...models import Net
from ...models.fresh import copied
from ...rl import Lesson
from ...rl.bridge import watch
from ...tasks import Labelled, Multiclass, Task, batches
from ...transfer import Supervised
from ..strategy import Strategy
from .anchor import near
from .arena import Arena
from .trial import HEAD, Trial

ROWS, STEPS, BATCH, LR = 2000, 600, 64, 3e-3


def run(trial: Trial) -> Lesson:
    """Learn what each source's policy does in its own world, then stay near that."""
    student, _ = trial.fresh()
    rows = []
    for source in trial.problem.sources:
        taught = trial.starts.learned_in([source], trial.problem, trial.seed)
        rows.append(watch(taught.policies[-1], source, ROWS, trial.number(f"watch {source.name}")))
    x, y = (torch.cat(parts) for parts in zip(*rows, strict=True))
    learn(trial, student, Labelled(x, y))
    return near(trial, student, copied(trial.source()[1]))


def learn(trial: Trial, student: Net, rows: Labelled) -> None:
    """Learn the actions of some rows, as any labels."""
    task = Task(HEAD, Multiclass(trial.target.actions_count), rows)
    adam = torch.optim.Adam(student.parameters(), lr=LR)
    stream = batches([task], BATCH, generator=torch.Generator().manual_seed(trial.number("distill")))
    with seeded(trial.seed):
        fit(student, stream, Supervised(task), steps=STEPS, optimizer=adam, progress=False)


def needs(problem: Arena) -> str:
    """Ask for several sources of the same observations."""
    if reason := problem.valued():
        return reason
    return "" if len(problem.sources) > 1 else "there is one source alone"


DISTILL = Strategy(
    name="distill",
    run=run,
    summary="a policy of each source, distilled into one",
    needs=needs,
    reused="the policies of the sources, as teachers",
    frozen="the policy at first",
    paper="[Rusu et al. 2016](https://arxiv.org/abs/1511.06295)",
)
