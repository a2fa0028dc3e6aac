"""Strategies as values: the caller's own, those of other packages, and the contract that all keep."""

import dataclasses
import pickle
from importlib.util import find_spec

import pytest
import torch

import headstart as hs
from headstart.comparison import Problem, applicable, compare
from headstart.multitask import backward, pcgrad
from headstart.strategies import FURTHER, STRATEGIES, Strategy, Trained
from headstart.tasks import Labelled, Multiclass, Regression, Task
from headstart.testing import check_strategy

from .problems import ELSEWHERE, TINY, images, numbers, table

ONE = dataclasses.replace(TINY, options=1)
PACKAGE = '''
from headstart.strategies import Strategy, Trained


def run(trial):
    """Train the pretrained backbone with one rate, under a word and a switch."""
    assert trial.settings["how"] in ("all", "head") and trial.settings["careful"] is True
    net = trial.pretrained()
    steps = trial.problem.steps
    return Trained(net, trial.train(net, [trial.target], steps=steps, lr=trial.settings["lr"], phase="all"))


OPTIONS = [{"lr": 1e-3, "how": "all", "careful": True}, {"lr": 1e-4, "how": "head", "careful": True}]
PLAIN = Strategy(name="plain", run=run, summary="one rate for all", options=OPTIONS)
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package with one strategy, which it declares as an entry point."""
    (tmp_path / "otherpackage.py").write_text(PACKAGE)
    about = tmp_path / "otherpackage-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: otherpackage\nVersion: 1.0\n")
    points = (
        '[headstart.methods]\n"strategies.plain" = otherpackage:PLAIN\n"strategies.odd" = otherpackage:run\n'
    )
    (about / "entry_points.txt").write_text(points.replace('"', ""))
    monkeypatch.syspath_prepend(str(tmp_path))
    import otherpackage

    return otherpackage


def rows(result):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in result.rows]


@pytest.mark.usefixtures("soon_settled")
@pytest.mark.parametrize("name", [name for name in [*STRATEGIES, *FURTHER] if name not in ELSEWHERE])
def test_every_strategy_of_ours_keeps_the_contract(name):
    if name == "lora" and find_spec("peft") is None:
        pytest.skip("needs peft")
    check_strategy((STRATEGIES | FURTHER)[name], images())


def test_a_strategy_of_another_package_keeps_the_contract(package):
    check_strategy(package.PLAIN, images())


@pytest.mark.slow
def test_a_strategy_of_another_package_runs_in_two_processes_as_in_one(package):
    problem = table(shots=[2], budget=dataclasses.replace(TINY, options=2))
    one, two = (
        compare(problem, ["probe", package.PLAIN], 2, workers=n, progress=False, baseline="scratch")
        for n in (1, 2)
    )
    assert [row["strategy"] for row in one.rows] == ["scratch", "probe", "plain"]
    assert rows(one) == rows(two)
    assert one.details["strategies"]["plain"]["settings"]["2"] in package.OPTIONS


def test_entry_points_are_found_by_name(package):
    asked = applicable(table(), ["plain"])
    assert asked.strategies["plain"] is package.PLAIN
    with pytest.raises(ValueError, match='did you mean "plain"'):
        applicable(table(), ["plane"])
    with pytest.raises(
        ValueError, match=r"strategy 'odd' of another package should be a `headstart.Strategy`"
    ):
        applicable(table(), ["odd"])


def test_strategies_on_request_are_found_by_name_and_run_by_nothing_else():
    assert not FURTHER.keys() & STRATEGIES.keys()
    assert not FURTHER.keys() & applicable(images()).strategies.keys()
    asked = applicable(images(), list(FURTHER))
    assert asked.strategies.keys() | asked.skipped.keys() >= FURTHER.keys()
    assert asked.skipped.keys() <= {"lora", *ELSEWHERE}  # without peft
    with pytest.raises(ValueError, match='did you mean "finetune@layer"'):
        applicable(images(), "finetune@layers")


def test_a_strategy_that_cannot_be_pickled_is_refused_by_name_before_workers_start(tmp_path):
    mine = dataclasses.replace(STRATEGIES["probe"], name="mine", run=lambda trial: None)
    with pytest.raises(ValueError, match="strategy 'mine' should be of functions that other processes can"):
        compare(table(), ["probe", mine], 2, workers=2, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_strategies_of_one_name_are_refused():
    mine = dataclasses.replace(STRATEGIES["probe"], summary="another")
    with pytest.raises(ValueError, match="names of strategies should be distinct; found probe"):
        compare(table(), ["probe", mine], 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a b"}, "`name` of a strategy should be letters, digits"),
        ({"name": "../a"}, "`name` of a strategy should be letters, digits"),
        ({"options": []}, "`options` of strategy 'probe' should be at least one"),
        ({"options": [{"lr": 1.0}, {"C": 1.0}]}, "all with the same keys"),
        ({"learns": "label"}, 'did you mean "labels"'),
    ],
)
def test_a_wrong_strategy_is_told(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(STRATEGIES["probe"], **changes)


def test_fixed_settings_leave_the_others_to_be_chosen():
    options = [{"lr": 0.1, "sharing": "ple"}, {"lr": 0.2, "sharing": "ple"}, {"lr": 0.2, "sharing": "mmoe"}]
    strategy = dataclasses.replace(STRATEGIES["probe"], options=options)
    fixed = strategy.fixed("mine", {"sharing": "ple"})
    assert fixed.options == ({"lr": 0.1, "sharing": "ple"}, {"lr": 0.2, "sharing": "ple"})
    with pytest.raises(ValueError, match='did you mean "sharing"'):
        strategy.fixed("mine", {"shering": "ple"})
    assert pickle.loads(pickle.dumps(fixed)) == fixed


def test_a_name_with_other_settings_does_not_go_on_with_the_cells_of_the_first(tmp_path):
    slow, slower = (STRATEGIES["probe"].fixed("mine", {"lr": lr}) for lr in (1e-2, 1e-3))
    compare(images(budget=ONE), slow, 1, baseline="scratch", out=tmp_path / "out")
    with pytest.raises(ValueError, match="strategy 'mine' should be of the settings that it was begun with"):
        compare(images(budget=ONE), slower, 1, out=tmp_path / "out")
    found = compare(images(budget=ONE), "probe", 1, baseline="scratch", out=tmp_path / "out")
    names = [row["strategy"] for row in found.rows]
    assert names == ["scratch", "probe"]
    with pytest.raises(ValueError, match="strategy 'mine' should be of"):  # what the second run left out, too
        compare(images(budget=ONE), slower, 1, out=tmp_path / "out")


def _bare(trial):
    return trial.pretrained()


def _draws(trial):
    """Draw from the global random state."""
    torch.rand(1)
    return STRATEGIES["probe"].run(trial)


def _writes(trial):
    """Write to the rows that it is given, more at every call."""
    trained = STRATEGIES["probe"].run(trial)
    trial.target.train.x.add_(1)
    return trained


def _peeks(trial):
    """Add the mean of the test rows to a weight."""
    trained = STRATEGIES["probe"].run(trial)
    with torch.no_grad():
        trained.net.heads["new"].bias[0] += trial.target.test.x.mean()
    return trained


@dataclasses.dataclass
class Counting:
    """Add to a weight what counts up: runs, or how often it was sent through pickle."""

    runs: int = 0
    sent: int = 0

    def __call__(self, trial):
        trained = STRATEGIES["probe"].run(trial)
        with torch.no_grad():
            trained.net.heads["new"].bias[0] += self.runs + self.sent
        self.runs += self.runs > 0
        return trained

    def __getstate__(self):
        return {"runs": self.runs, "sent": self.sent + (self.runs == 0)}


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (_bare, "should be of type Trained"),
        (_draws, "draws from torch"),
        (_writes, "changes its inputs"),
        (_peeks, "reads the test rows"),
        (Counting(runs=1), "gives another net when it is run again"),
        (Counting(), "gives another net after pickling"),
        (lambda trial: STRATEGIES["probe"].run(trial), "cannot be pickled"),
    ],
)
def test_the_check_finds_what_is_wrong(run, message):
    with pytest.raises(AssertionError, match=message):
        check_strategy(Strategy(name="bad", run=run, summary="bad", options=[{"lr": 1e-2}]), images())


# Weighings, and several targets at once.


def both():
    """Two targets on the same rows, a class and a number."""
    train, test = numbers(24, 1), numbers(40, 2)
    sums = [Labelled(r.x, r.x.sum(1, keepdim=True) + 3) for r in (train, test)]
    return [
        Task("side", Multiclass(["left", "right"]), train, test=test),
        Task("size", Regression(), sums[0], test=sums[1]),
    ]


def surgery(trial):
    """Train both targets with their gradients weighed by PCGrad."""
    from headstart.strategies.recipes.sharing import together

    return Trained(*together(trial, trial.fresh(), trial.settings["lr"], combine=backward(pcgrad)))


SURGERY = dataclasses.replace(STRATEGIES["multitask"], name="multitask+pcgrad", run=surgery)


def test_several_targets_have_a_score_each_and_one_summary(tmp_path):
    problem = Problem(targets=both(), settings={"hidden": [8]}, budget=ONE)
    result = compare(
        problem, ["multitask", SURGERY], 3, baseline="scratch", out=tmp_path / "out", progress=False
    )
    assert [(r["strategy"], r["target"]) for r in result.rows] == [
        ("scratch", "side"), ("scratch", "size"), ("multitask", "side"), ("multitask", "size"),
        ("multitask+pcgrad", "side"), ("multitask+pcgrad", "size"),
    ]  # fmt: skip
    assert result.details["metrics"]["size"] == {
        "name": "r2", "higher_is_better": True, "bounds": [None, 1], "ratio": True,
    }  # fmt: skip
    (base, *others) = result.data["summary"]
    assert base["strategy"] == "scratch"
    assert base["delta_m"] == 0
    for row in others:
        mine = {r["target"]: r["seeds"] for r in result.rows if r["strategy"] == row["strategy"]}
        alone = {r["target"]: r["seeds"] for r in result.rows if r["strategy"] == "scratch"}
        expected = [
            sum((mine[t][s] - alone[t][s]) / abs(alone[t][s]) for t in ("side", "size")) / 2 for s in range(3)
        ]
        assert row["seeds"] == pytest.approx(expected)
        assert row["delta_m"] == pytest.approx(sum(expected) / 3)
    joint, weighed = (
        [r["seeds"] for r in result.rows if r["strategy"] == n] for n in ("multitask", "multitask+pcgrad")
    )
    assert joint != weighed
    for target in ("side", "size"):
        saved = hs.models.load(tmp_path / "out" / "models" / "multitask" / target)
        assert list(saved.kinds) == [target]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "All targets together" in page
    assert "all targets together" in result.table()
    assert len({r.split(":")[0] for r in result.data["reasons"]}) == 2
    assert "<h3>size</h3>" in result._repr_html_()


def test_one_target_is_the_special_case_of_one():
    (side, _) = both()
    one = compare(Problem(side, settings={"hidden": [8]}, budget=ONE), "scratch", 2, baseline="scratch")
    several = Problem(targets=[side], settings={"hidden": [8]}, budget=ONE)
    same = compare(several, "scratch", 2, baseline="scratch")
    assert rows(one) == rows(same)
    assert "summary" not in one.data


def test_a_strategy_that_learns_targets_together_runs_once_for_all(monkeypatch):
    runs = []
    real = STRATEGIES["multitask"]

    def spy(trial):
        runs.append([t.name for t in trial.targets])
        return real.run(trial)

    monkeypatch.setitem(STRATEGIES, "multitask", dataclasses.replace(real, run=spy))
    compare(Problem(targets=both(), settings={"hidden": [8]}, budget=ONE), ["multitask"], 1)
    assert runs == [["side", "size"]]


def test_settings_are_chosen_for_all_targets_at_once(tmp_path):
    problem = Problem(targets=both(), settings={"hidden": [8]}, budget=TINY)
    compare(problem, ["multitask"], 1, baseline="scratch", out=tmp_path / "out", progress=False)
    assert len(list((tmp_path / "out/settings").glob("multitask-*"))) == 2  # two options, one repeat


def test_targets_are_one_or_several():
    side, size = both()
    with pytest.raises(ValueError, match="`target` should be left out where there are `targets`"):
        Problem(side, targets=[side, size])
    with pytest.raises(ValueError, match="`target` should be a task, or several in `targets`"):
        Problem()
    with pytest.raises(ValueError, match="should be distinct"):
        Problem(targets=[side, side])
    with pytest.raises(ValueError, match=r"rows of target 'new' should be of the target's shape"):
        Problem(targets=[side, images().target])
