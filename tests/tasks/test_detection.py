"""Boxes: what learns them, what tells which are right, and how they move and are told."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from headstart.models.backbones.torchvision import import_torchvision
from headstart.tasks import Box, Detection
from headstart.tasks.kinds import kind_from_json
from headstart.tasks.kinds.boxes import agreement, once, overlaps
from headstart.tasks.kinds.precision import THRESHOLDS, matched

KIND = Detection(["disc", "square"])
ONES = torch.ones(1, 1, dtype=torch.float64)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def some_boxes(images, seed=0, most=4):
    """Draw boxes of both classes; every fourth image has none."""
    g, rows = gen(seed), []
    for i in range(images):
        count = 0 if i % 4 == 3 else int(torch.randint(1, most + 1, (1,), generator=g))
        corner, side = torch.rand(count, 2, generator=g) * 0.6, 0.05 + torch.rand(count, 2, generator=g) * 0.3
        boxes = torch.cat([corner, corner + side], 1).tolist()
        rows.append([(KIND.classes[k % 2], *box) for k, box in enumerate(boxes)])
    return rows


def noisy(y, seed=0, count=6):
    """Say boxes near those that are there, and others, with scores ``(n, count, 6)``."""
    g = gen(seed)
    said = torch.zeros(len(y), count, 6)
    said[..., 0] = -1
    for i, row in enumerate(y):
        own = row[row[:, 0] >= 0][:, :5]
        for k in range(count):
            box = own[k % len(own)].clone() if len(own) else torch.tensor([0, 0.1, 0.1, 0.5, 0.5])
            box[1:] += 0.02 * torch.randn(4, generator=g)
            box[3:] = torch.maximum(box[3:], box[1:3] + 0.01)
            if k == 4:
                box[0] = 1 - box[0]
            said[i, k] = torch.cat([box[:1], torch.rand(1, generator=g), box[1:]])
    order = said[..., 1].argsort(1, descending=True)
    return said.gather(1, order[..., None].expand_as(said))


# Overlaps.


def test_overlaps_of_boxes_one_by_one():
    a, b = (torch.rand(9, 4, generator=gen(s), dtype=torch.float64) for s in (0, 1))
    a, b = (torch.cat([t[:, :2], t[:, :2] + t[:, 2:]], 1) for t in (a, b))
    found, told = overlaps(a[:, None], b), agreement(a[:, None], b)
    for i, one in enumerate(a.tolist()):
        for j, other in enumerate(b.tolist()):
            wide, high = (min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1))
            both = max(wide, 0) * max(high, 0)
            union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - both
            around = math.prod(max(one[k + 2], other[k + 2]) - min(one[k], other[k]) for k in (0, 1))
            assert found[i, j].item() == pytest.approx(both / union)
            assert told[i, j].item() == pytest.approx(both / union - (around - union) / around)
    assert (told < 0).any()


def test_what_a_better_box_covers_is_left_out():
    boxes = torch.rand(5, 40, 4, generator=gen())
    boxes = torch.cat([boxes[..., :2], boxes[..., :2] + 0.4], 2)
    classes = torch.randint(2, (5, 40), generator=gen(1))
    found = once(boxes, classes, 0.5)
    for some, of, stays in zip(boxes, classes, found, strict=True):  # one by one
        kept = []
        for k in range(40):
            if all(of[k] != of[j] or overlaps(some[k], some[j]) <= 0.5 for j in kept):
                kept.append(k)
        assert stays.nonzero().flatten().tolist() == kept
    assert int((~found).sum()) > 0


# Average precision.


def test_average_precision_by_hand():
    # Two boxes are there; the surest is right, the second wrong, the third right.
    y = KIND.encode([[("disc", 0.0, 0.0, 0.4, 0.4), ("disc", 0.5, 0.5, 0.9, 0.9)]])
    said = torch.tensor([[[0, 0.9, 0.0, 0.0, 0.4, 0.4], [0, 0.8, 0.0, 0.5, 0.4, 0.9],
                          [0, 0.7, 0.5, 0.5, 0.9, 0.9]]])  # fmt: skip
    p, t, row = KIND.scored(said, y)
    assert t.tolist() == [[2, 0]]
    assert row.tolist() == [0]
    assert KIND.measures()["map"](p, t, ONES).item() == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def plainly_matched(said, y):
    """Match one box after the other, in plain Python."""
    right = torch.zeros(len(said), len(THRESHOLDS))
    for at, least in enumerate(THRESHOLDS):
        free = [j for j in range(len(y)) if y[j, 0] >= 0]
        for k, box in enumerate(said):
            own = [(overlaps(box[2:], y[j, 1:]).item(), j) for j in free if y[j, 0] == box[0]]
            if own and max(own)[0] >= least:
                right[k, at] = 1
                free.remove(max(own)[1])
    return right


def test_the_surest_box_takes_what_it_overlaps_most():
    y = KIND.encode(some_boxes(12)).double()
    said = noisy(y).double()
    found = matched(said, y)
    for some, row, right in zip(said, y, found, strict=True):
        assert torch.equal(right.float(), plainly_matched(some, row))
    assert 0.05 < found.double().mean() < 0.9


@pytest.mark.slow
def test_measures_are_those_of_torchmetrics():
    pytest.importorskip("faster_coco_eval", reason="faster-coco-eval, which torchmetrics asks, is missing")
    import_torchvision()
    from torchmetrics.detection import MeanAveragePrecision

    y = KIND.encode(some_boxes(30))
    said = noisy(y)
    said[..., 2:] = said[..., 2:] * 200  # their areas are in pixels
    y[..., 1:] *= 200
    p, t, _ = KIND.scored(said, y)
    w = torch.ones(1, len(t), dtype=torch.float64)
    ours = {name: m(p, t, w).item() for name, m in KIND.measures().items()}
    fine, coarse = torch.linspace(0, 1, 5001).tolist(), None
    for places, near in ((fine, 5e-4), (coarse, 0.01)):
        theirs = MeanAveragePrecision(rec_thresholds=places, backend="faster_coco_eval")
        theirs.update(
            [{"boxes": s[s[:, 0] >= 0, 2:], "scores": s[s[:, 0] >= 0, 1], "labels": s[s[:, 0] >= 0, 0].int()}
             for s in said],
            [{"boxes": r[r[:, 0] >= 0, 1:], "labels": r[r[:, 0] >= 0, 0].int()} for r in y],
        )  # fmt: skip
        found = {"map": "map", "map50": "map_50", "map75": "map_75"}
        told = theirs.compute()
        assert ours == pytest.approx({name: told[theirs].item() for name, theirs in found.items()}, abs=near)
    assert 0.05 < ours["map"] < ours["map50"] < 0.95


def test_weights_count_images_and_have_a_slope():
    y = KIND.encode(some_boxes(10))
    said = noisy(y)
    p, t, row = KIND.scored(said, y)
    assert row.tolist() == list(range(10))
    drawn = torch.tensor([0, 0, 3, 4, 4, 9, 8, 7, 7, 7])
    w = drawn.bincount(minlength=10)[None].double()
    again, there, _ = KIND.scored(said[drawn], y[drawn])
    for measure in KIND.measures().values():
        twice = measure(p, t, torch.cat([w, 2 * w]))
        torch.testing.assert_close(twice, measure(again, there, torch.ones(1, 10).double()).expand(2))
    w = (1 + torch.rand(1, 10, generator=gen(), dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: KIND.measures()["map"](p, t, w), w)


def test_a_class_that_does_not_occur_does_not_count_and_without_any_there_is_no_value():
    y = KIND.encode([[], []])
    p, t, _ = KIND.scored(noisy(y), y)
    assert KIND.measures()["map"](p, t, torch.ones(1, 2)).isnan().all()


# Outputs and boxes.


def perfect(y, h, w):
    """Say the boxes of images, by outputs of a map of ``h x w`` cells: what training strives for."""
    said = torch.full((len(y), h, w, 7), -20.0)
    for i, row in enumerate(y):
        for c, left, top, right, bottom in row[row[:, 0] >= 0].tolist():
            x, down = (left + right) / 2 * w, (top + bottom) / 2 * h
            at = said[i, int(down), int(x)]
            at[int(c)], at[-1] = 20.0, 20.0
            at[2:4] = torch.tensor([x - int(x) - 0.5, down - int(down) - 0.5])
            at[4:6] = (torch.tensor([right - left, bottom - top]) / 0.25).log()
    return said


def test_outputs_tell_boxes_and_boxes_come_back():
    labels = [
        [("square", 0.1, 0.2, 0.5, 0.4)],
        [],
        [("disc", 0.0, 0.0, 1.0, 1.0), ("disc", 0.6, 0.6, 0.8, 0.9)],
    ]
    y = KIND.encode(labels)
    said = KIND.decode(perfect(y, 6, 9))
    for row, found in zip(labels, said, strict=True):
        assert [box.label for box in sorted(found, key=lambda b: b.left)] == [box[0] for box in row]
        for box, other in zip(row, sorted(found, key=lambda b: b.left), strict=True):
            assert other[1:5] == pytest.approx(box[1:], abs=1e-5)
            assert other.score > 0.99
    torch.testing.assert_close(
        KIND.encode([[tuple(b) for b in row] for row in said]).sort(1)[0], y.sort(1)[0]
    )
    p, t, _ = KIND.scored(perfect(y, 6, 9), y)
    assert KIND.measures()["map"](p, t, torch.ones(1, 3).double()).item() == pytest.approx(1)


def test_what_is_stored_is_scored_alike():
    y = KIND.encode(some_boxes(5))
    outputs = torch.randn(5, 8, 8, 7, generator=gen())
    kept = KIND.stored(outputs)
    assert kept.shape == (5, 100, 6)
    assert torch.equal(KIND.stored(kept), kept)
    for one, other in zip(KIND.scored(outputs, y), KIND.scored(kept, y), strict=True):
        assert torch.equal(one, other)
    scores = kept[..., 1]
    assert (scores[:, 1:] <= scores[:, :-1]).all()
    y[2] = math.nan
    assert len(KIND.scored(outputs, y)[0]) == 4


# Learning.


def plain_loss(prediction, y):
    """Give the loss cell by cell, in plain Python."""
    _, h, w, _ = prediction.shape
    total, answers = 0.0, 0
    for said, row in zip(prediction, y, strict=True):
        if row.isnan().any():
            continue
        for i in range(h):
            for j in range(w):
                x, down, own = (j + 0.5) / w, (i + 0.5) / h, []
                for box in row[row[:, 0] >= 0]:
                    _, left, top, right, bottom = box.tolist()
                    mid = (left + right) / 2, (top + bottom) / 2
                    close = abs(mid[0] - x) * w <= 1.5 and abs(mid[1] - down) * h <= 1.5
                    inner = left < x < right and top < down < bottom
                    if (close and inner) or (int(mid[0] * w) == j and int(mid[1] * h) == i):
                        own.append(((right - left) * (bottom - top), box))
                out, wanted = said[i, j], torch.zeros(2, dtype=said.dtype)
                if own:
                    box = min(own, key=lambda pair: pair[0])[1]
                    answers, wanted[int(box[0])] = answers + 1, 1.0
                    size = 0.25 * out[4:6].exp()
                    mid = torch.tensor([x, down]) + out[2:4] / torch.tensor([w, h])
                    told = torch.cat([mid - size / 2, mid + size / 2])
                    total += 1 - agreement(told, box[1:])
                    centre, sides = (box[1:3] + box[3:]) / 2, box[3:] - box[1:3]
                    off = torch.cat([(centre - torch.tensor([x, down])) * torch.tensor([w, h]),
                                     (sides / 0.25).log()])  # fmt: skip
                    total += F.smooth_l1_loss(out[2:6], off, reduction="sum")
                    fit = overlaps(told, box[1:]).detach()
                    total += F.binary_cross_entropy_with_logits(out[6], fit)
                for p, t in zip((out[:2] - math.log(99)).sigmoid(), wanted, strict=True):
                    total += -0.25 * (1 - p) ** 2 * p.log() if t else -0.75 * p**2 * (1 - p).log()
    return total / max(1, answers)


def test_the_loss_is_that_of_the_cells_one_by_one():
    y = KIND.encode([*some_boxes(4, most=3), None]).double()
    prediction = torch.randn(5, 4, 6, 7, generator=gen(), dtype=torch.float64).requires_grad_()
    loss = KIND.loss(prediction, y)
    torch.testing.assert_close(loss, plain_loss(prediction, y))
    loss.backward()
    assert prediction.grad.isfinite().all()
    assert not prediction.grad[4].any()  # nobody has labelled it
    assert prediction.grad[3, ..., :2].all()  # it has no objects, which is learned too
    assert not prediction.grad[3, ..., 2:].any()


def test_a_head_learns_boxes_of_all_sizes():
    y = KIND.encode(some_boxes(12, seed=3))
    torch.manual_seed(0)
    outputs = torch.nn.Parameter(torch.zeros(12, 12, 12, 7))
    optimizer = torch.optim.Adam([outputs], 0.2)
    for _ in range(50):
        optimizer.zero_grad()
        KIND.loss(outputs, y).backward()
        optimizer.step()
    p, t, _ = KIND.scored(outputs.detach(), y)
    assert KIND.measures()["map"](p, t, torch.ones(1, 12).double()).item() > 0.8


def test_without_any_label_the_loss_is_zero():
    prediction = torch.randn(2, 3, 3, 7, requires_grad=True)
    loss = KIND.loss(prediction, KIND.encode([None, None]))
    loss.backward()
    assert loss.item() == 0
    assert not prediction.grad.any()


def test_the_floor_is_one_box_of_the_mean_size():
    y = KIND.encode([[("disc", 0.1, 0.2, 0.5, 0.4)], [("disc", 0.1, 0.2, 0.7, 0.8)], []])
    said = KIND.constant(y)
    found = KIND.stored(said.float()[None, None, None])[0, :2]
    assert found[0].tolist() == pytest.approx([0, found[0, 1].item(), 0.25, 0.3, 0.75, 0.7], abs=1e-6)
    assert found[0, 1] > found[1, 1] > 0
    assert KIND.constant(KIND.encode([[]])).isfinite().all()


def test_moved_images_take_their_boxes_along():
    y = KIND.encode([[("disc", 0.1, 0.2, 0.5, 0.4)], [("square", 0.0, 0.0, 0.2, 0.2)], [], None])
    turned = KIND.moved(y, torch.tensor([[-1.0, 1.0]] * 4), torch.tensor([[1.0, 0.0]] * 4))
    assert turned[0, 0].tolist() == pytest.approx([0, 0.5, 0.2, 0.9, 0.4])
    larger = KIND.moved(y, torch.full((4, 2), 2.0), torch.full((4, 2), -0.3))
    assert larger[0, 0].tolist() == pytest.approx([0, 0.0, 0.1, 0.7, 0.5])
    assert larger[1, 0].tolist() == [-1, 0, 0, 0, 0]  # a sixteenth of it is left
    assert larger[2, 0, 0] == -1
    assert larger[3].isnan().all()
    KIND.check(larger)
    assert y[0, 0, 1] == pytest.approx(0.1)  # what is given stays


# Labels.


def test_what_boxes_are():
    y = KIND.encode([[Box("disc", 0.0, 0.0, 0.5, 1.0)], None])
    assert y.tolist()[0] == [[0, 0, 0, 0.5, 1]]
    assert kind_from_json(KIND.to_json()) == KIND
    assert KIND.describe() == "boxes of 2 classes (disc, square)"
    assert Detection(["nucleus"]).describe() == "boxes of 1 class (nucleus)"
    assert KIND.shares(KIND.encode(some_boxes(8)))["disc"] > 0.4
    assert KIND.suited(y)[0] == "map"
    assert KIND.head(5)(torch.zeros(2, 3, 4, 5)).shape == (2, 3, 4, 7)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([[[0, 10.0, 20.0, 40.0, 50.0]]], r"shares of the image, in \[0, 1\]; found .*divide pixels by"),
        ([[[0, 0.5, 0.2, 0.4, 0.5]]], "left < right and top < bottom"),
        ([[[2, 0.1, 0.2, 0.4, 0.5]]], r"class numbers in \[0, 2\), or -1 where no box is; found 2"),
        ([[[0.5, 0.1, 0.2, 0.4, 0.5]]], r"class numbers in \[0, 2\)"),
        ([[[0, 0.1, 0.2, math.nan, 0.5]]], "NaN all over an image, or nowhere in it"),
        ([[0.1, 0.2]], r"of shape \(images, boxes, 5\)"),
        ([[[0.1, 0.2]]], r"floats of shape \(images, boxes, 5\), boxes at least 1"),
    ],
)
def test_what_is_no_box(y, message):
    with pytest.raises(ValueError, match=message):
        KIND.check(torch.tensor(y))
    with pytest.raises(ValueError, match="found 'dics'"):
        KIND.encode([[("dics", 0.0, 0.0, 1.0, 1.0)]])


def test_thresholds_are_those_of_coco():
    assert THRESHOLDS[0] == 0.5
    assert THRESHOLDS[-1] == 0.95
    assert all(b - a == pytest.approx(0.05) for a, b in pairwise(THRESHOLDS))
