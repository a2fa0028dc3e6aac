"""Both at once: meta-train a net to learn two tasks together, and compare it with joint training alone.

Run:    python examples/two_tasks_at_once.py
Data:   made here. A problem is a curve of unknown phase and height, seen at ten points, and asks for two
        answers of different kinds: how high the curve is (a number), and whether it is low, middling or high
        for its size (three classes). Every problem is new; what can be carried over is how curves look.
"""

import math
from functools import partial

import torch
from torch.nn.functional import cross_entropy, mse_loss

import headstart as hs
from headstart.maths import paired_interval

LOSSES = {"height": mse_loss, "level": cross_entropy}
RATES = (0.3, 0.1, 0.03, 0.01)


def problems(count, g):
    """Draw problems: ten support and thirty query points of a curve, with both answers."""
    size, phase = (
        1 + 2 * torch.rand(count, 1, 1, generator=g),
        math.tau * torch.rand(count, 1, 1, generator=g),
    )
    x = 6 * torch.rand(count, 40, 1, generator=g) - 3
    wave = torch.sin(x + phase)
    answers = {"height": size * wave, "level": 1 + (wave > 0.5).long()[..., 0] - (wave < -0.5).long()[..., 0]}
    return {
        name: hs.tasks.Episodes(
            hs.tasks.Labelled(x[:, :10], y[:, :10]),
            hs.tasks.Labelled(x[:, 10:], y[:, 10:]),
            3 * (name == "level"),
        )
        for name, y in answers.items()
    }


def steps(g):
    while True:
        yield problems(16, g)


def together(net, batch, progress):
    """Joint training: all rows of all problems, for both heads."""
    rows = {
        n: [(part.x.flatten(0, 1), part.y.flatten(0, 1)) for part in e.parts().values()]
        for n, e in batch.items()
    }
    return {n: sum(LOSSES[n](net(x, n), y) for x, y in some) / 2 for n, some in rows.items()}


def a_net():
    torch.manual_seed(0)
    width = 40
    trunk = torch.nn.Sequential(
        torch.nn.Linear(1, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU()
    )
    return hs.Net(trunk, {"height": torch.nn.Linear(width, 1), "level": torch.nn.Linear(width, 3)})


def trained(objective, count):
    net = a_net()
    hs.fit(
        net, steps(torch.Generator().manual_seed(0)), objective, steps=count,
        optimizer=torch.optim.Adam(net.parameters(), lr=3e-3), progress=False,
    )  # fmt: skip
    return net


def errors(net, adapt, some):
    """Learn each problem's two tasks from its ten points; the error of each task on the thirty others."""
    found = {name: [] for name in LOSSES}
    for t in range(len(some["height"])):
        pairs = {name: e.episode(t) for name, e in some.items()}
        with torch.no_grad():
            adapted = adapt(net, {name: support for name, (support, _) in pairs.items()})
            for name, (_, query) in pairs.items():
                out = adapted[name](query.x)
                wrong = (out.argmax(1) != query.y).float() if name == "level" else (out - query.y).square()
                found[name].append(float(wrong.mean()))
    return found


def main(count: int = 600, tested: int = 100) -> dict[str, tuple[float, float]]:
    adapt = partial(hs.meta.Joint, LOSSES, steps=3)
    meta = trained(hs.meta.JointEpisodic(adapt(lr=0.03)), count)
    joint = trained(together, count)
    # Joint training says nothing of step sizes: it gets the one that is best for it.
    held = problems(30, torch.Generator().manual_seed(1))
    best = min(RATES, key=lambda lr: sum(map(sum, errors(joint, adapt(lr=lr), held).values())))
    new = problems(tested, torch.Generator().manual_seed(2))
    before, after = errors(joint, adapt(lr=best), new), errors(meta, adapt(lr=0.03), new)
    gains = {}
    for name in LOSSES:
        gains[name] = paired_interval(before[name], after[name])
        means = sum(before[name]) / tested, sum(after[name]) / tested
        print(
            f"{name}: error {means[0]:.3f} after joint training, {means[1]:.3f} after meta-training;", end=" "
        )
        print(f"less by {gains[name][0]:.3f} to {gains[name][1]:.3f} (95 %)")
    return gains


if __name__ == "__main__":
    main()
