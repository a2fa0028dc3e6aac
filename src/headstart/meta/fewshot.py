"""A classifier for the user's own classes from a few rows of each."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from ..atomic import write_atomic
from ..errors import unknown, wrong
from ..models import Adapted, Net, device_of, load, save, sealed
from ..models.fresh import copied
from ..seams import TaskAdaptation
from ..tasks import Encoding, Label, Labelled, Multiclass, X
from ..tasks.finite import check_finite_rows
from ..tasks.nouns import join, move, parts, rows, take
from ._maml import MAML
from ._protonet import ProtoNet

FILE = "fewshot.safetensors"
ADAPTATIONS: dict[str, Callable[..., TaskAdaptation]] = {"MAML": MAML, "ProtoNet": ProtoNet}
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"cross_entropy": cross_entropy, "mse": mse_loss}


@dataclasses.dataclass(frozen=True)
class _Fitted:
    net: Net
    moved: tuple[str, ...]  # names of the weights that the adaptation set
    support: Labelled
    classes: tuple[Label, ...]


@final
class FewShot:
    """Classify rows into the user's own classes, learned from a few rows of each, and save the result.

    The net is copied and put in eval mode: every answer depends on its row alone, and the caller may go
    on training. The head of the adaptation's task gets one output per class. Where it has another number
    it starts from zeros, so that no class is preferred before the first gradient step. The support
    rows are kept, so that classes can be added at any time, also after loading.

    Args:
        net: pretrained, or meta-trained with ``Episodic``.
        adaptation: ``ProtoNet``, ``MAML`` or any other with a ``task``; ``save`` knows those two.
        encoding: how rows are made, as ``task.encoding`` says it, or its JSON; kept by ``save``.

    Raises:
        KeyError: if ``net`` has no head for the adaptation's task.

    Example:
        >>> from headstart.models import mlp
        >>> parts = FewShot(Net(mlp(2), {"parts": nn.Linear(40, 2)}), ProtoNet("parts"))
        >>> parts = parts.fit(torch.tensor([[0.0, 9.0], [9.0, 0.0], [1.0, 9.0]]), ["bolt", "nut", "bolt"])
        >>> parts.add_class("washer", torch.tensor([[-9.0, -9.0]])).classes
        ('bolt', 'nut', 'washer')
        >>> parts.predict(torch.tensor([[9.0, 0.0], [-9.0, -9.0]]))
        ['nut', 'washer']
    """

    def __init__(
        self, net: Net, adaptation: TaskAdaptation, *, encoding: Encoding | Mapping[str, Any] | None = None
    ) -> None:
        head = net.head(adaptation.task)
        self.adaptation, self.encoding = adaptation, encoding
        self._base = copied(Net(net.backbone, {adaptation.task: head})).eval()
        self._now: _Fitted | None = None

    @property
    def classes(self) -> tuple[Label, ...]:
        """The classes, in the order in which they first came."""
        return self._fitted().classes

    @property
    def net(self) -> Net:
        """The net that answers now, with the weights that were learned."""
        return self._fitted().net

    def fit(self, x: X, labels: Sequence[Label] | Tensor | numpy.ndarray) -> Self:
        """Learn classes from rows, as many of each as there are; forgets what was learned before.

        Args:
            x: rows ``(S, *)``.
            labels: one per row, strings or any integers.

        Returns:
            itself.

        Raises:
            ValueError: if there are fewer than two classes, not one label per row, or NaN or infinity in one.
        """
        check_finite_rows(x, "`x`")
        names: list[Any] = [n.item() if isinstance(n, Tensor | numpy.generic) else n for n in labels]
        if len(names) != rows(x):
            raise wrong("`labels`", expected=f"one per row of `x` ({rows(x)})", found=len(names))
        classes = Multiclass(tuple(dict.fromkeys(names)))
        self._adapt(Labelled(x, classes.encode(names)), classes.classes)
        return self

    def add_class(self, name: Label, x: X) -> Self:
        """Learn one more class from its rows ``(S, *)``; the others keep theirs. Returns itself.

        Raises:
            ValueError: if the class is there already, there are no rows, or NaN or infinity in one.
            RuntimeError: before ``fit``.
        """
        now = self._fitted()
        if name in now.classes:
            raise wrong(
                "`name`",
                expected="a new class",
                found=repr(name),
                hint="to give a class more rows, call `fit` with all of them",
            )
        if rows(x) == 0:
            raise wrong("`x`", expected=f"at least 1 row of {name!r}", found="none")
        check_finite_rows(x, "`x`")
        more = torch.full((rows(x),), len(now.classes))
        support = Labelled(join(now.support.x, move(x, "cpu")), torch.cat([now.support.y, more]))
        self._adapt(support, (*now.classes, name))
        return self

    def predict_proba(self, x: X, *, batch: int = 512) -> Tensor:
        """Return the probabilities of ``classes`` for rows ``(B, *)``, as ``(B, N)``, ``batch`` at a time."""
        net, task = self._fitted().net, self.adaptation.task
        parts = torch.arange(rows(x)).split(batch)
        with torch.no_grad():
            return torch.cat([net(move(take(x, at), device_of(net)), task).softmax(1) for at in parts])

    def predict(self, x: X, *, batch: int = 512) -> list[Label]:
        """Return the likeliest class of each row, by the user's own label."""
        classes = self.classes
        return [classes[i] for i in self.predict_proba(x, batch=batch).argmax(1).tolist()]

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write a directory that ``FewShot.load`` reads; it is a model for ``headstart predict`` too.

        Raises:
            TypeError: if the adaptation, or its loss, is not one of this library.
            RuntimeError: before ``fit``.
        """
        now, task = self._fitted(), self.adaptation.task
        about = _describe(self.adaptation)
        tensors: dict[str, Tensor] = {
            f"base.{n}": p for n, p in self._base.named_parameters() if n in now.moved
        }
        x = {f"x.{name}".rstrip("."): value for name, value in parts(now.support.x).items()}
        tensors |= {**x, "y": now.support.y}
        data = sealed.pack(tensors)
        about |= {"moved": now.moved, "sha256": sealed.sha256(data)}
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        write_atomic(directory / FILE, data)
        kinds = {task: Multiclass(now.classes)}
        return save(now.net, directory, kinds=kinds, encoding=self.encoding, notes={"fewshot": about})

    @classmethod
    def load(cls, directory: str | os.PathLike[str], *, backbone: nn.Module | None = None) -> FewShot:
        """Read what ``save`` wrote, on the CPU; predictions are the same to the bit.

        Args:
            directory: that was given to ``save``.
            backbone: a module to fill, where the saved one was not built by ``hs.backbone``.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a file is damaged, or the directory holds another model.
        """
        saved, path = load(directory, backbone=backbone), Path(directory) / FILE
        about = (saved.notes or {}).get("fewshot")
        if about is None or not path.is_file():
            raise wrong(f'"{directory}"', expected="what `FewShot.save` wrote", found="another model")
        tensors = sealed.unpack(path.read_bytes(), about["sha256"])
        if tensors is None:
            raise wrong(f'"{path}"', expected="as it was written", found="another content")
        (kind,) = saved.kinds.values()
        adaptation = _build(about)
        base = {n.removeprefix("base."): t for n, t in tensors.items() if n.startswith("base.")}
        self = cls(Adapted(saved.net, adaptation.task, base).export(), adaptation, encoding=saved.encoding)
        named = {n.removeprefix("x."): t for n, t in tensors.items() if n.startswith("x.")}
        support = Labelled(tensors.get("x", named), tensors["y"])
        self._now = _Fitted(saved.net, tuple(about["moved"]), support, kind.classes)
        return self

    def _fitted(self) -> _Fitted:
        if self._now is None:
            raise wrong(
                "FewShot",
                expected="fitted first",
                found="no classes",
                hint="call `fit(x, labels)`",
                error=RuntimeError,
            )
        return self._now

    def _adapt(self, support: Labelled, classes: tuple[Label, ...]) -> None:
        device, task = device_of(self._base), self.adaptation.task
        here = support.to(device)
        with torch.no_grad():
            z = self._base.features(here.take(torch.tensor([0])).x, task)
            head = self._base.head(task)
            if head(z).shape[1] != len(classes):
                head = nn.utils.skip_init(nn.Linear, z.shape[1], len(classes), device=device, dtype=z.dtype)
                head.weight.zero_()
                head.bias.zero_()
            adapted = self.adaptation(Net(self._base.backbone, {task: head}).eval(), here)
            net = adapted.export().eval()
        self._now = _Fitted(net, tuple(adapted.weights), support.to("cpu"), classes)


def _describe(adaptation: TaskAdaptation) -> dict[str, Any]:
    name = type(adaptation).__name__
    if ADAPTATIONS.get(name) is not type(adaptation):
        hint = "save `adapted.export()` with `hs.models.save` instead"
        raise wrong(
            "adaptation", expected=f"one of {sorted(ADAPTATIONS)}", found=name, hint=hint, error=TypeError
        )
    settings = {f.name: getattr(adaptation, f.name) for f in dataclasses.fields(adaptation)}
    if "loss" in settings:
        known = [n for n, loss in LOSSES.items() if loss is settings["loss"]]
        if not known:
            found = repr(settings["loss"])
            raise wrong(
                "`loss` to be saved", expected=f"one of {sorted(LOSSES)}", found=found, error=TypeError
            )
        settings["loss"] = known[0]
    return {"adaptation": name, "settings": settings}


def _build(about: Mapping[str, Any]) -> TaskAdaptation:
    if about["adaptation"] not in ADAPTATIONS:
        raise unknown("adaptation", about["adaptation"], ADAPTATIONS)
    settings = dict(about["settings"])
    if "loss" in settings:
        settings["loss"] = LOSSES[settings["loss"]]
    return ADAPTATIONS[about["adaptation"]](**settings)
