"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import explain, wrong


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
        if sync:
            _sync(target.parent)


def write_together(directory: Path, files: Mapping[str, bytes]) -> None:
    """Put files in a directory, all of them whole, or leave it as it was.

    They go to a temporary directory, are synced, and are put in their place in the order given. Other
    files in the directory are left alone.

    Args:
        directory: made where it is not there.
        files: their content by name.

    Raises:
        FileExistsError: if ``directory`` is a file.
        OSError: if the disk is full or read-only.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     write_together(Path(directory) / "pair", {"a": b"1", "b": b"2"})
        ...     sorted(path.name for path in (Path(directory) / "pair").iterdir())
        ['a', 'b']
    """
    if directory.exists() and not directory.is_dir():
        raise wrong(f'"{directory}"', expected="a directory", found="a file", error=FileExistsError)
    there = directory.exists()
    new = (directory if there else directory.absolute().parent) / f".{directory.name}-{uuid.uuid4().hex[:8]}"
    try:
        new.mkdir(parents=True)
        for name, data in files.items():
            with open(new / name, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        if there:
            for name in files:
                os.replace(new / name, directory / name)
            _sync(directory)
        else:
            _sync(new)
            new.rename(directory)
            _sync(new.parent)
    except OSError as error:
        hint = "free some space or choose another directory; what was there is as it was"
        found = error.strerror or str(error)
        raise type(error)(explain(f'"{directory}"', expected="writable", found=found, hint=hint)) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _sync(directory: Path) -> None:
    """Wait until the names in a directory are on the disk, where a system can."""
    if os.name == "posix":
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
