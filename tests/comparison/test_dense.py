"""Tasks with a number for each pixel: compared, kept, and used."""

import numpy as np
import pytest
import torch
from torch import nn

import headstart as hs
from headstart.cli import main
from headstart.comparison import Problem
from headstart.engine import evaluate
from headstart.models.heads import build, describe
from headstart.strategies import STRATEGIES, Budget, Trial
from headstart.strategies.posing import rescaled
from headstart.tasks import DenseRegression, Labelled, Segmentation, Task
from headstart.tasks.kinds import Standard, kind_from_json
from headstart.testing import check_strategy

TINY = Budget(steps=4, pretrain=4, options=1, repeats=1)
KIND = DenseRegression((8, 8), within=0.5)


def scenes(rows, seed):
    """Draw images whose brightness tells the depth, which is missing here and there."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(rows, 1, 8, 8, generator=g)
    y = 100 + 50 * x[:, 0]
    return Labelled(x, y.masked_fill(torch.rand(y.shape, generator=g) < 0.1, torch.nan))


def problem(**changes):
    target = Task("depth", KIND, scenes(12, 1), test=scenes(10, 2))
    sources = [Task("old", KIND, scenes(12, 3))]
    return Problem(target, sources, **{"settings": {"width": 4}, "budget": TINY} | changes)


# The kind.


def drawn(seed=0):
    g = torch.Generator().manual_seed(seed)
    outputs, y = torch.randn(2, 5, 8, 8, dtype=torch.float64, generator=g)
    y = y.masked_fill(torch.rand(y.shape, generator=g) < 0.2, torch.nan)
    y[3] = torch.nan
    return outputs[..., None], y


def test_measures_are_those_of_scikit_learn_over_all_pixels():
    from sklearn.metrics import mean_absolute_error, root_mean_squared_error

    outputs, y = drawn()
    p, t, row = KIND.scored(outputs, y)
    there = ~y.isnan()
    said, is_ = outputs[..., 0][there].numpy(), y[there].numpy()
    one = torch.ones(1, 4, dtype=torch.float64)
    ours = {name: measure(p, t, one).item() for name, measure in KIND.measures().items()}
    assert ours == pytest.approx(
        {
            "mae": mean_absolute_error(is_, said),
            "rmse": root_mean_squared_error(is_, said),
            "within": float((np.abs(said - is_) <= 0.5).mean()),
        }
    )
    assert (row.tolist(), t.sum()) == ([0, 1, 2, 3], there.sum())
    # Counts of a draw with replacement are those of the images that were drawn.
    images = torch.tensor([0, 0, 2, 4, 4])
    w = torch.tensor([[2.0, 0.0, 1.0, 2.0]], dtype=torch.float64)  # of the four that have a number
    again, whole, _ = KIND.scored(outputs[images], y[images])
    for measure in KIND.measures().values():
        torch.testing.assert_close(measure(p, t, w), measure(again, whole, torch.ones(1, 5).double()))


def test_what_is_stored_is_scored_alike():
    outputs, y = drawn()
    outputs, kept = outputs.float(), KIND.stored(outputs.float())
    assert kept.shape == (5, 8, 8)
    for one, other in zip(KIND.scored(outputs, y), KIND.scored(kept, y), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(KIND.stored(kept), kept)


def test_the_loss_is_hubers_over_the_pixels_that_have_a_number():
    outputs, y = drawn()
    outputs, y = 3 * outputs.requires_grad_(), 3 * y
    error = (outputs[..., 0] - y)[~y.isnan()].abs()
    by_hand = torch.where(error <= 1, error.square() / 2, error - 0.5).mean()
    torch.testing.assert_close(KIND.loss(outputs, y), by_hand, rtol=1e-12, atol=0)
    (slope,) = torch.autograd.grad(KIND.loss(outputs, y), outputs)
    assert not slope[..., 0][y.isnan()].any()
    assert slope.isfinite().all()
    torch.testing.assert_close(
        KIND.loss(outputs, y.nan_to_num(1), complete=True), KIND.loss(outputs, y.nan_to_num(1))
    )
    nothing = KIND.loss(outputs, torch.full_like(y, torch.nan))
    assert nothing.item() == 0


def test_no_constant_has_a_lower_mean_absolute_error():
    _, y = drawn()
    constant = KIND.constant(y)
    torch.testing.assert_close(constant[0].item(), np.nanmedian(y.numpy()))
    errors = [(y - (constant + by)).abs().nanmean() for by in (0, -0.05, 0.05)]
    assert errors[0] <= min(errors[1:])


def test_numbers_move_with_images_as_classes_do():
    g = torch.Generator().manual_seed(0)
    y = torch.randint(0, 9, (4, 8, 8), generator=g)
    scale, offset = torch.tensor([[-1.0, 0.7]] * 4), torch.tensor([[1.0, 0.2]] * 4)
    theirs = Segmentation(9, (8, 8)).moved(y, scale, offset)
    ours = KIND.moved(y.float(), scale, offset)
    assert (theirs < 0).any()
    assert torch.equal(ours.nan_to_num(-100).long(), theirs)


def test_maps_become_targets_and_maps_again():
    maps = list(scenes(3, 0).y.numpy())
    y = KIND.encode(maps)
    np.testing.assert_array_equal(KIND.decode(y.nan_to_num(0)[..., None]), np.nan_to_num(maps))
    assert kind_from_json(KIND.to_json()) == KIND
    assert KIND.describe() == "a number for each pixel (dense regression)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DenseRegression((0, 3)), "`size` of maps should be height and width, at least 1; found"),
        (lambda: DenseRegression((3, 3), within=0), "`within` should be above 0"),
        (lambda: KIND.check(torch.zeros(2, 8, 9)), r"maps of \(8, 8\) pixels; found \(8, 9\)"),
        (lambda: KIND.check(torch.zeros(2, 8, 8).long()), "float targets"),
        (lambda: KIND.check(torch.full((2, 8, 8), torch.inf)), "finite numbers, or NaN where missing"),
        (lambda: KIND.encode([np.zeros((2, 2))]), r"maps should be of \(8, 8\) pixels; found \[\(2, 2\)\]"),
        (lambda: problem(backbone="mlp", settings={}), "each pixel; found one answer per pixel"),
    ],
)
def test_what_is_wrong_with_maps(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_units_are_written_below_the_change_of_size():
    standard = Standard(torch.tensor([100.0]), torch.tensor([20.0]))
    head, z = KIND.head(3), torch.randn(2, 4, 4, 3)
    again = rescaled(head, standard)
    torch.testing.assert_close(again(z), 20 * head(z) + 100)
    kept = build(describe(again))
    kept.load_state_dict(again.state_dict())
    assert torch.equal(kept(z), again(z))


# Strategies.


APPLY = {
    "constant", "raw+pixels", "scratch", "source-only", "pooled", "probe", "finetune", "lp_ft", "gradual",
    "l2sp", "multitask",
}  # fmt: skip


def test_which_strategies_apply_and_why_others_do_not():
    posed = problem()
    why = {name: posed.applies(strategy, "depth") for name, strategy in STRATEGIES.items()}
    assert {name for name, reason in why.items() if not reason} == APPLY
    assert why["raw+ridge"] == why["raw+knn"] == "the target has an answer for each pixel"
    assert why["raw+threshold"] == why["features+logreg"] == "the target is no classification"


@pytest.mark.usefixtures("soon_settled")
@pytest.mark.parametrize("name", ["constant", "raw+pixels", "probe", "finetune", "multitask"])
def test_strategies_keep_their_contract_on_maps(name):
    check_strategy(STRATEGIES[name], problem())


def test_a_depth_that_is_a_brightness_is_read_from_each_pixel_and_the_floor_is_the_median():
    posed = problem()
    target = posed.target

    def error(name):
        net = STRATEGIES[name].learn(Trial(posed, dict(STRATEGIES[name].options[0]), 0)).net
        return evaluate(net, target)["mae"].value

    assert error("raw+pixels") < 0.1
    off = (target.test.y - np.nanmedian(target.train.y.numpy())).abs().nanmean().item()
    assert error("constant") == pytest.approx(off, rel=1e-4)


def test_maps_and_masks_are_compared_in_one_net_and_the_model_writes_maps(tmp_path):
    from PIL import Image

    for part, seed, count in (("train", 1, 20), ("new", 2, 4)):
        rows = scenes(count, seed)
        for place in ("images", "depths", "masks"):
            (tmp_path / part / place).mkdir(parents=True)
        for i in range(count):
            grey = (255 * rows.x[i, 0]).byte().numpy()
            Image.fromarray(grey).save(tmp_path / part / "images" / f"{i:02}.png")
            np.save(tmp_path / part / "depths" / f"{i:02}.npy", rows.y[i].numpy())
            Image.fromarray((grey > 127).astype(np.uint8)).save(tmp_path / part / "masks" / f"{i:02}.png")
    images, new = (tmp_path / part / "images" for part in ("train", "new"))
    targets = [
        hs.datasets.read(f"{kind}:{images}#{tmp_path / 'train' / place}")[0]
        for kind, place in (("maps", "depths"), ("masks", "masks"))
    ]
    posed = Problem(targets=targets, settings={"width": 4}, budget=TINY)
    ways = ["raw+pixels", "multitask:hard+sum"]
    result = hs.compare(posed, ways, seeds=1, out=tmp_path / "out", progress=False)
    told = result.to_dict()
    rows = {(row["target"], row["strategy"]): row for row in told["rows"]}
    assert {way for name, way in rows if name == "depths"} >= {"constant", "raw+pixels", *ways}
    assert rows["depths", "raw+pixels"]["mean"] < 1 < rows["depths", "constant"]["mean"]
    assert rows["masks", "multitask:hard+sum"]["mean"] > 0
    assert result.report(tmp_path / "report.html")
    model = hs.load(tmp_path / "out" / "model" / "depths")
    maps = model.predict(str(new))
    assert maps[0].shape == (8, 8)
    assert model.evaluate(f"maps:{new}#{tmp_path / 'new/depths'}")["mae"].n == 4
    assert model.answer(str(new)).to_csv().startswith("file,mean,lowest,highest\n")
    (tmp_path / "said").mkdir()
    words = ["predict", str(tmp_path / "out" / "model" / "depths"), str(new), "-o", str(tmp_path / "said")]
    assert main(words) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "said" / "00.npy"), maps[0])


def test_a_frozen_net_learns_a_head_for_maps():
    torch.manual_seed(0)
    posed = problem(budget=Budget(steps=200, pretrain=200, options=1))
    net = STRATEGIES["probe"].learn(Trial(posed, {"lr": 1e-2}, 0)).net
    assert isinstance(net.heads["depth"], nn.Module)
    floor = STRATEGIES["constant"].learn(Trial(posed, {}, 0)).net
    assert evaluate(net, posed.target)["mae"].value < evaluate(floor, posed.target)["mae"].value
