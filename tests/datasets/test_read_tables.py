import gzip
import json
import math
import random
import warnings

import pytest
import torch

from headstart.datasets import SplitSpec, encode, read
from headstart.datasets.readers.columns import Categories
from headstart.tasks import Multiclass, Regression

PEOPLE = [
    *(
        (str(20 + i), ["clerk", "cook"][i % 2], ["yes", "no"][i % 3 == 0], f"{i * 1.5}", str(i // 4))
        for i in range(38)
    ),
    ("", "", "yes", "", "9"),
    ("61", "cook", "", "3.5", "9"),
]


def people(path, rows=PEOPLE, header="age,job,married,income,home", mark=","):
    lines = [header, *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines).replace(",", mark) + "\n")
    return path.name


def test_several_label_columns_share_one_tensor(tmp_path):
    name = people(tmp_path / "people.csv")
    married, income = read(f"csv:{name}#married,income", base=tmp_path)
    assert married.kind == Multiclass(["no", "yes"])
    assert income.kind == Regression()
    assert married.train.x is income.train.x
    assert married.test.x is income.test.x
    assert (married.name, income.name) == ("married", "income")
    y = torch.cat([married.train.y, married.test.y])
    assert (y == -100).sum() == 1
    assert torch.cat([income.train.y, income.test.y]).isnan().sum() == 1


def test_features_use_train_rows_only_and_keep_the_recipe(tmp_path):
    rows = [[str(v), job, label, part] for v, job, label, part in [
        (1, "a", "x", "train"), (3, "b", "y", "train"), ("", "a", "x", "train"),
        (9, "c", "y", "test"), ("", "", "x", "test"),
    ]]  # fmt: skip
    people(tmp_path / "a.csv", rows, "size,job,label,split")
    (task,) = read("csv:a.csv#label", base=tmp_path)
    # size standardised by mean 2 and standard deviation 1, missing or not, job a, job b
    assert task.train.x.tolist() == [[-1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0]]
    assert task.test.x.tolist() == [[7, 0, 0, 0], [0, 1, 0, 0]]
    assert json.loads(json.dumps(task.encoding.to_json())) == {
        "reader": "csv", "target": "label", "kind": "Multiclass", "classes": ["x", "y"],
        "features": {"size": {"mean": 2.0, "std": 1.0, "missing": True}, "job": {"categories": ["a", "b"]}},
    }  # fmt: skip


def test_new_rows_are_encoded_alike_with_and_without_labels(tmp_path):
    (task,) = read(f"csv:{people(tmp_path / 'people.csv')}#married", base=tmp_path)
    new = [("30", "cook", "2.0", "1"), ("", "pilot", "", "2")]
    people(tmp_path / "new.csv", new, "age,job,income,home", mark=";")
    with pytest.warns(UserWarning, match="column `job` of .*: 1 of 2 values are none of .*, such as 'pilot'"):
        x = encode("new.csv", task.encoding, base=tmp_path)
    people(tmp_path / "new.csv", [new[0], ("", "", "", "2")], "age,job,income,home", mark=";")
    assert torch.equal(x, encode("new.csv", task.encoding, base=tmp_path))
    assert x.shape == (2, task.train.x.shape[1])
    assert torch.equal(x, encode(tmp_path / "new.csv", json.loads(json.dumps(task.encoding.to_json()))))
    assert torch.equal(x, encode("csv:new.csv#married", task.encoding, base=tmp_path))
    (again,) = read("csv:people.csv#married", base=tmp_path, encoding=task.encoding, split=SplitSpec(seed=7))
    assert again.kind == task.kind
    assert again.encoding == task.encoding


def test_an_unknown_class_in_new_rows_is_named(tmp_path):
    (task,) = read(f"csv:{people(tmp_path / 'people.csv')}#married", base=tmp_path)
    people(tmp_path / "new.csv", [(str(i), "cook", "yess", "1", "2") for i in range(5)] + list(PEOPLE))
    with pytest.raises(ValueError, match="found 'yess'; did you mean \"yes\""):
        read("csv:new.csv#married", base=tmp_path, encoding=task.encoding)
    free = {k: v for k, v in task.encoding.to_json().items() if k not in ("classes", "kind")}
    (other,) = read("csv:new.csv#married", base=tmp_path, encoding=free)
    assert other.kind == Multiclass(["no", "yes", "yess"])


def test_groups_stay_together_and_are_no_feature(tmp_path):
    (task,) = read(
        f"csv:{people(tmp_path / 'people.csv')}#married", base=tmp_path, split=SplitSpec(group="home")
    )
    assert "home" not in task.encoding.features
    assert len(task.train) + len(task.test) == 40


def test_a_group_on_two_given_sides_is_named(tmp_path):
    rows = [
        ("1", "x", "train", "g1"),
        ("2", "y", "train", "g2"),
        ("3", "x", "valid", "g3"),
        ("4", "y", "test", "g2"),
    ]
    people(tmp_path / "a.csv", rows, "size,label,split,who")
    with pytest.raises(ValueError, match="no `who` on two sides; found g2"):
        read("csv:a.csv#label", base=tmp_path, split=SplitSpec(group="who"))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ("012", Multiclass([0, 1, 2])),
        (["true", "False"], Multiclass([False, True])),
        (["1.5", "2", "3"], Regression()),
        (["5.0", "", "3.0"], Multiclass([3, 5])),
        (["5.0", "4"], Multiclass([4, 5])),
        (["5.0", "4.5"], Regression()),
        (["7", "c3"], Multiclass(["7", "c3"])),
    ],
)
def test_the_kind_follows_from_the_labels(tmp_path, labels, kind):
    rows = [(str(i), labels[i % len(labels)]) for i in range(60)]
    people(tmp_path / "a.csv", rows, "x,label")
    assert read("csv:a.csv#label", base=tmp_path)[0].kind == kind


def test_gzip_and_byte_order_mark(tmp_path):
    people(tmp_path / "a.csv")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + (tmp_path / "a.csv").read_bytes()))
    a, b = (read(f"csv:{name}#married", base=tmp_path)[0] for name in ("a.csv", "b.csv.gz"))
    assert torch.equal(a.train.x, b.train.x)


def test_parquet_gives_the_same_as_csv(tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    people(tmp_path / "a.csv")
    ages, jobs, married, incomes, homes = zip(*PEOPLE, strict=True)
    columns = {
        "age": [int(v) if v else None for v in ages],
        "job": [v or None for v in jobs],
        "married": [v or None for v in married],
        "income": [float(v) if v else math.nan for v in incomes],
        "home": [int(v) for v in homes],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    for ref in ("married", "married,income"):
        a, b = (read(f"{r}:a.{r}#{ref}", base=tmp_path)[-1] for r in ("csv", "parquet"))
        assert a.kind == b.kind
        assert torch.equal(a.train.x, b.train.x)
        assert torch.equal(a.test.y.nan_to_num(-1), b.test.y.nan_to_num(-1))
    assert torch.equal(
        encode("a.parquet", a.encoding, base=tmp_path), encode("a.csv", a.encoding, base=tmp_path)
    )


def test_strings_in_parquet_stay_strings(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = {"zip": ["01", "02"] * 10, "size": list(range(20)), "label": ["1", "2"] * 10}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    (task,) = read("parquet:a.parquet#label", base=tmp_path)
    assert task.kind.classes == ("1", "2")
    assert task.encoding.features["zip"] == Categories(("01", "02"))


GOOD = b"a,label\n" + b"".join(b"%d,%s\n" % (i, b"xy"[i % 2 : i % 2 + 1]) for i in range(20))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "should be rows; found an empty file"),
        (b"\n\n", "should be a header and rows; found an empty file"),
        (b"a,label\n", "rows below the header; found none"),
        (bytes(range(256)) * 9, "should be text in UTF-8; found a binary"),
        (b"a,label\n\0\0,\n", "should be text; found a binary file"),
        (GOOD + b"7", "line 22 of .* should be 2 fields, as in the header; found 1; the file may be cut off"),
        (GOOD + b'7,"x', "found unexpected end of data; the file may be cut off"),
        (b"a,a,label\n1,2,x\n", "should be distinct names"),
        (GOOD.replace(b"y", b"x"), "at least two classes; found one class, 'x'"),
        (b"a,label\n1,\n2,NA\n3,?\n", "at least two labels; found 3 rows, all missing"),
        (
            GOOD.replace(b"\n7,", b"\ninf,"),
            "column `a` of .* should be finite numbers; found infinity in row 7",
        ),
        (
            GOOD.replace(b"a,label", b"a,lable"),
            'a table with column "label", the label, which .*; found no column .*; did you mean "lable"',
        ),
        (b"a,label\n" + b"".join(b"1,name%d\n" % i for i in range(40)), "40 distinct values in 40 rows"),
        (b"label\n" + b"x\ny\n" * 9, "columns beside the label"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read("csv:a.csv#label", base=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_a_missing_file_a_folder_and_a_cut_off_gzip(tmp_path):
    people(tmp_path / "people.csv")
    with pytest.raises(FileNotFoundError, match=r'found nothing there; did you mean "people.csv"'):
        read("csv:poeple.csv#married", base=tmp_path)
    with pytest.raises(ValueError, match="should be a file; found a folder"):
        read("csv:.#married", base=tmp_path)
    packed = gzip.compress((tmp_path / "people.csv").read_bytes())
    (tmp_path / "cut.csv.gz").write_bytes(packed[:-60])
    with pytest.raises(ValueError, match="cut-off"):
        read("csv:cut.csv.gz#married", base=tmp_path)
    with pytest.raises(ValueError, match=r'write "csv:people.csv#label"'):
        read("csv:people.csv", base=tmp_path)


@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 9, "cut"])
def test_a_wrong_parquet_file_is_explained(tmp_path, content):
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    if content == "cut":
        pq.write_table(pa.table({"a": [1, 2], "label": ["x", "y"]}), path)
        content = path.read_bytes()[:-30]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"should be (rows; found an empty file|a whole Parquet file)"):
        read("parquet:a.parquet#label", base=tmp_path)


def test_new_rows_with_a_lost_column_or_words_for_numbers(tmp_path):
    (task,) = read(f"csv:{people(tmp_path / 'people.csv')}#married", base=tmp_path)
    people(tmp_path / "lost.csv", [("1", "cook", "2", "1")], "aeg,job,income,home")
    with pytest.raises(
        ValueError, match=r'column "age", which the model reads; found .*; did you mean "aeg"'
    ):
        encode("lost.csv", task.encoding, base=tmp_path)
    people(tmp_path / "words.csv", [("ten", "cook", "2", "1")], "age,job,income,home")
    with pytest.raises(ValueError, match=r"column `age` of .* should be numbers; found 'ten'"):
        encode("words.csv", task.encoding, base=tmp_path)


def test_a_label_is_no_input_of_rows_read_like_others(tmp_path):
    name = people(tmp_path / "people.csv")
    (task,) = read(f"csv:{name}#married", base=tmp_path)
    alike = task.encoding.alike()
    with pytest.raises(ValueError, match=r"label column `job` of .* should be none of the columns that"):
        read(f"csv:{name}#job", base=tmp_path, encoding=alike)
    (task,) = read(f"csv:{name}#married", base=tmp_path, drop=["job", "none"])
    assert list(task.encoding.features) == ["age", "income", "home"]


def ages(path, *odd, rows=300, header="age,label"):
    """A column of numbers, the last of which are ``odd``."""
    values = [*(f"{20 + 0.1 * i:.1f}" for i in range(rows - len(odd))), *odd]
    people(path, [(v, "xy"[i % 2]) for i, v in enumerate(values)], header)
    return f"csv:{path.name}#label"


def test_a_slip_in_a_column_of_numbers_is_named(tmp_path):
    message = r"column `age` of .* should be numbers, as 299 of its 300 values are; found '4o.1' in row 299"
    with pytest.raises(ValueError, match=message + "; correct it, or leave it empty if it is missing"):
        read(ages(tmp_path / "a.csv", "4o.1"), base=tmp_path)
    with pytest.raises(ValueError, match="found 'uncertain' in row 298, and 1 more"):
        read(ages(tmp_path / "b.csv", "uncertain", "?!"), base=tmp_path)
    with pytest.raises(ValueError, match=r"column `age` .* found '4o\.1' in row 299"):
        read("csv:a.csv#age", base=tmp_path)


@pytest.mark.filterwarnings("ignore:.* are equal to a train row")
def test_a_column_of_numbers_and_many_words_is_one_of_categories(tmp_path):
    reference = ages(tmp_path / "a.csv", *["few years"] * 20, rows=60)
    with pytest.warns(
        UserWarning, match="`age` read as categories: most .* numbers, but 'few years' is none"
    ):
        (task,) = read(reference, base=tmp_path)
    assert isinstance(task.encoding.features["age"], Categories)


def test_missing_numbers_are_no_slips(tmp_path):
    spellings = ["", "?", "NA", "n/a", "nan", "NaN", "null", "None"]
    (task,) = read(ages(tmp_path / "a.csv", *spellings, rows=40), base=tmp_path)
    assert task.encoding.features["age"].missing
    assert torch.cat([task.train.x, task.test.x])[:, 1].sum() == len(spellings)


@pytest.mark.parametrize(("header", "found"), [
    ("a,b,a,label", "found `a` 2 times; "),
    ("a,,b,label", "found no name for column 2; "),
    (",b,b,", "found no name for column 1, no name for column 4, `b` 2 times; "),
])  # fmt: skip
def test_a_wrong_header_names_the_culprits_alone(tmp_path, header, found):
    people(tmp_path / "a.csv", [("1", "2", "3", "x"), ("4", "5", "6", "y")], header)
    with pytest.raises(ValueError, match=f"should be distinct names; {found}name every column once"):
        read("csv:a.csv#label", base=tmp_path)


@pytest.mark.parametrize(("value", "found"), [
    ("inf", "infinity in row 2"),
    ("-Infinity", "infinity in row 2"),
    ("1e300", r"1e\+?300, which float32 cannot hold, in row 2"),
    ("4o", "'4o' in row 2"),
])  # fmt: skip
def test_infinity_and_words_in_new_rows_are_named(tmp_path, value, found):
    (task,) = read(ages(tmp_path / "a.csv"), base=tmp_path)
    people(tmp_path / "new.csv", [("1", "a"), ("", "b"), (value, "c"), ("2", "d")], "age,name")
    with pytest.raises(ValueError, match=rf"column `age` of .* found {found}; correct it"):
        encode("new.csv", task.encoding, base=tmp_path)
    with pytest.raises(ValueError, match=r"column `age` of .* row 299"):
        read(ages(tmp_path / "b.csv", value), base=tmp_path)


def test_whole_numbers_that_pandas_wrote_around_a_gap_are_classes(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = {"size": list(range(20)), "label": [1.0, 2.0, None, 2.0] * 5}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    (task,) = read("parquet:a.parquet#label", base=tmp_path)
    assert task.kind.classes == (1, 2)
    assert all(type(c) is int for c in task.kind.classes)
    (again,) = read("parquet:a.parquet#label", base=tmp_path, encoding=task.encoding)
    assert again.kind == task.kind


def test_the_kind_of_labels_may_be_said(tmp_path):
    stars = "\n".join(["size,stars", *(f"{row},{row % 5}" for row in range(40))])
    (tmp_path / "a.csv").write_text(stars)
    assert read("csv:a.csv#stars", base=tmp_path)[0].kind == Multiclass(range(5))
    (task,) = read("csv:a.csv#stars", base=tmp_path, kind="numbers")
    assert isinstance(task.kind, Regression)
    assert task.train.y.max() == 4
    (tmp_path / "b.csv").write_text(stars.replace(",4", ",4.5"))
    assert isinstance(read("csv:b.csv#stars", base=tmp_path)[0].kind, Regression)
    (task,) = read("csv:b.csv#stars", base=tmp_path, kind="classes")
    assert task.kind == Multiclass(["0", "1", "2", "3", "4.5"])
    with pytest.raises(ValueError, match="`kind` should be given for tables and text only"):
        read("digits:0-4", kind="numbers")


def written(folder, values, head="v", labels="ab", name="a.csv"):
    draw = random.Random(0)
    rows = [f"{v},{draw.gauss(0, 1)},{labels[i % len(labels)]}" for i, v in enumerate(values)]
    (folder / name).write_text("\n".join([f"{head},f,label", *rows]) + "\n")


ALL = SplitSpec(test=0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            [1e9] * 9 + list(range(291)),
            "has 9 rows that are far from all others, such as 1e\\+09, which decide",
        ),
        ([-999] * 60 + [i / 7 for i in range(240)], "has -999 in 60 rows, far from all others"),
        ([f"{i % 9}×10^{i % 5}" for i in range(300)], "read as categories, 45 of them, such as '0×10\\^0'"),
    ],
)
def test_what_decides_a_column_is_told(tmp_path, values, said):
    written(tmp_path, values)
    with pytest.warns(UserWarning, match=f"column `v` {said}"):
        read("csv:a.csv#label", base=tmp_path, split=ALL)


def test_rows_that_are_far_from_the_training_rows_are_told(tmp_path):
    values = [random.Random(i).gauss(0, 1) for i in range(300)]
    written(tmp_path, values)
    (task,) = read("csv:a.csv#label", base=tmp_path)
    values[int(task.encoding.division["test"][0])] = 1e9
    written(tmp_path, values)
    with pytest.warns(UserWarning, match="has 1 rows beside the training rows that lie over 100 spreads"):
        read("csv:a.csv#label", base=tmp_path)


def test_noise_of_a_constant_is_no_spread(tmp_path):
    written(tmp_path, [0.3, 0.1 + 0.2] * 50)
    with pytest.warns(UserWarning, match="column `v` left out: one value"):
        (task,) = read("csv:a.csv#label", base=tmp_path, split=ALL)
    assert list(task.encoding.features) == ["f"]


@pytest.mark.parametrize(
    ("head", "told"), [("customerId", True), ("patientID", True), ("paid", False), ("Piano", False)]
)
def test_names_of_ids_in_camels(tmp_path, head, told):
    written(tmp_path, random.Random(0).sample(range(1000, 9000), 300), head)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        read("csv:a.csv#label", base=tmp_path, split=ALL)
    assert any("tell rows apart as an id does" in str(w.message) for w in said) == told


@pytest.mark.parametrize(
    ("labels", "said", "kept"),
    [
        (["?", "x", "y"], r"'\?' is a class of its own \(30 rows\)", 90),
        (["NA", "1", "2"], "'NA' is taken as missing, in 30 rows", 60),
        (["True", "False", "None"], "'None' is taken as missing, in 30 rows", 60),
        (["ab", "a\u200bb", "z"], "differ by case or spaces alone", 90),
    ],
)
def test_labels_that_say_nothing_or_look_alike_are_told(tmp_path, labels, said, kept):
    written(tmp_path, [i * 7919 % 101 for i in range(90)], labels=labels)
    with pytest.warns(UserWarning, match=said):
        (task,) = read("csv:a.csv#label", base=tmp_path, split=ALL)
    assert int((task.train.y >= 0).sum()) == kept


def test_a_question_mark_among_inputs_is_missing(tmp_path):
    written(tmp_path, ["red", "?", "blue"] * 30)
    (task,) = read("csv:a.csv#label", base=tmp_path, split=ALL)
    assert task.encoding.features["v"].categories == ("blue", "red")


def test_classes_keep_the_text_of_fractions_and_are_met_without_their_zeros(tmp_path):
    written(tmp_path, [i * 7919 % 101 for i in range(90)], labels=["3.9", "3.10", "4.0"])
    (task,) = read("csv:a.csv#label", base=tmp_path, split=ALL, kind="classes")
    assert task.kind.classes == ("3.10", "3.9", "4")
    written(tmp_path, [i * 7919 % 101 for i in range(90)], labels=["01", "02", "10"])
    (task,) = read("csv:a.csv#label", base=tmp_path, split=ALL)
    written(tmp_path, [1, 2, 3], labels=["1", "2", "10"], name="b.csv")
    (later,) = read("csv:b.csv#label", base=tmp_path, split=ALL, encoding=task.encoding)
    assert later.train.y.tolist() == [0, 1, 2]


def test_all_of_a_column_missing_in_new_rows_is_told(tmp_path):
    written(tmp_path, ["red", "blue"] * 30)
    (task,) = read("csv:a.csv#label", base=tmp_path, split=ALL)
    written(tmp_path, ["", ""], name="b.csv")
    with pytest.warns(UserWarning, match="column `v` of .*b.csv.: all values are missing"):
        encode("b.csv", task.encoding, base=tmp_path)


def test_a_label_column_that_ends_as_an_option_of_images(tmp_path):
    written(tmp_path, [i * 7919 % 101 for i in range(90)])
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text(text.replace("label", "x+rotations", 1))
    (task,) = read("csv:a.csv#x+rotations", base=tmp_path, split=ALL)
    assert task.name == "x+rotations"


def test_a_parquet_file_with_one_name_twice_is_refused(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = [pyarrow.array([1.0, 2.0]), pyarrow.array([1.0, 3.0]), pyarrow.array(["a", "b"])]
    parquet.write_table(pyarrow.Table.from_arrays(columns, names=["v", "v", "label"]), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="should be distinct names; found `v` 2 times"):
        read("parquet:a.parquet#label", base=tmp_path)
