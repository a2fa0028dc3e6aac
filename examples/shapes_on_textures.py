"""Which pixels belong to a shape: few masks, and what other masks and labels of images are worth.

Run:    python examples/shapes_on_textures.py      (some minutes)
Data:   drawn here. A shape is striped, and around it is noise of the same brightness, so no pixel by itself
        tells. Discs have few masks; squares have many, and for each image the direction of its stripes is
        known too: a task of pixels and one of images on the same inputs, learned by one net.
"""

import torch

import headstart as hs
from headstart.tasks import Labelled, Multiclass, Segmentation

SIDE = 32


def draw(count: int, seed: int, *, disc: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw images ``(count, 1, 32, 32)``, their masks, and the direction of the stripes of each."""
    g = torch.Generator().manual_seed(seed)
    radius = torch.randint(5, 10, (count, 1, 1), generator=g)
    centre = torch.randint(10, SIDE - 10, (count, 2, 1, 1), generator=g)
    down, right = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    away = torch.stack([down - centre[:, 0], right - centre[:, 1]])
    mask = (away.float().norm(dim=0) if disc else away.abs().amax(0)) < radius
    upright = torch.randint(2, (count,), generator=g)
    place = torch.where(upright[:, None, None] == 1, right, down)
    stripes = ((place // 2) % 2).float() * 0.8 + 0.1
    noise = torch.rand(count, SIDE, SIDE, generator=g)
    x = torch.where(mask, stripes, noise) + 0.1 * torch.randn(count, SIDE, SIDE, generator=g)
    return x[:, None], mask.long(), upright


def main(steps: int = 150, seeds: int = 3) -> dict[str, float]:
    kind = Segmentation(["around", "shape"], (SIDE, SIDE))
    x, masks, _ = draw(6, 0, disc=True)
    new, right, _ = draw(30, 1, disc=True)
    discs = hs.Task("discs", kind, Labelled(x, masks), test=Labelled(new, right))
    x, masks, upright = draw(100, 2, disc=False)
    squares = hs.Task("squares", kind, Labelled(x, masks))
    stripes = hs.Task("stripes", Multiclass(["across", "upright"]), Labelled(x, upright))

    problem = hs.Problem(
        discs,
        [squares, stripes],
        settings={"width": 8},
        budget=hs.strategies.Budget(steps=steps, pretrain=2 * steps, options=1),
    )
    result = hs.compare(problem, ["scratch", "finetune", "multitask"], seeds=seeds)
    print(result)
    return {row["strategy"]: row["mean"] for row in result.to_dict()["rows"]}


if __name__ == "__main__":
    main()
