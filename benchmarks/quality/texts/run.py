"""What does a small sentence encoder bring to texts: parts of speech, entities, questions, sentiment,
intents?

``python benchmarks/quality/texts/run.py parts`` (or others of ``STUDIES``, between commas; then names of
ways, else all) goes on with what is not in ``figures.json`` beside this file. Needs ``HEADSTART_DATA``,
``headstart weights minilm`` and ``headstart weights wordllama``; a way takes up to four minutes of one thread
a seed. Every way has its stated defaults, or what stands behind its name. Beside ours stand the lines of
scikit-learn that anyone would write, on the same rows (``plain``).
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import headstart as hs
from headstart.atomic import write_atomic
from headstart.comparison.learned import measured, outputs_of
from headstart.datasets.sets import clinc150, fdu_mtl, text_cls, ud_ewt, wnut17
from headstart.datasets.sets._sentences import columns, unpacked
from headstart.engine import FeatureStore, evaluate
from headstart.maths import generator, wilson
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial
from headstart.tasks import Labelled, Task
from headstart.tasks.kinds import MISSING

FILE = Path(__file__).with_name("figures.json")
BACKBONE, STATIC = "wheel:minilm", "wheel:wordllama"


@dataclass(frozen=True)
class Study:
    """Say which rows are learned from and asked, and in how many steps.

    Args:
        data: a reference.
        shots: labelled sentences, or per class; ``None`` for all.
        test: the first so many test rows.
        steps: of ``batch`` rows.
        metric: what answers are scored by, as in what is published.
        ways: names of strategies; behind ``=`` a setting, behind ``on`` another backbone.
        batch: rows of a step.
        seeds: draws of the rows.
    """

    data: str
    shots: int | None
    test: int
    steps: int
    metric: str
    ways: tuple[str, ...]
    batch: int = 32
    seeds: int = 3


WORDS = (
    "constant",
    "raw+lexicon",
    "raw+window",
    "features+logreg",
    "features@layer+logreg",
    "finetune@layer",
    f"features+logreg on {STATIC}",
)
TEXTS = (
    "constant",
    "tfidf+logreg",
    "features+logreg",
    "features@layer+logreg",
    "finetune",
    "contrastive",
    f"features+logreg on {STATIC}",
)
FROZEN = ("tfidf+logreg", "features+logreg", f"features+logreg on {STATIC}")
NAMED, MEANT = ("names", "names+logreg"), "names+contrastive temperature=0.05"  # chosen on validation rows
TREC, SST = "text_cls:TREC", "text_cls:SST-2"
STUDIES = {
    "parts": Study("ud_ewt", 1000, 500, 312, "accuracy", WORDS),
    "parts from more": Study("ud_ewt", 3000, 500, 300, "accuracy", WORDS[4:6]),
    "entities": Study("wnut17", 1000, 500, 312, "span_f1", WORDS),
    "entities from all": Study("wnut17", None, 1287, 300, "span_f1", WORDS[4:6], seeds=1),
    "questions": Study(TREC, 20, 500, 60, "accuracy", (*TEXTS, *NAMED, "names+contrastive")),
    "questions for longer": Study(TREC, 20, 500, 200, "accuracy", (*TEXTS[3:5], WORDS[5]), seeds=2),
    "sentiment": Study(SST, 100, 500, 60, "accuracy", (*TEXTS, *NAMED, "names+contrastive")),
    "sentiment from all": Study(SST, None, 1821, 0, "accuracy", (*TEXTS[1:4], TEXTS[6]), seeds=1),
    "intents from 1": Study("clinc150", 1, 4500, 60, "accuracy", (*FROZEN, *NAMED, MEANT), 64),
    "intents from 5": Study("clinc150", 5, 4500, 60, "accuracy", (*FROZEN, "contrastive"), 64, 2),
    "intents from 10": Study("clinc150", 10, 4500, 100, "accuracy", (*FROZEN, "contrastive"), 64, 1),
    "intents from 10 for longer": Study("clinc150", 10, 4500, 200, "accuracy", (NAMED[1], MEANT), 128, 1),
    "intents from 20": Study("clinc150", 20, 4500, 0, "accuracy", (*FROZEN, NAMED[1])),
    "reviews": Study("fdu_mtl", None, 1024, 0, "accuracy", (*TEXTS[1:4], TEXTS[6]), seeds=1),
}
NAMES = {  # of classes that have numbers
    TREC: ["description", "entity", "abbreviation", "person", "location", "number"],
    SST: ["negative", "positive"],
}
FILES = {
    "ud_ewt": {"train": "ud_ewt/train.tsv.xz", "test": "ud_ewt/test.tsv.xz"},
    "wnut17": {"train": "wnut17/wnut17train.conll.xz", "test": "wnut17/emerging.test.annotated.xz"},
    TREC: {"train": "text_cls/TREC.train.all.txt.xz", "test": "text_cls/TREC.test.all.txt.xz"},
    SST: {"train": "text_cls/stsa.binary.train.txt.xz", "test": "text_cls/stsa.binary.test.txt.xz"},
    "clinc150": {"train": "clinc150/data_full.json.xz", "test": "clinc150/data_full.json.xz"},
}
RECIPES = {
    "ud_ewt": ud_ewt.RECIPES, "wnut17": wnut17.RECIPES, TREC: text_cls.RECIPES, SST: text_cls.RECIPES,
    "clinc150": clinc150.RECIPES,
}  # fmt: skip
KEPT = ("data", "shots", "test", "steps", "batch", "metric")
EACH = 64  # reviews of each domain, for training and for testing


@cache
def everything(data: str, backbone: str) -> Task:
    """Read all rows, cut by the tokenizer of a backbone; of reviews 64 of each domain and part."""
    tasks = hs.datasets.read(data, tokens=hs.models.tokenizer(backbone))
    if len(tasks) == 1:
        return tasks[0]
    parts = {}
    for part in ("train", "test"):
        drawn = [
            getattr(t, part).take(
                torch.randperm(len(getattr(t, part)), generator=generator(0, part, t.name))[:EACH]
            )
            for t in tasks
        ]
        longest = max(rows.x.shape[1] for rows in drawn)
        x = torch.cat([F.pad(rows.x, (0, longest - rows.x.shape[1])) for rows in drawn])
        parts[part] = Labelled(x, torch.cat([rows.y for rows in drawn]))
    return Task("reviews", tasks[0].kind, parts["train"], test=parts["test"], encoding=tasks[0].encoding)


@cache
def problem(name: str, backbone: str) -> hs.Problem:
    """Pose a study, without validation rows, which nothing asks."""
    study = STUDIES[name]
    task = everything(study.data, backbone)
    assert isinstance(task.test, Labelled)
    task = replace(task, valid=None, unlabelled=None, test=task.test.take(torch.arange(study.test)))
    budget = Budget(steps=study.steps or None, batch=study.batch, options=1)
    return hs.Problem(task, backbone=backbone, shots=study.shots, budget=budget, metric=study.metric)


def main(name: str, ways: list[str]) -> None:
    torch.set_num_threads(1)
    study = STUDIES[name]
    also = ["plain"]
    for seed in range(study.seeds):
        for way in [*(ways or study.ways), *also]:
            done = json.loads(FILE.read_text()) if FILE.exists() else {}
            here = done.setdefault(name, {"ways": {}})
            here |= {key: getattr(study, key) for key in KEPT}
            if str(seed) in here["ways"].setdefault(way, {}):
                continue
            began, (use, _, on) = time.process_time(), way.partition(" on ")
            backbone = on or BACKBONE
            posed = problem(name, backbone).cut(study.shots, seed)
            if way == "plain":
                told = plain(study.data, posed, study.metric)
            else:
                told = ours(posed, study, use, seed, starts_on(backbone))
            here["ways"][way][str(seed)] = told | {"seconds": round(time.process_time() - began, 1)}
            write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
            print(name, seed, way, here["ways"][way][str(seed)], flush=True)


@cache
def starts_on(backbone: str) -> Starts:
    """Keep the features of a backbone, each row's once."""
    return Starts(FeatureStore())


def ours(posed: hs.Problem, study: Study, way: str, seed: int, starts: Starts) -> dict[str, object]:
    """Run a way of ours once."""
    way, _, setting = way.partition(" ")
    strategy = (STRATEGIES | FURTHER)[way]
    key, _, value = setting.partition("=")
    chosen = dict(strategy.options[0]) | ({key: float(value)} if setting else {})
    if "words" in chosen:
        chosen["words"] = NAMES.get(study.data, [])
    trained = strategy.learn(Trial(posed, chosen, seed, starts))
    metric = study.metric
    if metric == "accuracy":  # of features that are kept, and without the intervals of all other measures
        outputs, y = outputs_of(starts, trained.net, posed.target, posed.target.test)
        value = measured(posed.target, outputs, y, metric)[metric]
        count = int((y != MISSING).sum())
        told = {"score": value, "ci95": list(wilson(round(value * count), count))}
    else:
        found = evaluate(trained.net, posed.target)[metric]
        told = {"score": found.value, "ci95": [found.low, found.high]}
    return told | {key: trained.told[key] for key in ("layer", "share") if key in trained.told}


def plain(data: str, posed: hs.Problem, metric: str) -> dict[str, object]:
    """Count words, or describe each word and its neighbours, with scikit-learn alone."""
    kind, learned, held = posed.target.kind, posed.target.train, posed.target.test
    assert isinstance(learned, Labelled)
    assert isinstance(held, Labelled)
    if data == "fdu_mtl":
        train, test = reviews("train"), reviews("test")
    else:
        known = texts(data)
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


def reviews(part: str) -> list[str]:
    """List the texts that ``everything`` draws, in its order."""
    lines = unpacked("fdu_mtl/fdu_mtl_labelled.tsv.xz", fdu_mtl.RECIPES).split("\n")
    rows = [line.split("\t", 3) for line in lines if line]
    found = []
    for domain in sorted({row[0] for row in rows}):
        here = [text for name, side, _, text in rows if (name, side) == (domain, part)]
        drawn = torch.randperm(len(here), generator=generator(0, part, f"fdu_mtl_{domain}"))[:EACH]
        found += [here[i] for i in drawn.tolist()]
    return found


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
def texts(data: str) -> dict[tuple[int, ...], list[str] | str]:
    """Find the words of a row by its pieces: the very spelling that the files have."""
    task = everything(data, BACKBONE)
    found: dict[tuple[int, ...], list[str] | str] = {}
    for part, file in FILES[data].items():
        rows, content = getattr(task, part), unpacked(file, RECIPES[data])
        words: list
        if data == "clinc150":
            words = [text for text, _ in json.loads(content)[part]]
        elif task.kind.per_row:
            words = [" ".join(line.split()[1:]) for line in content.split("\n") if line.strip()]
        else:
            body = "\n".join(line for line in content.split("\n") if line[:2] != "# ")
            words = [row for row, _ in columns(body, 0, 1)]
            words = [row[: int((x > 0).sum())] for row, x in zip(words, rows.x, strict=True)]
        found |= dict(zip(map(key, rows.x), words, strict=True))
    return found


if __name__ == "__main__":
    for each in sys.argv[1].split(","):
        main(each, sys.argv[2:])
