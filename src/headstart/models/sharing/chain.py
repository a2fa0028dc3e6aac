"""Encoders as chains of blocks, so that something can happen between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ...errors import wrong
from ..net import as_backbone
from ..wrappers import unwrapped

Block = list[nn.Module]


def chained(encoder: nn.Module) -> list[Block] | None:
    """Take an encoder apart into blocks: a part with weights, and what follows it up to the next.

    ``nn.Sequential`` and backbones that say how (``chain``) can be; of others it is not known what happens
    between their parts, and ``None`` is given.

    Example:
        >>> [len(block) for block in chained(nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4)))]
        [2, 1]
    """
    inner = unwrapped(encoder)
    about = as_backbone(inner)
    parts = list(inner) if isinstance(inner, nn.Sequential) else None if about is None else about.chain()
    if parts is None:
        return None
    blocks: list[Block] = []
    for part in parts:
        weights = next(part.parameters(), None) is not None
        first = not blocks or (weights and any(next(p.parameters(), None) is not None for p in blocks[-1]))
        blocks = [*blocks, [part]] if first else [*blocks[:-1], [*blocks[-1], part]]
    return blocks


def chains(encoders: Mapping[str, nn.Module]) -> dict[str, list[Block]]:
    """Take several encoders apart, and see that they have as many blocks.

    Raises:
        ValueError: for one that is no chain, or where they differ in length.
    """
    found = {}
    for name, encoder in encoders.items():
        blocks = chained(encoder)
        if blocks is None:
            hint = "pass an nn.Sequential of its blocks"
            shown = f"{type(encoder).__name__}, whose parts may be wired in any way"
            raise wrong(f"encoder {name!r}", expected="a chain of blocks", found=shown, hint=hint)
        found[name] = blocks
    lengths = {name: len(blocks) for name, blocks in found.items()}
    if len(set(lengths.values())) > 1:
        raise wrong("encoders", expected="of as many blocks", found=lengths)
    return found


def through(block: Block, x: Any) -> Tensor:
    """Run a block."""
    for part in block:
        x = part(x)
    found: Tensor = x
    return found


def check_shapes(values: Mapping[str, Tensor], depth: int) -> None:
    """Raise ``ValueError`` where what several encoders' blocks give at a depth has other shapes."""
    shapes = {name: tuple(value.shape[1:]) for name, value in values.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{shape} of {name!r}" for name, shape in shapes.items())
        raise wrong(f"what the encoders give at block {depth}", expected="of one shape", found=found)
