import json
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from headstart.engine import synchronize


def test_alone_it_does_nothing():
    layer = nn.Linear(2, 1)
    layer.weight.grad = torch.ones(1, 2)
    synchronize(layer)
    assert layer.weight.grad.tolist() == [[1.0, 1.0]]
    assert layer.bias.grad is None


def rank(rank, path):
    """One of two processes: weights have a gradient in both, the bias in one, the third in none."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{path}/meet", rank=rank, world_size=2)
    layer, other = nn.Linear(2, 1), nn.Linear(1, 1).double()
    layer.weight.grad = torch.full((1, 2), 1.0 + rank)
    other.weight.grad = torch.full((1, 1), 2.0 * rank, dtype=torch.float64)
    if rank:
        layer.bias.grad = torch.ones(1)
    synchronize(layer, other)
    gradients = [
        None if p.grad is None else p.grad.tolist() for p in [*layer.parameters(), *other.parameters()]
    ]
    with open(f"{path}/{rank}.json", "w") as file:
        json.dump(gradients, file)
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_gradients_are_averaged(tmp_path):
    code = "import sys, test_distributed as t; t.rank(int(sys.argv[1]), sys.argv[2])"
    here = os.path.dirname(__file__)
    ranks = [subprocess.Popen([sys.executable, "-c", code, str(r), tmp_path], cwd=here) for r in range(2)]
    assert [r.wait(60) for r in ranks] == [0, 0]
    for r in range(2):
        assert json.loads((tmp_path / f"{r}.json").read_text()) == [[[1.5, 1.5]], [0.5], [[1.0]], None]
