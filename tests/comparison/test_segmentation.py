"""Tasks with an answer for each pixel: compared, kept, and used."""

import numpy as np
import pytest
import torch
from torch import nn

import headstart as hs
from headstart.cli import main
from headstart.comparison import Problem
from headstart.engine import evaluate
from headstart.models import Net, backbone, conv4
from headstart.models.backbones.maps import stage_maps
from headstart.models.backbones.torchvision import import_torchvision
from headstart.models.heads import build, describe
from headstart.strategies import STRATEGIES, Budget, Trial
from headstart.strategies.moves import Moved, moves
from headstart.tasks import Labelled, Multiclass, Regression, Segmentation, Task, batches
from headstart.tasks.kinds import kind_from_json
from headstart.testing import check_strategy
from headstart.transfer import Supervised

TINY = Budget(steps=4, pretrain=4, options=1, repeats=1)
SIZE = (8, 8)
KIND = Segmentation(["ground", "disc"], SIZE)


def discs(rows, seed, *, bright=1.0):
    """Draw images with a bright square somewhere, and its mask."""
    g = torch.Generator().manual_seed(seed)
    corner, side = torch.randint(0, 4, (rows, 2), generator=g), torch.randint(2, 5, (rows, 1), generator=g)
    along = torch.arange(8)
    inside = [(along >= corner[:, [k]]) & (along < corner[:, [k]] + side) for k in (0, 1)]
    y = (inside[0][:, :, None] & inside[1][:, None, :]).long()
    x = 0.1 * torch.randn(rows, 1, 8, 8, generator=g) + bright * y[:, None]
    return Labelled(x, y)


def problem(**changes):
    target = Task("masks", KIND, discs(12, 1), test=discs(10, 2))
    kinds = Multiclass(2)
    other = discs(12, 3)
    sources = [
        Task("old", KIND, discs(12, 4)),
        Task("large", kinds, Labelled(other.x, (other.y.sum((1, 2)) > 8).long())),
    ]
    return Problem(target, sources, **{"settings": {"width": 4}, "budget": TINY} | changes)


# The kind.


def test_measures_are_those_of_torchmetrics():
    import_torchvision()
    from torchmetrics.functional import accuracy, f1_score, jaccard_index

    g = torch.Generator().manual_seed(0)
    kind, y = Segmentation(3, (6, 7)), torch.randint(0, 3, (5, 6, 7), generator=g)
    outputs = torch.randn(5, 6, 7, 3, generator=g)
    y[torch.rand(y.shape, generator=g) < 0.2] = -100
    p, t, row = kind.scored(outputs, y)
    there = y >= 0
    said, is_ = outputs.argmax(-1)[there], y[there]
    of = {"num_classes": 3, "task": "multiclass"}
    theirs = {
        "miou": jaccard_index(said, is_, average="macro", **of),
        "dice": f1_score(said, is_, average="macro", **of),
        "accuracy": accuracy(said, is_, average="micro", **of),
        "balanced_accuracy": accuracy(said, is_, average="macro", **of),
    }
    ours = {name: m(p, t, torch.ones(1, 5).double()).item() for name, m in kind.measures().items()}
    assert ours == pytest.approx({name: float(value) for name, value in theirs.items()}, abs=1e-6)
    assert row.tolist() == [0, 1, 2, 3, 4]
    # Counts of a draw with replacement are those of the images that were drawn.
    drawn = torch.tensor([0, 0, 3, 4, 4])
    w = drawn.bincount(minlength=5)[None].double()
    again, whole, _ = kind.scored(outputs[drawn], y[drawn])
    for measure in kind.measures().values():
        torch.testing.assert_close(measure(p, t, w), measure(again, whole, torch.ones(1, 5).double()))


def test_the_intersection_over_union_of_a_small_mask_by_hand():
    y = torch.tensor([[[0, 0], [1, -100]]])
    said = torch.nn.functional.one_hot(torch.tensor([[[0, 1], [1, 1]]]), 3).float()
    kind = Segmentation(3, (2, 2))
    p, t, _ = kind.scored(said, y)
    assert kind.measures()["miou"](p, t, torch.ones(1, 1)).item() == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert p[0].tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_what_is_stored_is_scored_alike_and_an_image_without_labels_is_left_out():
    g = torch.Generator().manual_seed(0)
    outputs, y = torch.randn(3, 8, 8, 2, generator=g), torch.randint(0, 2, (3, 8, 8), generator=g)
    y[1] = -100
    kept = KIND.stored(outputs)
    assert kept.dtype == torch.uint8
    for one, other in zip(KIND.scored(outputs, y), KIND.scored(kept.float(), y), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(KIND.stored(kept.float()), kept)
    assert len(KIND.scored(outputs, y)[0]) == 2


def test_masks_in_words_become_numbers_and_words_again():
    masks = [np.array(KIND.classes)[m] for m in discs(3, 0).y.numpy()]
    y = KIND.encode(masks)
    assert torch.equal(y, discs(3, 0).y)
    said = KIND.decode(torch.nn.functional.one_hot(y, 2).float())
    assert all((one == other).all() for one, other in zip(said, masks, strict=True))
    assert kind_from_json(KIND.to_json()) == KIND
    assert KIND.describe() == "2 classes for each pixel (ground, disc)"
    assert KIND.suited(y)[0] == "miou"
    assert sum(KIND.shares(y).values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Segmentation(2, (0, 3)), "`size` of masks should be height and width, at least 1; found"),
        (lambda: Segmentation(2, (3,)), r"found \[3\]"),
        (lambda: Segmentation(["a"], (3, 3)), "at least 2 classes"),
        (lambda: KIND.check(torch.zeros(2, 8, 9).long()), r"masks of \(8, 8\) pixels; found \(8, 9\)"),
        (lambda: KIND.check(torch.zeros(2, 8).long()), r"of shape \(rows, height, width\)"),
        (lambda: KIND.check(torch.full((2, 8, 8), 2)), r"class numbers in \[0, 2\).*; found 2"),
        (lambda: KIND.encode([np.full(SIZE, "dics")]), "found 'dics'; did you mean .disc."),
        (lambda: KIND.encode([np.zeros((2, 2))]), r"masks should be of \(8, 8\) pixels; found \[\(2, 2\)\]"),
        (lambda: problem(backbone="mlp", settings={}), "each pixel; found one answer per pixel"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_masks(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Features at places.


def test_maps_of_all_blocks_stand_side_by_side():
    torch.manual_seed(0)
    net = conv4(1, width=3, size=16).eval()
    x = torch.randn(2, 1, 16, 16)
    found = net.places(x)
    assert found.shape == (2, 8, 8, 12)
    torch.testing.assert_close(found[..., :3], net.blocks[0](x).movedim(1, 3))
    second = nn.functional.interpolate(net.blocks[:2](x), (8, 8), mode="bilinear").movedim(1, 3)
    torch.testing.assert_close(found[..., 3:6], second)


def test_a_model_of_torchvision_sees_the_whole_image():
    try:
        import_torchvision()
    except ModuleNotFoundError:
        pytest.skip("torchvision is not installed")
    net = backbone("torchvision:resnet18", weights=None, settings={"raw": True}).eval()
    x = torch.zeros(1, 1, 32, 32)
    with torch.no_grad():
        plain = net.places(x)
        x[:, :, 0, 0] = 1  # a corner that cropping would lose
        assert plain.shape == (1, 14, 14, 768)
        assert not torch.equal(net.places(x), plain)
        first = nn.Sequential(*list(net.model.children())[:7])
        white = (
            torch.zeros(1, 3, 224, 224) - torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        ) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        torch.testing.assert_close(plain[..., :256], first(white).movedim(1, 3))


def test_tokens_of_a_transformer_are_a_map():
    class Block(nn.Linear):
        pass

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.Sequential(Block(3, 3), Block(3, 3))

        def forward(self, x):
            cells = nn.functional.avg_pool2d(x, 8).flatten(2).movedim(2, 1)
            return self.blocks(torch.cat([torch.zeros(len(x), 1, 3), cells], 1)).mean(1)

    net, x = Tokens(), torch.randn(2, 3, 32, 32)
    found = stage_maps(net, x, finest=8)
    cells = nn.functional.avg_pool2d(x, 8).movedim(1, 3)
    torch.testing.assert_close(found, net.blocks(cells))
    with pytest.raises(ValueError, match="no block of Sequential gives a map"):
        stage_maps(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2), nn.Linear(2, 2)), x)


def test_sources_are_not_turned_for_a_target_of_pixels():
    assert not problem().rotations
    assert problem(rotations=True).rotations


def test_a_head_brings_a_map_to_the_size_of_the_masks():
    head = KIND.head(3)
    assert head(torch.zeros(2, 4, 4, 3)).shape == (2, 8, 8, 2)
    again = build(describe(head))
    again.load_state_dict(head.state_dict())
    z = torch.randn(2, 4, 4, 3)
    assert torch.equal(again(z), head(z))
    coarse, y = KIND.entries(torch.zeros(1, 2, 2, 3), torch.arange(64).reshape(1, 8, 8))
    assert (coarse.shape, y.tolist()) == ((4, 3), [18, 22, 50, 54])  # the pixel in the middle of each cell


# Strategies.


APPLY = {
    "constant", "raw+threshold", "raw+pixels", "untrained+logreg", "scratch", "source-only", "pooled",
    "features+logreg", "features+svm", "features+mlp", "probe", "finetune", "lp_ft", "gradual", "l2sp",
    "multitask",
}  # fmt: skip


def test_which_strategies_apply_and_why_others_do_not():
    posed = problem()
    why = {name: posed.applies(strategy, "masks") for name, strategy in STRATEGIES.items()}
    assert {name for name, reason in why.items() if not reason} == APPLY
    assert why["raw+knn"] == why["maml"] == "the target has an answer for each pixel"
    assert why["raw+lexicon"] == "the target has no answer for each token"
    assert why["raw+blobs"] == "the target has no answer for each object"


@pytest.mark.usefixtures("soon_settled")
@pytest.mark.parametrize(
    "name", ["constant", "raw+threshold", "raw+pixels", "features+logreg", "probe", "multitask"]
)
def test_strategies_keep_their_contract_on_pixels(name):
    check_strategy(STRATEGIES[name], problem())


@pytest.mark.parametrize("bright", [1.0, -1.0])
def test_one_level_tells_bright_from_dark(bright):
    target = Task("masks", KIND, discs(12, 1, bright=bright), test=discs(10, 2, bright=bright))
    posed = Problem(target, settings={"width": 4})
    for name in ("raw+threshold", "raw+pixels"):
        net = STRATEGIES[name].learn(Trial(posed, dict(STRATEGIES[name].options[0]), 0)).net
        assert evaluate(net, target)["miou"].value > 0.97
    floor = STRATEGIES["constant"].learn(Trial(posed, {}, 0)).net
    ground = float((target.test.y == 0).double().mean())
    assert evaluate(floor, target)["accuracy"].value == pytest.approx(ground)
    assert evaluate(floor, target)["miou"].value == pytest.approx(ground / 2)


def test_masks_move_with_their_images():
    task = Task("masks", KIND, discs(12, 1))
    stream = batches([task], 6, generator=torch.Generator().manual_seed(0))
    both = moves(["flip", "shift"], 16)
    moved = next(Moved(stream, both, {"masks": KIND}, generator=torch.Generator().manual_seed(1)))["masks"]
    there = moved.y >= 0
    assert not there.all()
    assert torch.equal((moved.x[:, 0] > 0.5)[there], (moved.y == 1)[there])
    assert not moved.x[:, 0][~there].any()


def test_pixels_and_rows_learn_in_one_net():
    rows = discs(6, 0)
    masks, large = Task("masks", KIND, rows), Task("large", Multiclass(2), Labelled(rows.x, rows.y[:, 4, 4]))
    size = Task("size", Regression(), Labelled(rows.x, rows.y.sum((1, 2)).float()))
    posed = Problem(masks_with_test(masks), [large, size], settings={"width": 4}, budget=TINY)
    trained = STRATEGIES["multitask"].learn(Trial(posed, {"lr": 1e-3}, 0))
    assert {name.split(": ")[1] for name in trained.curves} >= {"masks", "large", "size"}
    net = Net(conv4(1, width=4, size=8), {"masks": KIND.head(16), "large": nn.Linear(4, 2)})
    losses = Supervised(masks, large)(net, {"masks": masks.train, "large": large.train}, 0.0)
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in net.parameters())


def masks_with_test(task):
    return Task(task.name, task.kind, task.train, test=discs(5, 9))


def test_a_comparison_counts_images_and_its_model_gives_masks(tmp_path):
    from PIL import Image

    for part, seed, count in (("train", 1, 20), ("new", 2, 4)):
        rows = discs(count, seed)
        for place in ("images", "masks"):
            (tmp_path / part / place).mkdir(parents=True)
        for i in range(count):
            grey = (255 * (rows.x[i, 0].clamp(-0.5, 1.5) + 0.5) / 2).byte().numpy()
            Image.fromarray(grey).save(tmp_path / part / "images" / f"{i:02}.png")
            Image.fromarray(rows.y[i].byte().numpy()).save(tmp_path / part / "masks" / f"{i:02}.png")
    reference = f"masks:{tmp_path / 'train/images'}#{tmp_path / 'train/masks'}"
    (target,) = hs.datasets.read(reference)
    assert target.kind == Segmentation([0, 1], SIZE)
    posed = Problem(target, settings={"width": 4}, budget=TINY)
    result = hs.compare(posed, ["scratch"], seeds=3, out=tmp_path / "out", progress=False)
    rows = {row["strategy"]: row for row in result.to_dict()["rows"]}
    assert {"constant", "raw+threshold", "raw+pixels", "scratch"} <= set(rows)
    assert (result.to_dict()["metric"], rows["raw+threshold"]["mean"] > 0.95) == ("miou", True)
    kept = np.load(next((tmp_path / "out" / "outputs").glob("raw+threshold*.npz")))
    assert kept[target.name].dtype == np.uint8
    assert result.report(tmp_path / "report.html")
    model = hs.load(result.best.save(tmp_path / "model"))
    new = tmp_path / "new"
    masks = model.predict(str(new / "images"))
    assert masks[0].shape == SIZE
    found = model.evaluate(f"masks:{new / 'images'}#{new / 'masks'}")["miou"]
    assert found.value > 0.95
    assert found.n == 4
    said = model.answer(str(new / "images"))
    assert said.to_csv().startswith("file,share(0),share(1)\n")
    said.to_masks(tmp_path / "said")
    assert (np.asarray(Image.open(tmp_path / "said" / "00.png")) == masks[0]).all()
    words = ["predict", str(tmp_path / "model"), str(new / "images"), "-o", str(tmp_path / "said")]
    assert main(words) == 0
    assert main([*words, "--unknown", "?"]) == 2  # a pixel has no such answer, which is told
