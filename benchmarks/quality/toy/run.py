"""Draw the ways down two losses of two weights, after the papers of CAGrad and Nash-MTL.

From five starts (the one at 0 is nudged, since there the clamps have no slope) steps of one length go along
what each weighing makes of the two gradients; once as the losses are, once with the first one times 0.1.
The thick line is the Pareto front. Ways of a weighing that looks at no scale lie on one another. ::

    python benchmarks/quality/toy/run.py

Writes ``docs/_static/toy.svg``, and ``figures.json`` beside this file: how many of the five ways end near
the front. A minute of one thread.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from headstart.multitask import cagrad, mgda, nash, pcgrad, upgrad

HERE = Path(__file__).parent
PICTURE = HERE.parents[2] / "docs" / "_static" / "toy.svg"
STARTS = [(-8.5, 7.5), (1e-3, 1e-3), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0)]
FRONT, HALF, NEAR = -8.355, 7.0, 0.5
SCALES = {1.0: "#1b6ca8", 0.1: "#c8502d"}
STEPS, RATE, SIDE, EDGE = 500, 0.06, 200, 10.5


def equal(gramian: Tensor) -> Tensor:
    return gramian.new_ones(len(gramian))


WAYS = {"sum": equal, "pcgrad": pcgrad, "mgda": mgda, "cagrad": cagrad, "upgrad": upgrad, "nash": nash}


def losses(at: Tensor) -> list[Tensor]:
    """Give both losses ``(B,)`` of points ``(B, 2)``."""
    a, b = at.T
    up, down = torch.tanh(b / 2).clamp_min(0), torch.tanh(-b / 2).clamp_min(0)
    found = []
    for side, shift, middle in ((-7, 0.0, 7), (3, 2.0, -7)):
        hill = (0.5 * (side - a) + torch.tanh(b) + shift).abs().clamp_min(5e-6).log() + 6
        bowl = ((middle - a) ** 2 + 0.1 * (b + 8) ** 2) / 10 - 20
        found.append(hill * up + bowl * down)
    return found


def path(weighing, scale: float) -> Tensor:
    """Go down from all starts: ``(steps + 1, 5, 2)``."""
    found = [torch.tensor(STARTS, dtype=torch.float64)]
    for step in range(STEPS):
        at = found[-1].clone().requires_grad_()
        rows = torch.stack(
            [
                torch.autograd.grad(factor * loss.sum(), at, retain_graph=True)[0]
                for factor, loss in zip((scale, 1.0), losses(at), strict=True)
            ],
            1,
        )
        ways = torch.stack([weighing(r @ r.T) @ r for r in rows])
        rate = RATE * min(1.0, 2 * (1 - step / STEPS))  # shorter at the end, so that they come to rest
        found.append(found[-1] - rate * torch.nn.functional.normalize(ways, dim=1))
    return torch.stack(found)


def on_front(at: Tensor) -> int:
    """Count the points near the Pareto front."""
    return int((((at[:, 1] - FRONT).abs() < NEAR) & (at[:, 0].abs() < HALF + NEAR)).sum())


def point(a: float, b: float) -> str:
    return f"{SIDE * (a + EDGE) / (2 * EDGE):.1f},{SIDE * (EDGE - b) / (2 * EDGE):.1f}"


def panel(name: str, ways: dict[float, Tensor], place: int) -> str:
    """Draw one weighing."""
    front = f"{point(-HALF, FRONT)} {point(HALF, FRONT)}"
    lines = [f'<g transform="translate({place % 3 * (SIDE + 12) + 6},{place // 3 * (SIDE + 32) + 24})">',
             f'<text x="0" y="-6">{name}</text>',
             f'<rect width="{SIDE}" height="{SIDE}" fill="none" stroke="#bbb"/>',
             f'<polyline points="{front}" stroke="#999" stroke-width="5"/>']  # fmt: skip
    for scale, track in ways.items():
        for one in track.unbind(1):
            points = " ".join(point(*at) for at in one[::5].tolist())
            lines.append(f'<polyline points="{points}" fill="none" stroke="{SCALES[scale]}"/>')
            x, y = point(*one[-1].tolist()).split(",")
            lines.append(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{SCALES[scale]}"/>')
    return "\n".join([*lines, "</g>"])


def main() -> None:
    torch.set_num_threads(1)
    ways = {name: {scale: path(weighing, scale) for scale in SCALES} for name, weighing in WAYS.items()}
    panels = "\n".join(panel(name, by, k) for k, (name, by) in enumerate(ways.items()))
    size = f'width="{3 * (SIDE + 12)}" height="{2 * (SIDE + 32)}"'
    PICTURE.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{panels}\n</svg>\n'
    )
    ends = {name: {str(s): on_front(track[-1]) for s, track in by.items()} for name, by in ways.items()}
    apart = {name: round(float((by[1.0] - by[0.1]).norm(dim=2).max()), 3) for name, by in ways.items()}
    figures = {"steps": STEPS, "starts": len(STARTS), "ends on the front": ends, "greatest distance": apart}
    (HERE / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
