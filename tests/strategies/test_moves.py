"""Images that are moved at random while nets learn."""

import dataclasses
from functools import partial

import pytest
import torch

import headstart as hs
from headstart.comparison import Problem
from headstart.problems import load_problem
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial
from headstart.strategies.moves import (
    MOVES,
    Moved,
    MovedSides,
    TwoViews,
    colour,
    crop,
    flip,
    mixup,
    moves,
    shift,
)
from headstart.strategies.strong import erase, invert, tint, turn
from headstart.tasks import Labelled, Multiclass, Segmentation, Task, shifted

TINY = Budget(steps=4, pretrain=4, options=1)


def images(rows, seed):
    g = torch.Generator().manual_seed(seed)
    return Labelled(torch.rand(rows, 1, 16, 16, generator=g), torch.arange(rows) % 2)


def problem(**changes):
    target = Task("new", Multiclass(2), images(12, 0), test=images(8, 1))
    given = {"backbone": "conv4", "settings": {"width": 4}, "budget": TINY}
    return Problem(target, [Task("old", Multiclass(2), images(20, 2))], **given | changes)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def test_half_of_the_images_are_turned_and_no_other_thing_is_done():
    rows = images(200, 0)
    x = flip(rows, Multiclass(2), gen()).x
    turned = (x == rows.x.flip(3)).flatten(1).all(1)
    same = (x == rows.x).flatten(1).all(1)
    assert (turned ^ same).all()
    assert 70 < turned.sum() < 130


def test_colour_keeps_what_is_where():
    rows = images(50, 0)
    x = colour(rows, Multiclass(2), gen()).x
    for one, other in zip(rows.x, x, strict=True):
        apart = one - one.mean()
        slope = (other - other.mean()).flatten() @ apart.flatten() / apart.square().sum()
        assert 0.8 <= slope <= 1.2
        assert abs(other.mean() - one.mean()) <= 0.2 * one.std()
        torch.testing.assert_close(other - other.mean(), slope * apart)
    assert len(x.mean((1, 2, 3)).unique()) == 50
    assert torch.equal(rows.x, images(50, 0).x)  # what is given stays


def test_a_crop_is_a_part_of_seven_tenths_or_more_enlarged_to_the_whole():
    middle = (torch.arange(16) + 0.5) / 16
    ramp = torch.stack([middle.expand(16, 16), middle[:, None].expand(16, 16)])  # each pixel says where it is
    x = crop(Labelled(ramp.expand(40, 2, 16, 16), torch.zeros(40).long()), Multiclass(2), gen()).x
    for image in x:
        across, down = image[0, 8, 2:14], image[1, 2:14, 8]  # at the edges pixels have one neighbour only
        sides = [(line[-1] - line[0]).item() * 16 / 11 for line in (across, down)]
        assert sides[0] == pytest.approx(sides[1], abs=1e-5)
        assert 0.7 <= sides[0] <= 1
        corner = across[0] - sides[0] * middle[2]
        assert -1e-5 <= corner <= 1 - sides[0] + 1e-5
    assert len(x.flatten(1).unique(dim=0)) == 40


def test_labels_move_along_with_every_move_of_pixels():
    y = torch.randint(3, (30, 16, 16), generator=gen())
    kind = Segmentation(3, (16, 16))
    flat = y.repeat_interleave(8, 1).repeat_interleave(8, 2)  # so fine that interpolation mixes few
    large, fine = Segmentation(3, (128, 128)), Labelled(flat[:, None].float(), flat)
    for move, of, rows, least in (
        (flip, kind, Labelled(y[:, None].float(), y), 1.0),
        (partial(shift, 3), kind, Labelled(y[:, None].float(), y), 1.0),
        (crop, large, fine, 0.8),
    ):
        moved = move(rows, of, gen(1))
        there = moved.y >= 0
        assert (moved.x[:, 0].round() == moved.y)[there].double().mean() >= least
        assert there.double().mean() > 0.6
        assert not torch.equal(moved.y, rows.y)
        assert moved.y.dtype == torch.long


def test_mixup_lowers_the_same_expected_loss_as_both_labels_do():
    kind, x = Multiclass(2), torch.eye(2)[:, :, None, None].repeat(20_000, 1, 1, 1)
    y = torch.arange(2).repeat(20_000)
    head = torch.tensor([[1.5, -0.5], [-1.0, 0.7]], dtype=torch.float64)
    mixed = mixup(Labelled(x.double(), y), kind, gen())
    ours = kind.loss(mixed.x.flatten(1) @ head, mixed.y)
    one, other = (torch._standard_gamma(torch.full((40_000, 1), 0.2).double(), gen(s)) for s in (5, 6))
    share = one / (one + other)
    partner = torch.randperm(40_000, generator=gen(3))
    flat = x.double().flatten(1)
    said = (share * flat + (1 - share) * flat[partner]) @ head
    each = [torch.nn.functional.cross_entropy(said, of, reduction="none") for of in (y, y[partner])]
    theirs = (share[:, 0] * each[0] + (1 - share[:, 0]) * each[1]).mean()
    assert ours.item() == pytest.approx(theirs.item(), abs=0.02)
    assert abs(kind.loss(flat @ head, y) - theirs) > 0.05  # and it is another loss than without
    assert torch.equal(mixed.y, y)


def test_a_turn_is_about_the_middle_and_by_few_degrees():
    far = torch.linspace(-1, 1, 64)
    height = far[:, None].expand(64, 64)  # a slope: where it points says how far an image was turned
    x = turn(Labelled(height.expand(200, 1, 64, 64), torch.zeros(200).long()), Multiclass(2), gen()).x[:, 0]
    down = (x[:, 34, 32] - x[:, 30, 32]) / 4
    across = (x[:, 32, 34] - x[:, 32, 30]) / 4
    degrees = torch.atan2(across, down).rad2deg()
    assert 13 < degrees.abs().max() < 18.2  # what is stretched across by 1.1 and down by .9 is at 18.1
    size = (down**2 + across**2).sqrt() * 31.5  # of a slope of 1 over 31.5 pixels
    assert size.min() >= 0.9
    assert size.max() <= 1.1
    assert -3 < degrees.mean() < 3
    torch.testing.assert_close(x[:, 31:33, 31:33].mean((1, 2)), torch.zeros(200), atol=1e-5, rtol=0)


def test_tint_changes_each_channel_by_itself():
    g = torch.Generator().manual_seed(0)
    rows = Labelled(torch.rand(60, 3, 16, 16, generator=g), torch.zeros(60).long())
    x = tint(rows, Multiclass(2), gen()).x
    spread = rows.x.flatten(2).std(2)
    factor = x.flatten(2).std(2) / spread
    assert 0.5 <= factor.min() < 0.6
    assert 1.4 < factor.max() <= 1.5
    assert (factor.std(1) > 0.01).all()
    own = (rows.x - rows.x.mean((2, 3), keepdim=True)) * factor[:, :, None, None]
    torch.testing.assert_close(x - x.mean((2, 3), keepdim=True), own)


def test_inverted_images_are_mirrored_in_their_range_one_in_two():
    rows = images(200, 0)
    x = invert(rows, Multiclass(2), gen()).x
    same = (x == rows.x).flatten(1).all(1)
    assert 70 < same.sum() < 130
    low, high = (f(rows.x, (1, 2, 3), True) for f in (torch.amin, torch.amax))
    torch.testing.assert_close(x[~same], (low + high - rows.x)[~same])


def test_a_square_is_painted_in_the_mean_and_the_rest_stays():
    rows = images(100, 0)
    x = erase(rows, Multiclass(2), gen()).x
    for one, other in zip(rows.x[:, 0], x[:, 0], strict=True):
        down, across = torch.where(one != other)
        assert torch.equal(other[down, across], one.mean().expand(len(down)))
        sides = [int(axis.max() - axis.min()) + 1 for axis in (down, across)]
        assert max(sides) <= 5  # three tenths of 16
        assert len(down) == sides[0] * sides[1]


def test_two_views_are_the_rows_and_the_rows_changed_much():
    task = Task("t", Multiclass(2), images(20, 2), unlabelled=images(12, 0).inputs())
    made = [
        TwoViews(shifted(task, 8, generator=gen()), moves(["invert"], 16), generator=gen(1)) for _ in range(2)
    ]
    plain, batch = next(shifted(task, 8, generator=gen())), next(made[0])
    for side in ("source", "target"):
        x = getattr(batch, side).x
        was = getattr(plain, side).x
        assert torch.equal(x[:8], was)
        changed = (x[8:] != was).flatten(1).any(1)
        assert 0 < changed.sum() < 8
        torch.testing.assert_close(
            x[8:][changed], (was.amin((1, 2, 3), True) + was.amax((1, 2, 3), True) - was)[changed]
        )
    assert torch.equal(batch.source.y, torch.cat([plain.source.y] * 2))
    assert torch.equal(next(made[1]).target.x, batch.target.x)


def test_every_move_is_known_to_problem_files():
    for name in MOVES:
        (move,) = moves([name], 16)
        made = move(images(4, 0), Multiclass(2), gen())
        assert made.x.shape == (4, 1, 16, 16)
        assert torch.equal(made.y, images(4, 0).y)


def test_all_ways_that_train_on_rows_see_moved_ones_and_heads_on_features_do_not(monkeypatch):
    seen = []
    real = Moved._batch

    def batch(self):
        made = real(self)
        seen.append({rows.x.ndim for rows in made.values()})
        return made

    monkeypatch.setattr(Moved, "_batch", batch)
    posed = problem(augment=["flip", "colour"], shift=0)
    for name in ("scratch", "multitask", "finetune"):
        seen.clear()
        STRATEGIES[name].learn(Trial(posed, STRATEGIES[name].options[0], 0, Starts()))
        assert seen, name
        assert set.union(*seen) == {4}, name
    seen.clear()
    pretrained = Trial(posed, {"lr": 0.01}, 0, Starts())
    pretrained.pretrained()
    there = len(seen)
    STRATEGIES["probe"].learn(pretrained)
    assert len(seen) == there > 0  # pretraining alone


def test_ways_that_adapt_see_both_sides_moved(monkeypatch):
    seen = []
    real = MovedSides._batch

    def batch(self):
        made = real(self)
        seen.append((made.source.x.shape, made.target.x.shape))
        return made

    monkeypatch.setattr(MovedSides, "_batch", batch)
    bare = images(12, 0).inputs()
    target = Task(
        "new", Multiclass(2), images(1, 0).take(torch.arange(0)), unlabelled=bare, test=images(8, 1)
    )
    ways, states = STRATEGIES | FURTHER, {}
    for augment in ((), ("flip", "shift")):
        posed = Problem(
            target, [Task("old", Multiclass(2), images(20, 2))], backbone="conv4", settings={"width": 4},
            budget=TINY, augment=augment,
        )  # fmt: skip
        for name in ("source-only", "dann", "shot", "adda", "self-training"):
            seen.clear()
            net = ways[name].learn(Trial(posed, ways[name].options[0], 0, Starts())).net
            assert bool(seen) == bool(augment and name != "source-only"), name
            states[name, bool(augment)] = net.heads["new"].weight
    for name, moved in states:
        assert not moved or not torch.equal(states[name, True], states[name, False]), name


def test_both_sides_are_moved_anew_and_again_alike():
    task = Task(
        "t",
        Multiclass(2),
        dataclasses.replace(images(20, 2), group=torch.arange(20)),
        unlabelled=images(12, 0).inputs(),
    )
    made = [
        MovedSides(shifted(task, 20, generator=gen()), moves(["flip"], 16), task.kind, generator=gen(1))
        for _ in range(2)
    ]
    first, second = next(made[0]), next(made[0])
    assert not torch.equal(first.source.x, second.source.x)
    made[1].load_state_dict(
        {**made[0].state_dict(), "step": 1, "stream": {**made[0].stream.state_dict(), "step": 1}}
    )
    again = next(made[1])
    assert torch.equal(again.target.x, second.target.x)
    assert torch.equal(again.source.x, second.source.x)
    was = task.train.x[again.source.group]  # rows know where they came from
    turned = (again.source.x == was.flip(3)).flatten(1).all(1)
    assert (turned | (again.source.x == was).flatten(1).all(1)).all()
    assert 0 < turned.sum() < 20


def test_moved_rows_are_another_comparison():
    assert problem().fingerprint() != problem(augment=["flip"]).fingerprint()
    assert problem(augment=["flip"]).fingerprint() != problem(augment=["colour"]).fingerprint()
    again = dataclasses.replace(problem(), augment=["flip"])
    assert again.fingerprint() == problem(augment=["flip"]).fingerprint()


def test_a_problem_file_names_moves(tmp_path):
    (tmp_path / "p.toml").write_text(
        '[target]\ndata = "digits:5-9"\n[compare]\naugment = ["flip", "shift"]\n'
    )
    posed = load_problem(tmp_path / "p.toml").problem()
    assert posed.augment == ("flip", "shift")
    assert len(posed.moves) == 2
    assert posed.facts()["augment"] == ["flip", "shift"]


def test_what_is_asked_for_wrongly_is_told():
    with pytest.raises(ValueError, match='found "flop"'):
        problem(augment=["flop"])
    rows = Labelled(torch.zeros(4, 3), torch.arange(4) % 2)
    with pytest.raises(ValueError, match="`augment` should be left out, for rows that are no images"):
        hs.Problem(Task("new", Multiclass(2), rows, test=rows), augment=["flip"])
    assert moves([], 8) == []
    masks = Task("masks", Segmentation(2, (16, 16)), Labelled(images(4, 0).x, torch.zeros(4, 16, 16).long()))
    with pytest.raises(ValueError, match=r'without "mixup".*; found answers at places in task .masks.'):
        hs.Problem(Task("new", Multiclass(2), images(4, 0), test=images(4, 1)), [masks], augment=["mixup"])
