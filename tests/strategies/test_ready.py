import dataclasses
import warnings

import pytest
import torch
from torch import nn

from headstart import Net, Problem
from headstart.engine import predict
from headstart.strategies.ready import converted, fitted, numbers
from headstart.tasks import Inputs, Labelled, Multiclass, Task

Y = torch.arange(12) % 2


def task(x, name="new", **more):
    return Task(name, Multiclass(2), Labelled(x, Y), test=Labelled(x, Y), **more)


class Pairs(torch.utils.data.Dataset):
    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], int(Y[index])


TABLE = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("x", "exact"),
    [
        (TABLE.double(), True),
        (TABLE.clone().requires_grad_(), True),
        (TABLE.numpy().astype(">f8"), True),
        (TABLE.tolist(), True),
        (TABLE.T.contiguous().T, True),
        (TABLE.bfloat16(), False),
        (TABLE.half(), False),
    ],
)
def test_tables_of_any_type_become_float32_without_a_graph(x, exact):
    problem = Problem(task(x))
    made = problem.target.train.x
    assert (made.dtype, made.requires_grad, problem.backbone) == (torch.float32, False, "mlp")
    assert torch.equal(made, TABLE) if exact else torch.allclose(made, TABLE, atol=0.02)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_a_table_of_whole_numbers_is_no_text(dtype):
    x = torch.randint(0, 2, (12, 4)).to(dtype)
    problem = Problem(task(x))
    assert problem.backbone == "mlp"
    assert torch.equal(problem.target.train.x, x.float())


def test_whole_numbers_are_ids_where_a_vocabulary_or_the_backbone_says_so():
    x = torch.randint(0, 9, (12, 4), dtype=torch.int32)
    told = Problem(task(x), settings={"vocabulary": 9})
    assert told.backbone == "textcnn"
    assert torch.equal(told.target.train.x, x.long())
    module = nn.EmbeddingBag(9, 4)
    assert torch.equal(Problem(task(x.long()), backbone=module).target.train.x, x.long())


def test_pixels_of_8_bits_are_scaled_as_readers_do_it_and_that_is_said():
    x = torch.randint(0, 256, (12, 1, 8, 8), dtype=torch.uint8)
    with pytest.warns(UserWarning, match=r"pixels of 8 bits \(uint8\) were divided by 255"):
        problem = Problem(task(x))
    assert torch.equal(problem.target.train.x, x / 255)
    with pytest.warns(UserWarning, match="divided by 255"):
        lazy = Problem(Task("new", Multiclass(2), Pairs(x), test=Pairs(x)), backbone="conv4", settings={})
    assert torch.equal(lazy.target.train.take(torch.tensor([3, 1])).x, x[[3, 1]] / 255)
    assert lazy.target.train.take(torch.tensor([3, 1])).y.tolist() == [1, 1]


def test_channels_that_come_last_come_first_and_that_is_said():
    x = torch.rand(12, 8, 6, 3)
    with pytest.warns(UserWarning, match=r"\(8, 6, 3\) were taken to have their channels last"):
        problem = Problem(task(x))
    assert problem.backbone == "conv4"
    assert torch.equal(problem.target.train.x, x.movedim(3, 1))


class Scales(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(192, 5)

    def forward(self, x):
        if x.shape[-1] != 3:
            raise ValueError("channels have to come last")
        return self.layer(x.flatten(1) / 255.0)


def test_a_module_gets_rows_as_it_takes_them():
    x = torch.randint(0, 256, (12, 8, 8, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem = Problem(task(x), backbone=Scales())
    assert problem.target.train.x is problem.target.test.x is x
    whole = torch.randint(0, 9, (12, 4))
    assert torch.equal(Problem(task(whole), backbone=nn.Linear(4, 2)).target.train.x, whole.float())
    with pytest.raises(
        ValueError, match=r"such as the backbone takes; found torch.float32 of shape \(1, 4\) \("
    ):
        Problem(task(TABLE), backbone=nn.Linear(5, 2))


def test_a_module_that_waits_for_rows_gets_weights_of_its_own_seed_and_stays_as_it_was():
    module = nn.Sequential(nn.LazyLinear(8), nn.ReLU())
    first, second = (Problem(task(TABLE), backbone=module) for _ in range(2))
    weights = [problem.backbone[0].weight for problem in (first, second)]
    assert weights[0].shape == (8, 4)
    assert torch.equal(*weights)
    assert first.fingerprint() == second.fingerprint()
    assert nn.parameter.is_lazy(module[0].weight)


def test_looking_at_a_module_leaves_no_trace():
    module = nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.Dropout())
    state, x = {n: v.clone() for n, v in module.state_dict().items()}, TABLE.clone()
    random = torch.get_rng_state()
    problem = Problem(task(x), backbone=module)
    assert problem.backbone is module
    assert module.training
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert torch.equal(x, TABLE)
    assert torch.equal(torch.get_rng_state(), random)


def test_features_that_are_no_table_are_refused_before_anything_runs():
    tokens = nn.Sequential(nn.Linear(4, 8), nn.Unflatten(1, (2, 4)))
    with pytest.raises(ValueError, match=r"of shape \(rows, features\); found \(1, 2, 4\): tokens"):
        Problem(task(TABLE), backbone=tokens)


def test_rows_that_tasks_share_are_still_shared_and_rows_that_fit_are_the_very_same():
    x = TABLE.double()
    targets = [dataclasses.replace(task(x, name), unlabelled=Inputs(x)) for name in "ab"]
    made = converted(targets, numbers)
    assert made[0].train.x is made[1].train.x is made[0].unlabelled.x
    fitting = task(TABLE)
    assert converted([fitting], numbers)[0] is fitting
    lazy = Task("lazy", Multiclass(2), Pairs(TABLE))
    assert converted([lazy], numbers)[0] is lazy


def test_floats_among_several_inputs_become_float32_and_ids_stay():
    x = {"ids": torch.arange(12), "size": torch.rand(12, dtype=torch.float64)}
    made = converted([task(x)], numbers)[0].train.x
    assert [part.dtype for part in made.values()] == [torch.int64, torch.float32]


class Counting(nn.Module):
    """Writes to what it keeps whenever it is called: in place, and by putting another in its place."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 8)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(4))

    def forward(self, x):
        self.calls.add_(1)
        self.last = x[0].detach()
        return self.layer(x)


def test_a_module_that_counts_its_calls_is_as_it_was():
    module = Counting()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    kept = module.calls
    problem = Problem(task(TABLE), backbone=module)
    predict(Net(module, {"new": nn.Linear(8, 2)}), "new", problem.target.test.x)
    assert module.calls is kept
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("bag", [False, True])
def test_sparse_gradients_become_dense_in_a_copy(bag):
    own = nn.EmbeddingBag(20, 8, sparse=True) if bag else nn.Embedding(20, 8, sparse=True)
    module = own if bag else nn.Sequential(own, nn.Flatten())
    made, _ = fitted(module, task(torch.randint(0, 20, (12, 5))))
    copy = made if bag else made[0]
    assert (own.sparse, copy.sparse) == (True, False)
    assert torch.equal(copy.weight, own.weight)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (
            nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, track_running_stats=False)),
            "batch norm `1` of the",
        ),
        (nn.Linear(4, 8, device="meta"), 'none, on the device "meta"'),
    ],
)
def test_what_has_no_answer_for_a_row_is_refused_before_anything_runs(module, told):
    with pytest.raises(ValueError, match=told):
        Problem(task(TABLE), backbone=module)
