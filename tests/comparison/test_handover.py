"""The model that is handed over, how sure it is, and the number that choosing does not flatter."""

import contextlib
import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

import headstart as hs
from headstart.comparison import Problem, calibration, compare
from headstart.comparison.tables import halves
from headstart.models.backbones.torchvision import import_torchvision
from headstart.strategies import NO_REUSE, STRATEGIES
from headstart.tasks import Binary, Labelled, Multiclass, Regression, Task

from .problems import TINY, numbers, table

ONE = dataclasses.replace(TINY, options=1)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    problem = table(budget=ONE, shots=[2])
    out = tmp_path_factory.mktemp("handover") / "out"
    return problem, compare(problem, "features+logreg", 3, baseline="raw+logreg", out=out)


# What is handed over.


def test_the_score_that_is_told_is_that_of_the_model_that_lies_there(compared):
    problem, result = compared
    (told,) = result.data["model"].values()
    model = hs.load(result.best.directory, device="cpu")
    test = problem.target.test
    estimate = model.evaluate(test.x, problem.target.kind.decode(nn.functional.one_hot(test.y).float()))
    name = result.data["metric"]
    assert estimate[name].value == pytest.approx(told["score"], abs=1e-12)
    for measure, value in told["measures"].items():
        assert estimate[measure].value == pytest.approx(value, abs=2e-3)  # the outputs are kept as float16
    assert result.data["metric"] == "accuracy"
    assert told["ci95"] == pytest.approx([estimate["accuracy"].low, estimate["accuracy"].high])
    assert model.notes["strategy"] == told["strategy"] == result.recommended


def test_it_is_trained_on_all_labelled_rows_whatever_the_shots(compared):
    problem, result = compared
    (told,) = result.data["model"].values()
    assert told["rows"] == len(problem.target.train) == 16  # the trials had 4
    assert hs.load(result.best.directory, device="cpu").notes["shots"] is None
    assert len(set(map(tuple, hs.models.load(result.best.directory).notes["trained"]))) == 16
    text = " ".join(" ".join(result.data["reasons"]).split())
    assert "trained on all 16 labelled rows" in text


def test_its_settings_are_chosen_on_all_quarters_of_the_rows(monkeypatch):
    held = []
    of = Problem._held_out
    monkeypatch.setattr(
        Problem, "_held_out", lambda self, seed, quarter=0: held.append(quarter) or of(self, seed, quarter)
    )
    target = Task("new", Multiclass(2), numbers(30, 1), test=numbers(20, 2))
    asked = Problem(target, [], shots=[20], settings={"hidden": [6]}, budget=TINY)
    compare(asked, "raw+svm", 1, baseline="raw+svm")
    assert held[0] == 0  # the trial
    assert held[1:5] == [0, 1, 2, 3]


def test_rows_that_it_was_trained_on_are_left_out_of_what_is_measured(compared):
    problem, result = compared
    model = hs.load(result.best.directory, device="cpu")
    train, test = problem.target.train, problem.target.test
    both = Labelled(torch.cat([train.x, test.x]), torch.cat([train.y, test.y]))
    with pytest.warns(UserWarning, match="16 of 56 rows were trained on and are left out"):
        estimate = model.evaluate(Task("new", problem.target.kind, both))
    alone = model.evaluate(Task("new", problem.target.kind, train, test=test))
    assert estimate["accuracy"].n == alone["accuracy"].n == 40
    assert estimate["accuracy"].value == alone["accuracy"].value
    with pytest.warns(UserWarning, match="16 of 16 rows were trained on: what is measured is how well"):
        model.evaluate(Task("new", problem.target.kind, train))


def test_where_the_time_is_over_nothing_is_handed_over():
    result = compare(table(budget=ONE), "probe", 1, baseline="scratch", seconds=1e-9)
    assert "model" not in result.data


# How sure it is.


def said(rows=400, heat=3.0, seed=0, classes=3):
    """Draw outputs that are ``heat`` times too large for how often they are right."""
    g = torch.Generator().manual_seed(seed)
    true = 1.5 * torch.randn(rows, classes, generator=g)
    y = torch.multinomial(true.softmax(1), 1, generator=g)[:, 0]
    return heat * true, y


def loss(outputs, y, degrees):
    return nn.functional.cross_entropy(outputs.double() / degrees, y).item()


def test_a_few_rows_that_are_all_right_do_not_make_answers_certain():
    outputs = torch.tensor([[2.0, 0.0], [0.0, 1.0]] * 5)
    found = calibration.temperature(Multiclass(2), outputs, torch.tensor([0, 1] * 5))
    assert 0.2 < found < 1  # exp(-3), the least there is, without the pull to 1


@pytest.mark.parametrize("heat", [0.3, 2.0, 5.0])
def test_a_temperature_is_that_of_a_grid(heat):
    outputs, y = said(heat=heat)
    grid = np.exp(np.linspace(-3, 3, 3001))
    best = grid[int(np.argmin([loss(outputs, y, d) + np.log2(d) ** 2 / 2 / len(y) for d in grid]))]
    found = calibration.temperature(Multiclass(3), outputs, y)
    assert found == pytest.approx(best, rel=0.01)
    assert found == pytest.approx(heat, rel=0.3)
    assert loss(outputs, y, found) <= loss(outputs, y, 1.0)


def test_rows_without_a_label_do_not_count():
    outputs, y = said()
    more = torch.cat([y, torch.full((50,), -100)])
    wild = torch.cat([outputs, 50 * torch.randn(50, 3, generator=torch.Generator().manual_seed(1))])
    found = calibration.temperature(Multiclass(3), wild, more)
    assert found == pytest.approx(calibration.temperature(Multiclass(3), outputs, y))
    assert calibration.error(Multiclass(3), wild, more) == pytest.approx(
        calibration.error(Multiclass(3), outputs, y)
    )


def test_rows_that_do_not_tell_leave_it_at_one():
    outputs, y = said(rows=6, heat=1.1)
    assert calibration.temperature(Multiclass(3), outputs, y) == 1.0
    assert calibration.temperature(Multiclass(3), outputs[:1], y[:1]) == 1.0
    right, answers = said(rows=300, heat=1.0, seed=2)
    found = calibration.temperature(Multiclass(3), right, answers)
    assert found == 1.0 or found == pytest.approx(1.0, abs=0.2)


def test_two_classes_by_one_number_have_a_temperature_too():
    g = torch.Generator().manual_seed(3)
    true = 1.5 * torch.randn(600, 1, generator=g)
    y = torch.bernoulli(true.sigmoid()[:, 0], generator=g)
    assert calibration.temperature(Binary(), 4 * true, y) == pytest.approx(4, rel=0.3)


def test_a_cooled_head_gives_every_answer_that_it_gave():
    torch.manual_seed(0)
    for head in (nn.Linear(5, 3), nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))):
        x = torch.randn(200, 5)
        before = head(x)
        after = calibration.cooled(head, 2.5, 3)(x)
        torch.testing.assert_close(after, before / 2.5)
        torch.testing.assert_close(head(x), before)  # it is left as it was
        assert torch.equal(after.argmax(1), before.argmax(1))


@pytest.fixture(scope="module")
def theirs():
    """Load torchmetrics' error; it imports torchvision, whose wheel may not fit this torch."""
    with contextlib.suppress(ModuleNotFoundError):
        import_torchvision()
    from torchmetrics.classification import MulticlassCalibrationError

    return MulticlassCalibrationError(3, n_bins=15, norm="l1")


@pytest.mark.parametrize("seed", range(4))
def test_the_error_of_calibration_is_that_of_another_library(seed, theirs):
    outputs, y = said(rows=200 + seed, heat=1 + seed, seed=seed)
    mine = calibration.error(Multiclass(3), outputs, y)
    assert mine == pytest.approx(theirs(outputs.softmax(1), y).item(), abs=1e-6)


def test_the_error_of_calibration_is_that_of_a_plain_loop():
    outputs, y = said(rows=300, heat=2)
    p, gap = outputs.double().softmax(1), 0.0
    for low in range(15):
        inside = [r for r in range(300) if low / 15 < p[r].max() <= (low + 1) / 15]
        if inside:
            right = sum(int(p[r].argmax() == y[r]) for r in inside) / len(inside)
            sure = sum(p[r].max().item() for r in inside) / len(inside)
            gap += len(inside) / 300 * abs(right - sure)
    assert calibration.error(Multiclass(3), outputs, y) == pytest.approx(gap, abs=1e-12)


def test_numbers_have_no_such_error():
    assert calibration.error(Regression(), torch.randn(5, 1), torch.randn(5)) is None
    assert not calibration.can_calibrate(
        Task("size", Regression(), Labelled(torch.randn(90, 2), torch.randn(90)))
    )
    assert calibration.can_calibrate(table().target)
    few = dataclasses.replace(table().target, train=numbers(3, 1))
    assert not calibration.can_calibrate(few)


def test_what_is_handed_over_says_how_sure_it_is(compared):
    problem, result = compared
    (told,) = result.data["model"].values()
    assert math.exp(-3) <= told["temperature"] <= math.exp(3)
    before, after = told["ece"]
    assert 0 <= after <= 1
    assert 0 <= before <= 1
    model = hs.load(result.best.directory, device="cpu")
    outputs = model.net.eval()(problem.target.test.x, "new").detach()
    mine = calibration.error(problem.target.kind, outputs, problem.target.test.y)
    assert after == pytest.approx(mine, abs=2e-3)
    heated = calibration.error(problem.target.kind, outputs * told["temperature"], problem.target.test.y)
    assert before == pytest.approx(heated, abs=2e-3)
    strategy = STRATEGIES[told["strategy"].split("-without-")[0]]
    plain = problem.train(strategy, ["new"], told["settings"], 0, problem.starts(result.directory / "again"))
    assert plain["new"].record["score"] == told["score"]  # no answer changed


# Confirmed on rows and seeds that chose nothing.


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory):
    out = tmp_path_factory.mktemp("confirmed") / "out"
    target = dataclasses.replace(table().target, test=numbers(60, 2, move=0.0))
    problem = Problem(target, table().sources, settings={"hidden": [6]}, budget=ONE, shots=[4])
    ask = dict(strategies=["raw+logreg", "probe"], seeds=3, baseline="constant", confirm=True, out=out)
    return problem, ask, compare(problem, **ask)


def right(result, name, seeds):
    """Read which test rows were right at some seeds, with NumPy alone."""
    place = result.directory / "outputs"
    y = np.load(place / "truth-new.npz")["y"]
    return np.stack([np.load(place / f"{name}-4-{s}.npz")["new"].argmax(1) == y for s in seeds]).astype(float)


def test_a_gain_is_confirmed_by_other_seeds_and_the_other_half_of_the_rows(confirmed):
    _, _, result = confirmed
    (answer,) = result.data["answers"]
    told = answer["confirmed"]
    assert told["seeds"] == [3, 4, 5, 6, 7]
    assert told["test_rows"] == 60
    assert answer["test_rows"] == 60
    assert (told["strategy"], told["baseline"]) == (answer["strategy"], answer["baseline"])
    chose, kept = halves(120)
    assert not (chose & kept).any()
    assert (chose | kept).all()
    way, base = (right(result, n, told["seeds"])[:, kept] for n in (told["strategy"], told["baseline"]))
    assert told["gain"] == pytest.approx(way.mean() - base.mean(), abs=1e-12)
    assert told["gain_ci95"][0] < told["gain"] < told["gain_ci95"][1]
    rows = {row["strategy"]: row for row in result.rows}
    first = right(result, told["strategy"], range(3))[:, chose]
    assert rows[told["strategy"]]["mean"] == pytest.approx(first.mean(), abs=1e-12)
    assert len(rows[told["strategy"]]["seeds"]) == 3  # the fresh ones stand apart


def test_run_again_it_says_the_same_and_runs_nothing(confirmed):
    problem, ask, result = confirmed
    files = {f.name: f.stat().st_mtime_ns for f in (result.directory / "trials").iterdir()}
    again = compare(problem, **ask)
    assert {f.name: f.stat().st_mtime_ns for f in (result.directory / "trials").iterdir()} == files
    assert again.data["answers"] == result.data["answers"]
    assert again.details["budget"]["seconds"] > result.details["budget"]["seconds"]  # of both calls
    assert json.loads((result.directory / "result.json").read_text())["answers"] == again.data["answers"]


def test_where_the_baseline_is_kept_there_is_nothing_to_confirm():
    result = compare(table(budget=ONE), "scratch", 3, baseline="raw+logreg", confirm=True)
    (answer,) = result.data["answers"]
    if answer["strategy"] == answer["baseline"]:
        assert "confirmed" not in answer
    else:
        assert answer["confirmed"] is not None
    assert set(NO_REUSE) >= {answer["baseline"]}
