import json

import pytest
import torch

from headstart.tasks import Episode, Labelled, Lazy, Multiclass, Regression, Task, draw_episodes


def letters(rows=100, classes=5, name="letters"):
    y = torch.arange(rows) % classes
    names = [f"{name} {c}" for c in range(classes)]
    return Task(name, Multiclass(names), Labelled(torch.arange(float(rows))[:, None], y))


def test_rows_are_of_their_classes_and_none_occurs_twice():
    task = letters()
    for episode in draw_episodes(task, 20, ways=3, shots=2, queries=4, seed=1):
        support, query = episode.rows(task)
        assert support.y.tolist() == [0, 0, 1, 1, 2, 2]
        assert len(set(episode.classes)) == 3
        for part in (support, query):
            for x, y in zip(part.x[:, 0].int().tolist(), part.y.tolist(), strict=True):
                assert f"letters {x % 5}" == episode.classes[y]
        every = [r for group in (*episode.support, *episode.query) for r in group]
        assert len(set(every)) == len(every) == 18


def test_an_episode_depends_on_its_seed_and_number_alone():
    task = letters()
    state = torch.get_rng_state()
    few = draw_episodes(task, 3, ways=2, shots=1, queries=1, seed=5)
    many = draw_episodes(task, 8, ways=2, shots=1, queries=1, seed=5)
    assert many[:3] == few
    assert few != draw_episodes(task, 3, ways=2, shots=1, queries=1, seed=6)
    assert len({e.support for e in many}) > 4
    assert torch.equal(state, torch.get_rng_state())


def test_a_record_survives_json():
    (episode,) = draw_episodes(letters(), 1, ways=2, shots=1, queries=1, seed=5)
    assert Episode.from_json(json.loads(json.dumps(episode.to_json()))) == episode


def test_sizes_vary_and_support_is_imbalanced():
    drawn = draw_episodes(letters(), 60, ways=(2, 5), shots=(1, 8), queries=2, seed=0)
    assert {len(e.classes) for e in drawn} == {2, 3, 4, 5}
    assert {len(group) for e in drawn for group in e.support} == set(range(1, 9))
    assert any(len({len(group) for group in e.support}) > 1 for e in drawn)
    assert {len(group) for e in drawn for group in e.query} == {2}


def test_small_classes_give_what_they_have():
    y = torch.tensor([0] * 20 + [1] * 4)
    task = Task("a", Multiclass(2), Labelled(torch.zeros(24, 1), y))
    for e in draw_episodes(task, 10, ways=2, shots=(1, 10), queries=3, seed=0):
        assert dict(zip(e.classes, map(len, e.support), strict=True))[1] == 1


def test_numbers_and_several_tasks():
    tasks = [
        Task(f"sine {k}", Regression(), Labelled(torch.full((30, 1), float(k)), torch.randn(30, 1)))
        for k in range(4)
    ]
    drawn = draw_episodes(tasks, 20, shots=10, queries=5, seed=0)
    assert {e.task for e in drawn} == {t.name for t in tasks}
    for e in drawn:
        support, query = e.rows(tasks)
        assert (len(support), len(query), e.classes) == (10, 5, ())
        assert set(support.x.flatten().tolist()) == {float(e.task[-1])}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ways": 6}, "`ways` should be at most 5, the classes of 'letters'; found 6"),
        ({"ways": 1}, "`ways` should be at least 2, or a range"),
        ({"ways": (4, 3)}, r"`ways` should be .*; found \(4, 3\)"),
        ({"shots": 0}, "`shots` should be at least 1"),
        ({"shots": 18}, r'at most 20, the rows of class "letters 0" of .*; found 21; lower `shots`'),
        ({"queries": 0}, "`queries` should be a whole number of at least 1"),
        ({"count": 0}, "`count` should be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_drawn_is_named(settings, message):
    settings = {"count": 1, "ways": 2, "shots": 1, "queries": 3, "seed": 0} | settings
    with pytest.raises(ValueError, match=message):
        draw_episodes(letters(), **settings)


def test_other_tasks_and_datasets_are_refused():
    (episode,) = draw_episodes(letters(), 1, ways=2, shots=1, queries=1, seed=0)
    with pytest.raises(ValueError, match='task of the episode should be a known name; found "letters"'):
        episode.rows(letters(name="digits"))
    data = Lazy(torch.utils.data.TensorDataset(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])))
    with pytest.raises(TypeError, match="in tensors; found a dataset"):
        draw_episodes(Task("a", Multiclass(2), data), 1, ways=2, shots=1, queries=1, seed=0)
