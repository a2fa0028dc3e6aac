"""The folded way of gradient steps against the plain loop, in float64."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from headstart.meta import ANIL, BOIL, LSLR, MAML, Episodic, MetaSGD, MultiStep, ProtoNet
from headstart.meta._memory import Peak
from headstart.meta.folded.chain import links
from headstart.meta.folded.pool import max_pool
from headstart.meta.folded.room import ROOM, parts
from headstart.models import Net, conv4, fix_norms
from headstart.tasks import Episodes, Labelled

T, WAYS = 4, 3


class Written(nn.Module):
    """A net as users write one: functions between layers, in a `forward` of its own."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.lin = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(36, 16)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x)), inplace=True), 2)
        return F.leaky_relu(self.lin(torch.flatten(x, 1)), 0.1, True)


def convs(norm, groups=1):
    layers = [nn.Conv2d(1, 4, 3, 2, 1), norm(4), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(4, 4, 3, 2, 1, groups=groups), norm(4), nn.ELU(), nn.Flatten())


def wide():
    """Channels enough for PyTorch's kernels where all tasks share a weight; pixels that are left out."""
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()]
    layers += [nn.Conv2d(16, 4, (3, 2), (2, 1), padding=(0, 2), dilation=(1, 2)), nn.Tanh()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())


def rows(norm):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 8), norm(8), nn.Tanh(), nn.Linear(8, 16), nn.Dropout(0.0)
    )


def perceptron(bias=True):
    layers = [nn.Flatten(), nn.Linear(64, 8, bias=bias), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(8, 16, bias=bias), nn.ReLU())


CHAINS = {
    "batch": lambda: convs(nn.BatchNorm2d),
    "batch, no statistics": lambda: convs(lambda c: nn.BatchNorm2d(c, track_running_stats=False)),
    "batch, no scale": lambda: convs(lambda c: nn.BatchNorm2d(c, momentum=None, affine=False)),
    "groups": lambda: convs(nn.BatchNorm2d, groups=2),
    "group": lambda: convs(lambda c: nn.GroupNorm(2, c)),
    "instance": lambda: convs(lambda c: nn.InstanceNorm2d(c, affine=True)),
    "none": lambda: convs(nn.Identity),
    "wide": wide,
    "written": Written,
    "rows, batch": lambda: rows(nn.BatchNorm1d),
    "rows, layer": lambda: rows(nn.LayerNorm),
    "rows, group": lambda: rows(lambda c: nn.GroupNorm(2, c)),
    "perceptron": perceptron,
    "perceptron, no bias": lambda: perceptron(bias=False),
    "conv4": lambda: conv4(1, width=4, size=8),
}


def make(kind, mode=True):
    torch.manual_seed(0)
    backbone = CHAINS[kind]()
    net = Net(backbone, {"a": nn.Linear(getattr(backbone, "width", 16), WAYS)}).double().train(mode)
    for p in net.parameters():
        p.data += 0.1 * torch.randn_like(p)
    y = torch.arange(WAYS).repeat(2).expand(T, -1)
    x = torch.randn(2, T, 2 * WAYS, 1, 8, 8, dtype=torch.float64)
    return net, Episodes(Labelled(x[0], y), Labelled(x[1], y), WAYS)


def slopes(loss, *modules):
    weights = [p for module in modules for p in module.parameters() if p.requires_grad]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights, materialize_grads=True)])


def compare(objective, net, episodes, progress=0.0):
    """Hold that losses, gradients and statistics are those of the loop over episodes with plain autograd."""
    plain, start = copy.deepcopy(net), {n: b.clone() for n, b in net.named_buffers()}
    found = objective(net, episodes, progress)["query"]
    expected = objective._loop(plain, episodes, progress).mean()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    ours, theirs = slopes(found, net, objective), slopes(expected, plain, objective)
    assert (ours - theirs).norm() < 1e-10 * theirs.norm()
    for (name, b), o in zip(net.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(b, o, rtol=1e-12, atol=1e-13)
        assert not net.training or not torch.equal(b, start[name])


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("steps", "first_order"), [(1, False), (5, False), (2, True)])
@pytest.mark.parametrize("kind", CHAINS)
def test_folded_is_the_loop(kind, steps, first_order, mode):
    net, episodes = make(kind, mode)
    objective = Episodic(MAML("a", lr=0.4, steps=steps, first_order=first_order))
    assert links(net, "a") is not None
    assert objective.folded(copy.deepcopy(net), episodes, 0.0) is not None
    compare(objective, net, episodes)


@pytest.mark.parametrize("kind", ["batch", "groups", "wide", "conv4"])
def test_some_tasks_at_a_time(kind, monkeypatch):
    net, episodes = make(kind)
    monkeypatch.setitem(ROOM, "cpu", 3 * 864 * 8)
    found = list(parts(episodes.support.x, 864))  # numbers in the windows of a task of "batch"
    assert found == [slice(0, 3), slice(3, 4)]
    compare(Episodic(MAML("a", lr=0.4, steps=2)), net, episodes)


@pytest.mark.parametrize("kind", ["batch", "wide", "rows, layer", "perceptron"])
@pytest.mark.parametrize(
    "adapt",
    [
        lambda net: ANIL("a", lr=0.4, steps=3),
        lambda net: ANIL("a", lr=0.4, steps=2, first_order=True),
        lambda net: MAML("a", lr=0.4, steps=3, only="heads."),
        lambda net: MAML("a", lr=0.4, steps=2, only="backbone.1"),
        lambda net: BOIL("a", lr=0.4, steps=2),
        lambda net: MetaSGD(net, "a", lr=0.4, steps=2).double(),
        lambda net: LSLR(net, "a", lr=0.4, steps=3).double(),
    ],
    ids=["anil", "anil, first order", "heads", "one layer", "boil", "metasgd", "lslr"],
)
def test_relatives_of_maml(adapt, kind):
    net, episodes = make(kind)
    objective = Episodic(adapt(net))
    assert objective.folded(copy.deepcopy(net), episodes, 0.0) is not None
    compare(objective, net, episodes)


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.5])
def test_every_step_is_judged(progress):
    net, episodes = make("batch")
    objective = MultiStep(LSLR(net, "a", lr=0.4, steps=3).double())
    assert objective.folded(copy.deepcopy(net), episodes, progress) is not None
    compare(objective, net, episodes, progress)


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("kind", ["batch", "rows, batch", "group", "perceptron"])
def test_finite_differences(kind, steps):
    net, episodes = make(kind)
    objective = Episodic(MAML("a", lr=0.05, steps=steps))
    slope = slopes(objective(net, episodes, 0.0)["query"], net)
    weights = nn.utils.parameters_to_vector(net.parameters()).detach()
    way = torch.randn_like(weights)

    def at(size):
        nn.utils.vector_to_parameters(weights + size * way, net.parameters())
        with torch.no_grad():
            return objective(net, episodes, 0.0)["query"]

    h = 1e-6
    numeric = (at(h) - at(-h)) / (2 * h)
    assert abs(float(slope @ way - numeric)) < 1e-6 * abs(float(numeric))


def test_other_losses_go_by_episode():
    net, episodes = make("rows, batch")

    def focal(outputs, y):
        near = outputs.log_softmax(1).gather(1, y[:, None])
        return -((1 - near.exp()) ** 2 * near).mean()

    compare(Episodic(MAML("a", lr=0.1, steps=2, loss=focal), focal), net, episodes)
    y = torch.randn(T, 2 * WAYS, WAYS, dtype=torch.float64)
    numbers = Episodes(Labelled(episodes.support.x, y), Labelled(episodes.query.x, y), 0)
    compare(Episodic(MAML("a", lr=0.1, steps=2, loss=F.mse_loss), F.mse_loss), net, numbers)


@pytest.mark.parametrize("kind", ["perceptron", "none"])
@pytest.mark.parametrize("steps", [1, 3])
def test_perceptrons_have_gradients_of_their_own(kind, steps):
    net, episodes = make(kind)
    numbers = torch.randn(2, T, 2 * WAYS, WAYS, dtype=torch.float64)
    support, query = episodes.support, episodes.query
    told = Episodes(Labelled(support.x, numbers[0]), Labelled(query.x, numbers[1]), 0)
    compare(Episodic(MAML("a", lr=0.4, steps=steps, loss=F.mse_loss), F.mse_loss), net, told)
    y = support.y.clone()
    y[:, 1] = -100  # a row without a label counts for nothing
    episodes = Episodes(Labelled(support.x, y), Labelled(query.x, y), WAYS)
    compare(Episodic(MAML("a", lr=0.4, steps=steps)), net, episodes)
    for p in net.backbone.parameters():
        p.requires_grad_(False)
    compare(Episodic(MAML("a", lr=0.4, steps=steps)), net, episodes)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("first_order", [False, True])
def test_one_number_in_and_one_out(steps, first_order):
    torch.manual_seed(0)
    net = Net(nn.Sequential(nn.Linear(1, 8), nn.ReLU()), {"a": nn.Linear(8, 1)}).double()
    x, y = torch.randn(2, 2, T, 5, 1, dtype=torch.float64)
    told = Episodes(Labelled(x[0], y[0]), Labelled(x[1], y[1]), 0)
    adaptation = MAML("a", lr=0.1, steps=steps, loss=F.mse_loss, first_order=first_order)
    compare(Episodic(adaptation, F.mse_loss), net, told)


def test_a_label_that_is_no_class_is_refused():
    net, episodes = make("perceptron")
    bad = Episodes(Labelled(episodes.support.x, episodes.support.y - 1), episodes.query, WAYS)
    with pytest.raises(IndexError, match="out of bounds"):
        Episodic(MAML("a"))(net, bad, 0.0)


POOLS = [nn.MaxPool2d(2), nn.MaxPool2d((3, 2), (2, 1), (1, 0), ceil_mode=True), nn.MaxPool2d(2, dilation=2)]


@pytest.mark.parametrize("module", POOLS, ids=str)
@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_of_equal_pixels_the_first_wins_as_in_pytorch(size, module):
    torch.manual_seed(0)
    x = torch.randint(0, 3, (2, 3, *size)).double().requires_grad_()
    ours, theirs = max_pool(x, module), module(x)
    d = torch.randn_like(ours)
    assert torch.equal(ours, theirs)
    assert torch.equal(*(torch.autograd.grad(out, x, d)[0] for out in (ours, theirs)))
    rows = torch.rand_like(x, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: max_pool(x, module), rows)


def test_maps_that_are_smaller_than_a_kernel_are_refused_as_by_pytorch():
    net, episodes = make("none")
    net.backbone[3] = nn.Conv2d(4, 4, 7).double()
    with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
        Episodic(MAML("a"))(net, episodes, 0.0)


def test_a_scale_of_zero_is_exact():
    net, episodes = make("batch")
    net.backbone[1].weight.data[1] = 0
    compare(Episodic(MAML("a", lr=0.4, steps=2)), net, episodes)


def test_frozen_parts():
    net, episodes = make("batch")
    fix_norms(net.backbone)
    net.train()
    net.backbone[0].weight.requires_grad_(False)
    before = [b.clone() for b in net.buffers()]
    objective = Episodic(MAML("a", lr=0.4, steps=2))
    assert objective.folded(net, episodes, 0.0) is not None
    plain = copy.deepcopy(net)
    ours = slopes(objective(net, episodes, 0.0)["query"], net)
    torch.testing.assert_close(ours, slopes(objective._loop(plain, episodes, 0.0).mean(), plain))
    assert all(torch.equal(b, o) for b, o in zip(net.buffers(), before, strict=True))


def test_no_graph_where_none_is_asked_for():
    net, episodes = make("batch")
    objective = Episodic(MAML("a", lr=0.4, steps=2))
    expected = objective(copy.deepcopy(net), episodes, 0.0)["query"]
    with torch.no_grad():
        found = objective(net, episodes, 0.0)["query"]
    assert torch.equal(found, expected)
    assert not found.requires_grad


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(64, 64)
        self.out = nn.Linear(64, 16)

    def forward(self, x):
        return self.out(self.lin(self.lin(x.flatten(1))))


class Idle(Twice):
    """A layer that `forward` leaves out."""

    def forward(self, x):
        return self.out(x.flatten(1))


class Skipping(Twice):
    def forward(self, x):
        x = x.flatten(1)
        return self.out(self.lin(x) + x)


def hooked():
    layer = nn.Linear(64, 16)
    layer.register_forward_hook(lambda module, given, out: 2 * out)
    return nn.Sequential(nn.Flatten(), layer)


@pytest.mark.parametrize("backbone", [Twice, Skipping, Idle, hooked])
def test_what_is_no_chain_of_known_layers_is_left_to_vmap(backbone):
    torch.manual_seed(0)
    net, (_, episodes) = Net(backbone(), {"a": nn.Linear(16, WAYS)}).double(), make("none")
    objective = Episodic(MAML("a", lr=0.1, steps=2))
    assert objective.folded(net, episodes, 0.0) is None
    compare(objective, net, episodes)


def test_a_hook_that_comes_later_is_seen():
    net, _ = make("none")
    assert links(net, "a") is not None
    net.backbone[0].register_forward_hook(lambda module, given, out: 2 * out)
    assert links(net, "a") is None


def peak(net, episodes, objective):
    with Peak() as found:
        loss = objective(net, episodes, 0.0)["query"]
        slope = slopes(loss, net)
    return found.most, slope


@pytest.mark.slow  # every operation is looked at
@pytest.mark.parametrize("kind", ["batch", "vmap"])
def test_a_limit_on_memory_changes_memory_alone(kind):
    net, episodes = make("batch")
    if kind == "vmap":
        net.backbone.append(nn.PReLU().double())
    adaptation = MAML("a", lr=0.1, steps=3)
    most, expected = peak(copy.deepcopy(net), episodes, Episodic(adaptation))
    limited = Episodic(adaptation, max_memory=most // 2)
    peak(copy.deepcopy(net), episodes, limited)
    less, slope = peak(net, episodes, limited)
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-12)
    assert limited.chunk < T
    assert less <= most // 2


@pytest.mark.slow
def test_where_not_one_episode_fits_graphs_are_made_twice():
    net, episodes = make("batch")
    adaptation = MetaSGD(net, "a", lr=0.1, steps=4).double()
    plain = Episodic(adaptation, chunk=1)
    most, _ = peak(copy.deepcopy(net), episodes, plain)
    limited = Episodic(adaptation, max_memory=int(0.75 * most))
    peak(copy.deepcopy(net), episodes, limited)
    assert limited._twice
    one = Episodes(episodes.support.take(torch.arange(1)), episodes.query.take(torch.arange(1)), WAYS)
    compare(limited, net, one)
    less, _ = peak(net, episodes, limited)
    assert less < 0.75 * most


def test_a_limit_below_any_step_is_explained():
    net, episodes = make("batch")
    with pytest.raises(ValueError, match="`max_memory` should be enough for a step with one episode"):
        Episodic(ProtoNet("a"), max_memory=1000)(net, episodes, 0.0)
    with pytest.raises(ValueError, match="`max_memory` should be bytes"):
        Episodic(ProtoNet("a"), max_memory=0)


def test_debug_compares_with_the_loop(monkeypatch):
    net, episodes = make("batch")
    net.float()
    before = [b.clone() for b in net.buffers()]
    objective = Episodic(MAML("a", lr=0.4, steps=2), debug=True)
    moved = Episodic(MAML("a", lr=0.4, steps=2))(copy.deepcopy(net), episodes, 0.0)["query"]
    assert torch.equal(objective(net, episodes, 0.0)["query"], moved)
    assert int(net.backbone[1].num_batches_tracked) == int(before[2]) + 3 * T  # the check left no trace
    monkeypatch.setattr("headstart.meta.folded.norm.TINY", 10.0)  # a wrong scale
    with pytest.raises(RuntimeError, match="gradients of all episodes at once should be those of the loop"):
        Episodic(MAML("a", lr=0.4, steps=2), debug=True)(net, episodes, 0.0)
