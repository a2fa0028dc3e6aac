"""Fine-tuning that does not lose to its own frozen features."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from headstart.comparison import Problem, compare
from headstart.models import Backbone, conv4
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial
from headstart.strategies.recipes import linear, tuned
from headstart.strategies.trial import Trained
from headstart.tasks import Binary, Labelled, Multiclass, Task, Tokens

STEPS = Budget(steps=6, options=1)


def rows(each, seed, classes=3):
    """Draw 16x16 images, one pattern a class."""
    pattern = torch.randn(classes, 1, 16, 16, generator=torch.Generator().manual_seed(9))
    y = torch.arange(each * classes) % classes
    noise = torch.randn(len(y), 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    return Labelled(0.3 * pattern[y] + noise, y)


def posed(each=25, backbone=None, kind=None, **changes):
    torch.manual_seed(0)
    backbone = backbone or conv4(1, width=4, size=16)
    kind = kind or Multiclass(3)
    train, test = rows(each, 1, len(kind.classes)), rows(20, 2, len(kind.classes))
    if isinstance(kind, Binary):
        train, test = (dataclasses.replace(part, y=part.y.float()) for part in (train, test))
    return Problem(Task("new", kind, train, test=test), [], backbone=backbone, **{"budget": STEPS} | changes)


def ran(problem, name="finetune@layer", **settings) -> Trained:
    strategy = (STRATEGIES | FURTHER)[name]
    return strategy.learn(Trial(problem, {**strategy.options[0], **settings}, 0, Starts()))


def owner(module, name):
    return module.get_submodule(name.rpartition(".")[0])


def buffers(net):
    return {name: value.clone() for name, value in net.backbone.named_buffers()}


@pytest.mark.parametrize("kind", [Multiclass(3), Binary()])
def test_norms_stay_as_they_came_to_the_bit_and_the_rest_moves(kind, monkeypatch):
    problem = posed(kind=kind)
    monkeypatch.setattr(tuned, "likelihood", lambda net, held: torch.zeros(15))
    frozen, net = (ran(problem, name) for name in ("features@layer+logreg", "finetune@layer"))
    assert net.told["layer"] == frozen.told["layer"]
    assert net.told["share"] == 0.5
    before = dict(frozen.net.backbone.named_parameters())
    assert all(torch.equal(value, buffers(frozen.net)[name]) for name, value in buffers(net.net).items())
    moved = {n for n, p in net.net.backbone.named_parameters() if not torch.equal(p, before[n])}
    norms = {n for n in before if isinstance(owner(net.net.backbone, n), nn.BatchNorm2d)}
    assert moved == before.keys() - norms
    assert norms


def test_a_rate_that_ruins_the_net_hands_the_frozen_one_over():
    problem = posed(each=20)
    frozen, net = ran(problem, "features@layer+logreg").net, ran(problem, lr=1.0)
    assert net.told["share"] == 0.0
    assert net.told["held_out"]["0.0"] > net.told["held_out"]["1.0"]
    there = frozen.state_dict()
    assert all(torch.equal(value, there[name]) for name, value in net.net.state_dict().items())


@pytest.mark.parametrize("kind", [Multiclass(3), Multiclass(13)])  # few rows in all, or of a class
def test_classes_of_under_five_rows_and_under_fifty_in_all_are_not_tuned(kind):
    problem = posed(each=16 if len(kind.classes) == 3 else 4, kind=kind)
    frozen, net = ran(problem, "features@layer+logreg").net, ran(problem)
    assert net.told["share"] == 0.0
    assert net.curves == {}
    there = frozen.state_dict()
    assert all(torch.equal(value, there[name]) for name, value in net.net.state_dict().items())


def test_rows_that_are_held_out_tune_nothing(monkeypatch):
    seen = []
    real = tuned.tune

    def spy(trial, start, steps, *, phase):
        seen.append((phase, steps, trial.labelled()))
        return real(trial, start, steps, phase=phase)

    monkeypatch.setattr(tuned, "tune", spy)
    ran(posed(each=20, budget=dataclasses.replace(STEPS, steps=7)))
    (first, few, part), (second, rest, whole) = seen
    assert (first, few, second, rest) == ("held out", 3, "all", 4)
    assert (len(part), len(whole)) == (48, 60)
    assert part.y.unique(return_counts=True)[1].min() >= 15


def test_no_test_row_has_a_say():
    problem = posed()
    target = problem.target
    other = Labelled(target.test.x.flip(0), (target.test.y + 1) % 3)
    again = Problem(
        dataclasses.replace(target, test=other), [], backbone=copy.deepcopy(problem.backbone), budget=STEPS
    )
    one, two = ran(problem), ran(again)
    assert one.told == two.told
    assert torch.equal(one.net.heads["new"].weight, two.net.heads["new"].weight)


def test_the_middle_is_taken_unless_rows_are_clearly_against_it():
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(30, generator=g)
    noise = torch.randn(30, generator=g)
    noise -= noise.mean()
    assert tuned.chosen({0.0: rows + noise + 0.05, 0.5: rows, 1.0: rows - 1}) == 0.5
    assert tuned.chosen({0.0: rows + 0.1 * noise + 0.5, 0.5: rows, 1.0: rows - 1}) == 0.0
    assert tuned.chosen({0.0: rows - 1, 0.5: rows, 1.0: rows + 0.1 * noise + 0.5}) == 1.0


def test_likelihoods_are_of_the_class_of_each_row():
    problem = posed(kind=Binary())
    net = ran(problem, "features@layer+logreg").net
    likely = tuned.likelihood(net, problem.target)
    rows = problem.target.train
    loss = problem.target.kind.loss(net(rows.x, "new").double(), rows.y.double())
    torch.testing.assert_close(-likely.mean(), loss.detach(), atol=1e-6, rtol=1e-6)


def test_dropout_is_on_while_all_trains():
    class Dropping(nn.Sequential):
        pass

    trunk = Dropping(nn.Flatten(), nn.Linear(256, 8), nn.Dropout(0.5), nn.Linear(8, 4))
    seen = []
    trunk[2].register_forward_hook(lambda module, *_: seen.append(module.training))
    ran(posed(backbone=trunk))
    assert True in seen


def test_a_comparison_shows_the_block_of_both(tmp_path):
    problem, frozen = posed(shots=[20]), "features@layer+logreg"
    result = compare(
        problem, ["features@layer+logreg", "finetune@layer"], 2, baseline="features@layer+logreg"
    )
    assert {row["strategy"] for row in result.rows} == {frozen, "finetune@layer"}
    assert len(result.details["layers"]) == 2


# Words with an answer each.


class Layers(Backbone):
    """Two layers over the vectors of tokens."""

    use, width = "layers", 5

    def __init__(self):
        super().__init__()
        self.settings = {}
        self.embed = nn.Embedding(20, 5, padding_idx=0)
        self.layers = nn.ModuleList([nn.Linear(5, 5), nn.Linear(5, 5)])

    def places(self, x):
        z = self.embed(x)
        for layer in self.layers:
            z = layer(z).tanh()
        return z

    def mask(self, x):
        return x != 0

    def forward(self, x):
        return self.places(x).mean(1)


def tagged(count, seed):
    x = torch.randint(1, 20, (count, 4), generator=torch.Generator().manual_seed(seed))
    return Labelled(x, torch.where(x % 5 == 0, -100, x % 3))


def sentences(count):
    torch.manual_seed(0)
    target = Task("tags", Tokens(3), tagged(count, 1), test=tagged(10, 2))
    return Problem(target, [], backbone=Layers(), budget=STEPS)


def test_words_are_tuned_from_the_block_that_words_choose():
    problem = sentences(30)
    frozen, found = ran(problem, "features@layer+logreg"), ran(problem)
    assert found.told["layer"] == frozen.told["layer"]
    assert list(found.told["held_out"]) == ["0.0", "0.5", "1.0"]
    assert list(found.curves) == ["held out: tags", "all: tags"]


def test_few_texts_are_not_tuned():
    assert ran(sentences(24)).told["share"] == 0.0


def test_likelihoods_are_of_the_tag_of_each_word():
    problem = sentences(30)
    net, rows = ran(problem, "features@layer+logreg").net, problem.target.train
    likely = tuned.likelihood(net, problem.target)
    assert len(likely) == int((rows.y >= 0).sum())
    loss = problem.target.kind.loss(net(rows.x, "tags").double(), rows.y)
    torch.testing.assert_close(-likely.mean(), loss.detach(), atol=1e-6, rtol=1e-6)


def test_a_head_of_words_is_fitted_on_more_of_them_than_a_head_of_pixels(monkeypatch):
    monkeypatch.setattr(linear, "by_planes", lambda columns, classes: 7)
    problem = sentences(30)
    trial, words = Trial(problem, {}, 0, Starts()), int((problem.target.train.y >= 0).sum())
    z = torch.randn(*problem.target.train.y.shape, 5)
    assert len(linear.some_entries(trial, z)[0]) == words
    monkeypatch.setattr(linear, "WORDS", 9)
    assert len(linear.some_entries(trial, z)[0]) == 9
