"""What one training gave for one target, scored on its test rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.splits import fingerprints
from ..models import Net, Trunk, count_parameters, save
from ..models.net import as_backbone
from ..strategies import Starts, Trained
from ..tasks import Task
from ..tasks.kinds import present
from . import alarms, calibration, planes

CURVE_POINTS = 200
REMEMBERED = 100_000  # training rows that a model can tell again, so that it is not measured on them
PIECE = 128  # rows whose outputs at all places are held at once
CONFUSED = 30  # classes of the largest matrix that is kept


@dataclass(frozen=True, eq=False)
class Learned:
    """What one training gave for one target; its test rows are touched when ``record`` is asked for."""

    target: Task
    trained: Trained
    seconds: float
    starts: Starts
    metric: str
    temperature: float | None = None
    before: float | None = None  # calibration error of the answers as they were trained
    sources: tuple[Task, ...] = ()  # with the target's classes, where it has bare rows and no label

    def cooled(self, temperature: float | None) -> Learned:
        """Divide the head's outputs by a temperature, if there is one; no answer changes by it."""
        if temperature is None:
            return self
        net, name = self.trained.net, self.target.name
        head = calibration.cooled(net.heads[name], temperature, self.target.kind.outputs)
        answers = Net(net.backbone, {**net.heads, name: head})
        answers.training = net.training
        trained = dataclasses.replace(self.trained, net=answers)
        return dataclasses.replace(self, trained=trained, temperature=temperature, before=self._ece)

    @property
    def _ece(self) -> float | None:
        outputs, y = self._said
        return calibration.error(self.target.kind, outputs, y)

    @property
    def record(self) -> dict[str, Any]:
        """Facts for the trial's file."""
        target, answers = self.target, self._said[0]
        y = torch.from_numpy(self.truth["y"])
        measures = measured(target, answers, y)
        return {
            "seconds": self.seconds,
            "trained_parameters": count_parameters(self.trained.net),
            "score": measures[self.metric],
            "measures": measures,
            "one_answer": _one_answer(target, answers),
            "curves": {phase: _thin(values) for phase, values in self.trained.curves.items()},
            "confusion": _confusion(target, answers, y),
            "told": dict(self.trained.told),
            "rows": int(target.train.present().sum()),
            "unlabelled": self._unlabelled,
            "temperature": self.temperature,
            "ece": None if self.temperature is None else [self.before, self._ece],
        }

    @property
    def answers(self) -> NDArray[Any]:
        """What was said of each test row."""
        return self.target.kind.stored(self._said[0]).numpy()

    @property
    def truth(self) -> dict[str, NDArray[Any]]:
        """The test rows' labels, and their groups where they have some."""
        rows = self.target.test
        grouped = rows is not None and rows.held and rows.group is not None
        return {"y": self._said[1].numpy()} | ({"group": rows.group.cpu().numpy()} if grouped else {})  # type: ignore[union-attr]

    @property
    def _unlabelled(self) -> dict[str, Any] | None:
        """Say what the alarms ask of answers to unlabelled rows, where no row of the target has a label."""
        target = self.target
        if target.unlabelled is None or not target.kind.exclusive or target.train.present().any():
            return None
        x = alarms.some(target.unlabelled)
        return alarms.seen(target.kind, self.starts.predict(self.trained.net, target.name, x))

    @cached_property
    def _said(self) -> tuple[Tensor, Tensor]:
        """Outputs as they are kept, so that scores can be found again, and labels."""
        target = self.target
        assert target.test is not None
        outputs, y = outputs_of(self.starts, self.trained.net, target, target.test)
        return target.kind.stored(outputs).float(), y

    @property
    def picture(self) -> str:
        """There is nothing to be seen at work."""
        return ""

    @property
    def plane(self) -> dict[str, Any]:
        """Features of the sources' rows and of the target's bare ones, on a plane."""
        return planes.of_net(self.trained, self.target, self.sources) if self.sources else {}

    def save(self, directory: Path, notes: Mapping[str, Any]) -> None:
        """Write the model: the net with this target's head alone."""
        net, target = self.trained.net, self.target
        if target.train.held and len(target.train) <= REMEMBERED:
            notes = {**notes, "trained": fingerprints(target.train.known())}
        about = as_backbone(net.backbone)
        backbone = about.alone(target.name) if isinstance(about, Trunk) else net.backbone
        alone = Net(backbone, {target.name: net.heads[target.name]})
        save(alone, directory, kinds={target.name: target.kind}, encoding=target.encoding, notes=notes)


def outputs_of(starts: Starts, net: Net, task: Task, data: Any) -> tuple[Tensor, Tensor]:
    """Return outputs and targets, on the CPU; of answers at places only what is stored of the outputs."""
    if data.held and not task.kind.per_row:
        parts = [data.take(at) for at in torch.arange(len(data)).split(PIECE)]
        said = [task.kind.stored(starts.predict(net, task.name, part.x).cpu()) for part in parts]
        return torch.cat(said).float(), data.y.cpu()
    if data.held:
        return starts.predict(net, task.name, data.x).cpu(), data.y.cpu()
    parts = [data.take(at) for at in torch.arange(len(data)).split(128)]
    outputs = [starts.predict(net, task.name, part.x).cpu() for part in parts]
    return torch.cat(outputs), torch.cat([part.y for part in parts])


def score_of(starts: Starts, net: Net, task: Task, data: Any, metric: str) -> float:
    """Score what a net says of rows."""
    return measured(task, *outputs_of(starts, net, task, data), metric)[metric]


def measured(task: Task, outputs: Tensor, y: Tensor, *names: str) -> dict[str, float]:
    """Return some measures of a head's outputs, or all; NaN where one is not defined."""
    p, t, _ = task.kind.scored(outputs, y)
    w = torch.ones(1, len(t), dtype=torch.float64)
    known = task.kind.measures()
    return {name: known[name](p, t, w).item() if len(t) else float("nan") for name in names or known}


def _thin(values: Sequence[float]) -> list[float]:
    step = max(1, len(values) // CURVE_POINTS)
    return [float(f"{v:.5g}") for v in values[::step]]


def _one_answer(task: Task, outputs: Tensor) -> bool:
    """Tell whether every row gets the same class."""
    return task.kind.exclusive and len(outputs) > 1 and len(set(task.kind.decode(outputs))) == 1


def _confusion(task: Task, outputs: Tensor, y: Tensor) -> list[list[int]] | None:
    """Count test rows by class (rows of the matrix) and answer (columns)."""
    kind, size = task.kind, len(task.kind.classes)
    if not kind.exclusive or size > CONFUSED:
        return None
    there = present(y)
    answers = kind.encode(kind.decode(outputs[there]))
    pairs = kind.numbers(y[there]) * size + kind.numbers(answers)
    return pairs.bincount(minlength=size * size).reshape(size, size).tolist()
