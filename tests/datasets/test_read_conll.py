"""Files with a word and its tags on each line."""

import pytest
import torch

from headstart.datasets import SplitSpec, encode, encoding_from_json, read
from headstart.tasks import Tokens
from headstart.tasks.spelling import unspelled

ALL = SplitSpec(test=0)
PLAIN = "-DOCSTART- X O\n\nI PRON O\nsee VERB O\nNew ADJ B-city\nYork NOUN I-city\n\nNo INTJ O\n# SYM O\n"
UNIVERSAL = """# sent_id = 1
1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tdo\tdo\tAUX\tVB\t_\t0\troot\t_\t_
2\tn't\tnot\tPART\t_\t_\t1\tadvmod\t_\t_
8.1\tgone\t_\t_\t_\t_\t_\t_\t_\t_

1\tGo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
"""


@pytest.fixture
def plain(tmp_path):
    (tmp_path / "names.conll").write_text(PLAIN)
    return tmp_path / "names.conll"


def test_words_stand_first_and_tags_last(plain):
    (task,) = read(f"conll:{plain}", split=ALL)
    assert (task.name, task.kind) == ("names", Tokens(["B-city", "I-city", "O"]))
    assert task.train.y.tolist() == [[2, 2, 0, 1], [2, 2, -100, -100]]
    words = task.encoding.vocabulary
    assert [[words[i - 2] for i in row if i] for row in unspelled(task.train.x).tolist()] == [
        ["I", "see", "New", "York"],
        ["No", "#"],
    ]


def test_a_column_is_named_by_its_number_and_several_share_their_inputs(plain):
    tags, names = read(f"conll:{plain}#2,3", split=ALL)
    assert (tags.name, names.name) == ("2", "3")
    assert tags.kind.classes == ("ADJ", "INTJ", "NOUN", "PRON", "SYM", "VERB")
    assert tags.train.x is names.train.x


def test_universal_columns_have_names_and_gaps_are_missing(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text(UNIVERSAL)
    (upos,) = read(f"conll:{path}", split=ALL)
    assert (upos.name, upos.kind.classes) == ("UPOS", ("AUX", "PART", "VERB"))
    assert upos.train.y.tolist() == [[0, 1], [2, -100]]
    path.write_text(UNIVERSAL.replace("VERB\tVB", "VERB\tVV"))
    (xpos,) = read(f"conll:{path}#xpos", split=ALL)
    assert (xpos.kind.classes, xpos.train.y.tolist()) == (("VB", "VV"), [[0, -100], [1, -100]])


def test_a_folder_has_a_file_for_each_part(tmp_path, plain):
    (tmp_path / "en-dev.conll").write_text("We PRON O\nsee VERB B-city\n")
    plain.rename(tmp_path / "en-train.conll")
    (tmp_path / "README").write_text("not data")
    (task,) = read(f"conll:{tmp_path}#3")
    assert (len(task.train), len(task.valid), task.test) == (2, 1, None)
    assert task.valid.x[0].tolist()[2:] == [0, 0]
    assert unspelled(task.valid.x)[0, 0] == 1  # a word that no training row has
    (tmp_path / "en-train-2.conll").write_text(PLAIN)
    with pytest.raises(ValueError, match=r"one file for train; found en-train-2.conll and en-train.conll"):
        read(f"conll:{tmp_path}#3")
    for file in tmp_path.glob("*train*"):
        file.unlink()
    with pytest.raises(ValueError, match=r"a file for each part; found none for train; name them"):
        read(f"conll:{tmp_path}#3")


def test_new_files_are_numbered_as_the_old_ones(plain, tmp_path):
    (task,) = read(f"conll:{plain}", split=ALL)
    made = encoding_from_json(task.encoding.to_json())
    new = tmp_path / "new.conll"
    new.write_text("York O\nsees O\n\nI O\nsee B-city\nYork O\nYork O\nYork O\n")
    with pytest.warns(UserWarning, match="1 of 2 sentences .* longer than 4 tokens; the words behind"):
        (again,) = read(f"conll:{new}#2", split=ALL, encoding=task.encoding)
    with pytest.warns(UserWarning, match="of 1 of 2 texts only the first 4 tokens are read"):
        assert torch.equal(again.train.x, encode(new, made))
    assert again.train.x.shape == again.train.y.shape == (2, 4)  # as long as the rows that are known
    assert unspelled(again.train.x)[0].tolist()[1:] == [1, 0, 0]
    assert torch.equal(made.rows([["York", "sees"]]), made.rows(["York sees"]))
    assert made.words_at(made.rows([["York", "sees"], []])) == [[0, 1], []]
    (tmp_path / "new.txt").write_text("York sees\n")
    assert torch.equal(encode(tmp_path / "new.txt", made), made.rows(["York sees"]))


@pytest.mark.parametrize(
    ("text", "asked", "message"),
    [
        (PLAIN, "#4", 'a number from 1 to 3; found "4"'),
        (PLAIN, "#UPOS", 'a number from 1 to 3; found "UPOS"'),
        (UNIVERSAL, "#UPSO", r'should be a known name; found "UPSO"; did you mean "UPOS"\?'),
        ("I O\nsee it O\n", "", "line 2 of .* should be 2 fields, as in the first; found 3 in 'see it O'"),
        ("\n\n", "", "a word on each line; found no words"),
        ("I O\nsee O\n", "", r"at least two different ones; found \['O'\]; name another column"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, text, asked, message):
    path = tmp_path / "a.conll"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read(f"conll:{path}{asked}", split=ALL)


def test_what_a_file_of_words_has_not(plain):
    with pytest.raises(
        ValueError, match="`group` should be a column of a table; found a file of tagged words"
    ):
        read(f"conll:{plain}", split=SplitSpec(group="speaker"))
    with pytest.raises(FileNotFoundError, match=r"did you mean .names.conll"):
        read(f"conll:{plain.parent / 'name.conll'}")
