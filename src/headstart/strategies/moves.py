"""Random changes of images that leave their answers: each batch is moved anew, each image by its own draws.

Where things stand in an image after a move is told by a scale and an offset for each axis: what was at ``u``,
a share of the width or the height, is at ``scale u + offset``. By these a kind with answers at places moves
its labels along (``Kind.moved``).

Shapes: ``B`` images, ``C`` channels, ``H``, ``W`` pixels.

References:
    Shorten & Khoshgoftaar (Journal of Big Data 2019), https://doi.org/10.1186/s40537-019-0197-0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor

from ..maths import random
from ..tasks import Binary, Inputs, Kind, Labelled, Shift, Stream, X
from ..tasks.nouns import join
from .strong import erase, images, invert, tint, turn

Move = Callable[[Labelled, Kind, torch.Generator], Labelled]
MOVES = ("flip", "shift", "crop", "colour", "mixup", "turn", "tint", "invert", "erase")
OF_ROWS = ("mixup", "turn")  # that labels at places do not follow
STRONG = ("turn", "tint", "invert", "erase")  # that leave no more than the class as it was
STRENGTH = 0.2  # of changes of colour, as a share
SHORTEST = 0.7  # side of a part that is enlarged to the whole, as a share
ALPHA = 0.2  # of mixup's beta distribution, the paper's for ImageNet


def moves(names: Sequence[str], side: int) -> list[Move]:
    """Make the moves of these names.

    Args:
        names: ``"flip"``: left and right, one image in two; ``"shift"``: by up to an eighth of the side, each
            way; ``"crop"``: a part of seven tenths of the sides or more, enlarged to the whole; ``"colour"``:
            contrast and brightness, by up to a fifth; ``"mixup"``: two images, one over the other;
            ``"turn"``: by up to 15 degrees; ``"tint"``: as ``"colour"``, each channel by itself, by up to a
            half; ``"invert"``: light and dark, one image in two; ``"erase"``: a square of three tenths of the
            side.
        side: pixels of the shorter side of the images.
    """
    made: dict[str, Move] = {
        "flip": flip,
        "shift": partial(shift, max(1, side // 8)),
        "crop": crop,
        "colour": colour,
        "mixup": mixup,
        "turn": turn,
        "tint": tint,
        "invert": invert,
        "erase": erase,
    }
    return [made[name] for name in names]


class _Within(Stream):
    """A stream that changes the batches of another."""

    def __init__(self, stream: Stream, moves: Sequence[Move], generator: torch.Generator) -> None:
        super().__init__(generator)
        self.stream, self.moves = stream, list(moves)

    def _moved(self, rows: Labelled, kind: Kind, draws: torch.Generator) -> Labelled:
        for move in self.moves:
            rows = move(rows, kind, draws)
        return rows

    def state_dict(self) -> dict[str, Any]:
        """Return the state, and that of the stream within."""
        return super().state_dict() | {"stream": self.stream.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the step that ``state`` was taken at."""
        super().load_state_dict(state)
        self.stream.load_state_dict(state["stream"])


@final
class Moved(_Within):
    """Move the images of a stream's batches at random.

    Rows that several tasks label are moved once, alike for all of them.

    Args:
        stream: of labelled batches with images ``(B, C, H, W)``.
        moves: one after the other.
        kinds: of the answers, by task, which say how labels move along.
        generator: one number is drawn from it.
    """

    def __init__(
        self, stream: Stream, moves: Sequence[Move], kinds: Mapping[str, Kind], *, generator: torch.Generator
    ) -> None:
        super().__init__(stream, moves, generator)
        self.kinds = dict(kinds)

    def _batch(self) -> dict[str, Labelled]:
        draws, batch = random.generator(self._seed, self._step), next(self.stream)
        made: dict[int, tuple[Tensor, X]] = {}  # what is moved already: the draws it was moved by, and images
        moved = {}
        for name, rows in batch.items():
            before, x = made.get(id(rows.x), (draws.get_state(), None))
            again = draws if x is None else torch.Generator().set_state(before)
            found = self._moved(rows, self.kinds[name], again)
            moved[name] = found if x is None else replace(found, x=x)
            made.setdefault(id(rows.x), (before, found.x))
        return moved


@final
class MovedSides(_Within):
    """Move the images of both sides of a stream's batches at random, each by its own draws.

    Args:
        stream: of batches of two sides, with images ``(B, C, H, W)``.
        moves: one after the other.
        kind: of the source's answers, which says how labels move along.
        generator: one number is drawn from it.
    """

    def __init__(
        self, stream: Stream, moves: Sequence[Move], kind: Kind, *, generator: torch.Generator
    ) -> None:
        super().__init__(stream, moves, generator)
        self.kind = kind

    def _batch(self) -> Shift:
        draws, batch = random.generator(self._seed, self._step), next(self.stream)
        source = self._moved(batch.source, self.kind, draws)
        bare = Labelled(batch.target.x, torch.zeros(len(batch.target)))
        return Shift(source, Inputs(self._moved(bare, Binary(), draws).x))


@final
class TwoViews(_Within):
    """Give both sides of a stream's batches twice, one half below the other: as they are, and changed much.

    Args:
        stream: of batches of two sides, with images ``(B, C, H, W)``.
        moves: of the second half, one after the other; labels stay.
        generator: one number is drawn from it.
    """

    def _batch(self) -> Shift:
        draws, batch = random.generator(self._seed, self._step), next(self.stream)
        source, target = (
            self._moved(Labelled(side.x, torch.zeros(len(side))), Binary(), draws).x
            for side in (batch.source, batch.target)
        )
        y = torch.cat([batch.source.y, batch.source.y])
        return Shift(Labelled(join(batch.source.x, source), y), Inputs(join(batch.target.x, target)))


def flip(rows: Labelled, kind: Kind, generator: torch.Generator) -> Labelled:
    """Turn the left of an image into its right, one in two."""
    x = images(rows)
    turns = torch.rand(len(x), generator=generator) < 0.5
    scale, offset = torch.ones(len(x), 2), torch.zeros(len(x), 2)
    scale[turns, 0], offset[turns, 0] = -1.0, 1.0
    return _with(
        rows, kind, torch.where(turns.to(x.device)[:, None, None, None], x.flip(3), x), scale, offset
    )


def shift(pixels: int, rows: Labelled, kind: Kind, generator: torch.Generator) -> Labelled:
    """Shift each image by a few pixels, each by its own amount; what comes in at the edges is 0.

    Labels of pixels are missing there.
    """
    x = images(rows)
    by = torch.randint(0, 2 * pixels + 1, (2, len(x), 1), generator=generator)
    height, width = x.shape[2:]
    offset = (pixels - by[:, :, 0]).flip(0).T / torch.tensor([width, height])
    return _with(rows, kind, _shifted(x, pixels, by), torch.ones(len(x), 2), offset)


def crop(rows: Labelled, kind: Kind, generator: torch.Generator) -> Labelled:
    """Enlarge a part of each image to the whole, bilinear: the sides are shortened alike."""
    x = images(rows)
    sides = SHORTEST + (1 - SHORTEST) * torch.rand(len(x), 1, generator=generator)
    corner = (1 - sides) * torch.rand(len(x), 2, generator=generator)
    # What is at u in the part stands at corner + sides u in the image; of both the middle is 0 to PyTorch.
    to = torch.diag_embed(sides.expand(-1, 2))
    grid = torch.cat([to, (2 * corner + sides - 1)[:, :, None]], 2).to(x)
    seen = F.grid_sample(
        x, F.affine_grid(grid, list(x.shape), False), padding_mode="border", align_corners=False
    )
    return _with(rows, kind, seen, (1 / sides).expand(-1, 2), -corner / sides)


def colour(rows: Labelled, kind: Kind, generator: torch.Generator) -> Labelled:
    """Change the contrast of each image about its mean, and its brightness, by a fifth of its spread."""
    x = images(rows)
    draws = (2 * torch.rand(2, len(x), 1, 1, 1, generator=generator) - 1) * STRENGTH
    contrast, brightness = draws.to(x)
    mean, spread = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)
    return replace(rows, x=mean + (1 + contrast) * (x - mean) + brightness * spread)


def mixup(rows: Labelled, kind: Kind, generator: torch.Generator) -> Labelled:
    r"""Lay another image of the batch over each; the label stays that of the image, which mostly shows more.

    .. math:: x = \lambda x_i + (1 - \lambda) x_j, \quad y = y_i, \quad
        \lambda \sim \mathrm{Beta}(\alpha + 1, \alpha)

    Differs from the paper:
        there :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)` and both labels count, by
        :math:`\lambda` and :math:`1 - \lambda`. Pairs come in either order alike, so the expected loss is
        the same where a loss is linear in the label (cross-entropy), and its gradient where it is a square;
        no loss has to know of it.

    References:
        Zhang et al. (ICLR 2018), equation 1, https://arxiv.org/abs/1710.09412
    """
    x = images(rows)
    one, other = (_gamma(ALPHA + extra, len(x), generator) for extra in (1.0, 0.0))
    share = (one / (one + other)).to(x)[:, None, None, None]
    partner = x[torch.randperm(len(x), generator=generator).to(x.device)]
    return replace(rows, x=share * x + (1 - share) * partner)


def _gamma(shape: float, count: int, generator: torch.Generator) -> Tensor:
    """Draw from a gamma distribution, ``(count,)`` float64."""
    return torch._standard_gamma(torch.full((count,), shape, dtype=torch.float64), generator)


def _with(rows: Labelled, kind: Kind, x: Tensor, scale: Tensor, offset: Tensor) -> Labelled:
    """Take moved images, with the labels as the kind moves them; some may go missing."""
    y = kind.moved(rows.y, scale.to(rows.y.device), offset.to(rows.y.device))
    return replace(rows, x=x, y=y, complete=rows.complete and y is rows.y)


def shifted_images(x: X, pixels: int, generator: torch.Generator) -> Tensor:
    """Shift each image ``(B, C, H, W)`` by up to ``pixels`` up, down, left or right; what comes in is 0."""
    assert isinstance(x, Tensor)
    return _shifted(x, pixels, torch.randint(0, 2 * pixels + 1, (2, len(x), 1), generator=generator))


def _shifted(x: Tensor, pixels: int, by: Tensor) -> Tensor:
    """Cut images out of ones with an edge of 0, from places ``(2, B, 1)`` down and to the right."""
    height, width = x.shape[2:]
    down, right = torch.arange(height) + by[0], torch.arange(width) + by[1]  # (B, H), (B, W)
    padded = F.pad(x, (pixels,) * 4).movedim(1, 3)  # (B, H', W', C)
    at = torch.arange(len(x))[:, None, None], down[:, :, None], right[:, None, :]
    return padded[tuple(index.to(x.device) for index in at)].movedim(3, 1)
