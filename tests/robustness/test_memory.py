"""A process that works again and again holds no more than at first."""

import sys

import pytest

from .ground import COMPARISON, RUN, lay
from .memory import over

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "times", "first"), [(RUN, 300, 50), (COMPARISON, 30, 10)])
def test_memory_stays_flat(tmp_path, monkeypatch, kind, times, first):
    lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    before, after = over(kind, tmp_path, times, first)
    assert after < 1.05 * before
