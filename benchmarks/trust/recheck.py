"""Find the numbers of a comparison again, from what each trial said of the test rows.

    python benchmarks/trust/recheck.py DIR

It needs NumPy alone and shares no code with the library. It reads ``result.json`` and ``details.json`` for
what was asked (the baseline, the seeds, the level) and ``outputs/*.npz`` for the answers, computes each row's
``mean``, ``ci95``, ``gain`` and ``gain_scratch`` with their intervals, ``may_be_best`` and
``best_probability``, and each answer's ``gain``, and says the largest difference to what is there; of a share
of draws, ``best_probability``, what is beyond the error of such a share.
Comparisons with a fixed number of seeds are understood, scored by accuracy or by R2.

The steps, each a function below:

1. each row counts towards the score: right or wrong; for R2 by how much it moves it       ``counts``
   (rows of one group count together                                                       ``by_group``)
2. one table per way, seeds by rows; of R2 its error's logarithm, so gains are ratios      ``upwards``
3. means, and the covariances of their errors: of the seeds, the rows, and what is left    ``parts``
4. a difference to the baseline, its standard error and its degrees of freedom             ``difference``
5. a limit that holds for all ways of reuse together, by draws of their errors             ``limits``
6. the interval: as many errors wide as the t quantile of that limit's level               ``ends``
7. the ways that no other beats, and the chance of each to be the best                     ``bests``
8. the gain of what is recommended, its mean pulled towards those of other ways of reuse   ``shrunken``
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from urllib.parse import quote

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
TOLERANCE = 1e-6
BEST = 0.05  # level of the set of those that may be the best


# Quantiles.


def normal_below(z: float) -> float:
    """Give the chance that a standard normal number is below ``z``."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def t_below(t: float, freedom: float) -> float:
    """Give the chance that a t value is below ``t``: with x = sqrt(freedom) tan(a), of cosines."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    angle = math.atan(abs(t) / math.sqrt(freedom))
    half = scale * angle / 2 * float(WEIGHTS @ np.cos(angle / 2 * (NODES + 1)) ** (freedom - 1))
    return 0.5 + math.copysign(half, t)


def inverted(below, chance: float) -> float:
    """Find where a rising function has a value, by halving."""
    low, high = -1.0, 1.0
    while below(low) > chance:
        low *= 2
    while below(high) < chance:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < chance else (low, middle)
    return (low + high) / 2


def as_normal(t: float, freedom: float) -> float:
    """Turn a t value into the normal one of the same level; beyond 8 it is 8, which is above any limit."""
    tail = 1 - t_below(abs(t), freedom)
    return math.copysign(8.0 if tail < 1e-14 else -inverted(normal_below, tail), t)


NORMAL = inverted(normal_below, 0.975)


# What is measured.


def counts(metric: str, answers: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Say what each labelled test row counts, so that the mean is the score."""
    if metric == "accuracy":
        if answers.shape[1] == 1:  # one logit: yes or no
            there = ~np.isnan(y)
            return ((answers[there, 0] > 0) == (y[there] > 0.5)).astype(float)
        there = y >= 0
        return (answers[there].argmax(1) == y[there]).astype(float)
    y = y.reshape(len(y), -1).astype(float)
    if y.shape[1] > 1:
        raise SystemExit("several numbers per row: one is understood")
    said = answers.astype(float).reshape(y.shape)
    there = ~np.isnan(y[:, 0])
    y, said = y[there], said[there]
    wrong, spread = ((y - said) ** 2)[:, 0], ((y - y.mean(0)) ** 2)[:, 0]
    share = wrong.sum() / spread.sum()
    return 1 - share - len(y) * (wrong - share * spread) / spread.sum()


def by_group(counted: np.ndarray, group: np.ndarray | None) -> np.ndarray:
    """Let rows that belong together count as one, with the same mean."""
    if group is None:
        return counted
    groups, at = np.unique(group, return_inverse=True)
    moved = np.bincount(at, counted - counted.mean()) / len(counted)
    return counted.mean() + len(groups) * moved


def upwards(table: np.ndarray, ratio: bool) -> np.ndarray:
    """Turn a table so that differences are gains: of R2 minus the logarithm of its error, to first order."""
    if not ratio:
        return table
    error = 1 - table
    mean = max(float(error.mean()), 1e-12)
    return -(math.log(mean) + error / mean - 1)


def parts(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Give the means of ``(ways, seeds, rows)`` and the covariances of their errors by source."""
    ways, seeds, rows = tables.shape
    means = tables.mean((1, 2))
    centred = tables - means[:, None, None]
    of_seeds, of_rows = np.atleast_2d(np.cov(centred.mean(2))), np.atleast_2d(np.cov(centred.mean(1)))
    flat = centred.reshape(ways, -1)
    left = flat @ flat.T - rows * (seeds - 1) * of_seeds - seeds * (rows - 1) * of_rows
    return means, of_seeds / seeds, of_rows / rows, left / ((seeds - 1) * (rows - 1)) / (seeds * rows)


def difference(found, ways: list[int], base: int | None, seeds: int, rows: int):
    """Give estimates, standard errors and degrees of freedom of ways less the baseline; or of their means."""
    means, by_seed, by_row, by_rest = found

    def variance(part: np.ndarray) -> np.ndarray:
        if base is None:
            return np.array([max(0.0, part[w, w]) for w in ways])
        return np.array([max(0.0, part[w, w] + part[base, base] - 2 * part[w, base]) for w in ways])

    seed, row, rest = variance(by_seed), variance(by_row), variance(by_rest)
    if base is not None:
        seed = (seed + seed.mean()) / 2  # few seeds do not tell each way's own
    freedom = (1 if base is None else 2) * (seeds - 1)
    whole = np.maximum(np.maximum(seed + row - rest, np.maximum(seed, row)), 1 / (seeds * rows**2))
    of_parts = seed**2 / freedom + row**2 / (rows - 1) + rest**2 / (freedom * (rows - 1))
    degrees = np.minimum(np.maximum(whole**2 / np.maximum(of_parts, 1e-300), freedom), 1e6)
    return means[ways] - (0 if base is None else means[base]), np.sqrt(whole), degrees


def draws(found, ways: list[int], base: int, count: int, seed: int) -> np.ndarray:
    """Draw the errors of differences together, each with variance 1."""
    whole, at = covariance(found), np.array(ways)
    joint = whole[np.ix_(at, at)] + whole[base, base] - whole[at, base][:, None] - whole[at, base][None]
    drawn = normals(joint, count, seed)
    spread = drawn.std(0)
    return drawn / np.where(spread > 0, spread, 1)


def covariance(found) -> np.ndarray:
    """Give the covariances of the errors of means; one variance and one covariance of the seeds' part."""
    _, by_seed, by_row, by_rest = found
    size = len(by_seed)
    own = np.diag(by_seed).mean()
    shared = (by_seed.sum() - size * own) / max(1, size * (size - 1))
    whole = np.full((size, size), shared) + (own - shared) * np.eye(size) + by_row - by_rest
    values, vectors = np.linalg.eigh(whole)
    return (vectors * values.clip(1e-8 * max(values.max(), 1e-12))) @ vectors.T


def normals(covariances: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw normal numbers with these covariances."""
    values, vectors = np.linalg.eigh(covariances)
    normal = np.random.default_rng(seed).standard_normal((count, len(values)))
    return normal @ (vectors * np.sqrt(values.clip(0))).T


def limits(z: np.ndarray, drawn: np.ndarray, level: float) -> np.ndarray:
    """Hold the highest against the highest of the draws, take those above away, and again."""
    found, left = np.full(len(z), np.inf), np.ones(len(z), bool)
    while left.any():
        found[left] = max(NORMAL, float(np.quantile(drawn[:, left].max(1), 1 - level)))
        if not (left & (z > found)).any():
            break
        left &= z <= found
    return found


def ends(estimate, error, freedom, up, down) -> list[tuple[float, float]]:
    """Give both ends of each interval: as far as the t quantiles of the limits' levels."""
    found = []
    for value, each, degrees, low, high in zip(estimate, error, freedom, up, down, strict=True):
        t = [inverted(lambda x, d=degrees: t_below(x, d), normal_below(limit)) for limit in (low, high)]
        found.append((value - t[0] * each, value + t[1] * each))
    return found


def bests(found, seeds: int, rows: int, made: dict) -> tuple[np.ndarray, np.ndarray]:
    """Find the ways that no other beats, and how often each is the highest among drawn true means."""
    means, size, freedoms = found[0], len(found[0]), []
    if size == 1:
        return np.ones(1, bool), np.ones(1)
    drawn, kept = normals(covariance(found), made["count"], made["seed"]), np.ones(size, bool)
    for way in range(size):
        others = [other for other in range(size) if other != way]
        estimate, error, freedom = difference(found, others, way, seeds, rows)
        ahead = drawn[:, others] - drawn[:, [way]]
        spread = np.sqrt((ahead**2).mean(0))
        limit = np.quantile((ahead / np.where(spread > 0, spread, 1)).max(1), 1 - BEST)
        z = [as_normal(v / e, f) for v, e, f in zip(estimate, error, freedom, strict=True)]
        kept[way] = max(z) <= limit
        freedoms.append(np.median(freedom))
    kept[means.argmax()] = True
    vectors, along, errors, variances, chance = spreads(means, covariance(found))
    g, freedom = np.random.default_rng(made["seed"] + 1), float(np.median(freedoms))
    chance = np.exp(chance[1:] - chance[1:].max())
    true = g.choice(variances[1:], size=(made["count"], 1), p=chance / chance.sum())
    errors = errors * freedom / g.chisquare(freedom, (made["count"], 1))
    share = true / (true + errors)
    told = share * along + np.sqrt(share * errors) * g.standard_normal(errors.shape)
    return kept, np.bincount((told @ vectors.T).argmax(1), minlength=size) / made["count"]


def shrunken(found, ways: list[int]) -> np.ndarray:
    """Pull means together, as far as their errors explain that they differ."""
    means = found[0][ways]
    if len(ways) < 2:
        return means
    vectors, along, errors, variances, chance = spreads(means, covariance(found)[np.ix_(ways, ways)])
    true = variances[chance.argmax()]
    return means.mean() + vectors @ (true / (true + errors) * along)


def spreads(means: np.ndarray, covariances: np.ndarray):
    """Turn centred means so that their errors are independent; say how likely true variances are."""
    centre = np.eye(len(means)) - 1 / len(means)
    errors, vectors = np.linalg.eigh(centre @ covariances @ centre)
    vectors, errors = vectors[:, errors > 1e-9 * errors.max()], errors[errors > 1e-9 * errors.max()]
    along = vectors.T @ (centre @ means)
    variances = np.linspace(0, 2 * max(float(np.abs(means - means.mean()).max()), 1e-12), 81) ** 2
    whole = errors + variances[:, None]
    return vectors, along, errors, variances, -(np.log(whole) + along**2 / whole).sum(1) / 2


def as_drawn(there: float, mine: float, count: int) -> float:
    """Take a share of draws for what is there, where draws alone may differ by as much.

    Where two directions are as uncertain as one another, their order is the rounding's, and so are the draws.
    """
    error = math.sqrt(2 * mine * (1 - mine) / count)
    return there if abs(there - mine) <= 4 * error else mine


# One target at one amount.


def recheck(directory: Path, answer: dict, rows: list[dict], details: dict, made: dict) -> list[tuple]:
    """Compute all rows of one answer; give (row's name, key, told, found)."""
    target, amount = answer["target"], answer["shots"]
    metric = details["metrics"][target]
    if metric["name"] not in ("accuracy", "r2"):
        raise SystemExit(f"scored by {metric['name']}: accuracy and r2 are understood")
    place, word = directory / "outputs", "all" if amount is None else str(amount)
    truth = dict(np.load(place / f"truth-{quote(target, safe=' ')}.npz"))
    y, group = truth["y"], truth.get("group")
    if group is not None:
        group = group[~np.isnan(y.reshape(len(y), -1)[:, 0]) if y.dtype.kind == "f" else y >= 0]

    def answers(name: str, seed: int) -> np.ndarray:
        return np.load(place / f"{name}-{word}-{seed}.npz")[target]

    tables = np.stack([
        upwards(
            np.stack([
                by_group(counts(metric["name"], answers(row["strategy"], seed), y), group)
                for seed in details["seeds"]
            ]),
            metric["ratio"],
        )
        for row in rows
    ])  # fmt: skip
    names = [row["strategy"] for row in rows]
    _, seeds, units = tables.shape
    found, base = parts(tables), names.index(answer["baseline"])

    def score(value: float) -> float:
        low, high = (
            -math.inf if metric["bounds"][0] is None else metric["bounds"][0],
            math.inf if metric["bounds"][1] is None else metric["bounds"][1],
        )
        return min(high, max(low, 1 - math.exp(-value) if metric["ratio"] else value))

    def gain(value: float) -> float:
        return -math.expm1(-value) if metric["ratio"] else value

    told: list[tuple] = []
    alone = np.full(len(names), NORMAL)
    means = difference(found, list(range(len(names))), None, seeds, units)
    for row, mean, (low, high) in zip(rows, means[0], ends(*means, alone, alone), strict=True):
        told.append((row["strategy"], "mean", row["mean"], score(mean)))
        told += [
            (row["strategy"], "ci95", t, score(f)) for t, f in zip(row["ci95"], (low, high), strict=True)
        ]
    reuse = [i for i, name in enumerate(names) if name not in details["family"]]
    for key, below in {
        "gain": base,
        "gain_scratch": names.index("scratch") if "scratch" in names else base,
    }.items():
        for group in (reuse, [i for i in range(len(names)) if i not in reuse and i != below]):
            if not group or key not in rows[group[0]]:
                continue
            over = difference(found, group, below, seeds, units)
            up = down = np.full(len(group), NORMAL)
            if group is reuse:
                drawn = draws(found, group, below, made["count"], made["seed"])
                z = np.array([as_normal(v / e, d) for v, e, d in zip(*over, strict=True)])
                up, down = limits(z, drawn, answer["level"]), limits(-z, -drawn, answer["level"])
            for i, value, interval in zip(group, over[0], ends(*over, up, down), strict=True):
                told.append((names[i], key, rows[i][key], gain(value)))
                pairs = zip(rows[i][f"{key}_ci95"], interval, strict=True)
                told += [(names[i], f"{key}_ci95", t, gain(f)) for t, f in pairs]
    kept, chances = bests(found, seeds, units, made)
    for row, holds, chance in zip(rows, kept, chances, strict=True):
        told.append((row["strategy"], "may_be_best", float(row["may_be_best"]), float(holds)))
        there = row["best_probability"]
        told.append((row["strategy"], "best_probability", there, as_drawn(there, chance, made["count"])))
    if (top := names.index(answer["strategy"])) != base:
        means = found[0].copy()
        means[reuse] = shrunken(found, reuse)
        told.append((names[top], "gain of the answer", answer["gain"], gain(means[top] - means[base])))
    return told


def main(directory: Path) -> float:
    """Recheck a directory; print and return the largest difference."""
    data = json.loads((directory / "result.json").read_text())
    details = json.loads((directory / "details.json").read_text())
    worst = 0.0
    for answer in data["answers"]:
        rows = [
            row for row in data["rows"]
            if all(row[key] == answer[key] for key in ("target", "shots")) and row["mean"] is not None
        ]  # fmt: skip
        told = recheck(directory, answer, rows, details, data["draws"])
        name, key, there, mine = max(told, key=lambda t: abs(t[2] - t[3]))
        far = abs(there - mine)
        print(
            f"{answer['target']}, {answer['shots'] or 'all'} labels: {len(told)} "
            f"numbers of {len(rows)} ways; largest difference {far:.2g} ({key} of "
            f"{name}: {there:.6f} told, {mine:.6f} found)"
        )
        worst = max(worst, far)
    return worst


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    sys.exit(int(main(Path(sys.argv[1])) > TOLERANCE))
