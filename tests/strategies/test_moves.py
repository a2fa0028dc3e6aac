"""Images that are moved at random while nets learn."""

import dataclasses

import pytest
import torch

import headstart as hs
from headstart.comparison import Problem
from headstart.problems import load_problem
from headstart.strategies import STRATEGIES, Budget, Starts, Trial
from headstart.strategies.moves import Moved, colour, flip, moves
from headstart.tasks import Labelled, Multiclass, Task

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
