"""Which source helps and which harms: one whose labels are turned is found, and what to use leaves it out."""

import pickle
from dataclasses import replace

import pytest
import torch

from headstart.comparison import Problem, compare, leaving
from headstart.comparison.sources import _said, without
from headstart.datasets import unlabel
from headstart.strategies import STRATEGIES, Budget, Starts, Strategy, Trained, Trial, needs
from headstart.tasks import Labelled, Multiclass, Task

from .problems import TINY, table

CENTRES = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))


def rows(count, seed, *, turned=False):
    """Draw rows of three classes; where they are turned, each has the name of the next one."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 8, generator=generator)
    y = (x @ CENTRES.T + 0.5 * torch.randn(count, 3, generator=generator)).argmax(1)
    return Labelled(x, (y + 1) % 3 if turned else y)


def problem(*sources, **changes):
    target = Task("new", Multiclass(3), rows(60, 1), test=rows(200, 2))
    return Problem(target, sources, **{"shots": [5], "settings": {"hidden": [6]}, "budget": TINY} | changes)


GOOD = Task("good", Multiclass(3), rows(300, 3))
BAD = Task("bad", Multiclass(3), rows(180, 4, turned=True))


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("sources") / "out"
    return compare(problem(GOOD, BAD), "source+logreg", 3, baseline="raw+logreg", out=out)


def test_the_source_that_harms_is_named_and_the_other_is_not(compared):
    told = {each["source"]: each for each in compared.data["sources"]}
    assert set(told) == {"good", "bad"}
    assert {name: each["verdict"] for name, each in told.items()} == {"good": "helps", "bad": "harms"}
    bad = told["bad"]
    assert bad["difference"] < -0.15  # of the pool, a third or more is turned
    assert bad["difference"] == pytest.approx(bad["with"] - bad["without"])
    assert bad["difference_ci95"][0] < bad["difference"] < bad["difference_ci95"][1] < 0
    assert (bad["strategy"], bad["shots"], bad["target"]) == ("source+logreg", 5, "new")
    means = {row["strategy"]: row["mean"] for row in compared.rows}
    assert bad["without"] == pytest.approx(means["source+logreg-without-bad"])
    assert bad["with"] == pytest.approx(means["source+logreg"])


def test_what_is_recommended_is_learned_without_it(compared):
    assert compared.recommended == "source+logreg-without-bad"
    assert compared.best.directory.exists()
    (model,) = compared.data["model"].values()
    assert model["strategy"] == "source+logreg-without-bad"
    names = [row["strategy"] for row in compared.rows]
    assert "source+logreg-without-good" not in names  # it answered its question
    text = " ".join(" ".join(compared.data["reasons"]).split())
    assert "Source bad harms" in text
    assert "Source good" not in text
    (answer,) = compared.data["answers"]
    assert answer["strategy"] == "source+logreg-without-bad"
    assert answer["outcome"] == "better"
    assert answer["gain_ci95"][0] > 0


def test_what_was_found_is_found_again_in_its_directory(compared):
    before = sorted(f.name for f in (compared.directory / "trials").iterdir())
    again = compare(problem(GOOD, BAD), "source+logreg", 3, baseline="raw+logreg", out=compared.directory)
    assert sorted(f.name for f in (compared.directory / "trials").iterdir()) == before
    assert again.data["sources"] == compared.data["sources"]
    assert again.recommended == compared.recommended


def test_two_that_harm_are_both_left_out(tmp_path):
    worse = Task("worse", Multiclass(3), rows(180, 5, turned=True))
    more = Task("good", Multiclass(3), rows(500, 3))
    result = compare(problem(more, BAD, worse), "source+logreg", 3, baseline="raw+logreg")
    told = {each["source"]: each["verdict"] for each in result.data["sources"]}
    assert told == {"good": "helps", "bad": "harms", "worse": "harms"}
    assert result.recommended == "source+logreg-without-bad-worse"


def test_few_seeds_tell_no_sources_apart():
    result = compare(problem(GOOD, BAD), "source+logreg", 2, baseline="raw+logreg")
    assert "sources" not in result.data
    assert "source+logreg" in (row["strategy"] for row in result.rows)
    assert not any("without" in row["strategy"] for row in result.rows)


@pytest.mark.parametrize("sources", [[], [BAD]])
def test_one_source_has_no_other_to_be_told_from(sources):
    result = compare(problem(*sources), "source+logreg" if sources else "scratch", 3, baseline="raw+logreg")
    assert "sources" not in result.data
    assert not any("without" in row["strategy"] for row in result.rows)


def test_sources_that_agree_are_left_in():
    twin = Task("twin", Multiclass(3), rows(300, 6))
    result = compare(problem(GOOD, twin), "source+logreg", 3, baseline="raw+logreg")
    assert "harms" not in {each["verdict"] for each in result.data["sources"]}
    assert result.recommended == "source+logreg"


@pytest.fixture
def added(monkeypatch):
    """Note the runs in the order in which they are added."""
    noted, add = [], leaving.added
    monkeypatch.setattr(leaving, "added", lambda plan, ways: noted.append(list(ways)) or add(plan, ways))
    return noted


@pytest.mark.parametrize("order", [["good", "bad"], ["bad", "good"]])
def test_where_time_is_short_suspects_are_left_out_first(compared, added, monkeypatch, order):
    monkeypatch.setattr(leaving, "_left", lambda plan: 0.0)
    monkeypatch.setattr(Problem, "suspects", lambda self: order)
    result = compare(problem(GOOD, BAD), "source+logreg", 3, baseline="raw+logreg")
    assert added == [[f"source+logreg-without-{name}"] for name in order]
    assert result.data["sources"] == compared.data["sources"]  # the order is no part of what is found


def test_where_time_is_not_short_nothing_is_ordered(added, monkeypatch):
    monkeypatch.setattr(Problem, "suspects", lambda self: pytest.fail("ordered"))
    compare(problem(GOOD, BAD), "source+logreg", 3, baseline="raw+logreg", seconds=3600)
    assert added == [["source+logreg-without-good", "source+logreg-without-bad"]]


def test_the_source_that_says_least_of_the_target_is_suspected_first():
    noise = Labelled(GOOD.train.x, torch.randint(3, (300,), generator=torch.Generator().manual_seed(9)))
    noise = Task("noise", Multiclass(3), noise)
    budget = Budget(pretrain=150)
    for some in ([noise, GOOD], [GOOD, noise]):
        posed = problem(*some, shots=None, settings={"hidden": [16]}, budget=budget)
        assert posed.suspects() == ["noise", "good"]


@pytest.mark.parametrize("change", ["no labels", "pretrained"])
def test_sources_that_cannot_be_ranked_stay_as_they_are_given(change):
    posed = problem(GOOD, BAD)
    if change == "no labels":
        posed = bare(GOOD, BAD)
    else:
        posed = problem(GOOD, BAD, backbone=torch.nn.Linear(8, 4), settings={})
    assert posed.suspects() == ["good", "bad"]


def bare(*sources, **changes):
    """Pose the problem without a label of the target."""
    target = unlabel(Task("new", Multiclass(3), rows(60, 1), test=rows(200, 2)))
    return Problem(target, sources, **{"settings": {"hidden": [6]}, "budget": TINY} | changes)


def test_without_labels_each_source_has_its_score_alone(added):
    twin = Task("twin", Multiclass(3), rows(200, 6))
    result = compare(bare(GOOD, BAD, twin), "source+logreg", 3, baseline="source+logreg")
    told = {each["source"]: each for each in result.data["sources"]}
    assert list(told) == ["good", "bad", "twin"]
    assert told["good"]["alone"] > 0.7 > 0.3 > told["bad"]["alone"]
    assert told["good"]["alone_gain"] == pytest.approx(told["good"]["alone"] - told["good"]["with"])
    low, high = told["bad"]["alone_gain_ci95"]
    assert low < told["bad"]["alone_gain"] < high < 0
    assert len(added[0]) == 6  # three without one, three without all others
    text = " ".join(" ".join(result.data["reasons"]).split())
    assert "is the best: source+logreg reaches" in text
    assert "alone" in result.table()


def test_of_two_sources_alone_is_without_the_other(added):
    result = compare(bare(GOOD, BAD), "source+logreg", 3, baseline="source+logreg")
    assert added == [["source+logreg-without-good", "source+logreg-without-bad"]]
    good, bad = result.data["sources"]
    assert (good["alone"], bad["alone"]) == (bad["without"], good["without"])
    assert result.recommended == "source+logreg-without-bad"


def test_without_labels_the_way_is_chosen_again_without_the_source_that_harms():
    """What a bad source does to how far ways are to be trusted says nothing of them without it."""
    ways = ["source+logreg", "source+svm"]
    result = compare(bare(GOOD, BAD), ways, 3, baseline="source+logreg")
    worth = result.data["answers"][-1]["without_labels"]["worth"]
    alone = compare(bare(GOOD), ways, 3, baseline="source+logreg")
    without = {name: value for name, value in worth.items() if name.endswith("-without-bad")}
    assert set(without) == {f"{name}-without-bad" for name in ways}
    assert result.recommended == max(without, key=without.get) == f"{alone.recommended}-without-bad"
    assert min(without.values()) > max(worth[name] for name in ways)


def test_a_baseline_that_learns_from_sources_is_asked_too():
    """Here the way in front takes the good source alone by itself, so only the baseline is harmed."""
    first = Strategy(name="first", run=first_alone, summary="the first alone", needs=needs.source_classes,
                     learns="source")  # fmt: skip
    result = compare(bare(GOOD, BAD), first, 3, baseline="source+logreg")
    told = {(each["strategy"], each["source"]): each["verdict"] for each in result.data["sources"]}
    ways = {("first", "good"), ("first", "bad"), ("source+logreg", "good"), ("source+logreg", "bad")}
    assert set(told) == ways
    assert told["source+logreg", "bad"] == "harms"
    assert told["first", "bad"] == "open"
    assert result.recommended in ("first", "source+logreg-without-bad")


def first_alone(trial):
    """Learn from the first source alone."""
    only = trial.problem.with_rows(sources=trial.problem.sources[:1])
    return STRATEGIES["source+logreg"].run(replace(trial, problem=only, settings={"C": 1.0}))


def test_the_highest_way_of_either_sort_is_asked():
    """A source that contradicts spoils a pool of rows, whatever it does to features."""
    ways = ["pooled+logreg", "pooled+svm", "features+logreg"]
    result = compare(problem(GOOD, BAD), ways, 3, baseline="raw+logreg")
    told = {(each["strategy"], each["source"]): each["difference"] for each in result.data["sources"]}
    means = {row["strategy"]: row["mean"] for row in result.rows}
    pooled = max(("pooled+logreg", "pooled+svm"), key=lambda way: means[way])
    assert {way for way, _ in told} == {pooled, "features+logreg"}
    assert told[pooled, "bad"] < -0.03


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("whole", "verdict"), [(0.6, "open"), (0.4, "harms")])
def test_harm_to_a_way_that_is_lower_even_without_the_source_is_not_said(sign, whole, verdict):
    rows = [
        {
            "source": "old",
            "strategy": "pooled",
            "with": sign * whole,
            "without": sign * 0.2,
            "verdict": "helps",
        },
        {"source": "old", "strategy": "probe", "with": sign * 0.3, "without": sign * 0.5, "verdict": "harms"},
        {"source": "bad", "strategy": "probe", "with": sign * 0.3, "without": sign * 0.5, "verdict": "harms"},
    ]
    assert [row["verdict"] for row in _said(rows, sign)] == ["helps", verdict, "harms"]


def test_sources_that_contradict_each_other_are_heard_without_a_label():
    heard = compare(bare(GOOD, BAD), "source+logreg", 3, baseline="source+logreg").data["alarms"]
    (alarm,) = [each for each in heard if each["alarm"] == "contradiction"]
    assert {alarm["source"], alarm["other"]} == {"good", "bad"}
    assert alarm["value"] > 0.7
    twin = Task("twin", Multiclass(3), rows(200, 6))
    assert "alarms" not in compare(bare(GOOD, twin), "source+logreg", 3, baseline="source+logreg").data


def test_no_alarm_is_raised_where_there_are_labels(compared):
    assert "alarms" not in compared.data


def names_of_sources(trial):
    """Say which sources are to be seen, in place of training on them."""
    SEEN.append([source.name for source in trial.problem.sources])
    return Trained(trial.fresh(), {})


SEEN: list = []


def test_a_way_without_a_source_never_sees_it():
    way = Strategy(
        name="spy", run=names_of_sources, summary="notes the sources", options=[{"C": 1.0}, {"C": 2.0}]
    )
    less = without(way, ["bad"], {"C": 2.0})
    SEEN.clear()
    for one in (way, less):
        one.learn(Trial(problem(GOOD, BAD), one.options[0], 0, Starts()))
    assert SEEN == [["good", "bad"], ["good"]]
    assert (less.name, less.options) == ("spy-without-bad", ({"C": 2.0},))
    assert "without bad" in less.summary
    assert without(way, ["bad"]).options == way.options


def test_a_way_without_a_source_starts_from_nets_that_never_saw_it():
    """What was pretrained on all sources is not taken over."""
    starts, probe = Starts(), STRATEGIES["probe"]
    posed = problem(GOOD, BAD)
    settings = probe.options[0]
    whole = probe.learn(Trial(posed, settings, 0, starts)).net
    after = without(probe, ["bad"]).learn(Trial(posed, settings, 0, starts)).net
    alone = probe.learn(Trial(problem(GOOD), settings, 0, Starts())).net
    for name, weight in alone.backbone.state_dict().items():
        assert torch.equal(weight, after.backbone.state_dict()[name])
    assert any(
        not torch.equal(a, b)
        for a, b in zip(whole.backbone.parameters(), after.backbone.parameters(), strict=True)
    )


def test_names_are_made_of_signs_that_names_may_have():
    assert without(STRATEGIES["probe"], ["old digits", "ä/b"]).name == "probe-without-old_digits-__b"


def test_other_processes_take_it():
    less = without(STRATEGIES["probe"], ["bad"])
    again = pickle.loads(pickle.dumps(less))
    assert (again.name, again.options, again.summary) == (less.name, less.options, less.summary)


@pytest.mark.slow
def test_two_workers_give_what_one_gives(compared, tmp_path):
    result = compare(
        problem(GOOD, BAD), "source+logreg", 3, baseline="raw+logreg", out=tmp_path / "out", workers=2
    )
    assert result.data["sources"] == compared.data["sources"]
    assert [row["seeds"] for row in result.rows] == [row["seeds"] for row in compared.rows]
    assert result.recommended == compared.recommended


def test_a_baseline_from_no_source_leaves_nothing_to_tell():
    """Where no way that learns from sources ran, there is none to run without them."""
    result = compare(table(budget=TINY), "scratch", 3, baseline="raw+logreg")
    assert "sources" not in result.data
