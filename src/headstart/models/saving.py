"""Save a net so that it can be rebuilt: weights in safetensors, the rest in JSON, never a pickle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from ..errors import unknown, wrong
from ..records import understood
from ..tasks import Encoding, Kind
from ..tasks.kinds import kind_from_json
from ._base import fetched, pointed
from ._files import AGAIN, DESCRIPTION, WEIGHTS, read, write
from ._weights import check_fits, check_weights, fill
from .backbones.cuts import Cut
from .backbones.providers import rebuild
from .backbones.references import backbone as named
from .heads import build, describe
from .net import Net, as_backbone
from .wrappers import plain_names, plain_state, unwrapped, without_wrappers


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
    encoding: Encoding | Mapping[str, Any] | None = None,
    notes: Mapping[str, Any] | None = None,
    base: nn.Module | None = None,
) -> Path:
    """Write a net to a directory: ``model.safetensors`` and ``model.json``.

    Both files are written to a temporary directory, synced, and put in their place at one moment, so an error
    (no space, no permission) or an end of the process leaves a model that was there before as it was. Other
    files in the directory are left alone.

    Args:
        net: any backbone; one that ``backbone`` did not build has to be passed to ``load``. Compiled and
            parallel ones are saved as what they are around.
        directory: made where it is not there.
        kinds: what the answer of each head is, by the heads' names.
        encoding: how rows were made, as ``task.encoding`` says it, or its JSON.
        notes: anything else worth keeping, as JSON.
        base: the pretrained backbone that the net began with: weights that are still its own are not copied,
            but pointed to by their hash. Such a model is loaded where that backbone is there.

    Returns:
        the directory.

    Raises:
        ValueError: if ``kinds`` and the heads do not have the same names, or ``base`` none of the weights.
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
    return save_with(net, directory, {}, kinds=kinds, encoding=encoding, notes=notes, base=base)


def save_with(
    net: Net,
    directory: str | os.PathLike[str],
    beside: Mapping[str, bytes],
    *,
    kinds: Mapping[str, Kind],
    encoding: Encoding | Mapping[str, Any] | None,
    notes: Mapping[str, Any] | None,
    base: nn.Module | None = None,
) -> Path:
    """Save as ``save`` does, together with files that belong to the model, all of them or none."""
    if set(kinds) != set(net.heads):
        raise wrong("`kinds`", expected=f"one for each head of {list(net.heads)}", found=list(kinds))
    tensors, names = _tensors(net), plain_names(net)
    check_weights(net, "the net")
    tensors, pointer = (tensors, None) if base is None else pointed(tensors, base)
    description = {
        "backbone": _describe_backbone(net.backbone),
        "cut": None if (known := as_backbone(net.backbone)) is None else known.cut,
        "heads": {name: describe(unwrapped(head)) for name, head in net.heads.items()},
        "kinds": {name: kind.to_json() for name, kind in kinds.items()},
        "frozen": [names[n] for n, p in net.named_parameters() if not p.requires_grad],
        "encoding": encoding,
        "notes": notes,
        "base": pointer,
    }
    try:
        description = json.loads(json.dumps(description, default=_plain))
    except (TypeError, ValueError) as error:
        raise wrong("`encoding` and `notes`", expected="JSON", found=str(error), error=TypeError) from None
    write(Path(directory), description, tensors, beside)
    return Path(directory)


def slim(
    model: str | os.PathLike[str], directory: str | os.PathLike[str], *, base: nn.Module | None = None
) -> Path:
    """Copy a saved model without the weights that are still those of its base, and point to them by hash.

    What is tuned is copied, and so are all other files. Such a model is loaded where the base is there.

    Args:
        model: a directory that ``save`` wrote, or one with such directories in it: all are made slim.
        directory: new or empty.
        base: the pretrained backbone that the net began with; where it is left out, the one of the name that
            the model has, from this machine.

    Returns:
        ``directory``.

    Raises:
        FileExistsError: if ``directory`` is there and not empty.
        FileNotFoundError: if there is no model.
        ValueError: if a file is damaged, no weights are those of the base, or it has to be passed.

    Example:
        >>> import tempfile
        >>> from headstart.models import mlp
        >>> from headstart.tasks import Multiclass
        >>> start = mlp(2)
        >>> net = Net(start, {"coins": nn.Linear(40, 2)})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     whole = save(net, Path(folder) / "whole", kinds={"coins": Multiclass(2)})
        ...     small = slim(whole, Path(folder) / "slim", base=start)
        ...     sizes = [(place / "model.safetensors").stat().st_size for place in (whole, small)]
        >>> sizes[1] < sizes[0] / 2
        True
    """
    place, to = Path(model), Path(directory)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise wrong(f"`directory` {to}", expected="new or empty", found="files in it", error=FileExistsError)
    inside = sorted(file.parent for file in place.rglob(DESCRIPTION)) or [place]
    made = {each: pointing(each, base) for each in inside}
    shutil.copytree(place, to, ignore=shutil.ignore_patterns(WEIGHTS), dirs_exist_ok=True)
    for each, (about, tensors) in made.items():
        write(to / each.relative_to(place), about, tensors, {})
    return to


def pointing(model: Path, base: nn.Module | None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a saved model, and leave out the tensors that are a base's: what describes it, and the others."""
    about, tensors = read(model)
    if base is None:
        known = about["backbone"] or {}
        if not known.get("use"):
            found = "none, and the model's net has no name"
            hint = "pass the module that it began with"
            raise wrong("`base`", expected="the pretrained backbone", found=found, hint=hint)
        base = named(str(known["use"]), settings=known.get("settings"), fetch="never")
    rest, pointer = pointed(tensors, base)
    kept = {key: value for key, value in about.items() if key not in ("format", "weights", "sha256")}
    return kept | {"base": pointer}, rest


def load(
    directory: str | os.PathLike[str],
    *,
    backbone: nn.Module | None = None,
    heads: Mapping[str, nn.Module] | None = None,
    base: nn.Module | None = None,
) -> Saved:
    """Read a model that ``save`` wrote. Nothing is unpickled, and no code comes from the files.

    Args:
        directory: with ``model.safetensors`` and ``model.json``.
        backbone: a module to fill, where the saved one was not built by ``hs.backbone``; whole, also where
            the saved one was cut behind a block.
        heads: modules to fill, where a saved one is other than linear layers with ReLUs between.
        base: the pretrained backbone whose weights the model points to, where it was saved with one; one
            that ``hs.backbone`` knows is built where it is left out, if its weights are on this machine.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is damaged or altered, comes from another format, or does not fit the modules,
            or the weights of ``base`` are others than those that the model points to.

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
    about, tensors = read(directory, lambda about: fetched(about, base, f'"{directory}"'))

    def build() -> Net:
        trunk = rebuild(about["backbone"]) if backbone is None else backbone
        trunk = trunk if about.get("cut") is None else Cut(trunk, **about["cut"])
        return Net(trunk, _build_heads(about["heads"], heads or {}))

    with understood(directory / DESCRIPTION, hint=AGAIN):
        if backbone is None and not heads:
            check_fits(build, tensors, f'"{directory / DESCRIPTION}"')
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten
            net = build()
        kinds = {n: kind_from_json(about["kinds"][n], f"kind of head {n!r}") for n in about["heads"]}
    fill(net, tensors, f'"{directory / WEIGHTS}"')
    check_weights(net, f"`{directory / WEIGHTS}`")
    names, frozen = plain_names(net), set(without_wrappers(about["frozen"]).values())
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(names[name] not in frozen)
    return Saved(net.eval(), kinds, about["encoding"], about["notes"])


def _tensors(net: Net) -> dict[str, Tensor]:
    """List parameters and buffers, tied ones once."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in plain_state(net).items():
        if not isinstance(value, Tensor):
            hint = "keep it in the module's settings instead"
            raise wrong(
                f"`{name}` of the net", expected="a tensor", found=type(value), hint=hint, error=TypeError
            )
        if id(value) not in seen:
            seen.add(id(value))
            tensors[name] = value
    return tensors


# Descriptions in JSON and back.


def _plain(value: Any) -> Any:
    """Turn a NumPy scalar, as readers leave them among class names, and an encoding into Python's own."""
    if isinstance(value, numpy.generic):
        return value.item()
    if to_json := getattr(value, "to_json", None):
        return to_json()
    raise TypeError(f"{value!r} of type {type(value).__name__}")


def _describe_backbone(module: nn.Module) -> dict[str, Any] | None:
    known = as_backbone(module)
    if known is None or not known.use:
        return None
    return {"use": known.use, "settings": dict(known.settings)}


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
    return {name: given[name] if name in given else build(head) for name, head in about.items()}
