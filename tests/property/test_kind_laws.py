"""What holds for any labels."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.tasks import Binary, Multiclass, Multilabel, Regression

names = st.lists(st.one_of(st.text(), st.integers()), min_size=2, max_size=8, unique=True)
holes = st.lists(st.booleans(), min_size=6, max_size=6)


@settings(max_examples=50, deadline=None)
@given(classes=names, data=st.data())
def test_decode_undoes_encode(classes, data):
    kind = Multiclass(classes)
    labels = data.draw(st.lists(st.sampled_from(classes), max_size=10))
    y = kind.encode(labels)
    assert kind.decode(torch.nn.functional.one_hot(y, len(classes))) == labels


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([Multiclass(3), Binary(), Multilabel(3), Regression(3)]),
    gone=holes,
    seed=st.integers(0, 2**32),
)
def test_a_missing_label_adds_nothing(kind, gone, seed):
    g, gone = torch.Generator().manual_seed(seed), torch.tensor(gone)
    p = torch.randn(6, kind.outputs, dtype=torch.float64, generator=g)
    y = torch.randint(2, (6, 3) if isinstance(kind, Multilabel | Regression) else (6,), generator=g)
    y = y if isinstance(kind, Multiclass) else y.double()
    y[gone] = -100 if isinstance(kind, Multiclass) else math.nan
    p.requires_grad_()
    loss = kind.loss(p, y)
    loss.backward()
    assert not p.grad[gone].any()
    assert p.grad.isfinite().all()
    if gone.all():
        assert loss.item() == 0
    else:
        torch.testing.assert_close(loss, kind.loss(p[~gone], y[~gone]), rtol=1e-13, atol=0)
