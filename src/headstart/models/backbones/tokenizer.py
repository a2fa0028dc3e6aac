"""The tokenizer of a pretrained model of text, as the readers of text take it: the text of its file.

Number 0 is padding in rows. Where the model pads with its own 0, rows hold the model's numbers; else numbers
in rows are larger by one. A number below 0 is that of a token at which no word begins.

Shapes: ``B`` rows, ``L`` tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import wrong
from ...tasks.spelling import unspelled

FILE = "tokenizer.json"


def read_tokenizer(file: Path, *, limit: int, padding: bool, markers: bool) -> str:
    """Read a tokenizer, and say in its text what the model wants.

    Args:
        file: ``tokenizer.json``.
        limit: tokens that the model reads.
        padding: whether the model pads with number 0.
        markers: whether the model wants its markers of start and end.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is none.
    """
    if not file.is_file():
        raise wrong(
            "tokenizer of the backbone",
            expected=f"{FILE} in {file.parent}",
            found="no such file",
            hint="save it there: AutoTokenizer.from_pretrained(...).save_pretrained(...)",
            error=FileNotFoundError,
        )
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        about["truncation"] = {
            "direction": "Right", "max_length": limit, "strategy": "LongestFirst", "stride": 0,
        }  # fmt: skip
        about["padding"] = _PADS if padding else None
    except (ValueError, TypeError) as error:
        raise wrong(f"`{file}`", expected="the JSON of a tokenizer", found=str(error)) from None
    if not markers:
        about["post_processor"] = None
    return json.dumps(about, ensure_ascii=False)


_PADS = {
    "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
    "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
}  # fmt: skip


def check_tokenizer(use: str, wanted: str, facts: Mapping[str, Any]) -> None:
    """Refuse rows of text that another tokenizer cut, or none.

    Args:
        use: the backbone's name.
        wanted: its tokenizer; "" where it has none, or nobody knows it.
        facts: what the reader of the rows tells.
    """
    if wanted and "vocabulary" in facts and facts.get("tokenizer") != wanted:
        raise wrong(
            f"rows of text for {use!r}",
            expected="cut by the tokenizer of the backbone",
            found="cut by another tokenizer" if "tokenizer" in facts else "cut into words",
            hint=f'read them with `hs.datasets.read(..., tokens=hs.models.tokenizer("{use}"))`',
        )


def tokens_of(x: Tensor, use: str, numbers: int) -> tuple[Tensor, Tensor]:
    """Check rows of token numbers, and drop columns at the end that hold padding alone.

    Rows that are padded on the left, or in between, are read as if they were padded at the end.

    Args:
        x: the rows ``(B, L)``; 0 is padding, and signs are dropped.
        use: the backbone's name, for errors.
        numbers: how many there are, padding included.

    Returns:
        rows, and where they hold tokens, both ``(B, l)``; a row without any token counts as one.

    Raises:
        ValueError: for rows of another shape, or numbers that the backbone does not know.
    """
    if x.ndim != 2 or x.is_floating_point():
        raise wrong(
            f"rows of {use!r}",
            expected="whole numbers of tokens, of shape (rows, tokens)",
            found=f"{x.dtype} of shape {tuple(x.shape)}",
        )
    x = unspelled(x).long().abs()
    if not torch.compiler.is_compiling():  # a graph cannot look at values: its rows are padded at the end
        x = _trimmed(x, use, numbers)
    there = x != 0
    return x, torch.cat([torch.ones_like(there[:, :1]), there[:, 1:]], 1)


def at_tokens(value: Tensor, x: Tensor) -> Tensor:
    """Put what a model says of each token back to where the token stands in rows.

    Args:
        value: of the tokens, ``(B, l, D)``, in their order, those of padding behind.
        x: the rows ``(B, L)`` as they came, ``L`` at least ``l``.

    Returns:
        ``(B, L, D)``, 0 at padding.

    Example:
        >>> at_tokens(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[0, 7, -8]])).flatten().tolist()
        [0.0, 1.0, 2.0]
    """
    there = x != 0
    order = (there.cumsum(1) - 1).clamp(min=0, max=value.shape[1] - 1)
    return value.gather(1, order[..., None].expand(-1, -1, value.shape[2])) * there[..., None].to(value.dtype)


def _trimmed(x: Tensor, use: str, numbers: int) -> Tensor:
    if x.numel() and not 0 <= int(x.min()) <= int(x.max()) < numbers:
        raise wrong(
            f"token numbers for {use!r}",
            expected=f"0 (padding) to {numbers - 1}",
            found=f"{int(x.min())} to {int(x.max())}",
            hint="cut texts by the backbone's own tokenizer",
        )
    there = x != 0
    order = (~there).to(torch.uint8).argsort(dim=1, stable=True)
    length = max(1, int(there.sum(1).max())) if len(x) else 1
    return x.gather(1, order)[:, :length]


def mean_over(value: Tensor, mask: Tensor) -> Tensor:
    """Average ``(B, L, D)`` over the tokens that are there, ``(B, D)``; zeros where none is."""
    weights = mask[..., None].to(value.dtype)
    return (value * weights).sum(1) / weights.sum(1).clamp(min=1)
