"""Does counting answers only among the source's rows change what is recommended on reviews? On two pairs.

Needs ``HEADSTART_DATA`` with the Amazon reviews. As in ``seeds.py``: each way at its stated settings, 150
steps, judged by ``sound`` on four fifths of the source's labels; *without* is the choice where nothing is
said of the rows that lie outside. What either rule names, and the source alone, is trained on all labels with
seed 0 and scored on the target's test file. ::

    python benchmarks/quality/amazon_pairs/outside.py

It goes on where it was ended: remove ``outside.json`` to begin anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from seeds import posed

from headstart.strategies import FURTHER, STRATEGIES, Starts

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "fresh_sites"))
from judging import judged  # noqa: E402

PAIRS = (("books", "kitchen"), ("kitchen", "dvd"))
WAYS = (
    "source+logreg", "source-only", "coral+logreg", "mmd", "cmd", "dann", "msda+logreg",
    "adapted+mean",
)  # fmt: skip


def main():
    every, file = STRATEGIES | FURTHER, HERE / "outside.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    for pair in PAIRS:
        if ">".join(pair) in found:
            continue
        problem = posed(pair)
        worth = {name: judged(problem, every[name], {}) for name in WAYS}
        told, without = (max(worth, key=lambda name: worth[name][rule]) for rule in (0, 1))
        scores = {
            name: problem.train(every[name], ["target"], every[name].options[0], 0, Starts())["target"].record
            for name in {told, without, "source-only"}
        }
        found[">".join(pair)] = {
            "recommended": told,
            "without": without,
            "scores": {name: round(100 * record["score"], 2) for name, record in scores.items()},
            "sound, without, outside": {
                name: [round(value, 3) for value in values] for name, values in worth.items()
            },
        }
        print(pair, found[">".join(pair)], flush=True)
        file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
