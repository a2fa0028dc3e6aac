"""Sparse tables: taken, sliced, joined and learned from they are the dense ones; nothing writes to them."""

import copy
import pickle
import warnings

import numpy
import pytest
import torch
from scipy import sparse
from torch import nn

import headstart as hs
from headstart.strategies import Starts
from headstart.tasks import Inputs, Labelled, Multiclass, Task, Thin
from headstart.tasks.arrays import ready
from headstart.tasks.nouns import join, take

MATRIX = sparse.random(60, 30, 0.1, format="csr", dtype=numpy.float32, random_state=0)
DENSE = torch.from_numpy(MATRIX.toarray())
SOME = torch.randperm(60, generator=torch.Generator().manual_seed(0))[:20]


def rows():
    return Labelled(MATRIX, torch.arange(60) % 2)


@pytest.mark.parametrize(
    "of",
    [
        lambda x: x[SOME],
        lambda x: x[5:20],
        lambda x: x[::7],
        lambda x: x[-3:],
        lambda x: x[60:],
        lambda x: x[torch.tensor([-1, 0])],
        lambda x: x[torch.arange(60) % 3 == 0],
        lambda x: x.index_select(0, SOME),
        lambda x: x.split(25)[2],
        lambda x: torch.cat([x, x[SOME], x[:0]]),
        lambda x: x.double(),
        lambda x: x.clone(),
        lambda x: pickle.loads(pickle.dumps(x)),
        copy.deepcopy,
    ],
)
def test_rows_stay_thin_and_are_the_same(of):
    found = of(rows().x)
    assert type(found) is Thin
    assert torch.equal(found.to_dense(), of(DENSE))
    assert (found.shape, found.dtype) == (of(DENSE).shape, of(DENSE).dtype)


@pytest.mark.parametrize(
    "of",
    [
        lambda x: x @ torch.ones(30),
        lambda x: x[3],
        lambda x: x[SOME.view(4, 5)],
        lambda x: x[:, 2],
        lambda x: torch.cat([x, torch.ones(1, 30)]),
        lambda x: (x != 0).sum(1),
        lambda x: x.mean(0),
        lambda x: torch.stack([x, x]),
    ],
)
def test_all_else_is_reckoned_with_dense_rows(of):
    found = of(rows().x)
    assert type(found) is torch.Tensor
    assert torch.equal(found, of(DENSE))


def test_other_forms_are_read_alike():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that its own are young
        rows_by_torch = DENSE.to_sparse_csr()
    forms = MATRIX.tocsc(), MATRIX.tocoo(), sparse.csr_array(MATRIX), DENSE.to_sparse(), rows_by_torch
    for form in forms:
        assert torch.equal(Inputs(form).x.to_dense(), DENSE)
    twice = sparse.csr_matrix((numpy.ones(3), numpy.array([1, 1, 0]), numpy.array([0, 2, 3])), shape=(2, 2))
    assert Inputs(twice).x.tolist() == [[0, 2], [1, 0]]
    assert twice.nnz == 3  # the caller's own is as it was
    assert Inputs(sparse.csr_matrix(numpy.array([[0, 3]]))).x.dtype == torch.float32
    with pytest.raises(TypeError, match="a table of real numbers"):
        Inputs(MATRIX * 1j)


def test_memory_is_shared_and_not_written_to():
    x = rows().x
    assert x.numbers.data_ptr() == torch.from_numpy(MATRIX.data).data_ptr()
    assert x.nbytes < DENSE.nbytes / 3
    for write in (
        lambda: x.mul_(2),
        lambda: x.zero_(),
        lambda: x.__setitem__(0, 1.0),
        lambda: nn.ReLU(True)(x),
    ):
        with pytest.raises(RuntimeError, match="thin rows"):
            write()
    assert torch.equal(x.to_dense(), DENSE)


def test_rows_of_a_batch_are_written_out_and_no_more(monkeypatch):
    most, dense = [], Thin.to_dense
    monkeypatch.setattr(Thin, "to_dense", lambda x: (most.append(len(x)), dense(x))[1])
    task = Task("t", Multiclass(2), rows(), unlabelled=Inputs(MATRIX))
    found = []
    for one in (task, Task("t", Multiclass(2), Labelled(DENSE, task.train.y), unlabelled=Inputs(DENSE))):
        torch.manual_seed(0)
        net = hs.Net(hs.backbone("mlp", inputs=(30,), settings={"hidden": [8]}), {"t": nn.Linear(8, 2)})
        stream = hs.shifted(one, 16, generator=torch.Generator().manual_seed(0))
        lower, sgd = hs.domains.DANN(one, features=8), torch.optim.SGD(net.parameters(), 0.1)
        hs.fit(net, stream, lower, steps=3, optimizer=sgd, progress=False)
        found.append(hs.engine.predict(net, "t", one.train.x, batch=16, progress=False))
    assert torch.equal(*found)
    assert max(most) == 16


def test_ways_of_a_comparison_find_the_same(tmp_path):
    y = torch.arange(60) % 2

    def posed(x):
        source = Task("s", Multiclass(2), Labelled(x[:30], y[:30]))
        target = Task("t", Multiclass(2), Labelled(x[:0], y[:0]), unlabelled=Inputs(x[30:45]),
                      test=Labelled(x[45:], y[45:]))  # fmt: skip
        return hs.Problem(target, [source], settings={"hidden": [8]}, budget=hs.strategies.Budget(pretrain=3))

    one, other = posed(DENSE), posed(MATRIX)
    assert one.shifts(tmp_path) == other.shifts(tmp_path)
    for name in ("source+logreg", "coral+logreg", "mmd"):
        way = (hs.strategies.STRATEGIES | hs.strategies.FURTHER)[name]
        dense, sparse_ = (
            (p.judge(way, 0, None, 0, Starts()), p.train(way, ["t"], way.options[0], 0, Starts())["t"].record)
            for p in (one, other)
        )
        assert dense[0] == sparse_[0]
        assert dense[1]["score"] == sparse_[1]["score"]


def test_joined_and_ready_rows():
    assert torch.equal(take(join(rows().x, rows().x), slice(60, 120)).to_dense(), DENSE)
    assert type(ready(MATRIX, (30,))) is Thin
    with pytest.raises(ValueError, match="rows"):
        ready(MATRIX, (31,))
    with pytest.raises(ValueError, match="NaN"):
        ready(MATRIX * numpy.float32("nan"), (30,))
