import pytest
import torch
from torch import nn

from headstart.maths import interval, paired_interval
from headstart.meta import BOIL, MAML, ProtoNet, Ridge, evaluate_episodes
from headstart.models import Net, fix_norms
from headstart.tasks import Labelled, Multiclass, Regression, Task, draw_episodes


def points(classes=6, rows=20):
    g = torch.Generator().manual_seed(0)
    y = torch.arange(classes).repeat_interleave(rows)
    x = torch.randn(classes, 4, generator=g)[y] + 0.7 * torch.randn(len(y), 4, generator=g)
    return Task("points", Multiclass(classes), Labelled(x, y))


def a_net(norm=False):
    torch.manual_seed(0)
    layers = [nn.Linear(4, 8), *([nn.BatchNorm1d(8)] if norm else []), nn.ReLU()]
    return Net(nn.Sequential(*layers), {"points": nn.Linear(8, 3)})


def test_scores_are_those_of_each_episode_alone():
    task, net = points(), a_net()
    drawn = draw_episodes(task, 8, ways=3, shots=2, queries=5, seed=0)
    methods = {"means": (net, ProtoNet("points")), "steps": (net, MAML("points", lr=0.5))}
    scores = evaluate_episodes(methods, task, drawn, progress=False)
    for name, (_, adaptation) in methods.items():
        each = []
        for episode in drawn:
            support, query = episode.rows(task)
            each.append((adaptation(net, support)(query.x).argmax(1) == query.y).double().mean().item())
        assert scores.scores[name] == {"inductive": pytest.approx(tuple(each))}
        assert scores.ci95(name) == pytest.approx(interval(each))
    a, b = (scores.scores[name]["inductive"] for name in ("means", "steps"))
    mean, *ci = scores.difference("means", "steps")
    assert mean == pytest.approx(scores.mean("means") - scores.mean("steps"))
    assert ci == pytest.approx(list(paired_interval(a, b)))
    assert scores.measure == "accuracy"
    assert scores.table().startswith("means (inductive): ")


def test_batch_statistics_are_told_apart_and_nothing_is_written():
    task, net = points(), a_net(norm=True)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    drawn = draw_episodes(task, 6, ways=3, shots=3, queries=5, seed=0)
    methods = {
        "means": (net, ProtoNet("points")),
        "steps": (net, MAML("points", lr=0.5)),
        "fixed": (fix_norms(a_net(norm=True)), ProtoNet("points")),
    }
    scores = evaluate_episodes(methods, task, drawn, progress=False)
    both = {"inductive", "transductive"}
    ways = {name: set(how) for name, how in scores.scores.items()}
    assert ways == {"means": both, "steps": both, "fixed": {"inductive"}}
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    net.train()
    expected = []
    for episode in drawn:
        support, query = episode.rows(task)
        expected.append(
            (ProtoNet("points")(net, support)(query.x).argmax(1) == query.y).double().mean().item()
        )
    assert scores.scores["means"]["transductive"] == pytest.approx(tuple(expected))


def test_inductive_answers_do_not_depend_on_the_other_queries():
    task, net = points(), a_net(norm=True)
    drawn = draw_episodes(task, 4, ways=3, shots=3, queries=5, seed=0)
    from headstart.meta._inductive import inductive

    for episode in drawn:
        support, query = episode.rows(task)
        adapted = inductive(MAML("points", lr=0.5), net, support)
        together = adapted(query.x, "points")
        alone = torch.cat([adapted(row[None], "points") for row in query.x])
        torch.testing.assert_close(together, alone)


def test_ways_that_vary_and_numbers():
    task, net = points(), a_net()
    drawn = draw_episodes(task, 10, ways=(2, 5), shots=(1, 4), queries=3, seed=0)
    methods = {"steps": (net, MAML("points", lr=0.5)), "ridge": (net, Ridge("points"))}
    scores = evaluate_episodes(methods, task, drawn, progress=False)
    assert min(scores.mean(name) for name in methods) > 0.4
    with pytest.raises(ValueError, match="as many classes as the head"):
        evaluate_episodes({"body": (net, BOIL("points"))}, task, drawn, progress=False)
    x = torch.linspace(-1, 1, 40)[:, None]
    line = Task("points", Regression(), Labelled(x, 3 * x - 1))
    own = Net(nn.Linear(1, 4), {"points": nn.Linear(4, 1)})
    drawn = draw_episodes(line, 3, shots=10, queries=5, seed=0)
    found = evaluate_episodes({"ridge": (own, Ridge("points", penalty=1e-6))}, line, drawn, progress=False)
    assert found.measure == "mse"
    assert found.mean("ridge") < 0.1


def test_wrong_use_is_explained():
    task = points()
    drawn = draw_episodes(task, 1, ways=2, shots=1, queries=1, seed=0)
    with pytest.raises(ValueError, match="at least one of each; found 0 and 1"):
        evaluate_episodes({}, task, drawn)
    scores = evaluate_episodes({"means": (a_net(), ProtoNet("points"))}, task, drawn, progress=False)
    with pytest.raises(ValueError, match='method should be a known name; found "mean"; did you mean "means"'):
        scores.mean("mean")
    with pytest.raises(
        ValueError, match="judgement of 'means' should be a known name; found \"transductive\""
    ):
        scores.mean("means", "transductive")
