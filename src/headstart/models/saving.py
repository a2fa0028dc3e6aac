"""Save a net so that it can be rebuilt: weights in safetensors, the rest in JSON, never a pickle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import numpy
import safetensors.torch
import torch
from torch import Tensor, nn

from ..errors import explain, unknown, wrong
from ..tasks import Kind
from ..tasks.kinds import kind_from_json
from ._weights import fill
from .net import Backbone, Net

FORMAT = 2
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
AGAIN = "save the model again, or copy it again from where it is whole"


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """Hold a loaded model.

    Args:
        net: in eval mode, on the CPU, frozen where it was.
        kinds: what the answer of each head is, with the user's own class names.
        encoding: how rows are made from a file.
        notes: whatever the writer added.
    """

    net: Net
    kinds: Mapping[str, Kind]
    encoding: Mapping[str, Any] | None
    notes: Mapping[str, Any] | None


def save(
    net: Net,
    directory: str | os.PathLike[str],
    *,
    kinds: Mapping[str, Kind],
    encoding: Mapping[str, Any] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a net to a directory: ``model.safetensors`` and ``model.json``.

    Both files are written to a temporary directory, synced, and then put in their place, so an error
    (no space, no permission) leaves a model that was there before as it was. Other files in the
    directory are left alone.

    Args:
        net: any backbone; one that ``backbone`` did not build has to be passed to ``load``.
        directory: made where it is not there.
        kinds: what the answer of each head is, by the heads' names.
        encoding: how rows were made from a file, as JSON.
        notes: anything else worth keeping, as JSON.

    Returns:
        the directory.

    Raises:
        ValueError: if ``kinds`` and the heads do not have the same names.
        TypeError: if ``encoding`` or ``notes`` are not JSON.
        OSError: if the files cannot be written.

    Example:
        >>> import tempfile
        >>> from headstart.models import mlp
        >>> from headstart.tasks import Multiclass
        >>> net = Net(mlp(2), {"coins": nn.Linear(40, 2)})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     where = save(net, Path(folder) / "model", kinds={"coins": Multiclass(["head", "tail"])})
        ...     load(where).kinds["coins"].classes
        ('head', 'tail')
    """
    if set(kinds) != set(net.heads):
        raise wrong("`kinds`", expected=f"one for each head of {list(net.heads)}", found=list(kinds))
    weights = safetensors.torch.save(_tensors(net))
    description = {
        "format": FORMAT,
        "weights": hashlib.sha256(weights).hexdigest(),
        "backbone": _describe_backbone(net.backbone),
        "heads": {name: _describe_head(head) for name, head in net.heads.items()},
        "kinds": {name: kind.to_json() for name, kind in kinds.items()},
        "frozen": [name for name, p in net.named_parameters() if not p.requires_grad],
        "encoding": encoding,
        "notes": notes,
    }
    try:
        description = json.loads(json.dumps(description, default=_plain))
    except (TypeError, ValueError) as error:
        raise wrong("`encoding` and `notes`", expected="JSON", found=str(error), error=TypeError) from None
    description["sha256"] = _digest(description)
    text = json.dumps(description, indent=1, ensure_ascii=False) + "\n"
    _write(Path(directory), {WEIGHTS: weights, DESCRIPTION: text.encode()})
    return Path(directory)


def load(
    directory: str | os.PathLike[str],
    *,
    backbone: nn.Module | None = None,
    heads: Mapping[str, nn.Module] | None = None,
) -> Saved:
    """Read a model that ``save`` wrote. Nothing is unpickled, and no code comes from the files.

    Args:
        directory: with ``model.safetensors`` and ``model.json``.
        backbone: a module to fill, where the saved one was not built by ``hs.backbone``.
        heads: modules to fill, where a saved one is other than linear layers with ReLUs between.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is damaged or altered, comes from another format, or does not fit the modules.

    Example:
        >>> import tempfile
        >>> from headstart.tasks import Regression
        >>> net = Net(nn.Linear(2, 3), {"size": nn.Linear(3, 1)})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     where = save(net, folder, kinds={"size": Regression()})
        ...     saved = load(where, backbone=nn.Linear(2, 3))
        >>> torch.equal(saved.net(torch.ones(1, 2), "size"), net(torch.ones(1, 2), "size"))
        True
    """
    directory = Path(directory)
    about = _read_description(directory / DESCRIPTION)
    weights = _read(directory / WEIGHTS)
    if hashlib.sha256(weights).hexdigest() != about["weights"]:
        found = f"{len(weights)} bytes with another sha256: truncated or altered"
        raise _altered(directory / WEIGHTS, about["weights"], found)
    try:
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten
            trunk = _build_backbone(about["backbone"], backbone)
            built = _build_heads(about["heads"], heads or {})
        kinds = {n: kind_from_json(about["kinds"][n], f"kind of head {n!r}") for n in about["heads"]}
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        expected, found = "what `hs.models.save` writes", f"{type(error).__name__}: {error}"
        raise wrong(f'"{directory / DESCRIPTION}"', expected=expected, found=found, hint=AGAIN) from error
    net = Net(trunk, built)
    fill(net, safetensors.torch.load(weights), f'"{directory / WEIGHTS}"')
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name not in about["frozen"])
    return Saved(net.eval(), kinds, about["encoding"], about["notes"])


def _tensors(net: Net) -> dict[str, Tensor]:
    """List parameters and buffers, tied ones once, each with memory of its own."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in net.state_dict(keep_vars=True).items():
        if not isinstance(value, Tensor):
            hint = "keep it in the module's settings instead"
            raise wrong(
                f"`{name}` of the net", expected="a tensor", found=type(value), hint=hint, error=TypeError
            )
        if id(value) not in seen:
            seen.add(id(value))
            tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    return tensors


# Descriptions in JSON and back.


def _plain(value: Any) -> Any:
    """Turn a NumPy scalar, as readers leave them among class names, into Python's own."""
    if isinstance(value, numpy.generic):
        return value.item()
    raise TypeError(f"{value!r} of type {type(value).__name__}")


def _describe_backbone(module: nn.Module) -> dict[str, Any] | None:
    use = getattr(module, "use", None) if isinstance(module, Backbone) else None
    return {"use": use, "settings": dict(module.settings)} if use else None  # type: ignore[arg-type]


def _build_backbone(about: Mapping[str, Any] | None, given: nn.Module | None) -> nn.Module:
    from .backbones import backbone, is_known

    if given is not None:
        return given
    if about is None or not is_known(about["use"]):
        found = "a module of its writer's own" if about is None else f'"{about["use"]}"'
        hint = "build that module and pass `load(directory, backbone=module)`"
        raise wrong("backbone of the model", expected="one of `hs.backbone`", found=found, hint=hint)
    return backbone(about["use"], weights=None, settings=about["settings"])


def _describe_head(head: nn.Module) -> dict[str, Any] | list[Any] | None:
    match head:
        case nn.Linear():
            return {
                "layer": "linear",
                "in": head.in_features,
                "out": head.out_features,
                "bias": head.bias is not None,
            }
        case nn.ReLU():
            return {"layer": "relu"}
        case nn.Sequential():
            parts = [_describe_head(part) for part in head]
            return None if None in parts else parts
    return None


def _build_head(about: Mapping[str, Any] | list[Any]) -> nn.Module:
    if isinstance(about, list):
        return nn.Sequential(*map(_build_head, about))
    return nn.ReLU() if about["layer"] == "relu" else nn.Linear(about["in"], about["out"], about["bias"])


def _build_heads(about: Mapping[str, Any], given: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    for name in given:
        if name not in about:
            raise unknown("head", name, about)
    own = [name for name, head in about.items() if head is None and name not in given]
    if own:
        hint = f"build that module and pass `load(directory, heads={{{own[0]!r}: module}})`"
        raise wrong(
            f"head {own[0]!r}", expected="of linear layers and ReLUs", found="another module", hint=hint
        )
    return {name: given[name] if name in given else _build_head(head) for name, head in about.items()}


# Files.


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        expected = "a file that `hs.models.save` wrote"
        inside = sorted(
            found for depth in ("*", "*/*") for found in path.parent.glob(f"{depth}/{DESCRIPTION}")
        )
        hint = "models within: " + ", ".join(str(found.parent) for found in inside) if inside else ""
        raise wrong(
            f'"{path}"', expected=expected, found="nothing there", hint=hint, error=FileNotFoundError
        ) from None


def _read_description(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise wrong(f'"{path}"', expected="JSON", found=str(error), hint=AGAIN) from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else type(about).__name__
        hint = "update headstart, or save the model again with this one"
        raise wrong(f'format of "{path}"', expected=str(FORMAT), found=found, hint=hint)
    if missing := sorted(KEYS.keys() - about.keys()):
        found = sorted(about)
        raise wrong(f'"{path}"', expected=f"with {', '.join(missing)}", found=found, hint=AGAIN)
    for key, types in KEYS.items():
        if not isinstance(about[key], types):
            expected, found = " or ".join(t.__name__ for t in types), type(about[key]).__name__
            raise wrong(f'`{key}` of "{path}"', expected=expected, found=found, hint=AGAIN)
    if _digest(about) != about["sha256"]:
        raise _altered(path, about["sha256"], "other values: altered")
    return about


KEYS: dict[str, tuple[type, ...]] = {
    "sha256": (str,), "weights": (str,), "backbone": (dict, NoneType), "heads": (dict,), "kinds": (dict,),
    "frozen": (list,), "encoding": (dict, NoneType), "notes": (dict, NoneType),
}  # fmt: skip


def _digest(about: Mapping[str, Any]) -> str:
    """Hash a description without its own hash, however its file is laid out."""
    rest = {key: value for key, value in about.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _altered(path: Path, sha256: str, found: str) -> Exception:
    expected = f"as it was written (sha256 {sha256[:12]}...)"
    return wrong(f'"{path}"', expected=expected, found=found, hint=AGAIN)


def _write(directory: Path, files: Mapping[str, bytes]) -> None:
    """Put files in a directory, all of them whole, or leave it as it was."""
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
            for name in files:  # the description last: until it is there, its hash refuses the new weights
                os.replace(new / name, directory / name)
            _sync(directory)
        else:
            _sync(new)
            new.rename(directory)
            _sync(new.parent)
    except OSError as error:
        hint = "free some space or choose another directory; a model that was there is as it was"
        found = error.strerror or str(error)
        raise type(error)(explain(f'"{directory}"', expected="writable", found=found, hint=hint)) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
