import copy
import functools
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import headstart as hs
from headstart.models import (
    Adapted,
    Net,
    Trunk,
    conv4,
    count_parameters,
    fix_norms,
    freeze,
    parameter_groups,
    unfreeze,
)

TRACKING = functools.partial(nn.InstanceNorm2d, track_running_stats=True)


def images(count=6):
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def digits(norm="batch"):
    torch.manual_seed(0)
    return Net(conv4(1, width=4, size=8, norm=norm), {"a": nn.Linear(4, 3), "b": nn.Linear(4, 2)})


def optimizer_of(net, lr=1e-2, factor=0.5):
    return torch.optim.AdamW(parameter_groups(net, lr, factor=factor), weight_decay=0.1)


def train(net, optimizer, steps, scheduler=None):
    x, y = images(), torch.arange(6) % 3
    for _ in range(steps):
        net.train()
        optimizer.zero_grad()
        F.cross_entropy(net(x, "a"), y).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def state(module):
    return {n: t.clone() for n, t in module.state_dict().items()}


def same(before, module):
    return all(torch.equal(before[n], t) for n, t in module.state_dict().items())


def test_a_frozen_backbone_does_not_move_by_a_bit_even_after_training():
    net = digits()
    optimizer = optimizer_of(net)
    train(net, optimizer, 3)
    for _ in range(2):  # the second time AdamW holds momenta of the backbone
        freeze(net.backbone)
        before, head = state(net.backbone), state(net.heads["a"])
        train(net, optimizer, 50)
        assert same(before, net.backbone)
        assert not same(head, net.heads["a"])
        assert all(p.grad is None for p in net.backbone.parameters())
        unfreeze(net.backbone)
        train(net, optimizer, 3)
        assert not same(before, net.backbone)
        assert not torch.equal(before["blocks.0.1.running_mean"], net.backbone.blocks[0][1].running_mean)


def test_a_head_that_is_not_asked_stays_put():
    net = digits()
    before = state(net.heads["b"])
    train(net, optimizer_of(net), 5)
    assert same(before, net.heads["b"])


def test_norms_without_parameters_rest_in_a_frozen_backbone():
    trunk = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, affine=False), nn.Dropout(0.5))
    net = Net(nn.Sequential(trunk, nn.Flatten()), {"a": nn.Linear(3, 1)})
    freeze(net.backbone)
    before, x = state(net.backbone), torch.randn(8, 2)
    assert torch.equal(net.train()(x, "a"), net(x, "a"))  # no dropout either
    assert same(before, net.backbone)


def test_a_partly_frozen_backbone_rests_and_trains_block_by_block():
    net = digits()
    for block in net.backbone.blocks[:2]:
        freeze(block)
    before = [state(block) for block in net.backbone.blocks]
    train(net, optimizer_of(net), 5)
    assert [same(b, block) for b, block in zip(before, net.backbone.blocks, strict=True)] == [
        True,
        True,
        False,
        False,
    ]
    assert [block.training for block in net.backbone.blocks] == [False, False, True, True]
    assert net.backbone.training
    assert list(net.shared()) == [
        f"backbone.{n}" for n, p in net.backbone.named_parameters() if p.requires_grad
    ]


def test_a_norm_with_frozen_scale_rests_though_its_neighbours_train():
    net = digits()
    norm = net.backbone.blocks[0][1]
    freeze(norm)
    before = state(norm)
    train(net, optimizer_of(net), 3)
    assert same(before, norm)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    "kind", [nn.BatchNorm2d, functools.partial(nn.InstanceNorm2d, track_running_stats=True)]
)
def test_fixed_norms_do_not_move_by_a_bit_though_all_around_them_trains(kind, affine):
    torch.manual_seed(0)
    norm = kind(4, affine=affine)
    net = Net(nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten()), {})
    net.heads["a"] = nn.Linear(4, 3)
    optimizer = optimizer_of(net)
    train(net, optimizer, 3)  # so that AdamW holds momenta of what is fixed
    assert not torch.equal(norm.running_mean, torch.zeros(4))
    fix_norms(net)
    before, layer = state(norm), state(net.backbone[0])
    for one in (net, pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        train(one, optimizer if one is net else optimizer_of(one), 20)
        assert same(before, one.backbone[1])
        assert not same(layer, one.backbone[0])
        alone, together = one(images()[:1], "a"), one(images(), "a")[:1]
        torch.testing.assert_close(alone, together)  # in train mode, too
    unfreeze(net)
    train(net, optimizer, 3)
    assert not same(before, norm)


def test_layers_without_running_statistics_are_not_fixed():
    net = Net(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), {})
    assert all(p.requires_grad for p in fix_norms(net).parameters())


def test_a_frozen_net_rests_as_a_whole_and_wakes_up():
    net = freeze(digits()).train()
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in unfreeze(net).train().modules())
    assert not any(m.training for m in net.eval().modules())


@pytest.mark.parametrize("name", ["cosine", "one-cycle"])
def test_schedules_survive_a_change_of_phase_and_a_restart(name):
    def schedule(optimizer):
        if name == "cosine":
            return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
        top = [group["lr"] for group in optimizer.param_groups]
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, top, total_steps=12)

    def rates(phases):
        net = digits()
        optimizer = optimizer_of(net)
        scheduler, seen = schedule(optimizer), []
        for phase in phases:
            phase(net.backbone)
            for _ in range(12 // len(phases)):
                seen.append([group["lr"] for group in optimizer.param_groups])
                train(net, optimizer, 1, scheduler)
        return seen, net, optimizer, scheduler

    plain, *_ = rates([unfreeze])
    phased, net, optimizer, scheduler = rates([freeze, unfreeze])
    assert phased == plain
    assert len(plain[0]) == 5  # heads and four blocks, frozen or not

    again = copy.deepcopy(freeze(net))  # a restart while frozen takes the state as it is
    fresh = optimizer_of(again)
    other = schedule(fresh)
    fresh.load_state_dict(optimizer.state_dict())
    other.load_state_dict(scheduler.state_dict())
    assert [g["name"] for g in fresh.param_groups] == [g["name"] for g in optimizer.param_groups]
    assert other.get_last_lr() == scheduler.get_last_lr()


def test_parameter_groups_hold_every_parameter_once():
    net = digits()
    freeze(net.backbone)
    groups = parameter_groups(net, 0.8, factor=0.5)
    assert [g["name"] for g in groups] == ["heads"] + [f"backbone.blocks.{i}" for i in (3, 2, 1, 0)]
    assert [g["lr"] for g in groups] == [0.8, 0.4, 0.2, 0.1, 0.05]
    held = [id(p) for g in groups for p in g["params"]]
    assert sorted(held) == sorted(id(p) for p in net.parameters())
    for wrong in ({"lr": 0}, {"lr": float("nan")}, {"lr": 1, "factor": 0}, {"lr": 1, "factor": 2}):
        with pytest.raises(ValueError, match=r"`lr`|`factor`"):
            parameter_groups(net, **wrong)


def test_counting():
    net = Net(nn.Linear(3, 2), {"a": nn.Linear(2, 1)})
    freeze(net.backbone)
    assert (count_parameters(net), count_parameters(net, trainable=False)) == (3, 11)


def test_unknown_heads_are_named():
    with pytest.raises(KeyError, match='did you mean "digits'):
        Net(nn.Identity(), {"digits": nn.Linear(1, 1)})(torch.zeros(1, 1), "digit")


def test_a_trunk_is_told_the_task():
    class Split(Trunk):
        def forward(self, x, task):
            return x if task == "a" else -x

    net = Net(Split(), {"a": nn.Identity(), "b": nn.Identity()})
    assert net(torch.ones(1, 1), "a") == 1
    assert net(torch.ones(1, 1), "b") == -1


@pytest.mark.parametrize("training", [True, False])
def test_adapted_never_writes_buffers(training):
    net = digits().train(training)
    before = state(net)
    weights = {n: p + 0.1 for n, p in net.named_parameters()}
    adapted = Adapted(net, "a", weights)
    first, second = adapted(images()), adapted(images())
    assert torch.equal(first, second)
    assert same(before, net)
    first.sum().backward()
    assert net.heads["a"].weight.grad is not None  # differentiable in the weights


@pytest.mark.parametrize("ways", [2, 3, 7])
def test_export_stands_alone_whatever_the_ways(ways):
    net = digits().eval()
    before = state(net)
    weights = {
        "heads.a.weight": torch.randn(ways, 4, requires_grad=True),
        "heads.a.bias": torch.zeros(ways, requires_grad=True),
        "backbone.blocks.0.0.weight": net.backbone.blocks[0][0].weight * 2,
        "backbone.blocks.0.1.running_mean": torch.ones(4),
    }
    adapted = Adapted(net, "a", weights)
    exported = adapted.export()
    assert torch.equal(exported(images(), "a"), adapted(images()))
    assert exported.heads["a"].out_features == ways
    assert exported.heads["b"].out_features == 2
    assert all(p.is_leaf and p.requires_grad for p in exported.parameters())
    with torch.no_grad():
        for tensor in exported.state_dict().values():
            tensor.add_(1)
    assert same(before, net)
    assert not weights["heads.a.bias"].any()


def test_export_keeps_frozen_parts_frozen_and_can_be_saved(tmp_path):
    from headstart.models import load, save
    from headstart.tasks import Multiclass

    net = digits().eval()
    freeze(net.backbone)
    weights = {"heads.a.weight": torch.randn(5, 4), "heads.a.bias": torch.zeros(5)}
    exported = Adapted(net, "a", weights).export()
    assert not any(p.requires_grad for p in exported.backbone.parameters())
    save(exported, tmp_path, kinds={"a": Multiclass(5), "b": Multiclass(2)})
    assert torch.equal(load(tmp_path).net(images(), "a"), exported(images(), "a"))


def test_a_net_with_weights_of_another_type_takes_the_rows_in_that():
    for dtype in (torch.float64, torch.bfloat16):
        net = Net(nn.Linear(4, 8), {"a": nn.Linear(8, 2)}).to(dtype)
        for rows in (torch.float32, torch.float64, torch.float16):
            x = torch.randn(3, 4).to(rows)
            assert torch.equal(net(x, "a"), net(x.to(dtype), "a"))
    ids = Net(nn.EmbeddingBag(9, 4), {"a": nn.Linear(4, 2)})
    assert ids(torch.tensor([[1, 2]]), "a").shape == (1, 2)  # whole numbers stay


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_whole_numbers_that_a_backbone_does_not_take_are_explained(dtype):
    net = Net(nn.Conv2d(1, 2, 3), {"a": nn.Flatten()})
    with pytest.raises(
        ValueError, match=r"rows should be of the types that the backbone takes; .*x.float\(\)"
    ):
        net(torch.ones(2, 1, 4, 4).to(dtype), "a")


@pytest.mark.parametrize(
    ("shape", "hint"),
    [((2, 3, 4, 4), "3 channels"), ((1, 4, 4), r"x\[None\]"), ((2, 6, 8, 3), r"x.movedim\(3, 1\)")],
)
def test_rows_of_another_shape_are_told_with_what_mends_them(shape, hint):
    convolution = nn.Conv2d(3 if shape[-1] == 3 else 1, 2, 3)
    net = Net(nn.Sequential(convolution, nn.BatchNorm2d(2)).eval(), {"a": nn.Flatten()})
    with pytest.raises(ValueError, match=f"rows should be of the shape that the backbone takes; .*{hint}"):
        net(torch.ones(shape), "a")


@pytest.mark.parametrize("use", ["textcnn", "conv4", "mlp"])
def test_tables_of_their_own_go_through_any_backbone_as_they_do_alone(use):
    settings = {"textcnn": {"vocabulary": 9, "dropout": 0.0}, "conv4": {"width": 4}, "mlp": {"hidden": [4]}}[
        use
    ]
    shape = {"textcnn": (5,), "conv4": (1, 16, 16), "mlp": (6,)}[use]
    draw = torch.Generator().manual_seed(0)
    one, other = (torch.randint(0, 9, (4, *shape), generator=draw) for _ in range(2))
    x = {"a": one, "b": other} if use == "textcnn" else {"a": one.float(), "b": other.float()}
    torch.manual_seed(0)
    own = hs.backbone(use, inputs=shape, settings=settings)
    net = Net(own, {name: nn.Linear(own.width, 2) for name in x}).eval()
    found, _ = net.together(x, 0.0)
    for name in x:
        torch.testing.assert_close(found[name], net.features(x[name]))
