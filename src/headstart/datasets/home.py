"""Where the files of the benchmark sets are: a folder of the user's, a cache, or their public home."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from ..errors import explain


@dataclass(frozen=True)
class Source:
    """A public file and its checksum, ``"sha256:..."`` or ``"md5:..."`` as its publisher gives it."""

    url: str
    checksum: str


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_USPS = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
_ADULT = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"

SOURCES = {
    "mnist/train-images-idx3-ubyte.gz": Source(
        _MNIST + "train-images-idx3-ubyte.gz",
        "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "mnist/train-labels-idx1-ubyte.gz": Source(
        _MNIST + "train-labels-idx1-ubyte.gz",
        "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "mnist/t10k-images-idx3-ubyte.gz": Source(
        _MNIST + "t10k-images-idx3-ubyte.gz",
        "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "mnist/t10k-labels-idx1-ubyte.gz": Source(
        _MNIST + "t10k-labels-idx1-ubyte.gz",
        "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "usps/usps.bz2": Source(_USPS + "usps.bz2", "md5:ec16c51db3855ca6c91edd34d0e9b197"),
    "usps/usps.t.bz2": Source(_USPS + "usps.t.bz2", "md5:8ea070ee2aca1ac39742fdd1ef5ed118"),
    "adult/adult.data": Source(
        _ADULT + "adult.data", "sha256:5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"
    ),
    "adult/adult.test": Source(
        _ADULT + "adult.test", "sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05"
    ),
    "medmnist/pneumoniamnist.npz": Source(
        "https://zenodo.org/records/10519652/files/pneumoniamnist.npz?download=1",
        "md5:28209eda62fecd6e6a2d98b1501bb15f",
    ),
}


def cache() -> Path:
    """Return the folder for downloads: ``HEADSTART_CACHE``, else ``~/.cache/headstart``."""
    return Path(os.environ.get("HEADSTART_CACHE") or Path.home() / ".cache" / "headstart")


def find(file: str) -> Path | None:
    """Look for ``set/file`` under ``HEADSTART_DATA``, then in the cache."""
    folders = [Path(os.environ["HEADSTART_DATA"])] if os.environ.get("HEADSTART_DATA") else []
    return next((f / file for f in [*folders, cache()] if (f / file).is_file()), None)


def locate(file: str) -> Path:
    """Find ``set/file`` on disk, or download it once into the cache.

    Raises:
        FileNotFoundError: if it is not on disk and cannot be downloaded; names both ways to get it.
        ValueError: if the download does not have the published checksum; nothing is kept of it.
    """
    path = find(file)
    if path is not None:
        return path
    folder = os.environ.get("HEADSTART_DATA") or "not set"
    if file not in SOURCES:
        raise FileNotFoundError(
            explain(
                f"`{file}`",
                expected="in the folder that HEADSTART_DATA names",
                found=f"HEADSTART_DATA {folder}",
                hint=f"set HEADSTART_DATA to a folder with `{file}`; being online does not help, "
                "as this set has no stable public file in this form",
            )
        )
    try:
        return download(SOURCES[file], cache() / file)
    except OSError as error:
        raise FileNotFoundError(
            explain(
                f"`{file}`",
                expected="on disk or at its public home",
                found=f"HEADSTART_DATA {folder}, and {SOURCES[file].url} not reached ({error})",
                hint=f"set HEADSTART_DATA to a folder with `{file}`, or be online once: "
                f"it is then kept in {cache()}",
            )
        ) from None


def download(source: Source, path: Path) -> Path:
    """Fetch a file to ``path``, which is there whole and checked, or not at all.

    Raises:
        OSError: if the file is not reached.
        ValueError: if its checksum is another.
    """
    method, _, expected = source.checksum.partition(":")
    digest = hashlib.new(method, usedforsecurity=False)
    with urllib.request.urlopen(source.url, timeout=60) as answer:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as part:
                while block := answer.read(1 << 20):
                    digest.update(block)
                    part.write(block)
                part.flush()
                os.fsync(part.fileno())
            if digest.hexdigest() != expected:
                raise ValueError(
                    explain(
                        f"{method} of {source.url}",
                        expected=expected,
                        found=digest.hexdigest(),
                        hint="try again; if it stays so, the publisher has changed the file",
                    )
                )
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    return path
