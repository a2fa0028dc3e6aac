"""The disparity of margins between the head and one that contradicts it on the target.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features, ``K`` classes.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import wrong
from ..maths import ReverseGradient
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_features, check_weight, classes, critic, guesses, ramp, sides


class MDD(nn.Module):
    r"""Learn labels on the source, with features on which no second head agrees there and contradicts here.

    A second head learns to say what the first says on the source, and anything else on the target. The
    reversed gradient of its loss, times :math:`\lambda_p` (the ramp of ``DANN``), trains the backbone to
    prevent it. With :math:`\hat y` the first head's answers and :math:`\sigma` the second's probabilities:

    .. math:: L_y + \gamma \, \overline{-\ln \sigma_{\hat y}(R(f_\text{source}))}
        + \overline{-\ln (1 - \sigma_{\hat y}(R(f_\text{target})))}

    Args:
        task: a task of one class per row, whose head is trained.
        features: width ``D`` of the backbone's output, at least 1.
        hidden: width of the second head's two hidden layers, at least 1.
        weight: the end of the ramp, at least 0; it scales the reversed gradient.
        margin: :math:`\gamma`, above 0; its logarithm is the margin.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without; returns scalars ``label`` and
        ``disparity``, both in nats.

    Raises:
        ValueError: if an argument is out of its range, the task is no classification, or the backbone's
            features are not ``(B, D)``.

    Differs from the paper:
        the ramp of ``DANN`` ends at ``weight`` (the official code: at 0.1); the first head is as the
        task has it, and there is no bottleneck.

    Example:
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(nn.Linear(3, 8), {"photos": nn.Linear(8, 2)})
        >>> method = MDD(Task("photos", Multiclass(2), rows), features=8)
        >>> sorted(method(net, Shift(rows, Inputs(torch.randn(5, 3))), 0.5))
        ['disparity', 'label']

    References:
        Zhang et al. (ICML 2019), equations 27 to 30, https://arxiv.org/abs/1904.05801
    """

    def __init__(
        self, task: Task, *, features: int, hidden: int = 64, weight: float = 0.1, margin: float = 4.0
    ) -> None:
        super().__init__()
        check_weight(weight)
        if not 0 < margin < float("inf"):
            raise wrong("`margin`", expected="above 0 and finite", found=margin)
        self.task, self.features, self.weight, self.margin = task, features, weight, margin
        self.second = critic(features, hidden, classes(task))

    def forward(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label loss on the source and the second head's loss on both sides."""
        source, target = sides(net, batch, self.task)
        check_features(source, self.features)
        head = partial(net.answer, task=self.task.name)
        outputs = head(source)
        here, there = (guesses(self.task, z.detach()).argmax(1) for z in (outputs, head(target)))
        z = ReverseGradient.apply(torch.cat([source, target]), self.weight * ramp(progress))
        of_source, of_target = self.second(z).split([len(source), len(target)])
        others = of_target.masked_fill(F.one_hot(there, of_target.shape[1]).bool(), -torch.inf)
        contradicts = of_target.logsumexp(1) - others.logsumexp(1)  # -ln(1 - p), without a difference
        label = self.task.loss(outputs, batch.source.y)
        return {
            "label": label,
            "disparity": self.margin * F.cross_entropy(of_source, here) + contradicts.mean(),
        }
