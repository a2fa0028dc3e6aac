"""Words by their spelling: each by itself, or beside its neighbours."""

import torch

from headstart.models.backbones.spelled import Spelled, Spelling, Written
from headstart.models.heads import Sums, build, describe
from headstart.tasks.spelling import spelled

NONE = torch.tensor([], dtype=torch.long)
MARKS = torch.tensor([101, 102])
# [CLS] do n't | go [SEP]: two words, of which the first has two pieces; then a row of one word.
PIECES = torch.tensor([[-101, 5, -6, 8, -102], [-101, 5, -102, 0, 0]])


def test_a_word_is_all_of_its_pieces_and_no_marks():
    s = Spelling.of(PIECES, MARKS)
    assert s.whole[0, 1] == 8
    assert s.whole[1].tolist() == [5, 0]
    assert s.whole[0, 0] not in (5, 6, 8)
    assert s.back(s.whole[..., None])[0, :, 0].tolist() == [0, s.whole[0, 0].item(), 0, 8, 0]


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


def test_facts_are_of_the_word_and_of_those_beside_it_alone():
    backbone = Written(0)
    x = spelled(torch.tensor([[4, 5, 6, 7, 8]]), [["I", "saw", "Romans", "running", "."]])
    other = spelled(torch.tensor([[4, 5, 6, 7, 9]]), [["I", "saw", "Romans", "running", "home"]])
    same = (backbone.facts(x) == backbone.facts(other))[0].sum(1)
    assert same.tolist() == [19, 19, 18, 16, 8]  # the next but one; the next, its end and marks; its own
    assert (backbone.facts(x) != 0).all()


def test_a_fact_that_was_never_seen_is_none_and_others_are_found_again():
    seen = spelled(torch.tensor([[2, 3, 1]]), [["a", "walked", "Stopped"]])
    backbone = Written(len(seen := Written(0).facts(seen).unique()))
    backbone.known.copy_(seen)
    found = backbone.places(spelled(torch.tensor([[1]]), [["looped"]]))[0, 0]
    assert (found[7:11] > 0).tolist() == [True, True, True, False]  # "d", "ed", "ped", but no "oped"
    assert found[4] == 0  # "l"


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
        assert Written(1).places(x).shape == (len(x), 3, 19)
        assert Spelled(1).places(x).shape == (len(x), 3, 1)
