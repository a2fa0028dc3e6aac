import json

import numpy as np
import pytest
import torch

from headstart.datasets import SplitSpec, encode, encoding_from_json, read
from headstart.tasks import Multiclass, Multilabel, Regression

X = np.random.default_rng(0).random((20, 3))
Y = np.arange(20) % 2


def test_inputs_and_several_targets(tmp_path):
    gaps = np.where(np.arange(20) == 3, np.nan, np.arange(20.0))
    np.savez(
        tmp_path / "a.npz", x=X, y=Y * 7, z=gaps, names=np.array(["a", "b"] * 10), many=np.eye(20)[:, :4] > 0
    )
    tasks = read("npz:a.npz#x,y,z,names,many", base=tmp_path)
    kinds = [Multiclass([0, 7]), Regression(), Multiclass(["a", "b"]), Multilabel(4)]
    assert [t.kind for t in tasks] == kinds
    assert all(t.train.x is tasks[0].train.x for t in tasks)
    assert torch.cat([tasks[1].train.y, tasks[1].test.y]).isnan().sum() == 1
    assert (len(tasks[0].train), len(tasks[0].test)) == (16, 4)


def test_parts_of_its_own_and_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x_train=pixels, y_train=Y, x_test=255 - pixels[:5], y_test=Y[:5])
    (task,) = read("npz:a.npz", base=tmp_path)
    assert (len(task.train), len(task.test), task.valid) == (20, 5, None)
    assert torch.equal(task.train.x, torch.from_numpy(pixels) / 255)
    assert encode("a.npz", task.encoding, base=tmp_path).shape == (5, 1, 4, 4)


def test_images_with_channels_last_are_turned_and_that_is_said(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 6, 3)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=pixels, y=Y)
    with pytest.warns(UserWarning, match=r"\(20, 8, 6, 3\), was taken for images with their channels last"):
        (task,) = read("npz:a.npz", base=tmp_path, split=SplitSpec(test=0))
    assert torch.equal(task.train.x, torch.from_numpy(pixels).movedim(3, 1) / 255)
    assert torch.equal(encode("a.npz", task.encoding, base=tmp_path), task.train.x)


@pytest.mark.parametrize("shape", [(20, 3, 8, 6), (20, 4, 8, 3), (20, 8, 6, 2), (20, 8, 3)])
def test_other_axes_stay(tmp_path, shape):
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).random(shape), y=Y)
    (task,) = read("npz:a.npz", base=tmp_path)
    assert tuple(task.train.x.shape[1:]) == shape[1:]


def test_groups_and_the_earlier_encoding(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y, who=np.arange(20) // 4)
    (task,) = read("npz:a.npz", base=tmp_path, split=SplitSpec(group="who"))
    assert len(task.test) == 4
    np.savez(tmp_path / "b.npz", x=X, y=np.zeros(20, int))
    (again,) = read("npz:b.npz", base=tmp_path, encoding=task.encoding)
    assert again.kind == task.kind


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.where(X > 0.9, np.nan, X), "y": Y}, "should be finite numbers; found NaN or infinity in"),
        ({"x": np.where(X > 0.9, np.inf, X), "y": Y}, "should be finite numbers; found NaN or infinity in"),
        ({"x": X, "y": np.full(20, np.nan)}, "20 rows, all missing"),
        ({"x": X, "y": Y * 0}, "at least two classes; found one class, 0"),
        ({"x": X, "y": Y[:9]}, "`y` of .* should be 20 rows; found 9"),
        ({"x": X, "label": Y}, 'array of .* found "y"; known: label, x'),
        ({"x": np.array([["a"]] * 20), "y": Y}, "numbers of shape"),
        ({"x": X, "y": np.zeros((20, 2), int) + 5}, "should be one label per row"),
        ({"x": np.array([{}] * 20), "y": Y}, "found Python objects, or another kind of file"),
        ({"x": X, "y": Y, "x_test": X[:, :2], "y_test": Y}, "rows of one shape"),
    ],
)
def test_wrong_arrays_are_explained(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read("npz:a.npz", base=tmp_path)


@pytest.mark.parametrize("content", ["", "cut", "binary", "one array"])
def test_a_wrong_file_is_explained(tmp_path, content):
    path = tmp_path / "a.npz"
    np.savez(path, x=X, y=Y)
    whole = path.read_bytes()
    path.write_bytes({"": b"", "cut": whole[:300], "binary": bytes(range(256))}.get(content, b""))
    if content == "one array":
        with open(path, "wb") as file:
            np.save(file, X)
    with pytest.raises(ValueError, match=r"should be (rows; found an empty file|a whole .npz archive)"):
        read("npz:a.npz", base=tmp_path)
    with pytest.raises(FileNotFoundError, match=r'did you mean "a.npz"'):
        read("npz:b.npz", base=tmp_path)


def test_no_code_in_a_file_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.savez(tmp_path / "a.npz", x=np.array([Trap()], dtype=object), y=Y)
    with pytest.raises(ValueError, match="Python objects"):
        read("npz:a.npz", base=tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_new_rows_of_another_shape(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    (task,) = read("npz:a.npz", base=tmp_path)
    np.savez(tmp_path / "b.npz", x=X[:, :2])
    with pytest.raises(ValueError, match=r"should be rows of \[3\]; found \[2\]"):
        encode("b.npz", task.encoding, base=tmp_path)


def test_floats_are_numbers_also_where_all_are_whole(tmp_path):
    np.savez(tmp_path / "a.npz", x=X[:12], y=np.arange(12.0) % 3)
    (task,) = read("npz:a.npz#x,y", base=tmp_path)
    assert task.kind == Regression()


@pytest.mark.parametrize("unit", [1e6, 1e-6, 3.0])
def test_columns_of_numbers_are_standardised_as_those_of_a_table(tmp_path, unit):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 3)) * [unit, 1, 1] + [5 * unit, 0, 2], np.arange(80) % 2
    np.savez(tmp_path / "a.npz", x=x, y=y)
    np.savetxt(tmp_path / "a.csv", np.c_[x, y], "%.9g", ",", header="a,b,c,y", comments="")
    (task,), (table,) = read("npz:a.npz#x,y", base=tmp_path), read("csv:a.csv#y", base=tmp_path)
    assert torch.allclose(task.train.x, table.train.x, atol=1e-5)
    assert torch.allclose(task.test.x, table.test.x, atol=1e-5)
    again = encoding_from_json(json.loads(json.dumps(task.encoding.to_json())))
    made = encode("npz:a.npz", again, base=tmp_path)
    assert torch.equal(made[task.encoding.division["test"]], task.test.x)
    assert torch.equal(again.rows(x.astype("f4")), made)
    (later,) = read("npz:a.npz#x,y", base=tmp_path, encoding=task.encoding, split=SplitSpec(test=0))
    assert torch.equal(later.train.x, made)


def test_a_constant_column_and_an_outlier_of_an_array(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    x[:, 1], x[7, 0] = 14.62, 1e12
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(200) % 2)
    with pytest.warns(UserWarning, match="column 0 of `x` of .* has 1 rows that are far from all others"):
        (task,) = read("npz:a.npz#x,y", base=tmp_path, split=SplitSpec(test=0))
    assert task.train.x[:, 1].abs().max() == 0
    assert task.train.x[:, 0].std() > 0.9
    assert task.train.x.abs().max() < 6
