"""What is asked, and which words say what (SNIPS): intents and slots, in one net or in two, from new weights.

13,084 queries to learn from, 700 to choose by and 700 to be asked about. The net has a vector for each
word, for its first three and its last two, three and four letters and its capitals, four convolutions over
neighbours, and a head for each task; the slot of a word is read off its own state and what the query is
about as a whole. Nothing is pretrained. Scored by the accuracy of intents and the F1 of slots, in per cent,
over three seeds; of each run the pass that is best on the valid part is asked. ::

    python benchmarks/quality/snips/run.py

Goes on with what is not in ``figures.json`` beside this file. Needs ``HEADSTART_DATA``; about ten minutes
of one thread.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t
from torch import Tensor, nn

import headstart as hs
from headstart.atomic import write_atomic
from headstart.models.net import Trunk
from headstart.tasks import Task
from headstart.tasks.spelling import unspelled, written

FILE = Path(__file__).with_name("figures.json")
SEEDS, PASSES, BATCH, RATE = range(3), 8, 64, 4e-3
WORDS, LETTERS, WIDTH, DEPTH, BUCKETS = 64, 24, 128, 4, 4096
INTENT, SLOTS = "snips_intent", "snips_slots"


class Queries(Trunk):
    """Read queries: ``(B, L)`` to features of the whole ``(B, D)`` for intents, of each word for slots."""

    joint = True
    reads_spelling = True

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.settings, self.width = {}, WIDTH
        self.words = nn.Embedding(vocabulary, WORDS, padding_idx=0)
        self.letters = nn.ModuleList(nn.Embedding(BUCKETS, LETTERS) for _ in range(5))
        inputs = WORDS + LETTERS * len(self.letters)
        self.into = nn.Linear(inputs, WIDTH)
        self.blocks = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 3, padding=1) for _ in range(DEPTH))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(DEPTH))
        self.look = nn.Linear(WIDTH, 1)
        self.dropout = nn.Dropout(0.3)
        with torch.no_grad():
            for table in (self.words, *self.letters):
                table.weight *= 0.3

    def width_for(self, task: str) -> int:
        return self.width * (1 + (task == SLOTS))

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give the state of each word, and a mean of them that says what counts."""
        words, (first, last, marks) = unspelled(x).clamp(min=0), written(x)
        there = words > 0
        length = there.sum(1)
        words, first, last, marks, there = (
            v[:, : int(length.max())] for v in (words, first, last, marks, there)
        )
        if self.training:  # so that words which training never had are met
            words = torch.where(torch.rand(words.shape) < 0.1, 1, words) * there
        codes = (first, last, last % 32**3, last % 32**2, marks)
        spelled = [
            table(code * 2654435761 % 2**32 % BUCKETS)
            for table, code in zip(self.letters, codes, strict=True)
        ]
        z = self.dropout(torch.cat([self.words(words), *spelled], 2))
        states, here = self.into(z), there[:, :, None]
        for block, norm in zip(self.blocks, self.norms, strict=True):
            around = block((norm(states) * here).transpose(1, 2)).transpose(1, 2)
            states = states + self.dropout(nn.functional.gelu(around))
        shares = self.look(states).squeeze(2).masked_fill(~there, -1e9).softmax(1)
        return states, torch.einsum("bl,bld->bd", shares, states)

    def forward(self, x, task: str | None, progress: float = 0.0):
        if task is not None:
            return self.features_for(self.read(x), task, x.shape[1])
        (rows,) = {id(some): some for some in x.values()}.values()
        found = self.read(rows)
        return {name: self.features_for(found, name, rows.shape[1]) for name in x}, {}

    def features_for(self, found: tuple[Tensor, Tensor], task: str, length: int) -> Tensor:
        states, whole = found
        if task == INTENT:
            return whole
        both = torch.cat([states, whole[:, None].expand_as(states)], 2)
        return nn.functional.pad(both, (0, 0, 0, length - both.shape[1]))

    def places(self, x: Tensor) -> Tensor:
        """Return the features of each word."""
        return self.features_for(self.read(x), SLOTS, x.shape[1])


def scored(net: hs.Net, tasks: list[Task], part: str) -> dict[str, float]:
    """Tell accuracy and F1 on a part, in per cent."""
    net.eval()
    found = {}
    for task in tasks:
        rows = getattr(task, part)
        with torch.no_grad():
            answers = [net(x, task.name) for x in rows.x.split(350)]
        if task.name == INTENT:
            found[task.name] = 100 * float((torch.cat(answers).argmax(1) == rows.y).double().mean())
        else:
            p, y, _ = task.kind.scored(torch.cat(answers), rows.y)
            weights = torch.ones(1, len(y), dtype=torch.float64)
            found[task.name] = 100 * task.kind.measures()["span_f1"](p, y, weights).item()
    net.train()
    return found


def once(tasks: list[Task], seed: int) -> dict[str, float]:
    """Train one net on one or both tasks; give the test scores of the pass that was best on valid."""
    torch.manual_seed(seed)
    backbone = Queries(int(unspelled(tasks[0].train.x).max()) + 1)
    net = hs.Net(backbone, {task.name: task.kind.head(backbone.width_for(task.name)) for task in tasks})
    stream = hs.batches(tasks, BATCH, generator=torch.Generator().manual_seed(seed))
    each = len(tasks[0].train.y) // BATCH
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=PASSES * each + 1, cycle_momentum=False
    )
    best, told = -1.0, {}
    for one in range(PASSES):
        hs.fit(
            net, stream, hs.Supervised(*tasks), steps=each, optimizer=optimizer, scheduler=schedule,
            progress=False,
        )  # fmt: skip
        if one >= PASSES // 2:
            held = sum(scored(net, tasks, "valid").values())
            if held > best:
                best, told = held, scored(net, tasks, "test")
    return told


def summary(scores: list[float]) -> dict[str, float]:
    half = (
        t.ppf(0.975, len(scores) - 1) * np.std(scores, ddof=1) / np.sqrt(len(scores))
        if len(scores) > 1
        else 0.0
    )
    return {"mean": round(float(np.mean(scores)), 2), "half over seeds": round(float(half), 2)}


def main() -> None:
    torch.set_num_threads(1)
    done = json.loads(FILE.read_text()) if FILE.exists() else {}
    tasks = hs.datasets.read("snips")
    for way in ("hard+sum", "single"):
        for seed in SEEDS:
            here = done.setdefault(way, {"seeds": {}})["seeds"]
            if str(seed) in here:
                continue
            began, told = time.process_time(), {}
            for group in [[task] for task in tasks] if way == "single" else [tasks]:
                told |= once(group, seed)
            here[str(seed)] = {key: round(value, 2) for key, value in told.items()}
            here[str(seed)]["seconds"] = round(time.process_time() - began)
            done[way] |= {name: summary([one[name] for one in here.values()]) for name in (INTENT, SLOTS)}
            write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
            print(way, seed, here[str(seed)], flush=True)


if __name__ == "__main__":
    main()
