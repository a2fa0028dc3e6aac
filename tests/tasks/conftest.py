import contextlib

import pytest

from headstart.models.backbones.torchvision import import_torchvision


@pytest.fixture(scope="session")
def torchmetrics():
    """Make sure it can be imported: it imports torchvision, whose wheel may not fit this torch."""
    with contextlib.suppress(ModuleNotFoundError):
        import_torchvision()
