"""A problem, or one run of one strategy, written in a TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..atomic import check_regular
from ..comparison import Problem
from ..comparison.plan import named
from ..datasets.references import reads_files
from ..engine import seeded
from ..errors import wrong
from ..models.backbones import PREFIX, Start, code
from ..strategies import FURTHER, STRATEGIES, Budget, Candidate, Strategy, bound
from .data import read_data
from .messages import messages
from .schema import Backbone, Compare, File, Fit, Target

LARGEST = 2**22  # bytes of a problem file
MEANT = ("name", "model", "backbone")  # keys that are written for `use`, and are no setting of ours


@dataclass(frozen=True, eq=False)
class ProblemFile:
    """Hold a checked file.

    Args:
        path: where it was read.
        settings: every key, defaults included.
        allow_code: whether a backbone ``python:...`` that it names may run.
    """

    path: Path
    settings: File
    allow_code: bool = False

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def base(self) -> Path:
        """The folder that paths in the file start from."""
        return self.path.parent / self.settings.base

    @property
    def targets(self) -> list[Target]:
        """The table ``[target]``, or those under ``[[targets]]``."""
        return [self.settings.target] if self.settings.target else self.settings.targets

    @property
    def compare(self) -> Compare:
        """The table ``[compare]``."""
        return self.settings.compare

    @property
    def fit(self) -> Fit:
        """The table ``[fit]``; ``ValueError`` where there is none."""
        if self.settings.fit is None:
            hint = 'add [fit] with strategy = "finetune"'
            what = f"`fit` of {self.path}"
            raise wrong(what, expected="a table that names a strategy", found="none", hint=hint)
        return self.settings.fit

    def complete(self) -> dict[str, Any]:
        """Return the file with every default, and ``base`` absolute, so that a copy works elsewhere."""
        whole = self.settings.model_dump(exclude_none=True)
        return whole | {"base": str(self.base.resolve())}

    def variants(self) -> dict[str, Strategy]:
        """Make the strategies under ``[[strategies]]``, by name.

        Raises:
            ValueError: for an unknown strategy or setting, or a name that is taken.
        """
        made: dict[str, Strategy] = {}
        for number, table in enumerate(self.settings.strategies):
            name, what = table.name or table.use, f"`strategies.{number}.name` of {self.path}"
            if name in made or (table.name and name in STRATEGIES | FURTHER):
                raise wrong(what, expected="a name that no other strategy has", found=f'"{name}"')
            made[name] = named(table.use, STRATEGIES | FURTHER).fixed(name, table.model_extra or {})
        return made

    def strategies(self) -> list[str | Strategy]:
        """List what ``[compare]`` names, then the strategies under ``[[strategies]]``."""
        made, asked = self.variants(), self.compare.strategies
        names = asked if isinstance(asked, list) else [asked]
        chosen: list[str | Strategy] = [made.get(name, name) for name in names]
        return chosen + [strategy for name, strategy in made.items() if name not in names]

    def strategy(self) -> Strategy:
        """Give the one strategy of ``[fit]``."""
        known, backbones = STRATEGIES | FURTHER | self.variants(), self.settings.backbones
        forms = [bound(one, table.name) for one in known.values() if one.builds for table in backbones]
        return named(self.fit.strategy, known | {one.name: one for one in forms}, "`fit.strategy`")

    def rows(self) -> str:
        """Give the target's data reference as it reads from the working directory."""
        data = self.targets[0].data
        reader, colon, path = data.partition(":")
        here = not reads_files(data) or self.base.resolve() == Path.cwd()
        return data if here else f"{reader}{colon}{self.base / path}"

    def problem(self) -> Problem:
        """Read the data.

        Raises:
            ValueError: if the data or the backbone's name are wrong.
            FileNotFoundError: if data are not there.
        """
        file = self.settings
        targets, sources = read_data(
            self.targets, file.sources, self.base, alone=file.target is not None, tokens=self._tokenizer()
        )
        problem = Problem(
            targets=targets,
            sources=sources,
            backbones=self._candidates if file.backbones else None,
            **self._backbone(),
            shots=self.targets[0].shots,
            draw=self.targets[0].draw,
            rotations=file.pretrain.rotations,
            shift=file.pretrain.shift,
            budget=Budget(**file.budget.model_dump()),
            device=self.compare.device,
            precision=self.compare.precision,
            class_weights=self.compare.class_weights,
            augment=self.compare.augment,
            metric=self._metric([t.name for t in targets]),
            importance=self.compare.importance,
            no_harm=self.compare.no_harm,
            validator=self.compare.validator,
        )
        for one in map(problem.using, problem.backbones) if problem.backbones else [problem]:
            with seeded(0):  # names and shapes are told before any training
                one.build(pretrained=one.comes_pretrained())
        return problem

    def _backbone(self) -> dict[str, Any]:
        if self.settings.backbones:
            return {}
        one = self._candidates[""]
        return {"backbone": one.use, "weights": one.weights, "settings": one.settings, "fetch": one.fetch}

    @cached_property
    def _candidates(self) -> dict[str, Candidate]:
        """Give what the tables of backbones name; one alone has no name."""
        several = {table.name: table for table in self.settings.backbones}
        tables: Mapping[str, Backbone] = several or {"": self.settings.backbone or Backbone()}
        return {name: self._candidate(table) for name, table in tables.items()}

    def _candidate(self, table: Backbone) -> Candidate:
        settings, weights = dict(table.model_extra or {}), _weights(table.weights, self.base)
        if table.use == "auto" and (meant := next((key for key in MEANT if key in settings), "")):
            raise wrong(
                f"`backbone` of {self.path}",
                expected="named by `use`",
                found=f'{meant} = "{settings[meant]}"',
                hint=f'write `use = "{settings[meant]}"`',
            )
        if table.use.startswith(PREFIX):
            return Candidate(self._code(table), weights)
        return Candidate(_under(self.base, table.use), weights, settings, table.fetch)

    def _code(self, table: Backbone) -> Start:
        """Give what code makes, where that is allowed."""
        if not self.allow_code:
            raise wrong(
                f"`use` of a backbone of {self.path}",
                expected="code that you allow to run",
                found=f'"{table.use}"',
                hint="if you trust it, add `--allow-code` to `headstart compare`, `rank` or `fit`, which "
                "also goes on with what was begun",
            )
        with seeded(0):  # the weights that it draws are the same whenever the comparison is gone on with
            return code(table.use, table.model_extra or {}, self.base)

    def _tokenizer(self) -> str | None:
        """Give what cuts the texts for the backbones; ``None`` for words of our own."""
        named = [one for one in self._candidates.values() if one.use != "auto"]
        cut = [one.tokenizer() for one in named]
        if len(set(cut)) > 1:
            raise wrong(
                f"`backbones` of {self.path}",
                expected="of one tokenizer, since all read the same rows",
                found=f"{len(set(cut))} ways to cut texts",
                hint="write a problem file for each of the tokenizers",
            )
        return (cut[0] or None) if cut else None

    def _metric(self, names: Sequence[str]) -> str | dict[str, str] | None:
        """Say what targets are scored by: as their own tables say, else as [compare] does for all."""
        asked = [section.metric or self.compare.metric for section in self.targets]
        if len(asked) == 1 or len(asked) != len(names):
            return asked[0] or None
        return {name: metric for name, metric in zip(names, asked, strict=True) if metric}


def load_problem(
    path: str | Path, overrides: Sequence[str] = (), *, skip_broken: bool = False, allow_code: bool = False
) -> ProblemFile:
    """Read and check a problem file.

    Args:
        path: a TOML file; paths inside it start from its folder.
        overrides: ``key=value`` by dotted key; values are TOML, or else plain text. Of several tables
            under one name, a number or the ``name`` within says which.
        skip_broken: sets the key of that name for the targets and every source.
        allow_code: whether a backbone ``python:package.module:function`` that the file names may run.

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
    return checked(Path(path), read(Path(path), overrides), skip_broken=skip_broken, allow_code=allow_code)


def checked(path: Path, raw: Mapping[str, Any], *, skip_broken: bool, allow_code: bool) -> ProblemFile:
    """Check what a file says of rows; ``ValueError`` where a key or value is wrong."""
    if isinstance(target := raw.get("target"), dict) and "world" in target:
        hint = "`headstart compare` takes worlds"
        raise wrong(
            f"`target` of {path}", expected="`data` with labels", found="a world to act in", hint=hint
        )
    try:
        file = File.model_validate(raw)
    except ValidationError as error:
        raise ValueError("\n".join(messages(error, raw, path))) from None
    found = ProblemFile(path, file, allow_code)
    _check_targets(found)
    _check_backbones(found)
    found.variants()
    for section in (*found.targets, *file.sources):
        section.skip_broken |= skip_broken
    return found


def _check_targets(file: ProblemFile) -> None:
    if not file.targets:
        raise wrong(f"`target` of {file.path}", expected="a table with `data`", found="nothing")
    if file.settings.target and file.settings.targets:
        hint = "write each of them under [[targets]]"
        raise wrong(
            f"`target` of {file.path}", expected="left out beside [[targets]]", found="both", hint=hint
        )
    for number, section in enumerate(file.targets[1:], start=1):
        first = file.targets[0]
        if section.shots != first.shots:
            expected = f"those of the first target, {first.shots}"
            raise wrong(f"`targets.{number}.shots` of {file.path}", expected=expected, found=section.shots)
        if section.draw != first.draw:
            expected, found = f'as of the first target, "{first.draw}"', f'"{section.draw}"'
            raise wrong(f"`targets.{number}.draw` of {file.path}", expected=expected, found=found)


def _check_backbones(file: ProblemFile) -> None:
    names = [table.name for table in file.settings.backbones]
    if names and file.settings.backbone:
        hint = "write each of them under [[backbones]]"
        expected = "left out beside [[backbones]]"
        raise wrong(f"`backbone` of {file.path}", expected=expected, found="both", hint=hint)
    if len(set(names)) != len(names):
        raise wrong(f"names of `backbones` of {file.path}", expected="distinct", found=names)


def load_run(
    path: str | Path, overrides: Sequence[str] = (), *, skip_broken: bool = False, allow_code: bool = False
) -> ProblemFile:
    """Read a problem file with a table ``[fit]``: one strategy, one seed.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: as ``load_problem``; also for an unknown strategy or setting of it, or several shots.
    """
    file = load_problem(path, overrides, skip_broken=skip_broken, allow_code=allow_code)
    whole = file.strategy().settings(file.fit.settings)
    if len(file.targets) > 1:
        found, hint = f"{len(file.targets)} under [[targets]]", "write one under [target]"
        raise wrong("`targets` of a single run", expected="one target", found=found, hint=hint)
    shots = file.targets[0].shots
    if isinstance(shots, list) and len(shots) > 1:
        hint = "pass --set target.shots=5"
        raise wrong("`target.shots` of a single run", expected="one number", found=shots, hint=hint)
    fit = file.fit.model_copy(update={"settings": whole})
    return dataclasses.replace(file, settings=file.settings.model_copy(update={"fit": fit}))


# Reading the file.


def read(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a file as it is, and set what is overridden."""
    raw = _parse(path)
    for override in overrides:
        _override(raw, override)
    return raw


def _parse(path: Path) -> dict[str, Any]:
    what = f"`{path}`"
    check_regular(path)
    if (size := path.stat().st_size) > LARGEST:
        raise wrong(what, expected=f"a TOML file of at most {LARGEST} bytes", found=f"{size} bytes")
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except RecursionError:
        raise wrong(what, expected="TOML", found="brackets that are nested too deep") from None
    except UnicodeDecodeError:
        raise wrong(what, expected="TOML (UTF-8 text)", found="a binary file") from None
    except tomllib.TOMLDecodeError as error:
        hint = 'strings need quotes, as in data = "csv:train.csv#label"'
        raise wrong(what, expected="TOML", found=f"an error: {error}", hint=hint) from None


def _override(raw: dict[str, Any], override: str) -> None:
    """Set ``raw["target"]["shots"]`` by ``"target.shots=[1]"``."""
    key, equals, written = override.partition("=")
    if not equals or not all(key.split(".")):
        expected = '"key=value", such as target.shots=5'
        raise wrong("`--set`", expected=expected, found=f'"{override}"')
    try:
        value = tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        value = written
    except RecursionError:
        found = "brackets that are nested too deep"
        raise wrong(f"`--set` of {key}", expected="a value of TOML", found=found) from None
    place: Any = raw
    words = key.strip().split(".")
    while len(words) > 1:
        place, words = _step(place, words, key, override)
    if isinstance(place, list):
        place[_number(place, words[0], override)] = value
    else:
        place[words[0]] = value


def _step(place: Any, words: list[str], key: str, override: str) -> tuple[Any, list[str]]:
    """Go into the table that the first words name; the name of one of several may hold dots itself."""
    first, rest = words[0], words[1:]
    if isinstance(place, list):
        names = [table.get("name") for table in place if isinstance(table, dict)]
        taken = next((n for n in range(1, len(words)) if ".".join(words[:n]) in names), 1)
        first, rest = ".".join(words[:taken]), words[taken:]
        inner = place[_number(place, first, override)]
    else:
        inner = place.setdefault(first, {})
    if not isinstance(inner, dict | list):
        above = key.strip().removesuffix("." + ".".join(rest))
        raise wrong(f'`--set` "{override}"', expected=f"a table at `{above}`", found=repr(inner))
    return inner, rest


def _number(tables: list[Any], word: str, override: str) -> int:
    """Find one of several tables, by its number or its name."""
    names = [table.get("name") if isinstance(table, dict) else None for table in tables]
    if word in names:
        return names.index(word)
    if not (word.isdigit() and int(word) < len(tables)):
        expected = f"a number below {len(tables)} in place of {word!r}"
        raise wrong(f'`--set` "{override}"', expected=expected, found=repr(word))
    return int(word)


# From the file to the problem.


def _under(base: Path, name: str) -> str:
    """Let the path of a backbone start from ``base``; what no folder there is called may be on a hub."""
    word, _, path = name.partition(":")
    here = word in ("file", "words") or name.endswith(".keras") or (word == "hf" and (base / path).exists())
    return f"{word}:{base / path}" if here else name


def _weights(name: str, base: Path) -> str | None:
    if name == "none":
        return None
    return str(base / name) if (base / name).exists() else name
