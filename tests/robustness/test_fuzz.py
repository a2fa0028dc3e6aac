"""Damaged input files are read or refused, in little time and memory, without a traceback."""

import pytest

from .fuzz import FORMATS, Bench, fuzzed


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
