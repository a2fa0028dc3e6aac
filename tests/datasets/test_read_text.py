import random
import unicodedata

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headstart.datasets import encode, read
from headstart.datasets.readers.lengths import shortened
from headstart.datasets.readers.text import TextEncoding, token_ids, vocabulary, words
from headstart.tasks import Labelled, Task, Tokens

LINES = [
    ("A good bolt, a GOOD nut", "pos", "train"),
    ("bad bolt", "neg", "train"),
    ("a bad unseen nut", "neg", "test"),
]


def reviews(path, column="text", mark="\t", rows=LINES):
    path.write_text("\n".join(mark.join(r) for r in [(column, "label", "split"), *rows]) + "\n")


def test_words_are_numbered_by_the_train_rows(tmp_path):
    reviews(tmp_path / "a.tsv")
    (task,) = read("text:a.tsv#label", base=tmp_path)
    assert task.encoding.vocabulary == ("a", "bolt", "good", ",", "bad", "nut")
    assert task.train.x.tolist() == [[2, 4, 3, 5, 2, 4, 7], [6, 3, 0, 0, 0, 0, 0]]
    assert task.test.x.tolist() == [[2, 6, 1, 7, 0, 0, 0]]
    assert task.train.x.dtype == torch.long
    assert task.kind.classes == ("neg", "pos")


@pytest.mark.parametrize("column", ["text", "review"])
def test_new_rows_are_numbered_alike(tmp_path, column):
    reviews(tmp_path / "a.tsv", column)
    (task,) = read("text:a.tsv#label", base=tmp_path)
    (tmp_path / "new.csv").write_text(f'{column}\n"a good nut, a bad bolt, and more words"\n')
    with pytest.warns(UserWarning, match="of 1 of 1 texts only the first 7 tokens are read: as many"):
        assert encode("new.csv", task.encoding, base=tmp_path).tolist() == [[2, 4, 7, 5, 2, 6, 3]]
    (tmp_path / "new.txt").write_text("bad\nbolt bolt\n")
    assert encode("new.txt", task.encoding, base=tmp_path)[:, :2].tolist() == [[6, 0], [3, 3]]


def test_test_rows_that_are_longer_than_all_train_rows_are_told(tmp_path):
    reviews(tmp_path / "a.tsv", rows=[*LINES, ("a good nut, " * 3, "neg", "test")])
    with pytest.warns(UserWarning, match="of 1 of 4 texts only the first 7 tokens are read: as many"):
        (task,) = read("text:a.tsv#label", base=tmp_path)
    assert task.test.x.shape[1] == 7


def test_another_file_can_share_the_vocabulary(tmp_path):
    reviews(tmp_path / "a.tsv")
    (source,) = read("text:a.tsv#label", base=tmp_path)
    reviews(tmp_path / "b.tsv", rows=[("new nut", "pos", "train"), ("bad bolt", "neg", "train")])
    (target,) = read("text:b.tsv#label", base=tmp_path, encoding=source.encoding)
    assert target.train.x[:, :2].tolist() == [[1, 7], [6, 3]]
    assert target.encoding.vocabulary == source.encoding.vocabulary


def test_the_text_column_must_be_clear(tmp_path):
    (tmp_path / "a.csv").write_text("title,body,label\n" + "x,y,1\nz,w,2\n" * 5)
    with pytest.raises(ValueError, match=r"one column of strings; found \['title', 'body'\]; rename"):
        read("text:a.csv#label", base=tmp_path)


def test_line_separators_and_quoted_lines_belong_to_the_text(tmp_path):
    text = "text,label\n" + 'bolt\u2028nut,x\n"a ""good""\r\nbolt",y\n' * 5
    (tmp_path / "a.csv").write_bytes(text.encode())
    with pytest.warns(UserWarning, match="2 different rows among 10"):
        (task,) = read("text:a.csv#label", base=tmp_path)
    assert len(task.train) + len(task.test) == 10
    assert set(task.encoding.vocabulary) == {"bolt", "nut", "a", "good", '"'}


def test_long_rows_are_cut_and_rare_words_left_out():
    assert vocabulary([["b", "a", "b"], ["c"]], most=2) == ["b", "a"]
    assert token_ids([["b", "c", "a"], []], ["b", "a"], 2).tolist() == [[2, 1], [0, 0]]


@pytest.mark.parametrize("end", ["\u2028", "\x0c", "\x85", "\x0b", "\x1c"])
def test_a_row_is_a_line_of_the_file(tmp_path, end):
    reviews(tmp_path / "a.tsv")
    (task,) = read("text:a.tsv#label", base=tmp_path)
    for line in ("\n", "\r\n"):
        (tmp_path / "n.txt").write_bytes(line.join([f"good{end}nut", "bad", "a"]).encode())
        assert encode("n.txt", task.encoding, base=tmp_path)[:, :2].tolist() == [[4, 7], [6, 0], [2, 0]]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("很好。OK", ["很", "好", "。", "ok"]),
        ("日本のカード", ["日", "本", "の", "カ", "ー", "ド"]),
        ("ดีมาก", ["ดี", "ม", "า", "ก"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("தமிழ் மொழி!", ["தமிழ்", "மொழி", "!"]),
        ("e\u0301te\u0301 l’été", ["été", "l’été"]),
        ("안녕하세요 세계", ["안녕하세요", "세계"]),
    ],
)
def test_words_of_every_script(text, cut):
    assert words(text) == cut


@given(st.text())
def test_no_character_but_white_space_is_lost(text):
    whole = "".join(unicodedata.normalize("NFC", text).lower().split())
    assert "".join(words(text)) in (whole, "".join(ch for ch in whole if not ch.isspace()))


def test_sentences_without_spaces_are_told_apart(tmp_path):
    rng = random.Random(0)
    some = "我你他她们今天明天昨天电影书本"
    rows = [
        ("".join(rng.choices(some, k=6)) + "好差"[i % 2] + "".join(rng.choices(some, k=4)), "ab"[i % 2])
        for i in range(100)
    ]
    reviews(tmp_path / "a.tsv", rows=[(*row, "test" if i > 80 else "train") for i, row in enumerate(rows)])
    (task,) = read("text:a.tsv#label", base=tmp_path)
    assert (task.test.x > 1).all()


def test_rows_read_with_room_to_spare_are_shortened_together():
    x = torch.tensor([[3, 4, 0, 0, 0], [5, 6, 7, 0, 0]])
    y = torch.where(x > 0, 0, -100)
    encoding = TextEncoding(reader="conll", vocabulary=("a", "b"), length=5)
    kinds = {"first": Tokens(2), "second": Tokens(3)}
    tasks = [Task(name, kind, Labelled(x, y), encoding=encoding) for name, kind in kinds.items()]
    first, second = shortened(tasks)
    assert first.train.x is second.train.x
    assert torch.equal(first.train.x, x[:, :3])
    assert torch.equal(second.train.y, y[:, :3])
    assert first.encoding is not None
    assert first.encoding.row_shape() == (3,)
