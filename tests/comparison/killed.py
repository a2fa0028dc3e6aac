"""Recipes and comparisons in processes that kill themselves half-way; see test_resume.py."""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch

from headstart.comparison import compare
from headstart.engine import Run
from headstart.engine.phase import Phase
from headstart.strategies import STRATEGIES, Budget, Trial

from .problems import images, table

NAMES = ["scratch", "features+logreg", "finetune", "multitask"]


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def counted(function, moment):
    """Call a function until its call number ``moment``, which kills."""
    calls = iter(range(1, 10**6))

    def counting(*args):
        if next(calls) == moment:
            die()
        return function(*args)

    return counting


def recipe(name, directory, moment):
    """Run one strategy with checkpoints every 4 steps, and kill it after so many steps."""
    Phase.after = counted(Phase.after, moment)
    torch.rand(7 * max(1, moment))  # the global state is another in each process
    budget = Budget(steps=20, pretrain=10)
    problem = images(budget=budget, backbone="conv4", settings={"width": 2})
    with Run.create(directory, {"strategy": name}, every_steps=4) as run:
        net = STRATEGIES[name].run(Trial(problem, STRATEGIES[name].options[0], 0, run=run)).net
    torch.save(net.state_dict(), f"{directory}/net.pt")


def whole(directory, moment):
    """Compare some strategies, and kill at one of the runs of a strategy."""
    torch.rand(7 * max(1, moment))
    kill = counted(lambda: None, moment)
    for name in NAMES:
        run = STRATEGIES[name].run
        STRATEGIES[name] = replace(STRATEGIES[name], run=lambda trial, run=run: (kill(), run(trial))[1])
    problem = replace(table(), shots=[2])
    result = compare(problem, NAMES, 2, baseline="scratch", out=directory, progress=False)
    Path(directory, "rows.json").write_text(json.dumps(result.rows))


def attempts(work, moments):
    """Do the work in one process after another; each dies at its moment, but the last."""
    for moment in [*moments, 0]:
        child = os.fork()
        if child == 0:
            work(moment)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == (-signal.SIGKILL if moment else 0), (moment, status)


if __name__ == "__main__":
    import sklearn.linear_model  # noqa: F401  once here instead of in every child
    import torch._dynamo

    torch.set_num_threads(1)
    root = sys.argv[1]
    for name in ("finetune", "gradual"):
        attempts(lambda moment, name=name: recipe(name, f"{root}/{name}-unbroken", moment), [])
        attempts(lambda moment, name=name: recipe(name, f"{root}/{name}-broken", moment), [7, 14])
    attempts(lambda moment: whole(f"{root}/unbroken", moment), [])
    attempts(lambda moment: whole(f"{root}/broken", moment), [5, 8])
