"""Words by their spelling: each by itself, or beside its neighbours."""

import torch

from headstart.models.backbones.spelled import Spelled, Spelling, Windows
from headstart.models.heads import Sums, build, describe

NONE = torch.tensor([], dtype=torch.long)
MARKS = torch.tensor([101, 102])
# [CLS] do n't | go [SEP]: two words, of which the first has two pieces; then a row of one word.
PIECES = torch.tensor([[-101, 5, -6, 8, -102], [-101, 5, -102, 0, 0]])


def test_a_word_is_all_of_its_pieces_and_no_marks():
    s = Spelling.of(PIECES, MARKS)
    assert s.count.tolist() == [[2, 1], [1, 0]]
    assert s.last.tolist() == [[6, 8], [5, 0]]
    assert s.whole[0, 1] == 8
    assert s.whole[1].tolist() == [5, 0]
    assert s.whole[0, 0] not in (5, 6, 8)
    assert s.back(s.count[..., None])[..., 0].tolist() == [[0, 2, 0, 1, 0], [0, 1, 0, 0, 0]]


def test_the_same_pieces_in_another_order_or_place_are_told_apart_or_not():
    x = torch.tensor([[5, -6, 6, -5, 5, -6]])
    whole = Spelling.of(x, NONE).whole[0]
    assert whole[0] == whole[2] != whole[1]


def test_words_of_one_token_are_their_numbers_wherever_padding_stands():
    x = torch.tensor([[7, 3, 9, 0], [0, 7, 0, 3]])
    assert Spelling.of(x, NONE).whole.tolist() == [[7, 3, 9], [7, 3, 0]]


def test_words_are_found_in_the_list_with_all_their_pieces():
    backbone = Spelled(2, MARKS.tolist())
    backbone.known.copy_(Spelling.of(PIECES[:1], MARKS).whole[0].sort().values)
    found = backbone.places(PIECES)[..., 0]
    assert (found > 0).tolist() == [[False, True, False, True, False], [False] * 5]  # "do" is another word
    assert found[0, 1] != found[0, 3]


def test_a_window_tells_the_word_from_its_neighbours_alone():
    backbone = Windows(2**16)
    x = torch.tensor([[4, 5, 6, 7, 8]])
    other = x.clone()
    other[0, 4] = 9
    same = (backbone.places(x) == backbone.places(other))[0]
    assert same[:3].all()
    assert not same[4].all()
    assert same[3].sum() == 6  # the word behind, and its last piece, are others
    assert backbone.places(x).unique().numel() > 30


def test_sums_are_a_linear_layer_on_what_is_there():
    head = Sums(6, 2)
    head.table.copy_(torch.randn(6, 2, generator=torch.Generator().manual_seed(0)))
    head.offset.copy_(torch.tensor([1.0, -1.0]))
    z = torch.tensor([[0, 3, 3], [1, 2, 5]])
    counts = torch.nn.functional.one_hot(z, 6).sum(1).float()
    torch.testing.assert_close(head(z), counts @ head.table + head.offset)
    again = build(describe(head))
    again.load_state_dict(head.state_dict())
    assert torch.equal(again(z), head(z))


def test_rows_without_words_and_without_rows_are_taken():
    for x in (torch.zeros(2, 3, dtype=torch.long), torch.zeros(0, 3, dtype=torch.long)):
        assert Windows(8).places(x).shape == (len(x), 3, 8)
        assert Spelled(1).places(x).shape == (len(x), 3, 1)
