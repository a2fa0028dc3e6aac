"""A problem, or one run of one strategy, written in a TOML file.

Every key has its default here; whatever a user gets wrong is told by the dotted name of the key.
"""

from __future__ import annotations

import dataclasses
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..datasets import Encoding
from ..engine import seeded
from ..errors import explain, unknown, wrong
from ..tasks import Task
from .problem import Budget, Problem, build
from .table import STRATEGIES

Count = Annotated[int, Field(ge=1)]
Pixels = Count | Annotated[list[Count], Field(min_length=2, max_length=2)]


class _Section(BaseModel):
    """A table of the file: no other keys, no guessed types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Split(_Section):
    """How rows are divided where the data do not say so; as ``hs.datasets.SplitSpec``."""

    test: float = Field(default=0.2, ge=0, lt=1, description="a fraction in [0, 1)")
    valid: float = Field(default=0.0, ge=0, lt=1, description="a fraction in [0, 1)")
    group: str = Field(default="", description="the name of a column")
    stratify: bool = Field(default=True, description="true or false")
    seed: int = Field(default=0, ge=0, description="a whole number of at least 0")


class Source(_Section):
    """Data with labels."""

    data: str = Field(min_length=1, description='a data reference such as "csv:train.csv#label"')
    name: str = Field(default="", description='a name without "."')
    split: Split = Field(default_factory=Split, description="a table")
    resize: Pixels | None = Field(default=None, description="pixels of a side, or [height, width]")
    skip_broken: bool = Field(default=False, description="true or false")
    kind: Literal["classes", "numbers"] | None = Field(
        default=None, description='"classes" or "numbers"; inferred from a table\'s labels if left out'
    )


class Target(Source):
    """The new task, and how many of its labels may be used."""

    shots: Count | Annotated[list[Count], Field(min_length=1)] | None = Field(
        default=None, description="a whole number of at least 1, or a list of such"
    )
    labels: Literal["all", "none"] = Field(default="all", description='"all" or "none"')


class Backbone(_Section):
    """A name for ``hs.backbone``; keys beyond these are the backbone's own settings."""

    model_config = ConfigDict(extra="allow")
    use: str = Field(
        default="auto", min_length=1, description='a name such as "conv4" or "torchvision:resnet18"'
    )
    weights: str = Field(default="default", description='"default", "none", a name or a path')


class Pretrain(_Section):
    """How a backbone without weights of its own learns from the sources."""

    rotations: bool | None = Field(default=None, description="true or false")
    shift: int | None = Field(default=None, ge=0, description="pixels, at least 0")


class Compare(_Section):
    """What ``headstart compare`` runs."""

    strategies: str | Annotated[list[str], Field(min_length=1)] = Field(
        default="auto", description='"auto", or a list of names'
    )
    seeds: Count | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = Field(
        default=5, description="a whole number of at least 1, or a list of distinct seeds of at least 0"
    )
    workers: int = Field(default=1, ge=1, description="a whole number of at least 1")
    seconds: float | None = Field(default=None, gt=0, description="a number above 0")
    out: str = Field(default="", description="a directory")


class Fit(_Section):
    """What ``headstart fit`` runs."""

    strategy: str = Field(default="finetune", description="the name of a strategy")
    seed: int = Field(default=0, ge=0, description="a whole number of at least 0")
    settings: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="a table of numbers above 0"
    )
    out: str = Field(default="", description="a directory")


def _budget(name: str) -> Any:
    return Field(getattr(Budget(), name), ge=1, description="a whole number of at least 1")


class Steps(_Section):
    """The fields of ``hs.strategies.Budget``."""

    steps: int = _budget("steps")
    pretrain: int = _budget("pretrain")
    meta: int = _budget("meta")
    episodes: int = _budget("episodes")
    batch: int = _budget("batch")
    options: int = _budget("options")
    repeats: int = _budget("repeats")


class File(_Section):
    """The whole file."""

    base: str = Field(default="", description="the folder that paths start from")
    target: Target = Field(description="a table with `data`")
    sources: list[Source] = Field(default_factory=list, description="tables, each under [[sources]]")
    backbone: Backbone = Field(default_factory=Backbone, description="a table")
    pretrain: Pretrain = Field(default_factory=Pretrain, description="a table")
    budget: Steps = Field(default_factory=Steps, description="a table")
    compare: Compare = Field(default_factory=Compare, description="a table")
    fit: Fit | None = Field(default=None, description="a table")


@dataclass(frozen=True, eq=False)
class ProblemFile:
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

    @property
    def fit(self) -> Fit:
        """The table ``[fit]``; ``ValueError`` where there is none."""
        if self.settings.fit is None:
            raise wrong(
                f"`fit` of {self.path}",
                expected="a table that names a strategy",
                found="none",
                hint='add [fit] with strategy = "finetune"',
            )
        return self.settings.fit

    def complete(self) -> dict[str, Any]:
        """Return the file with every default, and ``base`` absolute, so that a copy works elsewhere."""
        whole = self.settings.model_dump(exclude_none=True)
        return whole | {"base": str(self.base.resolve())}

    def problem(self) -> Problem:
        """Read the data.

        Raises:
            ValueError: if the data or the backbone's name are wrong.
            FileNotFoundError: if data are not there.
        """
        file = self.settings
        labels = _labels(file.target, *file.sources)
        target = _target(file.target, self.base, labels)
        sources: list[Task] = []
        for source in file.sources:
            taken = [target.name, *(s.name for s in sources)]
            sources += _sources(source, self.base, labels, target, taken)
        shots = [file.target.shots] if isinstance(file.target.shots, int) else file.target.shots
        problem = Problem(
            target,
            sources,
            backbone=_under(self.base, file.backbone.use, "file:"),
            weights=_weights(file.backbone.weights, self.base),
            settings=dict(file.backbone.model_extra or {}),
            shots=shots,
            rotations=file.pretrain.rotations,
            shift=file.pretrain.shift,
            budget=Budget(**file.budget.model_dump()),
        )
        with seeded(0):
            build(
                problem, pretrained=problem.comes_pretrained()
            )  # names and shapes are told before any training
        return problem


def load_problem(
    path: str | Path, overrides: Sequence[str] = (), *, skip_broken: bool = False
) -> ProblemFile:
    """Read and check a problem file.

    Args:
        path: a TOML file; paths inside it start from its folder.
        overrides: ``key=value`` by dotted key; values are TOML, or else plain text.
        skip_broken: sets the key of that name for the target and every source.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is not TOML, or a key or value is wrong.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "problem.toml"
        ...     _ = path.write_text('target.data = "digits:5-9"')
        ...     file = load_problem(path, ["target.shots=[1, 5]", "compare.seeds=3"])
        >>> file.settings.target.shots, file.compare.seeds
        ([1, 5], 3)
    """
    path = Path(path)
    raw = _parse(path)
    for override in overrides:
        _override(raw, override)
    try:
        file = File.model_validate(raw)
    except ValidationError as error:
        raise ValueError("\n".join(_messages(error, raw, path))) from None
    for section in (file.target, *file.sources):
        section.skip_broken |= skip_broken
    return ProblemFile(path, file)


def load_run(path: str | Path, overrides: Sequence[str] = (), *, skip_broken: bool = False) -> ProblemFile:
    """Read a problem file with a table ``[fit]``: one strategy, one seed.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: as ``load_problem``; also for an unknown strategy or setting of it, or several shots.
    """
    file = load_problem(path, overrides, skip_broken=skip_broken)
    fit = file.fit
    if fit.strategy not in STRATEGIES:
        raise unknown("`fit.strategy`", fit.strategy, STRATEGIES)
    defaults = STRATEGIES[fit.strategy].options[0]
    for key in fit.settings:
        if key not in defaults:
            raise unknown(f"key in `fit.settings` of {fit.strategy}", key, defaults)
    shots = file.settings.target.shots
    if isinstance(shots, list) and len(shots) > 1:
        raise wrong(
            "`target.shots` of a single run",
            expected="one number",
            found=shots,
            hint="pass --set target.shots=5",
        )
    whole = fit.model_copy(update={"settings": dict(defaults) | fit.settings})
    return dataclasses.replace(file, settings=file.settings.model_copy(update={"fit": whole}))


# Reading the file.


def _parse(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise wrong(f"`{path}`", expected="a TOML file", found="nothing there", error=FileNotFoundError)
    if path.is_dir():
        raise wrong(f"`{path}`", expected="a TOML file", found="a folder")
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise wrong(f"`{path}`", expected="TOML (UTF-8 text)", found="a binary file") from None
    except tomllib.TOMLDecodeError as error:
        hint = 'strings need quotes, as in data = "csv:train.csv#label"'
        raise wrong(f"`{path}`", expected="TOML", found=f"an error: {error}", hint=hint) from None


def _override(raw: dict[str, Any], override: str) -> None:
    """Set ``raw["target"]["shots"]`` by ``"target.shots=[1]"``."""
    key, equals, written = override.partition("=")
    if not equals or not all(key.split(".")):
        raise wrong("`--set`", expected='"key=value", such as target.shots=5', found=f'"{override}"')
    try:
        value = tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        value = written
    *parents, last = key.strip().split(".")
    place: Any = raw
    for depth, part in enumerate(parents):
        place = place.setdefault(part, {}) if isinstance(place, dict) else _item(place, part, override)
        if not isinstance(place, dict | list):
            above = ".".join(parents[: depth + 1])
            raise wrong(f'`--set` "{override}"', expected=f"a table at `{above}`", found=repr(place))
    if isinstance(place, list):
        _item(place, last, override)
        place[int(last)] = value
    else:
        place[last] = value


def _item(items: list[Any], number: str, override: str) -> Any:
    if not (number.isdigit() and int(number) < len(items)):
        expected = f"a number below {len(items)} in place of {number!r}"
        raise wrong(f'`--set` "{override}"', expected=expected, found=repr(number))
    return items[int(number)]


# Telling what is wrong.


def _messages(error: ValidationError, raw: Mapping[str, Any], path: Path) -> list[str]:
    """Say each wrong key once, in the file's own words."""
    told: dict[str, str] = {}
    for entry in error.errors():
        if entry["type"] == "extra_forbidden":
            *parents, key = entry["loc"]
            table = _dotted(parents)
            what = f"key in [{table}] of {path}" if table else f"key of {path}"
            told[_dotted(entry["loc"])] = str(unknown(what, str(key), _model(parents).model_fields))
            continue
        if entry["type"] == "missing":
            at, found = list(entry["loc"]), "nothing"
        else:
            at, value = _given(entry["loc"], raw)
            found = _shown(value)
        field = _model(at[:-1]).model_fields.get(str(at[-1]))
        expected = (field.description if field else None) or entry["msg"].removeprefix("Input should be ")
        told.setdefault(_dotted(at), explain(f"`{_dotted(at)}` of {path}", expected=expected, found=found))
    return list(told.values())


def _shown(value: Any) -> str:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f'"{value}"'
        if isinstance(value, str)
        else repr(value)
    )


def _dotted(location: Sequence[str | int]) -> str:
    return ".".join(map(str, location))


def _given(location: Sequence[str | int], raw: Any) -> tuple[list[str | int], Any]:
    """Follow an error's location as far as it names keys of the file: up to the last key of a table."""
    at: list[str | int] = []
    for part in location:
        table = isinstance(raw, dict) and part in raw
        if not table and not (
            isinstance(raw, list) and isinstance(part, int) and isinstance(raw[part], dict)
        ):
            break
        raw = raw[part]
        at.append(part)
    return at, raw


def _model(location: Sequence[str | int]) -> type[_Section]:
    """Find the section that stands at a location."""
    sections: dict[str | int, type[_Section]] = {
        "target": Target, "sources": Source, "backbone": Backbone, "pretrain": Pretrain, "budget": Steps,
        "compare": Compare, "fit": Fit, "split": Split,
    }  # fmt: skip
    names = [part for part in location if part in sections]
    return sections[names[-1]] if names else File


# From the file to the problem.


def _under(base: Path, name: str, prefix: str) -> str:
    """Let a path after ``prefix`` start from ``base``."""
    return f"{prefix}{base / name.removeprefix(prefix)}" if name.startswith(prefix) else name


def _weights(name: str, base: Path) -> str | None:
    if name == "none":
        return None
    return str(base / name) if (base / name).exists() else name


def _labels(*sections: Source) -> list[str]:
    """List the label columns of all tables; rows are read alike, so that none may be an input of any."""
    from ..datasets.references import label_columns

    return sorted({name for section in sections for name in label_columns(section.data)})


def _read(source: Source, base: Path, drop: Sequence[str], like: Task | None = None) -> list[Task]:
    from ..datasets import SplitSpec, read

    resize = tuple(source.resize) if isinstance(source.resize, list) else source.resize
    return read(
        source.data,
        base=base,
        split=SplitSpec(**source.split.model_dump()),
        resize=resize,  # type: ignore[arg-type]
        skip_broken=source.skip_broken,
        encoding=_shared(source, like),
        drop=drop,
        kind=source.kind,
    )


def _shared(source: Source, like: Task | None) -> Encoding | None:
    """Give what makes a source's rows like the target's (columns, words, pixels), without the classes."""
    if like is None or like.encoding is None or source.resize is not None:
        return None
    return like.encoding.alike() if like.encoding.reads(source.data.partition(":")[0]) else None


def _target(section: Target, base: Path, labels: Sequence[str]) -> Task:
    from ..datasets import unlabel
    from ..datasets.references import reads_files

    tasks = _read(section, base, labels)
    if len(tasks) != 1:
        names = [t.name for t in tasks]
        word = "column" if reads_files(section.data) else "name"
        hint = f"keep one {word} after the # of `target.data` ({section.data!r})"
        if "#" not in section.data:
            hint = f'name one of them: target.data = "{section.data}#{names[0]}"'
        raise wrong("`target.data`", expected="one task", found=f"{len(tasks)}: {names}", hint=hint)
    task = dataclasses.replace(tasks[0], name=section.name) if section.name else tasks[0]
    if section.labels == "all":
        return task
    if section.shots is not None:
        raise wrong(
            "`target.shots`", expected='left out where `target.labels` is "none"', found=section.shots
        )
    return unlabel(task)


def _sources(
    section: Source, base: Path, labels: Sequence[str], target: Task, taken: Sequence[str]
) -> list[Task]:
    """Read a source; give its tasks names that are not taken."""
    tasks: list[Task] = []
    with warnings.catch_warnings():  # a source's test rows are never used
        warnings.filterwarnings("ignore", message=".* are equal to a train row")
        read = _read(section, base, labels, target)
    for task in read:
        wanted = section.name or task.name
        if wanted in (known := [*taken, *(t.name for t in tasks)]):
            origin = (
                Path(section.data.partition(":")[2].partition("#")[0]).stem or section.data.partition("#")[0]
            )
            wanted = f"{wanted} of {origin}".replace(".", "_")
        name, number = wanted, 2
        while name in known:
            name, number = f"{wanted} {number}", number + 1
        tasks.append(dataclasses.replace(task, name=name))
    return tasks
