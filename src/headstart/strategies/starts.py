"""Nets that several trials start from, each made once, and what a frozen one says of each row."""

from __future__ import annotations

import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from ..engine import FeatureStore, cached_features, predict
from ..models import Net
from ..models.fresh import copied
from ..models.net import Given
from ..tasks import X

Marks = tuple[tuple[int, float], ...]
Curves = dict[str, list[float]]


class Starts:
    """Keep the nets that trials of one seed start from, and the features of frozen ones.

    Args:
        store: where features of frozen backbones are kept, each row once; ``None`` computes them anew.

    Attributes:
        spared: seconds of training that kept nets saved their callers, so that the cost of a strategy
            can be told with its start included.
    """

    def __init__(self, store: FeatureStore | None = None) -> None:
        self.store = store
        self.spared = 0.0
        self._made: dict[str, tuple[Net, Curves, float]] = {}
        self._keys: dict[str, str] = {}
        self._origins: WeakKeyDictionary[nn.Module, tuple[str, Marks]] = WeakKeyDictionary()

    def anew(self) -> Starts:
        """Make one for the same rows that keeps other nets."""
        return Starts(self.store)

    def get(self, name: str, make: Callable[[], tuple[Net, Curves]]) -> tuple[Net, Curves]:
        """Return a copy of the net, and the losses, that ``make`` gave when ``name`` was first asked for."""
        if name in self._made:
            self.spared += self._made[name][2]
        else:
            start, before = time.perf_counter(), self.spared
            made = make()
            self._made[name] = *made, time.perf_counter() - start + self.spared - before
        net, curves = copied(self._made[name][0]), self._made[name][1]
        self.knows(net.backbone, name)
        return net, dict(curves)

    def knows(self, backbone: nn.Module, name: str) -> None:
        """Take note that a backbone has, as long as nobody trains it, the weights of the start ``name``."""
        self._origins[backbone] = name, _marks(backbone)

    def features(self, net: Net, x: X, task: str) -> Tensor:
        """Return the features of a frozen backbone, ``(n, D)``, each distinct row computed once.

        Raises:
            ValueError: if the backbone is not frozen, or would give other features the next time.
        """
        if self.store is None:
            return cached_features(net, x, task=task)
        return self.store.features(net, self._key(net.backbone) or self.store.key(net.backbone), x, task=task)

    def predict(self, net: Net, task: str, x: X) -> Tensor:
        """Return a head's outputs, over kept features where the backbone is as it was made."""
        if self.store is None or self._key(net.backbone) is None or not _frozen(net.backbone):
            return predict(net, task, x, progress=False)
        head = Net(Given(), {task: net.head(task)})
        return predict(head, task, self.features(net, x, task), progress=False)

    def _key(self, backbone: nn.Module) -> str | None:
        """Give the key of a backbone's start, where the weights are still those."""
        name, marks = self._origins.get(backbone, ("", ()))
        if self.store is None or not name or marks != _marks(backbone):
            return None
        if name not in self._keys:
            self._keys[name] = self.store.key(backbone)
        return self._keys[name]


def _marks(module: nn.Module) -> Marks:
    """Mark each tensor of a module by its writes and its sum: a step of a fused optimizer counts no write."""
    tensors = (*module.parameters(), *module.buffers())
    return tuple((t._version, float(t.detach().sum())) for t in tensors)


def _frozen(module: nn.Module) -> bool:
    return not any(p.requires_grad for p in module.parameters())
