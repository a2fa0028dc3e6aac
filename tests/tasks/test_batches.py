import json
import math
import multiprocessing
import random
from itertools import islice

import numpy
import pytest
import torch
from torch.utils.data import Dataset

from headstart.tasks import (
    Binary,
    Inputs,
    Labelled,
    Multiclass,
    Multilabel,
    Regression,
    Shift,
    Task,
    batches,
    shifted,
)

SAMPLINGS = ["equal", "proportional", "temperature:0.5", "annealed", "alternate"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def table(name, count, *, start=0):
    """A task whose only input is the number of the row."""
    x = torch.arange(start, start + count)[:, None]
    return Task(name, Multiclass(2), Labelled(x, torch.arange(count) % 2))


def stream_of(tasks, size=4, *, seed=0, sampling="equal", steps=10, **settings):
    return batches(tasks, size, sampling=sampling, steps=steps, generator=seeded(seed), **settings)


def as_lists(step):
    """A step as plain numbers, for comparison."""
    if isinstance(step, Shift):
        return step.source.x.tolist(), step.source.y.tolist(), step.target.x.tolist()
    return {name: (rows.x.tolist(), rows.y.tolist()) for name, rows in step.items()}


def first(stream, count=10):
    return [as_lists(s) for s in islice(stream, count)]


THREE = [table("a", 5), table("b", 17), table("c", 40)]


class Squares(Dataset):
    """Map-style rows without tensors of their own."""

    def __init__(self, count=11):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return torch.tensor([float(i)]), torch.tensor(float(i * i))


# Randomness


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_equal_seeds_give_equal_streams_and_others_differ(sampling):
    a, b, c = (first(stream_of(THREE, seed=s, sampling=sampling)) for s in (3, 3, 4))
    assert a == b
    assert a != c


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_one_number_is_drawn_and_the_global_state_rests(sampling):
    before, g, once = torch.get_rng_state(), seeded(), seeded()
    torch.randint(2**62, (1,), generator=once)
    first(batches(THREE, 4, sampling=sampling, steps=10, generator=g))
    assert torch.equal(g.get_state(), once.get_state())
    assert torch.equal(torch.get_rng_state(), before)


def test_two_streams_from_one_generator_differ():
    g = seeded()
    assert first(batches(THREE, 4, generator=g)) != first(batches(THREE, 4, generator=g))


def test_a_stream_is_its_own_iterator():
    stream = stream_of(THREE)
    assert iter(stream) is stream


# Epochs


@pytest.mark.parametrize("size", [1, 3, 4, 7, 20])
def test_every_epoch_is_a_new_permutation(size):
    stream, seen = stream_of([table("a", 7)], size), []
    while len(seen) < 21:
        seen += next(stream)["a"].x[:, 0].tolist()
    epochs = [seen[i : i + 7] for i in (0, 7, 14)]
    assert [sorted(e) for e in epochs] == [list(range(7))] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_batch_that_crosses_an_epoch_is_full():
    sizes = [len(s["a"]) for s in islice(stream_of([table("a", 7)], 4), 6)]
    assert sizes == [4] * 6


def test_a_task_with_fewer_rows_gives_all_it_has():
    step = next(stream_of(THREE, 20))
    assert {name: len(rows) for name, rows in step.items()} == {"a": 5, "b": 17, "c": 20}


def test_rows_without_a_label_are_not_drawn():
    y = torch.tensor([0, -100, 1, -100, 0])
    stream = stream_of([Task("a", Multiclass(2), Labelled(torch.arange(5)[:, None], y))], 3)
    assert {int(v) for s in islice(stream, 5) for v in s["a"].x} == {0, 2, 4}


def test_batches_tell_whether_anything_is_missing_in_their_rows():
    x, whole = torch.arange(6.0)[:, None], torch.arange(6) % 2
    holed, halved = torch.where(whole == 0, -100, whole), torch.tensor([[0.0, math.nan]] * 6)
    tasks = [
        Task("whole", Multiclass(2), Labelled(x, whole)),
        Task("column", Multiclass(2), Labelled(x, holed)),
        Task("drawn", Multiclass(2), Labelled(x.clone(), holed)),  # rows without a label are not drawn
        Task("cells", Multilabel(2), Labelled(x.clone(), halved)),
        Task("gap", Multiclass(2), Labelled(torch.where(x == 3, math.nan, x), whole)),
        Task("dataset", Regression(), Squares()),
    ]
    complete = {name: rows.complete for name, rows in next(stream_of(tasks)).items()}
    assert [name for name, whole in complete.items() if whole] == ["whole", "drawn"]


def test_targets_stay_with_their_rows():
    x = torch.randn(30, 2, generator=seeded())
    task = Task("a", Regression(), Labelled({"x": x, "twice": 2 * x}, x.sum(1)))
    for step in islice(stream_of([task], 8), 9):
        rows = step["a"]
        assert torch.equal(rows.x["x"].sum(1), rows.y)
        assert torch.equal(rows.x["twice"], 2 * rows.x["x"])


# Sampling


def shares(sampling, count=2000, size=6, **settings):
    tasks = [table("a", 40), table("b", 160), table("c", 640)]
    taken = torch.zeros(3)
    stream = stream_of(tasks, size, sampling=sampling, **settings)
    for step in islice(stream, count):
        taken += torch.tensor([len(step[n]) if n in step else 0 for n in "abc"])
    return taken


def chi_square(taken, expected):
    expected = torch.tensor(expected) / sum(expected) * taken.sum()
    return float(((taken - expected) ** 2 / expected).sum())


def test_equal_gives_as_many_rows_of_every_task():
    assert shares("equal", count=10).tolist() == [60, 60, 60]


@pytest.mark.parametrize(
    ("sampling", "odds"),
    [
        ("proportional", [1.0, 4.0, 16.0]),
        ("temperature:1", [1.0, 4.0, 16.0]),
        ("temperature:0.5", [1.0, 2.0, 4.0]),
        ("temperature:0", [1.0, 1.0, 1.0]),
    ],
)
def test_shares_follow_the_power_of_the_sizes(sampling, odds):
    taken = shares(sampling)
    assert taken.sum() == 2000 * 6 * 3
    assert chi_square(taken, odds) < 13.8  # 99.9 % quantile with two degrees of freedom


def test_annealing_goes_from_proportional_to_a_fifth():
    tasks = [table("a", 40), table("b", 160), table("c", 640)]
    stream, ends = stream_of(tasks, 6, sampling="annealed", steps=3), torch.zeros(2, 3)
    for _ in range(1500):
        for row, step in ((0, 0), (1, 2)):
            stream.load_state_dict(stream.state_dict() | {"step": step, "seed": int(ends.sum())})
            batch = next(stream)
            ends[row] += torch.tensor([len(batch[n]) if n in batch else 0 for n in "abc"])
    assert chi_square(ends[0], [1.0, 4.0, 16.0]) < 13.8
    assert chi_square(ends[1], [1.0, 4.0**0.2, 16.0**0.2]) < 13.8


def test_after_annealing_the_odds_stay():
    assert chi_square(shares("annealed", steps=2), [1.0, 4.0**0.2, 16.0**0.2]) < 13.8


def test_alternate_gives_one_task_at_a_time_in_turn():
    given = [list(s) for s in islice(stream_of(THREE, sampling="alternate"), 7)]
    assert given == [["a"], ["b"], ["c"], ["a"], ["b"], ["c"], ["a"]]


def test_a_task_that_gives_no_row_is_absent():
    tasks = [table("small", 2), table("large", 2000)]
    given = [set(s) for s in islice(stream_of(tasks, 4, sampling="proportional"), 30)]
    assert {"large"} in given
    assert all(given)


# Several tasks on one table


def test_tasks_on_one_table_are_drawn_together_with_their_holes():
    x = torch.arange(9.0)[:, None]
    known = torch.where(torch.arange(9) % 3 == 0, math.nan, torch.arange(9.0) % 2)
    income = Task("income", Binary(), Labelled(x, known))
    married = Task(
        "married", Multiclass(9), Labelled(x, torch.where(torch.arange(9) == 4, -100, torch.arange(9)))
    )
    alone = Task("alone", Binary(), Labelled(x.clone(), known))
    seen = []
    for step in islice(stream_of([income, married, alone], 3), 3):
        assert step["income"].x is step["married"].x
        rows = step["income"].x[:, 0].long()
        seen += rows.tolist()
        torch.testing.assert_close(step["income"].y, known[rows], equal_nan=True)
        assert torch.equal(step["married"].y, married.train.y[rows])
        assert step["alone"].y.isfinite().all()
    assert sorted(seen) == list(range(9))


def test_rows_of_a_table_that_no_task_labels_are_not_drawn():
    x, y = torch.arange(4)[:, None], torch.tensor([0, 1, -100, -100])
    tasks = [Task(n, Multiclass(2), Labelled(x, v)) for n, v in (("a", y), ("b", y.roll(1)))]
    assert {int(v) for s in islice(stream_of(tasks, 2), 6) for v in s["a"].x} == {0, 1, 2}


@pytest.mark.parametrize("sampling", ["alternate", "proportional"])
def test_a_table_is_shared_out_as_one(sampling):
    x = torch.arange(50)[:, None]
    tasks = [Task(n, Multiclass(2), Labelled(x, torch.arange(50) % 2)) for n in "ab"]
    for step in islice(stream_of(tasks, 4, sampling=sampling), 4):
        assert {n: len(rows) for n, rows in step.items()} == {"a": 4, "b": 4}


# Datasets


def test_a_dataset_gives_the_same_rows_as_its_tensors():
    x = torch.arange(11.0)[:, None]
    tensors = Task("a", Regression(), Labelled(x, x[:, 0] ** 2))
    assert first(stream_of([Task("a", Regression(), Squares())])) == first(stream_of([tensors]))


def test_two_tasks_on_one_dataset_both_give_rows():
    data = Squares()
    step = next(stream_of([Task("a", Regression(), data), Task("b", Regression(), data)]))
    assert {n: len(rows) for n, rows in step.items()} == {"a": 4, "b": 4}


def test_workers_give_the_same_rows_and_resume_in_the_middle():
    task = Task("a", Regression(), Squares())
    alone, helped = stream_of([task]), stream_of([task], workers=2)
    before = torch.get_rng_state()
    expected = first(alone, 8)
    assert first(helped, 3) == expected[:3]
    state = json.loads(json.dumps(helped.state_dict()))
    assert first(helped, 2) == expected[3:5]
    helped.load_state_dict(state)  # back to the third step, though rows beyond are under way
    assert first(helped, 5) == expected[3:]
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_go_with_their_stream():
    stream = stream_of([Task("a", Regression(), Squares())], workers=1)
    before = set(multiprocessing.active_children())
    next(stream)
    (worker,) = set(multiprocessing.active_children()) - before
    del stream
    assert not worker.is_alive()


def test_workers_may_give_batches_of_varying_size():
    tasks = [Task("a", Regression(), Squares(4)), Task("b", Regression(), Squares(9))]
    alone, helped = (stream_of(tasks, 2, sampling="proportional", workers=w) for w in (0, 1))
    assert first(helped, 3) == first(alone, 3)


# Source and target


def photos(unlabelled, rows=7):
    train = Labelled(torch.arange(rows)[:, None], torch.arange(rows) % 2)
    return Task("photos", Multiclass(2), train, unlabelled=unlabelled)


TARGET = Inputs(torch.arange(100, 105)[:, None])


def test_both_sides_are_covered_and_the_target_has_no_labels():
    stream, source, target = shifted(photos(TARGET), 3, generator=seeded()), [], []
    for step in islice(stream, 35):
        assert isinstance(step.target, Inputs)
        assert torch.equal(step.source.y, step.source.x[:, 0] % 2)
        source, target = source + step.source.x[:, 0].tolist(), target + step.target.x[:, 0].tolist()
    assert all(sorted(source[i : i + 7]) == list(range(7)) for i in range(0, 105, 7))
    assert all(sorted(target[i : i + 5]) == list(range(100, 105)) for i in range(0, 105, 5))


def test_each_side_gives_at_most_all_its_rows():
    step = next(shifted(photos(TARGET), 6, generator=seeded()))
    assert (len(step.source), len(step.target)) == (6, 5)


@pytest.mark.parametrize("target", [Squares(), Labelled(torch.zeros(4, 1), torch.zeros(4))])
def test_labels_of_a_target_are_left_behind(target):
    assert type(next(shifted(photos(target), 3, generator=seeded())).target) is Inputs


def test_shifted_streams_are_seeded_and_resume():
    a, b, c = (shifted(photos(TARGET), 3, generator=seeded(s)) for s in (0, 0, 1))
    expected = first(a)
    assert first(b, 4) == expected[:4]
    c.load_state_dict(json.loads(json.dumps(b.state_dict())))
    assert first(c, 6) == first(b, 6) == expected[4:]


def test_shifted_datasets_load_in_workers():
    task = Task("a", Regression(), Squares(), unlabelled=Squares(6))
    alone, helped = (shifted(task, 4, workers=w, generator=seeded()) for w in (0, 1))
    assert first(helped, 3) == first(alone, 3)


# Errors

UNKNOWN = Labelled(torch.zeros(2, 1), torch.tensor([-100, -100]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: stream_of(THREE, 0), "`size` should be a whole number of at least 1; found 0"),
        (lambda: stream_of(THREE, 1.5), "`size` should be a whole number of at least 1; found 1.5"),
        (lambda: stream_of(THREE, True), "`size` should be a whole number of at least 1; found True"),
        (lambda: stream_of([]), r"`tasks` should be at least one task, with distinct names; found \[\]"),
        (lambda: stream_of([THREE[0]] * 2), r"distinct names; found \['a', 'a'\]"),
        (
            lambda: stream_of(THREE, sampling="porportional"),
            '`sampling` should be a known name; found "porportional"; did you mean "proportional"',
        ),
        (lambda: stream_of(THREE, sampling="temperature"), r'"temperature:P" with P in \[0, 1\]; found'),
        (lambda: stream_of(THREE, sampling="temperature:2"), r'P in \[0, 1\]; found "temperature:2"'),
        (lambda: stream_of(THREE, sampling="temperature:nan"), r'P in \[0, 1\]; found "temperature:nan"'),
        (lambda: stream_of(THREE, sampling="annealed", steps=None), "`steps` should be given with"),
        (lambda: stream_of(THREE, sampling="annealed", steps=0), "`steps` should be a whole number"),
        (
            lambda: stream_of([Task("a", Multiclass(2), UNKNOWN)]),
            "training rows of task 'a' should be at least one with a label; found none",
        ),
        (
            lambda: shifted(photos(None), 2, generator=seeded()),
            r"`unlabelled` of task 'photos' should be rows from .*; found None; pass Task\(",
        ),
        (lambda: shifted(photos(TARGET.take(torch.arange(0))), 2, generator=seeded()), "found no row; pass"),
        (lambda: shifted(photos(TARGET), 0, generator=seeded()), "`size` should be a whole number"),
    ],
)
def test_what_is_wrong_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()


class Noisy(Dataset):
    """Draw at random, from each of the states that datasets draw from."""

    def __len__(self):
        return 24

    def __getitem__(self, index):
        numpys, pythons = numpy.random.rand(), random.random()  # noqa: NPY002
        return torch.tensor([float(index), torch.rand(()), numpys, pythons]), index % 2


def drawn(seed, workers, steps, state=None, **how):
    tasks = [Task(name, Multiclass(2), Noisy()) for name in "ab"]
    stream = batches(tasks, 6, workers=workers, generator=torch.Generator().manual_seed(seed), **how)
    if state is not None:
        stream.load_state_dict(state)
    seen = [next(stream) for _ in range(steps)]
    return [{name: part.x for name, part in batch.items()} for batch in seen], stream.state_dict()


def alike(some, others):
    return all(
        one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)
        for one, other in zip(some, others, strict=True)
    )


@pytest.mark.parametrize("sampling", ["equal", "proportional"])
def test_what_a_dataset_draws_depends_on_seed_and_step_alone(sampling):
    before = torch.get_rng_state(), random.getstate()
    first, _ = drawn(0, 0, 5, sampling=sampling)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    torch.manual_seed(7)
    assert alike(first, drawn(0, 0, 5, sampling=sampling)[0])
    assert alike(first, drawn(0, 2, 5, sampling=sampling)[0])
    assert not alike(first[:1], drawn(1, 0, 1, sampling=sampling)[0])
    noise = torch.cat([part for batch in first for part in batch.values()])[:, 1:]
    assert len(noise.unique()) == noise.numel()
    _, state = drawn(0, 0, 2, sampling=sampling)
    assert alike(first[2:], drawn(0, 1, 3, state, sampling=sampling)[0])


# Texts of like length.


def texts(count):
    """Draw texts of 1 to 40 tokens; the label is the text's number."""
    long = torch.randint(1, 41, (count, 1), generator=torch.Generator().manual_seed(5))
    x = (torch.arange(40) < long) * 7
    return Task("texts", Multiclass(count), Labelled(x, torch.arange(count)))


def test_a_batch_has_texts_of_like_length_and_an_epoch_every_text_once():
    stream = batches([texts(320)], 10, generator=torch.Generator().manual_seed(1))
    parts = [next(stream)["texts"] for _ in range(32)]
    assert torch.cat([part.y for part in parts]).sort().values.tolist() == list(range(320))
    spread = [int((part.x != 0).sum(1).float().std()) for part in parts]
    assert max(spread) <= 4  # of 40 lengths: 11.5 where they come as they are
    middle = torch.tensor([(part.x != 0).sum(1).float().mean() for part in parts[:8]])
    assert not torch.equal(middle, middle.sort().values)


def test_texts_of_few_batches_come_in_any_length():
    stream = batches([texts(70)], 10, generator=torch.Generator().manual_seed(1))
    parts = [next(stream)["texts"] for _ in range(7)]
    assert torch.cat([part.y for part in parts]).sort().values.tolist() == list(range(70))
    assert max(float((part.x != 0).sum(1).float().std()) for part in parts) > 8


def test_a_stream_of_texts_goes_on_where_it_was():
    stream, again = (batches([texts(320)], 10, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    for _ in range(5):
        next(stream)
    again.load_state_dict(stream.state_dict())
    assert torch.equal(next(stream)["texts"].y, next(again)["texts"].y)


@pytest.mark.parametrize("sampling", ["temperature:0.5", "alternate"])
def test_what_workers_draw_depends_on_seed_and_step_under_every_sampling(sampling):
    alone, _ = drawn(3, 0, 3, sampling=sampling)
    assert alike(alone, drawn(3, 1, 3, sampling=sampling)[0])
    assert not alike(alone[:1], drawn(4, 1, 1, sampling=sampling)[0])
    _, state = drawn(3, 1, 2, sampling=sampling)
    assert alike(alone[2:], drawn(3, 1, 1, state, sampling=sampling)[0])


def test_what_both_sides_draw_in_workers_depends_on_seed_and_step_alone():
    task = Task("a", Multiclass(2), Noisy(), unlabelled=Noisy())

    def sides(seed, workers, steps, state=None):
        stream = shifted(task, 4, workers=workers, generator=seeded(seed))
        if state is not None:
            stream.load_state_dict(state)
        seen = [next(stream) for _ in range(steps)]
        return [{"source": s.source.x, "target": s.target.x} for s in seen], stream.state_dict()

    alone, _ = sides(0, 0, 4)
    noise = torch.cat([part for step in alone for part in step.values()])[:, 1:]
    assert len(noise.unique()) == noise.numel()
    _, state = sides(0, 1, 2)
    assert alike(alone[2:], sides(0, 1, 2, state)[0])
    assert not alike(alone[:1], sides(1, 1, 1)[0])


def test_a_row_is_drawn_anew_in_every_epoch():
    stream = batches([Task("a", Multiclass(2), Noisy())], 24, generator=seeded())
    epochs = [next(stream)["a"].x for _ in range(3)]
    noise = torch.stack([x[x[:, 0].argsort(), 1:] for x in epochs])
    assert all(not torch.equal(noise[i], noise[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_classes_come_alike_often_where_that_is_asked_for():
    """Of a rare class every row comes, as often as the others or once more; of numbers each row once."""
    y = torch.tensor([0] * 10 + [1] * 3 + [-100] + [2] * 5)
    task = Task("t", Multiclass(3), Labelled(torch.arange(19)[:, None], y))
    drawn = torch.cat(
        [b["t"].x for b in islice(stream_of([task], 6, balanced=["t"]), 5)]
    ).flatten()  # an epoch
    assert y[drawn].bincount().tolist() == [10, 10, 10]
    times = drawn.bincount(minlength=19)
    assert times[:10].tolist() == [1] * 10
    assert sorted(times[10:13].tolist()) == [3, 3, 4]
    assert times[13] == 0  # without a label
    assert times[14:].tolist() == [2] * 5
    plain = torch.cat([b["t"].x for b in islice(stream_of([task], 6, balanced=["other"]), 3)]).flatten()
    assert plain.unique().numel() == 18
    numbers = Task("n", Regression(), Labelled(torch.arange(4)[:, None], torch.arange(4.0)))
    assert next(stream_of([numbers], 4, balanced=["n"]))["n"].x.unique().numel() == 4


def test_classes_of_shared_rows_cannot_come_alike_often():
    rows = torch.zeros(4, 1)
    both = [Task(name, Multiclass(2), Labelled(rows, torch.arange(4) % 2)) for name in "ab"]
    with pytest.raises(ValueError, match="rows of its own, in tensors; found the rows of 'a'"):
        stream_of(both, balanced=["b"])
