"""The check of strategies."""

from __future__ import annotations

import copy
import dataclasses
import inspect

import torch
from torch import Tensor

from ..engine import predict
from ..strategies import Situation, Strategy, Trained, Trial
from ..strategies.posing import posed
from ..tasks import Labelled, Task
from ..tasks.nouns import convert, tensors
from ._common import pickled, require, require_type, same, untouched


def check_strategy(strategy: Strategy, problem: Situation) -> None:
    """Check that a strategy keeps the contract that a comparison relies on.

    It applies to the problem and says what it does; a trial gives a net with a head for the target and
    finite outputs, twice the same at a seed, with every option, and after pickling; it never reads the
    test rows, and leaves the problem's rows, its backbone and every global random state alone.

    Args:
        strategy: ours or a third party's.
        problem: a small one that it applies to, with a budget of a few steps.

    Raises:
        AssertionError: if the contract is broken; the message says how.

    Example:
        >>> from headstart.comparison import Problem
        >>> from headstart.strategies import STRATEGIES, Budget
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.randn(8, 4), torch.arange(8) % 2)
        >>> problem = Problem(Task("new", Multiclass(2), rows, test=rows), budget=Budget(steps=2))
        >>> check_strategy(STRATEGIES["scratch"], problem)
    """
    name, rows = f"strategy {strategy.name!r}", _tensors(problem)
    require(bool(strategy.summary), f"{name} has no summary")
    require(strategy.needs(problem) == "", f"{name} does not apply: {strategy.needs(problem)}")
    backbone = {} if problem.start.use else problem.backbone.state_dict()  # type: ignore[union-attr]
    first = _outputs(strategy, problem, strategy.options[0], name)  # libraries that it loads may draw
    require(bool(first.isfinite().all()), f"{name} gives outputs that are not finite")
    with untouched(name, rows, backbone):
        again = _outputs(pickled(name, strategy), _spoiled(problem), strategy.options[0], name, problem)
    if not same(first, again):
        raise AssertionError(f"{name} {_what_differs(strategy, problem, first, name)}")
    for option in strategy.options[1:]:
        outputs = _outputs(strategy, problem, option, name)
        require(bool(outputs.isfinite().all()), f"{name} gives outputs that are not finite with {option}")
    doc = inspect.getdoc(strategy.run)
    require(bool(doc), f"{name} has a `run` without a docstring")


def _what_differs(strategy: Strategy, problem: Situation, first: Tensor, name: str) -> str:
    """Tell apart what a run differed in that was another, of a copy, and on other test rows."""
    option = strategy.options[0]
    if not same(first, _outputs(strategy, problem, option, name)):
        return "gives another net when it is run again with the same seed"
    if not same(first, _outputs(strategy, _spoiled(problem), option, name, problem)):
        return "reads the test rows"
    return "gives another net after pickling"


def _outputs(
    strategy: Strategy, problem: Situation, option: object, name: str, judged: Situation | None = None
) -> Tensor:
    """Run a trial and return the outputs on the test rows."""
    trained = strategy.run(Trial(posed(problem), dict(option), seed=0))  # type: ignore[call-overload]
    require_type(trained, Trained, f"what {name} returns")
    target = (judged or problem).target
    require(target.name in trained.net.heads, f"{name} gives no head for {target.name!r}")
    test = target.test
    assert test is not None
    assert test.held
    return predict(copy.deepcopy(trained.net), target.name, test.x, progress=False)


def _spoiled(problem: Situation) -> Situation:
    """Replace the test rows by others, so that whoever reads them gives another net."""

    def bad(task: Task) -> Task:
        test = task.test
        assert test is not None
        assert test.held
        return dataclasses.replace(task, test=Labelled(convert(test.x, torch.zeros_like), test.y.roll(1, 0)))

    return problem.with_rows(targets=[bad(t) for t in problem.targets])


def _tensors(problem: Situation) -> dict[str, Tensor]:
    """Name all tensors of a problem."""
    found: dict[str, Tensor] = {}
    for task in (*problem.targets, *problem.sources, *problem.unlike):
        for part, data in (("train", task.train), ("valid", task.valid), ("unlabelled", task.unlabelled)):
            if data is not None and data.held:
                for number, tensor in enumerate(tensors(data.x)):
                    found[f"{task.name} {part} {number}"] = tensor
    return found
