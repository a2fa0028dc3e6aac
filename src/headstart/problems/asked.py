"""What a problem file asks: of rows with labels, or of worlds to act in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import world_file
from .problem_file import ProblemFile, checked, read
from .world_file import WorldFile


def load_asked(
    path: str | Path, overrides: Sequence[str] = (), *, skip_broken: bool = False, allow_code: bool = False
) -> ProblemFile | WorldFile:
    """Read and check a problem file, whose target names its data or its world.

    Args:
        path: as for ``load_problem``, and so are the others.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is not TOML, or a key or value is wrong.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "heavy.toml"
        ...     _ = file.write_text('target = {world = "CartPole-v1", context = {gravity = 20}}')
        ...     load_asked(file).problem().names
        ['CartPole-v1 gravity=20']
    """
    raw = read(Path(path), overrides)
    target = raw.get("target")
    if isinstance(target, dict) and "world" in target:
        return world_file.read(Path(path), raw)
    return checked(Path(path), raw, skip_broken=skip_broken, allow_code=allow_code)
