"""Rows of another space as rows of the target's."""

import numpy
import pytest
import torch
from sklearn.linear_model import LinearRegression

import headstart as hs
from headstart.datasets import (
    FeatureMap,
    columns_by_name,
    from_frame,
    map_columns,
    map_kernel,
    map_pairs,
    match_by_label,
    transferable,
)
from headstart.datasets.readers.tables import TableEncoding
from headstart.strategies import Budget
from headstart.tasks import Inputs, Labelled, Multiclass, Task


def correlated(rows, seed):
    """Draw four columns, the last two of which follow from the first two but for some noise."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 2, generator=g)
    more = x @ torch.tensor([[1.0, -1.0], [2.0, 0.5]]) + 0.1 * torch.randn(rows, 2, generator=g) + 3
    y = (x[:, 0] + 0.3 * torch.randn(rows, generator=g) > 0).long()
    return torch.cat([x, more], 1), y


def new(rows=60, **parts):
    x, y = correlated(rows, 0)
    return Task("new", Multiclass(2), Labelled(x, y), test=Labelled(*correlated(80, 1)), **parts)


def test_shared_columns_stay_and_others_are_filled_from_them():
    target = new()
    x, _ = correlated(40, 2)
    own = torch.cat([torch.full((40, 1), 9.0), x[:, [1, 0]]], 1)  # one of its own, then two shared
    made = map_columns(target, [None, 1, 0])
    assert (made.shared, made.filled) == ((0, 1), (2, 3))
    found = made.rows(own)
    assert found.dtype == own.dtype
    torch.testing.assert_close(found[:, :2], x[:, :2])
    assert (found[:, 2:] - x[:, 2:]).std() < 0.2
    fit = LinearRegression().fit(target.train.x[:, :2].numpy(), target.train.x[:, 2:].numpy())
    expected = torch.from_numpy(fit.predict(x[:, :2].numpy())).float()
    torch.testing.assert_close(found[:, 2:], expected, atol=0.02, rtol=0.02)
    one = map_columns(target, [0, 1, 3])  # a single column is left to be filled
    assert one.residuals.shape == (60, 1)


def test_a_mapped_task_varies_as_the_target_does():
    target = new(200)
    target.train.x[:, 3] = torch.randn(
        200, generator=torch.Generator().manual_seed(9)
    )  # follows from nothing
    x, y = correlated(300, 4)
    made = map_columns(target, [0, 1])
    source = Task("old", Multiclass(2), Labelled(x[:, :2], y))
    expected, found = made.rows(source.train.x), made(source).train.x
    assert expected[:, 3].std() < 0.3
    assert 0.8 < found[:, 3].std() < 1.2
    assert torch.equal(found[:, :2], x[:, :2])
    assert torch.equal(found, made(source).train.x)
    off = (found - expected)[:, 2:].double()
    assert torch.cdist(off, made.residuals).min(1).values.max() < 1e-5  # both of one row of the target


def test_bare_rows_of_the_target_fill_and_its_test_rows_do_not():
    x, _ = correlated(60, 0)
    target = new(unlabelled=Inputs(x + 5))
    assert not torch.equal(map_columns(target, [0, 1]).bias, map_columns(new(), [0, 1]).bias)
    moved = Labelled(target.test.x + 100, target.test.y)
    other = Task("new", target.kind, target.train, unlabelled=target.unlabelled, test=moved)
    assert torch.equal(map_columns(target, [0, 1]).weight, map_columns(other, [0, 1]).weight)


def test_a_mapped_source_is_compared():
    target = new(40)
    x, y = correlated(60, 4)
    source = Task("old", Multiclass(2), Labelled(torch.cat([x[:, :2], torch.ones(60, 3)], 1), y))
    assert hs.Problem(target, [source]).unlike == (source,)
    mapped = map_columns(target, [0, 1, None, None, None])(source)
    assert mapped.train.y is source.train.y
    problem = hs.Problem(target, [mapped], shots=[4], budget=Budget(steps=4, pretrain=4, options=1))
    result = hs.compare(problem, "pooled+logreg", 2, baseline="raw+logreg", progress=False)
    rows = {row["strategy"]: row["mean"] for row in result.rows}
    assert rows["pooled+logreg"] > rows["raw+logreg"]


def test_all_canonical_directions_are_least_squares_and_few_are_of_lower_rank():
    g = torch.Generator().manual_seed(0)
    s = torch.randn(80, 5, generator=g).double()
    t = s @ torch.randn(5, 3, generator=g).double() + torch.randn(80, 3, generator=g).double() + 2
    fit = LinearRegression().fit(s.numpy(), t.numpy())
    whole = map_pairs(t, s, ridge=0)
    numpy.testing.assert_allclose(whole.rows(s), fit.predict(s.numpy()), atol=1e-8)
    assert torch.linalg.matrix_rank(map_pairs(t, s, dims=1, ridge=0).weight) == 1
    one = numpy.corrcoef((map_pairs(t, s, dims=1, ridge=0).rows(s)[:, 0]).numpy(), t[:, 0].numpy())[0, 1]
    assert one > 0.3


def test_rows_are_paired_with_rows_of_their_class():
    target, source = Labelled(*correlated(20, 0)), Labelled(torch.randn(15, 7), torch.arange(15) % 3)
    one, other = match_by_label(target, source, torch.Generator().manual_seed(0))
    assert other.shape == (10, 7)  # a class that the target lacks is left out
    classes = {tuple(row.tolist()): int(y) for row, y in zip(target.x, target.y, strict=True)}
    expected = source.y[source.y < 2].tolist()
    assert [classes[tuple(row.tolist())] for row in one] == expected


def test_columns_whose_relation_to_the_label_turns_are_left_out():
    target = new(100)
    x, y = correlated(100, 5)
    turned = x.clone()
    turned[:, 2] = -turned[:, 2]
    source = Task("old", Multiclass(2), Labelled(turned, y))
    assert transferable(target, source, [0, 1, 2, 3]) == [0, 1, None, 3]
    assert transferable(target, source, [0, None, 2, 3], least=100) == [0, None, 2, 3]
    with pytest.raises(ValueError, match="labelled rows of target and source should be at least 10 each"):
        transferable(new(5), source, [0])


def test_tables_are_matched_by_name():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    one = pandas.DataFrame({"age": range(40), "job": ["cook", "clerk"] * 20, "y": [0, 1, 1, 0] * 10})
    other = pandas.DataFrame({"job": ["cook", "smith"] * 20, "age": range(1, 41), "y": [0, 1, 1, 0] * 10})
    (first,), (second,) = (from_frame(frame, label="y") for frame in (one, other))
    # the names: age, job = clerk, job = cook; and job = cook, job = smith, age
    assert columns_by_name(first.encoding, second.encoding) == [2, None, 0]
    with pytest.raises(TypeError, match="encoding should be that of a table"):
        columns_by_name(first.encoding, None)


@pytest.mark.parametrize("columns", [[None, None], [0, 0], [4], [-1]])
def test_columns_that_cannot_be_are_refused(columns):
    with pytest.raises(ValueError, match="`columns` should be distinct, of the target's 4, and some"):
        map_columns(new(), columns)


def test_other_rows_are_refused():
    made = FeatureMap(torch.eye(3), torch.zeros(3))
    with pytest.raises(ValueError, match="rows to be mapped should be tables of 3 columns"):
        made.rows(torch.zeros(2, 4))
    pictures = Task("old", Multiclass(2), Labelled(torch.zeros(12, 1, 3, 3), torch.arange(12) % 2))
    with pytest.raises(ValueError, match="rows to be mapped should be tables in a tensor"):
        made(pictures)
    with pytest.raises(ValueError, match="paired rows should be as many of both sides, at least 10"):
        map_pairs(torch.zeros(9, 2), torch.zeros(9, 2))
    with pytest.raises(ValueError, match="`dims` and `ridge` should be at least 1 and at least 0"):
        map_pairs(torch.zeros(10, 2), torch.zeros(10, 2), dims=0)
    with pytest.raises(ValueError, match="rows of 'new' should be at least 10; found 4"):
        map_columns(new(4), [0])


def test_a_table_is_read_like_another_one_in_part():
    pandas = pytest.importorskip("pandas")
    here = pandas.DataFrame({"age": range(20, 60), "job": ["cook", "clerk"] * 20, "y": [0, 1] * 20})
    there = pandas.DataFrame({"town": ["york", "hull"] * 20, "job": ["smith", "cook"] * 20,
                              "age": range(40, 80), "y": [1, 0] * 20})  # fmt: skip
    (target,) = hs.datasets.from_frame(here, label="y")
    with pytest.warns(UserWarning, match="column `job` 20 of 40 values are none of the training rows'"):
        (source,) = hs.datasets.from_frame(there, label="y", like=target.encoding)
    assert list(source.encoding.features) == ["age", "job", "town"]
    assert source.encoding.feature_names() == [
        "age",
        "job = clerk",
        "job = cook",
        "town = hull",
        "town = york",
    ]
    assert source.encoding.features["age"] == target.encoding.features["age"]
    assert columns_by_name(target.encoding, source.encoding) == [0, 1, 2, None, None]
    other = TableEncoding.from_json(source.encoding.to_json())
    assert other.features == source.encoding.features
    with pytest.warns(UserWarning, match="column `job`"):
        (same,) = hs.datasets.from_frame(there, label="y", like=target.encoding.to_json())
    assert torch.equal(same.train.x, source.train.x)
    with pytest.raises(TypeError, match="`like` should be the encoding of a table; found ImageEncoding"):
        hs.datasets.from_frame(there, label="y", like={"reader": "images", "shape": [3, 32, 32]})
    with pytest.raises(ValueError, match="`like` should be given for tables only"):
        hs.datasets.read("digits:0-4", like=target.encoding)


def test_a_kernel_map_is_ridge_regression_in_dual_variables_and_bends():
    g = torch.Generator().manual_seed(0)
    angle, length = 6 * torch.rand(2, 300, generator=g, dtype=torch.float64)
    source = torch.stack([angle, 100 * length], 1)
    target = torch.stack([angle.sin(), angle.cos() * length], 1) + 5
    known, asked = slice(0, 200), slice(200, None)
    bent = map_kernel(target[known], source[known], ridge=0.2, gamma=0.7)
    z = (source - source[known].mean(0)) / source[known].std(0, correction=0)
    like = torch.exp(-0.7 * torch.cdist(z, z[known]).square())
    mean = target[known].mean(0)
    weights = torch.linalg.solve(like[known] + 0.2 * torch.eye(200), target[known] - mean)
    torch.testing.assert_close(bent.rows(source[asked]), like[asked] @ weights + mean)
    straight = map_pairs(target[known], source[known])
    off, by_line = ((made.rows(source[asked]) - target[asked]).square().mean() for made in (bent, straight))
    assert off < 0.2 * by_line
    far = torch.tensor([[1e3, 1e6]], dtype=torch.float64)
    torch.testing.assert_close(bent.rows(far)[0], mean)


def test_a_kernel_map_brings_a_source_beside_the_target():
    x, y = correlated(60, 5)
    source = Task("old", Multiclass(2), Labelled(x[:, :3].exp(), y))
    made = map_kernel(x, x[:, :3].exp())(source)
    assert made.train.x.shape == (60, 4)
    assert torch.equal(made.train.y, y)
    assert made.train.x.dtype == torch.float32
    with pytest.raises(ValueError, match=r"tables of 3 columns; found \(60, 4\)"):
        map_kernel(x, x[:, :3]).rows(x)
    with pytest.raises(ValueError, match="as many of both sides, 10 to 5000; found 60 and 9"):
        map_kernel(x, x[:9])
    with pytest.raises(ValueError, match="above 0 and finite; found 0 and None"):
        map_kernel(x, x, ridge=0)
