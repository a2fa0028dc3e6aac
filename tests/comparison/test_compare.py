"""Strategies against each other: the same rows for all, one file per trial, and what the files say."""

import dataclasses
import functools
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import headstart as hs
from headstart import comparison
from headstart.comparison import Problem, Result, opening
from headstart.comparison.plan import Plan
from headstart.engine import score
from headstart.progress import Bar
from headstart.records import file_hash, hashes, write_record
from headstart.strategies import FURTHER, STRATEGIES
from headstart.tasks import Labelled, Multiclass, Regression, Task

from .problems import ELSEWHERE, TINY, images, numbers, table

ROW = {
    "target", "strategy", "backbone", "shots", "mean", "ci95", "gain", "gain_ci95", "gain_scratch",
    "gain_scratch_ci95", "verdict", "harmed", "may_be_best", "best_probability", "judged_on", "measures",
    "one_answer", "seconds", "trained_parameters", "seeds",
}  # fmt: skip
DATA = {
    "task", "metric", "higher_is_better", "rows", "answers", "recommended", "reasons", "least", "draws",
    "model",
}  # fmt: skip
compare = functools.partial(
    comparison.compare, baseline="scratch"
)  # the others without reuse: test_family.py
NAMES = ["scratch", "features+logreg", "probe"]
ONE = dataclasses.replace(TINY, options=1)  # nothing to choose, so trials alone


def replaced(problem, **changes):
    return dataclasses.replace(problem, target=dataclasses.replace(problem.target, **changes))


def without_seconds(rows):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def spied(monkeypatch, name, run):
    """Put ``run`` in a strategy's place; it gets the strategy as it was, and the trial."""
    real = STRATEGIES[name]
    spy = dataclasses.replace(real, run=lambda trial: run(real, trial))
    monkeypatch.setitem(STRATEGIES, name, spy)


# The same rows for all.


def test_all_strategies_see_the_same_rows_at_a_seed_and_more_shots_add_rows(monkeypatch):
    seen = {}

    def record(real, trial):
        rows = frozenset(tuple(row.tolist()) for row in trial.target.train.x)
        seen.setdefault((trial.seed, len(rows)), set()).add(rows)
        return real.run(trial)

    for name in NAMES:
        spied(monkeypatch, name, record)
    compare(table(shots=[4, 1, 2], budget=ONE), NAMES, 3)
    handed_over = {(0, 12), (0, 16)}  # in the end: on three quarters, for how sure to be, and on all rows
    assert set(seen) == {(seed, 2 * count) for seed in range(3) for count in (1, 2, 4)} | handed_over
    assert all(len(rows) == 1 for rows in seen.values())
    for seed in range(3):
        few, more, most = (next(iter(seen[seed, 2 * count])) for count in (1, 2, 4))
        assert few < more < most
    assert len({next(iter(seen[seed, 4])) for seed in range(3)}) > 1


def test_progress_counts_trials(capsys):
    compare(table(shots=[1], budget=ONE), "scratch", 2, progress=True)
    assert capsys.readouterr().err.startswith(("compare: trial 0/2", "compare: trial 1/2"))


@pytest.mark.parametrize(("shots", "steps"), [(4, 2), (8, 6)], ids=["settings are known", "four quarters"])
def test_progress_counts_the_trainings_of_what_is_handed_over(shots, steps, monkeypatch):
    bars = []

    def kept(*given, **named):
        bars.append(Bar(*given, **named))
        return bars[-1]

    monkeypatch.setattr("headstart.comparison._compare.Bar", kept)
    comparison.compare(table(shots=[shots], budget=ONE), "scratch", 2, progress=False)
    assert bars[-1].title == "train what is recommended"
    assert (bars[-1].step, bars[-1].steps) == (steps, steps)


# What a comparison writes.


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("compared") / "out"
    problem = table(shots=[2, 5])
    return problem, compare(problem, NAMES, 3, out=out, command="headstart compare table.toml")


def test_result_json_has_the_keys_that_the_design_names(compared):
    _, result = compared
    data = json.loads((result.directory / "result.json").read_text())
    assert set(data) - {"file", "sha256"} == DATA
    assert (data["task"], data["metric"], data["higher_is_better"]) == ("new", "accuracy", True)
    assert [(row["strategy"], row["shots"]) for row in data["rows"]] == [
        (n, c) for c in (2, 5) for n in NAMES
    ]
    for row in data["rows"]:
        assert set(row) == ROW
        assert len(row["seeds"]) == 3
        assert all(0 <= value <= 1 for value in row["seeds"])
        assert row["mean"] == pytest.approx(sum(row["seeds"]) / 3)
        assert row["seconds"] > 0
        assert row["harmed"] in (True, False)
    assert {k: v for k, v in data.items() if k in DATA} == result.to_dict() == result.data
    assert result.rows == data["rows"]


def test_shots_of_a_regression_are_labelled_rows(tmp_path):
    rows = Labelled(numbers(8, 1).x, numbers(8, 1).x.sum(1))
    target = Task("size", Regression(), rows, test=rows)
    with pytest.warns(UserWarning, match="16 of 16 test rows"):
        result = compare(Problem(target, settings={"hidden": [4]}, shots=[1, 6], budget=ONE), "scratch", 2)
    assert not (result.directory / "report.html").exists()  # which goes with the result
    text = result.report(tmp_path / "report.html").read_text()
    assert "per class" not in " ".join([*result.data["reasons"], result.table(), text])
    assert [reason.partition(":")[0] for reason in result.data["reasons"]] == [
        "With 1 labelled row", "With 6 labelled rows",
    ]  # fmt: skip
    assert "\n6 labelled rows\n" in result.table()


def test_gain_is_the_paired_difference_to_scratch(compared):
    rows = {(row["strategy"], row["shots"]): row for row in compared[1].rows}
    for (name, count), row in rows.items():
        base = rows["scratch", count]["seeds"]
        if name == "scratch":
            assert row["gain"] is row["gain_ci95"] is None
            assert row["harmed"] is False
        else:
            differences = [a - b for a, b in zip(row["seeds"], base, strict=True)]
            assert row["gain"] == row["gain_scratch"] == pytest.approx(sum(differences) / 3)
            assert row["gain_ci95"][0] < row["gain"] < row["gain_ci95"][1]
            assert row["harmed"] is (row["verdict"] == "harms")


def test_trained_parameters_are_those_that_train(compared):
    trained = {row["strategy"]: row["trained_parameters"] for row in compared[1].rows}
    assert trained == {"scratch": 2 * 6 + 6 + 6 * 2 + 2, "features+logreg": 14, "probe": 14}


def test_a_result_is_read_from_its_directory(compared, tmp_path):
    _, result = compared
    again = Result.load(result.directory)
    assert again.data == result.data
    assert again.details == json.loads(json.dumps(result.details))
    assert again.table() == result.table()
    assert "probe" in again.table()
    page = again.report(tmp_path / "deep/report.html").read_text()
    assert "headstart compare table.toml" in page
    assert (result.directory / "report.html").exists()
    with pytest.raises(FileNotFoundError, match=r"should be a finished comparison; found no result\.json"):
        Result.load(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_model_has_the_score_that_the_result_says(compared, tmp_path, name):
    problem, result = compared
    data = {key: value for key, value in result.data.items() if key != "model"}  # that of the first seed
    result = Result(data | {"recommended": name}, result.details, result.directory)
    where = result.best.save(tmp_path / "model")
    saved = hs.models.load(where)
    assert saved.kinds == {"new": problem.target.kind}
    assert (saved.notes["strategy"], saved.notes["shots"], saved.notes["seed"]) == (name, 5, 0)
    (row,) = (r for r in result.rows if (r["strategy"], r["shots"]) == (name, 5))
    assert score(saved.net, problem.target) == row["seeds"][0]
    with pytest.raises(FileExistsError, match="should be new or empty; found files in it"):
        result.best.save(where)


def test_the_details_say_what_was_chosen_and_on_what(compared):
    details = compared[1].details
    assert details["strategies"]["probe"]["chosen_on"] == "pseudo-targets cut from the sources"
    assert details["strategies"]["probe"]["settings"].keys() == {"2", "5"}
    assert details["targets"][0]["test_rows"] == 40
    assert details["seeds"] == [0, 1, 2]
    assert details["partial"] is False
    assert set(details["curves"]) == {"scratch", "probe"} | ({"features+logreg"} & set(details["curves"]))
    (confusion,) = details["confusions"]
    assert sum(map(sum, confusion["matrix"])) == 40


# What the numbers mean: trials that were written by hand.


def answers(share, y, way, seed):
    """Make logits of which this share is right; which rows are hard is the same for all, but for noise."""
    hard = np.random.default_rng(0).normal(size=len(y))
    order = np.argsort(hard + 0.5 * np.random.default_rng([way, seed]).normal(size=len(y)))
    said = 1 - y
    said[order[: round(share * len(y))]] = y[order[: round(share * len(y))]]
    return np.where(np.arange(2) == said[:, None], 0, -3).astype(np.float16)


@pytest.fixture
def given(tmp_path):
    """Summarise given scores, by strategy and seed, over 400 test rows."""

    def summarised(scores, shots=None, seeds=None, **settings):
        problem = Problem(table().target, table().sources, backbone="mlp", budget=ONE, shots=shots)
        out, y = tmp_path / "out", np.arange(400) % 2
        (out / "trials").mkdir(parents=True)
        (out / "outputs").mkdir()
        np.savez(out / "outputs" / "truth-new.npz", y=y)
        mine = opening.identity(problem, 1)
        write_record(out / "comparison.json", mine | {"fingerprint": opening.fingerprint(mine)})
        for way, (key, values) in enumerate(scores.items()):
            name, count = key if isinstance(key, tuple) else (key, None)
            for seed, value in enumerate(values):
                options = (STRATEGIES | FURTHER)[name].options
                record = {"strategy": name, "shots": count, "seed": seed, "settings": dict(options[0])}
                record |= {"of": opening.fingerprint(mine), "targets": {}}
                cell = f"{name}-{'all' if count is None else count}-{seed}"
                if value is None:
                    record |= {"error": "loss"}
                else:
                    facts = {"seconds": 2.0, "trained_parameters": 7, "measures": {"accuracy": value}}
                    record["targets"]["new"] = {"score": value, **facts}
                    held = out / "outputs" / f"{cell}.npz"
                    np.savez(held, new=answers(0 if math.isnan(value) else value, y, way, seed))
                    model = out / "models" / name / "model"
                    model.parent.mkdir(parents=True, exist_ok=True)
                    model.touch()
                    truth = {"new": file_hash(out / "outputs" / "truth-new.npz")}
                    written = {"answers": file_hash(held), "truth": truth, "model": hashes(model.parent)}
                    record["written"] = written
                write_record(out / "trials" / f"{cell}.json", record)
        names = list(dict.fromkeys(key[0] if isinstance(key, tuple) else key for key in scores))
        count = max(map(len, scores.values()))
        with pytest.MonkeyPatch.context() as patch:  # these trials trained nothing that could be handed over
            patch.setattr("headstart.comparison.handover.hand_over", lambda *_: {})
            return compare(problem, names, seeds or count, out=out, **settings)

    return summarised


def test_harm_and_gain_are_told_where_the_whole_interval_is_on_one_side(given):
    result = given(
        {
            "scratch": [0.5, 0.6, 0.7, 0.6],
            "probe": [0.3, 0.4, 0.5, 0.4],
            "lp_ft": [0.45, 0.6, 0.65, 0.65],
            "l2sp": [0.7, 0.8, 0.9, 0.8],
        }
    )
    rows = {row["strategy"]: row for row in result.rows}
    told = {"scratch": None, "probe": "harms", "lp_ft": "open", "l2sp": "gains"}
    assert {name: row["verdict"] for name, row in rows.items()} == told
    assert [name for name, row in rows.items() if row["harmed"]] == ["probe"]
    assert rows["probe"]["gain_ci95"][1] < 0 < rows["l2sp"]["gain_ci95"][0]
    assert rows["lp_ft"]["gain_ci95"][0] < 0 < rows["lp_ft"]["gain_ci95"][1]
    assert result.recommended == "l2sp"
    (answer,) = result.data["answers"]
    assert (answer["outcome"], answer["baseline"]) == ("better", "scratch")
    assert (answer["gaining"], answer["harmed"]) == (["l2sp"], ["probe"])
    assert answer["gain_ci95"][0] > 0
    (reason,) = result.data["reasons"]
    assert "l2sp gains about " in reason
    assert "Did harm: probe" in reason


def test_equal_differences_have_an_interval_with_a_width(given):
    row = given({"scratch": [0.5] * 3, "probe": [0.55] * 3}).rows[1]
    low, high = row["gain_ci95"]
    assert low < row["gain"] - 0.01
    assert high > row["gain"] + 0.01


def test_two_seeds_decide_nothing(given):
    result = given({"scratch": [0.5, 0.5], "probe": [0.9, 0.9]})
    assert result.rows[1]["verdict"] == "open"
    assert result.data["answers"][0]["outcome"] == "not known yet"
    assert result.recommended == "probe"  # it leads


def test_without_a_certain_gain_the_leader_is_named_and_what_would_decide(given):
    result = given({"scratch": [0.5, 0.6, 0.7], "probe": [0.4, 0.9, 0.7]})
    (answer,) = result.data["answers"]
    assert answer["outcome"] == "not known yet"
    assert result.recommended == "probe"
    assert answer["seen"] > 0.05
    assert answer["needed"]["seeds"] > 1
    assert answer["worst"] < -0.05


def test_where_gains_that_matter_are_ruled_out_the_baseline_is_kept(given):
    result = given({"scratch": [0.5, 0.6, 0.7, 0.6], "probe": [0.4, 0.5, 0.6, 0.5]})
    assert result.data["answers"][0]["outcome"] == "not better"
    assert result.recommended == "scratch"


def test_one_seed_gives_no_interval(given):
    result = given({"scratch": [0.5], "probe": [0.9]})
    row = result.rows[1]
    assert row["gain"] == pytest.approx(0.4)
    assert row["gain_ci95"] is row["ci95"] is None
    assert row["harmed"] is False
    assert result.data["answers"][0]["outcome"] == "not known yet"
    assert result.data["answers"][0]["needed"] == {"seeds": 2}


def test_a_baseline_alone_is_what_is_left(given):
    assert given({"scratch": [0.5, 0.7, 0.6]}).recommended == "scratch"


def test_a_trial_that_failed_counts_as_the_floor_at_its_seed(given):
    scores = {
        "scratch": [0.8] * 4,
        "constant": [0.5] * 4,
        "probe": [0.9, None, None, 0.9],
        "l2sp": [None] * 4,
    }
    result = given(scores)
    rows = {row["strategy"]: row for row in result.rows}
    assert rows["probe"]["seeds"] == [0.9, None, None, 0.9]
    assert rows["probe"]["mean"] == pytest.approx((0.9 + 0.5 + 0.5 + 0.9) / 4)
    assert rows["probe"]["gain"] == pytest.approx(0.7 - 0.8)
    assert rows["l2sp"]["mean"] is rows["l2sp"]["gain"] is rows["l2sp"]["seconds"] is None
    assert "6 trials failed, and count as the floor: l2sp, probe. Said: " in result.data["reasons"][-1]
    assert len(result.details["budget"]["failed"]) == 6


def test_a_score_that_is_not_defined_is_a_failure_too(given):
    result = given({"scratch": [0.5, math.nan, 0.7], "probe": [0.6, 0.6, 0.8]})
    rows = {row["strategy"]: row for row in result.rows}
    assert rows["scratch"]["mean"] == pytest.approx(
        0.6
    )  # at seed 1 what the other scored, the least there is
    json.loads((result.directory / "result.json").read_text(), parse_constant=pytest.fail)


def test_where_all_trials_fail_there_is_no_best_model(given):
    result = given({"scratch": [None, None], "probe": [None, None]})
    assert result.recommended is None
    assert "no trial has a score" in result.data["reasons"][0]
    with pytest.raises(ValueError, match="at least one with a score; found none"):
        _ = result.best


def test_each_number_of_labels_has_its_own_answer_and_the_most_decide(given):
    few = {("scratch", 2): [0.5, 0.5, 0.5], ("probe", 2): [0.8, 0.8, 0.8]}
    result = given(few | {("scratch", 5): [0.9, 0.9, 0.9], ("probe", 5): [0.8, 0.8, 0.8]}, shots=[5, 2])
    assert [reason.split(": ")[0] for reason in result.data["reasons"]] == [
        "With 2 labelled rows per class",
        "With 5 labelled rows per class",
    ]
    assert result.recommended == "scratch"
    told = [(a["shots"], a["strategy"], a["outcome"]) for a in result.data["answers"]]
    assert told == [(2, "probe", "better"), (5, "scratch", "not better")]


def test_below_the_floor_nothing_works(given):
    result = given({"scratch": [0.45, 0.5, 0.5], "constant": [0.5] * 3, "probe": [0.52, 0.5, 0.49]})
    assert result.data["answers"][0]["outcome"] == "nothing works"
    assert "nothing works yet" in result.data["reasons"][0]


# Stopped and continued.


def test_a_comparison_without_time_says_so_and_goes_on_later(monkeypatch, tmp_path):
    problem, unbroken = table(shots=[2, 5]), compare(table(shots=[2, 5]), NAMES, 2, out=tmp_path / "unbroken")
    left = iter([False] * 13 + [True] * 100)  # 8 options are tried, then 5 trials run
    with monkeypatch.context() as patch:
        patch.setattr(Plan, "late", lambda plan: next(left))
        partial = compare(problem, NAMES, 2, out=tmp_path / "out")
    assert len(list((tmp_path / "out/trials").iterdir())) == 5
    assert "7 trials did not run within the time budget" in partial.data["reasons"][-1]
    assert partial.details["partial"] is True
    assert partial.recommended is not None
    assert "probe" in partial.table()
    saved = hs.models.load(partial.best.save(tmp_path / "model"))
    assert saved.notes["strategy"] == partial.recommended
    partial.report(tmp_path / "report.html")

    whole = compare(problem, NAMES, 2, out=tmp_path / "out")
    assert without_seconds(whole.rows) == without_seconds(unbroken.rows)
    assert whole.data["reasons"] == unbroken.data["reasons"]
    assert whole.details["partial"] is False


def test_no_time_at_all_gives_an_empty_result(tmp_path):
    result = compare(table(), "probe", 2, out=tmp_path / "out", seconds=1e-9)
    assert [row["mean"] for row in result.rows] == [None, None]
    assert result.recommended is None
    assert "4 trials did not run" in result.data["reasons"][-1]
    with pytest.raises(ValueError, match="at least one with a score; found none"):
        _ = result.best
    for seconds in (0, -1, math.nan):
        with pytest.raises(ValueError, match="`seconds` should be above 0"):
            compare(table(), "probe", 1, seconds=seconds)


def test_more_seeds_and_strategies_continue_a_directory(monkeypatch, tmp_path):
    problem, runs = table(budget=ONE), []
    for name in NAMES:
        spied(monkeypatch, name, lambda real, trial: runs.append(trial.seed) or real.run(trial))
    compare(problem, ["probe"], 1, out=tmp_path / "out")
    first = list(runs)
    more = compare(problem, NAMES, 2, out=tmp_path / "out")
    assert sorted(first) == [0, 0, 0, 0]  # two trials, and twice what is handed over
    assert sorted(runs) == [0] * 4 + [0, 0, 0] + [1, 1, 1]
    assert all(len(row["seeds"]) == 2 for row in more.rows)
    assert without_seconds(more.rows) == without_seconds(compare(problem, NAMES, 2).rows)


@pytest.mark.parametrize(
    "other",
    [
        lambda: table(budget=dataclasses.replace(TINY, steps=5)),
        lambda: table(settings={"hidden": [7]}),
        lambda: replaced(table(), train=numbers(8, 9)),
        lambda: replaced(table(), test=numbers(20, 9)),
        lambda: dataclasses.replace(table(), sources=[]),
        lambda: dataclasses.replace(table(), backbone=torch.nn.Linear(2, 3)),
    ],
)
def test_another_comparison_has_another_fingerprint(other):
    assert other().fingerprint() != table().fingerprint()


@pytest.mark.parametrize("change", [{"shift": 0}, {"rotations": True}])
def test_other_pretraining_has_another_fingerprint(change):
    assert dataclasses.replace(images(), **change).fingerprint() != images().fingerprint()


def test_a_fingerprint_knows_the_weights_in_a_file_that_changes_under_its_name(tmp_path):
    made = hs.backbone("mlp", inputs=(2,), settings={"hidden": [4]})
    file = tmp_path / "weights.safetensors"

    def written(seed):
        torch.manual_seed(seed)
        save_file({n: torch.randn_like(p) for n, p in made.state_dict().items()}, file)
        state = torch.random.get_rng_state()
        problem = table(settings={"hidden": [4]}, weights=str(file))
        marks = problem.fingerprint(), problem.facts()["weights"]
        assert torch.equal(torch.random.get_rng_state(), state)
        return marks

    (one, hash_one), (two, hash_two) = written(0), written(1)
    assert one != two
    assert hash_one != hash_two
    assert written(0) == (one, hash_one)
    assert table().facts()["weights"] is None


def test_a_fingerprint_knows_weights_and_is_stable():
    module = torch.nn.Linear(2, 3)
    problem = table(backbone=module)
    assert problem.fingerprint() == table(backbone=module).fingerprint()
    with torch.no_grad():
        module.bias.add_(1)
    changed = table(backbone=module).fingerprint()
    assert changed != table().fingerprint()
    assert changed != table(backbone=torch.nn.Linear(2, 3)).fingerprint()


def everything(directory):
    return {f: f.read_bytes() for f in directory.rglob("*") if f.is_file()}


def test_the_directory_of_another_comparison_is_refused_and_left(tmp_path):
    compare(table(budget=ONE), "probe", 1, out=tmp_path / "out")
    before = everything(tmp_path)
    with pytest.raises(ValueError, match="should be empty, or the directory of this very comparison"):
        compare(table(), "probe", 1, out=tmp_path / "out")
    assert everything(tmp_path) == before


def test_foreign_files_are_refused_and_left(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="should be an empty directory; found files in it"):
        compare(table(), "probe", 1, out=tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_workers_give_what_one_gives(tmp_path):
    problem = table(shots=[2])
    one, two = (
        compare(problem, NAMES, 2, out=tmp_path / str(workers), workers=workers) for workers in (1, 2)
    )
    assert without_seconds(one.rows) == without_seconds(two.rows)
    for pattern in ("settings/*.json", "models/*/model.safetensors"):
        found = [
            {f.relative_to(tmp_path / k): f.read_bytes() for f in (tmp_path / k).glob(pattern)} for k in "12"
        ]
        assert found[0] == found[1]
        assert found[0]


# What goes wrong.


def test_a_trial_that_diverges_is_told_and_the_others_go_on(monkeypatch, tmp_path):
    def diverge(real, trial):
        if trial.seed == 1:
            raise FloatingPointError('loss "new" at step 3 should be finite')
        return real.run(trial)

    spied(monkeypatch, "probe", diverge)
    result = compare(table(budget=ONE), NAMES, 3, out=tmp_path / "out")
    rows = {row["strategy"]: row for row in result.rows}
    assert [s is None for s in rows["probe"]["seeds"]] == [False, True, False]
    assert None not in rows["features+logreg"]["seeds"]
    assert rows["probe"]["gain"] is not None
    assert (
        '1 trial failed, and counts as the floor: probe. Said: loss "new" at step 3 should be finite.'
        in result.data["reasons"][-1]
    )
    (failed,) = result.details["budget"]["failed"]
    assert failed == {
        "strategy": "probe", "shots": None, "seed": 1, "error": 'loss "new" at step 3 should be finite',
    }  # fmt: skip
    assert "probe" in result.report(tmp_path / "report.html").read_text()


def test_a_loss_that_is_not_finite_is_such_a_failure():
    far, test = (Labelled(numbers(8, seed).x, torch.full((16,), 1e30)) for seed in (1, 2))
    problem = replaced(table(budget=ONE), kind=Regression(), train=far, test=test)
    result = compare(problem, "scratch", 1)
    assert result.rows[0]["seeds"] == [None]
    assert result.recommended is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_test_rows_that_are_not_finite_are_told_before_anything_runs(tmp_path, value):
    rows = numbers(8, 1)
    rows.x[5, 1] = value
    with pytest.raises(
        ValueError, match=r"test rows of task 'new' should be finite numbers; found .* in row 5"
    ):
        compare(replaced(table(), test=rows), "scratch", 1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_option_that_diverges_is_not_chosen(monkeypatch, tmp_path):
    def diverge(real, trial):
        if trial.settings == real.options[0]:
            raise FloatingPointError("loss")
        return real.run(trial)

    spied(monkeypatch, "probe", diverge)
    result = compare(table(shots=[2]), "probe", 1, out=tmp_path / "out")
    assert result.details["strategies"]["probe"]["settings"] == {"2": STRATEGIES["probe"].options[1]}
    assert result.rows[1]["mean"] is not None


def test_other_errors_fail_the_trial_alone(monkeypatch):
    def fail(real, trial):
        raise ZeroDivisionError("a bug")

    spied(monkeypatch, "probe", fail)
    result = compare(table(budget=ONE), "probe", 1)
    assert [t["error"] for t in result.details["budget"]["failed"]] == ["ZeroDivisionError: a bug"]
    assert torch.get_num_threads() >= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "`seeds` should be at least one"),
        ({"seeds": [1, 1]}, "`seeds` should be at least one, and distinct"),
        ({"workers": 0}, "`workers` should be at least 1"),
        ({"strategies": ["prob"]}, "did you mean"),
    ],
)
def test_wrong_calls_are_told(changes, message):
    with pytest.raises(ValueError, match=message):
        compare(table(), **{"strategies": "probe", "seeds": 1} | changes)


def test_a_class_with_too_few_rows_is_told_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match="`shots` should be at most 8"):
        compare(table(shots=[2, 9]), "probe", 1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shots": []}, "`shots` should be whole numbers of at least 1"),
        ({"shots": [0]}, "`shots` should be whole numbers of at least 1"),
        ({"sources": [Task("new", Multiclass(2), numbers(4, 1))]}, "should be distinct"),
        ({"sources": [images().sources[0]]}, "should be of the target's shape"),
        ({"target": Task("new", Multiclass(2), numbers(4, 1))}, "should be rows to be scored on"),
    ],
)
def test_wrong_problems_are_told(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(table(), **changes)


def test_wrong_budgets_are_told():
    with pytest.raises(ValueError, match="`meta` of the budget should be at least 1; found 0"):
        dataclasses.replace(TINY, meta=0)


# Test rows.


def test_duplicates_are_counted():
    rows, test = numbers(8, 1), numbers(20, 2)
    mixed = Labelled(torch.cat([rows.x[:3], test.x]), torch.cat([rows.y[:3], test.y]))
    with pytest.warns(UserWarning, match="3 of 43 test rows of 'new' are among the training rows of 'new'"):
        compare(replaced(table(budget=ONE), test=mixed), "scratch", 1)


def test_duplicates_that_reading_told_are_not_told_again(tmp_path):
    lines = [f"{x},{'ab'[x % 2]}" for x in range(24)] * 2  # each row twice
    (tmp_path / "new.csv").write_text("\n".join(["size,label", *lines]))
    with pytest.warns(UserWarning, match="test rows of .*new.csv` are equal to a train row"):
        (task,) = hs.datasets.read("csv:new.csv#label", base=tmp_path)
    compare(Problem(task, settings={"hidden": [4]}, budget=ONE), "scratch", 1)  # a warning would be an error
    more = dataclasses.replace(task, test=task.train)
    with pytest.warns(UserWarning, match="test rows of 'label' are among the training rows of 'label'"):
        compare(Problem(more, settings={"hidden": [4]}, budget=ONE), "scratch", 1)


def test_where_few_rows_differ_nobody_is_told_to_drop_any():
    few = numbers(20, 2)
    few = Labelled(few.x[:4].repeat(5, 1), few.y[:4].repeat(5))
    with pytest.warns(
        UserWarning, match="many rows are alike: 4 different rows among 40; equal rows"
    ) as told:
        compare(replaced(table(budget=ONE), train=few, test=few), "scratch", 1)
    assert not any("drop" in str(one.message) for one in told)


def test_test_rows_among_the_rows_of_a_source_are_told():
    problem = table(budget=ONE)
    old = problem.sources[0]
    leak = Labelled(
        torch.cat([old.train.x, problem.target.test.x[:7]]), torch.cat([old.train.y, old.train.y[:7]])
    )
    leaky = dataclasses.replace(problem, sources=[dataclasses.replace(old, train=leak)])
    with pytest.warns(UserWarning, match="7 of 40 test rows of 'new' are among the training rows of 'old'"):
        compare(leaky, "scratch", 1)
    twice = [dataclasses.replace(old, name=name, train=leak) for name in ("old", "older")]
    with pytest.warns(UserWarning, match="drop the duplicates") as told:  # one warning, not one for each
        compare(dataclasses.replace(problem, sources=twice), "scratch", 1)
    assert ["training rows of 'old' and 'older'" in str(one.message) for one in told] == [True]


@pytest.mark.usefixtures("soon_settled")
def test_strategies_do_not_touch_the_test_rows(monkeypatch):
    problem = images(budget=ONE)
    names = [name for name in STRATEGIES if name not in ELSEWHERE]
    plain = compare(problem, names, 1)

    def blind(real, trial):
        test = trial.target.test
        spoiled = Labelled(torch.full_like(test.x, math.nan), torch.zeros_like(test.y))
        return real.run(dataclasses.replace(trial, problem=replaced(trial.problem, test=spoiled)))

    for name in names:
        spied(monkeypatch, name, blind)
    assert without_seconds(compare(problem, names, 1).rows) == without_seconds(plain.rows)


def test_a_result_without_a_directory_lives_as_long_as_it(tmp_path):
    result = compare(table(budget=ONE), "scratch", 1)
    where = result.directory
    assert (where / "result.json").exists()
    del result
    assert not where.exists()


def test_a_result_is_shown_in_short_and_printed_as_its_table(given):
    result = given({"scratch": [0.5, 0.6], "probe": [0.6, 0.8]})
    assert len(repr(result)) < 200
    assert str(result) == result.table()


def test_scores_stand_in_the_order_of_the_seeds(given, tmp_path):
    result = compare(table(budget=ONE), "scratch", [3, 1])
    alone = [compare(table(budget=ONE), "scratch", [seed]).rows[0]["mean"] for seed in (3, 1)]
    assert result.rows[0]["seeds"] == pytest.approx(alone, abs=1e-12)


def test_an_interval_of_accuracies_stays_between_0_and_1(given):
    row = given({"scratch": [0.6, 1.0], "probe": [0.9, 0.9]}).rows
    assert row[0]["ci95"][1] == 1.0
    assert row[0]["ci95"][0] >= 0.0
    assert row[1]["ci95"][0] < 0.9 < row[1]["ci95"][1]


def test_a_number_of_shots_may_stand_alone():
    assert table(shots=2).counts() == [2]
    assert table(shots=[5, 1, 5]).counts() == [1, 5]
    with pytest.raises(ValueError, match="`shots` should be whole numbers of at least 1; found"):
        table(shots=0)


def test_another_release_does_not_continue_a_comparison(monkeypatch, tmp_path):
    compare(table(budget=ONE), "scratch", 1, out=tmp_path / "c")
    monkeypatch.setattr("headstart.comparison.opening.__version__", "0.0.9")
    with pytest.raises(ValueError, match="found one of other data or settings"):
        compare(table(budget=ONE), "scratch", 1, out=tmp_path / "c")


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_what_to_write(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import torch, headstart as hs\n"
        "rows = lambda at: hs.tasks.Labelled(torch.randn(8, 2) + at, torch.arange(8) % 2)\n"
        "problem = hs.Problem(hs.Task('new', hs.tasks.Multiclass(2), rows(0), test=rows(1)))\n"
        "hs.compare(problem, 'scratch', seeds=2, workers=2)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert 'under `if __name__ == "__main__":`' in done.stderr
