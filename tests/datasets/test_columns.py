"""What columns become: those that tell rows apart are inputs, dates are parts, labels have a kind."""

import json
import math
import random
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
import torch

from headstart.datasets import SplitSpec, encode, encoding_from_json, from_frame, read
from headstart.datasets.readers.columns import Categories, Numbers
from headstart.datasets.readers.dates import Dates, date_format
from headstart.datasets.readers.labels import answers
from headstart.tasks import Multiclass, Regression

DAYS = [date(2021, 1, 1) + timedelta(days=37 * i) for i in range(60)]


def table(path, rows, **columns):
    """Write columns, each by its values or by a function of the row, beside a label and a noise."""
    rng = random.Random(0)
    columns = {"noise": lambda i: rng.random(), **columns, "label": lambda i: "ab"[i % 2]}
    lines = [",".join(f'"{values(i)}"' for values in columns.values()) for i in range(rows)]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path.name


def of(path, rows, **columns):
    """Read what ``table`` writes, with every row for training."""
    name = table(path / "a.csv", rows, **columns)
    (task,) = read(f"csv:{name}#label", base=path, split=SplitSpec(test=0))
    return task


# Columns that are left out.


def test_a_column_of_one_value_is_left_out_and_told(tmp_path):
    with pytest.warns(UserWarning, match="columns `age`, `city`, `none` left out: one value in all training"):
        task = of(tmp_path, 30, age=lambda i: 30, city=lambda i: "Rome", none=lambda i: "")
    assert list(task.encoding.features) == ["noise"]
    table(tmp_path / "b.csv", 40, age=lambda i: 30 + i, city=lambda i: "Pisa", none=lambda i: i)
    x = encode("b.csv", task.encoding, base=tmp_path)
    assert x.shape == (40, 1)
    assert x.abs().max() < 5


def test_of_one_value_with_holes_the_holes_are_kept(tmp_path):
    task = of(tmp_path, 30, age=lambda i: "" if i % 3 else 30, city=lambda i: "" if i % 3 else "Rome")
    features = task.encoding.features
    assert features["age"] == Numbers(30.0, 0.0, missing=True)
    assert features["city"] == Categories(("Rome",))
    assert task.train.x[:3, 1:].tolist() == [[0, 1], [1, 0], [1, 0]]
    again = encoding_from_json(json.loads(json.dumps(task.encoding.to_json())))
    assert again == task.encoding
    table(tmp_path / "b.csv", 4, age=lambda i: 10**6, city=lambda i: "Pisa")
    with pytest.warns(UserWarning, match=r"column `city` of .*b.csv`: 4 of 4 values are none of .* 'Pisa'"):
        x = encode("b.csv", again, base=tmp_path)
    assert torch.equal(x[:, 1:], torch.zeros(4, 2))


def test_a_numbers_column_of_an_old_model_keeps_its_scale():
    old = {"reader": "csv", "features": {"age": {"mean": 30.0, "std": 1.0, "missing": False}}}
    made = encoding_from_json(old).features["age"].make([30, 31, None], "age", "it")
    assert made.tolist() == [[0], [1], [0]]


def test_words_that_nearly_all_differ_are_left_out_and_told(tmp_path):
    with pytest.warns(UserWarning, match="column `user` left out: nearly every word is another, as in ids"):
        task = of(tmp_path, 40, user=lambda i: f"u{i % 38}")
    assert list(task.encoding.features) == ["noise"]
    assert "user" in of(tmp_path, 40, user=lambda i: f"u{i % 30}").encoding.features
    assert "user" in of(tmp_path, 19, user=lambda i: f"u{i}").encoding.features
    assert "user" in of(tmp_path, 40, user=lambda i: 1000 + i).encoding.features  # numbers stay numbers


def test_a_number_of_the_row_is_told_and_stays(tmp_path):
    with pytest.warns(
        UserWarning, match="columns `id`, `Customer_ID` kept as numbers, though they tell rows"
    ):
        task = of(tmp_path, 40, id=lambda i: i, Customer_ID=lambda i: 7000 + i)
    assert list(task.encoding.features) == ["noise", "id", "Customer_ID"]
    of(tmp_path, 40, age=lambda i: 20 + i, id=lambda i: 7 * i, paid=lambda i: i)  # no word


def test_a_table_of_nothing_but_such_columns_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("k,label\n" + "7,x\n7,y\n" * 9)
    with pytest.raises(ValueError, match="that tell rows apart; found column `k` left out: one value in all"):
        read("csv:a.csv#label", base=tmp_path)


@pytest.mark.parametrize("form", ["{:.2f}kg", "${:.2f}", "{:.1f} %", "1 {:06.2f}", "<{:.2f}"])
def test_numbers_that_are_written_otherwise_are_told(tmp_path, form):
    rng = random.Random(0)
    with pytest.warns(UserWarning, match=r"column `size` read as numbers, such as '.*' as \d"):
        task = of(tmp_path, 300, size=lambda i: form.format(rng.uniform(0, 99)))
    assert isinstance(task.encoding.features["size"], Numbers)


def test_values_of_new_rows_that_are_all_unknown_are_told(tmp_path):
    task = of(tmp_path, 40, sex=lambda i: ["Male", "Female"][i % 3 == 0])
    table(tmp_path / "b.csv", 3, sex=lambda i: ["male", "female", "Male"][i])
    told = "column `sex` of .*: 2 of 3 values are none of the training rows', such as 'male'; those had Fem"
    with pytest.warns(UserWarning, match=told):
        encode("b.csv", task.encoding, base=tmp_path)


def test_numbers_of_another_scale_are_told(tmp_path):
    task = of(tmp_path, 40, size=lambda i: 1.5 + i / 100)
    table(tmp_path / "b.csv", 3, size=lambda i: [150, "", 1.7][i])
    with pytest.warns(
        UserWarning, match="column `size` of .*: 1 of 3 values lie over 100 spreads .*, as 150"
    ):
        encode("b.csv", task.encoding, base=tmp_path)


def test_decimals_are_numbers():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"p": [Decimal(i) / 4 for i in range(20)], "y": ["a", "b"] * 10})
    (task,) = from_frame(frame, label="y", split=SplitSpec(test=0))
    assert task.encoding.features["p"] == Numbers(19 / 8, pytest.approx(1.44157, abs=1e-5), missing=False)


# Dates.


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("%Y-%m-%d", "ISO"),
        ("%Y-%m-%dT%H:%M:%SZ", "ISO"),
        ("%Y/%m/%d", "%Y/%m/%d"),
        ("%d.%m.%Y", "%d.%m.%Y"),
        ("%m/%d/%Y", "%m/%d/%Y"),
        ("%d/%m/%Y", "%d/%m/%Y"),
        ("%d/%m/%y", "%d/%m/%y"),
        ("%d %b %Y", "%d %b %Y"),
        ("%B %d, %Y", "%B %d, %Y"),
        ("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M"),
        ("%Y-%m", "%Y-%m"),
        ("%b-%y", "%b-%y"),
        ("%m/%Y", "%m/%Y"),
        ("%d%b%Y", "%d%b%Y"),
        ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M:%S %p"),
        ("%a, %d %b %Y %H:%M:%S GMT", "%a, %d %b %Y %H:%M:%S"),
        ("%d/%b/%Y:%H:%M:%S", "%d/%b/%Y:%H:%M:%S"),
        ("%Y%m%d", ""),
        ("%Y", ""),
        ("week %W", ""),
    ],
)
def test_the_form_of_dates_is_found(form, found):
    assert date_format([day.strftime(form) for day in DAYS]) == found
    assert date_format(["unknown", *(day.strftime(form) for day in DAYS)]) == found


def test_words_are_no_dates():
    assert date_format([]) == ""
    assert date_format(["unknown"] * 9) == ""
    assert date_format(["2024-01-31", "unknown", "other"]) == ""
    assert date_format([f"{i}-{i + 1}" for i in range(30)]) == ""


def test_dates_become_parts(tmp_path):
    with pytest.warns(UserWarning, match=r"column `when` read as dates \(ISO\)"):
        task = of(tmp_path, 300, when=lambda i: date(2020, 1, 1) + timedelta(days=7 * i))
    how = task.encoding.features["when"]
    assert (how.format, how.hours, how.missing, how.width) == ("ISO", False, False, 5)
    x = task.train.x[:, 1:]
    assert x[:, 0].mean().abs() < 1e-4
    assert float(x[:, 0].std(correction=0)) == pytest.approx(1, abs=1e-4)
    assert (x[:, 1:3].square().sum(1) - 1).abs().max() < 1e-5  # a circle of a year
    assert (x[:, 3:] - x[0, 3:]).abs().max() < 1e-5  # every row is a Wednesday
    assert x[0, 3:].tolist() == pytest.approx([math.sin(4 * math.pi / 7), math.cos(4 * math.pi / 7)])


def test_later_dates_are_read_as_the_training_rows_were():
    said = [f"{day:%d.%m.%Y}" for day in DAYS]
    how = Dates.fit(said, "%d.%m.%Y", missing=False)
    assert torch.equal(how.make(said, "when", "it")[:4], how.make(said[:4], "when", "it"))
    other = how.make(["31.12.1999", None, "soon"], "when", "it")
    assert other[0].abs().max() < 20
    assert other[1:].tolist() == [[0.0] * 5] * 2
    with pytest.raises(
        ValueError, match=r"column `when` of it should be dates .* \"%d.%m.%Y\", .*'2024-01-31'"
    ):
        how.make(["2024-01-31", "2024-02-01", said[0]], "when", "it")
    assert Dates(**json.loads(json.dumps(how.to_json()))) == how


def test_hours_and_holes_have_features_of_their_own():
    said = [str(datetime(2024, 1, 1, hour)) for hour in range(24)]
    how = Dates.fit(said, "ISO", missing=True)
    assert (how.hours, how.missing, how.width) == (True, True, 8)
    made = how.make([said[0], said[6], None], "when", "it")
    assert made[0, 5:].tolist() == [0, 1, 0]
    assert made[1, 5:].tolist() == pytest.approx([1, 0, 0], abs=1e-6)
    assert made[2].tolist() == [0] * 7 + [1]
    assert how.std == 365.25  # rows of one day: a date a year away is a unit away


# Labels that are whole numbers.


def kind_of(values, **said):
    return answers(values, "y", "it", **said)[0]


@pytest.mark.parametrize(
    "values",
    [
        [51 + i % 34 for i in range(300)],  # a weight: over 20 values
        [3, 8, 9, 12, 15, 17, 30] * 4,  # over 6, of under 5 rows each
        [i % 30 for i in range(149)],  # from 0 without gap, but not with 5 rows each
        [i % 30 + 2 for i in range(300)],  # not from 0 or 1
        [i % 30 * 2 for i in range(300)],  # with gaps
    ],
)
def test_whole_numbers_of_a_quantity_are_numbers_and_told(values):
    with pytest.warns(
        UserWarning, match="label column `y` of it: .* whole numbers, taken as numbers; say `kind"
    ):
        assert kind_of(values) == Regression()
    assert kind_of(values, kind="classes") == Multiclass(sorted(set(values)))


@pytest.mark.parametrize(
    "values",
    [
        [3, 8, 9, 12, 15, 17, 30] * 5,
        [i % 77 for i in range(77 * 5)],
        [i % 77 + 1.0 for i in range(77 * 5)],
        [i % 20 * 3 for i in range(100)],
    ],
)
def test_whole_numbers_that_are_codes_are_classes_and_told(values):
    with pytest.warns(UserWarning, match='taken as classes; say `kind = "numbers"` for numbers'):
        assert kind_of(values) == Multiclass(sorted({int(v) for v in values}))
    assert kind_of(values, kind="numbers") == Regression()


def test_few_whole_numbers_are_classes_without_a_word():
    assert kind_of([1, 2, 3, 5, 8, 13]) == Multiclass([1, 2, 3, 5, 8, 13])
    assert kind_of([0, 1, None, 1]) == Multiclass([0, 1])


def test_a_kind_may_be_said_by_column(tmp_path):
    lines = [f"{i / 7},{i % 9},{i % 8}" for i in range(72)]
    (tmp_path / "a.csv").write_text("\n".join(["x,a,b", *lines]) + "\n")
    said = {"a": "numbers", "b": "classes"}
    a, b = read("csv:a.csv#a,b", base=tmp_path, kind=said)
    assert (a.kind, b.kind) == (Regression(), Multiclass(range(8)))
    assert read("digits:0-4", kind={})[0].kind == Multiclass(range(5))
