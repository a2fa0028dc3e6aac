"""How words are written, beside the numbers of their tokens."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from headstart.models import Net, textcnn
from headstart.tasks.spelling import MARK, TOKENS, spelled, unspelled, written


def letters(number):
    """Take letters of 5 bits apart."""
    found = []
    while number:
        found.append(number % 32)
        number //= 32
    return found


@given(st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=5), st.integers(1, TOKENS - 1))
def test_the_token_its_sign_and_the_spelling_come_apart_again(words, token):
    x = torch.tensor([[token] * len(words) + [-token, 0]])
    rows = spelled(x, [words])
    assert torch.equal(unspelled(rows), x)
    assert torch.equal(rows > 0, x > 0)
    assert (rows[0, : len(words)] > 0).all()  # no number runs over
    first, last, marks = (part[0].tolist() for part in written(rows))
    for k, word in enumerate(words):
        five = [ord(letter) % 32 for letter in word.lower()]
        padded = [0, 0, 0, 0, *five]
        assert (letters(first[k]) + [0] * 3)[:3] == (five + [0] * 3)[:3]
        assert (letters(last[k]) + [0] * 4)[:4] == padded[: -4 - 1 : -1]
        assert marks[k] % 2 == word[0].isupper()
    assert first[-2:] == last[-2:] == marks[-2:] == [0, 0]


def test_marks_tell_capitals_digits_and_signs_apart():
    words = ["rome", "Rome", "ROME", "iPod", "B2", "co-op", "...", "-"]
    marks = written(spelled(torch.ones(1, len(words), dtype=torch.long), [words]))[2]
    assert marks.tolist() == [[0, 1, 3, 2, 5, 8, 16, 24]]


def test_words_that_a_row_was_too_short_for_are_left_out():
    assert torch.equal(unspelled(spelled(torch.tensor([[5, -6]]), [["one", "two"]])), torch.tensor([[5, -6]]))


def test_rows_of_other_kinds_stay_as_they_are():
    for x in (
        torch.tensor([[MARK - 1, -MARK, 0]]),
        torch.tensor([2**31 - 1], dtype=torch.int32)[None],
        torch.tensor([[float(MARK)]]),
        torch.tensor([MARK]),
    ):
        assert torch.equal(unspelled(x), x)


class Embedded(nn.Module):
    """Somebody's own module, which knows tokens alone."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(9, 2)

    def forward(self, x):
        return self.table(x).mean(1)


def test_a_net_gives_a_backbone_the_tokens_alone():
    x = torch.tensor([[7, 3, 0], [4, 0, 0]])
    rows = spelled(x, [["Rome", "fell"], ["So"]])
    for backbone in (Embedded(), textcnn(9, embedding=4, filters=3, windows=(1, 2), dropout=0.0)):
        net = Net(backbone, {})
        assert torch.equal(net.features(rows), backbone(x))
    assert torch.equal(backbone.places(rows), backbone.places(x))
