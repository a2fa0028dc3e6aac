"""What all tests share."""

import os
from importlib import import_module

import pytest

# One thread per process, here and in the processes that tests start: workers share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def soon_settled(monkeypatch):
    """Take the statistics of norms from 2 batches in place of 32, where training takes a few steps itself."""
    monkeypatch.setattr(import_module("headstart.engine.settle"), "BATCHES", 2)
