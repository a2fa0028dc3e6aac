"""How settings are chosen, and that test rows have no part in it."""

import dataclasses
import json
import math

import pytest
import torch
from torch import nn

from headstart.comparison import Problem, choice, compare, learned
from headstart.comparison import problem as problems
from headstart.comparison.learned import outputs_of
from headstart.datasets import shots
from headstart.maths import random
from headstart.measure import information
from headstart.models import Net
from headstart.strategies import STRATEGIES, Budget, Starts
from headstart.strategies.recipes import sides
from headstart.strategies.recipes.align import joined
from headstart.strategies.recipes.sides import said_of_bare, said_of_source
from headstart.tasks import Binary, Inputs, Labelled, Multiclass, Regression, Task

from .problems import TINY, few_without_reuse, images, numbers, pictures, table

PROBE, DANN = STRATEGIES["probe"], STRATEGIES["dann"]


def with_target(problem, **changes):
    return dataclasses.replace(problem, target=dataclasses.replace(problem.target, **changes))


def by_validation():
    return with_target(table(), valid=numbers(6, 7))


def by_held_out_rows():
    return with_target(table(), train=numbers(24, 7))


def of_numbers(count):
    """A target that is a number, with so many rows."""
    x = numbers(count // 2, 1).x
    rows = Labelled(x, x.sum(1, keepdim=True))
    return lambda: with_target(table(), kind=Regression(1), train=rows, test=rows)


def of_yes_or_no():
    train, test = (Labelled(r.x, r.y.float()) for r in (numbers(8, 1), numbers(20, 2)))
    return with_target(table(), kind=Binary(), train=train, test=test)


# Which way.


@pytest.mark.parametrize(
    ("problem", "strategy", "count", "way"),
    [
        (by_validation, PROBE, None, choice.VALID),
        (by_validation, PROBE, 2, choice.VALID),
        (by_held_out_rows, PROBE, None, choice.HELD_OUT),
        (by_held_out_rows, PROBE, 20, choice.HELD_OUT),
        (by_held_out_rows, PROBE, 2, choice.PSEUDO),
        (table, PROBE, 2, choice.PSEUDO),
        (table, PROBE, 5, choice.PSEUDO),
        (table, PROBE, 6, choice.DEFAULTS),  # no source has 14 rows of every class
        (table, PROBE, None, choice.DEFAULTS),
        (of_yes_or_no, PROBE, 2, choice.PSEUDO),
        (of_numbers(40), PROBE, None, choice.HELD_OUT),
        (of_numbers(40), PROBE, 30, choice.HELD_OUT),
        (of_numbers(40), PROBE, 4, choice.DEFAULTS),
        (images, DANN, 2, choice.INFORMATION),
        (images, DANN, None, choice.INFORMATION),
    ],
)
def test_the_way_that_a_problem_allows(problem, strategy, count, way):
    assert choice.chosen_on(problem(), strategy, count) == way


def test_no_pseudo_targets_from_sources_of_few_classes():
    problem = table()
    few = Task("old", Multiclass(3), numbers(12, 3, classes=3))
    assert choice.chosen_on(dataclasses.replace(problem, sources=[few]), PROBE, 2) == choice.DEFAULTS
    assert choice.chosen_on(dataclasses.replace(problem, sources=[]), PROBE, 2) == choice.DEFAULTS


@pytest.mark.parametrize(
    ("problem", "strategy", "count"),
    [
        (by_validation, PROBE, 2),
        (by_held_out_rows, PROBE, None),
        (table, PROBE, 2),
        (images, PROBE, 2),
        (images, DANN, 2),
    ],
)
def test_options_are_scored_on_other_rows_than_the_test_rows(monkeypatch, problem, strategy, count):
    problem, scored = problem(), []

    def seen(starts, net, task, rows):
        scored.append(rows)
        return outputs_of(starts, net, task, rows)

    def behind(before, name, held):  # a net of the source, whose batch statistics are others
        scored.append(held)
        return said_of_source(before, name, held)

    for room in (problems, learned):
        monkeypatch.setattr(room, "outputs_of", seen)
    monkeypatch.setattr(sides, "said_of_source", behind)
    problem.judge(strategy, 0, count, 0, Starts())
    assert scored
    for rows in scored:
        assert as_rows(rows.x).isdisjoint(as_rows(problem.target.test.x))


# Pseudo-targets.


def as_rows(x):
    return {tuple(row.flatten().tolist()) for row in x}


def turned(x):
    return torch.cat([x.rot90(k, (2, 3)) for k in range(4)])


def of_pictures(**changes):
    target = images().target
    old = Task("old", Multiclass(list("pqrstuv")), pictures(7, 8, 5, first=3))
    return Problem(target, [old], settings={"width": 4}, budget=TINY, **changes)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rotations", [True, False])
def test_a_pseudo_target_shares_nothing_with_the_target_or_with_pretraining(seed, rotations):
    problem = of_pictures(rotations=rotations)
    posed = choice.pseudo(problem, seed)
    new, (rest,) = posed.target, posed.sources
    kept = {str(c).split(" ")[0] for c in new.kind.classes}
    assert kept.isdisjoint(rest.kind.classes)
    assert len(new.kind.classes) <= problem.target.kind.outputs
    assert len(rest.kind.classes) == 5

    rows = as_rows(new.train.x) | as_rows(new.test.x)
    assert as_rows(new.train.x).isdisjoint(as_rows(new.test.x))
    assert rows.isdisjoint(as_rows(turned(rest.train.x)))  # no turn of a row is pretrained on either
    for part in (problem.target.train, problem.target.test, problem.target.unlabelled):
        assert rows.isdisjoint(as_rows(turned(part.x)))
    source = problem.sources[0].train.x
    assert as_rows(rest.train.x) <= as_rows(source)
    assert rows <= as_rows(turned(source) if rotations else source)
    assert new.train.y.unique().tolist() == list(range(new.kind.outputs))
    assert new.valid is None
    assert new.unlabelled is None


def test_a_pseudo_target_for_yes_or_no_has_two_classes():
    big = Task("old", Multiclass(8), numbers(12, 3, classes=8))
    posed = choice.pseudo(dataclasses.replace(of_yes_or_no(), sources=[big]), 0)
    assert len(posed.target.kind.classes) == 2
    assert len(posed.sources[0].kind.classes) == 5
    value, _ = of_yes_or_no().judge(PROBE, 0, 2, 0, Starts())
    assert 0 <= value <= 1


def test_pseudo_targets_differ_by_seed_and_stay_the_same_for_one():
    problem = of_pictures()
    classes = [choice.pseudo(problem, seed).target.kind.classes for seed in range(6)]
    assert len(set(classes)) > 1
    one, two = (choice.pseudo(problem, 3).target for _ in range(2))
    assert torch.equal(one.train.x, two.train.x)
    assert torch.equal(one.train.y, two.train.y)


def test_the_largest_source_gives_the_pseudo_target_and_the_others_stay():
    problem = images()
    posed = choice.pseudo(problem, 0)
    assert posed.sources[1] is problem.sources[1]
    assert set(posed.target.kind.classes).isdisjoint(posed.sources[0].kind.classes)


def test_only_numbers_classes_anew():
    rows = Labelled(torch.arange(8.0)[:, None], torch.tensor([0, 1, 2, 3, 3, 2, -100, 0]))
    task = choice.only(Task("old", Multiclass(list("abcd")), rows), torch.tensor([3, 0]), "few")
    assert task.kind.classes == ("d", "a")
    assert task.train.x[:, 0].tolist() == [0, 3, 4, 7]
    assert task.train.y.tolist() == [1, 0, 0, 1]


# Held-out rows.


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [Multiclass(3), Binary()])
def test_held_out_rows_are_a_quarter_of_each_class(kind, seed):
    counts = [24, 40, 60][: kind.outputs if isinstance(kind, Multiclass) else 2]
    y = torch.cat([torch.full((n,), float(c)) for c, n in enumerate(counts)])
    y = y if isinstance(kind, Binary) else y.long()
    x = torch.arange(float(len(y)))[:, None]
    target = Task("new", kind, Labelled(x, y), test=Labelled(x, y))
    part, held = choice.hold_out(target, seed)
    kept = part.train
    assert sorted(torch.cat([kept.x, held.x])[:, 0].tolist()) == x[:, 0].tolist()
    for c, count in enumerate(counts):
        assert abs(int((held.y == c).sum()) - count / 4) <= 1
    for part in (kept, held):
        assert torch.equal(y[part.x[:, 0].long()], part.y)


def test_held_out_rows_have_labels():
    y = torch.arange(60) % 2
    y[::5] = -100
    rows = Labelled(torch.randn(60, 2, generator=torch.Generator().manual_seed(0)), y)
    part, held = choice.hold_out(with_target(table(), train=rows).target, 0)
    assert (held.y >= 0).all()
    assert len(held) + len(part.train) == 48


def test_cuts_are_nested_and_the_same_for_all():
    problem = of_pictures()
    rows = [as_rows(problem.cut(n, 5).target.train.x) for n in (1, 2, 4)]
    assert rows[0] < rows[1] < rows[2]
    assert [len(r) for r in rows] == [3, 6, 12]
    assert as_rows(problem.cut(2, 5).target.train.x) == rows[1]
    assert as_rows(problem.cut(2, 6).target.train.x) != rows[1]
    assert problem.cut(None, 5).target is problem.target


# Rows drawn at random.


def unequal(counts, **changes):
    """A target of yes or no with so many rows of each, and a source whose classes can stand in."""
    y = torch.cat([torch.full((n,), c) for c, n in enumerate(counts)])
    x = torch.randn(len(y), 2, generator=torch.Generator().manual_seed(5)) + 2.0 * y[:, None]
    target = Task("new", Multiclass(["no", "yes"]), Labelled(x, y), test=Labelled(x, y))
    source = Task("old", Multiclass(5), numbers(12, 3, classes=5))
    return Problem(target, [source], **{"settings": {"hidden": [6]}, "budget": TINY} | changes)


def test_random_cuts_are_as_many_rows_at_random_and_equal_ones_are_what_they_were():
    drawn, alike = unequal([380, 20], draw="random"), unequal([380, 20])
    rows = drawn.cut(10, 5).target.train
    assert len(rows) == len(alike.cut(10, 5).target.train) == 20
    assert 1 <= int((rows.y == 1).sum()) < 5
    assert torch.equal(drawn.cut(10, 5).target.train.x, rows.x)
    assert not torch.equal(drawn.cut(10, 6).target.train.x, rows.x)
    kept = shots(alike.target, 10, generator=random.generator("shots", 5)).train
    assert torch.equal(alike.cut(10, 5).target.train.x, kept.x)


def test_how_rows_are_drawn_is_told_apart_only_where_it_is_not_the_default():
    assert unequal([30, 30]).fingerprint() == unequal([30, 30], draw="equal").fingerprint()
    assert unequal([30, 30]).fingerprint() != unequal([30, 30], draw="random").fingerprint()
    with pytest.raises(
        ValueError, match='`draw` should be a known name; found "rndom"; did you mean "random"'
    ):
        unequal([30, 30], draw="rndom")


@pytest.mark.parametrize(
    ("counts", "count"), [([300, 100], 40), ([390, 10], 20), ([395, 5], 2), ([40, 24], 30)]
)
def test_hardly_a_random_draw_has_fewer_rows_of_a_class_than_was_told(counts, count):
    problem = unequal(counts, draw="random")
    least = choice.least(problem, problem.target, count)
    found = [choice.smallest(problem.cut(count, seed).target) for seed in range(40)]
    assert sum(n < least for n in found) <= 2
    assert max(1, sum(found) / 40 / 3) <= least <= min(found) + 3
    assert choice.least(unequal(counts), problem.target, min(count, *counts)) == min(count, *counts)


@pytest.mark.parametrize(
    ("counts", "count", "draw", "way", "spares"),
    [
        ([300, 100], 40, "equal", choice.HELD_OUT, True),
        ([300, 100], 40, "random", choice.DEFAULTS, True),  # 20 rows of the rare class on average
        ([300, 100], 80, "random", choice.HELD_OUT, True),
        ([390, 10], 5, "equal", choice.PSEUDO, True),
        ([390, 10], 5, "random", choice.PSEUDO, False),  # none or one, so one
        ([390, 10], None, "random", choice.DEFAULTS, True),
    ],
)
def test_the_way_of_choosing_minds_what_a_random_draw_holds(counts, count, draw, way, spares):
    problem = unequal(counts, draw=draw)
    assert choice.chosen_on(problem, PROBE, count) == way
    assert choice.can_spare(problem, count) == spares


@pytest.mark.parametrize("seed", range(3))
def test_a_pseudo_target_is_drawn_as_the_target_is(seed):
    problem = unequal([390, 10], draw="random")
    posed = choice.pseudo(problem, seed).cut(4, seed)
    assert len(posed.target.train) == 8
    assert set(posed.target.train.y.tolist()) == {0, 1}
    value, _ = problem.judge(PROBE, 0, 4, 0, Starts())
    assert 0 <= value <= 1


# The best option.


def test_the_highest_mean_is_chosen():
    assert choice.best([[(0.5, 0.0), (0.6, 0.0)], [(0.4, 0.0), (0.9, 0.0)], [(0.6, 0.0), (0.6, 0.0)]]) == 1


def test_the_first_of_equals_is_chosen():
    assert choice.best([[(0.5, 0.0)], [(0.5, 0.0)]]) == 0


def test_an_option_that_loses_the_source_is_refused():
    assert choice.best([[(0.1, 0.95)], [(0.9, 0.90)]]) == 0
    assert choice.best([[(0.1, 0.95)], [(0.9, 0.94)]]) == 1


def test_an_option_that_diverged_is_refused():
    assert choice.best([[(-math.inf, 0.0)], [(0.1, 0.0)]]) == 1
    assert choice.best([[(-math.inf, 0.0)], [(0.1, 0.9)]]) == 1
    assert choice.best([[(-math.inf, 0.0)], [(-math.inf, 0.0)]]) == 0


# Information in the unlabelled rows.


def informed(logits, kind=None):
    kind = kind or Multiclass(logits.shape[1])
    net = Net(nn.Identity(), {"new": nn.Identity()})
    none = Labelled(logits[:0], torch.zeros(0, dtype=torch.float if isinstance(kind, Binary) else torch.long))
    return information(said_of_bare(net, Task("new", kind, none, unlabelled=Inputs(logits))))


def test_information_is_high_for_sure_and_varied_predictions():
    sure = 20 * nn.functional.one_hot(torch.arange(30) % 3, 3).float()
    assert informed(sure) == pytest.approx(math.log(3), abs=1e-4)
    assert informed(0.1 * sure) < informed(0.2 * sure) < informed(sure)
    assert informed(torch.zeros(30, 3)) == pytest.approx(0, abs=1e-6)
    assert informed(sure[:1].repeat(30, 1)) == pytest.approx(0, abs=1e-4)  # sure, of one class only


def test_information_of_yes_or_no():
    yes = torch.tensor([20.0, -20.0]).repeat(10)[:, None]
    assert informed(yes, Binary()) == pytest.approx(math.log(2), abs=1e-4)
    assert informed(yes.abs(), Binary()) == pytest.approx(0, abs=1e-4)


def test_sources_are_joined_under_the_targets_name():
    problem = images()
    twin = problem.sources[1]
    task = joined(problem.target, [twin, dataclasses.replace(twin, name="again")])
    assert task.name == "new"
    assert task.unlabelled is problem.target.unlabelled
    assert len(task.train) == 2 * len(twin.train)


def test_the_source_keeps_rows_apart_to_guard_a_choice(monkeypatch):
    problem, seen = images(), []

    def spy(trial):
        seen.append(trial.problem)
        return DANN.run(trial)

    value, guard = problem.judge(dataclasses.replace(DANN, run=spy), 0, None, 0, Starts())
    (posed,) = seen
    twin = as_rows(problem.sources[1].train.x)
    assert as_rows(posed.sources[0].train.x) < twin
    assert len(posed.sources) == 1
    assert guard == 0  # its value sees by itself what was lost of the source
    assert math.isfinite(value)
    assert value <= math.log(3)
    guarded = dataclasses.replace(problem, validator="information")
    value, guard = guarded.judge(DANN, 0, None, 0, Starts())
    assert 0 < guard <= 1
    assert 0 <= value <= math.log(3)


# Never on test rows.


def poisoned(problem):
    """Put numbers that spoil everything they touch in place of the test rows."""
    test = problem.target.test
    return with_target(problem, test=Labelled(test.x.new_full(test.x.shape, math.nan), test.y.flip(0)))


@pytest.mark.parametrize(
    ("problem", "name", "count"),
    [
        (by_validation, "probe", None),
        (by_held_out_rows, "finetune", None),
        (table, "probe", 2),
        (of_pictures, "protonet", 1),
        (images, "mmd", None),
    ],
)
def test_options_are_judged_without_the_test_rows(problem, name, count):
    problem = problem()
    plain, without = (
        [p.judge(STRATEGIES[name], option, count, 0, Starts()) for option in (0, 1)]
        for p in (problem, poisoned(problem))
    )
    assert plain == without
    assert all(math.isfinite(value) for value, _ in plain)


@pytest.mark.parametrize(
    ("problem", "names", "shots"),
    [
        (by_held_out_rows, ["probe", "features+logreg"], [20]),  # each trial on its own rows
        (table, ["probe", "features+svm"], [2]),
        (images, ["source-only", "mmd"], None),
    ],
)
def test_choices_and_models_do_not_depend_on_the_test_labels(tmp_path, monkeypatch, problem, names, shots):
    few_without_reuse(monkeypatch, "constant", "raw+logreg", "scratch")
    plain = dataclasses.replace(problem(), shots=shots)
    test = plain.target.test
    other = with_target(plain, test=Labelled(test.x, test.y[torch.randperm(len(test))]))
    results = [compare(p, names, 2, out=tmp_path / str(k)) for k, p in enumerate((plain, other))]

    def files(pattern):
        return [{f.name: f.read_bytes() for f in (tmp_path / k).glob(pattern)} for k in ("0", "1")]

    one, two = (
        {name: {key: json.loads(text)[key] for key in ("settings", "score")} for name, text in side.items()}
        for side in files("settings/*.json")
    )
    assert one == two
    assert bool(one) == (shots != [20])
    one, two = files("models/*/model.safetensors")
    assert one == two
    chosen = [
        {f.name: json.loads(f.read_text())["settings"] for f in (tmp_path / k / "trials").iterdir()}
        for k in ("0", "1")
    ]
    assert chosen[0] == chosen[1]
    assert results[0].details["strategies"] == results[1].details["strategies"]


def test_an_option_that_diverges_within_a_trial_is_not_chosen(monkeypatch, tmp_path):
    def run(trial):
        if trial.settings["lr"] == PROBE.options[1]["lr"]:
            raise FloatingPointError("loss")
        return PROBE.run(trial)

    monkeypatch.setitem(STRATEGIES, "probe", dataclasses.replace(PROBE, run=run))
    problem = dataclasses.replace(by_held_out_rows(), shots=[20])
    result = compare(problem, ["probe"], 1, baseline="scratch", out=tmp_path / "out")
    trial = json.loads((tmp_path / "out/trials/probe-20-0.json").read_text())
    assert trial["settings"] == PROBE.options[0]
    assert result.rows[1]["mean"] is not None


def test_a_budget_of_one_option_has_the_stated_default(tmp_path):
    problem = dataclasses.replace(table(), shots=[2], budget=Budget(steps=2, pretrain=2, options=1))
    result = compare(problem, "probe", 1, baseline="scratch", out=tmp_path / "out")
    assert not list((tmp_path / "out/settings").iterdir())
    about = result.details["strategies"]["probe"]
    assert about["chosen_on"] == choice.DEFAULTS
    assert about["settings"] == {"2": PROBE.options[0]}
