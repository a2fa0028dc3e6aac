"""Saved models of every sort, small and not trained, and the data that they are for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from headstart.datasets import SplitSpec, read
from headstart.models import Net, mlp, save, textcnn
from headstart.tasks import Task

OLD = Path(__file__).parent / "old_model"
ALL = SplitSpec(test=0)


def net_for(*tasks: Task, trunk: torch.nn.Module, width: int) -> Net:
    """A net whose answers differ from row to row."""
    net = Net(trunk, {task.name: task.kind.head(width) for task in tasks})
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=1.0, generator=generator)
    return net


def saved(where: Path, *tasks: Task, encoding: object = None) -> Path:
    """Save an MLP for tasks that share their inputs."""
    net = net_for(*tasks, trunk=mlp(tasks[0].train.x[0].numel(), hidden=(8,)), width=8)
    kinds = {task.name: task.kind for task in tasks}
    return save(net, where, kinds=kinds, encoding=encoding or tasks[0].encoding)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A table of 24 parts, one with a gap."""
    path = tmp_path / "parts.csv"
    path.write_text((OLD / "parts.csv").read_text())
    return path


@pytest.fixture
def table(tmp_path: Path, parts: Path) -> Path:
    (task,) = read(f"csv:{parts}#part", split=ALL)
    return saved(tmp_path / "table", task)


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    words = ["good", "fine", "great", "bad", "poor", "sad"]
    rows = [f"a {words[i % 6]} film {words[(5 * i) % 6]},{'neg' if i % 6 > 2 else 'pos'}" for i in range(12)]
    path.write_text("\n".join(["text,label", *rows]))
    return path


@pytest.fixture
def text(tmp_path: Path, reviews: Path) -> Path:
    (task,) = read(f"text:{reviews}#label", split=ALL)
    trunk = textcnn(task.encoding.facts()["vocabulary"], embedding=4, filters=3)
    net = net_for(task, trunk=trunk, width=trunk.width)
    return save(net, tmp_path / "text", kinds={task.name: task.kind}, encoding=task.encoding)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of grey images of 6 by 5 pixels, four of each class."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(4):
            pixels = np.clip(rng.normal(level, 30, (6, 5)), 0, 255).astype(np.uint8)
            image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


@pytest.fixture
def images(tmp_path: Path, photos: Path) -> Path:
    (task,) = read(f"images:{photos}", split=ALL)
    return saved(tmp_path / "images", task)


def listed(photos: Path) -> list[Path]:
    return sorted(photos.rglob("*.png"))


def same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a, b)
