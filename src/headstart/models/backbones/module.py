"""A module of the caller's own, as a backbone to start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..fresh import copied, reinitialise
from ..hashing import module_hash
from ..net import as_backbone
from .provider import Shape
from .tokenizer import check_tokenizer


@dataclass(frozen=True, eq=False)
class Module:
    """A start that is a module; it counts as pretrained.

    Args:
        module: is copied, never trained itself.
    """

    module: nn.Module

    @property
    def name(self) -> str:
        """What is shown of it."""
        return type(self.module).__name__

    @property
    def use(self) -> None:
        """It has no name for ``hs.backbone``."""

    def comes_pretrained(self, weights: str | None) -> bool:
        """Tell that it is taken as it comes, whatever ``weights`` says."""
        return True

    def build(
        self,
        *,
        inputs: Shape | None = None,
        weights: str | None = "default",
        settings: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> nn.Module:
        """Copy it, with new weights where ``weights`` is ``None``; see that it reads such rows of text."""
        check_tokenizer(self.name, self.tokenizer(), facts or {})
        module = copied(self.module)
        return reinitialise(module) if weights is None else module

    def tokenizer(self, settings: Mapping[str, Any] | None = None) -> str:
        """Give the tokenizer that the module says."""
        about = as_backbone(self.module)
        return "" if about is None else about.tokenizer

    def fingerprint(self) -> str:
        """Hash its architecture and its weights."""
        return module_hash(self.module)
