"""Read weights from files without unpickling objects, and fill modules with them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import wrong
from .wrappers import plain_names, plain_state, without_wrappers

SUFFIXES = (".safetensors", ".pth", ".pt")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read tensors by name, without the words that wrappers add, and those of 16 bits as float32.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is of another sort, or damaged, or holds more than tensors.
    """
    if path.suffix not in SUFFIXES:
        raise wrong("`weights`", expected=f"a file that ends in {', '.join(SUFFIXES)}", found=f'"{path}"')
    if not path.is_file():
        raise wrong("`weights`", expected="a file", found=f'nothing at "{path}"', error=FileNotFoundError)
    try:
        if path.suffix == ".safetensors":
            return _ready(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        found = f"{str(error).splitlines()[0]}"
        raise wrong(f'weights "{path}"', expected="a whole file of tensors", found=found) from None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        hint = "save `model.state_dict()`"
        raise wrong(f'weights "{path}"', expected="tensors by name", found=type(state), hint=hint)
    return _ready(state)


def _ready(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name tensors without wrappers, and bring those of 16 bits to the 32 that nets train in."""
    names = without_wrappers(state)
    halves = (torch.float16, torch.bfloat16)
    return {names[n]: value.float() if value.dtype in halves else value for n, value in state.items()}


def check_fits(build: Callable[[], nn.Module], state: Mapping[str, Tensor], source: str) -> None:
    """Raise ``ValueError`` where a module would have more weights than there are, before it takes memory.

    Args:
        build: makes the module; one that cannot be made without memory is not looked at.
        state: the weights.
        source: what describes the module, for the message.
    """
    try:
        with torch.device("meta"):
            built = build()
    except Exception:  # of any sort: it comes again where the module is made indeed
        return
    asked, there = sum(p.numel() for p in built.parameters()), sum(value.numel() for value in state.values())
    if asked > there:
        raise wrong(source, expected=f"of a model of {there} weights, as its file holds", found=asked)


def fill(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copy tensors into a module, which takes over their dtypes; ``source`` names them in errors.

    Wrappers in the module or in the names, as of ``torch.compile``, are looked through.

    Raises:
        ValueError: if a name is missing or unknown, or a shape differs.
    """
    own, plain = plain_state(module), without_wrappers(state)
    state = {name if name in own else plain[name]: value for name, value in state.items()}
    given = {id(own[n]) for n in state if n in own}  # tied weights are stored once
    missing = [n for n, t in own.items() if n not in state and id(t) not in given]
    if missing or state.keys() - own.keys():
        found = f"{len(missing)} missing {missing[:3]}, {len(state.keys() - own.keys())} more "
        found += f"{sorted(state.keys() - own.keys())[:3]}"
        raise wrong(f"weights in {source}", expected=f"the {len(own)} tensors of the model", found=found)
    for name, value in state.items():
        if own[name].shape != value.shape:
            raise wrong(
                f"`{name}` in {source}",
                expected=f"of shape {tuple(own[name].shape)}",
                found=tuple(value.shape),
            )
        own[name].data = own[name].data.to(value.dtype)
    names = plain_names(module)
    here = {name: state[plain] for name, plain in names.items() if plain in state}
    module.load_state_dict(here | {n: value for n, value in state.items() if n not in names}, strict=False)


def is_spoilt(weight: Tensor) -> bool:
    """Tell whether a weight holds what is no number; minus infinity is the bias of a class without rows."""
    return weight.is_floating_point() and bool((weight.isnan() | weight.isposinf()).any())


def check_weights(module: nn.Module, where: str) -> None:
    """Raise ``ValueError`` for a weight that is no number."""
    for name, value in plain_state(module).items():
        if isinstance(value, Tensor) and is_spoilt(value):
            hint = "train it again, with a lower `lr`"
            raise wrong(f"`{name}` of {where}", expected="numbers", found="NaN or infinity", hint=hint)
