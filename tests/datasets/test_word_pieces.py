"""Words with a tag each, cut into the pieces of a tokenizer."""

import json

import pytest
import torch

from headstart.datasets import SplitSpec, encoding_from_json, read
from headstart.datasets.readers.pieces import word_piece_ids
from headstart.datasets.readers.text import PieceEncoding
from headstart.tasks.spelling import unspelled, written

tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")

ALL = SplitSpec(test=0)
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bolt", "##s", "in", "york", "'"]
TAGGED = "Good ADJ O\nbolts NOUN B-thing\nin PREP O\nYork NOUN B-city\n\n\u200d X O\nbolt's NOUN B-thing\n"


def tokenizer(limit=None):
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({w: i for i, w in enumerate(PIECES)}, unk_token="[UNK]")
    )
    made.normalizer = tokenizers.normalizers.BertNormalizer()
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(PIECES[:4])
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.enable_padding(pad_id=0)
    if limit:
        made.enable_truncation(limit)
    return made.to_str()


@pytest.fixture
def tagged(tmp_path):
    (tmp_path / "names.conll").write_text(TAGGED)
    return f"conll:{tmp_path / 'names.conll'}"


def test_a_label_stands_at_the_first_piece_of_its_word(tagged):
    (task,) = read(tagged, split=ALL, tokens=tokenizer())
    assert unspelled(task.train.x).tolist() == [[-2, 4, 5, -6, 7, 8, -3], [-2, 1, 5, -9, -1, -3, 0]]
    names = [[None if k < 0 else task.kind.classes[k] for k in row] for row in task.train.y.tolist()]
    assert names == [
        [None, "O", "B-thing", None, "O", "B-city", None],
        [None, "O", "B-thing", None, None, None, None],
    ]
    assert task.encoding.words_at(task.train.x) == [[1, 2, 4, 5], [1, 2]]


def test_a_word_of_which_nothing_is_left_is_an_unknown_one():
    ids = word_piece_ids([["in", "\u200d", "in"], ["\u200d"], []], tokenizer(), 9)
    assert ids == [[-2, 7, 1, 7, -3], [-2, 1, -3], [-2, -3]]


def test_what_is_cut_off_is_told_and_has_no_label(tagged):
    with pytest.warns(UserWarning, match="1 of 2 sentences .* longer than 6 tokens"):
        (task,) = read(tagged, split=ALL, tokens=tokenizer(limit=6))
    assert (task.train.y >= 0).sum(1).tolist() == [3, 2]


def test_new_words_become_rows_the_same_way_and_the_encoding_is_kept_as_json(tagged):
    (task,) = read(tagged, split=ALL, tokens=tokenizer())
    again = encoding_from_json(json.loads(json.dumps(task.encoding.to_json())))
    assert again == task.encoding
    assert torch.equal(again.rows([["bolts", "York"], ["in"]]), again.rows(["bolts York", "in"]))
    assert unspelled(again.rows(["bolts York"]))[0].tolist() == [-2, 5, -6, 8, -3, 0, 0]
    (new,) = read(tagged, split=ALL, encoding=again)
    assert torch.equal(new.train.x, task.train.x)
    assert torch.equal(new.train.y, task.train.y)


def test_answers_of_words_are_lined_up_with_their_first_pieces(tagged):
    (task,) = read(tagged, split=ALL, tokens=tokenizer())
    x = task.encoding.rows([["bolts", "York"], ["in"]])
    y = task.encoding.line_up(x, torch.tensor([[7, 8], [9, -100]]))
    assert y.tolist() == [[-100, 7, -100, 8, -100, -100, -100], [-100, 9, *[-100] * 5]]


def test_capitals_that_the_tokenizer_drops_stand_beside_the_pieces(tagged):
    (task,) = read(tagged, split=ALL, tokens=tokenizer())
    rows = task.encoding.rows([["Bolts", "YORK"], ["bolts", "york"]])
    assert torch.equal(*unspelled(rows))
    (_, last, marks) = written(rows)
    assert torch.equal(*last)
    assert marks.tolist() == [[0, 1, 0, 3, 0, 0, 0], [0] * 7]
    assert torch.equal(task.encoding.rows(rows), rows)  # rows that are such stay


def test_rows_beside_whole_texts_have_numbers_above_0_alone():
    made = PieceEncoding.learn(["bolts in York"], tokenizer())
    assert made.of(["bolts in"])[0].tolist() == [2, 5, 6, 7, 3, 0]
    with pytest.raises(ValueError, match="numbers from 0 to 9"):
        made.rows(-made.of(["bolts in"]))


@pytest.mark.parametrize("make", [PieceEncoding.learn, PieceEncoding.of_words])
def test_new_texts_that_are_not_read_whole_are_told(make):
    known = ["bolts in York"] if make == PieceEncoding.learn else [["bolts", "in", "York"]]
    made = make(known, tokenizer())
    whole = made.rows(["bolts in York", "bolts"])  # no warning
    with pytest.warns(UserWarning, match=f"of 2 of 3 texts only the first {made.length} tokens are read"):
        rows = made.rows(["bolts in York in York in York", "bolts", "York " * 50])
    assert rows.shape[1] == whole.shape[1]
    assert torch.equal(rows[1], whole[1])
