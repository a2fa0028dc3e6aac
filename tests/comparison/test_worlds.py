"""A problem of worlds goes through the same comparison as any other."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import headstart as hs
from headstart.comparison import Result
from headstart.maths.statistics import interquartile_mean, stratified
from headstart.models import Net, mlp
from headstart.rl import Budget, Lesson, Problem, Settings, World, crossing, returns
from headstart.strategies import Strategy
from headstart.strategies.rl import STRATEGIES, Shared, Trial
from headstart.strategies.rl.trial import scaled

pytest.importorskip("gymnasium", reason="needs the extra `rl`")

TINY = Budget(pretrain=256, episodes=3, hidden=(8,), learning=Settings(episodes=4, round=32, epochs=1))
CART, HEAVY = World("CartPole-v1"), World("CartPole-v1", context={"gravity": 20})
LIGHT = World("CartPole-v1", context={"masspole": 0.05})


def problem(**more):
    return Problem(**{"target": HEAVY, "sources": [CART], "steps": [0, 128, 256], "budget": TINY} | more)


@pytest.mark.slow
def test_steps_take_the_place_of_labels(tmp_path):
    out = tmp_path / "run"
    result = hs.compare(problem(), ["continue", "zero-shot", "gate"], seeds=2, out=out, progress=False)
    rows = {(row["strategy"], row["shots"]): row for row in result.rows}
    assert set(rows) == {(n, k) for n in ("scratch", "continue", "zero-shot", "gate") for k in (0, 128, 256)}
    assert rows["continue", 0]["seeds"] == rows["zero-shot", 0]["seeds"] == rows["zero-shot", 256]["seeds"]
    assert rows["scratch", 0]["verdict"] is None
    measures = rows["continue", 256]["measures"]
    assert measures["score"] == pytest.approx(scaled(HEAVY, measures["return"]))
    assert set(measures) == {"score", "area", "return", "time_to"}
    assert "256 steps" in result.table()
    assert "test episodes" in " ".join(result.data["reasons"])
    before = {path.name: path.stat().st_mtime_ns for path in (out / "trials").iterdir()}
    again = hs.compare(problem(), ["continue", "zero-shot", "gate"], seeds=2, out=out, progress=False)
    assert {path.name: path.stat().st_mtime_ns for path in (out / "trials").iterdir()} == before
    assert again.rows == result.rows
    page = Result.load(out).report(tmp_path / "report.html").read_text("utf-8")
    assert len(page) > 10_000
    assert "The policy at work" in page
    (model,) = result.data["model"].values()
    assert model["picture"].count("<g ") == 8
    model = hs.load(result.best.save(tmp_path / "model"))
    assert set(model.predict(torch.zeros(2, 4))) <= {0, 1}


@pytest.mark.slow
def test_scores_do_not_depend_on_the_strategies_beside(tmp_path):
    alone = hs.compare(problem(), "continue", seeds=2, progress=False)
    beside = hs.compare(problem(), ["continue", "critic"], seeds=2, progress=False)
    for one in alone.rows:
        (other,) = (r for r in beside.rows if (r["strategy"], r["shots"]) == (one["strategy"], one["shots"]))
        assert one["seeds"] == pytest.approx(other["seeds"], abs=1e-9)


@pytest.mark.slow
def test_each_source_is_left_out_and_learned_from_alone():
    asked = problem(sources=[CART, LIGHT], steps=[64])
    result = hs.compare(asked, "zero-shot", seeds=3, progress=False)
    told = {row["source"]: row for row in result.data["sources"]}
    assert set(told) == {CART.name, LIGHT.name}
    assert all(row["verdict"] in ("helps", "harms", "open") and "alone" in row for row in told.values())


def test_the_area_is_the_mean_of_the_curve():
    asked = problem(metric="area")
    returns = np.array([[20.0, 20.0], [475.0, 20.0], [475.0, 475.0]])
    found = asked.counted(HEAVY.name, returns, {"steps": np.array([0, 100, 200])})
    np.testing.assert_allclose(found, [0.75, 0.25])
    np.testing.assert_allclose(problem().counted(HEAVY.name, returns, {"steps": np.arange(3)}), [1, 1])


def net(outputs=2, features=4, hidden=(6,)):
    return Net(mlp(features, hidden=hidden, activation="tanh"), {"mine": nn.Linear(hidden[-1], outputs)})


def test_a_policy_of_the_callers_own_is_the_start():
    policy = net()
    asked = problem(policy=policy, sources=[])
    lesson = STRATEGIES["zero-shot"].run(Trial(asked, {}, 0, Shared()))
    for mine, theirs in zip(lesson.policy.parameters(), policy.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert "no source" in asked.applies(STRATEGIES["critic"], HEAVY.name)
    scratch = STRATEGIES["scratch"].run(Trial(asked, {}, 0, Shared())).policy
    assert [p.shape for p in scratch.parameters()] == [p.shape for p in policy.parameters()]
    assert not torch.equal(next(scratch.parameters()), next(policy.parameters()))


def wide():
    """Make CartPole with its observations doubled, the second half negated."""
    import gymnasium as gym

    env = gym.make("CartPole-v1")
    space = gym.spaces.Box(-np.inf, np.inf, (8,), np.float32)
    return gym.wrappers.TransformObservation(env, _doubled, space)


def _doubled(x):
    return np.concatenate([x, -x])


def test_other_observations_are_bridged_and_a_new_policy_reads_them():
    pytest.importorskip("gymnasium", reason="needs the extra `rl`")
    asked = Problem(World(wide, name="wide", scale=(20, 475)), [CART], net(), [0, 512], TINY)
    assert "reads 4: `bridge` applies" in asked.applies(STRATEGIES["continue"], "wide")
    assert not asked.applies(STRATEGIES["bridge"], "wide")
    lesson = STRATEGIES["bridge"].run(Trial(asked, {}, 0, Shared()))
    assert next(lesson.policy.parameters()).shape == (6, 8)
    assert lesson.spent == 200 + lesson.held.spent
    assert next(STRATEGIES["scratch"].run(Trial(asked, {}, 0, Shared())).policy.parameters()).shape == (6, 8)


def test_a_world_that_is_not_linear_is_not_bridged():
    pytest.importorskip("gymnasium", reason="needs the extra `rl`")
    pendulum = World("Pendulum-v1", actions=2)
    asked = Problem(CART, [pendulum], steps=[64], budget=TINY)
    assert "does not move linearly" in asked.applies(STRATEGIES["bridge"], CART.name)


@pytest.mark.slow
def test_every_strategy_gives_a_lesson_or_a_reason():
    asked = problem(sources=[CART, LIGHT])
    starts = Shared([0])
    for name, strategy in {**asked.strategies(), **asked.further()}.items():
        if reason := asked.applies(strategy, HEAVY.name):
            assert name in ("bridge", "successor"), (name, reason)
            continue
        lesson = strategy.run(Trial(asked, strategy.options[0], 0, starts))
        assert isinstance(lesson, Lesson), name
        assert HEAVY in lesson.worlds, name
        begun = ("continue", "anchor", "reheat", "align", "distill")
        if name in begun or name.startswith("multitask"):
            assert lesson.held.spent <= lesson.spent, name
        elif name != "gate":
            assert lesson.held is None, name


def test_what_gate_looks_at_is_charged():
    starts = Shared([0])
    lesson = STRATEGIES["gate"].run(Trial(problem(), {}, 0, starts))
    assert lesson.spent >= 2 * 5 * 5  # ten episodes of five steps at the very least


def test_a_strategy_of_the_callers_own_runs():
    mine = Strategy(name="slow", run=_slow, summary="a hundredth of the rate", reused="policy and value")
    result = hs.compare(problem(steps=[64]), mine, seeds=2, progress=False)
    assert {row["strategy"] for row in result.rows} == {"scratch", "slow"}


def _slow(trial):
    return trial.lesson(*trial.source(), rate=0.01)


def test_a_diverged_run_fails_alone():
    bad = Strategy(name="bad", run=_broken, summary="a policy of NaN", reused="nothing")
    result = hs.compare(problem(steps=[64]), [bad, "zero-shot"], seeds=2, progress=False)
    assert {trial["strategy"] for trial in result.details["budget"]["failed"]} == {"bad"}
    assert next(r for r in result.rows if r["strategy"] == "zero-shot")["mean"] is not None


def _broken(trial):
    policy, value = trial.fresh()
    nn.init.constant_(policy.heads["act"].weight, float("nan"))
    return trial.lesson(policy, value)


def test_a_context_of_fractions_is_saved_as_any(tmp_path):
    short = World("CartPole-v1", context={"length": 0.25})
    result = hs.compare(problem(target=short, steps=[0]), "zero-shot", seeds=2, progress=False)
    model = hs.load(result.best.save(tmp_path))
    assert set(model.predict(torch.zeros(1, 4))) <= {0, 1}


def test_a_policy_that_was_saved_answers_files_of_observations(tmp_path):
    result = hs.compare(problem(steps=[0]), "zero-shot", seeds=2, progress=False)
    model, file = hs.load(result.best.save(tmp_path / "policy")), tmp_path / "seen.csv"
    seen = np.array([[0.5, -1.0, 0.1, 2.0], [-0.5, 1.0, -0.1, -2.0]])
    file.write_text("o3,o1,o0,o2\n" + "".join(f"{d},{b},{a},{c}\n" for a, b, c, d in seen))
    told = model.answer(str(file))
    torch.testing.assert_close(told.outputs, model.answer(seen.astype(np.float32)).outputs)
    torch.testing.assert_close(told.outputs, model.answer(seen.tolist()).outputs)
    file.write_text("o0,o1,o2,o3\n0,0,0,\n")
    with pytest.raises(ValueError, match=r"`o3` .* a number in each row; found none in row 0"):
        model.predict(str(file))
    with pytest.raises(ValueError, match=r"rows of \[4\]; found \[3\]"):
        model.predict([[0.0, 0.0, 0.0]])


def test_a_strategy_that_fails_fails_alone():
    bad = Strategy(name="bad", run=_nothing, summary="gives no lesson", reused="nothing")
    result = hs.compare(problem(steps=[64]), [bad, "zero-shot", "bridge"], seeds=2, progress=False)
    assert result.table().endswith("bridge")  # that does not apply
    (told, _) = result.details["budget"]["failed"]
    assert "a `Lesson`" in str(told["error"])
    assert next(r for r in result.rows if r["strategy"] == "zero-shot")["mean"] is not None


def _nothing(trial):
    return None


def test_other_protocols_are_other_budgets():
    posed = problem().protocols()
    assert posed["half the steps in the sources"].budget.pretrain == 128
    assert posed["twice the step size"].budget.learning.lr == 2 * TINY.learning.lr
    assert len({str(one.hashes()) for one in [problem(), *posed.values()]}) == 5


def test_a_result_depends_on_the_policy_and_the_worlds():
    prints = [
        problem().hashes(),
        problem(sources=[LIGHT]).hashes(),
        problem(policy=net()).hashes(),
        problem(metric="area").hashes(),
        replace(problem(), target=LIGHT).hashes(),
    ]
    assert len(set(map(str, prints))) == 5
    assert problem().hashes() == prints[0]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"sources": [World("CartPole-v1", context={"gravity": 20})]}, "distinct"),
        ({"sources": [World("MountainCar-v0")]}, "2 actions"),
        (
            {"sources": [CART, World("CartPole-v1", name="x"), World("gymnasium:CartPole-v1", name="y")]},
            "one env",
        ),
        ({"steps": [5, 5]}, "rising"),
        ({"steps": []}, "rising"),
        ({"metric": "return"}, '"score" or "area"'),
        ({"policy": net(features=5)}, "from 4 observations .*; found from 5 to 2; .*`bridge` applies"),
        ({"policy": net(outputs=3)}, "2 actions"),
        ({"policy": 3}, "a `Net`; found int; .*imported"),
        ({"sources": CART}, r"a list; found World.*; pass `\[World"),
        ({"steps": 500}, r"a list; found 500; pass `\[0, 500\]`"),
    ],
)
def test_what_is_no_problem_is_refused(more, told):
    pytest.importorskip("gymnasium", reason="needs the extra `rl`")
    with pytest.raises((ValueError, TypeError), match=told):
        problem(**more)


@pytest.mark.slow
def test_no_source_and_no_policy_leave_scratch():
    result = hs.compare(problem(sources=[], steps=[0, 64]), seeds=[0, 1], progress=False)
    assert {row["strategy"] for row in result.rows} == {"scratch"}


def test_a_worlds_problem_is_written_as_json():
    assert json.loads(json.dumps(problem().facts()))["targets"][0]["amount"] == "step"


def test_the_interquartile_mean_of_a_case_worked_by_hand():
    assert interquartile_mean([9.0, 1.0, 5.0, 3.0]) == 4.0  # of 3 and 5
    assert interquartile_mean([7.0]) == 7.0
    low, high = stratified([[0.0, 2.0], [10.0, 10.0]], lambda v: sum(v) / len(v))
    assert (low, high) == (5.0, 6.0)  # of (0, 0) and (2, 2) beside the tens


def _of(source, target):
    trial = Trial(Problem(target, [source], steps=[0], budget=TINY), {}, 0, Shared([0, 1]))
    return trial.source()[0], trial.fresh()[0]


def test_which_world_helps_which():
    twice = World("CartPole-v1", context={"length": 1.0})
    gains = crossing([CART, twice], steps=0, seeds=2, budget=TINY)
    jump = [
        [scaled(world, returns([net], [world], 3, 55_555)).mean() for net in nets]
        for world, *nets in ((twice, *_of(CART, twice)), (CART, *_of(twice, CART)))
    ]
    np.testing.assert_allclose(gains[0, [0, 1], [1, 0]], [old - new for old, new in jump])
    with pytest.raises(ValueError, match="distinct"):
        crossing([CART, World("CartPole-v1")], seeds=1, budget=TINY)


def test_a_world_that_a_function_makes_has_the_same_hash_in_another_process():
    pytest.importorskip("gymnasium", reason="needs the extra `rl`")
    told = Problem(World(wide, name="wide", scale=(20, 475))).hashes()["world wide"]
    assert told == Problem(World(wide, name="wide", scale=(20, 475))).hashes()["world wide"]
    assert told != Problem(World("gymnasium:CartPole-v1", name="wide")).hashes()["world wide"]
