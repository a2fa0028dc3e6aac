"""Damaged input files are read or refused, in little time and memory, without a traceback."""

import json

import pytest

from headstart.records import read_record, write_record

from .fuzz import FORMATS, Bench, fuzzed
from .ground import COMPARISON, came_to, make, renewed


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    root = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield Bench(root)


@pytest.mark.parametrize("name", FORMATS)
def test_some_damaged_files(bench, name):
    told = fuzzed(bench, {name: 3})
    assert told[name]["wrong"] == []


@pytest.mark.slow
def test_two_thousand_damaged_files(bench):
    told = fuzzed(bench, dict.fromkeys(FORMATS, 334))
    assert {name: each["wrong"] for name, each in told.items()} == {name: [] for name in FORMATS}


CHANGES = {
    "shots": lambda facts: facts.pop("shots"),
    "strategy": lambda facts: facts.pop("strategy"),
    "settings": lambda facts: facts.pop("settings"),
    "truth": lambda facts: facts["written"].update(truth={"new": [1]}),
    "written": lambda facts: facts.update(written=7),
}


def test_whole_records_of_another_form_are_run_again(bench, tmp_path):
    place = renewed(bench.root / "compared", tmp_path / "compared")
    trials = [
        path for path in sorted(place.glob("trials/*.json")) if "-2-0" in path.name or "-1-" in path.name
    ]
    for path, change in zip(trials, CHANGES.values(), strict=False):
        facts = read_record(path)
        change(facts)
        write_record(path, facts)
    assert len(trials) >= len(CHANGES)
    status = json.loads((place / "status.json").read_text())
    (place / "status.json").write_text(json.dumps(status | {"seconds": None}))
    status, said = make(COMPARISON, place)
    assert (status, "internal error" in said) == (0, False)
    assert "not as they were written, and run again" in said
    assert came_to(COMPARISON, place) == came_to(COMPARISON, bench.root / "compared")
