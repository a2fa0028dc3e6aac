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
from headstart.transfer import soup

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
    monkeypatch.setattr(tuned, "likelihood", lambda parts: torch.zeros(75))
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
    assert net.told["held_out"]["frozen"] > net.told["held_out"]["tuned"]
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


def test_each_row_is_held_out_of_one_net_and_tunes_the_others(monkeypatch):
    seen, judged = [], []
    real, answers = tuned.tune, tuned.answers

    def spy(trial, start, steps, *, phase):
        seen.append((phase, steps, trial.labelled()))
        return real(trial, start, steps, phase=phase)

    def heard(net, task):
        judged.append(task.train)
        return answers(net, task)

    monkeypatch.setattr(tuned, "tune", spy)
    monkeypatch.setattr(tuned, "answers", heard)
    problem = posed(each=20, budget=dataclasses.replace(STEPS, steps=17))
    ran(problem)
    assert [(phase, steps) for phase, steps, _ in seen] == [(f"net {place}", 3) for place in range(1, 6)]
    every = problem.target.train.x
    held = judged[::2]  # the frozen net and the tuned one are asked the same
    assert all(torch.equal(one.x, other.x) for one, other in zip(held, judged[1::2], strict=True))
    for rows, part in zip(held, (part for *_, part in seen), strict=True):
        assert (len(part), len(rows)) == (48, 12)
        assert part.y.unique(return_counts=True)[1].min() >= 15
        assert len(torch.cat([part.x, rows.x]).unique(dim=0)) == len(every)
    assert len(torch.cat([rows.x for rows in held]).unique(dim=0)) == len(every)


def test_the_mean_of_the_nets_is_handed_over_where_rows_are_for_it(monkeypatch):
    nets, real = [], tuned.tune

    def spy(*given, **named):
        net, curves = real(*given, **named)
        nets.append(net)
        return net, curves

    monkeypatch.setattr(tuned, "tune", spy)
    monkeypatch.setattr(tuned, "chosen", lambda frozen, tuned: 1.0)
    state = ran(posed(budget=dataclasses.replace(STEPS, steps=25))).net.state_dict()
    for name, value in soup(nets).state_dict().items():
        torch.testing.assert_close(value, state[name], atol=1e-7, rtol=1e-6)
    assert len({net.heads["new"].weight.sum().item() for net in nets}) == 5


@pytest.mark.parametrize(("steps", "nets"), [(1, 1), (6, 1), (9, 2), (1000, 5)])
def test_each_net_passes_over_the_rows_some_two_times(steps, nets):
    problem = posed(budget=dataclasses.replace(STEPS, steps=steps))
    assert tuned.count(Trial(problem, {}, 0, Starts())) == nets


def test_one_net_is_handed_over_as_it_was_tuned(monkeypatch):
    nets, real = [], tuned.tune

    def spy(*given, **named):
        nets.append(real(*given, **named)[0])
        return nets[-1], {}

    monkeypatch.setattr(tuned, "tune", spy)
    monkeypatch.setattr(tuned, "chosen", lambda frozen, tuned: 1.0)
    state = ran(posed()).net.state_dict()
    assert len(nets) == 1
    assert all(torch.equal(value, state[name]) for name, value in nets[0].state_dict().items())


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
    for ahead, unsure, sure in ((0.05, 0.5, 1.0), (-0.05, 0.5, 0.0)):
        assert tuned.chosen(rows, rows + noise + ahead) == unsure
        assert tuned.chosen(rows, rows + 0.1 * noise + ahead) == sure


def test_answers_are_log_probabilities_of_the_classes():
    problem = posed(kind=Binary())
    net = ran(problem, "features@layer+logreg").net
    said, y = tuned.answers(net, problem.target)
    rows = problem.target.train
    loss = problem.target.kind.loss(net(rows.x, "new").double(), rows.y.double())
    torch.testing.assert_close(-said[torch.arange(len(y)), y].mean(), loss.detach(), atol=1e-6, rtol=1e-6)


def test_a_net_that_is_as_right_and_too_sure_is_as_likely():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(40) % 3
    said = (torch.randn(40, 3, generator=g, dtype=torch.double) + torch.eye(3)[y]).log_softmax(1)
    halves = [(said[:20], y[:20]), (said[20:], y[20:])]
    sure = [((2 * one).log_softmax(1), classes) for one, classes in halves]
    one, two = tuned.likelihood(halves), tuned.likelihood(sure)
    torch.testing.assert_close(one.mean(), two.mean(), atol=2e-3, rtol=0)


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
    assert list(found.told["held_out"]) == ["frozen", "tuned"]
    assert list(found.curves) == ["net 1: tags", "net 2: tags", "net 3: tags"]


def test_few_texts_are_not_tuned():
    assert ran(sentences(24)).told["share"] == 0.0


def test_answers_are_of_the_tag_of_each_word():
    problem = sentences(30)
    net, rows = ran(problem, "features@layer+logreg").net, problem.target.train
    said, y = tuned.answers(net, problem.target)
    assert len(said) == len(y) == int((rows.y >= 0).sum())
    loss = problem.target.kind.loss(net(rows.x, "tags").double(), rows.y)
    torch.testing.assert_close(-said[torch.arange(len(y)), y].mean(), loss.detach(), atol=1e-6, rtol=1e-6)


def test_a_head_of_words_is_fitted_on_more_of_them_than_a_head_of_pixels(monkeypatch):
    monkeypatch.setattr(linear, "by_planes", lambda columns, classes: 7)
    problem = sentences(30)
    trial, words = Trial(problem, {}, 0, Starts()), int((problem.target.train.y >= 0).sum())
    z = torch.randn(*problem.target.train.y.shape, 5)
    assert len(linear.some_entries(trial, z)[0]) == words
    monkeypatch.setattr(linear, "WORDS", 9)
    assert len(linear.some_entries(trial, z)[0]) == 9
