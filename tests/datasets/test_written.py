"""Numbers, words and labels as people write them: read as what they mean, or told by the column's name."""

import csv
import io
import math
import random
import unicodedata
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headstart.datasets import SplitSpec, encode, encoding_from_json, from_frame, read
from headstart.datasets.readers import files
from headstart.datasets.readers.columns import Categories
from headstart.datasets.readers.labels import answers, typed
from headstart.datasets.readers.streams import columns
from headstart.datasets.readers.written import Style, number, spelled, style_of
from headstart.tasks import Multiclass, Regression

ALL = SplitSpec(test=0)


def write(path, header, rows, mark=","):
    text = io.StringIO()
    csv.writer(text, delimiter=mark, lineterminator="\n").writerows([header, *rows])
    path.write_text(text.getvalue(), encoding="utf-8")
    return path.name


def one(tmp_path, values, mark=",", **how):
    """Read one column of inputs beside a noise; return what it became, and what was said."""
    rng = random.Random(0)
    rows = [(v, f"{rng.random():.6f}", "ab"[i % 2]) for i, v in enumerate(values)]
    name = write(tmp_path / "a.csv", ["col", "noise", "y"], rows, mark)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        (task,) = read(f"csv:{name}#y", base=tmp_path, split=ALL, **how)
    return task, " | ".join(str(w.message) for w in said)


# Numbers.


@pytest.mark.parametrize(
    ("form", "style"),
    [
        (lambda v: f"{v:.2f}".replace(".", ","), Style(",")),
        (lambda v: f"{1000 * v:,.2f}", Style(".", ",")),
        (lambda v: f"{1000 * v:,.2f}".translate(str.maketrans(",.", ".,")), Style(",", ".")),
        (lambda v: f"{1000 * v:,.1f}".translate(str.maketrans(",.", "\u202f,")), Style(",", " ")),
        (lambda v: f"{1000 * v:,.0f}".replace(",", "’"), Style(".", "'")),
        (lambda v: f"€ {v:.2f}", Style(".", "", "€")),
        (lambda v: f"{v:.2f} CHF", Style(".", "", "CHF")),
        (lambda v: f"{v:.1f}%", Style(".", "", "%")),
        (lambda v: f"{v:.1f} mg/dl", Style(".", "", "mg/dl")),
        (lambda v: f"\u2212{100 - v:.2f}", Style()),
        (lambda v: f"({100 - v:.2f})", Style()),
        (lambda v: f"<= {v:.2f}" if v < 20 else f"{v:.2f}", Style()),
    ],
)
def test_numbers_in_the_ways_of_the_world_are_numbers_and_told(tmp_path, form, style):
    rng = random.Random(1)
    values = [rng.uniform(1, 99) for _ in range(80)]
    task, said = one(tmp_path, [form(v) for v in values])
    made = task.encoding.features["col"]
    assert made.style == style
    assert "column `col` read as numbers, such as" in said
    same = np.corrcoef(task.train.x[:, 0], values)[0, 1]
    assert same == pytest.approx(1, abs=1e-3)
    again = encoding_from_json(task.encoding.to_json())
    assert torch.equal(encode("csv:a.csv#y", again, base=tmp_path), task.train.x)


@given(
    st.lists(st.floats(-1e6, 1e6).map(lambda v: round(v, 3)), min_size=5, max_size=20, unique=True),
    st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'"), (".", ""), (",", "")]),
)
def test_every_style_reads_what_it_writes(values, marks):
    decimal, group = marks
    signs = str.maketrans(",.", group.ljust(1, "\0") + decimal)
    texts = [f"{v:,.3f}".translate(signs).replace("\0", "") for v in values]
    assert [Style(decimal, group).number(t) for t in texts] == values
    found = style_of(dict.fromkeys(texts, 1))
    if any(group and group in t for t in texts):  # else a dot may be either mark
        assert found is not None
        assert [found.number(t) for t in texts] == values


@pytest.mark.parametrize(
    "values",
    [["<50", ">50"], ["1st", "2nd", "3rd"], ["18-25", "26-40", "41-60"], ["12:30", "13:45", "9:05"],
     ["10.0.0.1", "10.0.0.2", "10.0.0.7"], ["1.2.3", "1.10.0", "2.0.1"], ["c3", "c4", "c5"]],
)  # fmt: skip
def test_what_only_looks_like_numbers_stays_categories(tmp_path, values):
    task, said = one(tmp_path, values * 20)
    assert isinstance(task.encoding.features["col"], Categories)
    assert said == ""


def test_a_thousand_or_three_decimals_is_told_by_the_file(tmp_path):
    values = [f"{i},{500 + i}" for i in range(1, 60)]
    assert one(tmp_path, values)[0].encoding.features["col"].style == Style(".", ",")
    assert one(tmp_path, values, mark=";")[0].encoding.features["col"].style == Style(",")


@pytest.mark.parametrize("word", ["unknown", "-", "#N/A", ".", "n.d.", "#DIV/0!", "not available"])
def test_placeholders_among_numbers_are_missing_and_told(tmp_path, word):
    task, said = one(tmp_path, [word if i % 6 == 0 else f"{i * 1.5}" for i in range(90)])
    assert task.encoding.features["col"].missing
    assert f"taken as missing where it says {word!r}, in 15 rows" in said
    assert torch.equal(task.train.x[:, 1].nonzero().flatten(), torch.arange(0, 90, 6))


def test_one_outlier_does_not_decide_a_columns_scale(tmp_path):
    rng = random.Random(0)
    for outlier in (1e12, -1e9, 1e6):
        task, said = one(tmp_path, [outlier if i == 7 else round(rng.gauss(5, 2), 3) for i in range(300)])
        x = task.train.x[:, 0]
        assert "1 rows that are far from all others" in said
        assert x.abs().max() < 5
        assert 0.9 < x.std() < 1.1
        again = encoding_from_json(task.encoding.to_json())
        with pytest.warns(UserWarning, match="1 of 300 values lie over 100 spreads from training rows"):
            assert torch.equal(encode("csv:a.csv#y", again, base=tmp_path), task.train.x)
    heavy, said = one(tmp_path, [round(math.exp(rng.gauss(0, 1.5)), 4) for _ in range(500)])
    assert heavy.encoding.features["col"].most == 0


@pytest.mark.parametrize("start", [0, 1, 7000])
def test_whole_numbers_in_the_order_of_the_rows_are_told(tmp_path, start):
    _, said = one(tmp_path, [start + 3 * i for i in range(150)])
    assert "column `col` kept as numbers, though they tell rows apart" in said
    _, said = one(tmp_path, [start + (37 * i) % 150 for i in range(150)])
    assert said == ""
    _, said = one(tmp_path, [start + 0.5 * i for i in range(150)])
    assert said == ""


# Words.


@pytest.mark.parametrize("word", ["None", "NA", "null", "nan", "N/A"])
def test_a_word_for_nothing_among_words_is_a_value_in_every_format(tmp_path, word):
    pandas = pytest.importorskip("pandas")
    values = [word, "mild", "severe"] * 20
    rows = [(i % 7, v) for i, v in enumerate(values)]
    write(tmp_path / "a.csv", ["x", "y"], rows)
    with pytest.warns(UserWarning, match=rf"'{word}' is a class of its own \(20 rows\)"):
        (task,) = read("csv:a.csv#y", base=tmp_path, split=ALL)
    assert task.kind == Multiclass(sorted({*values}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (frame,) = from_frame(pandas.DataFrame(rows, columns=["x", "y"]), label="y", split=ALL)
    assert frame.kind == task.kind
    assert torch.equal(frame.train.y, task.train.y)
    task, said = one(tmp_path, values)
    assert word in task.encoding.features["col"].categories
    assert f"{word!r} (20 rows) as a value of its own" in said
    empty, given_ = encode(tmp_path / _new(tmp_path, ["", word]), task.encoding)
    assert not torch.equal(empty, given_)


def _new(tmp_path, values):
    return write(tmp_path / "new.csv", ["col", "noise"], [(v, 0.5) for v in values])


def test_words_for_nothing_among_numbers_and_known_classes_are_missing(tmp_path):
    assert typed(["1", "NA", "2"]) == [1, None, 2]
    task, said = one(tmp_path, ["NA" if i % 5 == 0 else i * 1.5 for i in range(60)])
    assert task.encoding.features["col"].missing
    assert said == ""
    write(tmp_path / "b.csv", ["col", "noise", "y"], [(1, 0.5, "a"), (2, 0.5, "NA"), (3, 0.1, "b")])
    (later,) = read("csv:b.csv#y", base=tmp_path, encoding=task.encoding, split=ALL)
    assert later.train.y.tolist() == [0, -100, 1]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (["1", "2", "x"], ["1", "2"]),
        (["0.5", "1.5", "low"], ["0.5", "1.5"]),
        (["true", "false", "maybe"], ["true", "false"]),
        (["01", "02", "10"], ["10"]),
        (["01", "1", "001"], ["001", "1", "01"]),
    ],
)
def test_labels_of_a_later_file_are_the_classes_that_are_written_alike(tmp_path, first, later):
    pandas = pytest.importorskip("pandas")
    task, _ = one_label(tmp_path, "a.csv", first)
    assert set(task.kind.classes) == set(first)
    again, _ = one_label(tmp_path, "b.csv", later, encoding=task.encoding)
    assert [again.kind.classes[k] for k in again.train.y] == later * 20
    pandas.DataFrame({"f": [0.5] * len(later), "y": later}).to_parquet(tmp_path / "b.parquet")
    (again,) = read("parquet:b.parquet#y", base=tmp_path, encoding=task.encoding, split=ALL)
    assert [again.kind.classes[k] for k in again.train.y] == later


def one_label(tmp_path, name, labels, **how):
    rng = random.Random(0)
    write(tmp_path / name, ["f", "y"], [(rng.random(), v) for v in labels * 20])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        (task,) = read(f"csv:{name}#y", base=tmp_path, split=ALL, **how)
    return task, " | ".join(str(w.message) for w in said)


@given(st.lists(st.sampled_from(["1", "2.0", "3.5", "x", "true", "NA", "007", "7"]), min_size=1, max_size=9))
def test_any_part_of_the_classes_is_met_again(labels):
    classes = ["1", "2.0", "3.5", "x", "true", "NA", "007", "7"]
    kind, y = answers(labels, "y", "it", classes=classes)
    assert [kind.classes[k] for k in y] == labels
    _, y = answers([v for v in labels if v == "1"] or ["7"], "y", "it", classes=[1, 7])
    assert y.tolist() == [0] * labels.count("1") or y.tolist() == [1]


def test_fractions_that_are_classes_stay_apart_and_are_read_again(tmp_path):
    values = ["0.12345671", "0.12345672", "2.5"]
    task, _ = one_label(tmp_path, "a.csv", values, kind="classes")
    assert task.kind.classes == tuple(values)
    again, _ = one_label(tmp_path, "b.csv", ["2.5", "0.12345672"], encoding=task.encoding)
    assert again.train.y[:2].tolist() == [2, 1]


@pytest.mark.parametrize("words", [["Yes", "yes", "no"], ["New York", "NewYork", "Rome"], ["A", "a", "B"]])
def test_classes_that_differ_by_case_or_spaces_are_told(tmp_path, words):
    task, said = one_label(tmp_path, "a.csv", words)
    assert len(task.kind.classes) == 3
    assert "differ by case or spaces alone" in said


def test_a_class_of_a_row_or_two_among_many_is_told(tmp_path):
    _, said = one_label(tmp_path, "a.csv", [*"ab" * 5, *"c"])
    assert said == ""
    rng = random.Random(0)
    write(
        tmp_path / "a.csv", ["f", "y"], [(rng.random(), "c" if i == 9 else "ab"[i % 2]) for i in range(300)]
    )
    with pytest.warns(UserWarning, match=r"1 of 3 classes have under 3 rows, such as 'c' \(1\)"):
        read("csv:a.csv#y", base=tmp_path, split=ALL)


def test_a_regression_of_written_numbers(tmp_path):
    rng = random.Random(0)
    rows = [
        (i * 0.1, f"{rng.uniform(1000, 9000):,.2f}".translate(str.maketrans(",.", ".,"))) for i in range(80)
    ]
    write(tmp_path / "a.csv", ["f", "price"], rows, mark=";")
    with pytest.warns(UserWarning, match="label column `price` of .*: read as numbers, such as"):
        (task,) = read("csv:a.csv#price", base=tmp_path, split=ALL)
    assert task.kind == Regression()
    assert 1000 < task.train.y.min() < task.train.y.max() < 9000


@pytest.mark.parametrize("word", ["café", "Zürich", "Ångström", "한국"])
def test_one_word_written_in_two_ways_is_one(tmp_path, word):
    ways = [unicodedata.normalize(form, word) for form in ("NFC", "NFD")]
    task, _ = one_label(tmp_path, "a.csv", [*ways, "other"])
    assert len(task.kind.classes) == 2
    task, _ = one(tmp_path, [*ways, "b", "c"] * 10)
    assert len(task.encoding.features["col"].categories) == 3
    a, b = encode(tmp_path / _new(tmp_path, ways), task.encoding)
    assert torch.equal(a, b)
    write(tmp_path / "a.csv", ["x", ways[1]], [(i, "ab"[i % 2]) for i in range(40)])
    (task,) = read(f"csv:a.csv#{ways[0]}", base=tmp_path, split=ALL)
    assert task.name == ways[0]


def test_truths_and_whole_numbers_are_spelled_alike_by_all_readers(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"col": [True, False] * 20, "y": list("aabb") * 10})
    frame.to_parquet(tmp_path / "a.parquet")
    (task,) = read("parquet:a.parquet#y", base=tmp_path, split=ALL)
    for pair in (["true", "false"], ["TRUE", "FALSE"], ["True", "False"]):
        assert torch.equal(encode(tmp_path / _new(tmp_path, pair), task.encoding), task.train.x[:2])
    assert spelled("1.0") == spelled(1) == spelled(1.0) == "1"
    old = Categories(("False", "True"))  # of an older model
    assert old.make(["true", "False"], "col", "it").tolist() == [[0, 1], [1, 0]]


def test_new_categories_are_told_with_column_share_and_example(tmp_path):
    task, _ = one(tmp_path, ["red", "green", "blue"] * 20)
    with pytest.warns(UserWarning, match="column `col` of .*: 2 of 8 values are none .*, such as 'pink'"):
        encode(tmp_path / _new(tmp_path, ["pink", "grey", *["red"] * 6]), task.encoding)


# References and files.


@pytest.mark.parametrize("name", ["income, yearly", "a,b,c", "item #", "#", "p#q, r", "x,"])
def test_label_columns_may_have_any_name(tmp_path, name):
    rows = [(i * 0.1, "ab"[i % 2], "uv"[i % 2]) for i in range(40)]
    write(tmp_path / "a.csv", ["f", name, "other"], rows)
    (task,) = read(f"csv:a.csv#{name}", base=tmp_path, split=ALL)
    assert task.kind.classes == ("a", "b")
    if not name.endswith(","):
        both = read(f"csv:a.csv#{name},other", base=tmp_path, split=ALL)
        assert [t.kind.classes for t in both] == [("a", "b"), ("u", "v")]


def test_a_mark_in_quotes_of_the_header_is_no_delimiter(tmp_path):
    for mark, other in ((";", ","), (",", ";"), ("\t", ",")):
        header = [f"length{other} cm{other}", f"weight{other}{other} kg", "y"]
        write(tmp_path / "a.csv", header, [(i, i / 2 + (i % 3), "ab"[i % 2]) for i in range(40)], mark)
        text = (tmp_path / "a.csv").read_text().partition("\n")[2]
        (tmp_path / "a.csv").write_text(mark.join(f'"{name}"' for name in header) + "\n" + text)
        assert files.header(tmp_path / "a.csv") == header
        assert read("csv:a.csv#y", base=tmp_path, split=ALL)[0].train.x.shape == (40, 2)


def test_a_field_of_any_length_and_the_limit_is_put_back(tmp_path):
    before = csv.field_size_limit()
    rows = [(f"{'word ' * 20}{i}", "ab"[i % 2]) for i in range(40)] + [
        ("long " * 60_000, "a"),
        ('a "b" c', "b"),
    ]
    write(tmp_path / "a.csv", ["text", "y"], rows)
    with pytest.warns(UserWarning, match="of 1 of 42 texts only the first 256 tokens are read"):
        (task,) = read("text:a.csv#y", base=tmp_path, split=ALL)
    assert len(task.train) == 42
    (tmp_path / "b.csv").write_text((tmp_path / "a.csv").read_text().replace(",a\n", ', "a"\n'))
    with pytest.warns(UserWarning, match="of 1 of 42 texts only the first 256 tokens are read"):
        (again,) = read("text:b.csv#y", base=tmp_path, split=ALL)
    assert torch.equal(again.train.x, task.train.x)
    assert csv.field_size_limit() == before


CELLS = st.one_of(
    st.floats(allow_nan=False, width=32).map(str),
    st.integers(-(10**6), 10**6).map(str),
    st.sampled_from(
        ["", "?", "NA", " 1.5", "1e5", "+7", "1_000", "0x10", "nan", "x", 'a "b"', "p,q", "u\nv", "é", " "]
    ),
)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8), st.sampled_from(",;\t"))
@pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra `tables`")
def test_the_fast_reader_reads_as_the_plain_one(rows, mark):
    text = io.StringIO()
    csv.writer(text, delimiter=mark, lineterminator="\n").writerows([["a", "b"], *rows])
    data = text.getvalue().encode()
    table = files.parse_csv(text.getvalue(), "it")
    fast = columns(lambda: io.BytesIO(data), ["a", "b"], mark, ["b"])
    assert fast is not None
    assert list(fast["b"]) == list(table.columns["b"])
    slow = table.columns["a"]
    found = [number(v) for v in slow]
    if None in found:
        assert list(fast["a"]) == list(slow)
    else:
        assert np.array_equal(
            fast["a"].array if hasattr(fast["a"], "array") else found, found, equal_nan=True
        )


@pytest.mark.parametrize(
    "bad",
    [
        b'a,b\n"x"y,2\n',
        b'a,b\n1,x"y\n2,"z\n',
        b"a,b\n1,\0\n",
        b'a,b\n "x",2\n',
        b"a,b\n1\n",
        b"a,b\n\xff,1\n",
    ],
)
def test_what_the_two_readers_cut_otherwise_is_left_to_the_plain_one(bad):
    assert columns(lambda: io.BytesIO(bad), ["a", "b"], ",", []) is None


def test_a_minus_may_stand_behind_a_number():
    style = style_of({"4,943.7-": 1, "120.5": 1, "33.1-": 1, "7-": 1})
    assert [style.number(v) for v in ("4,943.7-", "120.5", "7-", "-7-", "3-4")] == [
        -4943.7,
        120.5,
        -7,
        None,
        None,
    ]


@pytest.mark.parametrize("size", [131_073, 400_000])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_one_long_document_is_a_row_whatever_the_mark(tmp_path, size, mark):
    long = ("word, " if mark != "," else "word ") * (size // 5)
    rows = [(f"short {i}", "ab"[i % 2]) for i in range(20)] + [(long, "b")]
    write(tmp_path / "a.csv", ["text", "y"], rows, mark)
    with pytest.warns(UserWarning, match="of 1 of 21 texts only the first 256 tokens are read"):
        (task,) = read("text:a.csv#y", base=tmp_path, split=ALL)
    assert len(task.train) == 21
    assert task.train.y[task.encoding.division["train"].tolist().index(20)] == 1


@pytest.mark.parametrize("place", [0, 150, 299])
@pytest.mark.parametrize("outlier", [-1e12, 3e30, 1e5])
def test_an_outlier_leaves_the_scale_of_all_other_rows(tmp_path, outlier, place):
    rng = random.Random(1)
    values = [round(rng.gauss(0, 3), 3) for _ in range(300)]
    usual, _ = one(tmp_path, values)
    values[place] = outlier
    task, said = one(tmp_path, values)
    assert "1 rows that are far from all others" in said
    rest = torch.arange(300) != task.encoding.division["train"].tolist().index(place)
    torch.testing.assert_close(task.train.x[rest, 0], usual.train.x[rest, 0], atol=0.05, rtol=0.05)
