"""Methods that answer all query rows together, against plain formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from headstart.maths import paired_interval
from headstart.meta import TIM, LaplacianShot, ProtoNet, evaluate_episodes
from headstart.models import Net
from headstart.tasks import Inputs, Labelled, Multiclass, Task, draw_episodes

WAYS = 3


def episode():
    g = torch.Generator().manual_seed(0)
    net = Net(nn.Identity(), {"a": nn.Linear(5, WAYS)}).double()
    y = torch.arange(WAYS).repeat(2)
    centres = 2 * torch.randn(WAYS, 5, generator=g, dtype=torch.float64)
    support = Labelled(centres[y] + torch.randn(len(y), 5, generator=g, dtype=torch.float64), y)
    query = centres[torch.arange(30) % WAYS] + torch.randn(30, 5, generator=g, dtype=torch.float64)
    return net, support, Inputs(query)


def information(w, s, y, q, tau=15.0):
    """What TIM lowers, as the paper writes it."""
    p_s, p_q = ((-tau / 2 * torch.cdist(f, w) ** 2).softmax(1) for f in (s, q))
    even, sure = p_q.mean(0), (p_q * p_q.log()).sum(1).mean()
    return 0.1 * F.nll_loss(p_s.log(), y) + (even * even.log()).sum() - 0.1 * sure


def test_tim_finds_what_descent_on_its_objective_finds():
    net, support, query = episode()
    s, q = F.normalize(support.x, dim=1), F.normalize(query.x, dim=1)
    start = torch.stack([s[support.y == k].mean(0) for k in range(WAYS)])
    w = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([w], lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        information(w, s, support.y, q).backward()
        optimizer.step()
    expected = (-(torch.cdist(q, w.detach()) ** 2)).argmax(1)
    logits = TIM("a")(net, support, query)
    assert (logits.argmax(1) == expected).double().mean() >= 0.9
    # The logits have the form of distances to means, which lower the objective.
    weights = torch.linalg.lstsq(
        torch.cat([q, torch.ones(30, 1).double()], 1), logits - logits[:, :1]
    ).solution
    assert torch.allclose(
        torch.cat([q, torch.ones(30, 1).double()], 1) @ weights, logits - logits[:, :1], atol=1e-8
    )
    p = logits.softmax(1)
    first = (-7.5 * torch.cdist(q, start) ** 2).softmax(1)
    assert (p * p.log()).sum() > (first * first.log()).sum()


def test_one_turn_of_tim_is_the_closed_form():
    net, support, query = episode()
    s, q, tau, lam, alpha = F.normalize(support.x, dim=1), F.normalize(query.x, dim=1), 15.0, 0.3, 0.5
    w = torch.stack([s[support.y == k].mean(0) for k in range(WAYS)])
    p_s, p_q = ((-tau / 2 * torch.cdist(f, w) ** 2).softmax(1) for f in (s, q))
    soft = p_q ** (1 + alpha) / (p_q ** (1 + alpha)).sum(0).sqrt()
    soft = soft / soft.sum(1, keepdim=True)
    new = torch.zeros_like(w)
    for k in range(WAYS):
        above, below = 0.0, 0.0
        for i in range(len(s)):
            mark = float(support.y[i] == k)
            above = above + lam / (1 + alpha) * (mark * s[i] + p_s[i, k] * (w[k] - s[i]))
            below = below + lam / (1 + alpha) * mark
        for i in range(len(q)):
            share = len(s) / len(q)
            above = above + share * (soft[i, k] * q[i] + p_q[i, k] * (w[k] - q[i]))
            below = below + share * soft[i, k]
        new[k] = above / below
    found = TIM("a", support_weight=lam, sure=alpha, steps=1)(net, support, query)
    torch.testing.assert_close(found, -tau / 2 * torch.cdist(q, new) ** 2)


def test_laplacian_is_the_papers_algorithm():
    net, support, query = episode()
    middle = torch.cat([support.x, query.x]).mean(0)
    s, q = F.normalize(support.x - middle, dim=1), F.normalize(query.x - middle, dim=1)
    q = q + s.mean(0) - q.mean(0)
    means = torch.stack([s[support.y == k].mean(0) for k in range(WAYS)])
    rows = torch.cat([s, q])
    near = (10 * F.cosine_similarity(rows[:, None], means[None], dim=2)).softmax(1)
    centres = torch.stack([(near[:, k : k + 1] * rows).sum(0) / near[:, k].sum() for k in range(WAYS)])
    far = torch.cdist(q, centres) ** 2
    beside = [torch.cdist(q, q)[i].argsort()[1:3] for i in range(len(q))]
    y = (-far).softmax(1)
    for _ in range(4):
        pulled = torch.stack([sum(y[p] for p in beside[i]) for i in range(len(q))])
        logits = -far + 0.9 * pulled
        y = logits.softmax(1)
    found = LaplacianShot("a", pull=0.9, neighbours=2, steps=4)(net, support, query)
    torch.testing.assert_close(found, logits)
    alone = LaplacianShot("a", pull=0.0)(net, support, query)
    torch.testing.assert_close(alone, -far)


def test_query_rows_help_one_another():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(6).repeat_interleave(20)
    x = 1.4 * torch.randn(6, 8, generator=g)[y] + torch.randn(len(y), 8, generator=g)
    task = Task("a", Multiclass(6), Labelled(x, y))
    net = Net(nn.Identity(), {"a": nn.Linear(8, 3)})
    drawn = draw_episodes(task, 40, ways=3, shots=1, queries=15, seed=0)
    methods = {"means": ProtoNet("a"), "tim": TIM("a"), "laplacian": LaplacianShot("a")}
    scores = evaluate_episodes({n: (net, m) for n, m in methods.items()}, task, drawn, progress=False)
    assert set(scores.scores["tim"]) == {"transductive"}  # never beside figures of rows answered alone
    alone = scores.scores["means"]["inductive"]
    for name in ("tim", "laplacian"):
        low, _ = paired_interval(scores.scores[name]["transductive"], alone)
        assert low > 0


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (TIM, {"temperature": 0.0}, "`temperature`"),
        (TIM, {"even": -1.0}, "`even`"),
        (TIM, {"steps": 0}, "`steps`"),
        (LaplacianShot, {"neighbours": 0}, "`neighbours`"),
        (LaplacianShot, {"pull": -0.1}, "`pull`"),
    ],
)
def test_settings_out_of_range(method, settings, message):
    with pytest.raises(ValueError, match=message):
        method("a", **settings)


@pytest.mark.parametrize("method", [TIM("a"), LaplacianShot("a")])
def test_a_class_without_rows_and_a_single_query(method):
    net, support, query = episode()
    one = Inputs(query.x[:1])
    assert method(net, support, one).shape == (1, WAYS)
    gap = Labelled(support.x, torch.tensor([0, 2, 2, 0, 2, 2]))
    with pytest.raises(
        ValueError, match="`y` of the support should be a row of each class; found none of class 1"
    ):
        method(net, gap, query)
