import pytest
import torch

from headstart.tasks import Labelled, Multiclass, Regression, Task, pairs


def posed(y):
    return Task("a", Multiclass(9), Labelled(torch.arange(len(y))[:, None], torch.tensor(y)))


def drawn(task, classes, steps, seed=0):
    stream = pairs(task, classes, generator=torch.Generator().manual_seed(seed))
    return [next(stream)["a"] for _ in range(steps)]


def test_a_batch_has_two_different_rows_of_each_of_its_classes():
    y = [0, 1, 2, 0, 1, 2, 0, 3, 3, -100]
    for rows in drawn(posed(y), 3, 20):
        assert sorted(rows.y.bincount().tolist())[-3:] == [2, 2, 2]
        assert len(rows) == 6
        assert len(rows.x.unique()) == 6
        assert torch.equal(torch.tensor(y)[rows.x[:, 0]], rows.y)


def test_a_class_of_one_row_gives_it_twice_and_few_classes_are_all_there():
    rows = drawn(posed([4, 7, 7]), 5, 1)[0]
    assert rows.y.sort().values.tolist() == [4, 4, 7, 7]
    assert rows.x[rows.y == 4].flatten().tolist() == [0, 0]


def test_all_rows_come_in_time():
    seen = torch.cat([rows.x[:, 0] for rows in drawn(posed([0] * 6 + [1] * 3), 1, 60)])
    assert seen.unique().tolist() == list(range(9))


def test_what_has_no_classes_is_refused():
    numbers = Task("a", Regression(), Labelled(torch.zeros(2, 3), torch.zeros(2)))
    with pytest.raises(ValueError, match="task 'a' should be one class per row"):
        pairs(numbers, 2, generator=torch.Generator())
    with pytest.raises(ValueError, match="`classes` should be a whole number of at least 1"):
        pairs(posed([0, 1]), 0, generator=torch.Generator())
