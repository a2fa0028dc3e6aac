"""What is said of ways: consistent with the intervals, rarely false, and found where it is there."""

import importlib.util
import inspect
import math
from pathlib import Path

import numpy as np
import pytest

from headstart.comparison import verdicts
from headstart.comparison.question import Metric
from headstart.comparison.verdicts import SPENT, Field, follow, judge
from headstart.maths import twoway

LAB = Path(__file__).parents[2] / "benchmarks" / "trust" / "lab.py"
ACCURACY = Metric("accuracy", bounds=(0.0, 1.0))
R2 = Metric("r2", bounds=(-math.inf, 1.0), ratio=True)
RMSE = Metric("rmse", higher_is_better=False, bounds=(0.0, math.inf), ratio=True)
BRIER = Metric("brier", higher_is_better=False, bounds=(0.0, 1.0))
NULL = ["scratch", "constant"]


@pytest.fixture(scope="module")
def lab():
    spec = importlib.util.spec_from_file_location("lab", LAB)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outcomes(rates, seeds=5, rows=300, seed=0):
    """Draw right and wrong answers with these chances; which rows are hard is the same for all."""
    g = np.random.default_rng(seed)
    hard = g.random(rows)
    drawn = {}
    for name, rate in rates.items():
        jitter = np.where(g.random((seeds, rows)) < 0.3, g.random((seeds, rows)), hard)
        drawn[name] = (jitter < rate).astype(float)
    return drawn


def asked(rates, *, chosen=("scratch",), metric=ACCURACY, drawn=None, family=NULL, **settings):
    shape = {key: settings.pop(key) for key in ("seeds", "rows", "seed") if key in settings}
    tables = outcomes(rates, **shape) if drawn is None else drawn
    return Field(metric, tables, [n for n in family if n in tables], list(chosen), **settings)


# Verdicts and intervals.


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("chosen", [("scratch",), (), ("scratch", "other")])
def test_verdicts_say_what_the_intervals_say(seed, chosen):
    rates = {"scratch": 0.5, "constant": 0.3, "other": 0.48}
    rates |= {f"way{i}": 0.35 + 0.04 * i for i in range(9)}
    field = asked(rates, chosen=chosen, floor="constant", family=[*NULL, "other"], seed=seed, rows=200)
    found = judge(field)
    for name in field.family:
        assert found.ways[name]["verdict"] is None
    for way in (w for n, w in found.ways.items() if n not in field.family):
        low, high = way["gain_ci95"]
        assert low < way["gain"] < high
        assert way["verdict"] in ("gains", "harms", "equal", "open")
        clears = low > 0 and way["gain"] >= field.least and "unless" not in way
        assert (way["verdict"] == "gains") is clears
        if way["verdict"] == "harms":
            assert high < 0
        elif len(chosen) == 1:  # of several the highest is named, so below it alone is no harm
            assert high >= 0 or way["verdict"] == "equal"
        if way["verdict"] == "equal":
            assert -field.least < low < high < field.least
        if way["verdict"] == "open":
            assert not clears
            assert not -field.least < low < high < field.least
    assert found.chosen is bool(chosen)
    if chosen:
        assert found.baseline == max(chosen, key=lambda n: found.ways[n]["mean"])


def test_a_gain_below_the_least_that_matters_is_none():
    same = np.random.default_rng(1).random((5, 2000)) < 0.5
    better = same.copy()
    better[:, :40] = True  # some 20 rows, so about one point
    tables = {"scratch": same.astype(float), "probe": better.astype(float)}
    assert judge(asked(None, drawn=tables)).ways["probe"]["gain_ci95"][0] > 0
    gain = judge(asked(None, drawn=tables)).ways["probe"]["gain"]
    assert judge(asked(None, drawn=tables, least=gain - 1e-9)).ways["probe"]["verdict"] == "gains"
    found = judge(asked(None, drawn=tables, least=gain + 1e-9))
    assert found.ways["probe"]["verdict"] != "gains"
    assert found.outcome != "better"


def test_a_gain_over_the_chosen_baseline_alone_is_told_with_what_it_does_not_clear():
    rates = {"scratch": 0.4, "raw": 0.6, "probe": 0.56}
    found = judge(asked(rates, family=["scratch", "raw"], rows=600))
    way = found.ways["probe"]
    assert way["gain_ci95"][0] > 0
    assert way["unless"] == "raw"
    assert way["verdict"] == "open"
    assert found.highest == "raw"
    assert (
        judge(asked(rates | {"raw": 0.3}, family=["scratch", "raw"], rows=600)).ways["probe"]["verdict"]
        == "gains"
    )


def test_another_way_without_reuse_may_be_a_little_above_and_no_more():
    """Not more than ``least`` below any other: that counts from the interval's end."""
    base = np.random.default_rng(2).random((5, 1000)) < 0.5
    way, little = base.copy(), base.copy()
    way[:, :200] = True
    little[:, :201] = True  # about half a row above the way, everywhere
    tables = {"scratch": base, "little": little, "probe": way}
    tables = {name: table.astype(float) for name, table in tables.items()}
    field = asked(None, drawn=tables, family=["scratch", "little"], least=0.01)
    assert judge(field).ways["probe"]["verdict"] == "gains"
    far = base.copy()
    far[:, :260] = True
    found = judge(asked(None, drawn=tables | {"little": far.astype(float)}, family=["scratch", "little"]))
    assert found.ways["probe"]["unless"] == "little"
    assert found.ways["probe"]["verdict"] == "open"


def test_where_nothing_could_choose_a_gain_is_over_all_and_a_harm_below_all_but_the_floor():
    rates = {"scratch": 0.5, "raw": 0.5, "constant": 0.1, "good": 0.75, "bad": 0.3}
    found = judge(asked(rates, chosen=(), family=["scratch", "raw", "constant"], floor="constant"))
    assert not found.chosen
    assert (found.ways["good"]["verdict"], found.ways["bad"]["verdict"]) == ("gains", "harms")
    assert found.baseline == found.highest
    between = rates | {"raw": 0.3, "bad": 0.33}
    found = judge(asked(between, chosen=(), family=["scratch", "raw", "constant"], floor="constant"))
    assert found.ways["bad"]["verdict"] == "open"  # below one of them alone
    found = judge(asked(between, family=["scratch", "raw", "constant"], floor="constant"))
    assert found.ways["bad"]["verdict"] == "harms"  # below the one that was chosen


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_there_is_no_verdict(seeds):
    found = judge(asked({"scratch": 0.3, "constant": 0.2, "up": 0.9, "down": 0.01}, seeds=seeds))
    assert [found.ways[n]["verdict"] for n in ("scratch", "up", "down")] == [None, "open", "open"]
    assert found.outcome == "not known yet"
    assert found.recommended == "up"
    assert (found.ways["up"]["gain_ci95"] is None) is (seeds == 1)
    if seeds == 1:
        assert found.needed == {"seeds": 2}
        assert found.ways["up"]["gain"] == pytest.approx(
            found.ways["up"]["mean"] - found.ways["scratch"]["mean"]
        )
        assert found.ways["up"]["gain_scratch"] == found.ways["up"]["gain"]


def test_equal_differences_have_an_interval_all_the_same():
    base = np.tile(np.arange(100) % 2, (4, 1)).astype(float)
    found = judge(asked(None, drawn={"scratch": base, "probe": base.copy()}))
    low, high = found.ways["probe"]["gain_ci95"]
    assert low < 0 == found.ways["probe"]["gain"] < high
    assert found.ways["probe"]["verdict"] in ("equal", "open")
    assert found.ways["scratch"]["ci95"][0] < 0.5 < found.ways["scratch"]["ci95"][1]


def test_more_than_enough_copies_are_equal():
    base = np.tile(np.arange(4000) % 2, (5, 1)).astype(float)
    found = judge(asked(None, drawn={"scratch": base, "probe": base.copy()}, least=0.01))
    assert found.ways["probe"]["verdict"] == "equal"
    assert (found.outcome, found.recommended) == ("not better", "scratch")


# Metrics.


def errors(scales, seeds=5, rows=200, seed=3):
    """Draw squared errors of these sizes, that ways share in part."""
    g = np.random.default_rng(seed)
    hard = g.normal(size=rows)
    return {
        name: scale * (hard + 0.3 * g.normal(size=(seeds, rows))) ** 2 / 1.09
        for name, scale in scales.items()
    }


@pytest.mark.parametrize("metric", [R2, RMSE])
def test_a_gain_is_the_share_of_the_error_that_is_saved(metric):
    tables = errors({"scratch": 0.8, "constant": 1.0, "probe": 0.2, "worse": 1.5})
    if metric is R2:
        tables = {name: 1 - table for name, table in tables.items()}
    found = judge(asked(None, drawn=tables, metric=metric))
    error = {n: (1 - t if metric is R2 else t).mean() for n, t in tables.items()}
    for name in ("probe", "worse", "constant"):
        assert found.ways[name]["gain"] == pytest.approx(1 - error[name] / error["scratch"], abs=1e-12)
        assert found.ways[name]["mean"] == tables[name].mean()
        low, high = found.ways[name]["ci95"]
        assert low < tables[name].mean() < high
    assert (found.ways["probe"]["verdict"], found.ways["worse"]["verdict"]) == ("gains", "harms")
    assert found.recommended == "probe"


def test_a_ratio_does_not_know_the_unit_of_the_errors():
    tables = errors({"scratch": 0.8, "constant": 1.0, "probe": 0.4})
    one, other = (
        judge(asked(None, drawn={n: by * t for n, t in tables.items()}, metric=RMSE)) for by in (1, 1e4)
    )
    assert other.ways["probe"]["gain"] == pytest.approx(one.ways["probe"]["gain"], rel=1e-9)
    np.testing.assert_allclose(other.ways["probe"]["gain_ci95"], one.ways["probe"]["gain_ci95"], rtol=1e-9)
    np.testing.assert_allclose(
        other.ways["probe"]["ci95"], 1e4 * np.array(one.ways["probe"]["ci95"]), rtol=1e-9
    )
    assert other.outcome == one.outcome


def test_of_a_measure_that_is_better_low_a_gain_is_how_much_lower():
    tables = {
        name: 1 - table for name, table in outcomes({"scratch": 0.5, "constant": 0.2, "probe": 0.8}).items()
    }
    found = judge(asked(None, drawn=tables, metric=BRIER))
    assert found.ways["probe"]["gain"] == pytest.approx(tables["scratch"].mean() - tables["probe"].mean())
    assert found.ways["probe"]["gain"] > 0.2
    assert found.ways["probe"]["verdict"] == "gains"
    low, high = found.ways["probe"]["ci95"]
    assert 0 <= low < tables["probe"].mean() < high <= 1


def test_ends_of_scores_stay_within_the_bounds():
    assert verdicts.score_ends(ACCURACY, [-0.1, 1.2]) == [0, 1]
    assert verdicts.score_ends(BRIER, [-0.4, 0.1]) == [0, 0.4]
    low, high = verdicts.score_ends(RMSE, [-math.log(2), math.log(2)])
    assert (low, high) == pytest.approx((0.5, 2))
    assert verdicts.gain_of(RMSE, math.log(2)) == pytest.approx(0.5)
    assert math.isfinite(verdicts.gain_of(RMSE, -1e9))


# Answers.


def test_outcomes_have_four_words():
    def told(**rates):
        field = asked(rates, floor="constant", rows=rates.pop("rows", 300))
        found = judge(field)
        assert found.recommended in field.tables
        return found.outcome

    assert told(scratch=0.5, constant=0.2, probe=0.8) == "better"
    assert told(scratch=0.5, constant=0.2, probe=0.3) == "not better"
    assert told(scratch=0.5, constant=0.2, probe=0.51) == "not known yet"
    assert told(scratch=0.5, constant=0.5, probe=0.5) == "nothing works"
    assert told(scratch=0.5, constant=0.2) == "not known yet"  # there is no other way
    assert judge(asked({"probe": 0.5}, chosen=())).recommended == "probe"


def test_what_is_no_better_is_not_recommended():
    found = judge(asked({"scratch": 0.5, "constant": 0.2, "probe": 0.3}))
    assert (found.recommended, found.gain, found.gain_ci95) == ("scratch", None, None)
    assert found.over_highest is None


def test_costs_decide_among_ways_that_are_near():
    drawn = outcomes({"scratch": 0.4, "constant": 0.2, "slow": 0.8, "far": 0.6}, rows=500)
    drawn["fast"] = drawn["slow"].copy()
    drawn["fast"][0, 0] = 0  # a bit lower
    costs = {"slow": (9.0, 1.0), "fast": (1.0, 9.0), "far": (0.1, 0.1)}
    assert judge(asked(None, drawn=drawn, costs=costs)).recommended == "fast"
    assert judge(asked(None, drawn=drawn, costs=costs | {"fast": (9.0, 2.0)})).recommended == "slow"
    assert judge(asked(None, drawn=drawn, costs={})).recommended in ("slow", "fast")


def test_a_way_stands_in_for_another():
    drawn = outcomes({"scratch": 0.4, "constant": 0.2, "probe": 0.8, "probe-without-bad": 0.75})
    assert judge(asked(None, drawn=drawn)).recommended == "probe"
    given = asked(None, drawn=drawn, instead={"probe": "probe-without-bad"})
    assert judge(given).recommended == "probe-without-bad"
    given = asked(None, drawn=drawn, instead={"probe": "one that never ran"})
    assert judge(given).recommended == "probe"


def test_the_gain_that_would_have_been_seen_is_seen_four_times_in_five():
    def normal(seed, gain=0.0):
        """Draw numbers with parts of the row, the seed and both, so that a gain moves no error."""
        g = np.random.default_rng(seed)
        hard, rows = g.normal(size=200), g.normal(size=(2, 1, 200))
        scores = hard + 0.3 * rows + 0.02 * g.normal(size=(2, 5, 1)) + 0.5 * g.normal(size=(2, 5, 200))
        return asked(None, drawn={"scratch": scores[0], "probe": scores[1] + gain}, metric=Metric("score"))

    size = float(np.median([judge(normal(seed)).seen for seed in range(60)]))
    found = [judge(normal(seed, size)).ways["probe"]["verdict"] == "gains" for seed in range(1000, 1200)]
    assert 0.74 <= np.mean(found) <= 0.88


def test_what_is_needed_is_more_seeds_or_else_more_rows():
    rows = judge(asked({"scratch": 0.5, "probe": 0.515}, rows=40)).needed
    assert set(rows) == {"test_rows"}
    assert rows["test_rows"] > 40
    g = np.random.default_rng(4)
    lucky = (g.random((4, 3000)) < np.array([0.4, 0.5, 0.6, 0.7])[:, None]).astype(float)
    base = (g.random((4, 3000)) < 0.5).astype(float)
    seeds = judge(asked(None, drawn={"scratch": base, "probe": lucky})).needed
    assert set(seeds) == {"seeds"}
    assert seeds["seeds"] >= 1


def test_the_gain_that_is_told_is_shrunken():
    rates = {"scratch": 0.5} | {f"way{i}": 0.5 for i in range(10)} | {"front": 0.62}
    found = judge(asked(rates, rows=100))
    assert found.outcome == "better"
    assert 0 < found.gain < found.ways[found.recommended]["gain"]
    assert found.gain_ci95 == found.ways[found.recommended]["gain_ci95"]


def test_gains_over_scratch_stand_beside_those_over_the_baseline():
    rates = {"scratch": 0.4, "raw": 0.6, "probe": 0.8}
    found = judge(asked(rates, chosen=("raw",), family=["scratch", "raw"]))
    means = {n: w["mean"] for n, w in found.ways.items()}
    assert found.ways["probe"]["gain"] == pytest.approx(means["probe"] - means["raw"])
    assert found.ways["probe"]["gain_scratch"] == pytest.approx(means["probe"] - means["scratch"])
    assert found.ways["raw"]["gain"] is None
    assert found.ways["raw"]["gain_scratch"] == pytest.approx(means["raw"] - means["scratch"])
    assert found.ways["scratch"]["gain_scratch"] is None


# Rates, quickly: benchmarks/trust/rates.py is the whole of it.


def said(lab, accuracies, seeds, rows, runs, kind="few", start=0):
    """Share of runs in which any way gains, and any harms, among twelve over five without reuse."""
    told = np.zeros(2)
    names = [f"base{i}" for i in range(5)] + [f"way{i}" for i in range(len(accuracies) - 5)]
    for i in range(start, start + runs):
        g = np.random.default_rng([seeds, rows, i])
        tables = dict(zip(names, lab.World(accuracies, rows, kind, g).seeds(seeds), strict=True))
        held = lab.held_out(accuracies[:5], kind, seeds, g)
        found = judge(Field(ACCURACY, tables, names[:5], [names[int(held.mean(1).argmax())]]))
        each = [found.ways[name]["verdict"] for name in names[5:]]
        told += "gains" in each, "harms" in each
    return told / runs


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(twoway, "DRAWS", 2500)  # a quarter: the limits move by some hundredths


@pytest.mark.slow
def test_that_bar_can_fail(lab, monkeypatch, quick):
    """With each way's own part of the seeds, some way's three seeds look alike by chance."""
    text = inspect.getsource(twoway.differences)
    own = text.replace("seed = (seed + seed.mean()) / 2", "pass")
    assert own != text
    names = dict(vars(twoway))
    exec(f"from __future__ import annotations\n{own}", names)
    monkeypatch.setattr(twoway, "differences", names["differences"])
    assert said(lab, [0.5] * 17, 3, 400, 100).max() > 0.10


@pytest.mark.parametrize(("seeds", "rows"), [(3, 400), (5, 100)])
def test_where_all_are_alike_few_verdicts_are_given(lab, quick, seeds, rows):
    gains, harms = said(lab, [0.5] * 17, seeds, rows, 100)
    assert gains <= 0.10
    assert harms <= 0.10


def test_a_harm_of_15_points_is_found(lab, quick):
    found = 0
    for i in range(40):
        g = np.random.default_rng([15, i])
        drawn = lab.World([0.5] * 5 + [0.35] + [0.5] * 11, 100, "few", g).seeds(5)
        names = [f"base{i}" for i in range(5)] + [f"way{i}" for i in range(12)]
        field = Field(ACCURACY, dict(zip(names, drawn, strict=True)), names[:5], names[:1])
        found += judge(field).ways["way0"]["verdict"] == "harms"
    assert found >= 30


# Seeds added until it is decided.


def grown(field, counts):
    """Cut each way's table to as many seeds as it has."""
    return Field(
        field.metric, {n: t[: counts[n]] for n, t in field.tables.items() if counts[n]}, field.family,
        field.chosen, field.floor, field.least,
    )  # fmt: skip


def stepwise(field):
    """Run what is asked for, look, and go on, as a comparison does."""
    counts, rounds = dict.fromkeys(field.tables, min(SPENT)), []
    while True:
        found = follow(grown(field, counts))
        rounds.append(found)
        if not found.next:
            return found, counts, rounds
        assert all(counts[name] < found.upto for name in found.next)
        counts |= dict.fromkeys(found.next, found.upto)


def plainly(followed):
    return (
        followed.judged.recommended, followed.judged.outcome, followed.judged.baseline, followed.level,
        dict(followed.seeds), {n: dict(w) for n, w in followed.judged.ways.items()},
    )  # fmt: skip


LADDER = {"scratch": 0.5, "constant": 0.2, "worst": 0.3, "low": 0.46, "same": 0.5, "near": 0.53, "top": 0.56}


@pytest.mark.parametrize("seed", range(6))
def test_step_by_step_and_at_once_give_the_same(seed):
    field = asked(LADDER, seeds=12, rows=150, seed=seed, floor="constant")
    found, counts, rounds = stepwise(field)
    assert plainly(follow(grown(field, counts))) == plainly(found)  # what a finished directory holds
    whole = follow(field)  # more seeds than were asked for change nothing: they are not looked at
    assert plainly(whole) == plainly(found)
    assert set(counts.values()) <= {5, 8, 12}
    assert [r.upto for r in rounds if r.next] == [8, 12][: len(rounds) - 1]
    assert found.level == SPENT[max(found.seeds.values())]


@pytest.mark.parametrize("seed", range(6))
def test_a_verdict_stays_and_ways_that_are_out_go_no_further(seed):
    _, counts, rounds = stepwise(asked(LADDER, seeds=12, rows=150, seed=seed, floor="constant"))
    assert counts["scratch"] == counts["constant"] == max(counts.values())  # those without reuse go on
    given = {}
    for found in rounds:
        for name, way in found.judged.ways.items():
            if name in given:
                assert way["verdict"] == given[name]
            if way["verdict"] in ("gains", "harms"):
                given[name] = way["verdict"]
                low, high = way["gain_ci95"]
                assert low > 0 if way["verdict"] == "gains" else high < 0
        out = [n for n, v in given.items() if v == "harms"]
        assert not set(out) & set(found.next)
    assert counts["worst"] == 5
    last = rounds[-1].judged.ways["worst"]
    assert (last["verdict"], last["may_be_best"]) == ("harms", False)
    if max(counts.values()) > 5:
        assert last["best_probability"] == 0.0


def test_where_all_is_decided_at_the_first_look_no_seed_is_added():
    field = asked({"scratch": 0.5, "constant": 0.2, "up": 0.8, "down": 0.2}, seeds=5, rows=300)
    found = follow(field)
    assert (list(found.next), found.level, set(found.seeds.values())) == ([], SPENT[5], {5})
    assert found.judged.outcome == "better"


def test_what_is_not_decided_goes_on_and_ends_at_the_last_look():
    rates = {"scratch": 0.5, "constant": 0.2, "same": 0.5}
    field = asked(rates, seeds=12, rows=100)
    first = follow(grown(field, dict.fromkeys(rates, 5)))
    assert (set(first.next), first.upto, first.level) == (set(rates), 8, SPENT[5])
    part = follow(grown(field, {"scratch": 6, "constant": 8, "same": 7}))  # stopped in between
    assert (set(part.next), part.upto) == (set(rates), 8)
    assert set(part.seeds.values()) == {6}  # what all have
    last = follow(field)
    assert (list(last.next), last.level, set(last.seeds.values())) == ([], SPENT[12], {12})
    assert last.judged.outcome == "not known yet"


def test_too_few_seeds_for_the_first_look_ask_for_it():
    rates = {"scratch": 0.2, "constant": 0.1, "up": 0.9}
    for count in (1, 2, 4):
        field = asked(rates, seeds=count)
        found = follow(field)
        if count < 3:
            assert (set(found.next), found.upto) == (set(rates), 5)
        assert set(found.seeds.values()) == {count}


def test_a_gain_that_was_told_is_told_again_with_the_interval_it_had():
    """Later seeds that say the opposite do not take a verdict back."""
    drawn = outcomes({"scratch": 0.5, "constant": 0.2, "same": 0.62}, seeds=12, rows=200)
    drawn["up"] = outcomes({"up": 0.62}, seeds=12, rows=200)["up"]
    drawn["up"][5:] = 0
    first = follow(grown(asked(None, drawn=drawn), dict.fromkeys(drawn, 5))).judged.ways["up"]
    assert first["verdict"] == "gains"
    field = asked(None, drawn={n: t[:8] for n, t in drawn.items()})
    at_eight = judge(field).ways["up"]
    assert at_eight["verdict"] != "gains"
    told = judge(
        Field(**{**vars(field), "settled": {"up": {k: first[k] for k in ("verdict", "gain", "gain_ci95")}}})
    )
    assert told.ways["up"]["verdict"] == "gains"
    assert told.ways["up"]["gain_ci95"] == first["gain_ci95"]
