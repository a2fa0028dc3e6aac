import warnings

import pytest
import torch
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from headstart.datasets import SplitSpec, read
from headstart.datasets.readers.arrays import ArrayEncoding
from headstart.datasets.splits import build, carve, divide, fingerprints, given, warn_duplicates
from headstart.tasks import Labelled, Multiclass, Regression


@examples(
    labels=st.lists(st.integers(0, 3), min_size=20, max_size=80),
    test=st.sampled_from([0.1, 0.2, 0.4]),
    seed=st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
def test_parts_are_disjoint_complete_and_of_the_size_asked_for(labels, test, seed):
    division = divide(SplitSpec(test=test, valid=0.2, seed=seed), len(labels), labels)
    assert torch.cat(list(division.values())).sort().values.tolist() == list(range(len(labels)))
    assert len(division["test"]) == round(test * len(labels))
    assert {labels[i] for i in division["train"].tolist()} == set(labels)  # no class only in test


def test_classes_keep_their_shares():
    labels = [0] * 90 + [1] * 10
    division = divide(SplitSpec(test=0.3), 100, labels)
    assert sum(labels[i] for i in division["test"].tolist()) in (2, 3, 4)


def test_the_seed_alone_decides():
    first, again, other = (divide(SplitSpec(seed=s), 50)["test"].tolist() for s in (3, 3, 4))
    assert first == again != other


@examples(groups=st.lists(st.integers(0, 9), min_size=30, max_size=80), seed=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_no_group_is_on_two_sides(groups, seed):
    if len(set(groups)) < 3:
        return
    division = divide(SplitSpec(test=0.2, valid=0.2, seed=seed), len(groups), None, groups)
    sides = [{groups[i] for i in part.tolist()} for part in division.values()]
    assert len(sides) == 3
    assert sum(map(len, sides)) == len(set(groups))


def test_groups_are_divided_so_that_parts_come_near_the_fractions():
    groups = [g for g in range(40) for _ in range(5)]
    labels = [g % 2 for g in groups]
    test = divide(SplitSpec(test=0.25), 200, labels, groups)["test"]
    assert len(test) == 50
    assert sum(labels[i] for i in test.tolist()) == 25


def test_a_given_division_is_kept():
    division = given(["train", "dev", "TEST", "train"], "`a.csv`")
    assert {part: at.tolist() for part, at in division.items()} == {
        "train": [0, 3],
        "valid": [1],
        "test": [2],
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SplitSpec(test=1.5), r"`test` of the split should be a fraction in \[0, 1\); found 1.5"),
        (lambda: SplitSpec(test=0.5, valid=0.5), "should be below 1"),
        (lambda: given(["train", "tset"], "`a.csv`"), 'found "tset"; did you mean "test"'),
        (lambda: given(["test"], "`a.csv`"), 'should be rows with "train"'),
        (lambda: divide(SplitSpec(), 2), "test part should be at least one row"),
        (lambda: divide(SplitSpec(), 9, None, [0] * 9), "at least 2 groups"),
    ],
)
def test_a_wrong_split_is_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_equal_rows_in_train_and_test_are_counted():
    x = torch.tensor([[0.0], [1.0], [1.0], [2.0]])
    division = {"train": torch.tensor([0, 1]), "test": torch.tensor([2, 3])}
    with pytest.warns(UserWarning, match="1 of 2 test rows of `a.csv` are equal to a train row"):
        warn_duplicates(x, division, "`a.csv`")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_duplicates(x, {"train": torch.tensor([0]), "test": torch.tensor([3])}, "`a.csv`")


def test_equal_rows_are_expected_where_few_rows_differ():
    x = torch.tensor([[0.0], [1.0]] * 5)
    division = {"train": torch.arange(7), "test": torch.arange(7, 10)}
    with pytest.warns(
        UserWarning, match="many rows of `a.csv` are alike: 2 different rows among 10; equal"
    ) as told:
        assert warn_duplicates(x, division, "`a.csv`") == 3
    assert "remove" not in str(told[0].message)


def test_a_fingerprint_tells_labels_and_inputs():
    x, y = torch.tensor([[0.0], [0.0], [1.0]]), torch.tensor([1.0, 2.0, 1.0])
    first, second, third = fingerprints(Labelled(x, y))
    assert first[0] == second[0] != third[0]
    assert first[1] == third[1] != second[1]
    whole = Labelled({"a": x, "b": x}, y.long())  # several tensors, classes
    assert [row[1] for row in fingerprints(whole)] == [first[1], second[1], third[1]]


def test_valid_rows_are_carved_out_of_train_and_inputs_stay_shared():
    x, y = torch.rand(20, 2), torch.arange(20) % 2
    targets = [("a", Multiclass(2), y), ("b", Regression(), torch.rand(20))]
    whole = build(targets, x, {"train": torch.arange(20)}, ArrayEncoding(reader="npz", shape=(2,)))
    tasks = carve(whole, SplitSpec(valid=0.25))
    assert [len(t.valid) for t in tasks] == [5, 5]
    assert tasks[0].train.x is tasks[1].train.x
    assert tasks[0].valid.x is tasks[1].valid.x


def test_valid_of_a_set_with_its_own_test_part_leaves_that_alone():
    plain, carved = read("digits:0-1")[0], read("digits:0-1", split=SplitSpec(valid=0.1))[0]
    assert torch.equal(plain.test.x, carved.test.x)
    assert len(carved.train) + len(carved.valid) == len(plain.train)


def test_labels_that_only_judge_are_all_for_the_test(tmp_path):
    rows = [f"{k},{'ab'[k % 2] if k < 6 else ''}" for k in range(20)]
    (tmp_path / "few.csv").write_text("\n".join(["x,y", *rows]) + "\n")
    (task,) = read("csv:few.csv#y", base=tmp_path, split=SplitSpec(test="labelled"))
    assert (len(task.test), int(task.test.present().sum())) == (6, 6)
    assert (len(task.train), int(task.train.present().sum())) == (14, 0)
    (usual,) = read("csv:few.csv#y", base=tmp_path)
    assert len(usual.test) == 4
    whole = divide(SplitSpec(test="labelled"), 10, [0, 1] * 5, known=torch.ones(10, dtype=torch.bool))
    assert {name: len(at) for name, at in whole.items()} == {
        "train": 8,
        "test": 2,
    }  # a fifth where all have one
    with pytest.raises(
        ValueError, match='`test` of the split should be a fraction, or "labelled"; found all'
    ):
        SplitSpec(test="all")
