"""A classifier for the user's own classes from a few rows of each."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

import numpy
import torch
from torch import Tensor, nn

from ..atomic import check_regular, current
from ..errors import unknown, wrong
from ..maths import size
from ..models import Adapted, Net, device_of, load, sealed
from ..models import heads as made
from ..models.fresh import copied
from ..models.saving import save_with
from ..records import sha256
from ..seams import TaskAdaptation
from ..tasks import Encoding, Label, Labelled, Multiclass, X
from ..tasks.finite import check_finite_rows
from ..tasks.kinds.missing import said
from ..tasks.nouns import as_tensors, convert, join, move, parts, rows, take
from ._inductive import inductive, with_outputs
from ._saved import build, describe

FILE = "fewshot.safetensors"


@dataclass(frozen=True)
class _Fitted:
    net: Net
    support: Labelled
    classes: tuple[Label, ...]


@final
class FewShot:
    """Classify rows into the user's own classes, learned from a few rows of each, and save the result.

    The net is copied and put in eval mode: every answer depends on its row alone, and the caller may go
    on training. The head of the adaptation's task gets one output per class. Where it has another number
    it starts from zeros, so that no class is preferred before the first gradient step. The support
    rows are kept, so that classes can be added and removed at any time, also after loading.

    An adaptation that moves the trunk does so by the statistics of the support rows in normalisation layers
    that train, as in meta-training; freeze them (``hs.models.fix_norms``) to keep those of pretraining.

    Rows may be tensors, arrays, lists of numbers, or mappings of these; with an encoding also what it makes
    rows of: frames, texts, images.

    Args:
        net: pretrained, or meta-trained with ``Episodic``.
        adaptation: any with a ``task``; ``save`` knows all of this library.
        encoding: how rows are made, as ``task.encoding`` says it, or its JSON; kept by ``save``.

    Raises:
        KeyError: if ``net`` has no head for the adaptation's task.
        TypeError: if ``adaptation`` is none that adapts a task's head, or a class in place of one.

    Example:
        >>> from headstart.meta import ProtoNet
        >>> from headstart.models import mlp
        >>> parts = FewShot(Net(mlp(2), {"parts": nn.Linear(40, 2)}), ProtoNet("parts"))
        >>> parts = parts.fit(torch.tensor([[0.0, 9.0], [9.0, 0.0], [1.0, 9.0]]), ["bolt", "nut", "bolt"])
        >>> parts.add_class("washer", torch.tensor([[-9.0, -9.0]])).classes
        ('bolt', 'nut', 'washer')
        >>> parts.predict(torch.tensor([[9.0, 0.0], [-9.0, -9.0]]))
        ['nut', 'washer']
        >>> parts.predict(torch.tensor([[9.0, 0.0], [400.0, 400.0]]), unknown="?")
        ['nut', '?']
    """

    def __init__(
        self, net: Net, adaptation: TaskAdaptation, *, encoding: Encoding | Mapping[str, Any] | None = None
    ) -> None:
        if isinstance(adaptation, type) or not hasattr(adaptation, "task"):
            raise wrong(
                "`adaptation`",
                expected="a way to adapt the head of a task",
                found=getattr(adaptation, "__name__", type(adaptation).__name__),
                hint='write `ProtoNet("TASK")`',
                error=TypeError,
            )
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

    def fit(self, x: Any, labels: Sequence[Label] | Tensor | numpy.ndarray) -> Self:
        """Learn classes from rows, as many of each as there are; forgets what was learned before.

        Args:
            x: rows ``(S, *)``.
            labels: one per row, strings or any integers.

        Returns:
            itself.

        Raises:
            ValueError: if there are no rows, fewer than two classes, not one label per row, a label is
                missing, or NaN or infinity is in a row.
            TypeError: if ``x`` is nothing that rows can be made of.
            FloatingPointError: if the steps of the adaptation diverge, or its answers are the same for all of
                these rows, as where features are too small to be told apart.
        """
        x = self._rows(x)
        names: list[Any] = [n.item() if isinstance(n, Tensor | numpy.generic) else n for n in labels]
        if len(names) != rows(x):
            raise wrong("`labels`", expected=f"one per row of `x` ({rows(x)})", found=len(names))
        if not names:
            raise wrong("`x`", expected="a few rows of each class", found="no rows")
        missing = [i for i, name in enumerate(names) if _nameless(name)]
        if missing:
            hint = "leave that row out"
            raise wrong(
                "`labels`", expected="strings or integers", found=f"none in row {missing[0]}", hint=hint
            )
        classes = Multiclass(tuple(dict.fromkeys(names)))
        self._adapt(Labelled(x, classes.encode(names)), classes.classes)
        return self

    def add_class(self, name: Label, x: Any) -> Self:
        """Learn one more class from its rows ``(S, *)``; the others keep theirs. Returns itself.

        Raises:
            ValueError: if the name is missing or there already, there are no rows, or NaN or infinity in one.
            RuntimeError: before ``fit``.
        """
        now, x = self._fitted(), self._rows(x)
        if _nameless(name):
            raise wrong("`name`", expected="a string or an integer", found=repr(name))
        if name in now.classes:
            raise wrong(
                "`name`",
                expected="a new class",
                found=repr(name),
                hint="to give a class more rows, call `fit` with all of them",
            )
        if rows(x) == 0:
            raise wrong("`x`", expected=f"at least 1 row of {name!r}", found="none")
        more = torch.full((rows(x),), len(now.classes))
        support = Labelled(join(now.support.x, move(x, "cpu")), torch.cat([now.support.y, more]))
        self._adapt(support, (*now.classes, name))
        return self

    def remove_class(self, name: Label) -> Self:
        """Forget a class with its rows; the others keep theirs. Returns itself.

        Raises:
            ValueError: if there is no such class, or fewer than two would be left.
            RuntimeError: before ``fit``.
        """
        now = self._fitted()
        if name not in now.classes:
            raise unknown("`name`", str(name), map(str, now.classes))
        if len(now.classes) == 2:
            raise wrong(
                "`name`", expected="one of three or more classes", found=f"one of {list(now.classes)}"
            )
        gone = now.classes.index(name)
        left = now.support.take((now.support.y != gone).nonzero().flatten())
        support = Labelled(left.x, left.y - (left.y > gone).long())
        self._adapt(support, tuple(c for c in now.classes if c != name))
        return self

    def predict_proba(self, x: Any, *, batch: int = 512) -> Tensor:
        """Return the probabilities of ``classes`` for rows ``(B, *)``, as ``(B, N)``, ``batch`` at a time."""
        return self._logits(self._new(x), batch).softmax(1)

    def predict(
        self, x: Any, *, batch: int = 512, unknown: Label | None = None, miss: float = 0.05
    ) -> list[Label]:
        """Return the likeliest class of each row, by the user's own label.

        Args:
            x: rows ``(B, *)``.
            batch: how many to answer at a time.
            unknown: what to answer for rows that look like none of the classes, see ``known``; ``None``
                answers a class in any case.
            miss: as in ``known``.
        """
        classes, x = self.classes, self._new(x)
        found = [classes[i] for i in said(self._logits(x, batch)).argmax(1).tolist()]
        if unknown is None:
            return found
        seen = self.known(x, batch=batch, miss=miss).tolist()
        return [label if there else unknown for label, there in zip(found, seen, strict=True)]

    def known(self, x: Any, *, batch: int = 512, miss: float = 0.05) -> Tensor:
        """Tell which rows look like those of the classes, as a mask ``(B,)``.

        A row is unknown where it is further from its nearest support row, in the features of the adapted
        net, than support rows are from one another: a threshold that about ``miss`` of new rows of the
        classes go beyond. With ``n`` support rows it cannot be lower than ``1 / (n + 1)``.

        Args:
            x: rows ``(B, *)``.
            batch: how many to look at at a time.
            miss: share of rows of the classes that may be called unknown, above 0 and below 1.

        Raises:
            ValueError: if ``miss`` is out of range.
            RuntimeError: before ``fit``.

        References:
            Vovk, Gammerman & Shafer (2005), conformal prediction, https://doi.org/10.1007/b106715
        """
        if not 0 < miss < 1:
            raise wrong("`miss`", expected="above 0 and below 1", found=miss)
        now = self._fitted()
        known = self._map(self._features, now.support.x, batch)
        apart = _distances(known, known).fill_diagonal_(torch.inf).amin(1).sort().values
        allowed = apart[min(len(apart), math.ceil((len(apart) + 1) * (1 - miss))) - 1]
        return self._map(
            lambda some: _distances(self._features(some), known).amin(1) <= allowed, self._new(x), batch
        )

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write a directory that ``FewShot.load`` reads; it is a model for ``headstart predict`` too.

        Raises:
            TypeError: if the adaptation, or its loss, is not one of this library.
            RuntimeError: before ``fit``.
        """
        now, task = self._fitted(), self.adaptation.task
        about, learned = describe(self.adaptation)
        after, own = now.net.state_dict(), f"heads.{task}."
        tensors = {
            f"base.{name}": value
            for name, value in self._base.state_dict().items()
            if name.startswith(own) or not torch.equal(value, after[name])
        }
        x = {f"x.{name}".rstrip("."): value for name, value in parts(now.support.x).items()}
        tensors |= {**x, "y": now.support.y} | {f"learned.{n}": value for n, value in learned.items()}
        data = sealed.pack(tensors)
        about |= {"head": made.describe(self._base.head(task)), "sha256": sha256(data)}
        kinds = {task: Multiclass(now.classes)}
        notes = {"fewshot": about}
        return save_with(now.net, directory, {FILE: data}, kinds=kinds, encoding=self.encoding, notes=notes)

    @classmethod
    def load(
        cls,
        directory: str | os.PathLike[str],
        *,
        backbone: nn.Module | None = None,
        base: nn.Module | None = None,
    ) -> FewShot:
        """Read what ``save`` wrote, on the CPU; predictions are the same to the bit.

        Rows are then tensors or arrays. ``hs.load(directory).few`` is the same classifier, and makes rows of
        frames, texts and images too, as its encoding says.

        Args:
            directory: that was given to ``save``.
            backbone: a module to fill, where the saved one was not built by ``hs.backbone``.
            base: whose weights the model points to, as for ``hs.models.load``.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a file is damaged, or the directory holds another model.
        """
        saved = load(directory, backbone=backbone, base=base)
        path = current(Path(directory) / FILE)
        about = (saved.notes or {}).get("fewshot")
        if about is None:
            raise wrong(f'"{directory}"', expected="what `FewShot.save` wrote", found="another model")
        check_regular(path)
        tensors = sealed.unpack(path.read_bytes(), about["sha256"])
        if tensors is None:
            raise wrong(f'"{path}"', expected="as it was written", found="another content")
        (task, kind), *_ = saved.kinds.items()
        with torch.random.fork_rng(devices=[]):  # weights that are drawn here are overwritten
            # Releases up to 0.2 kept no description: there, the head is one like that of now.
            head = made.build(about["head"]) if about.get("head") else saved.net.head(task)
        base = Adapted(Net(saved.net.backbone, {task: head}), task, _part(tensors, "base")).export()
        adaptation = build(about, _part(tensors, "learned"), base)
        self = cls(base, adaptation, encoding=saved.encoding)
        support = Labelled(tensors.get("x", _part(tensors, "x")), tensors["y"])
        self._now = _Fitted(saved.net, support, kind.classes)
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

    def _rows(self, x: Any) -> X:
        """Make rows of whatever the caller has; tensors are rows already."""
        if isinstance(self.encoding, Encoding) and not isinstance(x, Mapping):
            x = self.encoding.rows(x)
        elif self.encoding is not None and not isinstance(x, Tensor | Mapping | numpy.ndarray):
            hint = "take `hs.load(DIRECTORY).few`, which makes rows of anything"
            found = type(x).__name__
            raise wrong(
                "`x`", expected="rows in a tensor or an array", found=found, hint=hint, error=TypeError
            )
        ready = convert(as_tensors(x), Tensor.detach)
        check_finite_rows(ready, "`x`")
        return ready

    def _new(self, x: Any) -> X:
        """Make rows to be answered; ``ValueError`` where they are no rows such as were learned from."""
        x, known = self._rows(x), self._fitted().support.x
        for name, part in parts(x).items():
            learned = parts(known)[name].shape if name in parts(known) else None
            if learned is not None and part.ndim != len(learned):
                one = part.ndim + 1 == len(learned)
                expected, hint = f"rows of {list(learned[1:])}", "for one row pass `x[None]`" if one else ""
                raise wrong("`x`", expected=expected, found=f"shape {list(part.shape)}", hint=hint)
        return x

    def _logits(self, x: X, batch: int) -> Tensor:
        net, task = self._fitted().net, self.adaptation.task
        return self._map(lambda some: net(some, task), x, batch)

    def _features(self, x: X) -> Tensor:
        return self._fitted().net.features(x, self.adaptation.task)

    def _map(self, function: Any, x: X, batch: int) -> Tensor:
        """Call a function of rows on some of them at a time, on the net's device and without gradients."""
        device, some = device_of(self._fitted().net), torch.arange(rows(x)).split(batch)
        with torch.no_grad():
            return torch.cat([function(move(take(x, at), device)) for at in some])

    def _adapt(self, support: Labelled, classes: tuple[Label, ...]) -> None:
        here = support.to(device_of(self._base))
        start = with_outputs(self._base, self.adaptation, len(classes), take(here.x, slice(1)))
        net = inductive(self.adaptation, start, here)
        with torch.no_grad():
            z, logits = (f(here.x, self.adaptation.task) for f in (net.features, net))
        if (logits == logits[:1]).all() and (z != z[:1]).any():
            found = "one and the same for each of its rows"
            hint = f"features reach {z.abs().max():.1e}, which is little; scale the inputs"
            raise wrong(
                "answers for the support set",
                expected="to tell classes apart",
                found=found,
                hint=hint,
                error=FloatingPointError,
            )
        self._now = _Fitted(net, support.to("cpu"), classes)


def _nameless(name: Any) -> bool:
    return name is None or name != name


def _part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """List the tensors under a name, without it."""
    return {n.removeprefix(f"{name}."): t for n, t in tensors.items() if n.startswith(f"{name}.")}


def _distances(a: Tensor, known: Tensor) -> Tensor:
    """Measure how far rows are from known ones, in units of these, as squares of numbers may overflow."""
    unit = size(known.abs().amax())
    return torch.cdist(a / unit, known / unit, compute_mode="donot_use_mm_for_euclid_dist")
