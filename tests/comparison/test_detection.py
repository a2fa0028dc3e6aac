"""Boxes of objects: compared, kept, and used, beside a class for each pixel."""

import importlib.util
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.cli import main
from headstart.comparison import Problem
from headstart.engine import evaluate
from headstart.models import conv4
from headstart.models.backbones.blobs import level
from headstart.strategies import STRATEGIES, Budget, Trial
from headstart.strategies.moves import Moved, moves
from headstart.tasks import Detection, Labelled, Segmentation, Task, batches
from headstart.testing import check_strategy

TINY = Budget(steps=4, pretrain=4, options=1, repeats=1)
KIND = Detection(["block"])


def blocks(rows, seed, side=16):
    """Draw images with a bright block somewhere: its box, and its mask."""
    g = torch.Generator().manual_seed(seed)
    corner, size = (
        torch.randint(0, side // 2, (rows, 2), generator=g),
        torch.randint(4, 9, (rows, 2), generator=g),
    )
    end = (corner + size).clamp(max=side)
    along = torch.arange(side)
    inside = [(along >= corner[:, [k]]) & (along < end[:, [k]]) for k in (0, 1)]
    masks = (inside[1][:, :, None] & inside[0][:, None, :]).long()
    x = 0.1 * torch.randn(rows, 1, side, side, generator=g) + masks[:, None]
    y = torch.cat([torch.zeros(rows, 1), corner / side, end / side], 1)[:, None]
    return Labelled(x, y), Labelled(x, masks)


def problem(**changes):
    (boxes, masks), test = blocks(12, 1), blocks(10, 2)[0]
    target = Task("boxes", KIND, boxes, test=test)
    sources = [Task("masks", Segmentation(2, (16, 16)), masks)]
    return Problem(target, sources, **{"settings": {"width": 4}, "budget": TINY} | changes)


def test_which_strategies_apply_and_why_others_do_not():
    posed = problem()
    why = {name: posed.applies(strategy, "boxes") for name, strategy in STRATEGIES.items()}
    assert {name for name, reason in why.items() if not reason} == {
        "constant", "raw+blobs", "scratch", "probe", "finetune", "lp_ft", "gradual", "l2sp", "multitask",
    }  # fmt: skip
    assert why["raw+knn"] == "the target has an answer for each object"
    assert why["raw+threshold"] == "the target has no answer for each pixel"
    assert why["features+logreg"] == "the target is no classification"


@pytest.mark.parametrize(
    "name",
    ["constant", "raw+blobs", *(pytest.param(n, marks=pytest.mark.slow) for n in ("probe", "multitask"))],
)
def test_strategies_keep_their_contract_on_boxes(name):
    check_strategy(STRATEGIES[name], problem())


def test_one_learns_where_things_are_and_the_floor_does_not():
    target, budget = Task("boxes", KIND, blocks(30, 1)[0], test=blocks(20, 2)[0]), Budget(steps=30, options=1)
    posed = Problem(target, settings={"width": 8}, budget=budget)
    learned = STRATEGIES["scratch"].learn(Trial(posed, {"lr": 1e-2}, 0)).net
    floor = STRATEGIES["constant"].learn(Trial(posed, {}, 0)).net
    found = evaluate(learned, posed.target)["map"]
    assert found.value > 0.2 > 0.1 > evaluate(floor, posed.target)["map"].value
    assert found.low < found.value < found.high
    assert found.n == 20


def test_what_is_lighter_or_darker_than_the_rest_is_boxed():
    for sign in (1.0, -1.0):
        rows, test = (blocks(12, seed)[0] for seed in (1, 2))
        rows, test = (replace(part, x=sign * part.x) for part in (rows, test))
        posed = Problem(Task("boxes", KIND, rows, test=test), settings={"width": 4}, budget=TINY)
        trained = STRATEGIES["raw+blobs"].learn(Trial(posed, {}, 0))
        assert evaluate(trained.net, posed.target)["map"].value > 0.9
        assert trained.net.backbone.sign == sign


def test_the_level_is_that_of_the_largest_variance_between_both_sides():
    grey = np.random.default_rng(0).normal([0.0] * 300 + [3.0] * 100)
    edges = np.histogram(grey, 256)[1][1:-1]
    between = [(grey <= e).mean() * (grey > e).mean() * (grey[grey <= e].mean() - grey[grey > e].mean()) ** 2
               for e in edges]  # fmt: skip
    assert level(grey) == pytest.approx(edges[int(np.argmax(between))], abs=0.05)
    assert level(np.zeros(4)) == pytest.approx(0, abs=0.5)  # nothing to tell apart


def test_boxes_and_masks_of_an_image_move_alike():
    boxes, masks = blocks(12, 1)
    some = [Task("boxes", KIND, boxes), Task("masks", Segmentation(2, (16, 16)), Labelled(boxes.x, masks.y))]
    stream = batches(some, 6, generator=torch.Generator().manual_seed(0))
    kinds = {t.name: t.kind for t in some}
    moved = next(
        Moved(stream, moves(["flip", "crop"], 16), kinds, generator=torch.Generator().manual_seed(1))
    )
    assert moved["boxes"].x is moved["masks"].x
    for (_, left, top, right, bottom), mask in zip(
        moved["boxes"].y[:, 0].tolist(), moved["masks"].y, strict=True
    ):
        high, wide = (mask == 1).nonzero(as_tuple=True)
        ends = [wide.min() / 16, high.min() / 16, (wide.max() + 1) / 16, (high.max() + 1) / 16]
        assert [left, top, right, bottom] == pytest.approx([float(e) for e in ends], abs=1 / 16 + 1e-6)
    bright = moved["masks"].x[:, 0] > 0.5
    assert (bright == (moved["masks"].y == 1)).double().mean() > 0.9


@pytest.mark.slow
def test_a_comparison_of_images_with_boxes_gives_a_model_that_tells_them(tmp_path):
    from PIL import Image

    for part, seed, count in (("train", 1, 16), ("new", 2, 3)):
        (folder := tmp_path / part).mkdir()
        rows = blocks(count, seed)[0]
        about = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "block"}]}
        for i in range(count):
            grey = (255 * (rows.x[i, 0].clamp(-0.5, 1.5) + 0.5) / 2).byte().numpy()
            Image.fromarray(grey).save(folder / f"{i:02}.png")
            left, top, right, bottom = (16 * rows.y[i, 0, 1:]).tolist()
            about["images"].append({"id": i, "file_name": f"{i:02}.png", "width": 16, "height": 16})
            about["annotations"].append(
                {"image_id": i, "category_id": 1, "bbox": [left, top, right - left, bottom - top]}
            )
        (tmp_path / f"{part}.json").write_text(json.dumps(about))
    (target,) = hs.datasets.read(f"coco:{tmp_path / 'train'}#{tmp_path / 'train.json'}")
    posed = Problem(target, settings={"width": 4}, budget=TINY)
    result = hs.compare(posed, ["scratch"], seeds=2, out=tmp_path / "out", progress=False)
    told = result.to_dict()
    assert told["metric"] == "map"
    assert {row["strategy"] for row in told["rows"]} == {"constant", "raw+blobs", "scratch"}
    assert result.report(tmp_path / "report.html")
    kept = np.load(next((tmp_path / "out" / "outputs").glob("constant*.npz")))
    assert kept[target.name].shape[1:] == (100, 6)
    model = hs.load(result.best.save(tmp_path / "model"))
    assert model.evaluate(f"coco:{tmp_path / 'new'}#{tmp_path / 'new.json'}")["map"].n == 3
    said = model.answer(str(tmp_path / "new"))
    assert said.to_csv().startswith("file,prediction,score,left,top,right,bottom\n")
    with pytest.raises(ValueError, match="one of at most 256 classes, for each pixel"):
        said.to_masks(tmp_path / "said")
    assert (
        main(["predict", str(tmp_path / "model"), str(tmp_path / "new"), "-o", str(tmp_path / "said.csv")])
        == 0
    )
    assert (tmp_path / "said.csv").read_text() == said.to_csv()


def test_the_recorded_script_runs_small():
    file = Path(__file__).parents[2] / "benchmarks" / "quality" / "shapes" / "run.py"
    spec = importlib.util.spec_from_file_location("shapes", file)
    shapes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shapes)
    both = shapes.tasks(8, 4, 48)
    masks, boxes = (t.train.y for t in both)
    for row, mask in zip(boxes, masks, strict=True):
        for c, left, top, right, bottom in row[row[:, 0] >= 0].tolist():
            inner = mask[math.ceil(48 * top) : int(48 * bottom), math.ceil(48 * left) : int(48 * right)]
            assert (inner == c + 1).double().mean() > 0.4
    net = shapes.train(both, 2, backbone=conv4(3, width=4, size=48), pretrained=True)
    assert set(shapes.measured(net, both)) == {"masks.miou", "boxes.map", "boxes.map50"}
    assert len(shapes.ways(both)) == 7
