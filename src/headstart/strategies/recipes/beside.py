"""Training of several tasks side by side, from new encoders or from pretrained ones."""

from __future__ import annotations

from collections.abc import Sequence

from ...engine import total
from ...models import Net, fix_norms
from ...seams import Combine
from ...tasks import Task
from ..trial import Curves, Trial, frozen
from .finetune import HEAD_LR

PRETRAINED = 0.1  # of the step size of new weights: what is pretrained is to be moved, not replaced


def side_by_side(
    trial: Trial,
    net: Net,
    tasks: Sequence[Task],
    *,
    steps: int,
    combine: Combine = total,
    phase: str,
    begun: bool = False,
) -> Curves:
    """Train tasks on one net, at the trial's ``lr``; return the losses per step by phase.

    Pretrained encoders stay as they are for a quarter of the steps, while the heads learn; then they are
    trained too, with a tenth of the heads' step size, but for normalisation by running statistics, which
    stays.

    Args:
        trial: with a setting ``lr``.
        net: trained in place.
        tasks: whose rows make the batches.
        steps: of all phases.
        combine: how the tasks' losses become one gradient; heads alone share none.
        phase: names the curves and the checkpoints.
        begun: whether the heads have been trained before.

    References:
        Kumar et al. (ICLR 2022), section 3.4, https://arxiv.org/abs/2202.10054
    """
    lr = trial.settings["lr"]
    curves: Curves = {}
    groups = None
    if trial.problem.comes_pretrained():
        fix_norms(net.backbone)
        if not begun:
            with frozen(net.backbone):
                heads = steps // 4
                curves |= trial.train(net, tasks, steps=heads, lr=HEAD_LR, phase=f"{phase}, heads")
            steps -= heads
        parts = (("heads", net.heads, lr), ("backbone", net.backbone, PRETRAINED * lr))
        groups = [{"name": name, "params": list(part.parameters()), "lr": each} for name, part, each in parts]
    return curves | trial.train(net, tasks, steps=steps, lr=lr, groups=groups, combine=combine, phase=phase)
