"""What gains are measured against: ways without reuse that always run; held-out rows choose among them."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
import torch

from headstart.comparison import Problem, Result, compare, judging
from headstart.strategies import AS_IT_IS, NO_REUSE, STRATEGIES, Strategy
from headstart.tasks import Binary, Inputs, Labelled, Multiclass, Regression, Task

from .problems import TINY, few_without_reuse, numbers, table

ONE = dataclasses.replace(TINY, options=1)
ALONE = ["constant", "raw+logreg", "raw+knn", "raw+svm", "raw+boosting", "untrained+logreg", "scratch"]


def replaced(problem, **changes):
    return dataclasses.replace(problem, target=dataclasses.replace(problem.target, **changes))


def names(result):
    return [row["strategy"] for row in result.rows]


TOLD: list = []  # what held-out rows chose in the comparison that tests share


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Compare one way, so that all others are there without being asked for; nothing warns."""
    real = judging.chosen
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(judging, "chosen", lambda *given: TOLD.append(real(*given)) or TOLD[-1])
        warnings.simplefilter("error")
        return compare(table(budget=ONE), "features+logreg", 3, out=tmp_path_factory.mktemp("family") / "out")


def test_ways_without_reuse_run_whatever_is_asked_for(compared):
    assert names(compared) == [*ALONE, "features+logreg"]
    assert compared.details["family"] == ALONE
    assert compared.details["floor"] == "constant"
    assert set(ALONE) < set(NO_REUSE)
    (answer,) = compared.data["answers"]
    assert answer["baseline"] in ALONE
    assert answer["highest"] in ALONE


def floor(target, **changes):
    """Train the floor on two shots, and give its scores."""
    posed = Problem(target, budget=ONE, shots=[2], **changes)
    few = posed.cut(2, 0)
    return few, few.train(STRATEGIES["constant"], [target.name], {}, 0, few.starts(None))[target.name].record


@pytest.mark.parametrize("draw", ["equal", "random"])
@pytest.mark.parametrize("kind", [Multiclass(["no", "yes"]), Binary(("no", "yes"))])
def test_the_floor_knows_how_common_each_class_is_whatever_the_draw(kind, draw):
    y = (torch.arange(40) % 4 > 0).to(torch.long if kind.extensible else torch.float)  # 25 and 75 %
    rows = Labelled(torch.randn(40, 2, generator=torch.Generator().manual_seed(0)), y)
    few, record = floor(Task("new", kind, rows, test=rows), draw=draw)
    assert len(few.target.train) == 4
    assert record["score"] == 0.75
    assert record["measures"]["log_loss"] == pytest.approx(
        -0.25 * np.log(0.25) - 0.75 * np.log(0.75), rel=1e-3
    )


def test_the_floor_of_numbers_is_the_mean_of_the_trials_rows():
    rows = Labelled(torch.zeros(40, 2), torch.arange(40.0)[:, None] ** 2)
    few, record = floor(Task("size", Regression(), rows, test=rows))
    off = few.target.train.y.mean() - rows.y
    assert record["measures"]["rmse"] == pytest.approx(off.square().mean().sqrt().item(), rel=1e-3)
    assert abs(few.target.train.y.mean() - rows.y.mean()) > 1


def test_what_a_draw_remembers_is_in_the_fingerprint():
    target = Task("new", Multiclass(2), numbers(8, 1), test=numbers(20, 2))
    told = dataclasses.replace(target, prior=torch.tensor([0, 0, 1]))
    assert Problem(target).fingerprint() != Problem(told).fingerprint()


def test_what_applies_to_numbers_alone_is_not_missed():
    rows = Labelled(numbers(8, 1).x, numbers(8, 1).x.sum(1))
    test = Labelled(numbers(20, 2).x, numbers(20, 2).x.sum(1))
    result = compare(Problem(Task("size", Regression(), rows, test=test), budget=ONE), "scratch", 1)
    assert "raw+ridge" in names(result)
    assert "raw+logreg" not in names(result)
    assert result.details["skipped"] == {}  # nobody asked for them


def test_a_named_baseline_leaves_the_others_out():
    result = compare(table(budget=ONE), "probe", 2, baseline="scratch")
    assert names(result) == ["scratch", "probe"]
    assert result.data["answers"][0]["baseline"] == "scratch"
    assert result.data["answers"][0]["chosen_on"] is True
    with pytest.raises(ValueError, match="did you mean"):
        compare(table(budget=ONE), "probe", 2, baseline="scratc")


def test_the_baseline_is_one_of_those_that_held_out_rows_choose(compared):
    (answer,) = compared.data["answers"]
    assert answer["chosen_on"] is True
    assert answer["baseline"] in TOLD[-1]
    means = {row["strategy"]: row["mean"] for row in compared.rows}
    assert means[answer["baseline"]] == max(means[name] for name in TOLD[-1])


def test_test_labels_choose_nothing(monkeypatch):
    told = []
    real = judging.chosen
    monkeypatch.setattr(judging, "chosen", lambda *given: told.append(real(*given)) or told[-1])
    few_without_reuse(monkeypatch, "constant", "raw+logreg", "raw+knn", "raw+svm")
    problem, chosen = table(), []
    for y in (problem.target.test.y, 1 - problem.target.test.y):
        told.clear()
        result = compare(replaced(problem, test=Labelled(problem.target.test.x, y)), "features+logreg", 2)
        settings = {n: s["settings"] for n, s in result.details["strategies"].items()}
        chosen.append((told[-1], settings))
    assert chosen[0] == chosen[1]
    assert chosen[0][0]


def test_without_rows_to_spare_nothing_is_chosen_and_a_gain_is_over_all():
    target = dataclasses.replace(table().target, train=numbers(3, 1))
    result = compare(dataclasses.replace(table(budget=ONE), target=target, sources=[]), ["scratch"], 2)
    (answer,) = result.data["answers"]
    assert answer["chosen_on"] is False
    assert answer["baseline"] == answer["highest"]


def test_without_labels_the_sources_as_they_are_are_the_baselines():
    kind = Multiclass(2)
    bare = Labelled(numbers(8, 1).x, torch.full((16,), -100))
    target = Task("new", kind, bare, test=numbers(20, 2), unlabelled=Inputs(bare.x))
    problem = Problem(target, [Task("old", kind, numbers(20, 3))], settings={"hidden": [6]}, budget=ONE)
    result = compare(problem, "mmd", 2)
    family = [name for name in AS_IT_IS if not STRATEGIES[name].needs(problem)]
    assert result.details["family"] == family
    assert set(family) == {"source+logreg", "source+svm", "source-only"}
    assert names(result) == [*family, "mmd"]
    assert result.details["floor"] == ""
    assert result.data["answers"][0]["baseline"] in family


# Classes that are far from equal in size.


def rare(each, seed):
    """Draw rows of which one in twenty says yes, a bit apart from the others."""
    y = (torch.arange(each) % 20 == 0).long()
    x = torch.randn(each, 2, generator=torch.Generator().manual_seed(seed))
    return Labelled(x + 1.5 * y[:, None], y)


def record(trial):
    """Write what the classes count in training, beside a run as it is."""
    weights = trial.target.weights
    SEEN.append(None if weights is None else [round(float(w), 3) for w in weights])
    return STRATEGIES["scratch"].run(dataclasses.replace(trial, settings={"lr": 3e-3}))


SEEN: list = []


def test_rows_drawn_at_random_are_said_to_be_so_and_equal_ones_to_be_unlike_the_data(tmp_path):
    target = Task("rare", Multiclass(["no", "yes"]), rare(200, 1), test=rare(100, 2))
    asked = {"settings": {"hidden": [6]}, "budget": ONE, "shots": [3], "class_weights": "none"}
    result = compare(
        Problem(target, draw="random", **asked), "scratch", 2, baseline="constant", out=tmp_path / "r"
    )
    said = "With 3 labelled rows per class on average, drawn at random: "
    assert result.data["reasons"][0].startswith(said)
    text = result.table() + (tmp_path / "r" / "report.html").read_text()
    assert "drawn equally" not in text
    assert "4 steps; each row weighs alike" in text
    result = compare(Problem(target, **asked), "scratch", 2, baseline="constant", out=tmp_path / "e")
    assert result.data["reasons"][0].startswith("With 3 labelled rows per class: ")
    shift = "drawn equally per class; in the data yes is 5.0 %"
    assert f"labelled rows are {shift}" in " ".join(result.table().split())
    assert shift in (tmp_path / "e" / "report.html").read_text()


def test_rare_classes_count_alike_in_scores_and_in_training(tmp_path):
    target = Task("rare", Multiclass(["no", "yes"]), rare(200, 1), test=rare(400, 2))
    spy = Strategy(name="spy", run=record, summary="notes what it is given")
    longer = dataclasses.replace(ONE, steps=60)
    problem = Problem(target, settings={"hidden": [6]}, budget=longer)
    SEEN.clear()
    result = compare(problem, spy, 3, out=tmp_path / "out")
    assert result.data["metric"] == "balanced_accuracy"
    (about,) = result.details["targets"]
    assert about["class_weights"] == "balanced"
    assert about["shares"] == {"no": 0.95, "yes": 0.05}
    assert "5 %" in about["metric_because"]
    text = " ".join(" ".join([result.table(), *result.data["reasons"]]).split())
    assert "balanced accuracy" in text
    assert "5 %" in text
    assert SEEN
    assert all(weights == SEEN[0] for weights in SEEN)
    assert SEEN[0] is not None
    assert SEEN[0][1] / SEEN[0][0] == pytest.approx(19, rel=0.05)
    scores = {row["strategy"]: row["mean"] for row in result.rows}
    assert scores["constant"] == pytest.approx(0.5)
    for name in ("scratch", "raw+logreg", "raw+svm", "raw+boosting", "untrained+logreg"):
        assert scores[name] > 0.55, name  # none of them answers "no" alone, which is right 95 times in 100
        assert not next(row for row in result.rows if row["strategy"] == name)["one_answer"]


# Seeds as they are needed.


def test_seeds_run_as_long_as_ways_are_undecided(tmp_path, monkeypatch):
    few_without_reuse(monkeypatch, "constant", "raw+logreg", "raw+knn")

    def run(trial):
        return STRATEGIES["raw+logreg"].run(dataclasses.replace(trial, settings={"C": 1.0}))

    twin = Strategy(name="twin", run=run, summary="a logistic regression under another name")
    noise = Labelled(torch.randn(16, 2, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 2)
    problem = replaced(table(budget=ONE), train=noise)
    result = compare(problem, twin, "auto", out=tmp_path / "out")
    files = [f.name for f in (tmp_path / "out/trials").iterdir()]
    counts = {name: sum(f.startswith(f"{name}-all-") for f in files) for name in [*ALONE[:3], "twin"]}
    assert set(counts.values()) <= {5, 8, 12}
    assert counts["twin"] <= counts["raw+knn"] == counts["constant"] == max(counts.values())
    (answer,) = result.data["answers"]
    assert answer["seeds"] == max(counts.values())
    if counts["twin"] < 12:  # it was decided
        (row,) = (r for r in result.rows if r["strategy"] == "twin")
        assert row["verdict"] != "open" or not row["may_be_best"]
    assert sum(counts.values()) == len(files)


def test_ways_that_are_decided_take_no_more_seeds_and_others_do(tmp_path):
    def bad(trial):
        trained = STRATEGIES["scratch"].run(dataclasses.replace(trial, settings={"lr": 3e-3}))
        with torch.no_grad():
            last = list(trained.net.heads["new"].parameters())
            for parameter in last:
                parameter.neg_()  # it says the opposite
        return trained

    def same(trial):
        return STRATEGIES["raw+logreg"].run(dataclasses.replace(trial, settings={"C": 1.0}))

    ways = [
        Strategy(name="opposite", run=bad, summary="wrong"),
        Strategy(name="same", run=same, summary="same"),
    ]
    problem = table(budget=dataclasses.replace(ONE, steps=40))
    ask = {"out": tmp_path / "out", "least": 1e-4, "baseline": "raw+logreg"}
    result = compare(problem, ways, "auto", **ask)
    files = [f.name for f in (tmp_path / "out/trials").iterdir()]
    counts = {
        name: sum(f.startswith(f"{name}-all-") for f in files) for name in ("opposite", "same", "raw+logreg")
    }
    assert counts == {"opposite": 5, "same": 12, "raw+logreg": 12}
    rows = {row["strategy"]: row for row in result.rows}
    assert rows["opposite"]["verdict"] == "harms"
    assert rows["opposite"]["judged_on"] == 5
    assert rows["same"]["verdict"] == "open"
    again = compare(problem, ways, "auto", **ask)
    assert len(list((tmp_path / "out/trials").iterdir())) == len(files)
    assert [r["gain_ci95"] for r in again.rows] == [r["gain_ci95"] for r in result.rows]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"least": 0}, "`least` should be above 0 and below 1; found 0"),
        ({"least": 1.0}, "`least` should be above 0 and below 1; found 1.0"),
        ({"least": -0.1}, "`least` should be above 0 and below 1; found -0.1"),
        ({"seeds": "some"}, '`seeds` should be a whole number, several, or "auto"; found "some"'),
    ],
)
def test_wrong_numbers_are_told(changes, found):
    with pytest.raises(ValueError) as told:
        compare(table(), **{"strategies": "scratch", "seeds": 1} | changes)
    assert str(told.value).startswith(found)


def test_a_measure_that_the_target_does_not_have_is_told():
    with pytest.raises(
        ValueError, match=r"`metric` of target 'new' should be .*; found \"acuracy\"; did you mean"
    ):
        dataclasses.replace(table(), metric="acuracy")
    with pytest.raises(ValueError, match="`metric` of target 'new' should be"):
        dataclasses.replace(table(), metric="rmse")


# What trials said, in files that NumPy alone reads.


def test_rows_of_the_result_are_found_again_from_the_outputs(compared):
    place = compared.directory / "outputs"
    with np.load(place / "truth-new.npz", allow_pickle=False) as held:
        y = held["y"]
    right = {}
    for name in names(compared):
        right[name] = []
        for seed in range(3):
            with np.load(place / f"{name}-all-{seed}.npz", allow_pickle=False) as held:
                assert held.files == ["new"]
                right[name].append((held["new"].argmax(1) == y).astype(float))
    data = json.loads((compared.directory / "result.json").read_text())
    base = data["answers"][0]["baseline"]
    for row in data["rows"]:
        mine = np.array(right[row["strategy"]])
        assert row["mean"] == pytest.approx(mine.mean(), abs=1e-12)
        assert row["seeds"] == pytest.approx(mine.mean(1).tolist(), abs=1e-12)
        if row["strategy"] == base:
            assert row["gain"] is None
        else:
            assert row["gain"] == pytest.approx(mine.mean() - np.mean(right[base]), abs=1e-12)


def test_answers_are_small(compared):
    assert all(f.stat().st_size < 2000 for f in (compared.directory / "outputs").glob("*.npz"))


def test_a_result_is_read_as_it_was_written(compared):
    assert Result.load(compared.directory).data == compared.data
