"""Fine-tuning that starts from the best frozen features, and does not lose to them.

Shapes: ``B`` rows that are held out, ``D`` features.

References:
    Kumar et al. (ICLR 2022), https://arxiv.org/abs/2202.10054
    Wortsman et al. (CVPR 2022), https://arxiv.org/abs/2109.01903
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from ...engine import predict
from ...models import Net, fix_norms, unfreeze
from ...tasks import Labelled, Task
from ...transfer import wise_ft
from .. import needs
from ..holding import hold_out
from ..strategy import Strategy
from ..trial import Curves, Trained, Trial
from .layers import at_layer
from .linear import linear_head, regression

FIFTH = 5  # one row of so many is held out, and a class has to have as many
ROWS = 50  # in all, of which ten are held out
TEXTS = 25  # or so many texts, where words have an answer each
SHARES = (0.0, 0.5, 1.0)  # of the way from the frozen net to the tuned one
MIDDLE = 0.5  # which of them is taken where rows cannot tell


def layer_finetune(trial: Trial) -> Trained:
    """Tune from frozen features at the best block, and go as far from them as held-out rows allow.

    The block and the head are those of ``features@layer+logreg``. The cut backbone and the head then train
    with one low rate. Normalisation layers with running statistics stay as they came, weights and statistics,
    and dropout is on where the backbone has some. Of the frozen and the tuned weights the mean is handed over
    (WiSE-FT with 0.5).

    After half of the steps it is seen whether that helps. Up to there a fifth of the rows is held out: a head
    is fitted on the others and tuned with these, and the frozen net, the tuned one and the mean say how
    likely the held-out rows are. Then all rows tune on. Where one of the three was likelier than the mean by
    more than a standard error, it is what is handed over: where tuning harms, the frozen net. Where there are
    under 50 rows, or a class has under 5, or words of under 25 texts have an answer each, nothing can tell,
    and the frozen net is handed over.

    Differs from the papers:
        the first head is a regression's, not trained by steps; the share is chosen among three values.
    """
    target, steps = trial.target, trial.problem.steps
    found = at_layer(trial)
    if few(trial):
        return Trained(found.net, {}, {**found.told, "share": 0.0})
    kept, held = hold_out(target, trial.seed, FIFTH)
    there = kept.train.present()[target.train.present()]
    part = replace(
        trial,
        problem=trial.problem.with_rows(targets=[kept, *trial.targets[1:]]),
        settings={**trial.settings, "C": found.told["C"]},
    )
    head = linear_head(part, found.features[there.to(found.features.device)], regression(part))
    start = Net(found.net.backbone, {target.name: head})
    tuned, curves = tune(part, start, steps // 2, phase="held out")
    likely = {share: likelihood(wise_ft(start, tuned, share), held) for share in SHARES}
    share = chosen(likely)
    told = {**found.told, "share": share, "held_out": {str(s): float(v.mean()) for s, v in likely.items()}}
    tuned, more = tune(trial, tuned, steps - steps // 2, phase="all")
    return Trained(wise_ft(found.net, tuned, share), curves | more, told)


LAYER_FINETUNE = Strategy(
    name="finetune@layer",
    run=layer_finetune,
    summary="tune from frozen features at the best block, and mix with them",
    options=[{"lr": lr, "C": 10.0} for lr in (3e-4, 1e-4, 1e-3)],
    needs=needs.layers,
    reused="the lower blocks of the pretrained backbone, as a start",
    frozen="normalisation",
    paper="[Kumar et al. 2022](https://arxiv.org/abs/2202.10054), "
    "[Wortsman et al. 2022](https://arxiv.org/abs/2109.01903)",
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


def likelihood(net: Net, task: Task) -> Tensor:
    """Give the log likelihood of the class of each training row of a task, or of each word, ``(B,)``."""
    rows, one = task.train, task.kind.single
    assert isinstance(rows, Labelled)
    outputs, y = task.kind.entries(predict(net, task.name, rows.x, progress=False).cpu(), rows.y.cpu())
    said = one.probabilities(outputs.double())
    assert said is not None  # the target has classes
    return said.gather(1, one.numbers(y)[:, None])[:, 0].clamp(min=1e-6).log()


def chosen(likely: Mapping[float, Tensor]) -> float:
    """Take the middle share, unless another is likelier on held-out rows by more than a standard error.

    Args:
        likely: log likelihood of each held-out row ``(B,)``, by share.

    Example:
        >>> import torch
        >>> rows = torch.tensor([-0.1, -0.3, -0.2, -0.4])
        >>> chosen({0.0: rows - 1, 0.5: rows, 1.0: rows.flip(0)}), chosen({0.0: rows, 0.5: rows - 1})
        (0.5, 0.0)
    """
    best = max(likely, key=lambda share: float(likely[share].mean()))
    ahead = likely[best] - likely[MIDDLE]
    return best if ahead.mean() > ahead.std() / len(ahead) ** 0.5 else MIDDLE
