"""Strategies that learn several targets side by side, each pair of a pattern and a weighing by its name."""

import dataclasses

import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn

import headstart as hs
from headstart.comparison import Problem, compare
from headstart.comparison.plan import applicable
from headstart.models import Net, load, mlp
from headstart.multitask import Soft
from headstart.strategies import FURTHER, SIDE_BY_SIDE, STRATEGIES, Budget, Starts, Trial, pair
from headstart.strategies.recipes import beside, left_out
from headstart.strategies.recipes.beside import regresses, side_by_side
from headstart.strategies.recipes.jointly import GRAMIANS, LOSSES, PATTERNS
from headstart.tasks import Labelled, Multiclass, Multilabel, Regression, Task
from headstart.testing import check_strategy

TINY = Budget(steps=3, pretrain=2, options=1)


def x(count, seed, shape=(6,)):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def task(name, seed, kind=None, shape=(6,), count=24):
    """A target on rows of its own."""

    def part(seed):
        rows = x(count, seed, shape)
        first = rows.flatten(1)[:, 0]
        return Labelled(rows, first if isinstance(kind, Regression) else (first > 0).long())

    return Task(name, kind or Multiclass(2), part(seed), test=part(seed + 50))


def several(shape=(6,), **changes):
    targets = [task("a", 1, shape=shape), task("b", 2, shape=shape), task("c", 3, Regression(), shape)]
    settings = {"width": 4} if len(shape) == 3 else {"hidden": [8, 8]}
    return Problem(targets=targets, **{"settings": settings, "budget": TINY} | changes)


def learned(name, problem, **settings):
    strategy = (STRATEGIES | FURTHER).get(name) or pair(name)
    return strategy.learn(Trial(problem, {**strategy.options[0], **settings}, 0, Starts()))


@pytest.mark.usefixtures("soon_settled")
@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_is_a_strategy_that_keeps_the_contract(pattern):
    problem = several((1, 8, 8)) if pattern == "mtan" else several()
    check_strategy(dataclasses.replace(pair(f"multitask:{pattern}+sum"), options=({"lr": 1e-3},)), problem)


def opposed():
    """Two targets that want the opposite of the same rows, and so the opposite of the shared weights."""
    one = task("a", 1)
    other = dataclasses.replace(one, name="b", train=Labelled(one.train.x, 1 - one.train.y))
    return Problem(targets=[one, other], settings={"hidden": [8, 8]}, budget=TINY)


@pytest.mark.parametrize("weighing", LOSSES | GRAMIANS)
def test_every_weighing_weighs_the_tasks_beside_what_the_pattern_costs(weighing):
    pattern = "hard" if weighing in ("gradnorm", "graddrop") else "shared-private"
    net, plain = (learned(f"multitask:{pattern}+{name}", opposed(), lr=0.1).net for name in (weighing, "sum"))
    one, other = (next(each.backbone.parameters()) for each in (net, plain))
    assert one.isfinite().all()
    assert torch.allclose(one, other, atol=1e-4) == (weighing in ("sum", "dwa"))  # whose first window goes on


def test_cosines_of_tasks_that_want_the_opposite_are_low():
    told = learned("multitask:hard+sum", opposed()).told["cosines"]
    for when in ("before", "after"):
        ((one, other), (_, again)) = told[when]
        assert one == again == 1
        assert other < 0.5
    nothing = learned("multitask:soft+sum", opposed()).told["cosines"]
    assert nothing["after"] == [[None, None], [None, None]]  # no weight is shared


def test_multitask_finetune_keeps_the_contract_and_gives_each_target_its_own():
    check_strategy(dataclasses.replace(FURTHER["multitask+finetune"], options=({"lr": 1e-3},)), several())
    trained = learned("multitask+finetune", several(budget=Budget(steps=8)))
    encoders = trained.net.backbone.encoders
    one, other = (next(encoders[name].parameters()) for name in ("a", "b"))
    assert not torch.equal(one, other)
    phases = {name.split(":")[0] for name in trained.curves}
    assert phases == {"together", "a alone", "b alone", "c alone"}
    assert [len(trained.curves[k]) for k in ("together: a", "a alone: a", "c alone: c")] == [6, 2, 2]


def test_multitask_groups_keep_the_contract_and_learn_each_group_by_itself():
    check_strategy(dataclasses.replace(FURTHER["multitask+groups"], options=({"lr": 1e-3},)), several())
    trained = learned("multitask+groups", several(budget=Budget(steps=16)))
    told = trained.told
    assert told["affinity"]["tasks"] == ["a", "b", "c"]
    assert sorted(name for group in told["groups"] for name in group) == ["a", "b", "c"]
    by_group = {tuple(group) for group in told["groups"]}
    numbered = {name.split(":")[0] for name in trained.curves if name.startswith("group")}
    assert len(numbered) == len(by_group)
    assert len(trained.curves["all, part 4: a"]) == 1
    assert set(trained.net.heads) == {"a", "b", "c"}


def test_pooled_tasks_of_one_kind_have_one_head():
    heads = learned("multitask:pooled+sum", several()).net.heads
    assert heads["a"] is heads["b"]
    assert heads["a"] is not heads["c"]
    alone = Problem(targets=[task("a", 1), task("c", 3, Regression())], budget=TINY)
    assert pair("multitask:pooled+sum").needs(alone) == "no other task has the target's kind of answer"


def test_losses_of_a_pattern_are_among_the_curves_and_routes_are_told():
    trained = learned("multitask:routed+sum", several())
    assert {name.partition(": ")[2] for name in trained.curves} == {"a", "b", "c", "routing"}
    assert trained.told["cosines"]["tasks"] == ["a", "b", "c"]
    assert {name: len(way) for name, way in trained.told["routes"].items()} == {"a": 2, "b": 2, "c": 2}


def test_what_does_not_fit_is_left_out_with_the_reason():
    one = Problem(task("a", 1), budget=TINY)
    assert pair("multitask:hard+sum").needs(one) == "there is no source to train with"
    flat = several()
    assert pair("multitask:mmoe+gradnorm").needs(flat) == "the encoder's last layer is not that of all tasks"
    assert pair("multitask:soft+pcgrad").needs(flat).startswith("no two tasks share a weight")
    assert pair("multitask:mtan+sum").needs(flat) == "rows are no images"
    own = several(backbone=nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(6, 4))), settings={})
    assert pair("multitask:hierarchical+sum").needs(own) == "the backbone is no stack of blocks"
    words = [dataclasses.replace(t, train=ids(t.train), test=ids(t.test)) for t in flat.targets]
    text = Problem(targets=words, backbone="textcnn", settings={"vocabulary": 9}, budget=TINY)
    for pattern in ("cross-stitch", "routed"):
        assert pair(f"multitask:{pattern}+sum").needs(text) == "the backbone is no plain chain of blocks"


def ids(rows):
    return Labelled((rows.x.abs() * 3).long().clamp(max=8), rows.y)


def test_names_of_pairs_that_are_not_known_are_told():
    with pytest.raises(ValueError, match=r'pattern of .* found "mmo"; did you mean "mmoe"'):
        pair("multitask:mmo+sum")
    with pytest.raises(ValueError, match=r'weighing of .* found "pcgard"; did you mean "pcgrad"'):
        pair("multitask:mmoe+pcgard")
    with pytest.raises(ValueError, match=r'should be "multitask:PATTERN\+WEIGHING"'):
        pair("multitask:mmoe")
    with pytest.raises(ValueError, match="did you mean"):
        compare(several(), "multitask:mmo+sum", 1)


def test_auto_means_some_pairs_for_several_targets_and_none_for_one():
    many = applicable(several()).strategies
    assert set(SIDE_BY_SIDE) <= set(many)
    assert not [name for name in applicable(Problem(task("a", 1))).skipped if name in SIDE_BY_SIDE]


def test_pairs_are_rows_of_their_own_and_come_back_as_models(tmp_path):
    names = ["multitask:mmoe+pcgrad", "multitask:soft+sum"]
    result = compare(several(), names, 2, baseline="scratch", out=tmp_path / "out", progress=False)
    assert [(r["strategy"], r["target"]) for r in result.rows if r["strategy"] != "scratch"] == [
        (name, target) for name in names for target in ("a", "b", "c")
    ]
    summary = {row["strategy"]: row["delta_m"] for row in result.data["summary"]}
    assert list(summary) == ["scratch", *names]
    saved = load(tmp_path / "out" / "models" / names[0] / "b")
    assert saved.net.backbone.use == "multitask:mmoe"
    assert load(tmp_path / "out" / "models" / names[1] / "b").net.backbone.use == "mlp"  # b's encoder alone
    model = hs.load(tmp_path / "out" / "models" / names[0] / "b", device="cpu")
    assert model.predict_proba(x(3, 9)).shape == (3, 2)


def test_a_pair_may_be_named_with_settings_in_a_problem_file(tmp_path):
    from headstart.problems import load_problem

    (tmp_path / "p.toml").write_text(
        '[[targets]]\ndata = "digits:0-4"\n[[targets]]\ndata = "digits:5-9"\n'
        '[[strategies]]\nuse = "multitask:mmoe+sum"\nname = "mine"\nlr = 0.02\n'
    )
    (made,) = load_problem(tmp_path / "p.toml").variants().values()
    assert made.options == ({"lr": 0.02},)
    assert made.summary.startswith("experts for all")


def test_a_soft_net_of_one_target_is_its_encoder():
    soft = Soft({t: nn.Linear(2, 3) for t in "ab"}, x=torch.zeros(1, 2))
    assert soft.alone("b") is soft.encoders["b"]
    with pytest.raises(KeyError, match='found "c"'):
        soft.alone("c")


def normed():
    """An encoder of the caller's own, which comes trained."""
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))


def any_of(task, name="any of two"):
    """A target with any of two labels, which no regression is fitted for."""
    rows, held = task.train, task.test
    labels = [torch.stack([part.y.float(), 1 - part.y.float()], 1) for part in (rows, held)]
    return Task(name, Multilabel(2), Labelled(rows.x, labels[0]), test=Labelled(held.x, labels[1]))


@pytest.mark.usefixtures("soon_settled")
@pytest.mark.parametrize("pattern", ["hard", "soft", "shared-private", "mmoe", "ple"])
def test_what_is_pretrained_is_moved_by_small_steps_and_stays_while_new_heads_learn(pattern):
    settings = {"backbone": normed(), "settings": {}, "budget": Budget(steps=8, options=1)}
    begun = several(**settings)
    partly = Problem(targets=[*begun.targets, any_of(begun.target)], **settings)
    for problem, phases in ((begun, {"together": 8}), (partly, {"together, heads": 2, "together": 6})):
        trained = learned(f"multitask:{pattern}+sum", problem, lr=1e-2)
        last = problem.targets[-1].name
        counts = {name: len(steps) for name, steps in trained.curves.items() if name.endswith(f": {last}")}
        assert counts == {f"{phase}: {last}": steps for phase, steps in phases.items()}
        assert "together, heads: a" not in trained.curves  # it has begun by a regression
        start, net = normed(), trained.net.backbone
        firsts = [m for m in net.modules() if isinstance(m, nn.Linear) and m.weight.shape == (8, 6)]
        for first in firsts:
            moved = (first.weight - start[0].weight).abs().max()
            assert 0 < moved < 8 * 1e-3 * 1.1  # Adam's steps: at most a tenth of `lr` each, and decay
        for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm1d)):
            assert torch.equal(norm.running_mean, start[1].running_mean)


@pytest.mark.usefixtures("soon_settled")
@pytest.mark.parametrize("name", ["multitask+finetune", "multitask+groups"])
def test_these_move_what_is_pretrained_by_small_steps_too(name):
    problem = several(backbone=normed(), settings={}, budget=Budget(steps=8, options=1))
    net = learned(name, problem, lr=1e-2).net.backbone
    for first in (m for m in net.modules() if isinstance(m, nn.Linear) and m.weight.shape == (8, 6)):
        assert 0 < (first.weight - normed()[0].weight).abs().max() < 8 * 1e-3 * 1.1


def test_new_heads_on_a_pretrained_encoder_learn_ten_times_as_fast_as_it(monkeypatch):
    seen = []
    monkeypatch.setattr(Trial, "train", lambda self, net, tasks, **how: seen.append((tasks, how)) or {})
    known = task("a", 1)
    targets = [known, any_of(known)]
    problem = Problem(targets=targets, backbone=mlp(6, hidden=[4]), settings={})
    net = Net(problem.build(pretrained=True), {t.name: t.kind.head(4) for t in targets})
    side_by_side(Trial(problem, {"lr": 1e-3}, 0), net, problem.targets, steps=8, phase="both")
    (alone, heads), (both, all_) = seen
    assert ([t.name for t in alone], heads["steps"]) == (["any of two"], 2)
    assert ([t.name for t in both], all_["steps"]) == (["a", "any of two"], 6)
    rates = {id(p): group["lr"] for group in all_["groups"] for p in group["params"]}
    assert all(rates[id(p)] == 1e-3 for p in net.heads["any of two"].parameters())
    slow = [*net.backbone.parameters(), *net.heads["a"].parameters()]
    assert all(rates[id(p)] == pytest.approx(1e-4) for p in slow)
    assert len(rates) == len(list(net.parameters()))


def fitted(z, y, model):
    """Fit on features with mean 0 and one spread for all, by scikit-learn alone; answers new features."""
    z, mean = z.double(), z.double().mean(0)
    spread = (z - mean).square().sum(1).mean().sqrt()
    model.fit(((z - mean) / spread).numpy(), y.numpy())
    say = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    return lambda new: torch.from_numpy(say(((new.double() - mean) / spread).numpy())).float()


@pytest.mark.parametrize("pattern", ["hard", "mmoe", "hierarchical", "pooled"])
def test_heads_on_a_pretrained_encoder_begin_as_regressions_on_its_features(pattern, monkeypatch):
    monkeypatch.setattr(left_out, "penalty", lambda trial, z: 3.0)
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 5))
    targets = [task("a", 1), task("b", 2), task("c", 3, Regression())]
    source = task("d", 4, Multiclass(3))
    problem = Problem(
        targets=targets,
        sources=[source],
        backbone=encoder,
        settings={},
        budget=Budget(steps=1, options=1),
        class_weights="balanced",
    )
    net = learned(f"multitask:{pattern}+sum", problem, lr=1e-9).net
    for one in targets:
        alike = [t for t in targets if t.kind == one.kind] if pattern == "pooled" else [one]
        z = torch.cat([net.features(t.train.x, one.name).detach() for t in alike])
        y, new = torch.cat([t.train.y for t in alike]), net.features(one.test.x, one.name).detach()
        said = net(one.test.x, one.name).detach()
        if one.kind.classes:
            model = LogisticRegression(C=3.0, class_weight="balanced", max_iter=1000)
            torch.testing.assert_close(said.softmax(1), fitted(z, y, model)(new), atol=1e-4, rtol=0)
        else:  # in units of the training rows
            unit = one.kind.standard(y)
            told = unit.undo(fitted(z, unit.apply(y).flatten(), Ridge(alpha=0.1))(new)[:, None]).float()
            torch.testing.assert_close(said, told, atol=1e-4, rtol=0)


def test_rows_that_choose_weights_are_no_part_of_what_heads_begin_as(monkeypatch):
    seen = {}

    def fit(trial, z):
        seen[trial.target.name] = len(z)
        return nn.Linear(4, 2), 10.0

    monkeypatch.setattr(Trial, "train", lambda self, net, tasks, **how: {})
    monkeypatch.setattr(beside, "regressed", fit)
    big = [task(name, seed, count=2100) for name, seed in (("a", 1), ("b", 2))]
    problem = Problem(targets=big, backbone=mlp(6, hidden=[4]), settings={})
    net = Net(problem.build(pretrained=True), {t.name: t.kind.head(4) for t in big})
    side_by_side(Trial(problem, {"lr": 1e-3}, 0), net, problem.targets, steps=8, phase="both")
    assert seen == {"a": 1890, "b": 1890}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (lambda t: t, ""),
        (lambda t: dataclasses.replace(t, train=Labelled(t.train.x, torch.zeros(24).long())), "one class"),
        (lambda t: Task("a", Regression(2), Labelled(t.train.x, halves(t))), "a number is missing"),
        (any_of, "any of several labels"),
    ],
)
def test_only_some_answers_are_fitted_by_a_regression(changed, why):
    one = changed(task("a", 1))
    assert regresses(one, 4) == (not why)
    assert not regresses(one, 2**28)  # too many numbers


def halves(task):
    y = torch.stack([task.train.x[:, 0], task.train.x[:, 1]], 1)
    y[3, 1] = float("nan")
    return y
