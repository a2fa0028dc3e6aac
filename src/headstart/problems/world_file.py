"""A problem of worlds, written in a TOML file: which world to act in, and what was learned in others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from ..comparison.rl import Problem
from ..models import Net, load
from ..rl import World
from ..strategies import Strategy
from ..strategies.rl import Budget
from .messages import messages
from .schema import Compare, Count, Section

PLACE = Annotated[int, Field(ge=0)]


class Acting(Section):
    """A world."""

    world: str = Field(min_length=1, description='the name of an environment, such as "CartPole-v1"')
    name: str = Field(default="", description="a name for the report")
    context: dict[str, float] = Field(default_factory=dict, description="a table of numbers, by field")
    actions: int | None = Field(default=None, ge=2, description="a whole number of at least 2")
    scale: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="two returns: what counts as 0, and what as 1"
    )

    def make(self) -> World:
        """Make the world; ``ValueError`` for what is wrong with it."""
        scale = (self.scale[0], self.scale[1]) if self.scale else None
        return World(self.world, name=self.name, context=self.context, actions=self.actions, scale=scale)


class Target(Acting):
    """The world to act in, and how long to learn in it."""

    steps: Annotated[list[PLACE], Field(min_length=1)] = Field(
        default=[0, 5_000, 20_000], description="a list of whole numbers of at least 0, rising"
    )
    metric: Literal["score", "area"] = Field(default="score", description='"score" or "area"')


class Steps(Section):
    """The fields of ``rl.Budget``."""

    pretrain: int = Field(default=Budget().pretrain, ge=1, description="a whole number of at least 1")
    episodes: int = Field(default=Budget().episodes, ge=2, description="a whole number of at least 2")
    hidden: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[*Budget().hidden], description="a list of whole numbers of at least 1"
    )


class File(Section):
    """The whole file."""

    base: str = Field(default="", description="the folder that paths start from")
    target: Target = Field(description="a table with `world`")
    sources: list[Acting] = Field(default_factory=list, description="tables, each under [[sources]]")
    policy: str = Field(default="", description="the directory of a saved policy")
    budget: Steps = Field(default_factory=Steps, description="a table")
    compare: Compare = Field(default_factory=Compare, description="a table")


SECTIONS: Mapping[str | int, type[Section]] = {
    "target": Target, "sources": Acting, "budget": Steps, "compare": Compare,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class WorldFile:
    """Hold a checked file.

    Args:
        path: where it was read.
        settings: every key, defaults included.
    """

    path: Path
    settings: File

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def base(self) -> Path:
        """The folder that paths in the file start from."""
        return self.path.parent / self.settings.base

    @property
    def compare(self) -> Compare:
        """The table ``[compare]``."""
        return self.settings.compare

    def complete(self) -> dict[str, Any]:
        """Return the file with every default, and ``base`` absolute, so that a copy works elsewhere."""
        return self.settings.model_dump(exclude_none=True) | {"base": str(self.base.resolve())}

    def strategies(self) -> list[str | Strategy]:
        """List what ``[compare]`` names."""
        asked = self.compare.strategies
        return [*asked] if isinstance(asked, list) else [asked]

    def problem(self) -> Problem:
        """Make the worlds.

        Raises:
            ValueError: if a world or the policy is wrong.
        """
        file = self.settings
        return Problem(
            file.target.make(),
            [source.make() for source in file.sources],
            self._policy(),
            file.target.steps,
            Budget(file.budget.pretrain, file.budget.episodes, tuple(file.budget.hidden)),
            file.target.metric,
        )

    def rows(self) -> str:
        """There are no rows to predict for."""
        return ""

    def _policy(self) -> Net | None:
        return load(self.base / self.settings.policy).net if self.settings.policy else None


def read(path: Path, raw: Mapping[str, Any]) -> WorldFile:
    """Check what a file says.

    Raises:
        ValueError: if a key or value is wrong.

    Example:
        >>> file = read(Path("x.toml"), {"target": {"world": "CartPole-v1", "context": {"gravity": 20}}})
        >>> file.problem().target.name
        'CartPole-v1 gravity=20'
    """
    try:
        return WorldFile(path, File.model_validate(raw))
    except ValidationError as error:
        raise ValueError("\n".join(messages(error, raw, path, _section_at))) from None


def _section_at(location: list[str | int]) -> type[Section]:
    names = [part for part in location if part in SECTIONS]
    return SECTIONS[names[0]] if names else File
