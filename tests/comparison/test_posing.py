"""Numbers are learned in units of their own and answered in the user's."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from headstart.comparison import Problem
from headstart.models import Net
from headstart.strategies import STRATEGIES, Budget, Starts, Strategy, Trained, Trial
from headstart.strategies.posing import answering, posed, rescaled, standardised
from headstart.strategies.recipes.align import joined
from headstart.tasks import Inputs, Labelled, Multiclass, Regression, Task
from headstart.tasks.kinds import Standard

UNITS = [(1e4, 5e4), (1.0, 100.0), (1e-3, 0.0)]


def linear(rows, seed, tilt=0.0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=generator)
    y = x.double() @ torch.tensor([1.0, -0.5, 0.3 + tilt, 0.0]).double()
    return Labelled(x, y + 0.1 * torch.randn(rows, generator=generator))


def prices(a=1.0, b=0.0, **changes):
    """Make a problem of numbers, with a source, in other units by ``a * y + b``."""

    def turned(rows):
        return Labelled(rows.x, a * rows.y + b)

    target = Task("new", Regression(), turned(linear(60, 1)), test=turned(linear(100, 2)))
    source = Task("old", Regression(), turned(linear(80, 3, tilt=0.5)))
    budget = Budget(steps=200, pretrain=200)
    return Problem(target, [source], **{"settings": {"hidden": [16]}, "budget": budget} | changes)


def score(name, problem):
    strategy = STRATEGIES[name]
    return problem.train(strategy, ["new"], strategy.options[0], 0, Starts())["new"].record["score"]


@pytest.mark.parametrize("name", ["scratch", "probe", "finetune", "gradual", "l2sp", "multitask"])
def test_scores_do_not_depend_on_the_unit(name):
    plain = score(name, prices())
    assert plain > 0.5
    for a, b in UNITS:
        assert score(name, prices(a, b)) == pytest.approx(plain, abs=1e-5)


def test_a_strategy_of_the_users_own_never_meets_raw_units():
    met = {}

    def run(trial):
        met.update({t.name: t.train.y for t in (*trial.targets, *trial.problem.sources)})
        return STRATEGIES["scratch"].run(trial)

    mine = Strategy(name="mine", run=run, summary="mine")
    problem = prices(1e4, 5e4)
    found = problem.train(mine, ["new"], {"lr": 3e-3}, 0, Starts())["new"]
    assert found.record["score"] > 0.8
    assert set(met) == {"new", "old"}
    for y in met.values():
        assert y.median().abs() < 0.1
        assert y.abs().max() < 10
    assert problem.target.train.y.median() > 4e4  # the problem is as it was


def test_validation_rows_are_in_the_units_of_the_training_rows_and_test_rows_are_left():
    valid = Labelled(torch.zeros(1, 4), torch.tensor([5.0]))
    task = dataclasses.replace(prices(100.0, 5.0).target, valid=valid)
    own = standardised(task)
    assert own.valid.y.tolist() == own.standard.apply(task.valid.y).tolist()
    assert own.test is task.test
    assert own.train.x is task.train.x
    classes = Task("c", Multiclass(2), Labelled(torch.zeros(2, 1), torch.tensor([0, 1])))
    assert standardised(classes) is classes


def test_a_dataset_is_put_in_units_of_a_sample():
    rows = linear(900, 1)
    data = torch.utils.data.TensorDataset(rows.x, 1e4 * rows.y + 5e4)
    task = standardised(Task("new", Regression(), data))
    y = task.train.take(torch.arange(900)).y
    assert y.dtype == torch.float32
    assert y.median().abs() < 0.1
    assert 0.8 < (y - y.median()).abs().median() * 1.4826 < 1.2


def test_a_task_without_rows_stays_as_it_is():
    empty = Task("new", Regression(), Labelled(torch.zeros(0, 2), torch.zeros(0)))
    assert standardised(empty) is empty


class Doubled(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 2)

    def forward(self, x):
        return 2 * self.inner(x)


@pytest.mark.parametrize(
    "head",
    [
        nn.Linear(3, 2),
        nn.Linear(3, 2, bias=False),
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2))),
        nn.Sequential(nn.Linear(3, 2), nn.ReLU()),
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)),
        Doubled(),
    ],
)
def test_a_head_is_written_in_other_units(head):
    before, x = copy.deepcopy(head), torch.randn(5, 3)
    standard = Standard(torch.tensor([5e4, -1.0]).double(), torch.tensor([1e4, 1e-3]).double())
    turned = rescaled(head, standard)
    expected = head(x).double() * standard.scale + standard.centre
    torch.testing.assert_close(turned(x).double(), expected, rtol=1e-6, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), before.parameters(), strict=True))
    if type(head) is nn.Linear and not nn.utils.parametrize.is_parametrized(head):
        assert type(turned) is nn.Linear  # which is saved as one


def test_heads_of_several_targets_get_their_own_units_and_classes_are_left():
    problem = prices(1e4, 5e4)
    two = Task("two", Regression(), Labelled(linear(60, 1).x, 1e-3 * linear(60, 1).y), test=linear(9, 2))
    three = Task("three", Multiclass(2), Labelled(linear(60, 1).x, torch.arange(60) % 2), test=None)
    tasks = posed(problem.with_rows(targets=[problem.target, two, three])).targets
    shared = nn.Linear(4, 1)  # one module under two names
    net = Net(nn.Identity(), {"new": shared, "two": shared, "three": nn.Linear(4, 2)})
    turned = answering(net, tasks)
    x = torch.randn(3, 4)
    for task in tasks[:2]:
        expected = shared(x).double() * task.standard.scale + task.standard.centre
        torch.testing.assert_close(turned(x, task.name).double(), expected, rtol=1e-6, atol=1e-6)
    assert turned.heads["three"] is net.heads["three"]


def test_a_head_that_sees_no_features_predicts_the_centre():
    def run(trial):
        net = Net(nn.Identity(), {"new": nn.Linear(4, 1)})
        nn.init.zeros_(net.heads["new"].weight)
        nn.init.zeros_(net.heads["new"].bias)
        return Trained(net, {})

    mine = Strategy(name="mine", run=run, summary="mine")
    problem = prices(1e4, 5e4)
    net = mine.learn(Trial(problem, {}, 0)).net
    centre = Standard.of(problem.target.train.y).centre.item()
    assert net(torch.randn(2, 4), "new").flatten().tolist() == pytest.approx([centre] * 2)


@pytest.mark.parametrize("asked", ["auto", "balanced", "none"])
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_classes_count_alike_where_it_is_asked_for_or_the_metric_has_them_so(asked, metric, monkeypatch):
    monkeypatch.setattr(Multiclass, "metric", metric)
    y = torch.tensor([0, 0, 0, 1])
    rows = Labelled(torch.zeros(4, 2), y)
    target, source = Task("new", Multiclass(2), rows, test=rows), Task("old", Multiclass(2), rows)
    problem = Problem(target, [source], class_weights=asked)
    alike = asked == "balanced" or (asked, metric) == ("auto", "macro_f1")
    own = posed(problem)
    assert (own.target.weights is not None) == alike
    assert own.sources[0].weights is None
    assert problem.facts()["targets"][0]["class_weights"] == ("balanced" if alike else "none")
    if alike:
        assert own.target.weights.tolist() == pytest.approx([2 / 3, 2])
        joint = joined(own.target, [Task("s", Multiclass(2), Labelled(rows.x, 1 - y))])
        assert joint.weights.tolist() == pytest.approx([2, 2 / 3])  # the classes' shares are the source's


def test_classes_that_are_drawn_alike_are_not_weighed_as_well():
    rows = Labelled(torch.zeros(4, 2), torch.tensor([0, 0, 0, 1]))
    problem = Problem(Task("new", Multiclass(2), rows, test=rows), class_weights="sampled")
    assert posed(problem).target.weights is None
    assert problem.facts()["targets"][0]["class_weights"] == "sampled"
    twins = [Task(name, Multiclass(2), rows, test=rows) for name in "ab"]
    with pytest.raises(
        ValueError, match=r'"sampled" for target .a. should be rows of its own.*the rows of .b.'
    ):
        Problem(targets=twins, class_weights="sampled")


@pytest.mark.parametrize("y", [torch.zeros(0).long(), torch.full((3,), -100)])
def test_a_target_without_a_label_among_others_is_named(y):
    """Its head would have nothing to learn from, and the target would be missing in the result."""
    test = Labelled(torch.zeros(4, 2), torch.arange(4) % 2)
    full = Task("full", Multiclass(2), test, test=test)
    bare = Inputs(torch.zeros(9, 2))
    empty = Task("empty", Multiclass(2), Labelled(torch.zeros(len(y), 2), y), test=test, unlabelled=bare)
    with pytest.raises(ValueError, match=r"target .empty. should be at least one with a label.*found none"):
        Problem(targets=[full, empty])
    assert Problem(empty, [dataclasses.replace(full, name="old")]).blind


def test_other_class_weights_are_refused():
    with pytest.raises(ValueError, match="`class_weights` should be a known name"):
        prices(class_weights="balance")
    assert prices().fingerprint() != prices(class_weights="balanced").fingerprint()


def test_the_loss_of_a_task_weighs_its_rows_and_that_of_numbers_never_does():
    y, outputs = torch.tensor([0, 1, 1]), torch.tensor([[0.0, 2.0]] * 3)
    plain = Task("new", Multiclass(2), Labelled(torch.zeros(3, 1), y))
    heavy = dataclasses.replace(plain, weights=torch.tensor([10.0, 1.0]))
    assert heavy.loss(outputs, y) > 2 * plain.loss(outputs, y)
    assert posed(prices(class_weights="balanced")).target.weights is None
