"""What a source of backbones answers for itself, so that nobody else asks which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import torch
from torch import nn

from ...errors import unknown, wrong
from ..net import Backbone
from .tokenizer import check_tokenizer

Shape = tuple[int, ...]  # of one row, without the batch axis


class Start(Protocol):
    """A backbone to start from: one with a name, or a module of the caller's own."""

    @property
    def name(self) -> str:
        """What is shown of it."""

    @property
    def use(self) -> str | None:
        """Its name for ``hs.backbone``; ``None`` for a module."""

    def comes_pretrained(self, weights: str | None) -> bool:
        """Tell whether it brings knowledge of its own, built with these weights."""

    def build(
        self,
        *,
        inputs: Shape | None = None,
        weights: str | None = "default",
        settings: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> nn.Module:
        """Make it, all of it trainable.

        Args:
            inputs: shape of one row; ``None`` where it is not known.
            weights: as for ``hs.backbone``; ``None`` draws new ones from the global random state.
            settings: its own; they go before what ``inputs`` and ``facts`` tell.
            facts: what the reader of the rows tells, such as ``{"vocabulary": 1000}``; ``None`` where
                rows do not come from a reader but as the backbone expects them.
        """

    def tokenizer(self, settings: Mapping[str, Any] | None = None) -> str:
        """Give the text of the tokenizer that cuts its rows; "" where it reads no text, or does not know.

        Args:
            settings: as for ``build``.
        """

    def fingerprint(self) -> str:
        """Tell this start from any other, for results that depend on it."""


def given(weights: str | None) -> bool:
    """Tell whether weights are asked for at all: the default ones of most sources are pretrained."""
    return weights is not None


def nothing(name: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take no setting from the facts of a reader."""
    return {}


def raw(name: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take images as readers give them, in [0, 1]."""
    return {"raw": True}


def no_tokenizer(name: str, settings: Mapping[str, Any]) -> str:
    """Cut no text."""
    return ""


def check_settings(use: str, settings: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse a setting that a backbone does not have."""
    for setting in settings:
        if setting not in known:
            raise unknown(f"setting of backbone {use!r}", setting, known)


@dataclass(frozen=True)
class Provider:
    """One source of backbones.

    Args:
        names: what there is, with a line on each: whole names (``"mlp"``), or a word for the source and
            a placeholder for what comes after the colon (``"torchvision:NAME"``).
        build: from a whole name, or what comes after the colon, with the ``inputs``, ``weights`` and
            ``settings`` of ``hs.backbone``, to the backbone.
        comes_pretrained: whether a backbone with these weights brings knowledge of its own.
        told: the settings that are plain from a name and the facts of a reader.
        tokenizer: the text of the tokenizer that rows have to be cut by, from a name and settings.
    """

    names: Mapping[str, str]
    build: Callable[[str, Shape | None, str | None, dict[str, Any]], Backbone]
    comes_pretrained: Callable[[str | None], bool] = given
    told: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] = nothing
    tokenizer: Callable[[str, Mapping[str, Any]], str] = no_tokenizer

    def find(self, use: str) -> Named | None:
        """Start from the backbone of that name, if it is one of these."""
        source, colon, name = use.partition(":")
        if not colon:
            return Named(self, use, use) if use in self.names else None
        return Named(self, use, name) if source in self.prefixes() else None

    def prefixes(self) -> list[str]:
        """List the words before a colon that this source answers to."""
        words = (name.partition(":") for name in self.names)
        return list(dict.fromkeys(source for source, colon, _ in words if colon))


@dataclass(frozen=True)
class Named:
    """A start that has a name.

    Args:
        provider: where it comes from.
        use: its name for ``hs.backbone``.
        within: its name for the provider.
    """

    provider: Provider
    use: str
    within: str

    @property
    def name(self) -> str:
        """What is shown of it."""
        return self.use

    def comes_pretrained(self, weights: str | None) -> bool:
        """Tell whether it brings knowledge of its own, built with these weights."""
        return self.provider.comes_pretrained(weights)

    def build(
        self,
        *,
        inputs: Shape | None = None,
        weights: str | None = "default",
        settings: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Backbone:
        """Make it, as ``Start`` says, and see that it takes rows of the shape ``inputs``."""
        told = {} if facts is None else self.provider.told(self.within, facts)
        built = self.provider.build(self.within, inputs, weights, {**told, **dict(settings or {})})
        check_tokenizer(self.use, built.tokenizer, facts or {})
        if inputs is not None:
            _check_rows(built, self.use, inputs)
        return built

    def tokenizer(self, settings: Mapping[str, Any] | None = None) -> str:
        """Give the text of its tokenizer."""
        return self.provider.tokenizer(self.within, settings or {})

    def fingerprint(self) -> str:
        """Tell this start from any other."""
        return self.use


def _check_rows(built: Backbone, use: str, inputs: Shape) -> None:
    """Pass one row of zeros through, without a trace."""
    own = next(chain(built.parameters(), built.buffers()), torch.zeros(()))
    try:
        with torch.no_grad():
            dtype = torch.long if built.tokenizer else own.dtype
            built.eval()(torch.zeros(1, *inputs, dtype=dtype, device=own.device))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        hint = "resize the rows, or choose other settings or another backbone"
        found = f"{tuple(inputs)} ({str(error).splitlines()[0]})"
        raise wrong(
            "`inputs`", expected=f"a shape that backbone {use!r} takes", found=found, hint=hint
        ) from error
    built.train()
