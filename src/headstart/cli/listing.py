"""The command ``list``: what there is, by the names that files and Python use."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import unknown
from .options import columns, say

WHATS = (
    "strategies", "patterns", "objectives", "weights", "weighings", "adaptations", "scores", "backbones",
    "datasets", "worlds", "policies",
)  # fmt: skip
EPISODIC = ("meta.Contrastive", "meta.Episodic", "meta.MultiStep", "meta.Reptile", "meta.Triplet")
What = Annotated[
    str | None,
    typer.Argument(metavar=f"[{'|'.join(WHATS)}]", help="What to list; all by default.", show_default=False),
]


def show(what: What = None) -> None:
    """List strategies, methods, backbones, readers of data, worlds and ways of reuse in them (policies)."""

    if what is not None and what not in WHATS:
        raise unknown("`list` of what", what, WHATS)
    for name in WHATS if what is None else (what,):
        entries = {**_own(name), **_others(name)}
        if what is None:
            say(f"{name}:")
        say(columns([["  " * (what is None) + key, text] for key, text in entries.items()]))


def _own(what: str) -> dict[str, str]:
    """Name what the library has."""
    if what == "strategies":
        from ..strategies import FURTHER, SIDE_BY_SIDE, STRATEGIES

        found = {name: strategy.summary for name, strategy in STRATEGIES.items()}
        found |= {name: f"of several targets: {strategy.summary}" for name, strategy in SIDE_BY_SIDE.items()}
        later = {name: one for name, one in FURTHER.items() if name not in found}
        found |= {name: f"where it is named: {strategy.summary}" for name, strategy in later.items()}
        return found | {"multitask:PATTERN+WEIGHING": "where it is named: any of `headstart list patterns`"}
    if what == "patterns":
        from ..strategies.recipes.jointly import PATTERNS

        return {name: one.summary for name, one in PATTERNS.items()}
    if what == "backbones":
        from ..models.backbones import BACKBONES

        return dict(BACKBONES)
    if what == "datasets":
        from ..datasets import READERS

        return {name: reader.description for name, reader in READERS.items()}
    if what == "worlds":
        from ..rl import PHYSICS

        fields = {name: [f for f, one in p.fields.items() if not one.useless] for name, p in PHYSICS.items()}
        return {name: f"context: {', '.join(known)}" for name, known in fields.items()}
    if what == "policies":
        from ..strategies.rl import FURTHER as BY_NAME
        from ..strategies.rl import STRATEGIES as OF_WORLDS

        named = {name: f"where it is named: {one.summary}" for name, one in BY_NAME.items()}
        return {name: one.summary for name, one in OF_WORLDS.items()} | named
    if what == "weights":
        return {name: text for name, text in _room("transfer").items() if _of_weights(name)}
    rooms = {
        "objectives": ("transfer", "domains", "meta"),
        "weighings": ("multitask",),
        "adaptations": ("meta",),
        "scores": ("measure",),
    }
    found = {name: text for room in rooms[what] for name, text in _room(room).items()}
    episodic = {k: v for k, v in found.items() if k in EPISODIC}
    rest = {k: v for k, v in found.items() if k not in episodic}
    if what == "objectives":
        objectives = {k: v for k, v in rest.items() if not k.startswith("meta.") and not _of_weights(k)}
        return objectives | episodic
    return rest


def _of_weights(name: str) -> bool:
    """Tell a function of weights from an objective, which is a class: both are in the room of transfer."""
    room, _, leaf = name.partition(".")
    return room == "transfer" and leaf.islower()


def _room(room: str) -> dict[str, str]:
    """Give the first sentence on each public name of a room."""
    import importlib

    module = importlib.import_module(f"headstart.{room}")
    return {
        f"{room}.{name}": (getattr(module, name).__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
        for name in sorted(module.__all__, key=str.lower)
        if getattr(module, name).__module__.startswith(module.__name__)  # patterns of sharing are no methods
    }


def _others(what: str) -> dict[str, str]:
    """Name the methods of other packages: entry points ``"objectives.name"`` in ``headstart.methods``."""
    from importlib.metadata import entry_points

    found = {}
    for point in entry_points(group="headstart.methods"):
        kind, _, name = point.name.rpartition(".")
        if kind == what:
            found[name] = f"{point.value}, of another package"
    return found
