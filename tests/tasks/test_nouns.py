import dataclasses
import math

import numpy
import pytest
import torch
from torch import Tensor, nn

from headstart.tasks import (
    Binary,
    Episodes,
    Inputs,
    Labelled,
    Lazy,
    Multiclass,
    Regression,
    Shift,
    Task,
    Tokens,
)
from headstart.tasks.nouns import as_tensors, collate, convert, inputs_of, join, move, rows, take, tensors

X = torch.arange(12.0).reshape(6, 2)
Y = torch.tensor([0, 1, 2, 0, -100, 2])
TEXT = {"ids": torch.arange(18).reshape(6, 3), "mask": torch.ones(6, 3, dtype=torch.bool)}


def test_rows_are_counted_in_tensors_and_mappings():
    assert rows(X) == rows(TEXT) == len(Inputs(TEXT)) == len(Labelled(TEXT, Y)) == 6


@pytest.mark.parametrize("index", [torch.tensor([4, 0, 0]), torch.tensor([[1, 2], [3, 3]]), torch.tensor(5)])
def test_take_gathers_along_the_first_axis(index):
    assert torch.equal(take(X, index), X[index])
    assert {k: v.tolist() for k, v in take(TEXT, index).items()} == {
        k: v[index].tolist() for k, v in TEXT.items()
    }


def test_taking_rows_keeps_inputs_and_targets_together():
    part = Labelled(TEXT, Y).take(torch.tensor([5, 1]))
    assert part.y.tolist() == [2, 1]
    assert part.x["ids"].tolist() == [[15, 16, 17], [3, 4, 5]]
    assert Inputs(X).take(torch.tensor([5])).x.tolist() == [[10.0, 11.0]]


def test_inputs_forget_the_labels():
    inputs = Labelled(X, Y).inputs()
    assert isinstance(inputs, Inputs)
    assert inputs.x is X
    assert "y" not in dir(inputs)


def test_move_copies_every_tensor():
    assert move(X, "meta").device.type == "meta"
    batch = Labelled(TEXT, Y).to("meta")
    assert {batch.y.device.type, *(v.device.type for v in batch.x.values())} == {"meta"}
    assert Inputs(X).to("meta").x.is_meta
    shift = Shift(Labelled(X, Y), Inputs(X)).to("meta")
    assert shift.source.y.is_meta
    assert shift.target.x.is_meta


def test_join_concatenates_row_by_row():
    assert torch.equal(join(X, X[:1]), torch.cat([X, X[:1]]))
    both = join(TEXT, take(TEXT, torch.tensor([0])))
    assert {k: len(v) for k, v in both.items()} == {"ids": 7, "mask": 7}


@pytest.mark.parametrize(
    ("y", "present"),
    [
        (torch.tensor([0, -100, 3]), [True, False, True]),
        (torch.tensor([0.0, math.nan, -1.0]), [True, False, True]),
        (torch.tensor([[1.0, math.nan], [math.nan, math.nan], [0.0, 1.0]]), [True, False, True]),
        (torch.tensor([[1, -100], [-100, -100], [0, 1]]), [True, False, True]),
        (torch.empty(0, dtype=torch.long), []),
    ],
)
def test_a_row_is_present_where_at_least_one_label_is(y, present):
    assert Labelled(torch.zeros(len(y), 1), y).present().tolist() == present


def test_rows_of_a_mapping_must_agree():
    ragged = {"ids": torch.zeros(3, 2), "mask": torch.zeros(2, 2)}
    with pytest.raises(ValueError, match=r"`x` should be tensors with one first axis; found .*'mask': 2"):
        Inputs(ragged)
    with pytest.raises(ValueError, match="one first axis"):
        Labelled(ragged, torch.zeros(3))
    with pytest.raises(ValueError, match=r"one first axis; found \{\}"):
        Inputs({})


def test_every_row_needs_a_target():
    with pytest.raises(ValueError, match=r"`y` should be one target per row of `x` \(6\); found 5"):
        Labelled(X, Y[:5])
    with pytest.raises(ValueError, match=r"one target per row of `x` \(6\); found 5"):
        Labelled(TEXT, Y[:5])


@pytest.mark.parametrize("name", ["", "a.b", "."])
def test_a_task_name_is_part_of_a_parameter_name(name):
    with pytest.raises(ValueError, match=r'`name` of a task should be a non-empty name without "\."; found'):
        Task(name, Multiclass(3), Labelled(X, Y))


@pytest.mark.parametrize("name", ["type", "items", "values", "forward", "training"])
def test_names_that_modules_use_themselves_are_refused(name):
    with pytest.raises(ValueError, match=f'found "{name}"; call it "{name}_"'):
        Task(name, Multiclass(3), Labelled(X, Y))
    nn.ModuleDict({Task(f"{name}_", Multiclass(3), Labelled(X, Y)).name: nn.Identity()})


@pytest.mark.parametrize("name", ["Zähler", "two words", "a/b", "0", "class"])
def test_any_other_name_can_name_a_head(name):
    nn.ModuleDict({Task(name, Multiclass(3), Labelled(X, Y)).name: nn.Identity()})


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_a_label_outside_the_classes_is_found_with_task_and_part(part):
    good, bad = Labelled(X, Y), Labelled(X, Y + 1 * (Y > 1))
    parts = {"train": good, part: bad}
    with pytest.raises(ValueError, match=rf"task 'pets', {part} rows: `y` should be .*\[0, 3\).*; found 3$"):
        Task("pets", Multiclass(3), **parts)


@pytest.mark.parametrize(
    ("kind", "y", "message"),
    [
        (Multiclass(2), torch.tensor([0, -1]), r"class numbers in \[0, 2\), or -100 where missing; found -1"),
        (Multiclass(2), torch.tensor([0.0, 1.0]), r"class numbers \(int64\); found torch.float32"),
        (Multiclass(2), torch.tensor([True, False]), r"class numbers \(int64\); found torch.bool"),
        (Multiclass(2), torch.tensor([[0], [1]]), r"of shape \(rows,\); found \(2, 1\)"),
        (Binary(), torch.tensor([0, 1]), "float targets 0.0, 1.0 or NaN; found torch.int64"),
        (Binary(), torch.tensor([0.0, 2.0]), "0, 1 or NaN where missing; found 2.0"),
        (Tokens(2), torch.tensor([0, 1]), r"of shape \(rows, tokens\); found \(2,\)"),
        (Tokens(2), torch.tensor([[0], [2]]), r"class numbers in \[0, 2\).*; found 2"),
        (Regression(2), torch.zeros(2, 3), r"shape \(rows, 2\); found \(2, 3\)"),
    ],
)
def test_targets_must_be_answers_of_the_kind(kind, y, message):
    with pytest.raises(ValueError, match=message):
        Task("a", kind, Labelled(X[:2], y))


def test_datasets_are_taken_on_trust_and_loaded_when_asked():
    data = torch.utils.data.TensorDataset(X, Y + 9)
    task = Task("a", Multiclass(2), data, test=data)
    assert task.train.data is data
    assert not task.train.held
    assert dataclasses.replace(task, name="b").train is task.train
    assert task.test.present().tolist() == [True] * 6
    rows = task.train.take(torch.tensor([5, 1]))
    assert isinstance(rows, Labelled)
    assert rows.x.tolist() == X[[5, 1]].tolist()
    assert rows.y.tolist() == [11, 10]


def test_a_dataset_without_labels_gives_inputs():
    rows = Lazy([torch.zeros(2), torch.ones(2)]).take(torch.tensor([1]))
    assert isinstance(rows, Inputs)
    assert rows.x.tolist() == [[1.0, 1.0]]


def test_rows_in_tensors_are_held():
    assert Inputs(X).held
    assert Labelled(X, Y).held


BATCHES = {
    "tasks": {"a": Labelled(TEXT, Y), "b": Labelled(X, Y, complete=True)},
    "shift": Shift(Labelled(X, Y), Inputs(TEXT)),
    "episodes": Episodes(Labelled(X[None], Y[None]), Labelled(X[None], Y[None]), ways=3),
}


@pytest.mark.parametrize("name", BATCHES)
def test_every_tensor_of_a_batch_is_listed_and_converted(name):
    batch = BATCHES[name]
    meta = convert(batch, lambda t: t.to("meta"))
    assert type(meta) is type(batch)
    assert [t.shape for t in tensors(meta)] == [t.shape for t in tensors(batch)]
    assert all(t.is_meta for t in tensors(meta))
    assert not any(t.is_meta for t in tensors(batch))
    assert len(tensors(batch)) == {"tasks": 5, "shift": 4, "episodes": 4}[name]


def test_what_is_not_a_tensor_stays_as_it_is():
    assert convert(BATCHES["tasks"], Tensor.clone)["b"].complete
    assert convert(BATCHES["episodes"], Tensor.clone).ways == 3


def test_inputs_that_tasks_share_stay_shared():
    for x in (X, TEXT):
        there = convert({"a": Labelled(x, Y), "b": Labelled(x, Y)}, Tensor.clone)
        assert there["a"].x is there["b"].x
        assert there["a"].x is not x


def test_inputs_of_a_batch_have_the_names_of_messages():
    assert list(inputs_of(BATCHES["tasks"])) == ['task "a"']  # "b" promises to be complete
    assert list(inputs_of(BATCHES["shift"])) == ["source", "target"]
    assert list(inputs_of(BATCHES["episodes"])) == ["support", "query"]
    assert len(inputs_of({"a": Labelled(X, Y), "b": Labelled(X, Y)})) == 1


def test_episodes_are_cut_and_moved():
    x, y = torch.arange(24.0).reshape(2, 6, 2), torch.arange(6).expand(2, 6)
    both = Episodes(Labelled(x, y), Labelled({"ids": x}, y), ways=6)
    support, query = both.episode(1)
    assert len(both) == 2
    assert torch.equal(support.x, x[1])
    assert torch.equal(query.x["ids"], x[1])
    assert query.y.tolist() == list(range(6))
    moved = both.to("meta")
    assert moved.support.x.is_meta
    assert moved.query.x["ids"].is_meta
    assert moved.ways == 6


@pytest.mark.parametrize("noun", [Inputs(X), Labelled(X, Y), Task("a", Multiclass(3), Labelled(X, Y))])
def test_nouns_are_frozen(noun):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(noun, dataclasses.fields(noun)[0].name, None)


def test_known_rows_have_a_label():
    rows = Labelled(torch.arange(3.0), torch.tensor([1, -100, 0]))
    assert rows.known().x.tolist() == [0, 2]
    assert rows.known().y.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (numpy.zeros((3, 2)), torch.zeros(3, 2, dtype=torch.float64)),
        (numpy.zeros((3, 2), ">f4"), torch.zeros(3, 2)),
        (numpy.arange(6, dtype="u2").reshape(3, 2), torch.arange(6).view(3, 2)),
        (
            numpy.arange(6, dtype="u1").reshape(3, 2)[::-1],
            torch.arange(6, dtype=torch.uint8).view(3, 2).flip(0),
        ),
        (numpy.broadcast_to(numpy.float16(1), (3, 2)), torch.ones(3, 2, dtype=torch.float16)),
        ([[1.0], [2.0], [3.0]], torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)),
        ([[True], [False], [True]], torch.tensor([[True], [False], [True]])),
    ],
)
def test_arrays_and_lists_become_tensors(given, expected):
    rows = Labelled(given, numpy.arange(3, dtype="i4"), group=[0, 0, 1])
    assert torch.equal(rows.x, expected)
    assert rows.x.dtype == expected.dtype
    assert (rows.y.tolist(), rows.y.dtype, rows.group.dtype) == ([0, 1, 2], torch.int64, torch.int64)
    assert torch.equal(Inputs({"a": given, "b": expected}).x["a"], expected)


@pytest.mark.parametrize("given", [[["a"]], None, numpy.array([None]), [[1], [2, 3]], object()])
def test_what_is_no_number_is_refused(given):
    with pytest.raises(
        TypeError, match="`x` should be a tensor or an array of numbers, or a mapping of these"
    ):
        Inputs(given)
    with pytest.raises(TypeError, match="`y` should be a tensor or an array"):
        Labelled(torch.zeros(1, 2), given)


def test_small_labels_of_a_dataset_become_int64():
    data = [(numpy.zeros(2), numpy.int32(1)), (numpy.zeros(2), numpy.int32(0))]
    rows = collate(data)
    assert (rows.y.tolist(), rows.y.dtype) == ([1, 0], torch.int64)


@pytest.mark.parametrize(
    ("x", "hint"),
    [
        (torch.ones(3, 2) + 1j, "view_as_real"),
        (numpy.ones(3) * 1j, "real"),
    ],
)
def test_complex_rows_are_refused_with_what_mends_them(x, hint):
    for value in (x, {"part": x}):
        with pytest.raises(TypeError, match=f"`x`.* should be a tensor of real numbers; .*{hint}"):
            Inputs(value)


@pytest.mark.parametrize(
    ("kind", "y", "hint"),
    [
        (Multiclass(2), torch.tensor([True, False]), r"y.long\(\)"),
        (Multiclass(2), torch.tensor([[0], [1]]), r"y.squeeze\(1\)"),
        (Multiclass(2), torch.eye(2).long(), r"y.argmax\(1\)"),
        (Binary(), torch.tensor([True, False]), r"y.float\(\)"),
    ],
)
def test_labels_of_another_form_are_refused_with_what_mends_them(kind, y, hint):
    with pytest.raises(ValueError, match=hint):
        kind.check(y)
    with pytest.raises(TypeError, match=r"kind.encode\(labels\)"):
        Labelled(torch.zeros(2, 1), numpy.array(["x", "y"]))


def test_what_a_masked_array_masks_is_not_there():
    values = numpy.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], [[False, True], [False, False]])
    x = as_tensors(values)
    assert x.isnan().tolist() == [[False, True], [False, False]]
    assert as_tensors(numpy.ma.masked_array([1, 2], [False, False])).tolist() == [1, 2]


def test_labels_with_gaps_are_told_how_gaps_are_written():
    with pytest.raises(ValueError, match=r"pass `y.nan_to_num\(-100\).long\(\)`"):
        Multiclass(2).check(torch.tensor([0.0, torch.nan]))
