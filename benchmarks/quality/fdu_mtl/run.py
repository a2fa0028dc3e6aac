"""Sentiment in 16 domains of reviews (FDU-MTL): one model each, one for all, and ways of sharing between.

The official lines: about 1,600 reviews a domain to learn from, 400 to be asked about. Scored by the mean of
the domains' accuracies, in per cent. Rows are counts of one to three words that stand in at least eight
reviews, by TF-IDF times what naive Bayes says of each (Wang & Manning 2012); linear lines of scikit-learn
and nets of ours read the same. A net is a table of vectors for them, whose weighed sum is the features, and
a linear head for each domain; nothing is pretrained. The number of steps, and ``C`` of a line, are chosen
on a fifth of the train rows, then all are learned from. ::

    python benchmarks/quality/fdu_mtl/run.py [WAY ...]

Goes on with what is not in ``figures.json`` beside this file. Needs ``HEADSTART_DATA``; some seven minutes
of one thread, and ``soft`` as many again.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from scipy.stats import t
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC
from torch import Tensor, nn

import headstart as hs
from headstart.atomic import write_atomic
from headstart.datasets.sets import fdu_mtl
from headstart.datasets.sets._sentences import unpacked
from headstart.models.sharing import Hierarchical, MMoE, SharedPrivate, Soft
from headstart.tasks import Labelled, Multiclass, Task

FILE = Path(__file__).with_name("figures.json")
SEEDS = range(3)
STEPS = (100, 200, 400)  # of 16 reviews of each domain
LEAST = 8  # reviews that a word or a row of words stands in
RATE, LONGEST, WIDTH = 0.006, 256, 8
CS = (0.1, 0.3, 1.0)
Rows = tuple[sp.csr_matrix, np.ndarray, np.ndarray]  # numbers of the words, labels, domains


@cache
def lines() -> list[list[str]]:
    text = unpacked("fdu_mtl/fdu_mtl_labelled.tsv.xz", fdu_mtl.RECIPES)
    return [line.split("\t", 3) for line in text.split("\n") if line]


DOMAINS = sorted({line[0] for line in lines()})


@cache
def parts(held: bool) -> tuple[Rows, Rows]:
    """Give the rows to learn from and those to be asked: a held fifth of train, or test."""
    train = [line for line in lines() if line[1] == "train"]
    test = [line for line in lines() if line[1] == "test"]
    if held:
        out = np.random.default_rng(0).random(len(train)) < 0.2
        test = [line for line, no in zip(train, out, strict=True) if no]
        train = [line for line, no in zip(train, out, strict=True) if not no]
    return counted(train, test)


def counted(train: list[list[str]], test: list[list[str]], least: int = LEAST) -> tuple[Rows, Rows]:
    """Count words, and weigh them by what the train rows say of each."""
    words = TfidfVectorizer(ngram_range=(1, 3), min_df=least, sublinear_tf=True, token_pattern=r"\S+")
    x, fresh = words.fit_transform(line[3] for line in train), words.transform(line[3] for line in test)
    y, asked = (np.array([int(line[2]) for line in some]) for some in (train, test))
    of, other = (np.array([DOMAINS.index(line[0]) for line in some]) for some in (train, test))
    there = x > 0
    share = [np.asarray(there[y == side].sum(0)).ravel() + 1.0 for side in (0, 1)]
    ratio = np.abs(np.log(share[1] / share[1].sum()) - np.log(share[0] / share[0].sum()))
    return (x.multiply(ratio).tocsr(), y, of), (fresh.multiply(ratio).tocsr(), asked, other)


def right(answers: np.ndarray, rows: Rows) -> np.ndarray:
    """Tell the accuracy in each domain, in per cent."""
    _, y, of = rows
    return np.array([100 * (answers[of == k] == y[of == k]).mean() for k in range(len(DOMAINS))])


# Lines of scikit-learn.


def doubled(x: sp.csr_matrix, of: np.ndarray) -> sp.csr_matrix:
    """Put a copy of the columns for each domain beside those of all (Daumé 2007)."""
    at = x.tocoo()
    shape = (x.shape[0], x.shape[1] * len(DOMAINS))
    own = sp.csr_matrix((at.data, (at.row, at.col + x.shape[1] * of[at.row])), shape=shape)
    return sp.hstack([x, own]).tocsr()


def line(train: Rows, asked: Rows, c: float, way: str) -> np.ndarray:
    (x, y, of), (fresh, _, other) = train, asked
    if way == "each":
        answers = np.empty(len(other), int)
        for k in range(len(DOMAINS)):
            answers[other == k] = LinearSVC(C=c).fit(x[of == k], y[of == k]).predict(fresh[other == k])
        return answers
    if way == "shared-private":
        x, fresh = doubled(x, of), doubled(fresh, other)
    return np.asarray(LinearSVC(C=c).fit(x, y).predict(fresh))


# Nets.


class Bag(nn.Module):
    """Sum the vectors of a row's words, each by its weight; half of the words are left out in training."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(words + 1, width, mode="sum", padding_idx=0)
        self.dropout = nn.Dropout(0.5)
        with torch.no_grad():
            self.table.weight *= 0.01

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        found: Tensor = self.table(x["word"], per_sample_weights=self.dropout(x["weight"]))
        return found


PRICE = 0.1  # of a squared unit that a domain's vectors lie from the mean of all


class Layers(nn.Sequential):
    """Put a layer behind the sum, so that tasks can part there."""

    def __init__(self, words: int) -> None:
        super().__init__(Bag(words, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))


def rows_of(x: sp.csr_matrix) -> dict[str, Tensor]:
    """Lay the words of each row out, those that weigh most, in order of weight; 0 where there are no more."""
    word, weight = np.zeros((x.shape[0], LONGEST), np.int32), np.zeros((x.shape[0], LONGEST), np.float32)
    for i in range(x.shape[0]):
        at = slice(x.indptr[i], x.indptr[i + 1])
        order = np.argsort(-x.data[at])[:LONGEST]
        word[i, : len(order)], weight[i, : len(order)] = x.indices[at][order] + 1, x.data[at][order]
    return {"word": torch.from_numpy(word), "weight": torch.from_numpy(weight)}


def nets(words: int) -> dict[str, Callable[[], nn.Module]]:
    """Make backbones, by name."""
    one = {"word": torch.zeros(1, 1, dtype=torch.int32), "weight": torch.zeros(1, 1)}

    def own(width: int) -> dict[str, nn.Module]:
        return {name: Bag(words, width) for name in DOMAINS}

    def at() -> dict[str, str]:  # the six of the longest reviews above, the others at the sum itself
        long = {"MR", "imdb", "books", "dvd", "music", "magazines"}
        return {name: "" if name in long else "0" for name in DOMAINS}

    return {
        "hard": lambda: Bag(words, WIDTH),
        "soft": lambda: Soft(own(WIDTH // 2), weight=PRICE, x=one),
        "hierarchical": lambda: Hierarchical(Layers(words), at(), {"0": 2 * WIDTH, "": WIDTH}),
        "shared-private": lambda: SharedPrivate(Bag(words, WIDTH), own(2), x=one),
        "mmoe": lambda: MMoE([Bag(words, WIDTH) for _ in range(3)], DOMAINS, x=one),
    }


def net(train: Rows, asked: Rows, way: str, seed: int, steps: tuple[int, ...]) -> list[np.ndarray]:
    """Train one net, and give its answers after each number of steps."""
    torch.manual_seed(seed)
    (x, y, of), (fresh, _, other) = train, asked
    rows, labels = rows_of(x), torch.from_numpy(y)
    kind = Multiclass(2)
    tasks = []
    for k, name in enumerate(DOMAINS):
        mine = torch.from_numpy(np.flatnonzero(of == k))
        some = Labelled({part: v[mine] for part, v in rows.items()}, labels[mine], complete=True)
        tasks.append(Task(name, kind, some))
    groups = [tasks]
    if way == "each":
        groups = [[task] for task in tasks]
    new = rows_of(fresh)
    found = [np.empty(len(other), int) for _ in steps]
    for group in groups:
        backbone = Bag(x.shape[1], WIDTH) if way == "each" else nets(x.shape[1])[way]()
        widths = {t.name: getattr(backbone, "width_for", lambda _: WIDTH)(t.name) for t in group}
        model = hs.Net(backbone, {t.name: kind.head(widths[t.name]) for t in group})
        stream = hs.batches(group, 16, generator=torch.Generator().manual_seed(seed))
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
        behind = 0
        for place, many in enumerate(steps):
            hs.fit(
                model, stream, hs.Supervised(*group), steps=many - behind, optimizer=optimizer, progress=False
            )
            behind = many
            model.eval()
            with torch.no_grad():
                for task in group:
                    mine = np.flatnonzero(other == DOMAINS.index(task.name))
                    part = {key: v[mine] for key, v in new.items()}
                    found[place][mine] = model(part, task.name).argmax(1).numpy()
            model.train()
    return found


# What is written.

LINES = ("each, line", "pooled, line", "shared-private, line")
NETS = ("each", "hard", "soft", "hierarchical", "shared-private", "mmoe")


def interval(scores: list[list[float]], rows: int) -> dict[str, float]:
    """Give the mean over domains and seeds, and half of a 95 % interval: over test rows, and over seeds."""
    table = np.array(scores) / 100  # (seeds, domains)
    share = table.mean(0)
    over_rows = (share * (1 - share) / rows).sum() / len(share) ** 2
    means = table.mean(1)
    over_seeds = means.var(ddof=1) / len(means) if len(means) > 1 else 0.0
    half = float(1.96 * np.sqrt(over_rows + over_seeds))
    between = float(t.ppf(0.975, len(means) - 1) * np.sqrt(over_seeds)) if len(means) > 1 else 0.0
    return {
        "mean": round(100 * float(share.mean()), 2),
        "half": round(100 * half, 2),
        "half over seeds": round(100 * between, 2),
    }


def keep(done: dict, way: str, told: dict, scores: list[np.ndarray], rows: int = 400) -> None:
    each = [[round(float(v), 2) for v in one] for one in scores]
    done[way] = told | interval(each, rows) | {"domains": [round(v, 2) for v in np.mean(each, 0)]}
    done[way]["seeds"] = [round(float(np.mean(one)), 2) for one in each]
    write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
    print(way, {k: v for k, v in done[way].items() if k != "domains"}, flush=True)


def main(asked: list[str]) -> None:
    torch.set_num_threads(1)
    done = json.loads(FILE.read_text()) if FILE.exists() else {"about": {"domains": DOMAINS}}
    for way in asked or [*LINES, *NETS]:
        if way in done:
            continue
        began = time.process_time()
        if way in LINES:
            kind = way.removesuffix(", line")
            tried = {c: right(line(*parts(True), c, kind), parts(True)[1]).mean() for c in CS}
            best = max(tried, key=tried.__getitem__)
            scores = [right(line(*parts(False), best, kind), parts(False)[1])]
            told = {"C": best}
        else:
            tries = net(*parts(True), way, 0, STEPS)
            held = [float(right(answers, parts(True)[1]).mean()) for answers in tries]
            best = STEPS[int(np.argmax(held))]
            told = {"steps": best, "held": [round(v, 2) for v in held]}
            scores = [right(net(*parts(False), way, s, (best,))[0], parts(False)[1]) for s in SEEDS]
        keep(done, way, told | {"seconds": round(time.process_time() - began)}, scores)


if __name__ == "__main__":
    main(sys.argv[1:])
