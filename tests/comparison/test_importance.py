"""Targets that count more than others, and targets that must not be harmed."""

import numpy as np
import pytest
import torch
from torch import nn

from headstart.comparison import Problem, compare
from headstart.comparison.result import Result
from headstart.models import Net
from headstart.problems import load_problem
from headstart.strategies import Budget, Strategy, Trained
from headstart.tasks import Labelled, Multiclass, Task

ONE = Budget(steps=4, options=1)


def target(name, seed):
    def part(seed, count):
        x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
        return Labelled(x, (x[:, 0] > 0).long())

    return Task(name, Multiclass(2), part(seed, 16), test=part(seed + 50, 120))


def tilted(trial):
    """Answer b as it is, and a the other way round."""
    heads = {}
    for name, sign in (("a", -1.0), ("b", 1.0)):
        heads[name] = nn.Linear(4, 2, bias=False)
        nn.init.zeros_(heads[name].weight)
        with torch.no_grad():
            heads[name].weight[1, 0] = sign
    return Trained(Net(nn.Identity(), heads), {})


TILTED = Strategy(name="tilted", run=tilted, summary="b at the cost of a")


def found(tmp_path, **changes) -> Result:
    problem = Problem(
        targets=[target("a", 1), target("b", 2)], settings={"hidden": [4]}, budget=ONE, **changes
    )
    return compare(problem, ["scratch", TILTED], 3, baseline="scratch", out=tmp_path / "out", progress=False)


def gains(result):
    """Relative gains by target and seed."""
    scores = {(r["strategy"], r["target"]): np.array(r["seeds"]) for r in result.rows}
    return [(scores["tilted", t] - scores["scratch", t]) / scores["scratch", t] for t in ("a", "b")]


def test_the_mean_over_targets_is_by_their_importance(tmp_path):
    result = found(tmp_path, importance={"b": 3.0})
    a, b = gains(result)
    row = result.data["summary"][1]
    assert row["seeds"] == pytest.approx(((a + 3 * b) / 4).tolist())
    assert row["delta_m"] == pytest.approx(float(((a + 3 * b) / 4).mean()))
    assert "In the mean over all targets b 3 times as much as a target" in " ".join(result.data["reasons"])


def test_what_harms_a_protected_target_is_not_recommended_and_said(tmp_path):
    free = found(tmp_path / "free", importance={"b": 20.0})
    assert free.data["summary"][1]["harmed"] == ["a"]
    assert free.recommended == "tilted"
    assert free.details["withheld"] is None
    held = found(tmp_path / "held", importance={"b": 20.0}, no_harm=["a"])
    assert held.recommended == "scratch"
    assert held.details["withheld"] == {"strategy": "tilted", "harms": ["a"]}
    words = "tilted is not recommended: it harms a, which is not to be harmed."
    assert words in held.data["reasons"]
    assert words in (tmp_path / "held/out/report.html").read_text()
    assert "harms a" in held.table()
    other = found(tmp_path / "other", importance={"b": 20.0}, no_harm=["b"])
    assert other.recommended == "tilted"


def test_wishes_are_for_targets_that_there_are():
    both = [target("a", 1), target("bee", 2)]
    with pytest.raises(ValueError, match=r'`importance` .* found "be"; did you mean "bee"'):
        Problem(targets=both, importance={"be": 2.0})
    with pytest.raises(ValueError, match=r'target in `no_harm` should be .* found "c"'):
        Problem(targets=both, no_harm=["c"])
    with pytest.raises(ValueError, match="`importance` of 'a' should be above 0"):
        Problem(targets=both, importance={"a": 0.0})


def test_wishes_stand_in_a_problem_file(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(
        '[[targets]]\ndata = "digits:0-4"\nname = "low"\n[[targets]]\ndata = "digits:5-9"\nname = "high"\n'
        '[compare]\nimportance = { low = 2 }\nno_harm = ["high"]\n'
    )
    problem = load_problem(path).problem()
    assert problem.importance == {"low": 2.0}
    assert problem.no_harm == ("high",)
    with pytest.raises(ValueError, match=r"importance.low.* should be greater than 0"):
        load_problem(path, ["compare.importance={low = 0.0}"])


def test_importance_is_part_of_what_a_comparison_is_and_protection_is_not():
    def mark(**changes):
        return Problem(targets=[target("a", 1), target("b", 2)], **changes).fingerprint()

    assert mark() == mark(no_harm=["a"])
    assert mark() != mark(importance={"a": 2.0})
