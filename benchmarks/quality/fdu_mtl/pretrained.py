"""Sentiment in 16 domains of reviews (FDU-MTL) by a pretrained encoder of sentences, beside counted words.

As in ``run.py``, from 64 train rows of each domain (three draws), from 256 and from all. The encoder is
MiniLM, frozen; it reads at most 256 pieces of a review, its own limit. Features are those of its last block,
or of the block that is chosen. Every review goes through it once, and its features at all blocks are kept in
``FOLDER``.

Lines are logistic regressions, on counted words (as in ``run.py``) support vectors; nets have one layer on
the features, shared or shared and private, and a head for each domain. What is set is chosen on train rows:
from few by five folds (steps of nets by one), from all on the held fifth of ``run.py``; the block by a
pooled line. ::

    python benchmarks/quality/fdu_mtl/pretrained.py FOLDER

Goes on with what is not in ``figures.json`` beside this file, under ``pretrained``. Needs ``HEADSTART_DATA``
and ``headstart weights minilm``; of one thread 9 minutes to read the reviews for 64 and 256 rows, 12 more for
all of them, and 6 for the rest.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer
from torch import nn

import headstart as hs
from headstart.atomic import write_atomic
from headstart.engine import FeatureStore
from headstart.models import AtAllCuts, freeze, widths
from headstart.models.sharing import SharedPrivate
from headstart.tasks import Labelled, Multiclass, Task

sys.path.insert(0, str(Path(__file__).parent))
import run
from run import DOMAINS, FILE, SEEDS, counted, doubled, interval, lines

BACKBONE, GROUP, PIECES = "wheel:minilm", 512, 256
CS, OF_COUNTS, LEASTS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0), (0.1, 0.3, 1.0, 3.0), (2, 4, 8)
STEPS, RATE, WIDTH, OWN = (100, 200, 400), 4e-3, 64, 16
KIND = Multiclass(2)


@cache
def rows(part: str) -> np.ndarray:
    """Number the lines of a part."""
    return np.array([i for i, line in enumerate(lines()) if line[1] == part])


@cache
def drawn(few: int, seed: int) -> np.ndarray:
    """Draw train rows of each domain; more are others beside those of fewer."""
    random, of = np.random.default_rng(seed), np.array([line[0] for line in lines()])
    return np.concatenate(
        [random.permutation(rows("train")[of[rows("train")] == name])[:few] for name in DOMAINS]
    )


@cache
def pieces() -> torch.Tensor:
    """Cut all reviews, ``(n, 256)``."""
    cutter = Tokenizer.from_str(hs.models.tokenizer(BACKBONE))
    x = torch.zeros(len(lines()), PIECES, dtype=torch.long)
    for row, one in zip(x, cutter.encode_batch([line[3] for line in lines()]), strict=True):
        row[: len(one.ids)] = torch.tensor(one.ids[:PIECES])
    return x


@cache
def encoder(folder: str) -> tuple[FeatureStore, hs.Net, dict[str, int]]:
    """Make what keeps features, and the encoder that gives them at all blocks."""
    backbone = hs.backbone(BACKBONE)
    sizes = widths(freeze(backbone), pieces()[:1])
    return FeatureStore(folder), hs.Net(freeze(AtAllCuts(backbone, list(sizes))), {}), sizes


def features(folder: str, at: np.ndarray) -> dict[str, np.ndarray]:
    """Give the features of some reviews at each block, ``(n, 384)`` with zeros at others."""
    (store, net, sizes), x = encoder(folder), pieces()
    key, z = store.key(net.backbone), torch.zeros(len(x), sum(sizes.values()))
    count = (x != 0).sum(1)
    at_ = torch.from_numpy(np.unique(at))
    for some in at_[count[at_].argsort(stable=True)].split(GROUP):  # those of like length: little is padding
        before = store.forwarded
        z[some] = store.features(net, key, x[some], batch=64, progress=False)
        if store.forwarded > before:
            print("read", len(some), int(count[some].max()), flush=True)
    return {name: part.numpy() for name, part in zip(sizes, z.split(list(sizes.values()), 1), strict=True)}


Part = tuple[np.ndarray, np.ndarray]  # numbers of lines: to learn from, and to be asked


def folds(train: np.ndarray) -> Iterator[Part]:
    """Hold rows out: of few each fifth in turn, of all the fifth that ``run.py`` does."""
    many = len(train) < len(rows("train"))
    part = np.random.default_rng(0).integers(5, size=len(train)) if many else None
    held = np.random.default_rng(0).random(len(train)) < 0.2
    for number in range(5 if many else 1):
        out = part == number if part is not None else held
        yield train[~out], train[out]


def facts(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell labels and domains."""
    some = [lines()[i] for i in at]
    return np.array([int(line[2]) for line in some]), np.array([DOMAINS.index(line[0]) for line in some])


def standard(z: np.ndarray, part: Part) -> tuple[np.ndarray, np.ndarray]:
    train, asked = (z[at] for at in part)
    mean = train.mean(0)
    scale = np.sqrt(np.square(train - mean).sum(1).mean())
    return (train - mean) / scale, (asked - mean) / scale


def regression(z: np.ndarray, part: Part, c: float, way: str) -> np.ndarray:
    """Answer by a logistic regression on features."""
    (x, fresh), (y, of), other = standard(z, part), facts(part[0]), facts(part[1])[1]

    def fitted(x: np.ndarray | sp.csr_matrix, y: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=c, max_iter=300).fit(x, y)

    if way == "each":
        answers = np.empty(len(fresh), int)
        for k in range(len(DOMAINS)):
            answers[other == k] = fitted(x[of == k], y[of == k]).predict(fresh[other == k])
        return answers
    if way == "shared-private":
        x, fresh = (doubled(sp.csr_matrix(v), at) for v, at in ((x, of), (fresh, other)))
    return fitted(x, y).predict(fresh)


@cache
def words(train: bytes, asked: bytes, least: int) -> tuple:
    return counted(*([lines()[i] for i in np.frombuffer(at, int)] for at in (train, asked)), least)


def line(part: Part, c: float, least: int, way: str) -> np.ndarray:
    """Answer by support vectors on counted words."""
    return run.line(*words(part[0].tobytes(), part[1].tobytes(), least), c, way)


def trunk(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(384, width), nn.GELU(), nn.Dropout(0.3))


def net(z: np.ndarray, part: Part, way: str, seed: int, steps: tuple[int, ...]) -> list[np.ndarray]:
    """Train a layer on features and a head for each domain; give the answers after each number of steps."""
    torch.manual_seed(seed)
    x, fresh = (torch.from_numpy(30 * v).float() for v in standard(z, part))
    (y, of), other = facts(part[0]), facts(part[1])[1]
    tasks = [
        Task(name, KIND, Labelled(x[of == k], torch.from_numpy(y[of == k]), complete=True))
        for k, name in enumerate(DOMAINS)
    ]
    if way == "hard net":
        backbone: nn.Module = trunk(WIDTH)
        widths = dict.fromkeys(DOMAINS, WIDTH)
    else:
        backbone = SharedPrivate(trunk(WIDTH), {name: trunk(OWN) for name in DOMAINS}, x=x[:1])
        widths = {name: backbone.width_for(name) for name in DOMAINS}
    model = hs.Net(backbone, {name: KIND.head(widths[name]) for name in DOMAINS})
    stream = hs.batches(tasks, 16, generator=torch.Generator().manual_seed(seed))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
    found, behind = [], 0
    for many in steps:
        hs.fit(model, stream, hs.Supervised(*tasks), steps=many - behind, optimizer=optimizer, progress=False)
        behind = many
        model.eval()
        answers = np.empty(len(fresh), int)
        with torch.no_grad():
            for k, name in enumerate(DOMAINS):
                answers[other == k] = model(fresh[other == k], name).argmax(1).numpy()
        model.train()
        found.append(answers)
    return found


def scored(answers: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Tell which answers are right."""
    return answers == facts(asked)[0]


def best(options: list, hits: Callable[[object, Part], float], train: np.ndarray):
    """Take the option with most right answers on held-out rows."""
    every = list(folds(train))
    return max(options, key=lambda option: sum(hits(option, part) for part in every))


def block(z: dict[str, np.ndarray], train: np.ndarray) -> str:
    """Choose the block, by pooled regressions."""
    return best(
        list(z), lambda name, part: scored(regression(z[name], part, 1.0, "pooled"), part[1]).sum(), train
    )


LINES, NETS = ("each", "pooled", "shared-private"), ("hard net", "shared-private net")


def answered(z: dict[str, np.ndarray], train: np.ndarray, name: str, way: str, seeds: list[int]) -> tuple:
    """Choose what is set, and answer the test rows, once for each seed."""
    part = (train, rows("test"))
    if name == "counted":
        options = [(c, least) for least in LEASTS for c in OF_COUNTS]
        chosen = best(options, lambda o, p: scored(line(p, *o, way), p[1]).sum(), train)
        return {"C": chosen[0], "least": chosen[1]}, [line(part, *chosen, way)]
    at = z[name]
    if way in LINES:
        c = best(list(CS), lambda c, p: scored(regression(at, p, c, way), p[1]).sum(), train)
        return {"C": c}, [regression(at, part, c, way)]
    held = next(folds(train))  # a fifth
    tried = net(at, held, way, 0, STEPS)
    steps = STEPS[int(np.argmax([scored(one, held[1]).sum() for one in tried]))]
    return {"steps": steps}, [net(at, part, way, seed, (steps,))[0] for seed in seeds]


SIZES = {
    "64": lambda: [drawn(64, s) for s in SEEDS],
    "256": lambda: [drawn(256, 0)],
    "all": lambda: [rows("train")],
}


def main(folder: str) -> None:
    torch.set_num_threads(1)
    test = rows("test")
    for few, made in SIZES.items():
        trains = made()
        z, blocks = features(folder, np.concatenate([test, *trains])), {}
        for name in ("counted", "last block", "chosen block"):
            for way in LINES if name == "counted" else (*LINES, *NETS):
                done = json.loads(FILE.read_text())
                here = done.setdefault("pretrained", {}).setdefault(few, {})
                if f"{name}, {way}" in here:
                    continue
                began, told, said = time.process_time(), [], []
                for number, train in enumerate(trains):
                    at = {"counted": name, "last block": ""}.get(name)
                    if at is None:
                        at = blocks.setdefault(number, block(z, train))
                    seeds = list(SEEDS) if len(trains) == 1 else [number]
                    chosen, answers = answered(z, train, at, way, seeds)
                    told.append(chosen | ({"block": at or "last"} if name == "chosen block" else {}))
                    said += answers
                here[f"{name}, {way}"] = summary(said, told) | beside(few, name, way, said, Path(folder))
                here[f"{name}, {way}"]["seconds"] = round(time.process_time() - began)
                write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
                told = {k: v for k, v in here[f"{name}, {way}"].items() if k != "domains"}
                print(few, name, way, told, flush=True)


def summary(said: list[np.ndarray], told: list[dict]) -> dict:
    """Tell the accuracy of answers to the test rows, one list for each seed."""
    (y, of), found = facts(rows("test")), []
    for one in said:
        found.append([round(100 * float((one == y)[of == k].mean()), 2) for k in range(len(DOMAINS))])
    return {
        "chosen": told,
        **interval(found, 400),
        "domains": [round(v, 2) for v in np.mean(found, 0)],
        "seeds": [round(float(np.mean(one)), 2) for one in found],
    }


def beside(few: str, name: str, way: str, said: list[np.ndarray], folder: Path) -> dict[str, float]:
    """Compare with counted words, pooled, on the same rows: the difference, and half an interval."""
    file, hits = folder / f"counted {few}.npy", np.array(said) == facts(rows("test"))[0]
    if name == "counted":
        if way == "pooled":
            np.save(file, hits)
        return {}
    gain = hits.astype(float) - np.load(file)
    over_rows = gain.mean(0).var() / gain.shape[1]
    over_draws = gain.mean(1).var(ddof=1) / len(gain) if len(gain) > 1 else 0.0
    half = 1.96 * np.sqrt(over_rows + over_draws)
    return {
        "over counted words": round(100 * float(gain.mean()), 2), "half of it": round(100 * float(half), 2)
    }  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1])
