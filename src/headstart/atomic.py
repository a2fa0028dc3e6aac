"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
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
    path, data = Path(path), _encoded(data) if isinstance(data, str) else data
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


def _encoded(text: str) -> bytes:
    """Write text as UTF-8; what stands for bytes that are no text, in names of files, as JSON escapes it."""
    return text.encode(errors="backslashreplace")


def check_regular(path: Path) -> None:
    """Raise an error that names the file where it is not there, or a pipe, a device, a folder.

    Raises:
        FileNotFoundError: if nothing is there.
        ValueError: if it is no regular file: reading one might never end.
    """
    if not path.exists():
        raise wrong(f"`{path}`", expected="a file", found="nothing there", error=FileNotFoundError)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "a pipe, a socket or a device"
        raise wrong(f"`{path}`", expected="a regular file", found=found)


def is_new(directory: Path) -> bool:
    """Tell whether nothing is in a directory but what a process left that was killed at its first write."""
    return not directory.exists() or (
        directory.is_dir() and all(path.name == LOCK or _is_left(path) for path in directory.iterdir())
    )


def sweep(directory: Path) -> None:
    """Delete what killed processes left half-written below a directory, but in folders with locks."""
    for path in list(directory.iterdir()):
        with suppress(OSError):
            inside = list(path.iterdir()) if path.is_dir() and not path.is_symlink() else []
            if _is_left(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            elif inside and not any(each.name.endswith(LOCK) for each in inside):
                sweep(path)


LOCK = ".lock"  # a file that is there to be locked alone
_LEFT = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def _is_left(path: Path) -> bool:
    return _LEFT.fullmatch(path.name) is not None


NEXT = ".next"  # folder of files that are about to take the place of those beside it


def write_together(directory: Path, files: Mapping[str, bytes]) -> None:
    """Put files in a directory, all of them or none, whenever the process is killed.

    They go to a temporary folder, are synced, and the folder is renamed. Where the directory is there, it is
    renamed to ``.next`` within, and from that moment on ``current`` finds the new files; then each takes the
    place of the old one. Other files in the directory are left alone.

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
    parent = directory if there else directory.absolute().parent
    new = parent / f".{directory.absolute().name or 'files'}.{os.urandom(4).hex()}.tmp"
    try:
        new.mkdir(parents=True)
        for name, data in files.items():
            with open(new / name, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        _sync(new)
        if there:
            _settle(directory)
            new.rename(directory / NEXT)
            _sync(directory)
            _settle(directory)
        else:
            new.rename(directory)
            _sync(new.parent)
    except OSError as error:
        with suppress(OSError):  # none has been put in its place: as if nothing had been
            if {path.name for path in (directory / NEXT).iterdir()} == files.keys():
                (directory / NEXT).rename(new)
        hint = "free some space or choose another directory; what was there is as it was"
        found = error.strerror or str(error)
        raise type(error)(explain(f'"{directory}"', expected="writable", found=found, hint=hint)) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def current(path: Path) -> Path:
    """Find a file of ``write_together``: where a process was killed before the new one took its place, that.

    Example:
        >>> current(Path("model/a.json")).as_posix()
        'model/a.json'
    """
    new = path.parent / NEXT / path.name
    return new if new.is_file() else path


def _settle(directory: Path) -> None:
    """Put the files that wait in ``.next`` in their places."""
    waiting = directory / NEXT
    if waiting.is_dir():
        for path in sorted(waiting.iterdir()):
            os.replace(path, directory / path.name)
        _sync(directory)
        waiting.rmdir()


def _sync(directory: Path) -> None:
    """Wait until the names in a directory are on the disk, where a system can."""
    if os.name == "posix":
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
