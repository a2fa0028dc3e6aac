r"""Boxes around the objects in an image, each with one of several classes.

A cell of the backbone's map answers for the object whose middle is near it, with one linear layer: how
likely each class is, the middle and the sides of its box, and how well that box will fit. So there are no
anchors, no proposals and no second stage, and a detector is a head like any other, on any backbone with
``places``: it trains beside other tasks, is frozen, tuned, saved and exported as they are. torchvision's
detectors (Faster R-CNN, RetinaNet) bring a pyramid, a sampler and operators of their own that need their
own loop.

Shapes: ``B`` images, ``h``, ``w`` cells of a map, ``L`` cells in all, ``M`` boxes of an image, ``C`` classes.

References:
    Tian et al., FCOS (ICCV 2019), https://arxiv.org/abs/1904.01355
    Zhou, Wang & Krähenbühl, Objects as points (2019), https://arxiv.org/abs/1904.07850: middle and sides
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import wrong
from .boxes import Box, agreement, area, corners, once, overlaps, padded
from .kind import Label
from .measures import Measure
from .missing import known, present
from .named import Named, check_axes, listed, numbered, shares_of
from .placed import AtPlaces, Even
from .precision import MEASURES, matched

RARE = math.log(99)  # what is taken from the logits of classes, so that an output of 0 says: 1 in 100
TYPICAL = 0.25  # side, as a share of the image's, that an output of 0 says
NEAR = 1.5  # cells from the middle of an object, each way, that answer for it
ALPHA, GAMMA = 0.25, 2.0  # of the focal loss
COVERED = 0.5  # overlap from which on two boxes of a class are one
CANDIDATES = 300  # of an image, the surest, before those that are one are left out
MOST = 100  # boxes of an image that are kept
LEFT = 0.25  # of a box in a moved image, at least
BELIEVED = 0.3  # score from which on a box is told


@final
@dataclass(frozen=True, init=False)
class Detection(Named):
    r"""Boxes around the objects in an image, each with one of several classes.

    .. math:: \frac{1}{P} \Big( \sum_{L \times C} \text{focal} + \sum_{P} (1 - \text{GIoU} +
        \text{smooth L1} + \text{BCE}(q, \text{IoU})) \Big)

    over all cells and over the :math:`P` that answer for an object: those whose middle lies in its box, at
    most 1.5 cells from the box's own middle, and the one that this lies in; of several objects for the
    smallest. A box's score is :math:`\sqrt{p_c q}`. Of boxes of a class that overlap by half or more the
    surest is told.

    Differs from the paper:
        sides are told with the middle, so that a box smaller than a cell can be told too; that the numbers
        of a box are off counts beside its overlap (smooth L1), which has no slope where boxes are far too
        small; how well a box fits (IoU) is learned in the place of centre-ness; there is one map, no pyramid.

    Args:
        classes: how many, or the user's own names; one is enough.

    Shape:
        prediction ``(B, h, w, C + 5)``: logits of the classes, middle (x, y), sides (x, y), fit.
        ``y (B, M, 5)`` float: class number, left, top, right, bottom in shares of the image. Behind the
        boxes of an image stand rows of -1 and zeros; an image without objects has nothing else, so ``M`` is
        at least 1. An image that nobody has labelled is NaN. ``encode`` makes them.

    Example:
        >>> kind = Detection(["disc", "square"])
        >>> kind.encode([[("square", 0.0, 0.0, 0.5, 0.5)], []]).tolist()
        [[[1.0, 0.0, 0.0, 0.5, 0.5]], [[-1.0, 0.0, 0.0, 0.0, 0.0]]]
    """

    metric = "map"
    place = "object"
    axes = 2
    least = 1

    @property
    def outputs(self) -> int:
        """Width of the head's output."""
        return len(self.classes) + 5

    def describe(self) -> str:
        """Count the classes and list the first of them."""
        return f"boxes of {listed(self.classes, 'class' if len(self.classes) == 1 else 'classes')}"

    # Training.

    def placed(self, head: nn.Module) -> nn.Module:
        """Apply a head at each cell of a map, to its features on one scale."""
        return AtPlaces(nn.Sequential(Even(), head))

    def loss(
        self, prediction: Tensor, y: Tensor, *, complete: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Sum the losses of classes, boxes and fit over cells, for each cell that answers for an object."""
        there = present(y)
        said, y = prediction[there], y[there].to(prediction)
        if not len(y):
            return prediction.sum() * 0
        shape, many = said.shape[1:3], len(self.classes)
        answers, which = _answering(y, shape)
        said = said.flatten(1, 2)
        numbers = y[:, :, 0].gather(1, which).long().clamp(min=0)
        wanted = F.one_hot(numbers, many).to(said) * answers[..., None]
        classes = _focal(said[..., :many] - RARE, wanted).sum()
        told = _boxes(said[..., many:-1], shape)[answers]
        boxes = y[:, :, 1:].gather(1, which[..., None].expand(-1, -1, 4))[answers]
        cells = _middles(shape, y).expand(len(y), -1, -1)[answers]
        off = F.smooth_l1_loss(said[..., many:-1][answers], _numbers(boxes, cells, shape), reduction="sum")
        apart = (1 - agreement(told, boxes)).sum()
        fit = overlaps(told, boxes).detach()
        fits = F.binary_cross_entropy_with_logits(said[..., -1][answers], fit, reduction="sum")
        return (classes + apart + off + fits) / answers.sum().clamp(min=1)

    def constant(self, y: Tensor) -> Tensor:
        """Say one box in the middle of each cell, of the mean size, as likely of each class as it occurs."""
        boxes = y[y[..., 0] >= 0].double()
        share = boxes[:, 0].long().bincount(minlength=len(self.classes)).clamp(min=0.5) / max(1, len(boxes))
        size = (boxes[:, 3:] - boxes[:, 1:3]).mean(0) if len(boxes) else torch.full((2,), TYPICAL)
        sides = (size.double() / TYPICAL).log()
        return torch.cat(
            [share.double().clamp(max=0.99).logit() + RARE, torch.zeros(2), sides, torch.zeros(1)]
        )

    def moved(self, y: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
        """Move boxes along; one of which less than a quarter is left in the image is none any more."""
        ends = [y[..., at : at + 2] * scale[:, None] + offset[:, None] for at in (1, 3)]
        boxes = torch.cat([torch.minimum(*ends), torch.maximum(*ends)], 2)
        inner = boxes.clamp(0, 1)
        gone = (y[..., 0] < 0) | (area(inner) < LEFT * area(boxes))
        rows = torch.cat([y[..., :1], inner], 2).masked_fill(gone[..., None], 0)
        rows[..., 0].masked_fill_(gone, -1)
        return rows

    # Scoring.

    def measures(self) -> dict[str, Measure]:
        """Mean average precision over overlaps of .5 to .95, and at .5 and .75 alone."""
        return dict(MEASURES)

    def suited(self, y: Tensor) -> tuple[str, str]:
        """Mean average precision."""
        return self.metric, "it counts classes alike, and a box for right by how far it overlaps"

    def stored(self, outputs: Tensor) -> Tensor:
        """Keep the boxes, ``(B, 100, 6)``: class, score, left, top, right, bottom, the surest first.

        Rows of -1 and zeros stand behind them.
        """
        if outputs.ndim == 3:
            return outputs.float()
        shape, many = outputs.shape[1:3], len(self.classes)
        said = outputs.detach().float().flatten(1, 2)
        score = ((said[..., :many] - RARE).sigmoid() * said[..., -1:].sigmoid()).sqrt().flatten(1)
        score, at = score.topk(min(CANDIDATES, score.shape[1]))
        boxes = _boxes(said[..., many:-1], shape)
        boxes = boxes.gather(1, (at // many)[..., None].expand(-1, -1, 4)).clamp(0, 1)
        stays = once(boxes, at % many, COVERED) & (area(boxes) > 0)
        rows = torch.cat([(at % many)[..., None].float(), score[..., None], boxes], 2)
        return _first(rows, stays, MOST)

    def scored(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tell which boxes are right, ``(n, 100, 2 + 10)``, and count those there, ``(n, C)``.

        Predictions are class, score, and whether a box is right at each of ten thresholds. Outputs may be
        those of the head, or what is stored of them.
        """
        there = present(y)
        said, y = self.stored(outputs[there]).double(), y[there].double()
        counts = (y[:, :, :1] == torch.arange(len(self.classes))).sum(1)
        p = torch.cat([said[..., :2], matched(said, y).double()], 2)
        return p, counts, torch.arange(len(y))

    # Labels and answers.

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` where targets are no boxes in shares of the image, or of no class."""
        check_axes(y, "images", "boxes", "5")
        if y.shape[2] != 5 or not y.is_floating_point() or not y.shape[1]:
            found = f"{y.dtype} of shape {tuple(y.shape)}"
            raise wrong("`y`", expected="floats of shape (images, boxes, 5), boxes at least 1", found=found)
        if bool((y.isnan().any(2) & ~y.isnan().flatten(1).all(1)[:, None]).any()):
            raise wrong("`y`", expected="NaN all over an image, or nowhere in it", found="NaN in some places")
        boxes = y[known(y).all(2) & (y[..., 0] != -1)]
        bad = (boxes[:, 0] != boxes[:, 0].round()) | (boxes[:, 0] < 0) | (boxes[:, 0] >= len(self.classes))
        if bad.any():
            expected = f"class numbers in [0, {len(self.classes)}), or -1 where no box is"
            raise wrong("`y`", expected=expected, found=boxes[bad][0, 0].item())
        sides = boxes[:, 1:]
        bad = (sides < 0).any(1) | (sides > 1).any(1) | (sides[:, 2:] <= sides[:, :2]).any(1)
        if bad.any():
            hint = "divide pixels by the width and the height of the image"
            expected = "left < right and top < bottom, in shares of the image, in [0, 1]"
            raise wrong("box", expected=expected, found=sides[bad][0].tolist(), hint=hint)

    def encode(self, labels: Sequence[Any] | Tensor) -> Tensor:
        """Number the boxes of each image, ``Box`` or ``(label, left, top, right, bottom)``: ``(B, M, 5)``.

        ``None`` stands for an image that nobody has labelled.
        """
        return padded([None if row is None else self._numbered(row) for row in labels])

    def _numbered(self, row: Sequence[Sequence[Any]]) -> list[tuple[float, ...]]:
        numbers = numbered(self.classes, [box[0] for box in row]).tolist()
        return [(float(c), *map(float, box[1:5])) for c, box in zip(numbers, row, strict=True)]

    def decode(self, prediction: Tensor) -> list[list[Box]]:
        """List the boxes of each image whose score is at least .3, the surest first."""
        return [
            [
                Box(self.classes[int(c)], left, top, right, bottom, score)
                for c, score, left, top, right, bottom in row
                if c >= 0 and score >= BELIEVED
            ]
            for row in self.stored(prediction).cpu().tolist()
        ]

    def shares(self, y: Tensor) -> dict[Label, float]:
        """Give the share of each class among the boxes."""
        numbers = y[..., 0].flatten()
        return shares_of(self.classes, numbers[numbers >= 0].long())


def _middles(shape: Sequence[int], like: Tensor) -> Tensor:
    """Give the middle of each cell, in shares of the image, ``(L, 2)``."""
    down, across = ((torch.arange(n).to(like) + 0.5) / n for n in shape)
    return torch.stack(torch.meshgrid(across, down, indexing="xy"), -1).flatten(0, 1)


def _boxes(said: Tensor, shape: Sequence[int]) -> Tensor:
    """Turn what cells say ``(B, L, 4)``, a middle and sides, into boxes in shares of the image."""
    cell = said.new_tensor([1 / shape[1], 1 / shape[0]])
    middle = _middles(shape, said) + said[..., :2] * cell
    return corners(middle, TYPICAL * said[..., 2:].clamp(-8, 3).exp())


def _numbers(boxes: Tensor, cells: Tensor, shape: Sequence[int]) -> Tensor:
    """Say what cells ``(n, 2)`` are to say of boxes ``(n, 4)``: what ``_boxes`` turns into these."""
    sides = boxes.new_tensor([shape[1], shape[0]])
    middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return torch.cat([(middle - cells) * sides, (size / TYPICAL).log()], 1)


def _answering(y: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Tell which cells answer for an object, ``(B, L)``, and for which of the image's, ``(B, L)``."""
    cells, boxes = _middles(shape, y), y[:, None, :, 1:]  # (L, 2), (B, 1, M, 4)
    sides = y.new_tensor([shape[1], shape[0]])
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    off = (cells[:, None] - middle) * sides  # in cells, (B, L, M, 2)
    own = (middle * sides).floor() == (cells[:, None] * sides).floor()
    within = (cells[:, None] > boxes[..., :2]) & (cells[:, None] < boxes[..., 2:]) & (off.abs() <= NEAR)
    near = (own.all(-1) | within.all(-1)) & (y[:, None, :, 0] >= 0)
    size = area(boxes).where(near, torch.inf)
    return near.any(2), size.argmin(2)


def _focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of each class by itself, in which what is well told counts little.

    References:
        Lin et al. (ICCV 2017), equation 5, https://arxiv.org/abs/1708.02002
    """
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    p = logits.sigmoid()
    missed = torch.where(wanted > 0, 1 - p, p)
    return torch.where(wanted > 0, ALPHA, 1 - ALPHA) * missed**GAMMA * entropy


def _first(rows: Tensor, stays: Tensor, most: int) -> Tensor:
    """Keep the first rows of each image that stay, and fill up with -1 and zeros."""
    order = (~stays).long().argsort(dim=1, stable=True)[:, :most]
    rows, stays = rows.gather(1, order[..., None].expand(-1, -1, rows.shape[2])), stays.gather(1, order)
    empty = rows.new_zeros(len(rows), most, rows.shape[2])
    empty[..., 0] = -1
    empty[:, : rows.shape[1]][stays] = rows[stays]
    return empty
