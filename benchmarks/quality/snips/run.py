"""What is asked, and which words say what (SNIPS): intents and slots, in one net or in two, from new weights.

13,084 queries to learn from, 700 to choose by and 700 to be asked about. The net has a vector for each
word, for its first three and its last two, three and four letters and its capitals, four convolutions over
neighbours, and a head for each task. Words are learned without now and then, rare ones more often, so that
it learns to read on by letters and neighbours. Tags are read off together: the head of slots knows how well
one tag follows another, and that none but those of one slot go on with it (``models.Chain``). Nothing is
pretrained. The settings were chosen on the valid part; the weights at the end of training are asked, once.
Scored by the accuracy of intents and the F1 of slots, in per cent, over three seeds. ::

    python benchmarks/quality/snips/run.py [WAY ...]

Goes on with what is not in ``figures.json`` beside this file. Needs ``HEADSTART_DATA``; about 35 minutes
of one thread.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import t
from torch import Tensor, nn

import headstart as hs
from headstart.atomic import write_atomic
from headstart.models import Chain
from headstart.models.net import Trunk
from headstart.multitask import Uncertainty, Weights, weighted
from headstart.tasks import Task
from headstart.tasks.spelling import unspelled, written

FILE = Path(__file__).with_name("figures.json")
SEEDS, PASSES, BATCH, RATE = range(3), 18, 64, 4e-3
WORDS, LETTERS, WIDTH, DEPTH, BUCKETS = 64, 24, 128, 4, 4096
INTENT, SLOTS = "snips_intent", "snips_slots"
WAYS = ("hard+weights", "single", "hard+uncertainty")


class Queries(Trunk):
    """Read queries: ``(B, L)`` to features of the whole ``(B, D)`` for intents, of each word for slots."""

    joint = True
    reads_spelling = True

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.settings, self.width = {}, WIDTH
        counts = torch.bincount(unspelled(x).flatten().clamp(min=0))
        self.register_buffer("missed", (0.4 / (0.4 + counts)).clamp(min=0.1))  # seen once: in 2 of 7
        self.words = nn.Embedding(len(counts), WORDS, padding_idx=0)
        self.letters = nn.ModuleList(nn.Embedding(BUCKETS, LETTERS) for _ in range(5))
        self.into = nn.Linear(WORDS + LETTERS * len(self.letters), WIDTH)
        self.blocks = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 3, padding=1) for _ in range(DEPTH))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(DEPTH))
        self.look = nn.Linear(WIDTH, 1)
        self.dropout, self.blur = nn.Dropout(0.35), nn.Dropout(0.4)
        with torch.no_grad():
            for table in (self.words, *self.letters):
                table.weight *= 0.3

    def width_for(self, task: str) -> int:
        return 2 * WIDTH if task == SLOTS else WIDTH

    def read(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give the state of each word, a mean of them that says what counts, and where words are."""
        words = unspelled(x).clamp(min=0)
        there = words > 0
        there = there[:, : int(there.sum(1).max())]
        # One behind the other in one line, with a gap behind each, so that no padding is computed.
        line = F.pad(there, (0, 1))
        kept = F.pad(there, (1, 0), value=True)
        words, first, last, marks = (
            F.pad(v[:, : there.shape[1]], (0, 1))[kept] for v in (words, *written(x))
        )
        real = line[kept]
        if self.training:  # so that words which training never had are met
            words = torch.where(torch.rand(words.shape) < self.missed[words], 1, words) * real
        codes = (first, last, last % 32**3, last % 32**2, marks)
        spelled = [
            table(code * 2654435761 % 2**32 % BUCKETS)
            for table, code in zip(self.letters, codes, strict=True)
        ]
        states = self.into(self.blur(torch.cat([self.words(words), *spelled], 1)))
        for block, norm in zip(self.blocks, self.norms, strict=True):
            around = block((norm(states) * real[:, None]).T[None])[0].T
            states = states + self.dropout(F.relu(around))
        by_row = states.new_zeros(*there.shape, WIDTH).masked_scatter(there[:, :, None], states[real])
        shares = self.look(by_row).squeeze(2).masked_fill(~there, -1e9).softmax(1)
        return by_row, torch.einsum("bl,bld->bd", shares, by_row), there

    def forward(self, x, task: str | None, progress: float = 0.0):
        if task is not None:
            return self.features_for(self.read(x), task, x.shape[1])
        (rows,) = {id(some): some for some in x.values()}.values()
        found = self.read(rows)
        return {name: self.features_for(found, name, rows.shape[1]) for name in x}, {}

    def features_for(self, found: tuple[Tensor, Tensor, Tensor], task: str, length: int) -> Tensor:
        states, whole, there = found
        if task == INTENT:
            return whole
        each = torch.cat([states, whole[:, None].expand_as(states)], 2)
        return F.pad(each * there[:, :, None], (0, 0, 0, length - each.shape[1]))

    def places(self, x: Tensor) -> Tensor:
        """Return the features of each word."""
        return self.features_for(self.read(x), SLOTS, x.shape[1])


def head(task: Task, width: int) -> nn.Module:
    return Chain(width, task.kind.classes) if task.name == SLOTS else task.kind.head(width)


def scored(net: hs.Net, tasks: Sequence[Task], part: str) -> dict[str, float]:
    """Tell accuracy and F1 on a part, in per cent."""
    net.eval()
    found = {}
    for task in tasks:
        rows = getattr(task, part)
        with torch.no_grad():
            answers = torch.cat([net(x, task.name) for x in rows.x.split(350)])
        measure = "accuracy" if task.name == INTENT else "span_f1"
        p, y, _ = task.kind.scored(answers, rows.y)
        weights = torch.ones(1, len(y), dtype=torch.float64)
        found[task.name] = 100 * task.kind.measures()[measure](p, y, weights).item()
    return found


def once(tasks: Sequence[Task], seed: int, way: str, part: str = "test") -> dict[str, float]:
    """Train one net on one or both tasks; give its scores on a part."""
    torch.manual_seed(seed)
    backbone = Queries(tasks[0].train.x)
    net = hs.Net(backbone, {task.name: head(task, backbone.width_for(task.name)) for task in tasks})
    combine = weighted(
        Uncertainty([task.name for task in tasks])
        if way == "hard+uncertainty"
        else Weights({task.name: 1.0 + (task.name == SLOTS) for task in tasks})
    )
    stream = hs.batches(tasks, BATCH, generator=torch.Generator().manual_seed(seed))
    steps = PASSES * (len(tasks[0].train.y) // BATCH)
    learned = [*net.parameters(), *combine.parameters()]
    optimizer = torch.optim.AdamW(learned, lr=RATE, weight_decay=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps + 1, cycle_momentum=False
    )
    hs.fit(
        net, stream, hs.Supervised(*tasks), steps=steps, optimizer=optimizer, scheduler=schedule,
        combine=combine, progress=False,
    )  # fmt: skip
    return scored(net, tasks, part)


def summary(scores: list[float]) -> dict[str, float]:
    half = (
        t.ppf(0.975, len(scores) - 1) * np.std(scores, ddof=1) / np.sqrt(len(scores))
        if len(scores) > 1
        else 0.0
    )
    return {"mean": round(float(np.mean(scores)), 2), "half over seeds": round(float(half), 2)}


def main() -> None:
    torch.set_num_threads(1)
    tasks = hs.datasets.read("snips")
    for way in sys.argv[1:] or WAYS:
        for seed in SEEDS:
            done = json.loads(FILE.read_text()) if FILE.exists() else {}
            here = done.setdefault(way, {"seeds": {}})["seeds"]
            if str(seed) in here:
                continue
            began, told = time.process_time(), {}
            for group in [[task] for task in tasks] if way == "single" else [tasks]:
                told |= once(group, seed, way)
            done = json.loads(FILE.read_text()) if FILE.exists() else {}  # others may have gone on
            here = done.setdefault(way, {"seeds": {}})["seeds"]
            here[str(seed)] = {key: round(value, 2) for key, value in told.items()}
            here[str(seed)]["seconds"] = round(time.process_time() - began)
            done[way] |= {name: summary([one[name] for one in here.values()]) for name in (INTENT, SLOTS)}
            write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
            print(way, seed, here[str(seed)], flush=True)


if __name__ == "__main__":
    main()
