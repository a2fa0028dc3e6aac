"""Modules around a module: compiled, parallel or averaged; what is described and saved is the one within."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

WITHIN = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # names that nobody else uses
PARALLEL = "module"
AROUND = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module that wrappers are around; one without them as it is.

    Known are ``torch.compile``, ``DataParallel``, ``DistributedDataParallel``, FSDP, ``AveragedModel`` and
    those that keep activations for the backward pass.

    Example:
        >>> unwrapped(nn.DataParallel(nn.Linear(2, 3)))
        Linear(in_features=2, out_features=3, bias=True)
    """
    while name := _inner(module):
        module = module.get_submodule(name)
    return module


def _inner(module: nn.Module) -> str:
    """Say under which name a wrapper keeps what it is around; "" for a module that is none."""
    found = next((name for name in WITHIN if module._modules.get(name) is not None), "")
    return found or (PARALLEL if isinstance(module, AROUND) else "")


def _children(module: nn.Module) -> list[str]:
    """List the names of a module's parts; one that it has twice under both."""
    return [name for name, part in module._modules.items() if part is not None]


def _plain_paths(module: nn.Module) -> dict[str, str | None]:
    """Give the path of every part as it is without wrappers; ``None`` for a wrapper itself."""
    paths: dict[str, str] = {"": ""}
    wrappers = set()
    for path, part in module.named_modules(remove_duplicate=False):
        inner = _inner(part)
        if inner:
            wrappers.add(path)
        for name in _children(part):
            longer = ".".join(filter(None, (paths[path], name)))
            paths[".".join(filter(None, (path, name)))] = paths[path] if name == inner else longer
    return {path: None if path in wrappers else plain for path, plain in paths.items()}


def plain_names(module: nn.Module) -> dict[str, str]:
    """Name parameters and buffers as they would be called without wrappers, by their names in the module.

    What belongs to a wrapper itself, as the counter of an ``AveragedModel``, is left out.

    Example:
        >>> plain_names(nn.Sequential(nn.DataParallel(nn.Linear(2, 3, bias=False))))
        {'0.module.weight': '0.weight'}
    """
    paths = _plain_paths(module)
    named = chain(
        module.named_parameters(remove_duplicate=False), module.named_buffers(remove_duplicate=False)
    )
    names = {}
    for name, _ in named:
        path, _, leaf = name.rpartition(".")
        if (plain := paths[path]) is not None:
            names[name] = f"{plain}.{leaf}" if plain else leaf
    return names


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """Return what ``state_dict`` keeps, under plain names, tied tensors under each of theirs."""
    names, state = plain_names(module), module.state_dict(keep_vars=True)
    known = {name for name, _ in chain(module.named_parameters(), module.named_buffers())}
    return {names.get(n, n): t for n, t in state.items() if n in names or n not in known}


def without_wrappers(names: Iterable[str]) -> dict[str, str]:
    """Take wrappers out of the names in a file of weights; "module." only where it begins them all.

    Example:
        >>> without_wrappers(["module._orig_mod.0.weight", "module._orig_mod.0.bias"])
        {'module._orig_mod.0.weight': '0.weight', 'module._orig_mod.0.bias': '0.bias'}
    """
    plain = {name: ".".join(word for word in name.split(".") if word not in WITHIN) for name in names}
    if plain and all(name.startswith(f"{PARALLEL}.") for name in plain.values()):
        plain = {name: short.removeprefix(f"{PARALLEL}.") for name, short in plain.items()}
    return plain
