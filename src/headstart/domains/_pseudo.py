"""Own answers as labels.

Shapes: ``B`` source rows, ``C`` target rows, ``K`` classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..errors import wrong
from ..models import Net
from ..tasks import Shift, Task
from ._sides import TINY, check_weight, classes, guesses, ramp


@dataclass(frozen=True, eq=False)
class PseudoLabel:
    r"""Learn labels on the source, and on the target the net's own answers where it is sure.

    .. math:: L_y + w_p \frac1C \sum_i [\max_k p_{ik} \ge t]\, (-\ln p_{i \hat y_i}), \qquad
        \hat y_i = \arg\max_k p_{ik}

    with :math:`w_p = w` times the ramp of ``DANN``: a young net's answers are no labels. It sharpens what the
    net holds already, so it helps where most answers are right, and does harm where they are not.

    Args:
        task: a task of one class per row, whose head is trained.
        weight: :math:`w`, at least 0.
        threshold: :math:`t`, in [0, 1).

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without; returns scalars ``label`` and
        ``pseudo``, both in nats.

    Raises:
        ValueError: if an argument is out of its range, or the task is no classification.

    Differs from the paper:
        answers that are not sure are left out; the ramp is that of ``DANN``, of the paper it is linear.

    Example:
        >>> import torch
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(torch.nn.Linear(3, 8), {"photos": torch.nn.Linear(8, 2)})
        >>> method = PseudoLabel(Task("photos", Multiclass(2), rows), threshold=0.999)
        >>> method(net, Shift(rows, rows.inputs()), 0.5)["pseudo"].item()  # of nothing it is so sure
        0.0

    References:
        Lee (ICML workshops 2013), Pseudo-label: the simple and efficient semi-supervised learning method,
        equation 15; with a threshold: Sohn et al. (NeurIPS 2020), equation 4, https://arxiv.org/abs/2001.07685
    """

    task: Task
    weight: float = 1.0
    threshold: float = 0.9

    def __post_init__(self) -> None:
        check_weight(self.weight)
        classes(self.task)
        if not 0 <= self.threshold < 1:
            raise wrong("`threshold`", expected="at least 0 and below 1", found=self.threshold)

    def __call__(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label losses on the source, and on the target rows whose answer is sure."""
        label = self.task.loss(net(batch.source.x, self.task.name), batch.source.y)
        most = guesses(self.task, net(batch.target.x, self.task.name)).max(1).values
        loss = (most.clamp(min=TINY).log().neg() * (most.detach() >= self.threshold)).mean()
        return {"label": label, "pseudo": self.weight * ramp(progress) * loss}
