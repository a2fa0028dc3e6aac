import pytest
import torch

from headstart.datasets import random_shots, shots, unlabel
from headstart.datasets.readers.arrays import ArrayEncoding
from headstart.tasks import Binary, Inputs, Labelled, Multiclass, Multilabel, Regression, Task


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


def rare(kind, each=(160, 36, 4)):
    """Rows of classes from common to rare, in a mixed order, some without a label."""
    y = torch.cat([torch.full((n,), c) for c, n in enumerate(each)] + [torch.full((9,), -100)])
    y = y[torch.randperm(len(y), generator=seeded(1))]
    x = torch.arange(float(len(y)))[:, None]
    answers = y if isinstance(kind, Multiclass) else torch.where(y < 0, torch.nan, y.float())
    return Task("rare", kind, Labelled(x, answers), test=Labelled(x, answers))


@pytest.mark.parametrize(("kind", "each"), [(Multiclass(3), (160, 36, 4)), (Binary(), (190, 10))])
def test_random_shots_are_as_many_rows_with_the_shares_of_the_classes_and_one_of_each(kind, each):
    task, classes = rare(kind, each), len(each)
    counts = torch.zeros(60, classes)
    for seed in range(60):
        few = random_shots(task, 4, generator=seeded(seed))
        counts[seed] = few.train.y.long().bincount(minlength=classes).float()
        at = few.train.x[:, 0].long()
        assert at.tolist() == at.sort().values.tolist()
        assert torch.equal(few.train.y, task.train.y[at])
    assert (counts.sum(1) == 4 * classes).all()
    assert counts.min() == 1
    expected = torch.tensor(each[:-1]) / sum(each) * 4 * classes
    torch.testing.assert_close(counts.mean(0)[:-1], expected, rtol=0.1, atol=0)  # the rarest has one at least
    assert few.test is task.test


def test_fewer_random_shots_are_among_more_of_the_same_seed():
    task = rare(Multiclass(3))
    rows = [set(random_shots(task, n, generator=seeded(3)).train.x[:, 0].tolist()) for n in (1, 2, 8)]
    assert rows[0] < rows[1] < rows[2]
    assert rows[1] != set(random_shots(task, 2, generator=seeded(4)).train.x[:, 0].tolist())


def test_random_shots_of_numbers_are_the_very_rows_of_shots():
    y = torch.tensor([0.0, 1, 1, 0, float("nan"), 1])
    task = Task("t", Regression(), Labelled(torch.rand(6, 1), y))
    one, other = (draw(task, 3, generator=seeded()) for draw in (shots, random_shots))
    assert torch.equal(one.train.x, other.train.x)
    assert one.prior is None


def test_too_many_random_shots_say_how_many_rows_there_are():
    with pytest.raises(ValueError, match=r"at most 66: 'rare' has 200 labelled rows of 3 classes; found 67"):
        random_shots(rare(Multiclass(3)), 67, generator=seeded())
    assert len(random_shots(rare(Multiclass(3)), 66, generator=seeded()).train) == 198
    with pytest.raises(ValueError, match="`shots` should be a whole number of at least 1"):
        random_shots(rare(Multiclass(3)), 0, generator=seeded())


@pytest.mark.parametrize("draw", [shots, random_shots])
def test_a_draw_remembers_how_common_each_class_was(draw):
    task = rare(Multiclass(3))
    few = draw(task, 2, generator=seeded())
    assert few.prior.bincount().tolist() == [160, 36, 4]
    assert draw(few, 1, generator=seeded()).prior is few.prior


def test_what_a_draw_remembers_follows_the_classes_and_the_labels():
    few = shots(animals(), 5, generator=seeded(), drop_small=True)
    assert few.prior.bincount().tolist() == [9, 7]
    y = torch.tensor([[1.0, 0.0], [1.0, float("nan")], [0.0, 1.0]])
    task = Task("t", Multilabel(2), Labelled(torch.rand(3, 1), y))
    assert torch.equal(shots(task, 1, generator=seeded()).prior.nan_to_num(9), y.nan_to_num(9))


def test_unlabel_keeps_no_label():
    task = animals()
    bare = unlabel(task)
    assert len(bare.train) == 0
    assert torch.equal(bare.unlabelled.x, task.train.x)
    assert bare.train.x.shape == (0, 1)
    more = unlabel(Task("t", task.kind, task.train, unlabelled=Inputs(torch.rand(2, 1))))
    assert len(more.unlabelled) == 25
