"""What a result adds to itself: a check under other protocols."""

import dataclasses
import json

import pytest

from headstart.comparison import Result, compare
from headstart.report import reasons

from .problems import TINY, table

ONE = dataclasses.replace(TINY, steps=2, pretrain=2, options=1)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    problem = table(shots=[2], budget=ONE)
    out = tmp_path_factory.mktemp("checked") / "out"
    return problem, compare(problem, "features+logreg", 2, baseline="constant", out=out)


def test_a_result_is_checked_and_says_so_from_then_on(compared):
    _, result = compared
    told = result.check(seeds=2)
    assert told.strategy == "features+logreg"
    kept = json.loads((result.directory / "check.json").read_text())
    assert kept.items() >= (told.to_dict() | {"target": "new"}).items()
    assert "half the steps" in result.table() + (result.directory / "report.html").read_text()
    assert "other protocols" in " ".join(result.table().split())
    assert "other protocols" in " ".join(Result.load(result.directory).table().split())
    assert "check" not in json.loads((result.directory / "details.json").read_text())


def test_a_result_that_was_read_asks_for_the_problem(compared):
    _, result = compared
    with pytest.raises(
        ValueError, match="`problem` should be what was compared; found a result that was read"
    ):
        Result.load(result.directory).check()


def test_a_result_of_an_earlier_release_is_not_checked(compared):
    problem, result = compared
    data = {key: value for key, value in result.data.items() if key != "answers"}
    with pytest.raises(ValueError, match="found a result of an earlier release"):
        Result(data, result.details, result.directory).check(problem)


def test_reasons_tell_of_the_model_that_is_handed_over(compared):
    _, result = compared
    assert result.data["reasons"] == reasons(result.data, result.details)
    assert any("The model itself, " in said for said in result.data["reasons"])
