"""A single run learns numbers in units of their own, and its model answers in the user's."""

import torch

from headstart.models import load
from headstart.problems import load_run
from headstart.problems.single import begin, reopen


def test_a_run_of_prices_answers_in_prices(tmp_path):
    x = torch.randn(120, 2, generator=torch.Generator().manual_seed(0))
    price = 200_000 + 50_000 * (x[:, 0] - 0.5 * x[:, 1])
    lines = [f"{a:.4f},{b:.4f},{p:.1f}" for (a, b), p in zip(x.tolist(), price.tolist(), strict=True)]
    (tmp_path / "homes.csv").write_text("\n".join(["a,b,price", *lines]))
    (tmp_path / "p.toml").write_text(
        'target.data = "csv:homes.csv#price"\n[fit]\nstrategy = "scratch"\n[backbone]\nuse = "mlp"\n'
    )
    single = begin(load_run(tmp_path / "p.toml"), tmp_path / "run")
    single.train()
    assert reopen(tmp_path / "run") is None
    net, test = load(tmp_path / "run" / "model").net, single.problem.target.test
    answers = net(test.x, "price").detach().flatten()
    assert 100_000 < answers.mean() < 300_000
    assert (answers - test.y).abs().mean() < 20_000
