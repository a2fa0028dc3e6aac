"""Small problems that the tests of this room share."""

import torch
from torch import nn


def rows(count=6, seed=0):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


class Counting(nn.Linear):
    calls = 0

    def forward(self, x):
        Counting.calls += 1
        return super().forward(x)
