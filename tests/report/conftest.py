"""What tests of the report share."""

import pytest


@pytest.fixture
def drawn():
    """Ask for the pictures of a page, which take longer than all of its words."""


@pytest.fixture(autouse=True)
def words_alone(request, monkeypatch):
    """Leave pictures empty where a test does not ask for them."""
    if "drawn" not in request.fixturenames:
        for name in ("ranks.gains", "ranks.by_shots", "parts.curve"):
            monkeypatch.setattr(f"headstart.report.{name}", lambda *args, **kwargs: "<svg></svg>")
