import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from headstart.meta import ANIL, BOIL, MAML, Episodic, ProtoNet
from headstart.models import Adapted, Net, freeze
from headstart.tasks import Episodes, Labelled

T, WAYS = 4, 3


class Vectorised(Episodic):
    """The general way, by ``vmap``, also for nets that have a faster one (``test_folded.py``)."""

    def folded(self, net, batch, progress):
        return None


class Functional(nn.Module):
    """A module of the user's own that normalises without a norm layer."""

    def __init__(self):
        super().__init__()
        self.lin, self.weight = nn.Linear(64, 16), nn.Parameter(torch.ones(16))

    def forward(self, x):
        return F.layer_norm(self.lin(x.flatten(1)), (16,), self.weight)


class Transformer(nn.Module):
    """A small transformer over the rows of an image."""

    def __init__(self):
        super().__init__()
        self.inner = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
        self.out = nn.Linear(64, 16)

    def forward(self, x):
        return self.out(self.inner(x.flatten(1, 2)).flatten(1))


def conv(norm):
    def layers(before):
        return [nn.Conv2d(before, 4, 3, 2, 1), norm(4), nn.ReLU()]

    return nn.Sequential(*layers(1), *layers(4), nn.Flatten())


BACKBONES = {
    "batch": lambda: conv(nn.BatchNorm2d),
    "cumulative batch": lambda: conv(lambda c: nn.BatchNorm2d(c, momentum=None)),
    "group": lambda: conv(lambda c: nn.GroupNorm(2, c)),
    "instance": lambda: conv(lambda c: nn.InstanceNorm2d(c, affine=True)),
    "layer": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 16), nn.LayerNorm(16)
    ),
    "none": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh()),
    "functional": Functional,
    "transformer": lambda: Transformer(),
    "rms": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.RMSNorm(16), nn.PReLU()),
}


def make(kind, *, mode=True):
    torch.manual_seed(0)
    net = Net(BACKBONES[kind](), {"a": nn.Linear(16, WAYS)}).double().train(mode)
    for p in net.parameters():
        p.data += 0.1 * torch.randn_like(p)
    y = torch.arange(WAYS).repeat(2).expand(T, -1)
    x = torch.randn(2, T, 2 * WAYS, 1, 8, 8, dtype=torch.float64)
    return net, Episodes(Labelled(x[0], y), Labelled(x[1], y), WAYS)


def plain_maml(net, episodes, *, lr, steps, first_order=False):
    """Algorithm 1 of the paper, one episode after another, with native modules and plain autograd."""
    losses = []
    for t in range(len(episodes)):
        support, query = episodes.episode(t)
        weights = dict(net.named_parameters())
        for step in range(steps + 1):
            rows = support if step < steps else query
            with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
                loss = F.cross_entropy(functional_call(net, weights, (rows.x, "a")), rows.y)
            if step < steps:
                gradient = torch.autograd.grad(loss, list(weights.values()), create_graph=not first_order)
                weights = {n: w - lr * g for (n, w), g in zip(weights.items(), gradient, strict=True)}
        losses.append(loss)
    return torch.stack(losses).mean()


def gradients(loss, net):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))])


def relative_error(found, exact):
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("first_order", [False, True], ids=["second", "first"])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("kind", BACKBONES)
def test_meta_gradient_is_that_of_the_plain_loop(kind, steps, first_order, mode):
    net, episodes = make(kind, mode=mode)
    other, _ = make(kind, mode=mode)
    expected = plain_maml(other, episodes, lr=0.4, steps=steps, first_order=first_order)
    objective = Vectorised(MAML("a", lr=0.4, steps=steps, first_order=first_order))
    found = objective(net, episodes, 0.0)["query"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert relative_error(gradients(found, net), gradients(expected, other)) < 1e-10
    for b, o in zip(net.buffers(), other.buffers(), strict=True):  # statistics of every forward pass
        torch.testing.assert_close(b, o, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["batch", "instance", "layer"])
def test_vmap_alone_is_wrong_for_affine_norms(kind):
    """Holds the reason for the cure: once this fails, torch has been fixed and the cure can go."""
    net, episodes = make(kind)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = module.running_var = module.num_batches_tracked = None
    adaptation = MAML("a", lr=0.4, steps=1)

    def one(sx, sy, qx, qy):
        return F.cross_entropy(adaptation(net, Labelled(sx, sy))(qx), qy)

    rows = (episodes.support.x, episodes.support.y, episodes.query.x, episodes.query.y)
    naive = torch.func.vmap(one)(*rows).mean()
    expected = plain_maml(net, episodes, lr=0.4, steps=1)
    torch.testing.assert_close(naive, expected)  # the loss is right, so that nobody notices
    assert relative_error(gradients(naive, net), gradients(expected, net)) > 1e-5


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("kind", BACKBONES)
def test_protonet_moves_weights_and_statistics_as_the_loop_does(kind, mode):
    net, episodes = make(kind, mode=mode)
    other, _ = make(kind, mode=mode)
    pairs = [episodes.episode(t) for t in range(T)]
    losses = []
    for s, q in pairs:
        losses.append(F.cross_entropy(ProtoNet("a")(other, s)(q.x), q.y))
        other(q.x, "a")  # an `Adapted` leaves the running statistics alone
    expected = torch.stack(losses).mean()
    found = Episodic(ProtoNet("a"))(net, episodes, 0.0)["query"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    for p, o in zip(net.backbone.parameters(), other.backbone.parameters(), strict=True):
        ours, theirs = (
            torch.autograd.grad(loss, w, retain_graph=True)[0] for loss, w in ((found, p), (expected, o))
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    for b, o in zip(net.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(b, o, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("adaptation", [MAML("a", lr=0.4, steps=1), ProtoNet("a")], ids=["maml", "protonet"])
@pytest.mark.parametrize("chunk", [1, 3, 9])
def test_chunks_change_memory_only(adaptation, chunk):
    results = []
    for size in (None, chunk):
        net, episodes = make("batch")
        loss = Episodic(adaptation, chunk=size)(net, episodes, 0.0)["query"]
        loss.backward()
        grads = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
        results.append((loss.detach(), grads, torch.cat([b.flatten().double() for b in net.buffers()])))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)


def test_same_input_gives_the_same_bits():
    net, episodes = make("batch")
    a, b = (gradients(Episodic(MAML("a", steps=2))(net, episodes, 0.0)["query"], net) for _ in range(2))
    assert torch.equal(a, b)


def test_frozen_parts_get_no_gradient_and_stay():
    net, episodes = make("batch")
    freeze(net.backbone)
    net.train()
    before = {n: t.clone() for n, t in net.state_dict().items()}
    Episodic(MAML("a", lr=0.1, steps=2))(net, episodes, 0.0)["query"].backward()
    assert all(p.grad is None for p in net.backbone.parameters())
    assert all(p.grad is not None for p in net.heads.parameters())
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())


def test_mappings_and_dropout_are_vectorised():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.drop = nn.Embedding(5, 4), nn.Dropout(0.5)

        def forward(self, x):
            return self.drop((self.embed(x["ids"]) * x["mask"][..., None]).sum(1))

    net = Net(Both(), {"a": nn.Linear(4, 2)})
    x = {"ids": torch.randint(5, (T, 2, 3)), "mask": torch.ones(T, 2, 3)}
    rows = Labelled(x, torch.tensor([0, 1]).expand(T, -1))
    loss = Episodic(MAML("a"))(net, Episodes(rows, rows, 2), 0.0)["query"]
    loss.backward()
    assert net.backbone.embed.weight.grad.isfinite().all()


class Branching(nn.Module):
    """Control flow that depends on data cannot be vectorised."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        x = self.norm(x)
        return x if float(x.detach().sum()) > 0 else -x


def test_loop_where_vmap_refuses_says_so_once_and_is_exact():
    net = Net(Branching(), {"a": nn.Linear(4, 2)})
    rows = Labelled(torch.randn(T, 6, 4), torch.tensor([0, 1] * 3).expand(T, -1))
    objective = Episodic(ProtoNet("a"))
    with pytest.warns(UserWarning, match="one after another, because vmap refused: .*item"):
        objective(net, Episodes(rows, rows, 2), 0.0)
    assert int(net.backbone.norm.num_batches_tracked) == 2 * T  # what vmap began was undone
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective(net, Episodes(rows, rows, 2), 0.0)


def test_an_adaptation_with_weights_is_trained():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, net, support):
            return Adapted(net, "a", {n: p * self.scale for n, p in net.named_parameters()})

    net, episodes = make("layer")
    objective = Episodic(Scaled())
    objective(net, episodes, 0.0)["query"].backward()
    assert objective.adaptation.scale.grad is not None


def test_wrong_use_is_explained():
    net, episodes = make("layer")
    with pytest.raises(
        TypeError, match=r"batch should be Episodes; found Labelled; stream with `hs.episodes`"
    ):
        Episodic(ProtoNet("a"))(net, episodes.support, 0.0)
    with pytest.raises(ValueError, match="`chunk` should be at least 1"):
        Episodic(ProtoNet("a"), chunk=0)
    with pytest.raises(KeyError, match="head should be a known name"):
        Episodic(MAML("b"))(net, episodes, 0.0)


@pytest.mark.parametrize("momentum", [0.1, 0.3, None])
@pytest.mark.parametrize(
    "adaptation",
    [
        MAML("a", steps=1),
        MAML("a", steps=1, first_order=True),
        ANIL("a", steps=1),
        BOIL("a", steps=1),
        ProtoNet("a"),
    ],
    ids=["maml", "first order", "anil", "boil", "protonet"],
)
def test_after_meta_training_statistics_are_those_of_the_rows(adaptation, momentum):
    torch.manual_seed(0)
    net = Net(nn.Sequential(nn.BatchNorm1d(4, momentum=momentum), nn.Linear(4, 8)), {"a": nn.Linear(8, WAYS)})
    y = torch.arange(WAYS).repeat(8).expand(T, -1)
    rows = Labelled(30 + 5 * torch.randn(T, 8 * WAYS, 4), y)
    objective = Episodic(adaptation)
    for _ in range(12):
        objective(net, Episodes(rows, rows, WAYS), 0.0)["query"].backward()
    norm = net.backbone[0]
    torch.testing.assert_close(norm.running_mean, torch.full((4,), 30.0), rtol=0.1, atol=0)
    torch.testing.assert_close(norm.running_var, torch.full((4,), 25.0), rtol=0.4, atol=0)
