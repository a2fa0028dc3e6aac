"""Tables in files of other formats: JSON Lines and Excel, and the word for a reader that is not theirs."""

import gzip
import json
import re
from datetime import date

import pytest
import torch

from headstart.datasets import encode, read
from headstart.datasets.readers.files import header, load
from headstart.tasks import Multiclass, Regression

ROWS = [
    {"age": 20 + i, "job": ["cook", "clerk", None][i % 3], "card": i % 2 == 0, "pay": i / 4, "y": "ab"[i % 2]}
    for i in range(40)
]


def jsonl(path, rows=ROWS):
    path.write_text(
        "".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in rows)
    )
    return path.name


def csv(path, rows=ROWS):
    said = [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
    path.write_text("\n".join([",".join(rows[0]), *said]) + "\n")
    return path.name


def same(one, other):
    assert one.kind == other.kind
    assert one.encoding.features == other.encoding.features
    assert torch.equal(one.train.x, other.train.x)
    assert torch.equal(one.test.y, other.test.y)


def test_json_lines_give_the_same_as_csv(tmp_path):
    jsonl(tmp_path / "a.jsonl")
    csv(tmp_path / "a.csv")
    for labels in ("y", "y,pay"):
        for ours, theirs in zip(
            read(f"jsonl:a.jsonl#{labels}", base=tmp_path),
            read(f"csv:a.csv#{labels}", base=tmp_path),
            strict=True,
        ):
            same(ours, theirs)
    (task,) = read("jsonl:a.jsonl#y", base=tmp_path)
    assert task.encoding.reader == "jsonl"
    assert torch.equal(
        encode("a.jsonl", task.encoding, base=tmp_path), encode("csv:a.csv", task.encoding, base=tmp_path)
    )


def test_packed_lines_and_lines_under_another_name(tmp_path):
    jsonl(tmp_path / "a.jsonl")
    text = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n\r\n")))
    (tmp_path / "c.log").write_bytes(text)
    (first,) = read("jsonl:a.jsonl#y", base=tmp_path)
    for name in ("b.jsonl.gz", "c.log"):
        same(read(f"jsonl:{name}#y", base=tmp_path)[0], first)


def test_text_in_json_lines(tmp_path):
    rows = [{"text": f"{'good' if i % 2 else 'bad'} film {i}", "y": "ab"[i % 2], "n": i} for i in range(20)]
    jsonl(tmp_path / "a.jsonl", rows)
    (task,) = read("text:a.jsonl#y", base=tmp_path)
    assert task.kind == Multiclass(["a", "b"])
    assert {"good", "bad", "film"} <= set(task.encoding.vocabulary)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n\n", "a JSON object in every line; found no lines"),
        ('{"a": 1}\n[1]\n', r"line 2 of .* a JSON object, as in .*; found a list; convert a list by pandas"),
        ("[\n{}\n]", r"line 1 of .*; found other text"),
        ('{"a": 1}\n{"a": ', r"line 2 of .*; found other text"),
        ("a,b\n1,2\n", r"line 1 of .*; found other text"),
    ],
)
def test_wrong_lines_are_named(tmp_path, content, message):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(ValueError, match=message):
        read("jsonl:a.jsonl#y", base=tmp_path)


@pytest.mark.parametrize(
    ("reference", "right"),
    [
        ("csv:t.jsonl#y", "jsonl:t.jsonl#y"),
        ("csv:t.xlsx#y", "excel:t.xlsx#y"),
        ("jsonl:t.xlsx#y", "excel:t.xlsx#y"),
        ("excel:t.json#y", "jsonl:t.json#y"),
    ],
)
def test_the_right_reader_is_named(tmp_path, reference, right):
    with pytest.raises(ValueError, match=f'reader of "{reference}" should be .*; write "{right}"'):
        read(reference, base=tmp_path)


def test_a_bare_name_has_the_reader_of_its_format(tmp_path):
    with pytest.raises(ValueError, match=r'as in "excel:t.xlsx#y"'):
        read("t.xlsx#y", base=tmp_path)


def test_without_openpyxl_the_line_that_converts_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("headstart.datasets.readers.files.find_spec", lambda name: None)
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04")
    message = r'install "headstart\[excel\]"; or save it as CSV, as by: soffice .* --convert-to csv .*t.xlsx'
    with pytest.raises(ImportError, match=message):
        read("excel:t.xlsx#y", base=tmp_path)


def workbook(path, rows, *, sheets=1):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(list(rows[0]))
    for row in rows:
        sheet.append(list(row.values()))
    for _ in range(sheets - 1):
        book.create_sheet()
    book.save(path)
    return path.name


def test_a_workbook_gives_the_same_as_its_csv(tmp_path):
    workbook(tmp_path / "a.xlsx", ROWS)
    csv(tmp_path / "a.csv")
    same(read("excel:a.xlsx#y", base=tmp_path)[0], read("csv:a.csv#y", base=tmp_path)[0])
    (pay,) = read("excel:a.xlsx#pay", base=tmp_path)
    assert pay.kind == Regression()
    assert header(tmp_path / "a.xlsx") == list(ROWS[0])


def test_days_and_sheets_of_a_workbook(tmp_path):
    rows = [{"when": date(2024, 1, 1 + i), "y": "ab"[i % 2]} for i in range(30)]
    workbook(tmp_path / "a.xlsx", rows, sheets=3)
    with (
        pytest.warns(UserWarning, match="the first of its 3 sheets is read"),
        pytest.warns(UserWarning, match="column `when` read as dates"),
    ):
        (task,) = read("excel:a.xlsx#y", base=tmp_path)
    assert task.train.x.shape[1] == 5


@pytest.mark.parametrize("name", ["a.xlsx", "a.xls"])
def test_what_is_no_workbook_is_refused(tmp_path, name):
    pytest.importorskip("openpyxl")
    (tmp_path / name).write_bytes(bytes(range(256)) * 9)
    with pytest.raises(
        ValueError, match=r"should be a whole .xlsx workbook; found another .*; save it as CSV"
    ):
        read(f"excel:{name}#y", base=tmp_path)


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\n", "\n\n a ;b\r\n1;2", '"a\tx"\t"b"\n1\t2', '"a\n1",b\n1,2\n', "\ufeffa,b\n1,2", "a\n1"],
)
def test_a_header_is_that_of_the_table(tmp_path, text):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert header(tmp_path / "a.csv") == list(load(tmp_path / "a.csv").columns)


def test_a_header_of_parquet(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pandas.DataFrame({"a": [1], "b": [2]}).to_parquet(tmp_path / "a.parquet")
    assert header(tmp_path / "a.parquet") == ["a", "b"]
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=re.escape("a whole Parquet file")):
        header(tmp_path / "b.parquet")
