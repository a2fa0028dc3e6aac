import pytest

from headstart.models.torchvision import import_torchvision


@pytest.fixture(scope="session")
def torchmetrics():
    """The package; it imports torchvision where that is installed, whose wheel may not fit this torch."""
    try:
        import_torchvision()
    except ModuleNotFoundError:
        pass
    return pytest.importorskip("torchmetrics")
