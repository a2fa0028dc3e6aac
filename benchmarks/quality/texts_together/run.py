"""What do four tasks on texts gain or lose in one net?

Parts of speech, entities, sentiment and intents, with few labels each, on one sentence encoder: the very rows
of the study beside this one (``texts``), 40 steps of 16 rows a task. ``alone`` trains a net for each task,
``frozen`` fits a regression on the block that its own rows choose, ``frozen at the end`` on the last one, and
``multitask:...`` trains one net for all, in as many steps for each task. Ways are held against ``alone``,
which has the same recipe, and against ``frozen``: on the same test rows, seed by seed.

``python benchmarks/quality/texts_together/run.py [WAY,... [SEED ...]]`` goes on with what is not in
``figures.json``. Needs ``HEADSTART_DATA`` and ``headstart weights minilm``; about ten
minutes of one thread a seed.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import headstart as hs
from headstart.atomic import write_atomic
from headstart.comparison.learned import outputs_of
from headstart.engine import FeatureStore
from headstart.strategies import STRATEGIES, Budget, Starts, Trial
from headstart.strategies.recipes.jointly import pair

FILE = Path(__file__).with_name("figures.json")
BACKBONE, STEPS, BATCH, SEEDS, ASKED = "wheel:minilm", 40, 16, 2, 300
TASKS = ("parts", "entities", "intents from 5", "sentiment")  # from what is read low in a net to what is not
APART = {  # a net for each task, and its settings where they are not the stated ones
    "frozen": (STRATEGIES["features@layer+logreg"], {}),
    "alone": (pair("multitask:hard+sum"), {}),
    "frozen at the end": (STRATEGIES["features+logreg"], {"C": 10.0}),
}
AGAINST = {"frozen": "over_frozen", "alone": "gain"}  # which come first
WAYS = (*APART, "multitask:hard+sum", "multitask:hard+uncertainty", "multitask:hierarchical+sum")


def texts():
    """Import the study whose rows these are."""
    spec = importlib.util.spec_from_file_location("texts", FILE.parents[1] / "texts" / "run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["texts"] = module
    spec.loader.exec_module(module)
    return module


def problem(study, seed: int, names=TASKS) -> hs.Problem:
    """Pose some of the tasks at once, with the rows that the other study draws for each."""
    of = [
        asked(study.problem(name, BACKBONE).cut(study.STUDIES[name].shots, seed).target, name)
        for name in names
    ]
    metric = {name: study.STUDIES[name].metric for name in names}
    budget = Budget(steps=STEPS, batch=BATCH, options=1)
    return hs.Problem(targets=of, backbone=BACKBONE, metric=metric, budget=budget)


def asked(task: hs.Task, name: str) -> hs.Task:
    """Name a task as the other study does, and keep so many of its test rows, always the same."""
    order = torch.randperm(len(task.test), generator=torch.Generator().manual_seed(0))
    return replace(task, name=name, test=task.test.take(order[:ASKED].sort().values))


def learned(study, way: str, seed: int, starts: Starts):
    """Train one net for all tasks, or one for each; give each with what it is for."""
    if way.startswith("multitask:"):
        posed = problem(study, seed)
        return [(posed, pair(way).learn(Trial(posed, dict(pair(way).options[0]), seed, starts)))]
    strategy, given = APART[way]
    posed = [problem(study, seed, [name]) for name in TASKS]
    return [(one, strategy.learn(Trial(one, strategy.settings(given), seed, starts))) for one in posed]


def counted(posed: hs.Problem, trained, starts: Starts) -> dict[str, np.ndarray]:
    """Say what each test row counts towards the score of its task."""
    found = {}
    for task in posed.targets:
        outputs, y = outputs_of(starts, trained.net, task, task.test)
        found[task.name] = posed.counted(task.name, outputs.numpy(), {"y": y.numpy()})
    return found


def interval(values: np.ndarray) -> list[float]:
    """Give a mean over rows, and its 95 % interval."""
    mean, error = float(values.mean()), float(values.std(ddof=1)) / len(values) ** 0.5
    return [round(v, 4) for v in (mean, mean - 1.96 * error, mean + 1.96 * error)]


def kept(way: str, seed: int) -> Path:
    """Say where what each test row counts is kept, for the ways that are held against this one."""
    return Path(tempfile.gettempdir()) / f"headstart-texts-{way}-{seed}.npz"


def told() -> dict:
    """Read what has been recorded."""
    return json.loads(FILE.read_text()) if FILE.exists() else {"ways": {}}


def main(ways: list[str], seeds: list[int]) -> None:
    torch.set_num_threads(1)
    study = texts()
    for seed in seeds:
        for way in ways:
            if str(seed) in told()["ways"].get(way, {}):
                continue
            began, rows, starts = time.process_time(), {}, Starts(FeatureStore())
            for posed, trained in learned(study, way, seed, starts):
                rows |= counted(posed, trained, starts)
            if way in AGAINST:
                np.savez(kept(way, seed), **rows)
            scores = {name: {"score": interval(rows[name])} for name in TASKS}
            for other, key in AGAINST.items():
                if other != way and kept(other, seed).exists():
                    theirs = np.load(kept(other, seed))
                    for name in TASKS:
                        scores[name][key] = interval(rows[name] - theirs[name])
            done, seconds = told(), round(time.process_time() - began)
            here = done["ways"].setdefault(way, {})
            here[str(seed)] = scores | {"cpu_seconds": seconds}
            about = {
                "steps": STEPS,
                "batch": BATCH,
                "tasks": {n: vars(study.STUDIES[n]) | {"ways": ()} for n in TASKS},
            }
            for value in about["tasks"].values():
                del value["ways"], value["seeds"], value["steps"], value["batch"]
            write_atomic(FILE, (json.dumps(about | done, indent=1) + "\n").encode())
            print(seed, way, here[str(seed)], flush=True)


if __name__ == "__main__":
    asked_for = sys.argv[1].split(",") if sys.argv[1:] else list(WAYS)
    main(asked_for, [int(seed) for seed in sys.argv[2:]] or list(range(SEEDS)))
