"""What stands beside the answer: bounds of the claim, sources, the model, a check under other protocols."""

import json

import pytest
from rich.cells import cell_len

from headstart.report import fragment, page, reasons, table, write

from .test_answers import DETAILS, ERROR, ROWS, answer, result, row, seen

CONFIRMED = {
    "strategy": "probe", "baseline": "raw+logreg", "gain": 0.06, "gain_ci95": [0.02, 0.1],
    "seeds": [3, 4, 5, 6, 7], "test_rows": 60,
}  # fmt: skip
SOURCES = [
    {"source": "old digits", "strategy": "probe", "shots": 5, "target": "new", "with": 0.8, "without": 0.7,
     "difference": 0.1, "difference_ci95": [0.05, 0.15], "verdict": "helps"},
    {"source": "bad", "strategy": "probe", "shots": 5, "target": "new", "with": 0.8, "without": 0.923,
     "difference": -0.123, "difference_ci95": [-0.16, -0.08], "verdict": "harms"},
    {"source": "other", "strategy": "probe", "shots": 5, "target": "new", "with": 0.8, "without": 0.79,
     "difference": 0.01, "difference_ci95": [-0.02, 0.04], "verdict": "open"},
]  # fmt: skip
MODEL = {
    "new": {"strategy": "probe", "settings": {}, "rows": 200, "score": 0.85, "ci95": [0.79, 0.91],
            "measures": {"accuracy": 0.85, "log_loss": 0.4567}, "temperature": 1.5, "ece": [0.097, 0.048]}
}  # fmt: skip
CHECK = {
    "strategy": "probe", "baseline": "raw+logreg", "verdict": "gains", "stays": 1, "of": 3,
    "turned": ["half the labels"],
    "protocols": [
        {"protocol": "half the steps", "verdict": "gains", "gain": 0.08, "gain_ci95": [0.03, 0.13]},
        {"protocol": "half the labels", "verdict": "harms", "gain": -0.08, "gain_ci95": [-0.13, -0.03]},
        {"protocol": "another split", "verdict": "open", "gain": None, "gain_ci95": None},
    ],
}  # fmt: skip


def told(details=DETAILS, **changes):
    """Say one answer: in the reasons, and on the page."""
    value = result(answers=[answer(**changes)])
    return " ".join(reasons(value, details)), seen(page(value, details))


def test_the_highest_without_reuse_stands_beside_the_baseline():
    said, text = told(highest="raw+svm", over_highest=0.207)
    assert "over raw+logreg, the best without reuse on held-out rows." in said
    assert "Over raw+svm, the highest without reuse on the test rows, it is +20.7 points." in said
    assert "+20.7 points over raw+svm, the highest without reuse on the test rows" in text
    for same in ({"highest": "raw+logreg"}, {"highest": "probe"}, {"outcome": "not better"}):
        said, text = told(**({"highest": "raw+svm", "over_highest": 0.083} | same))
        assert "highest without reuse on the test rows" not in said + text


def test_a_way_without_reuse_that_may_be_as_good_is_named():
    plain = "raw+svm reuses nothing either and may be as good."
    for text in told(outcome="not known yet", unless="raw+svm"):
        assert plain in text
    assert plain not in "".join(told())


def test_a_confirmed_gain_is_the_headline():
    said, text = told(confirmed=CONFIRMED)
    fresh = "on held-out rows, on 60 test rows and 5 seeds that chose nothing"
    assert f"probe gains +6.0 points (+2.0 to +10.0) over raw+logreg, the best without reuse {fresh}." in said
    chose = "The rows that chose it said about 8.3 points (at least 3.1 points)."
    assert chose in said
    assert f"+6.0 points (+2.0 to +10.0) over raw+logreg, the best without reuse {fresh}" in text
    assert chose in text
    assert "about +8.3" not in text


def test_a_gain_that_fresh_rows_do_not_show_is_not_claimed_by_them():
    said, text = told(confirmed=CONFIRMED | {"gain_ci95": [-0.02, 0.14]})
    doubt = "it is +6.0 points (-2.0 to +14.0), which does not confirm it."
    assert f"On 60 test rows and 5 seeds that chose nothing {doubt}" in said
    assert doubt.replace("-", "−") in text
    said, text = told(confirmed=CONFIRMED | {"strategy": "finetune"})
    assert "that chose nothing finetune, over raw+logreg, is +6.0 points (+2.0 to +10.0)." in said
    assert "about +8.3 points (at least +3.1)" in text


def test_sources_have_a_table_and_a_harming_one_is_named():
    value = result(sources=SOURCES)
    harm = "Source bad harms: it costs probe 12.3 points (at least 8.0)"
    assert f"{harm}. " in reasons(value, DETAILS)[0]
    text = table(value, DETAILS, width=80)
    assert "which source: probe with all and without each" in text
    assert "! bad 80.0 92.3 -12.3 [-16.0, -8.0]" in " ".join(text.split())
    for words in (seen(page(value, DETAILS)), seen(fragment(value, DETAILS))):
        assert harm in words
        assert "● helps" in words
        assert "✕ harms" in words
        assert "bad80.092.3−12.3 −16.0 to −8.0" in words
    assert "Which source" not in page(result(), DETAILS)


def test_a_model_learned_without_what_harms_is_said_to_be():
    name = "probe-without-bad"
    rows = [*ROWS, row(name, 0.2, verdict="gains", mean=0.923)]
    rows += [row(name, shots=1) | {"mean": None}]
    found = answer(strategy=name, gaining=["probe", name, "probe-without-old_digits"])
    value = result(rows, [found], sources=SOURCES)
    (said,) = reasons(value, DETAILS)
    assert "Source bad harms: it costs probe 12.3 points (at least 8.0); the recommended model" in said
    assert "1 other gains too." in said  # runs without a source are no ways of their own
    assert table(value, DETAILS, width=80).count(f" {name} ") == 1  # of few labels it never ran
    both = [dict(each, verdict="harms") for each in SOURCES[:2]]
    found = answer(strategy="probe-without-old_digits-bad")
    rows = [*ROWS, row(found["strategy"], 0.2, verdict="gains")]
    assert reasons(result(rows, [found], sources=both), DETAILS)[0].count("is learned without it") == 2


def test_what_a_source_costs_several_ways_is_one_sentence_and_two_tables():
    other = dict(SOURCES[1], strategy="pooled", difference=-0.05, difference_ci95=[-0.08, -0.02])
    value = result(sources=[*SOURCES, other])
    said = "Source bad harms: it costs probe 12.3 points (at least 8.0) and pooled 5.0 points (at least 2.0)."
    assert said in reasons(value, DETAILS)[0]
    for way in ("probe", "pooled"):
        assert f"which source: {way} with all and without each" in table(value, DETAILS, width=80)
        assert f"labelled rows per class: {way}<" in page(value, DETAILS)


BARE = DETAILS | {"floor": ""}  # no row of the target has a label
ALARMS = [
    {"target": target, "strategy": way, "source": source, "alarm": alarm, "value": value}
    for target, way, source, alarm, value in [
        ("new", "dann", None, "one class", 0.984),
        ("new", "dann", "bad", "one class", 1.0),
        ("new", "mmd", None, "class shares", 0.41),
        ("new", "mmd", None, "little information", 0.021),
        ("elsewhere", "scratch", None, "one class", 1.0),
    ]
]
ALARMS.append(dict(ALARMS[2], source="bad", other="old", alarm="contradiction", value=0.91))


def test_the_best_of_single_sources_is_named_where_no_row_has_a_label():
    alone = [dict(each, alone=score) for each, score in zip(SOURCES, (0.85, 0.2, 0.6), strict=True)]
    said = "Of single sources old digits is the best: probe reaches 85.0 % with it alone, 80.0 % with all."
    value = result(sources=alone)
    assert said in reasons(value, BARE)[0]
    assert said in seen(page(value, BARE))
    assert "with all without alone" in " ".join(table(value, BARE, width=80).split())
    assert "! bad 80.0 92.3 20.0 -12.3 [-16.0, -8.0]" in " ".join(table(value, BARE, width=80).split())
    assert "bad80.092.320.0−12.3" in seen(page(value, BARE))
    assert said not in reasons(value, DETAILS)[0]
    errors = BARE | {"metrics": {"new": ERROR}}
    lower = result(sources=alone, metric="rmse", higher_is_better=False)
    assert "Of single sources bad is the best" in reasons(lower, errors)[0]


def test_alarms_are_said_in_words():
    value = result(alarms=ALARMS)
    for text in (" ".join(table(value, BARE, width=80).split()), seen(page(value, BARE))):
        text = text.replace("\xa0", " ")
        assert (
            "Alarm, without any label: nearly all rows get one class: dann (98 %), dann of bad alone (100 %)."
            in text
        )
        assert "the target's classes are shared otherwise: mmd (41 %)." in text
        assert "say next to nothing of the rows, in parts of what there is to say: mmd (2 %)." in text
        assert "from bad alone mmd learns other answers than from old alone for 91 % of the rows" in text
        assert "scratch (100 %)" not in text
    assert "Alarm" not in table(result(), BARE, width=80) + page(result(), BARE)


@pytest.mark.parametrize("hole", ["value", "strategy", "target", "alarm"])
def test_alarms_with_holes_are_no_words(hole):
    value = result(alarms=[dict(each, **{hole: None}) for each in ALARMS])
    for text in (table(value, BARE, width=80), seen(page(value, BARE))):
        assert "None" not in text


@pytest.mark.parametrize("width", [1, 12, 25, 40, 60, 80, 100])
def test_the_table_of_sources_fits(width):
    alone = [dict(each, source=each["source"] * 9, alone=0.5) for each in SOURCES]
    value = result(sources=alone, model=MODEL, alarms=ALARMS)
    value["reasons"] = reasons(value, DETAILS)
    lines = table(value, DETAILS | {"check": CHECK}, width=width).splitlines()
    assert max(map(cell_len, lines)) <= width


def test_the_model_has_its_own_score_and_says_how_sure_its_probabilities_are():
    value = result(model=MODEL)
    said = ("The model itself, probe trained on all 200 labelled rows: 85.0 % accuracy (79.0 to 91.0) on the "
            "test rows; log loss 0.457; probabilities 4.8 points from what comes true (ECE), 9.7 before they "
            "were scaled.")  # fmt: skip
    assert said in reasons(value, DETAILS)[0]
    assert said in seen(page(value, DETAILS))
    assert said in seen(fragment(value, DETAILS))
    bare = result(model={"new": MODEL["new"] | {"ece": None, "measures": {}, "ci95": None}})
    assert "labelled rows: 85.0 % accuracy on the test rows." in reasons(bare, DETAILS)[0]


def test_a_model_for_all_targets_says_that_it_is_another_than_one_of_them_asks_for():
    other = result(model={"new": MODEL["new"] | {"strategy": "maml"}})
    said = reasons(other, DETAILS)[0]
    assert (
        "The model itself, maml, the best over all targets together and one for all, trained on all 200"
        in said
    )


def test_the_warning_of_one_answer_rests_on_the_answers():
    rows = [dict(each, one_answer=each["strategy"] in ("dann", "constant")) for each in ROWS]
    text = seen(page(result(rows), DETAILS))
    assert "One class for every test row: dann." in text
    assert "No better than one class" not in text  # maml's balanced accuracy is that of one class


def test_the_way_that_harm_could_hide_in_is_named():
    assert (
        "Harm up to 20.0 points could hide among the others, most in finetune."
        in told(worst=-0.2, worst_of="finetune")[0]
    )
    near = "ruled out for the others; finetune comes nearest to it."
    assert near in told(worst=-0.02, worst_of="finetune")[0]


def test_test_rows_out_of_reach_are_no_advice():
    said, text = told(outcome="not known yet", needed={"test_rows": 2401})
    far = ("Next: this set-up cannot decide it, 20 times the test rows would not be enough; "
           "only gains from")  # fmt: skip
    assert far in said
    assert far in text
    assert "Use probe." in said
    assert "2,400" in told(outcome="not known yet", needed={"test_rows": 2400})[0]


def test_without_shots_the_labelled_rows_are_these_alone():
    details = DETAILS | {"targets": [DETAILS["targets"][0] | {"labelled": 180, "train_rows": 200}]}
    value = result([dict(each, shots=None) for each in ROWS], [answer(shots=None)])
    scope = "these 180 labelled rows only: another draw of them is not in the intervals"
    assert f"over 3 seeds and 120 test rows; {scope}." in reasons(value, details)[0]
    assert scope in " ".join(table(value, details, width=80).split())
    text = seen(page(value, details))
    assert scope in text
    assert "200 training rows, 180 of them labelled" in text
    assert "another draw" not in "".join(told(details))


def test_a_check_says_where_the_verdict_turns(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(result()))
    (tmp_path / "details.json").write_text(json.dumps(DETAILS))
    (tmp_path / "check.json").write_text(json.dumps(CHECK))
    text = seen(write(tmp_path).read_text())
    said = ("probe gains over raw+logreg: the verdict is the same under 1 of 3 other protocols. "
            "It turns under: half the labels.")  # fmt: skip
    assert "Would it survive another protocol?" in text
    assert said in text
    assert "half the labels turned−8.0 −13.0 to −3.0✕ did harm" in text
    assert "another split– ○ open" in text
    details = DETAILS | {"check": CHECK}
    assert said in " ".join(table(result(), details, width=80).split())
    assert said in seen(fragment(result(), details))
    assert "another protocol" not in page(result(), DETAILS)


def test_ratios_say_what_a_source_costs_in_shares_of_the_error():
    details = DETAILS | {"metrics": {"new": ERROR}}
    rows = [dict(each, mean=12.0) for each in ROWS]
    value = result(
        rows, [answer(confirmed=CONFIRMED)], metric="rmse", higher_is_better=False, sources=SOURCES
    )
    said = reasons(value, details)[0]
    assert "it makes the error of probe 12.3 % larger (at least 8.0 %)" in said
    assert "probe gains: its error is 6.0 % smaller (2.0 to 10.0 % smaller) compared with raw" in said


HOLES = ("gain", "gain_ci95", "seeds", "test_rows", "strategy")


@pytest.mark.parametrize("hole", HOLES)
def test_holes_are_no_words(hole):
    sources = [
        {key: None for key in each} | {"source": "old", "target": "new", "shots": 5} for each in SOURCES
    ]
    value = result(answers=[answer(confirmed=CONFIRMED | {hole: None})], sources=sources)
    value["model"] = {"new": MODEL["new"] | {"rows": None, "ci95": None, "ece": [None, None]}}
    for text in (seen(page(value, DETAILS)), table(value, DETAILS, width=80), *reasons(value, DETAILS)):
        assert "None" not in text


@pytest.mark.parametrize(("level", "most"), [(0.05, "at most"), (0.035, "about")])
def test_the_page_says_how_often_a_verdict_is_false(level, most):
    text = seen(page(result(answers=[answer(level=level)]), DETAILS))
    assert f"the chance that any gain is false is {most} 5 %" in text


def test_names_are_no_html():
    evil = "<script>1</script>"
    text = json.dumps(result(sources=SOURCES, model=MODEL, answers=[answer(confirmed=CONFIRMED)]))
    value = json.loads(text.replace("bad", evil).replace("probe", evil))
    details = DETAILS | {"check": json.loads(json.dumps(CHECK).replace("half", evil))}
    assert "<script" not in page(value, details) + fragment(value, details)


def test_a_baseline_that_was_named_is_not_called_one_without_reuse():
    said, text = told(DETAILS | {"family": ["raw+logreg"]})
    assert "over raw+logreg, the baseline that was named." in said
    assert "without reuse" not in said
    assert "over raw+logreg, the baseline that was named" in text
