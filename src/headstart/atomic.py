"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import explain


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` (disk full, read-only) into one that says which file and what to do."""
    try:
        yield
    except OSError as error:
        hint = "free some space or choose another output directory"
        raise type(error)(
            explain(f"`{path}`", expected="writable", found=error.strerror or str(error), hint=hint)
        ) from error


def write_atomic(path: str | Path, data: bytes | str, *, sync: bool = True) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    The data goes to a temporary name in the same directory, is synced, and is renamed. A link stays, and
    the file that it names is written; a device or a pipe cannot be renamed over and is written as it is.

    Args:
        path: the file; its directory must be there.
        data: text is written as UTF-8.
        sync: whether to wait until the data is on the disk.

    Raises:
        OSError: if the disk is full or read-only; the old content stays.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     write_atomic(Path(directory) / "a.txt", "hello")
        ...     (Path(directory) / "a.txt").read_text()
        'hello'
    """
    path, data = Path(path), data.encode() if isinstance(data, str) else data
    if path.exists() and not path.is_file():
        with writing(path), open(path, "wb") as file:
            file.write(data)
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    with writing(path):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        if sync and os.name == "posix":
            directory = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
