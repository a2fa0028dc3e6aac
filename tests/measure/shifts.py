"""Pairs of domains that are made: a source with labels, and a target of a known kind of shift."""

import math

import torch


def made(kind, seed, rows=250):
    """Draw a source with labels and a target without."""
    g = torch.Generator().manual_seed(seed)

    def clusters(share):
        y = (torch.rand(rows, generator=g) < share).long()
        x = torch.randn(rows, 4, generator=g)
        x[:, 0] += 4 * y - 2
        return x, y

    def plane(keep):
        x = 1.5 * torch.randn(20 * rows, 4, generator=g)
        x = x[torch.rand(len(x), generator=g) < keep(x)][:rows]
        return x, (x[:, 0] + 0.3 * torch.randn(rows, generator=g) > 0).long()

    if kind == "covariate":
        return *plane(lambda x: torch.ones(len(x))), plane(lambda x: torch.sigmoid(3 * (x[:, 1] - 1)))[0]
    source, target = clusters(0.5), clusters(0.15 if kind == "label" else 0.5)[0]
    if kind == "conditional":  # turned by 60 degrees
        turn = math.pi / 3
        matrix = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        target = torch.cat([target[:, :2] @ matrix, target[:, 2:]], 1)
    return *source, target
