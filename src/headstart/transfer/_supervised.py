"""Supervised learning of one task, or of several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import wrong
from ..models import Net
from ..tasks import Labelled, Task


@dataclass(frozen=True, eq=False)
class Supervised:
    r"""Lower the loss of each task on its labelled rows.

    One task is plain training or fine-tuning. Several tasks on one backbone are hard parameter
    sharing; their losses come apart, so that a combine may weigh them.

    .. math:: L_k = \frac{1}{|B_k|} \sum_{(x, y) \in B_k} \ell_k(h_k(f(x)), y)

    A backbone that shares in a way of its own may have losses beside them (``multitask``: distances, costs),
    each an entry under its name and already weighed.

    A head with a ``loss`` of its own, such as ``models.Chain``, has that lowered in place of its kind's.

    A task that is absent from the batch, or has no label in it, gives no entry. Tasks that share the
    very same ``x`` share one pass through the backbone, unless it is a ``Trunk``, whose features
    depend on the task, or one task is of places and another is not.

    Args:
        tasks: tasks with distinct names, each with a head in the net.

    Shape:
        rows ``x (B, *)``, ``y (B, ...)`` by task name; returns one scalar per task, in the unit of
        its kind (nats, squared target units).

    Raises:
        ValueError: if there is no task, or two with one name.
        TypeError: if tasks come as a list, or the batch is not labelled rows by task name.

    Example:
        >>> import torch
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(torch.nn.Linear(3, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> losses = Supervised(Task("coins", Multiclass(2), rows))(net, {"coins": rows}, 0.0)
        >>> losses["coins"].shape
        torch.Size([])

    References:
        Caruana (Machine Learning 1997), Multitask learning, https://doi.org/10.1023/A:1007379606734
    """

    tasks: tuple[Task, ...]

    def __init__(self, *tasks: Task) -> None:
        if any(isinstance(t, list | tuple) for t in tasks):
            raise wrong(
                "`tasks`",
                expected="one after another",
                found="a list of them",
                hint="Supervised(*tasks)",
                error=TypeError,
            )
        names = [t.name for t in tasks]
        if not names or len(set(names)) != len(names):
            raise wrong("`tasks`", expected="at least one task, with distinct names", found=names)
        object.__setattr__(self, "tasks", tasks)

    def __call__(self, net: Net, batch: Mapping[str, Labelled], progress: float) -> dict[str, Tensor]:
        """Return one loss per task that has a label in the batch."""
        if not isinstance(batch, Mapping):
            raise wrong(
                "batch",
                expected="labelled rows by task name",
                found=type(batch).__name__,
                hint="use `batches`",
                error=TypeError,
            )
        there = [
            (task, rows)
            for task in self.tasks
            if (rows := batch.get(task.name)) is not None and (rows.complete or rows.present().any())
        ]
        if not there:
            return {}
        features, own = net.together({task.name: rows.x for task, rows in there}, progress)
        losses = {task.name: net.loss(features[task.name], task, rows) for task, rows in there}
        if both := own.keys() & losses.keys():
            found, hint = sorted(both), "give the task another name"
            raise wrong(
                "losses of the backbone", expected="of names that no task has", found=found, hint=hint
            )
        return losses | own
