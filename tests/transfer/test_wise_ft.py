import copy

import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.transfer import wise_ft


@pytest.fixture
def ends():
    torch.manual_seed(0)
    start = Net(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), {"a": nn.Linear(4, 2)}).double()
    tuned = copy.deepcopy(start)
    with torch.no_grad():
        for p in tuned.parameters():
            p.add_(torch.randn_like(p))
    return start, tuned


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_weights_are_mixed_as_the_formula_says(ends, share):
    start, tuned = ends
    mixed = wise_ft(start, tuned, share)
    for p, a, b in zip(mixed.parameters(), start.parameters(), tuned.parameters(), strict=True):
        torch.testing.assert_close(p, (1 - share) * a + share * b)
    torch.testing.assert_close(wise_ft(start, tuned).heads["a"].bias, (a + b) / 2)


def test_the_ends_and_what_did_not_move_come_out_to_the_bit(ends):
    start, tuned = ends
    for net, share in ((start, 0.0), (tuned, 1.0)):
        mixed = wise_ft(start, tuned, share).state_dict()
        assert all(torch.equal(value, mixed[name]) for name, value in net.state_dict().items())
    third = wise_ft(start, start, 1 / 3).state_dict()
    assert all(torch.equal(value, third[name]) for name, value in start.state_dict().items())


def test_what_cannot_be_mixed_is_told(ends):
    start, tuned = ends
    with pytest.raises(ValueError, match=r"`share` should be in \[0, 1\]; found 1.5"):
        wise_ft(start, tuned, 1.5)
    with pytest.raises(ValueError, match=r"those of the start; found other \['heads.b.bias', 'heads.b.w"):
        wise_ft(start, Net(tuned.backbone, {**tuned.heads, "b": nn.Linear(4, 2)}))
    with pytest.raises(ValueError, match=r"found other \['heads.a.bias', 'heads.a.weight'\]"):
        wise_ft(start, Net(tuned.backbone, {"a": nn.Linear(4, 3)}))
