import dataclasses
from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn

from headstart.models import Net, width_of
from headstart.models.outputs import features_of

A, B = torch.ones(2, 3), torch.zeros(2, 3)
Pair = namedtuple("Pair", "features aux")


@dataclasses.dataclass
class Output:
    last_hidden_state: torch.Tensor
    attentions: object = None


@pytest.mark.parametrize(
    "value",
    [
        A,
        {"last_hidden_state": B, "pooler_output": A},
        OrderedDict(last_hidden_state=A, hidden_states=(B, B)),
        {"last_hidden_state": A, "pooler_output": None},
        {"anything": A, "loss": None},
        Output(A),
        (A, B),
        [None, A],
        Pair(A, B),
    ],
)
def test_the_features_are_found_where_they_are_plain(value):
    assert features_of(value) is A


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"low": A, "high": B}, r"dict of low \(2, 3\), high \(2, 3\)"),
        ((None, A, B), r"tuple of 0 NoneType, 1 \(2, 3\), 2 \(2, 3\)"),
        ("text", "str"),
        (None, "NoneType"),
    ],
)
def test_where_they_are_not_it_says_what_was_found(value, found):
    with pytest.raises(TypeError, match=f"gives should be one tensor; found {found}; wrap it in a module"):
        features_of(value)


class Gives(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.layer, self.function = nn.Linear(4, 8), function

    def forward(self, x):
        return self.function(self.layer(x))


def test_a_net_takes_the_features_of_whatever_its_backbone_gives():
    x = torch.randn(5, 4)
    for function in (lambda z: {"pooler_output": z}, lambda z: (z, None)):
        net = Net(Gives(function), {"a": nn.Linear(8, 2)})
        assert torch.equal(net.features(x), net.backbone.layer(x))
        assert net(x, "a").shape == (5, 2)
        assert width_of(net.backbone, x) == 8


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z: z[:, None].expand(-1, 3, -1), r"\(rows, features\); found \(1, 3, 8\): tokens.*mean\(1\)"),
        (lambda z: z[:, :, None, None], r"found \(1, 8, 1, 1\): maps; .*AdaptiveAvgPool2d"),
        (lambda z: z.sum(1), r"found \(1,\): another form"),
    ],
)
def test_features_that_are_no_table_have_no_width(function, message):
    with pytest.raises(ValueError, match=message):
        width_of(Gives(function), torch.randn(1, 4))


@pytest.mark.parametrize("kind", [torch.complex64, torch.int64])
def test_features_that_are_no_real_numbers_are_refused(kind):
    with pytest.raises(
        ValueError, match=r"should be real numbers; found (complex64|int64); give `z.float\(\)`"
    ):
        width_of(Bent(kind), torch.zeros(2, 3))


class Bent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        return x.to(self.kind)
