"""The tables and keys of a problem file, each with its default and what it should be."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..strategies import Budget
from ..strategies.validating import DEFAULT

Count = Annotated[int, Field(ge=1)]
Pixels = Count | Annotated[list[Count], Field(min_length=2, max_length=2)]
Setting = bool | int | float | str | list[float] | list[str]
NAME = r"^[A-Za-z0-9+\-_.@:]+$"


class Section(BaseModel):
    """A table of the file: no other keys, no guessed types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Split(Section):
    """How rows are divided where the data do not say so; as ``hs.datasets.SplitSpec``."""

    test: float = Field(default=0.2, ge=0, lt=1, description="a fraction in [0, 1)")
    valid: float = Field(default=0.0, ge=0, lt=1, description="a fraction in [0, 1)")
    group: str = Field(default="", description="the name of a column")
    stratify: bool = Field(default=True, description="true or false")
    seed: int = Field(default=0, ge=0, description="a whole number of at least 0")


class SourceSplit(Split):
    """The same for a source, whose test rows nothing uses."""

    test: float = Field(default=0.0, ge=0, lt=1, description="a fraction in [0, 1), which is left unused")


class Data(Section):
    """Data with labels."""

    data: str = Field(min_length=1, description='a data reference such as "csv:train.csv#label"')
    name: str = Field(default="", description='a name without "."')
    split: Split = Field(default_factory=Split, description="a table")
    resize: Pixels | None = Field(default=None, description="pixels of a side, or [height, width]")
    skip_broken: bool = Field(default=False, description="true or false")
    kind: Literal["classes", "numbers"] | None = Field(
        default=None, description='"classes" or "numbers"; inferred from a table\'s labels if left out'
    )
    drop: list[str] = Field(default_factory=list, description="columns that are inputs of no table")
    ids: list[str] = Field(default_factory=list, description="columns that name users, items and the like")


class Source(Data):
    """Data with labels, to learn from beforehand."""

    split: SourceSplit = Field(default_factory=SourceSplit, description="a table")
    columns: Literal["shared", "own"] = Field(
        default="shared",
        description='"shared", or "own" to keep columns that the target has not, and those of the target',
    )


class Target(Data):
    """The new task, and how many of its labels may be used."""

    shots: Count | Annotated[list[Count], Field(min_length=1)] | None = Field(
        default=None, description="a whole number of at least 1, or a list of such"
    )
    draw: Literal["equal", "random"] = Field(default="equal", description='"equal" or "random"')
    labels: Literal["all", "none"] = Field(default="all", description='"all" or "none"')
    metric: str = Field(
        default="", description="what it is scored by; chosen by the shape of its labels if left out"
    )


class Backbone(Section):
    """A name for ``hs.backbone``; keys beyond these are the backbone's own settings."""

    model_config = ConfigDict(extra="allow")
    use: str = Field(
        default="auto",
        min_length=1,
        description='a name such as "conv4", "torchvision:resnet18" or "python:my.module:function"',
    )
    weights: str = Field(default="default", description='"default", "none", a name or a path')
    fetch: Literal["yes", "never"] = Field(default="yes", description='"yes" or "never"')


class Candidate(Backbone):
    """One of several backbones, under a name of the user's."""

    name: str = Field(pattern=r"^[A-Za-z0-9+\-_.]+$", description="letters, digits and + - _ .")
    use: str = Field(min_length=1, description='a name such as "conv4" or "torchvision:resnet18"')


class Pretrain(Section):
    """How a backbone without weights of its own learns from the sources."""

    rotations: bool | None = Field(default=None, description="true or false")
    shift: int | None = Field(default=None, ge=0, description="pixels, at least 0")


class Variant(Section):
    """A strategy under a name of the user's, with settings that are fixed: all keys beyond these two."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Setting]
    use: str = Field(min_length=1, description="the name of a strategy")
    name: str = Field(default="", pattern=f"{NAME}|^$", description="letters, digits and + - _ . @ :")


class Compare(Section):
    """What ``headstart compare`` runs, and where."""

    strategies: str | Annotated[list[str], Field(min_length=1)] = Field(
        default="auto", description='"auto", or a list of names'
    )
    seeds: (
        Count | Literal["auto"] | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None
    ) = Field(
        default=None,
        description='a whole number of at least 1, a list of distinct seeds of at least 0, or "auto": 5, '
        '8, then 12 for what is not decided; left out, "auto" where `strategies` is, else 5',
    )
    metric: str = Field(default="", description="what every target is scored by, such as `auroc`")
    importance: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="a table of numbers above 0, by the names of targets"
    )
    no_harm: list[str] = Field(default_factory=list, description="a list of names of targets")
    least: float = Field(default=0.01, gt=0, lt=1, description="the smallest gain that matters, in (0, 1)")
    confirm: bool = Field(
        default=False, description="true to choose on half of the test rows and measure on the others"
    )
    baseline: str = Field(
        default="",
        description="a strategy that gains are measured against in place of the best without reuse",
    )
    workers: int = Field(default=1, ge=1, description="a whole number of at least 1")
    threads: int = Field(default=1, ge=1, description="a whole number of at least 1, of each worker")
    device: str = Field(default="auto", min_length=1, description='"auto", or a device such as "cuda:0"')
    precision: Literal["auto", "float32", "bf16"] = Field(
        default="auto", description='"auto", "float32" or "bf16"'
    )
    class_weights: Literal["auto", "balanced", "sampled", "none"] = Field(
        default="auto", description='"auto", "balanced", "sampled" or "none"'
    )
    augment: list[Literal["flip", "shift", "crop", "colour", "mixup", "turn", "tint", "invert", "erase"]] = (
        Field(
            default_factory=list,
            description='a list of "flip", "shift", "crop", "colour", "mixup", "turn", "tint", "invert" and '
            '"erase"',
        )
    )
    validator: str = Field(
        default=DEFAULT, description="what judges nets for a target without labels, such as `sound`"
    )
    seconds: float | None = Field(default=None, gt=0, description="a number above 0")
    out: str = Field(default="", description="a directory")


class Fit(Section):
    """What ``headstart fit`` runs."""

    strategy: str = Field(default="finetune", description="the name of a strategy")
    seed: int = Field(default=0, ge=0, description="a whole number of at least 0")
    settings: dict[str, Setting] = Field(
        default_factory=dict, description="a table of numbers, words, switches or lists of them"
    )
    out: str = Field(default="", description="a directory")


def _budget(name: str, least: int = 1) -> Any:
    return Field(getattr(Budget(), name), ge=least, description=f"a whole number of at least {least}")


class Steps(Section):
    """The fields of ``hs.strategies.Budget``."""

    steps: int | None = _budget("steps")
    pretrain: int = _budget("pretrain")
    meta: int = _budget("meta")
    episodes: int = _budget("episodes")
    batch: int = _budget("batch")
    options: int = _budget("options")
    repeats: int = _budget("repeats")
    looks: int = _budget("looks", 0)


class File(Section):
    """The whole file."""

    base: str = Field(default="", description="the folder that paths start from")
    target: Target | None = Field(default=None, description="a table with `data`")
    targets: list[Target] = Field(default_factory=list, description="tables, each under [[targets]]")
    sources: list[Source] = Field(default_factory=list, description="tables, each under [[sources]]")
    backbone: Backbone | None = Field(default=None, description="a table")
    backbones: list[Candidate] = Field(default_factory=list, description="tables, each under [[backbones]]")
    pretrain: Pretrain = Field(default_factory=Pretrain, description="a table")
    budget: Steps = Field(default_factory=Steps, description="a table")
    strategies: list[Variant] = Field(default_factory=list, description="tables, each under [[strategies]]")
    compare: Compare = Field(default_factory=Compare, description="a table")
    fit: Fit | None = Field(default=None, description="a table")


SECTIONS: dict[str | int, type[Section]] = {
    "target": Target, "targets": Target, "sources": Source, "backbone": Backbone, "backbones": Candidate,
    "pretrain": Pretrain,
    "budget": Steps, "strategies": Variant, "compare": Compare, "fit": Fit, "split": Split,
}  # fmt: skip


def section_at(location: list[str | int]) -> type[Section]:
    """Find the section that stands at a location, such as ``["target", "split"]``."""
    names = [part for part in location if part in SECTIONS]
    if names[:1] == ["compare"]:
        return Compare  # whose key `strategies` is no table
    return SECTIONS[names[-1]] if names else File
