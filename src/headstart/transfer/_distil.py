"""Knowledge distillation: learn what another net says of rows, not only their labels.

Shapes: ``B`` rows, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import wrong
from ..models import Net
from ..tasks import Labelled, Task
from ._supervised import Supervised


@dataclass(frozen=True, eq=False)
class Distil:
    r"""Learn a teacher's probabilities of the classes beside the labels.

    With :math:`z` the outputs of the net, :math:`v` those of the teacher, and :math:`q_c(z) \propto
    \exp(z_c / T)`:

    .. math:: L = (1 - \lambda) \, \ell(z, y) + \lambda \, T^2 \, \mathrm{KL}(q(v) \,\|\, q(z))

    Rows without a label learn from the teacher alone, so unlabelled rows serve too: give them labels of -100.

    Args:
        task: whose rows, of one class each; the net and the teacher have a head of its name.
        teacher: a trained net, of any size and backbone. It is left as it is, in eval mode while it is asked,
            and is no part of a checkpoint.
        temperature: :math:`T`, above 0: the higher, the more counts what the teacher says of wrong classes.
        weight: :math:`\lambda`, in [0, 1].

    Shape:
        rows ``x (B, *)``, ``y (B,)`` by task name; returns the label loss under the task's name, where a row
        has a label, and ``distil``, both in nats and already weighed.

    Raises:
        ValueError: if a number is out of its range, or the task is not of one class per row.

    Example:
        >>> from torch import nn
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.eye(2), torch.tensor([0, 1]))
        >>> task = Task("a", Multiclass(2), rows)
        >>> teacher = Net(nn.Linear(2, 2), {"a": nn.Linear(2, 2)})
        >>> losses = Distil(task, teacher)(teacher, {"a": rows}, 0.0)
        >>> sorted(losses), round(losses["distil"].item(), 6)
        (['a', 'distil'], 0.0)

    References:
        Hinton, Vinyals & Dean (2015), section 2, https://arxiv.org/abs/1503.02531
    """

    task: Task
    teacher: Net
    temperature: float = 2.0
    weight: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise wrong("`temperature`", expected="above 0 and finite", found=self.temperature)
        if not 0 <= self.weight <= 1:
            raise wrong("`weight`", expected="in [0, 1]", found=self.weight)
        if not self.task.kind.exclusive:
            raise wrong(
                f"task {self.task.name!r}", expected="one class per row", found=self.task.kind.describe()
            )
        self.teacher.head(self.task.name)

    def __call__(self, net: Net, batch: Mapping[str, Labelled], progress: float) -> dict[str, Tensor]:
        """Return the loss on labels and the distance to the teacher."""
        if self.task.name not in batch:
            return {}
        rows = batch[self.task.name]
        learned = Supervised(self.task)(net, batch, progress)
        there, said = self._logits(self._taught(rows)), self._logits(net(rows.x, self.task.name))
        apart = F.kl_div(said, there, reduction="batchmean", log_target=True) * self.temperature**2
        told = {name: (1 - self.weight) * loss for name, loss in learned.items()}
        return told | {"distil": self.weight * apart}

    def _taught(self, rows: Labelled) -> Tensor:
        """Ask the teacher, at rest, and leave it in the modes that it was in."""
        modes = [(part, part.training) for part in self.teacher.modules()]
        try:
            with torch.no_grad():
                return self.teacher.eval()(rows.x, self.task.name)
        finally:
            for part, training in modes:
                part.training = training

    def _logits(self, outputs: Tensor) -> Tensor:
        """Give log-probabilities ``(B, C)`` at the temperature; one logit is that of the second class."""
        if self.task.kind.outputs == 1:
            one = outputs.reshape(len(outputs), 1)
            outputs = torch.cat([torch.zeros_like(one), one], 1)
        return (outputs / self.temperature).log_softmax(1)
