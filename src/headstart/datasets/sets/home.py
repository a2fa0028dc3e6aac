"""Where the files of the benchmark sets are: a folder of the user's, a cache, or their public home."""

from __future__ import annotations

import io
import lzma
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...atomic import write_atomic
from ...errors import wrong
from ...places import cache
from ..options import need
from .download import download
from .recipe import Content, Recipe, digest


def find(file: str) -> Path | None:
    """Look for ``set/file`` under ``HEADSTART_DATA``, then in the cache."""
    folders = [Path(os.environ["HEADSTART_DATA"])] if os.environ.get("HEADSTART_DATA") else []
    return next((f / file for f in [*folders, cache()] if (f / file).is_file()), None)


def locate(file: str, recipes: Sequence[Recipe]) -> Path:
    """Find ``set/file`` on disk, or make it once, in the cache, by the recipe that it is of.

    Raises:
        FileNotFoundError: if it is not on disk and its public home is not reached; names both ways.
        ValueError: if what is there is not what was published; nothing is kept of it.
        ImportError: if an optional dependency that reads the public files is missing.
    """
    path = find(file)
    if path is None:
        fetch(next(recipe for recipe in recipes if file in recipe.files))
        path = cache() / file
    return path


def arrays(file: str, recipes: Sequence[Recipe]) -> dict[str, np.ndarray]:
    """Read the arrays of ``set/file``, as ``locate`` finds it."""
    with np.load(locate(file, recipes), allow_pickle=False) as archive:
        return dict(archive)


def fetch(recipe: Recipe) -> None:
    """Download the public files of a recipe and leave in the cache what is made of them, all or nothing."""
    for module, extra in recipe.needs:
        need(module, extra)
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".download-") as folder:
        raw = []
        for number, source in enumerate(recipe.sources):
            name = f"{number}-{Path(source.url.partition('?')[0]).name}"
            try:
                raw.append(download(source, Path(folder) / name))
            except OSError as error:
                raise wrong(
                    f"`{recipe.files[0]}`",
                    expected="on disk or at its public home",
                    found=f"HEADSTART_DATA {os.environ.get('HEADSTART_DATA') or 'not set'}, "
                    f"and {source.url} not reached ({error})",
                    hint=f"set HEADSTART_DATA to a folder with `{recipe.files[0]}`, or be online once: "
                    f"it is then kept in {cache()}",
                    error=FileNotFoundError,
                ) from None
        made = _made(recipe, raw)
    for file, content in zip(recipe.files, made, strict=True):
        (cache() / file).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(cache() / file, _packed(file, content))


def _made(recipe: Recipe, raw: list[Path]) -> list[Content]:
    """Make the files of a recipe, and check them where the publisher gives no checksum."""
    if not recipe.content:
        return recipe.make(raw)
    urls = " and ".join(source.url for source in recipe.sources[:2])
    hint = "try again; if it stays so, the publisher has changed the files"
    try:
        made = recipe.make(raw)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        raise wrong(urls, expected="files of the published form", found=found, hint=hint) from error
    if (found := digest(made)) != recipe.content:
        raise wrong(f"sha256 of the rows of {urls}", expected=recipe.content, found=found, hint=hint)
    return made


def _packed(file: str, content: Content) -> bytes:
    if isinstance(content, bytes):
        return lzma.compress(content) if file.endswith(".xz") else content
    archive = io.BytesIO()
    np.savez_compressed(archive, **content)  # type: ignore[arg-type]
    return archive.getvalue()
