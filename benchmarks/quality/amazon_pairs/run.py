"""Twelve pairs of Amazon products: what is recommended without a label of the target, and what it scores.

It reads what ``validators/run.py`` found of nine ways on each pair (one seed, 300 steps of 64 rows of a side,
four fifths of the source's labels). Way and weight are chosen by the target's bare rows and the other fifth
of the source's labels; the target's test file only reports. ::

    python benchmarks/quality/amazon_pairs/run.py
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("books", "dvd", "electronics", "kitchen")
PAIRS = [f"{one}>{other}" for one in NAMES for other in NAMES if one != other]
# Accuracy in % on these files: Ganin et al. (JMLR 2016), table 1, and a linear SVM.
DANN = (78.4, 73.3, 77.9, 72.3, 75.4, 78.3, 71.3, 73.8, 85.4, 70.9, 74.0, 84.3)
SVM = (79.6, 74.1, 77.7, 75.1, 74.8, 78.3, 71.5, 73.0, 84.6, 70.6, 73.2, 83.7)
SOURCE, VALIDATOR = "source-only 0.001", "sound"


def main():
    kept = json.loads((HERE.parent / "validators" / "figures.json").read_text())["pairs"]
    rows = {}
    for pair, dann, svm in zip(PAIRS, DANN, SVM, strict=True):
        scores, chosen = kept[pair]["scores"], kept[pair]["chosen"][VALIDATOR]
        best = max(scores, key=scores.get)
        rows[pair] = {
            "recommended": chosen,
            "score": scores[chosen],
            "source-only": scores[SOURCE],
            "over source-only": round(scores[chosen] - scores[SOURCE], 2),
            "best": best,
            "best score": scores[best],
            "published DANN": dann,
            "linear SVM": svm,
        }
    names = ("score", "source-only", "over source-only", "best score", "published DANN", "linear SVM")
    means = {name: round(sum(row[name] for row in rows.values()) / len(rows), 2) for name in names}
    means["worst over source-only"] = min(row["over source-only"] for row in rows.values())
    (HERE / "figures.json").write_text(json.dumps({"pairs": rows, "mean": means}, indent=1) + "\n")
    print(json.dumps(means, indent=1))


if __name__ == "__main__":
    main()
