"""The page and the table say what was decided, how sure it is, over what, and what to do next."""

import itertools
import json
import re
from importlib import import_module
from pathlib import Path

import pytest
from rich.cells import cell_len

from headstart.report import fragment, page, reasons, table, write

ROOT = Path(__file__).parents[2]
FAMILY = ["constant", "raw+logreg", "raw+svm", "scratch"]
LONG = "pretrain+multitask+fewshot"


def row(strategy, gain=None, half=0.04, verdict=None, best=0.0, shots=5, mean=0.7, **changes):
    value = {
        "target": "new", "strategy": strategy, "shots": shots, "mean": mean,
        "ci95": [mean - half, mean + half],
        "gain": gain, "gain_ci95": None if gain is None else [gain - half, gain + half],
        "gain_scratch": 0.11, "gain_scratch_ci95": [0.05, 0.17], "verdict": verdict,
        "harmed": verdict == "harms", "may_be_best": best > 0, "best_probability": best, "judged_on": 3,
        "measures": {"accuracy": mean, "balanced_accuracy": mean, "log_loss": 0.5}, "seconds": 1.0,
        "trained_parameters": 10, "seeds": [mean - 0.01, mean, mean + 0.01],
    }  # fmt: skip
    return value | changes


def answer(**changes):
    value = {
        "target": "new", "shots": 5, "strategy": "probe", "outcome": "better", "baseline": "raw+logreg",
        "chosen_on": True, "gain": 0.083, "gain_ci95": [0.031, 0.14], "may_be_best": ["probe"],
        "gaining": ["probe"], "harmed": [], "worst": None, "seen": 0.05, "needed": {"seeds": 2}, "seeds": 3,
        "test_rows": 120, "level": 0.05,
    }  # fmt: skip
    return value | changes


ROWS = [
    row("probe", 0.09, verdict="gains", best=0.52, mean=0.8),
    row("finetune", 0.05, verdict="open", best=0.21, mean=0.77),
    row("raw+logreg", mean=0.72),
    row("raw+svm", 0.0, mean=0.72),
    row(LONG, 0.0, half=0.005, verdict="equal", mean=0.72),
    row("scratch", -0.1, mean=0.61, gain_scratch=None, gain_scratch_ci95=None),
    row("dann", -0.1, verdict="harms", mean=0.6),
    row("mmd", -0.12, verdict="harms", mean=0.58),
    row("maml", -0.2, verdict="harms", mean=0.5),
    row("l2sp", -0.3, verdict="harms", mean=0.4),
    row("lp_ft", -0.3, verdict="harms", mean=0.4),
    row("constant", -0.2, mean=0.5),
]
SHARE = {"name": "accuracy", "higher_is_better": True, "bounds": [0.0, 1.0], "ratio": False}
ERROR = {"name": "rmse", "higher_is_better": False, "bounds": [0.0, None], "ratio": True}
DETAILS = {
    "title": "Which way of reuse is best for new??",
    "targets": [{"name": "new", "classes": ["no", "yes"], "shares": {"no": 0.925, "yes": 0.075},
                 "metric_because": "yes is 7.5 % of the rows", "test_rows": 120}],
    "family": FAMILY, "floor": "constant", "metrics": {"new": SHARE},
    "curves": {"probe": {"shots": None, "seed": 0, "losses": {"head": [1.0, 0.5]}}},
    "confusions": [{"target": "new", "strategy": "probe", "shots": 5, "classes": ["no", "yes"],
                    "matrix": [[110, 1], [2, 7]]}],
    "command": "headstart compare problem.toml",
}  # fmt: skip


def result(rows=ROWS, answers=None, **changes):
    value = {
        "task": "new", "metric": "accuracy", "higher_is_better": True, "rows": rows,
        "answers": [answer()] if answers is None else answers, "recommended": "probe", "least": 0.01,
    }  # fmt: skip
    return value | changes


def seen(text):
    """Keep what a reader sees of a page."""
    text = re.sub(r"<style.*?</style>|<title.*?</title>", "", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", text)).replace("&#x27;", "'")


OUTCOMES = {
    "better": (
        answer(),
        "probe gains about 8.3 points (at least 3.1 points) over raw+logreg, the best without reuse on "
        "held-out rows. Judged over 3 seeds and 120 test rows.",
        "Next: use probe.",
        "▲ better",
        "about +8.3 points (at least +3.1) over raw+logreg, the best without reuse on held-out rows",
    ),
    "not better": (
        answer(strategy="raw+logreg", outcome="not better", gain=None, gain_ci95=None, gaining=[]),
        "not better: no way of reuse gains 1.0 point over raw+logreg",
        "Next: keep raw+logreg.",
        "■ not better",
        "no gain of 1.0 point over raw+logreg",
    ),
    "not known yet": (
        answer(outcome="not known yet", gain_ci95=[-0.02, 0.14], gaining=[], worst=-0.02, chosen_on=False),
        "not known yet: probe is in front, between -2.0 and +14.0 points over raw+logreg, the highest",
        "Next: run it with about 5 seeds, what ran is kept; only gains from 5.0 points on could be seen "
        "here. Until then use probe.",
        "○ not known yet",
        "+8.3 points (−2.0 to +14.0) over raw+logreg, the highest without reuse",
    ),
    "a way without reuse in front": (
        answer(strategy="raw+svm", outcome="not known yet", gain=0.01, gain_ci95=[-0.02, 0.14],
               needed={"test_rows": 2384}),
        "not known yet: raw+svm, without reuse, is in front",
        "Next: it takes about 2,400 test rows, more seeds do not decide it;",
        "○ not known yet",
        "+1.0 point (−2.0 to +14.0)",
    ),
    "nothing works": (
        answer(strategy="constant", outcome="nothing works", gain=-0.2, gain_ci95=[-0.3, -0.1]),
        "nothing works yet: no way is clearly above a constant answer, which looks at no input.",
        "Next: see that the inputs say anything of the labels; else run it with about 5 seeds",
        "✕ nothing works yet",
        "It reached 50.0 % accuracy",
    ),
    "no score": (
        {"target": "new", "shots": 5, "strategy": None, "outcome": "no score"},
        "no trial has a score.",
        "",
        "– no score yet",
        "No trial has a result yet.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("facts", OUTCOMES.values(), ids=OUTCOMES)
def test_each_outcome_has_its_words(facts):
    found, said, following, badge, headline = facts
    (reason,) = reasons(result(answers=[found]), DETAILS)
    assert reason.startswith("With 5 labelled rows per class: ")
    assert said in reason
    assert following in reason
    text = seen(page(result(answers=[found]), DETAILS))
    assert badge in text
    assert headline in text
    assert following.replace("-", "−") in text or "held-out" in following
    assert badge in seen(fragment(result(answers=[found]), DETAILS))


def test_one_seed_asks_for_more():
    rows = [row("probe", 0.1, verdict="open", gain_ci95=None, ci95=None)]
    rows += [row("raw+logreg", ci95=None)]
    found = answer(outcome="not known yet", gain=0.1, gain_ci95=None, seen=None, seeds=1, test_rows=120)
    (reason,) = reasons(result([r | {"judged_on": 1} for r in rows], [found]), DETAILS)
    assert "probe scored highest, +10.0 points over raw+logreg" in reason
    assert "over 1 seed and 120 test rows" in reason
    assert "run it with about 3 seeds" in reason


@pytest.mark.parametrize(("worst", "said"), [
    (-0.02, "Harm beyond 2.0 points is ruled out for the others."),
    (-0.2, "Harm up to 20.0 points could hide among the others."),
    (0.01, ""),
])  # fmt: skip
def test_harm_is_named_whole_and_bounded(worst, said):
    value = result(answers=[answer(worst=worst, harmed=["dann", "mmd", "maml", "l2sp", "lp_ft"])])
    named = ("Did harm: dann (-6.0 points or worse), mmd (-8.0 points or worse), "
             "maml (-16.0 points or worse), l2sp (-26.0 points or worse), "
             "lp_ft (-26.0 points or worse).")  # fmt: skip
    (reason,) = reasons(value, DETAILS)
    assert f"{named} {said}".strip() in reason
    text = seen(page(value, DETAILS))
    assert named.replace("-", "−") in text
    assert "and 1 more" not in text


def test_ways_that_may_be_best_are_listed_with_rough_chances_and_never_one_alone():
    rows = [*ROWS, row("gradual", 0.01, verdict="open", best=0.004)]
    told = "May be best: probe (about half), finetune (about 1 in 5); hardly gradual."
    assert told in seen(page(result(rows), DETAILS))
    alone = [dict(each, may_be_best=each["strategy"] == "probe") for each in ROWS]
    assert "May be best" not in seen(page(result(alone), DETAILS))


def test_ratio_metrics_gain_in_per_cent_of_the_error():
    rows = [
        row("probe", 0.25, verdict="gains", mean=12.0), row("raw+logreg", mean=16.0),
        row("finetune", -30.0, 0.5, verdict="harms", mean=496.0), row("constant", -1.5, mean=40.0),
    ]  # fmt: skip
    value = result(rows, [answer(gain=0.24, gain_ci95=[0.21, 0.29])], metric="rmse", higher_is_better=False)
    details = DETAILS | {"metrics": {"new": ERROR}}
    said = reasons(value, details)[0]
    assert "probe gains: its error is about 24.0 % smaller (at least 21.0 %) compared with raw+logreg" in said
    assert "Did harm: finetune (error over 11 times as large or worse)." in said
    text = seen(page(value, details))
    assert "error about 24.0 % smaller (at least 21.0 %) compared with raw+logreg" in text
    assert "It reached 12.0 RMSE" in text
    assert "faint dots" not in text
    assert "<−999: error over 11 times as large." in text.replace("&lt;", "<")
    said = table(value, details, width=80)
    assert re.search(r"^\+   probe .* \+25\.0 \[\+21\.0, \+29\.0\]", said, re.MULTILINE)


ERRORS = (
    ({"worst": -0.02, "worst_of": "mmd"},
     "An error over 2.0 % larger is ruled out for the others; mmd comes nearest to it."),
    ({"worst": -0.5}, "Harm could hide among the others: it could make the error up to 50.0 % larger."),
    ({"worst": -1.11, "worst_of": "mmd"},
     "Harm could hide among the others, most in mmd: it could make the error up to 2.1 times as large."),
    ({"worst": -30.0}, "Nothing can be said of harm among the others yet: intervals are too wide."),
    ({"outcome": "not better"},
     "not better: no way of reuse makes the error 1.0 % smaller compared with raw+logreg, the best"),
    ({"outcome": "not known yet", "gain_ci95": [-1.11, 0.2]},
     "probe is in front, its error between 2.1 times as large and 20.0 % smaller compared with raw+logreg"),
    ({"outcome": "not known yet", "gain_ci95": [-40.0, 0.9]},
     "without reuse on held-out rows, but nothing can be said yet: the interval is too wide."),
    ({"outcome": "not known yet", "gain_ci95": None}, "probe scored highest, error 8.3 % smaller compared"),
    ({"outcome": "not known yet"}, "only an error at least 5.0 % smaller could be seen here"),
    ({"highest": "raw+svm", "over_highest": -0.1},
     "Compared with raw+svm, the highest without reuse on the test rows, it has an error 10.0 % larger."),
)  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), ERRORS)
def test_of_a_ratio_it_is_said_what_becomes_of_the_error(changes, said):
    value = result([dict(each, mean=12.0) for each in ROWS], [answer(**changes)], metric="rmse")
    details = DETAILS | {"metrics": {"new": ERROR}}
    (reason,) = reasons(value, details)
    assert said in reason
    text = seen(page(value, details))
    for never in ("of the error (", "points", "999"):
        assert never not in reason + text.partition("Leaderboard")[0]


def test_where_the_gain_of_the_answer_is_not_that_of_the_table_it_is_said_why():
    why = "in the answer is corrected for choosing the best of many, those in the table are not."
    value = result(answers=[answer()])  # 8.3 points, 9.0 in the table
    assert why in " ".join(table(value, DETAILS, width=80).split())
    assert seen(page(value, DETAILS)).count(why) == 1
    for same in (answer(gain=0.09), answer(outcome="not better"), answer(gain=None)):
        value = result(answers=[same])
        assert why not in " ".join(table(value, DETAILS, width=80).split()) + seen(page(value, DETAILS))


def test_bounded_metrics_are_said_in_points_whatever_their_name():
    metric = SHARE | {"name": "macro_f1"}
    text = table(result(), DETAILS | {"metrics": {"new": metric}}, width=80)
    assert "new: macro F1, %, over 3 seeds and 120 test rows" in text
    assert "80.0 [76.0, 84.0]" in text


@pytest.mark.usefixtures("drawn")
def test_seeds_are_dots_only_where_a_gain_is_their_difference():
    rows = [row("probe", 0.08, verdict="gains", mean=0.8), row("raw+logreg", mean=0.72)]
    value = result(rows, [answer()])
    ratio = DETAILS | {"metrics": {"new": SHARE | {"ratio": True}}}
    assert page(value, DETAILS).count("<use") > page(value, ratio).count("<use")


def test_table_marks_verdicts_and_what_may_be_best():
    text = table(result(), DETAILS, width=80)
    for mark, name in (("+ *", "probe"), ("  *", "finetune"), ("   ", "raw+logreg"), (".  ", "raw+svm"),
                       ("=  ", LONG), ("!  ", "dann"), (".  ", "constant")):  # fmt: skip
        assert re.search(rf"^{re.escape(f'{mark} {name}')} ", text, re.MULTILINE), (mark, name)
    assert re.search(r"raw\+logreg .* baseline ", text)
    flat = " ".join(text.split())
    legend = ("gain: over raw+logreg; [low, high]: 95 % interval; + gains; = equal; ! does harm; "
              ". no reuse; * may be best")  # fmt: skip
    assert legend in flat
    for width in (40, 60, 80, 100):  # a mark stays with its word
        told = table(result(), DETAILS, width=width)
        assert all(
            each in told for each in ("+ gains", "= equal", "! does harm", ". no reuse", "* may be best")
        )
    shares = "shares: no 92.5 %, yes 7.5 %; scored by accuracy, because yes is 7.5 % of the rows"
    assert shares in flat
    assert "/scratch: gain over scratch" in " ".join(table(result(), DETAILS, width=100).split())


def test_no_share_is_told_of_a_target_without_labels():
    assert "shares" in table(result(), about(shares={"no": 0.9, "yes": 0.1}), width=100)
    assert "shares" not in table(result(), about(shares={"no": 0.0, "yes": 0.0}), width=100)


def about(**changes):
    """Details in which something else is said of the target."""
    return DETAILS | {"targets": [DETAILS["targets"][0] | changes]}


SHIFT = "labelled rows are drawn equally per class; in the data yes is 7.5 %"


def test_equal_draws_are_said_to_be_unlike_the_data_where_they_are_by_far():
    for details in (DETAILS, about(draw="equal")):
        assert SHIFT in " ".join(table(result(), details, width=80).split())
        assert f"Labelled rows{SHIFT.removeprefix('labelled rows are ')}" in seen(page(result(), details))
    near, three = {"no": 0.7, "yes": 0.3}, {"no": 0.5, "yes": 0.5, "never": 0.0}
    unsaid = ({"draw": "random"}, {"per_class": False}, {"shares": near}, {"shares": three}, {"shares": None})
    for changes in unsaid:
        assert "drawn equally" not in table(result(), about(**changes)) + page(result(), about(**changes))
    whole = result([dict(each, shots=None) for each in ROWS], [answer(shots=None)])
    assert "drawn equally" not in table(whole, DETAILS) + page(whole, DETAILS)


def test_rows_drawn_at_random_are_on_average():
    details = about(draw="random")
    text = table(result(), details, width=80)
    said = "5 labelled rows per class on average, drawn at random"
    assert f"\n{said}" in text
    assert "about 5 per class" in seen(page(result(), details))
    assert reasons(result(), details)[0].startswith(f"With {said}:")
    assert "on average" not in table(result(), about(draw="random", per_class=False))
    assert "on average" not in table(result(), DETAILS) + page(result(), DETAILS)


@pytest.mark.parametrize(
    ("steps", "weights", "said"),
    [
        ({"given": 50}, "balanced", "Training50 steps; each class weighs alike"),
        ({"passes": 10, "least": 200, "most": 2000}, "none",
         "Training10 passes over a trial's labelled rows, at least 200 steps and at most 2000; each row w"),
        ({}, "none", "Trainingeach row weighs alike"),
        ({"given": 1}, None, "Training1 step"),
    ],
)  # fmt: skip
def test_how_long_a_trial_trains_and_what_classes_weigh_is_said_in_the_page(steps, weights, said):
    assert said in seen(page(result(), about(class_weights=weights) | {"steps": steps}))
    assert "weighs" not in page(result(), about(class_weights="balanced", per_class=False))


def test_targets_whose_classes_weigh_otherwise_are_named():
    rows = [dict(each, target=name) for name in ("new", "old") for each in ROWS]
    first = DETAILS["targets"][0]
    told = [first | {"class_weights": "balanced"}, first | {"name": "old", "class_weights": "none"}]
    text = seen(page(result(rows, []), DETAILS | {"targets": told, "metrics": {"new": SHARE, "old": SHARE}}))
    assert "new: each class weighs alike; old: each row weighs alike" in text


def test_all_rows_that_may_be_best_are_no_mark():
    rows = [dict(each, may_be_best=True) for each in ROWS]
    assert "*" not in table(result(rows), DETAILS, width=80)
    assert "★" not in page(result(rows), DETAILS)


def test_rows_that_may_be_best_have_a_star_that_is_explained():
    text = page(result(), DETAILS)
    board = text.partition("Leaderboard")[2]
    assert board.count('aria-label="may be best">★</i>') == 2
    assert "★ may be best." in seen(text)


@pytest.mark.parametrize("width", [1, 12, 25, 40, 60, 80, 100])
def test_table_fits(width):
    value = result(answers=[answer(worst=-0.2)])
    value["reasons"] = reasons(value, DETAILS)
    text = table(value, DETAILS, width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "None" not in text
    if width >= 80 or width == 40:  # else a long name or an interval is cut
        assert "…" not in text


@pytest.mark.usefixtures("drawn")
def test_page_says_what_is_asked_of_it():
    text = page(result(), DETAILS)
    words = seen(text)
    assert "best for new? Target" in words
    assert "None" not in words
    assert "all labelled rows, seed 0" in words
    assert "no 92.5 %, yes 7.5 %" in words
    assert "gain over scratch" in words
    assert "All measures" in words
    assert "log loss" in words
    for told in ("● gains", "◆ equal", "○ open", "✕ did harm", "□ no reuse", "□ baseline", "may be best"):
        assert told in words
    assert re.search(r">step</text>", text)
    assert re.search(r">loss</text>", text)


def test_baselines_may_differ_by_amount():
    rows = [*ROWS, *(dict(each, shots=20) for each in ROWS if each["strategy"] != "raw+svm")]
    rows += [row("raw+svm", None, shots=20, mean=0.75)]
    value = result(rows, [answer(), answer(shots=20, baseline="raw+svm")])
    assert "gain: over raw+logreg or raw+svm" in table(value, DETAILS, width=100)
    words = seen(page(value, DETAILS))
    assert "over raw+logreg, the best" in words
    assert "over raw+svm, the best" in words


def test_one_class_for_every_row_is_told():
    stuck = DETAILS | {"confusions": [DETAILS["confusions"][0] | {"matrix": [[111, 0], [9, 0]]}]}
    told = "No better than one class for every test row: maml, probe."
    assert told in seen(page(result(), stuck))
    assert told in " ".join(table(result(), stuck, width=80).split())
    assert "maml." in seen(page(result(), DETAILS))
    assert "constant, " not in seen(page(result(), DETAILS))


def test_seeds_that_change_nothing_are_told():
    rows = [dict(each, seeds=[each["mean"]] * 3) for each in ROWS]
    assert "Every seed gave the same scores" in seen(page(result(rows), DETAILS))
    assert "Every seed gave the same scores" not in seen(page(result(), DETAILS))


def test_several_targets_have_their_own_measure_baseline_and_recommendation():
    other = [dict(each, target="price") for each in ROWS]
    found = [answer(), answer(target="price", baseline="raw+svm", strategy="finetune")]
    value = result([*ROWS, *other], found, recommended_by_target={"new": "probe", "price": "finetune"})
    details = DETAILS | {
        "targets": [*DETAILS["targets"], {"name": "price", "test_rows": 80, "per_class": False}],
        "metrics": {"new": SHARE, "price": ERROR},
    }
    said = reasons(value, details)
    assert said[0].startswith("new: With 5 labelled rows per class: ")
    assert said[1].startswith("price: With 5 labelled rows: ")
    assert "Recommended: new: probe; price: finetune" in table(value, details, width=80)
    assert "% of the error" in seen(page(value, details))


def test_missing_and_failed_trials_are_told():
    failed = [{"strategy": "maml", "shots": 5, "seed": 3, "error": "loss `query` is NaN"}]
    details = DETAILS | {"missing": 4, "budget": {"trials": 9, "failed": failed}}
    said = " ".join(reasons(result(), details))
    assert "4 trials did not run within the time budget" in said
    assert "1 trial failed, and counts as the floor: maml. Said: loss `query` is NaN." in said
    assert "4 trials did not run" in seen(page(result(), details))


def test_without_labels_nothing_is_said_of_reuse():
    rows = [row("source-only", shots=None), row("mmd", 0.1, verdict="gains", shots=None)]
    rows += [row("source+logreg", -0.02, shots=None)]
    details = DETAILS | {"family": ["source-only", "source+logreg"], "floor": ""}
    value = result(rows, [answer(shots=None, baseline="source-only", strategy="mmd")])
    assert "Without labels of the target: mmd gains" in reasons(value, details)[0]
    assert "source-only, the best without adapting" in reasons(value, details)[0]
    assert "□ not adapted" in seen(page(value, details))
    assert ". not adapted" in " ".join(table(value, details, width=80).split())


def test_nothing_of_the_result_reaches_the_page_as_html():
    evil = '<script>alert("1")</script>'
    text = json.dumps(result()).replace("probe", json.dumps(evil)[1:-1]).replace('"new"', json.dumps(evil))
    details = json.dumps(DETAILS).replace("probe", json.dumps(evil)[1:-1]).replace('"yes"', json.dumps(evil))
    details = details.replace('"new"', json.dumps(evil)).replace("yes is", json.dumps(evil)[1:-1])
    for written in (page, fragment):
        assert "<script" not in written(json.loads(text), json.loads(details))
    assert "&lt;script" in page(json.loads(text), json.loads(details))


HOLES = ("gain", "measures", "best_probability", "judged_on", "seeds", "mean")


@pytest.mark.parametrize(
    ("dropped", "hole"), [*((key, "mean") for key in DETAILS), *(("", key) for key in HOLES)]
)
def test_holes_are_no_words(dropped, hole):
    details = {key: value for key, value in DETAILS.items() if key != dropped}
    rows = [dict(each, **{hole: None}) for each in ROWS]
    for text in (seen(page(result(rows), details)), table(result(rows), details, width=80)):
        assert not re.search(r"\bNone\b|\bnan\b", text)


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("name", ["books_to_kitchen", "digits_demo", "mnist_to_usps", "omniglot_to_mnist"])
def test_recorded_results_are_shown(name, tmp_path):
    old = ROOT / "benchmarks" / "quality" / name
    value, details = (json.loads((old / part).read_text()) for part in ("result.json", "details.json"))
    for part in ("result.json", "details.json"):
        (tmp_path / part).write_text((old / part).read_text())
    text = seen(write(tmp_path).read_text())
    assert "None" not in text
    assert "better" in text
    for width, each in itertools.product((40, 80), (details, None)):
        lines = table(value, each, width=width).splitlines()
        assert max(cell_len(line) for line in lines) <= width
        assert "None" not in "".join(lines)


def test_the_tables_of_the_documentation_read_the_new_facts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    tables = import_module("tables")
    folder = tmp_path / "new"
    folder.mkdir()
    value = result(reasons=["probe gains."])
    (folder / "result.json").write_text(json.dumps(value))
    (folder / "details.json").write_text(json.dumps(DETAILS | {"budget": None}))
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    text = tables.results(tmp_path)
    assert (
        "| strategy | accuracy | gain over `raw+logreg` | over scratch | verdict | seconds | seeds |" in text
    )
    assert (
        "| `probe` | 0.800 [0.760, 0.840] | +0.090 [+0.050, +0.130] | +0.110 | gains, may be best |" in text
    )
    assert "| – | +0.110 | baseline |" in text
    assert "| equal |" in text
    assert "| did harm |" in text
    assert "| no reuse |" in text
    demo = tables.demo(folder)
    assert "| strategy | 5 labels per class | gain over `raw+logreg` | over scratch |" in demo
    assert "| `probe` | 80.0 | +9.0 [+5.0, +13.0] **gains** | +11.0 |" in demo
