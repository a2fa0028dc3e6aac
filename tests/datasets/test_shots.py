import pytest
import torch

from headstart.datasets import shots, unlabel
from headstart.datasets.readers.arrays import ArrayEncoding
from headstart.tasks import Binary, Inputs, Labelled, Multiclass, Regression, Task


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def animals(okapis=4):
    y = torch.tensor([0] * 9 + [1] * okapis + [2] * 7 + [-100] * 3)
    x = torch.arange(len(y)).float()[:, None]
    test = Labelled(torch.rand(6, 1), torch.arange(6) % 3)
    encoding = ArrayEncoding(reader="npz", shape=(1,), classes=("ant", "okapi", "zebu"))
    return Task("animals", Multiclass(["ant", "okapi", "zebu"]), Labelled(x, y), test=test, encoding=encoding)


def test_every_class_keeps_its_shots_in_the_old_order_and_the_rest_is_untouched():
    task = animals()
    few = shots(task, 3, generator=seeded())
    assert few.train.y.bincount().tolist() == [3, 3, 3]
    assert few.train.x[:, 0].tolist() == sorted(few.train.x[:, 0].tolist())
    assert few.test is task.test
    assert len(task.train) == 23


def test_fewer_shots_are_among_more_shots_of_the_same_seed():
    rows = [set(shots(animals(), n, generator=seeded()).train.x[:, 0].tolist()) for n in (1, 2, 4)]
    assert rows[0] < rows[1] < rows[2]


def test_the_global_random_state_is_not_used():
    task = animals()
    state = torch.get_rng_state()
    shots(task, 2, generator=seeded())
    assert torch.equal(state, torch.get_rng_state())


def test_too_many_shots_name_the_smallest_class():
    message = (
        r'^`shots` should be at most 4, the smallest class \("okapi"\) has 4 rows; found 5; '
        r"lower `shots` or pass `drop_small=True`$"
    )
    with pytest.raises(ValueError, match=message):
        shots(animals(), 5, generator=seeded())


def test_small_classes_can_be_dropped_from_every_part():
    few = shots(animals(), 5, generator=seeded(), drop_small=True)
    assert few.kind == Multiclass(["ant", "zebu"])
    assert few.train.y.bincount().tolist() == [5, 5]
    assert few.test.y.tolist() == [0, 1, 0, 1]
    assert few.encoding.classes == ("ant", "zebu")


def test_dropping_must_leave_two_classes():
    with pytest.raises(ValueError, match="at most 7, so that two classes are left; found 8"):
        shots(animals(), 8, generator=seeded(), drop_small=True)


@pytest.mark.parametrize("count", [0, -1, 1.5])
def test_shots_are_a_whole_number_above_zero(count):
    with pytest.raises(ValueError, match="`shots` should be a whole number of at least 1"):
        shots(animals(), count, generator=seeded())


def test_yes_or_no_and_regression():
    y = torch.tensor([0.0, 1, 1, 0, float("nan"), 1])
    task = Task("t", Binary(), Labelled(torch.rand(6, 1), y))
    assert shots(task, 2, generator=seeded()).train.y.sort().values.tolist() == [0, 0, 1, 1]
    task = Task("t", Regression(), Labelled(torch.rand(6, 1), y))
    assert not shots(task, 5, generator=seeded()).train.y.isnan().any()
    with pytest.raises(ValueError, match="at most 5, the labelled rows"):
        shots(task, 6, generator=seeded())


def test_unlabel_keeps_no_label():
    task = animals()
    bare = unlabel(task)
    assert len(bare.train) == 0
    assert torch.equal(bare.unlabelled.x, task.train.x)
    assert bare.train.x.shape == (0, 1)
    more = unlabel(Task("t", task.kind, task.train, unlabelled=Inputs(torch.rand(2, 1))))
    assert len(more.unlabelled) == 25
