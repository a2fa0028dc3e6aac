"""Random changes of images that leave their answers: each batch is moved anew, each image by its own draws.

Shapes: ``B`` images, ``C`` channels, ``H``, ``W`` pixels.

References:
    Shorten & Khoshgoftaar (Journal of Big Data 2019), https://doi.org/10.1186/s40537-019-0197-0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn

from ..maths import random
from ..tasks import Labelled, Stream, X
from ..tasks.kinds import MISSING

Move = Callable[[Labelled, torch.Generator], Labelled]
MOVES = ("flip", "shift", "colour")
STRENGTH = 0.2  # of changes of colour, as a share


def moves(names: Sequence[str], side: int) -> list[Move]:
    """Make the moves of these names.

    Args:
        names: ``"flip"``: left and right, one image in two; ``"shift"``: by up to an eighth of the side, each
            way; ``"colour"``: contrast and brightness, by up to a fifth.
        side: pixels of the shorter side of the images.
    """
    made: dict[str, Move] = {"flip": flip, "shift": partial(shift, max(1, side // 8)), "colour": colour}
    return [made[name] for name in names]


@final
class Moved(Stream):
    """Move the images of a stream's batches at random.

    Args:
        stream: of labelled batches with images ``(B, C, H, W)``.
        moves: one after the other; labels of pixels ``(B, H, W)`` move along.
        generator: one number is drawn from it.
    """

    def __init__(self, stream: Stream, moves: Sequence[Move], *, generator: torch.Generator) -> None:
        super().__init__(generator)
        self.stream, self.moves = stream, list(moves)

    def _batch(self) -> dict[str, Labelled]:
        draws, batch = random.generator(self._seed, self._step), next(self.stream)
        return {name: self._moved(rows, draws) for name, rows in batch.items()}

    def _moved(self, rows: Labelled, draws: torch.Generator) -> Labelled:
        for move in self.moves:
            rows = move(rows, draws)
        return rows

    def state_dict(self) -> dict[str, Any]:
        """Return the state, and that of the stream within."""
        return super().state_dict() | {"stream": self.stream.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the step that ``state`` was taken at."""
        super().load_state_dict(state)
        self.stream.load_state_dict(state["stream"])


def flip(rows: Labelled, generator: torch.Generator) -> Labelled:
    """Turn the left of an image into its right, one in two."""

    def turned(x: Tensor) -> Tensor:
        turns = torch.rand(len(x), generator=generator) < 0.5
        return torch.where(turns.to(x.device)[:, None, None, None], x.flip(3), x)

    return _with_pixels(rows, turned)


def shift(pixels: int, rows: Labelled, generator: torch.Generator) -> Labelled:
    """Shift each image by a few pixels, each by its own amount; what comes in at the edges is 0.

    Labels of pixels are missing there.
    """
    return _with_pixels(rows, lambda x: shifted_images(x, pixels, generator))


def colour(rows: Labelled, generator: torch.Generator) -> Labelled:
    """Change the contrast of each image about its mean, and its brightness, by a fifth of its spread."""
    x = rows.x
    assert isinstance(x, Tensor)
    draws = (2 * torch.rand(2, len(x), 1, 1, 1, generator=generator) - 1) * STRENGTH
    contrast, brightness = draws.to(x)
    mean, spread = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)
    return Labelled(mean + (1 + contrast) * (x - mean) + brightness * spread, rows.y, rows.complete)


def _with_pixels(rows: Labelled, move: Callable[[Tensor], Tensor]) -> Labelled:
    """Move images, and labels of pixels along, as one more channel in which 0 is a missing label."""
    assert isinstance(rows.x, Tensor)
    if rows.y.ndim < 3:
        return Labelled(move(rows.x), rows.y, rows.complete)
    moved = move(torch.cat([rows.x.double(), rows.y[:, None].double() - MISSING], 1))
    return Labelled(moved[:, :-1].to(rows.x.dtype), (moved[:, -1] + MISSING).to(rows.y.dtype))


def shifted_images(x: X, pixels: int, generator: torch.Generator) -> Tensor:
    """Shift each image ``(B, C, H, W)`` by up to ``pixels`` up, down, left or right; what comes in is 0."""
    assert isinstance(x, Tensor)
    rows, _, height, width = x.shape
    by = torch.randint(0, 2 * pixels + 1, (2, rows, 1), generator=generator)
    down, right = torch.arange(height) + by[0], torch.arange(width) + by[1]  # (B, H), (B, W)
    padded = nn.functional.pad(x, (pixels,) * 4).movedim(1, 3)  # (B, H', W', C)
    at = torch.arange(rows)[:, None, None], down[:, :, None], right[:, None, :]
    return padded[tuple(index.to(x.device) for index in at)].movedim(3, 1)
