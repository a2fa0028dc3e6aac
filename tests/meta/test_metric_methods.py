"""Methods that compare, and heads in closed form, against plain formulas and scikit-learn."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn

from headstart import meta
from headstart.models import Net
from headstart.tasks import Labelled

WAYS = 3


def problem(width=6, rows=9):
    torch.manual_seed(0)
    net = Net(nn.Linear(4, width), {"a": nn.Linear(width, 7)}).double()
    y = torch.arange(rows) % WAYS
    support = Labelled(torch.randn(rows, 4, dtype=torch.float64) + y[:, None], y)
    x = torch.randn(5, 4, dtype=torch.float64)
    return net, support, x, net.features(support.x), net.features(x)


def means(z, y):
    return torch.stack([z[y == k].mean(0) for k in range(WAYS)])


def test_cosine_prototypes():
    net, support, x, z, q = problem()
    expected = 7 * F.cosine_similarity(q[:, None], means(z, support.y)[None], dim=2)
    torch.testing.assert_close(meta.CosineProtoNet("a", 7.0)(net, support)(x), expected)


@pytest.mark.parametrize("own", [True, False])
def test_simpleshot(own):
    net, support, x, z, q = problem()
    centre = z.mean(0) if own else torch.ones(6).double()
    z, q = (F.normalize(v - centre, dim=1) for v in (z, q))
    expected = -torch.cdist(q, means(z, support.y)).square()
    found = meta.SimpleShot("a", None if own else centre)(net, support)(x)
    torch.testing.assert_close(found.softmax(1), expected.softmax(1))


def test_matching():
    net, support, x, z, q = problem()
    votes = (3 * F.cosine_similarity(q[:, None], z[None], dim=2)).softmax(1)
    expected = torch.stack([votes[:, support.y == k].sum(1) for k in range(WAYS)], 1)
    torch.testing.assert_close(meta.Matching("a", 3.0)(net, support)(x).exp(), expected)


def test_siamese_is_the_nearest_row():
    net, support, x, z, q = problem()
    found = meta.Siamese("a")(net, support)(x)
    distances = torch.cdist(q, z).square()
    expected = -torch.stack([distances[:, support.y == k].amin(1) for k in range(WAYS)], 1)
    torch.testing.assert_close(found, expected)
    assert found.argmax(1).tolist() == support.y[distances.argmin(1)].tolist()


def test_relation_compares_every_pair():
    net, support, x, z, q = problem()
    method = meta.Relation("a", 6, hidden=4).double()
    c = means(z, support.y)
    found = method(net, support)(x)
    for i in range(len(q)):
        for k in range(WAYS):
            pair = torch.cat([q[i], c[k]])
            torch.testing.assert_close(found[i, k], method.outer(method.inner(pair).relu())[0])


def test_baseline_lowers_the_support_loss():
    net, support, _, _, _ = problem()
    losses = [
        F.cross_entropy(meta.BaselinePlusPlus("a", steps=s)(net, support)(support.x), support.y).item()
        for s in (1, 10, 100)
    ]
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize("width", [3, 20])
def test_ridge_in_closed_form(width):
    net, support, x, z, q = problem(width)
    method = meta.Ridge("a", penalty=0.3, scale=2.0).double()
    targets = F.one_hot(support.y).double()
    weight = torch.linalg.inv(z.T @ z + 0.3 * torch.eye(width)) @ z.T @ targets
    torch.testing.assert_close(method(net, support)(x), 2 * q @ weight, rtol=1e-6, atol=1e-8)
    numbers = Labelled(support.x, torch.randn(9, dtype=torch.float64))
    weight = torch.linalg.inv(z.T @ z + 0.3 * torch.eye(width)) @ z.T @ numbers.y[:, None]
    torch.testing.assert_close(method(net, numbers)(x), q @ weight, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 100.0])
def test_logistic_is_the_optimum(penalty):
    net, support, x, z, q = problem()
    method = meta.Logistic("a", penalty=penalty).double()
    found = method(net, support)(x)
    ones = torch.ones(len(z), 1, dtype=torch.float64)
    rows = torch.cat([z, ones], 1).detach().numpy()
    asked = torch.cat([q, ones[: len(q)]], 1).detach().numpy()
    for k in range(WAYS):
        model = LogisticRegression(C=1 / penalty, fit_intercept=False, tol=1e-12, max_iter=10000)
        model.fit(rows, (support.y == k).numpy())
        expected = torch.from_numpy(model.decision_function(asked))
        torch.testing.assert_close(found[:, k].detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("penalty", [0.05, 2.0])
def test_logistic_has_the_slope_of_its_optimum(penalty):
    net, support, x, _, _ = problem()
    method = meta.Logistic("a", penalty=penalty).double()
    weights = [*net.backbone.parameters(), *method.parameters()]

    def value():
        return method(net, support)(x).square().sum()

    slopes = torch.autograd.grad(value(), weights)
    for weight, slope in zip(weights, slopes, strict=True):
        index = (0,) * weight.ndim
        around = []
        for step in (1e-5, -2e-5):
            weight.data[index] += step
            around.append(value().item())
        weight.data[index] += 1e-5
        assert slope[index].item() == pytest.approx((around[0] - around[1]) / 2e-5, rel=1e-5)


METRIC = [
    meta.ProtoNet("a"), meta.CosineProtoNet("a"), meta.SimpleShot("a"), meta.Matching("a"), meta.Siamese("a"),
    meta.BaselinePlusPlus("a"),
]  # fmt: skip


@pytest.mark.parametrize("method", METRIC, ids=lambda m: type(m).__name__)
def test_a_class_without_rows_is_never_predicted(method):
    net = Net(nn.Identity(), {"a": nn.Linear(2, 3)})
    support = Labelled(torch.tensor([[1.0, 0.1], [0.1, 1.0]], requires_grad=True), torch.tensor([0, 2]))
    out = method(net, support)(torch.tensor([[0.3, 0.2], [-4.0, 0.5]]))
    assert out.softmax(1)[:, 1].max() < 1e-30
    out.softmax(1)[0, 0].backward()
    assert support.x.grad.isfinite().all()


@pytest.mark.parametrize("offset", [0.0, 100.0, 1e4])
@pytest.mark.parametrize("method", METRIC[:1] + METRIC[2:3] + METRIC[4:5], ids=lambda m: type(m).__name__)
def test_features_far_from_zero_lose_nothing(method, offset):
    g = torch.Generator().manual_seed(0)
    y = torch.arange(5).repeat_interleave(10)
    x = (torch.randn(5, 64, generator=g)[y] + 0.3 * torch.randn(50, 64, generator=g)) + offset
    net = Net(nn.Identity(), {"a": nn.Linear(64, 5)})
    single = method(net, Labelled(x[::2], y[::2]))(x[1::2])
    double = method(net.double(), Labelled(x[::2].double(), y[::2]))(x[1::2].double())
    assert single.argmax(1).tolist() == double.argmax(1).tolist() == y[1::2].tolist()
    torch.testing.assert_close(single.softmax(1).double(), double.softmax(1), rtol=0, atol=2e-2)


@pytest.mark.parametrize("method", [meta.Ridge("a"), meta.Logistic("a"), meta.ProtoNet("a")])
def test_other_heads_are_refused(method):
    net = Net(nn.Linear(4, 3), {"a": nn.Sequential(nn.Linear(3, 2))})
    with pytest.raises(TypeError, match="head 'a' should be a linear layer with a bias; found Sequential"):
        method(net, Labelled(torch.randn(4, 4), torch.arange(4) % 2))


@pytest.mark.parametrize("offset", [-3e3, 1e5, 1e6])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_prototypes_of_few_rows_far_from_zero_are_those_of_double_precision(offset, scale):
    g = torch.Generator().manual_seed(1)
    y = torch.arange(4).repeat_interleave(3)
    rows = 5 * scale * torch.randn(4, 32, generator=g)[y] + scale * torch.randn(12, 32, generator=g)
    x = rows + offset * torch.sign(torch.randn(32, generator=g))
    net = Net(nn.Identity(), {"a": nn.Linear(32, 4)})
    found = meta.ProtoNet("a")(net, Labelled(x[::3], y[::3]))(x).argmax(1)
    z, c = x.double(), x[::3].double()
    assert found.tolist() == torch.cdist(z, c).argmin(1).tolist() == y.tolist()
