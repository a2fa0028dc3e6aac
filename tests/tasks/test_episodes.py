import json
import math
from itertools import islice, pairwise

import pytest
import torch
from torch.utils.data import TensorDataset

from headstart.tasks import Binary, Episodes, Labelled, Multiclass, Regression, Task, episodes


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def letters(counts, name="letters", *, start=0):
    """A class of ``counts[c]`` rows for each ``c``; the only input is the number of the row."""
    y = torch.cat([torch.full((n,), c) for c, n in enumerate(counts)])
    order = torch.randperm(len(y), generator=seeded(9))
    names = [f"{name}-{c}" for c in range(len(counts))]
    return Task(name, Multiclass(names), Labelled(start + torch.arange(len(y))[:, None], y[order]))


def stream_of(tasks, *, seed=0, ways=3, shots=2, queries=3, per_step=4):
    return episodes(tasks, ways=ways, shots=shots, queries=queries, per_step=per_step, generator=seeded(seed))


def as_lists(step):
    return [side.tolist() for part in (step.support, step.query) for side in (part.x, part.y)]


def first(stream, count=5):
    return [as_lists(s) for s in islice(stream, count)]


EQUAL = letters([8] * 6)


def test_shapes_and_types():
    step = next(stream_of(EQUAL, ways=5, shots=1, queries=3, per_step=2))
    assert isinstance(step, Episodes)
    assert (len(step), step.ways) == (2, 5)
    assert step.support.x.shape == (2, 5, 1)
    assert step.query.x.shape == (2, 15, 1)
    assert step.support.y.tolist() == [[0, 1, 2, 3, 4]] * 2
    assert step.query.y.tolist() == [[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]] * 2
    assert step.query.y.dtype == torch.int64


def test_equal_seeds_give_equal_streams_and_others_differ():
    a, b, c = (first(stream_of(EQUAL, seed=s)) for s in (3, 3, 4))
    assert a == b
    assert a != c
    assert all(s != t for s, t in pairwise(a))


def test_one_number_is_drawn_and_the_global_state_rests():
    before, g, once = torch.get_rng_state(), seeded(), seeded()
    torch.randint(2**62, (1,), generator=once)
    first(episodes(EQUAL, ways=2, shots=1, queries=1, per_step=1, generator=g))
    assert torch.equal(g.get_state(), once.get_state())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_step_depends_on_the_seed_and_its_number_alone():
    stream = stream_of(EQUAL)
    expected, state = first(stream), stream.state_dict()
    assert json.loads(json.dumps(state)) == state
    for step in (4, 0, 2):
        stream.load_state_dict(state | {"step": step})
        assert as_lists(next(stream)) == expected[step]


def test_rows_are_uniform_within_classes_of_any_size():
    """Small classes are padded in the table; padding must never be drawn, nor a row more often."""
    counts = [4, 9, 30]
    task, taken = letters(counts), torch.zeros(43)
    for step in islice(stream_of(task, shots=1, queries=2, per_step=100), 100):
        for part in (step.support, step.query):
            taken += part.x.flatten().bincount(minlength=43)
    for c, n in enumerate(counts):
        rows, expected = taken[task.train.y == c], 10_000 * 3 / n
        spread = (3 / n * (1 - 3 / n) * 10_000) ** 0.5
        assert rows.sum() == 30_000
        assert (rows - expected).abs().max() < 5 * spread


def test_classes_are_uniform_and_in_any_order():
    task, taken = letters([3, 50, 4, 6]), torch.zeros(2, 4)
    for step in islice(stream_of(task, ways=2, shots=1, queries=1, per_step=100), 60):
        true = task.train.y[step.support.x.squeeze(2)]  # (T, ways)
        taken += torch.stack([true[:, w].bincount(minlength=4) for w in (0, 1)])
    assert (taken - 1500).abs().max() < 5 * (6000 * 0.25 * 0.75) ** 0.5


def test_support_and_query_are_drawn_alike():
    support = query = 0.0
    for step in islice(stream_of(EQUAL, ways=6, shots=2, queries=2, per_step=100), 20):
        support, query = support + step.support.x.double().mean(), query + step.query.x.double().mean()
    assert float(support - query) / 20 == pytest.approx(0, abs=0.7)


def test_all_rows_of_a_class_may_be_used():
    step = next(stream_of(letters([5, 5, 5]), shots=2, queries=3))
    rows = torch.cat([step.support.x, step.query.x], 1).squeeze(2)
    assert rows.sort(1).values.tolist() == [list(range(15))] * 4


def test_rows_without_a_label_are_not_drawn():
    task = letters([6, 6, 6])
    task.train.y[:4] = -100
    for step in islice(stream_of(task, shots=1, queries=1), 20):
        assert min(step.support.x.min(), step.query.x.min()) >= 4


def test_classes_without_rows_are_not_drawn():
    task = Task("gaps", Multiclass(9), Labelled(torch.arange(12)[:, None], torch.tensor([1, 5, 8]).repeat(4)))
    assert len(next(stream_of(task, ways=3, shots=2, queries=2))) == 4


def test_yes_and_no_are_two_classes():
    y = torch.tensor([0.0, 1.0, math.nan]).repeat(5)
    step = next(stream_of(Task("mail", Binary(), Labelled(torch.arange(15), y)), ways=2, shots=1, queries=2))
    assert step.support.y.tolist() == [[0, 1]] * 4
    for rows in (step.support.x, step.query.x):
        assert y[rows].isfinite().all()
        assert ((y[rows] == y[rows][:, :1]) == (torch.arange(rows.shape[1]) < rows.shape[1] // 2)).all()


def test_inputs_may_be_mappings():
    task = letters([5, 6, 7])
    x = task.train.x
    both = Task("text", task.kind, Labelled({"ids": x.expand(-1, 4), "mask": x > 3}, task.train.y))
    step, plain = next(stream_of(both)), next(stream_of(task))
    assert torch.equal(step.query.x["ids"][..., :1], plain.query.x)
    assert torch.equal(step.support.x["mask"], plain.support.x > 3)


# Many tasks


def test_an_episode_stays_within_one_task():
    tasks = [letters([4, 5, 6], f"t{k}", start=1000 * k) for k in range(7)]
    seen = []
    for step in islice(stream_of(tasks, shots=1, queries=2), 40):
        home = torch.cat([step.support.x, step.query.x], 1).squeeze(2) // 1000
        assert (home == home[:, :1]).all()
        seen += home[:, 0].tolist()
    counts = torch.tensor(seen).bincount(minlength=7)
    assert len(seen) == 160
    assert ((counts - 160 / 7) ** 2 / (160 / 7)).sum() < 22.5  # 99.9 % quantile, six degrees of freedom


def waves(count, rows=20):
    tasks = []
    for k in range(count):
        x = torch.linspace(0, 1, rows)[:, None] + k
        tasks.append(Task(f"wave{k}", Regression(), Labelled({"x": x, "t": 2 * x}, (5 * x[:, 0]).sin())))
    return tasks


def test_regression_tasks_give_rows_of_one_task():
    for step in islice(stream_of(waves(5), shots=3, queries=7, per_step=6), 10):
        assert step.ways == 0
        assert step.support.x["x"].shape == (6, 3, 1)
        assert step.query.y.shape == (6, 7)
        x = torch.cat([step.support.x["x"], step.query.x["x"]], 1).squeeze(2)
        y = torch.cat([step.support.y, step.query.y], 1)
        torch.testing.assert_close(y, (5 * x).sin())
        assert all(len(row.unique()) == 10 for row in x)
        assert (x.max(1).values - x.min(1).values <= 1).all()
        assert torch.equal(step.query.x["t"], 2 * step.query.x["x"])


# Errors

FEW = letters([3, 9, 9])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: stream_of(FEW, ways=4), "`ways` should be at most 3, the classes of 'letters'; found 4"),
        (
            lambda: stream_of(FEW),
            r'`shots \+ queries` should be at most 3, the rows of the smallest class \("letters-0"\); '
            "found 5; lower `queries` or drop the small classes",
        ),
        (
            lambda: stream_of(waves(2), queries=19),
            r"`shots \+ queries` .* at most 20, the rows of wave0; found 21",
        ),
        (lambda: stream_of(EQUAL, shots=0), "`shots` should be a whole number of at least 1; found 0"),
        (lambda: stream_of(EQUAL, queries=0), "`queries` should be a whole number of at least 1; found 0"),
        (
            lambda: stream_of(EQUAL, per_step=-1),
            "`per_step` should be a whole number of at least 1; found -1",
        ),
        (lambda: stream_of(EQUAL, ways=0), "`ways` should be a whole number of at least 1; found 0"),
        (lambda: stream_of([]), r"`tasks` should be at least one task, with distinct names; found \[\]"),
        (lambda: stream_of([EQUAL, EQUAL]), "distinct names; found"),
        (
            lambda: stream_of([EQUAL, *waves(1)]),
            r"`tasks` should be all with classes, or none; found \['Multiclass', 'Regression'\]",
        ),
        (
            lambda: stream_of(Task("a", Multiclass(2), Labelled(torch.zeros(1), torch.tensor([-100])))),
            "training rows of task 'a' should be at least one with a label; found none",
        ),
    ],
)
def test_what_is_wrong_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_datasets_cannot_be_cut():
    data = TensorDataset(torch.zeros(4, 1), torch.zeros(4).long())
    with pytest.raises(TypeError, match="training rows of task 'a' should be in tensors; found a dataset"):
        stream_of(Task("a", Multiclass(2), data))
