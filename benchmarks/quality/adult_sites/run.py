"""Two sites with other columns: the census of Adult, every other column at both, the rest at either alone.

Needs ``HEADSTART_DATA`` with Adult. The target (``adult:here``) has 100 labelled rows, drawn at random, and
2000 without; the source (``adult:there``) 4000 labelled ones. ``compare`` runs over ten draws of labels: no
source, the columns alone that both have, the source's missing columns filled from these, and an encoder for
each side; and the same beside a source whose labels say nothing of its rows, where no map can help. Columns
whose relation to the label differs are left out by ``transferable+logreg``: beside the same sources, and one
whose ``TURNED`` columns count the other way round. Every way has its stated default setting. What is in the
file already is not run again. About five minutes of one core.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch

import headstart as hs
from headstart.datasets import transferable
from headstart.maths.random import generator
from headstart.strategies import Budget
from headstart.strategies.unlike import shared
from headstart.tasks import Labelled

HERE = Path(__file__).parent
SEEDS = 10
WAYS = ["raw+logreg", "shared+logreg", "filled+logreg", "joint+space"]
CHOSEN = ["raw+logreg", "shared+logreg", "filled+logreg", "transferable+logreg"]
TURNED = ("age", "education-num")  # as if a site wrote the year of birth, and counted school from the top
KEYS = ("strategy", "mean", "ci95", "gain", "gain_ci95", "verdict")


def sites():
    """Give the target and the source."""
    (target,), (source,) = (hs.datasets.read(f"adult:{site}#income") for site in ("here", "there"))
    return target, dataclasses.replace(source, name="there")


def compared(target, source, ways, baseline):
    """Compare ways with one another, over the same draws of labels."""
    problem = hs.Problem(target, [source], shots=50, draw="random", budget=Budget(options=1))
    result = hs.compare(problem, ways, SEEDS, baseline=baseline, progress=False)
    rows = [{key: row[key] for key in KEYS} for row in result.rows]
    found = {"rows": rows, "recommended": result.recommended, "says": result.data["reasons"]}
    return found | ({"dropped": result.details["dropped"]} if result.details["dropped"] else {})


def main():
    target, source = sites()
    few = hs.datasets.random_shots(target, 50, generator=generator("shots", 0))
    columns = shared(target, source)
    kept = transferable(few, source, columns)
    turned = torch.randperm(len(source.train), generator=generator("labels that say nothing"))
    useless = dataclasses.replace(source, train=Labelled(source.train.x, source.train.y[turned]))
    coded = source.train.x.clone()
    at = [k for k, name in enumerate(source.encoding.feature_names()) if name in TURNED]
    coded[:, at] *= -1
    other = dataclasses.replace(source, train=dataclasses.replace(source.train, x=coded))
    asked = {
        "the same census": lambda: compared(target, source, WAYS, "raw+logreg"),
        "beside a net on the target alone": lambda: compared(
            target, source, ["scratch", WAYS[-1]], "scratch"
        ),
        "over the shared columns alone": lambda: compared(target, source, WAYS[1:], "shared+logreg"),
        "labels that say nothing": lambda: compared(target, useless, WAYS, "raw+logreg"),
        "labels that say nothing, beside all ways without a source": lambda: compared(
            target, useless, WAYS[1:], ""
        ),
        "columns that agree": lambda: compared(target, source, CHOSEN, "raw+logreg"),
        "columns that agree, labels that say nothing": lambda: compared(
            target, useless, CHOSEN, "raw+logreg"
        ),
        f"columns that agree, {' and '.join(TURNED)} turned": lambda: compared(
            target, other, CHOSEN, "raw+logreg"
        ),
        "shared columns whose relation to income differs": lambda: [
            int(new) for k, new in enumerate(columns) if new is not None and kept[k] is None
        ],
    }
    place = HERE / "figures.json"
    found = json.loads(place.read_text()) if place.exists() else {}
    for name, ask in asked.items():
        if name not in found:
            found[name] = ask()
            place.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
