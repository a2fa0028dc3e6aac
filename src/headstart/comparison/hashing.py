"""What a task's rows are, in one hash, so that a directory is only continued by its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from ..engine import seeded
from ..models.hashing import as_bytes
from ..tasks import Task
from ..tasks.nouns import Lazy, tensors

LOOKED_AT = 64  # rows of a dataset that are hashed, since reading all might take hours


def rows_hash(task: Task) -> str:
    """Hash the rows of a task, and what is asked of them."""
    digest = hashlib.sha256(f"{task.name} {task.kind}".encode())
    for name, part in (
        ("train", task.train), ("valid", task.valid), ("test", task.test), ("unlabelled", task.unlabelled),
    ):  # fmt: skip
        if part is not None:
            digest.update(f"{name} {len(part)}".encode())
            for tensor in tensors(part) if part.held else _read_twice(part):
                digest.update(as_bytes(tensor).numpy().data)
    if task.prior is not None:
        digest.update(as_bytes(task.prior).numpy().data)
    return digest.hexdigest()


def _read_twice(data: Lazy) -> Iterator[Tensor]:
    """Give some rows of a dataset, those that are the same whenever they are read."""
    places = {len(data) * i // LOOKED_AT for i in range(LOOKED_AT)} if len(data) else set()
    for place in sorted(places):
        with seeded(0):
            once, again = (tensors(data.take(torch.tensor([place]))) for _ in range(2))
        yield from (a for a, b in zip(once, again, strict=True) if torch.equal(a, b))
