"""What holds for streams of any size, seed and sampling."""

import json
from itertools import islice

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.tasks import Inputs, Labelled, Multiclass, Shift, Task, batches, episodes, pairs, shifted

seeds = st.integers(0, 2**63 - 1)
sizes = st.integers(1, 9)
samplings = st.one_of(
    st.sampled_from(["equal", "proportional", "annealed", "alternate"]),
    st.floats(0, 1).map(lambda power: f"temperature:{power}"),
)
tables = st.lists(st.integers(1, 12), min_size=1, max_size=4)
class_sizes = st.lists(st.integers(2, 9), min_size=1, max_size=6)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def table(name, count):
    return Task(name, Multiclass(2), Labelled(torch.arange(count)[:, None], torch.arange(count) % 2))


def as_lists(step):
    if isinstance(step, Shift):
        return step.source.x.tolist(), step.source.y.tolist(), step.target.x.tolist()
    if isinstance(step, dict):
        return {name: (rows.x.tolist(), rows.y.tolist()) for name, rows in step.items()}
    return [side.tolist() for part in (step.support, step.query) for side in (part.x, part.y)]


def resumes(make, seed, step):
    """A stream that is stopped after ``step`` batches goes on elsewhere as if it had not been."""
    stream = make(seed)
    list(islice(stream, step))
    state = json.loads(json.dumps(stream.state_dict()))
    other = make(seed ^ 1)
    next(other)
    other.load_state_dict(state)
    expected = [as_lists(s) for s in islice(stream, 3)]
    assert [as_lists(s) for s in islice(other, 3)] == expected
    assert other.state_dict() == stream.state_dict()


@settings(max_examples=60, deadline=None)
@given(counts=tables, size=sizes, sampling=samplings, seed=seeds, step=st.integers(0, 20))
def test_batches_resume_at_any_step(counts, size, sampling, seed, step):
    tasks = [table(f"t{k}", n) for k, n in enumerate(counts)]
    resumes(lambda s: batches(tasks, size, sampling=sampling, steps=9, generator=seeded(s)), seed, step)


@settings(max_examples=30, deadline=None)
@given(source=st.integers(1, 9), target=st.integers(1, 9), size=sizes, seed=seeds, step=st.integers(0, 20))
def test_shifted_streams_resume_at_any_step(source, target, size, seed, step):
    train = table("a", source).train
    task = Task("a", Multiclass(2), train, unlabelled=Inputs(torch.arange(target)))
    resumes(lambda s: shifted(task, size, generator=seeded(s)), seed, step)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 12), size=sizes, seed=seeds, step=st.integers(0, 20))
def test_pairs_resume_at_any_step(rows, size, seed, step):
    resumes(lambda s: pairs(table("a", rows), size, generator=seeded(s)), seed, step)


@settings(max_examples=60, deadline=None)
@given(counts=tables, size=sizes, sampling=samplings, seed=seeds)
def test_every_row_comes_once_per_epoch(counts, size, sampling, seed):
    tasks = [table(f"t{k}", n) for k, n in enumerate(counts)]
    seen = {t.name: [] for t in tasks}
    for step in islice(batches(tasks, size, sampling=sampling, steps=9, generator=seeded(seed)), 30):
        assert set(step) <= set(seen)
        for name, rows in step.items():
            assert len(rows) > 0
            assert torch.equal(rows.y, rows.x[:, 0] % 2)
            seen[name] += rows.x[:, 0].tolist()
    for task, n in zip(tasks, counts, strict=True):
        order = seen[task.name]
        epochs = [order[i : i + n] for i in range(0, len(order), n)]
        assert all(sorted(e) == list(range(n)) for e in epochs if len(e) == n)
        assert all(len(set(e)) == len(e) for e in epochs)


@st.composite
def cuts(draw):
    """A task with classes of any sizes, and settings that it can serve."""
    counts = draw(class_sizes)
    y = torch.tensor([c for c, n in enumerate(counts) for _ in range(n)])
    y = y[torch.randperm(len(y), generator=seeded(draw(seeds)))]
    shots = draw(st.integers(1, min(counts) - 1))
    settings = {
        "ways": draw(st.integers(1, len(counts))),
        "shots": shots,
        "queries": draw(st.integers(1, min(counts) - shots)),
        "per_step": draw(st.integers(1, 4)),
    }
    return Task("a", Multiclass(7), Labelled(torch.arange(len(y)), y)), settings


@settings(max_examples=100, deadline=None)
@given(cut=cuts(), seed=seeds)
def test_labels_are_a_bijection_and_support_and_query_disjoint(cut, seed):
    task, sizes = cut
    for step in islice(episodes(task, **sizes, generator=seeded(seed)), 2):
        for t in range(len(step)):
            support, query = step.episode(t)
            mapped = {
                (int(new), int(task.train.y[row]))
                for part in (support, query)
                for new, row in zip(part.y, part.x, strict=True)
            }
            assert [new for new, _ in sorted(mapped)] == list(range(sizes["ways"]))
            assert len({old for _, old in mapped}) == sizes["ways"]
            used = support.x.tolist() + query.x.tolist()
            assert len(set(used)) == len(used)
            assert support.y.bincount().tolist() == [sizes["shots"]] * sizes["ways"]
            assert query.y.bincount().tolist() == [sizes["queries"]] * sizes["ways"]


@settings(max_examples=40, deadline=None)
@given(cut=cuts(), seed=seeds, step=st.integers(0, 20))
def test_episodes_resume_at_any_step(cut, seed, step):
    task, sizes = cut
    resumes(lambda s: episodes(task, **sizes, generator=seeded(s)), seed, step)


def test_an_epoch_that_ends_within_a_pool_of_like_lengths_is_whole():
    task = table("t", 9)  # pools of two: one holds rows of two epochs
    stream = batches([task], 1, generator=seeded(0))
    order = [int(next(stream)["t"].x[0, 0]) for _ in range(27)]
    assert all(sorted(order[i : i + 9]) == list(range(9)) for i in (0, 9, 18))
