"""What all tests share."""

import os
import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, requires

import pytest
from packaging.requirements import Requirement

# One thread per process, here and in the processes that tests start: workers share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def soon_settled(monkeypatch):
    """Take the statistics of norms from 2 batches in place of 32, where training takes a few steps itself."""
    monkeypatch.setattr(import_module("headstart.engine.settle"), "BATCHES", 2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup():
    """Skip a test whose fixtures need an extra that is not installed."""
    return (yield from without_extras())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """Skip a test that needs an extra that is not installed: the error names it."""
    return (yield from without_extras())


def without_extras():
    try:
        return (yield)
    except ImportError as error:
        told = re.search(r'pip install "headstart\[(\w+)\]"', str(error))
        if told and not installed(told[1]):
            pytest.skip(f"needs the extra `{told[1]}`")
        raise


def installed(extra):
    """Tell whether all libraries of an extra are there, whatever their versions."""
    asked = [r for r in map(Requirement, requires("headstart")) if r.marker]
    names = [r.name for r in asked if r.marker.evaluate({"extra": extra}) and r.name != "headstart"]
    try:
        return all(map(distribution, names))
    except PackageNotFoundError:
        return False
