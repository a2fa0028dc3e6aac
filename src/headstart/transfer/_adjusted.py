"""Cross-entropy for classes that count alike, however rare: outputs are moved by how common each class is.

Shapes: ``B`` rows, ``O`` outputs of the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import wrong
from ..models import Net
from ..tasks import Labelled, Task


@dataclass(frozen=True, eq=False)
class LogitAdjusted:
    r"""Train with the shares of the classes added to the logits, and answer without them.

    .. math:: L = -\log \frac{\pi_y^\tau e^{f_y(x)}}{\sum_c \pi_c^\tau e^{f_c(x)}}

    A net that knew every row's probabilities would then answer by those of classes that are all equally
    common, which is best for balanced accuracy. Weights of classes change how hard a net tries where it is
    not sure; this moves where it is not sure to.

    Args:
        task: whose rows, of one class each; its training rows, or its ``prior`` where it has one, tell the
            shares :math:`\pi`. A class without rows counts half a row.
        strength: :math:`\tau`, at least 0; 0 is plain cross-entropy.

    Shape:
        rows ``x (B, *)``, ``y (B,)`` by task name; returns the loss in nats under the task's name.

    Raises:
        ValueError: if the strength is below 0, or the task is not of one class per row held in memory.

    Example:
        >>> import torch
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.zeros(4, 1), torch.tensor([0, 0, 0, 1]))
        >>> task = Task("a", Multiclass(2), rows)
        >>> net = Net(torch.nn.Identity(), {"a": torch.nn.Linear(1, 2)})
        >>> _ = torch.nn.init.zeros_(net.heads["a"].bias)
        >>> round(LogitAdjusted(task)(net, {"a": rows}, 0.0)["a"].item(), 3)  # the entropy of the shares
        0.562

    References:
        Menon et al. (ICLR 2021), equation 10, https://arxiv.org/abs/2007.07314
    """

    task: Task
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength < float("inf"):
            raise wrong("`strength`", expected="at least 0 and finite", found=self.strength)
        if not (self.task.kind.exclusive and self.task.train.held):
            found = self.task.kind.describe() if self.task.train.held else "rows of a dataset"
            raise wrong(f"task {self.task.name!r}", expected="one class per row, in tensors", found=found)

    def __call__(self, net: Net, batch: Mapping[str, Labelled], progress: float) -> dict[str, Tensor]:
        """Return the loss; nothing where no row has a label."""
        rows = batch.get(self.task.name)
        if rows is None or not rows.present().any():
            return {}
        said = net(rows.x, self.task.name)
        common = self.task.kind.constant(self._known()).to(said)
        return {self.task.name: self.task.loss(said + self.strength * common, rows.y, complete=rows.complete)}

    def _known(self) -> Tensor:
        """Give the targets that tell the shares of the classes."""
        assert isinstance(self.task.train, Labelled)  # seen above
        return (self.task.train.y if self.task.prior is None else self.task.prior).cpu()
