"""Fine-tuning that starts from the best frozen features, and does not lose to them.

Shapes: ``B`` rows that are held out, ``D`` features, ``K`` classes.

References:
    Kumar et al. (ICLR 2022), https://arxiv.org/abs/2202.10054
    Wortsman et al. (CVPR 2022), https://arxiv.org/abs/2109.01903
    Wortsman et al. (ICML 2022), https://arxiv.org/abs/2203.05482
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...engine import predict
from ...models import Net, fix_norms, unfreeze
from ...tasks import Labelled, Task
from ...transfer import soup, wise_ft
from .. import needs
from ..holding import hold_out
from ..strategy import Strategy
from ..trial import Curves, Trained, Trial
from .layers import at_layer
from .left_out import likeliest
from .linear import linear_head, regression

Said = tuple[Tensor, Tensor]  # log probabilities of the classes ``(B, K)``, and each row's class ``(B,)``
FIFTH = 5  # one row of so many is held out of each net, and a class has to have as many
ROWS = 50  # in all, of which ten are held out
TEXTS = 25  # or so many texts, where words have an answer each
PASSES = 2  # over the rows, that each net is given
MIDDLE = 0.5  # of the way from the frozen net to the tuned one, where rows cannot tell


def layer_finetune(trial: Trial) -> Trained:
    """Tune from frozen features at the best block, and go as far from them as held-out rows allow.

    The block and the head are those of ``features@layer+logreg``. Five nets begin there and share the steps,
    or as many fewer as leave some two passes over the rows to each. From each another fifth of the rows is
    held out: its head is fitted on the others, and the cut backbone and the head then train on these with one
    low rate. Normalisation layers with running statistics stay as they came, weights and statistics, and
    dropout is on where the backbone has some. The mean of the nets is moved less by chance, such as the order
    of batches, than each; that of five has seen all rows.

    Held-out rows judge: how likely is each to the net that has not seen it, as that began and as it was
    tuned. Where they are likelier to tuned nets by more than a standard error, the mean of these is handed
    over; where less likely by as much, the frozen net; where rows cannot tell, half of the way between
    (WiSE-FT).
    Where there are under 50 rows, or a class has under 5, or words of under 25 texts have an answer each,
    nothing can tell, and the frozen net is handed over.

    Differs from the papers:
        the first head is a regression's, not trained by steps; the mean is of nets of one rate, each without
        some of the rows; the share is chosen among three values.
    """
    target, steps = trial.target, trial.problem.steps
    found = at_layer(trial)
    if few(trial):
        return Trained(found.net, {}, {**found.told, "share": 0.0})
    many = count(trial)
    nets: list[Net] = []
    curves: Curves = {}
    said: dict[str, list[Said]] = {"frozen": [], "tuned": []}
    for place in range(many):
        kept, held = hold_out(target, trial.seed, FIFTH, place)
        there = kept.train.present()[target.train.present()]
        part = replace(
            trial,
            problem=trial.problem.with_rows(targets=[kept, *trial.targets[1:]]),
            settings={**trial.settings, "C": found.told["C"]},
        )
        head = linear_head(part, found.features[there.to(found.features.device)], regression(part))
        start = Net(found.net.backbone, {target.name: head})
        tuned, more = tune(part, start, steps // many, phase=f"net {place + 1}")
        for name, net in (("frozen", start), ("tuned", tuned)):
            said[name].append(answers(net, held))
        nets.append(tuned)
        curves = {**curves, **more}
    likely = {name: likelihood(parts) for name, parts in said.items()}
    share = chosen(likely["frozen"], likely["tuned"])
    told = {**found.told, "share": share, "held_out": {name: float(v.mean()) for name, v in likely.items()}}
    mean = soup(nets) if many > 1 else nets[0]
    return Trained(wise_ft(found.net, mean, share), curves, told)


LAYER_FINETUNE = Strategy(
    name="finetune@layer",
    run=layer_finetune,
    summary="tune from frozen features at the best block, five times; the mean of these",
    options=[{"lr": lr, "C": 10.0} for lr in (3e-4, 1e-4, 1e-3)],
    needs=needs.layers,
    reused="the lower blocks of the pretrained backbone, as a start",
    frozen="normalisation",
    paper="[Kumar et al. 2022](https://arxiv.org/abs/2202.10054), "
    "[Wortsman et al. 2022a](https://arxiv.org/abs/2109.01903), "
    "[2022b](https://arxiv.org/abs/2203.05482)",
)


def tune(trial: Trial, start: Net, steps: int, *, phase: str) -> tuple[Net, Curves]:
    """Train a copy of a net, all but its normalisation layers, with the trial's one rate."""
    net = copy.deepcopy(start)
    fix_norms(unfreeze(net).get_submodule("backbone"))
    return net, trial.train(net, [trial.target], steps=steps, lr=trial.settings["lr"], phase=phase)


def few(trial: Trial) -> bool:
    """Tell whether there are too few rows to hold some out."""
    rows = trial.labelled()
    if not trial.target.kind.per_row:
        return len(rows) < TEXTS
    return len(rows) < ROWS or min(needs.class_counts(rows)) < FIFTH


def count(trial: Trial) -> int:
    """Say how many nets share the steps: five, or as many as can pass over the rows some two times each."""
    passes = trial.problem.steps * trial.problem.budget.batch / len(trial.labelled())
    return min(FIFTH, max(1, round(passes / PASSES)))


def answers(net: Net, task: Task) -> Said:
    """Give what a net says of the training rows of a task, or of their words, and their classes."""
    rows, one = task.train, task.kind.single
    assert isinstance(rows, Labelled)
    outputs, y = task.kind.entries(predict(net, task.name, rows.x, progress=False).cpu(), rows.y.cpu())
    said = one.probabilities(outputs.double())
    assert said is not None  # the target has classes
    return said.log(), one.numbers(y)


def likelihood(parts: Sequence[Said]) -> Tensor:
    """Give the log likelihood of each row of some parts ``(B,)``, with one temperature for all."""
    said, y = (torch.cat(each) for each in zip(*parts, strict=True))
    return likeliest(said, y)


def chosen(frozen: Tensor, tuned: Tensor) -> float:
    """Say how far to go from the frozen net to the tuned one: all the way or not at all, where rows can tell.

    Args:
        frozen: log likelihood of each held-out row ``(B,)``.
        tuned: of the same rows.

    Example:
        >>> import torch
        >>> rows = torch.tensor([-0.1, -0.3, -0.2, -0.4])
        >>> chosen(rows - 1, rows), chosen(rows, rows - 1), chosen(rows, rows.flip(0))
        (1.0, 0.0, 0.5)
    """
    ahead = tuned - frozen
    sure = ahead.mean().abs() > ahead.std() / len(ahead) ** 0.5
    return (1.0 if ahead.mean() > 0 else 0.0) if sure else MIDDLE
