"""A backbone that a function of the user's makes, named ``python:package.module:function``.

It runs code, so no name for ``hs.backbone``, no saved model and no directory of a run leads here: only a
caller who was told to.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ...errors import unknown, wrong
from .module import Module
from .provider import Shape

PREFIX = "python:"


@dataclass(frozen=True, eq=False)
class Code:
    """A start that a function made once; it is copied each time that it is built.

    Args:
        name: of the function, as it was given.
        module: what it made, with the weights that it gave.
        source: hash of the file that it stands in; empty where there is none.
    """

    name: str
    module: nn.Module
    source: str

    @property
    def use(self) -> None:
        """It has no name for ``hs.backbone``."""

    def tokenizer(self, settings: Mapping[str, Any] | None = None) -> str:
        """Give the tokenizer that the module says."""
        return Module(self.module).tokenizer(settings)

    def comes_pretrained(self, weights: str | None) -> bool:
        """Tell that the function gave weights that count, unless ``weights`` is ``None``."""
        return weights is not None

    def build(
        self,
        *,
        inputs: Shape | None = None,
        weights: str | None = "default",
        settings: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> nn.Module:
        """Copy it, with new weights where ``weights`` is ``None``."""
        if weights not in (None, "default"):
            hint = "load that file in the function"
            raise wrong(
                f"`weights` of {self.name!r}", expected='"default" or "none"', found=f'"{weights}"', hint=hint
            )
        return Module(self.module).build(weights=weights)

    def fingerprint(self) -> str:
        """Hash its name, its file, its architecture and its weights."""
        return f"{self.name} {self.source} {Module(self.module).fingerprint()}"


def code(use: str, settings: Mapping[str, Any], folder: Path) -> Code:
    """Import a function and call it with the settings.

    Args:
        use: ``"python:package.module:function"``.
        settings: its keyword arguments.
        folder: where modules are looked for as well, behind all other places.

    Raises:
        ValueError: if there is no such function, or it does not make a module of these settings.
        ModuleNotFoundError: if there is no such module.
    """
    place, _, name = use.removeprefix(PREFIX).partition(":")
    if not (place and name.isidentifier()):
        expected = f'"{PREFIX}package.module:function"'
        raise wrong("`use` of a backbone", expected=expected, found=f'"{use}"')
    if str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))
    try:
        home = importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise
        hint = f"install it, or put `{place.replace('.', '/')}.py` beside the problem file"
        raise wrong(
            f"`{place}` of {use!r}", expected="a module", found="none", hint=hint, error=ModuleNotFoundError
        ) from None
    function = getattr(home, name, None)
    if not callable(function):
        known = [n for n, value in vars(home).items() if callable(value)]
        raise unknown(f"function of `{place}`", name, known)
    file = getattr(home, "__file__", None)
    source = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    return Code(use, _called(function, use, settings), source)


def _called(function: Callable[..., Any], use: str, settings: Mapping[str, Any]) -> nn.Module:
    try:
        inspect.signature(function).bind(**settings)
    except TypeError as error:
        expected = f"arguments of {inspect.signature(function)}"
        raise wrong(f"settings of {use!r}", expected=expected, found=str(error)) from None
    except ValueError:  # one that does not tell its arguments
        pass
    made = function(**settings)
    if not isinstance(made, nn.Module):
        raise wrong(
            f"what {use!r} returns",
            expected="a torch.nn.Module from rows to features",
            found=type(made).__name__,
        )
    return made
