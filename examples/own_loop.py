"""The pieces in a loop of your own: two tasks on one backbone, gradients weighed by PCGrad.

Run:    python examples/own_loop.py
Data:   the digits that ship with scikit-learn; which digit it is, and whether it is odd.
"""

import torch
from torch import nn

import headstart as hs


def main(steps: int = 150) -> dict[str, float]:
    (digit,) = hs.datasets.read("digits")
    odd = hs.Task(
        "odd",
        hs.tasks.Binary(("even", "odd")),
        hs.tasks.Labelled(digit.train.x, (digit.train.y % 2).float()),
        test=hs.tasks.Labelled(digit.test.x, (digit.test.y % 2).float()),
    )
    tasks = [digit, odd]

    torch.manual_seed(0)  # the net's first weights; the stream has a generator of its own
    backbone = hs.backbone("conv4", inputs=(1, 8, 8), settings={"width": 16})
    net = hs.Net(backbone, {t.name: t.kind.head(backbone.width) for t in tasks})
    stream = hs.batches(tasks, 32, generator=torch.Generator().manual_seed(0))
    objective, combine = hs.Supervised(*tasks), hs.multitask.backward(hs.multitask.pcgrad)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)

    net.train()
    for step, batch in zip(range(steps), stream, strict=False):
        losses = objective(net, batch, step / steps)
        optimizer.zero_grad()
        combine(losses, net)  # in place of sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(step, {name: round(loss.item(), 3) for name, loss in losses.items()})

    scores = {t.name: hs.evaluate(net, t)["accuracy"] for t in tasks}
    for name, score in scores.items():
        print(f"{name}: accuracy {score}")
    return {name: score.value for name, score in scores.items()}


if __name__ == "__main__":
    main()
