import subprocess
import sys
from types import ModuleType

import pytest

import headstart


@pytest.mark.parametrize("name", headstart.__all__)
def test_every_public_name_resolves(name):
    value = getattr(headstart, name)
    assert isinstance(value, ModuleType) or value.__name__ == name
    assert value is getattr(headstart, name)


def test_names_are_those_of_their_rooms():
    assert headstart.Task is headstart.tasks.Task
    assert headstart.Net is headstart.models.Net
    assert headstart.fit is headstart.engine.fit
    assert headstart.compare is headstart.comparison.compare


def test_names_are_listed_once_in_order():
    assert headstart.__all__ == sorted(set(headstart.__all__))
    assert dir(headstart) == headstart.__all__


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(
        AttributeError, match=r"module 'headstart' has no attribute 'Taks'; did you mean \"Task\"\?"
    ):
        headstart.Taks  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'zzz'"):
        from headstart import zzz  # noqa: F401


def test_nothing_is_loaded_before_it_is_used():
    code = "import sys, headstart; print([m for m in sys.modules if m.startswith(('headstart.', 'torch'))])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "['headstart.version']"


def test_the_rooms_load_no_heavy_library():
    code = (
        "import sys, headstart; headstart.tasks.Multiclass(2).head(3)\n"
        "heavy = ['torchmetrics', 'sklearn', 'pandas', 'matplotlib', 'pydantic', 'rich']\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
