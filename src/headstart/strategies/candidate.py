"""One of several backbones that a problem names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ..errors import wrong
from ..models.backbones import Start, start
from ..models.backbones.hub import fetching

NAME = re.compile(r"[A-Za-z0-9+\-_.]+")


@dataclass(frozen=True, eq=False)
class Candidate:
    """Say what one of several backbones is.

    Args:
        use: a name for ``hs.backbone``, a pretrained module, or what builds one.
        weights: as for ``hs.backbone``.
        settings: the backbone's own.
        fetch: as for ``hs.backbone``.

    Example:
        >>> from headstart.strategies import Candidate
        >>> Candidate("torchvision:resnet18", weights=None).settings
        {}
    """

    use: str | nn.Module | Start
    weights: str | None = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    fetch: str = "yes"

    def tokenizer(self) -> str:
        """Give the text of the ``tokenizer.json`` that rows have to be cut by; empty where there is none."""
        with fetching(self.fetch):
            return start(self.use).tokenizer(self.settings)


def candidates(given: Mapping[str, Candidate | str | nn.Module | Start]) -> dict[str, Candidate]:
    """Complete the backbones of a problem; a name or a module alone comes with its defaults.

    Raises:
        ValueError: for a name with other signs than letters, digits and ``+ - _ .``.
    """
    for name in given:
        if not NAME.fullmatch(name):
            expected = "letters, digits and + - _ . alone"
            raise wrong("name of a backbone", expected=expected, found=f'"{name}"')
    return {name: one if isinstance(one, Candidate) else Candidate(one) for name, one in given.items()}
