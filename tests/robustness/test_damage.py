"""Any damage to a file is told by its name, or mended; no result is ever another without a word."""

import os
import random
import shutil
import signal

import pytest

from headstart.engine.phase import Phase

from .damage import cases, tried, tried_model
from .ground import COMPARISON, RUN, call, came_to, lay, make
from .kills import child, ended


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """Make one of each: a run, one that was killed half-way, a comparison, a model, and its answers."""
    root = tmp_path_factory.mktemp("ground")
    lay(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert make(RUN, root / RUN)[0] == 0

        def half() -> None:
            after = Phase.after

            def dying(phase: Phase, step: int) -> None:
                after(phase, step)
                if step == 17:
                    os.kill(os.getpid(), signal.SIGKILL)

            Phase.after = dying
            make(RUN, root / "half")

        assert ended(child(half)) == -signal.SIGKILL
        shutil.copytree(root / RUN / "model", root / "model")
        assert call("predict", "model", "csv:new.csv#label", "-o", "whole.csv")[0] == 0
        yield root


@pytest.fixture(scope="module")
def compared(ground):
    assert make(COMPARISON, ground / COMPARISON)[0] == 0
    return ground / COMPARISON


def told(kind, pristine, whole, some):
    rng = random.Random(0)
    every = list(cases(pristine, rng))
    chosen = every if some is None else rng.sample(every, some)
    place = pristine.parent / "damaged" / pristine.name
    place.parent.mkdir(exist_ok=True)
    wrong = [tried(kind, pristine, place, case, whole, rng) for case in chosen]
    assert [each for each in wrong if each] == []


def test_damage_to_a_run_is_told_or_mended(ground):
    told(RUN, ground / RUN, came_to(RUN, ground / RUN), 4)


def test_damage_to_a_model_is_told(ground):
    rng, whole = random.Random(0), (ground / "whole.csv").read_text()
    for case in cases(ground / "model", rng):
        assert tried_model(ground / "model", ground / "spoiled", case, whole, rng) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", [RUN, "half"])
def test_any_damage_to_a_run_is_told_or_mended(ground, name):
    told(RUN, ground / name, came_to(RUN, ground / RUN), None)


@pytest.mark.slow
def test_any_damage_to_a_comparison_is_told_or_mended(compared):
    told(COMPARISON, compared, came_to(COMPARISON, compared), None)
