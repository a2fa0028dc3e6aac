"""Give every new task a head start.

``headstart`` answers, by measurement, which way of reusing what you have is best for your task, by
how much, and whether it did harm; and hands you the model. Names load when they are first used, so
that ``import headstart`` costs no more than it must.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from . import (
        comparison,
        datasets,
        domains,
        engine,
        inference,
        measure,
        meta,
        models,
        multitask,
        problems,
        report,
        rl,
        seams,
        strategies,
        tasks,
        testing,
        transfer,
    )
    from .comparison import Problem, compare
    from .engine import evaluate, fit
    from .inference import load
    from .meta import FewShot
    from .models import Net, backbone
    from .strategies import Strategy
    from .tasks import Task, batches, episodes, shifted
    from .transfer import Supervised

__all__ = [
    "FewShot",
    "Net",
    "Problem",
    "Strategy",
    "Supervised",
    "Task",
    "backbone",
    "batches",
    "compare",
    "comparison",
    "datasets",
    "domains",
    "engine",
    "episodes",
    "evaluate",
    "fit",
    "inference",
    "load",
    "measure",
    "meta",
    "models",
    "multitask",
    "problems",
    "report",
    "rl",
    "seams",
    "shifted",
    "strategies",
    "tasks",
    "testing",
    "transfer",
]

_HOME = {
    "FewShot": "meta",
    "Net": "models",
    "Problem": "comparison",
    "Supervised": "transfer",
    "Task": "tasks",
    "backbone": "models",
    "batches": "tasks",
    "Strategy": "strategies",
    "compare": "comparison",
    "episodes": "tasks",
    "evaluate": "engine",
    "fit": "engine",
    "load": "inference",
    "shifted": "tasks",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    elif name in __all__:
        value = importlib.import_module(f".{name}", __name__)
    else:
        from .errors import did_you_mean

        raise AttributeError(f"module 'headstart' has no attribute {name!r}; {did_you_mean(name, __all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
