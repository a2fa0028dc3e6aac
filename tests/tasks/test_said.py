"""What is no number is no answer: neither of rows, nor of weights, nor of outputs."""

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.engine import predict
from headstart.meta import FewShot, ProtoNet
from headstart.models import save
from headstart.tasks import Binary, Multiclass, Multilabel, Tokens

KINDS = [
    (Multiclass("abc"), (4, 3)),
    (Binary(("no", "yes")), (4, 1)),
    (Multilabel("ab"), (4, 2)),
    (Tokens("ab"), (4, 5, 2)),
]


@pytest.mark.parametrize(("kind", "shape"), KINDS)
def test_outputs_that_are_nan_name_no_class(kind, shape):
    outputs = torch.zeros(shape)
    assert len(kind.decode(outputs)) == 4
    outputs[2].view(-1)[0] = torch.nan
    with pytest.raises(FloatingPointError, match="should be numbers; found NaN in row 2, 1 of 4 rows"):
        kind.decode(outputs)
    outputs[2] = -torch.inf  # a class without rows
    assert len(kind.decode(outputs)) == 4


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_not_saved(tmp_path, value):
    net = hs.Net(nn.Linear(2, 3), {"a": nn.Linear(3, 2)})
    with torch.no_grad():
        net.heads["a"].weight[0, 0] = value
    with pytest.raises(ValueError, match=r"`heads.a.weight` of the net should be numbers"):
        save(net, tmp_path / "m", kinds={"a": Multiclass(2)})
    if value != value:
        with pytest.raises(FloatingPointError, match="found NaN in row 0, 5 of 5"):
            predict(net, "a", torch.ones(5, 2))


def test_prototypes_of_rows_too_large_give_no_class():
    x = torch.full((6, 2), 1e30) * torch.arange(1, 7)[:, None]
    net = hs.Net(nn.Identity(), {"episode": nn.Linear(2, 2)})
    with pytest.raises((FloatingPointError, ValueError)):
        FewShot(net, ProtoNet("episode")).fit(x, list("ababab")).predict(x)
