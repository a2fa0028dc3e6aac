import copy
import dataclasses
import math

import pytest
import torch
from torch import nn

from headstart.engine import Run, fit, total
from headstart.models import Net, freeze
from headstart.tasks import Labelled, Multiclass, Task, batches, episodes, shifted


def coins(rows=32):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 3, generator=g)
    return Task("coins", Multiclass(2), Labelled(x, (x[:, 0] > 0).long()))


def make_net(**kwargs):
    torch.manual_seed(0)
    return Net(nn.Linear(3, 8), {"coins": nn.Linear(8, 2)})


def loss(net, batch, progress):
    return {n: Multiclass(2).loss(net(b.x, n), b.y) for n, b in batch.items()}


def stream(task=None):
    return batches([task or coins()], 8, generator=torch.Generator().manual_seed(1))


def test_equals_the_loop_by_hand():
    net, by_hand = make_net(), make_net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    history = fit(net, stream(), loss, steps=5, optimizer=optimizer)
    optimizer, losses = torch.optim.AdamW(by_hand.parameters(), lr=0.1), []
    for _, batch in zip(range(5), stream(), strict=False):
        optimizer.zero_grad()
        value = loss(by_hand, batch, 0.0)["coins"]
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert history.losses == {"coins": losses}
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), by_hand.parameters(), strict=True))


def test_progress_goes_from_zero_towards_one_and_absent_losses_are_nan():
    seen = []

    def objective(net, batch, progress):
        seen.append(progress)
        losses = loss(net, batch, progress)
        return losses | ({"late": losses["coins"]} if progress >= 0.5 else {})

    net = make_net()
    history = fit(net, stream(), objective, steps=4, optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    assert seen == [0.0, 0.25, 0.5, 0.75]
    assert [math.isnan(v) for v in history.losses["late"]] == [True, True, False, False]


def test_a_loss_that_is_not_finite_is_named_before_any_weight_moves():
    net = make_net()
    before = copy.deepcopy(net.state_dict())

    def objective(net, batch, progress):
        return loss(net, batch, progress) | {"penalty": torch.tensor(math.inf)}

    with pytest.raises(FloatingPointError, match=r'loss "penalty" at step 0 should be finite; found inf; '):
        fit(net, stream(), objective, steps=4, optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_inputs_that_are_not_finite_are_named_before_any_weight_moves(value):
    net, task = make_net(), coins(8)
    task.train.x[3] = value
    net.backbone = nn.Sequential(net.backbone, nn.Tanh())  # infinity would give a loss
    before = copy.deepcopy(net.state_dict())
    message = r'inputs of task "coins" at step 0 should be finite numbers; found NaN or infinity in row \d; '
    with pytest.raises(ValueError, match=message):
        fit(net, stream(task), loss, steps=4, optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_inputs_of_domains_and_episodes_that_are_not_finite_are_named():
    g, task = torch.Generator(), coins(16)
    bad = Labelled(torch.full((16, 3), math.nan), task.train.y)
    shift = dataclasses.replace(task, unlabelled=bad.inputs())
    wrong = {
        "target": shifted(shift, 4, generator=g),
        "support": episodes(
            dataclasses.replace(task, train=bad), ways=2, shots=1, queries=1, per_step=2, generator=g
        ),
    }
    for name, rows in wrong.items():
        net = make_net()
        with pytest.raises(ValueError, match=f"inputs of {name} at step 0 should be finite numbers"):
            fit(net, rows, loss, steps=1, optimizer=torch.optim.SGD(net.parameters(), lr=0.1))


class Weighted(nn.Module):
    def __init__(self):
        super().__init__()
        self.log = nn.Parameter(torch.zeros(()))

    def forward(self, net, batch, progress):
        return {k: v * self.log.exp() + self.log for k, v in loss(net, batch, progress).items()}


@pytest.mark.parametrize("named", [False, True])
def test_an_objectives_parameters_join_the_optimizer_once(named):
    net, objective = make_net(), Weighted()
    optimizer = torch.optim.SGD(net.named_parameters() if named else net.parameters(), lr=0.1)
    for _ in range(2):
        fit(net, stream(), objective, steps=2, optimizer=optimizer)
    assert [g.get("name") for g in optimizer.param_groups] == [None, "objective"]
    assert objective.log.item() != 0


def test_parameters_do_not_join_behind_a_schedulers_back():
    net = make_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
    with pytest.raises(ValueError, match=r"`optimizer` should be given the parameters of `objective` before"):
        fit(net, stream(), Weighted(), steps=3, optimizer=optimizer, scheduler=scheduler)


def test_parameters_of_the_net_that_the_optimizer_leaves_out_stay_out():
    net = make_net()

    class Holds(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, net, batch, progress):
            return loss(net, batch, progress)

    optimizer = torch.optim.SGD(net.heads.parameters(), lr=0.1)
    fit(net, stream(), Holds(), steps=1, optimizer=optimizer)
    assert len(optimizer.param_groups) == 1


def test_scheduler_and_clip():
    net = make_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    before = torch.cat([p.detach().flatten() for p in net.parameters()])
    fit(net, stream(), loss, steps=1, optimizer=optimizer, scheduler=scheduler, clip=1e-3)
    after = torch.cat([p.detach().flatten() for p in net.parameters()])
    assert (after - before).norm().item() == pytest.approx(1e-3, rel=1e-3)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_frozen_parts_do_not_move():
    net = Net(nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout()), {"coins": nn.Linear(8, 2)})
    freeze(net.backbone)
    before = copy.deepcopy(net.backbone.state_dict())
    fit(net, stream(), loss, steps=3, optimizer=torch.optim.AdamW(net.parameters(), lr=0.1))
    assert all(torch.equal(v, before[k]) for k, v in net.backbone.state_dict().items())


def test_wrong_calls():
    net = make_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"`steps` should be at least 1; found 0"):
        fit(net, stream(), loss, steps=0, optimizer=optimizer)
    with pytest.raises(ValueError, match=r"`clip` should be above 0"):
        fit(net, stream(), loss, steps=1, optimizer=optimizer, clip=0)
    with pytest.raises(ValueError, match=r"`stream` should be at least 3 batches long; found 1"):
        fit(net, [next(stream())], loss, steps=3, optimizer=optimizer)
    with pytest.raises(ValueError, match=r"at least one loss"):
        fit(net, stream(), lambda net, batch, progress: {}, steps=1, optimizer=optimizer)


def test_the_global_random_state_is_left_alone():
    net = make_net()
    before = torch.get_rng_state()
    fit(net, stream(), loss, steps=2, optimizer=torch.optim.SGD(net.parameters(), lr=0.1), combine=total)
    assert torch.equal(before, torch.get_rng_state())


def test_rows_that_tasks_share_stay_shared():
    from headstart.engine.fit import to
    from headstart.tasks import Labelled

    x = {"ids": torch.zeros(2, 3)}
    batch = {name: Labelled(x, torch.zeros(2), complete=name == "a") for name in "ab"}
    for moved in (to(batch, torch.device("cpu")), to(batch, torch.device("meta"))):
        assert moved["a"].x is moved["b"].x
        assert (moved["a"].complete, moved["b"].complete) == (True, False)
    assert moved["a"].x["ids"].device == moved["a"].y.device == torch.device("meta")


def test_rows_that_are_there_are_not_copied():
    from headstart.engine.fit import to

    batch = {"a": coins().train}
    assert to(batch, torch.device("cpu")) is batch
    assert to(batch, torch.device("meta"))["a"].y.is_meta


def test_a_plateau_is_told_the_loss_and_goes_on_as_if_unbroken(tmp_path):
    def rates(steps, run=None):
        net = make_net()
        optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, patience=0, factor=0.5, threshold=10.0, threshold_mode="abs"
        )
        history = fit(net, stream(), loss, steps=steps, optimizer=optimizer, scheduler=plateau, run=run)
        return optimizer.param_groups[0]["lr"], plateau.best, min(history.losses["coins"][:1])

    rate, best, first = rates(4)
    assert rate == 1.0 * 0.5**3  # no loss is lower by ten, so each one after the first halves the rate
    assert best == first
    assert rates(4, Run.create(tmp_path / "run", {})) == (rate, best, first)
    assert rates(4, Run.open(tmp_path / "run")) == (rate, best, first)  # restored, not trained


class Sharpness(torch.optim.SGD):
    def step(self, closure=None):
        assert closure is not None, "needs a closure, as the gradient is taken twice"


class Epochs(torch.optim.lr_scheduler.StepLR):
    def step(self, epoch):
        super().step()


def test_an_optimizer_that_needs_a_closure_is_refused_before_it_moves():
    net = make_net()
    before = copy.deepcopy(net.state_dict())
    for optimizer in (torch.optim.LBFGS(net.parameters()), Sharpness(net.parameters(), lr=0.1)):
        name = type(optimizer).__name__
        with pytest.raises(
            ValueError, match=rf"`optimizer` should be one that steps without a closure.*{name}"
        ):
            fit(net, stream(), loss, steps=2, optimizer=optimizer)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_scheduler_that_needs_more_is_refused():
    optimizer = torch.optim.SGD(make_net().parameters(), lr=0.1)
    upwards = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max")
    with pytest.raises(
        ValueError, match=r"`scheduler` should be .* lower loss; found ReduceLROnPlateau of mode"
    ):
        fit(make_net(), stream(), loss, steps=2, optimizer=optimizer, scheduler=upwards)
    other = torch.optim.SGD(make_net().parameters(), lr=0.1)
    epochs = Epochs.__new__(Epochs)
    epochs.optimizer = other
    with pytest.raises(
        ValueError, match=r"`scheduler` should be one whose `step\(\)` needs nothing; found Epochs"
    ):
        fit(make_net(), stream(), loss, steps=2, optimizer=other, scheduler=epochs)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (
            lambda x: {"coins": x.mean().item()},
            TypeError,
            r'loss "coins" at step 0 should be a tensor .* float',
        ),
        (lambda x: x.mean(), TypeError, "result of `objective` should be a mapping; found Tensor"),
        (
            lambda x: {"coins": x},
            ValueError,
            r'loss "coins" at step 0 should be one number; found of shape \(8, 2\)',
        ),
    ],
)
def test_losses_of_another_form_are_explained(result, error, message):
    net = make_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def objective(net, batch, progress):
        return result(net(batch["coins"].x, "coins"))

    with pytest.raises(error, match=message):
        fit(net, stream(), objective, steps=1, optimizer=optimizer)


SCHEDULERS = {
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=6),
    "restarts": lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
    "cyclic": lambda o: torch.optim.lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=2),
    "one after another": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o,
        [torch.optim.lr_scheduler.LinearLR(o, 0.1, total_iters=2), torch.optim.lr_scheduler.StepLR(o, 1)],
        [2],
    ),
    "a function": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_of_every_signature_go_as_in_the_loop_by_hand(name):
    nets = make_net(), make_net()
    ours, theirs = (torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.5) for net in nets)
    fit(nets[0], stream(), loss, steps=5, optimizer=ours, scheduler=SCHEDULERS[name](ours))
    scheduler = SCHEDULERS[name](theirs)
    for _, batch in zip(range(5), stream(), strict=False):
        theirs.zero_grad()
        loss(nets[1], batch, 0.0)["coins"].backward()
        theirs.step()
        scheduler.step()
    assert ours.param_groups[0]["lr"] == theirs.param_groups[0]["lr"] != 0.1
    assert all(torch.equal(a, b) for a, b in zip(*(net.parameters() for net in nets), strict=True))


@pytest.mark.parametrize(
    "name", ["Adadelta", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop"]
)
def test_other_optimizers_of_pytorch_move_the_weights(name):
    net = make_net()
    before = copy.deepcopy(net.state_dict())
    fit(net, stream(), loss, steps=3, optimizer=getattr(torch.optim, name)(net.parameters(), lr=0.1))
    assert all(not torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(v.isfinite().all() for v in net.state_dict().values())


class Told(torch.optim.SGD):
    def step(self, loss):
        super().step()


class Twice(torch.optim.SGD):
    def step(self, closure, *, again):
        super().step(closure)


@pytest.mark.parametrize(("kind", "needs"), [(Told, "loss"), (Twice, "closure, again")])
def test_an_optimizer_whose_step_needs_more_is_refused(kind, needs):
    net = make_net()
    with pytest.raises(ValueError, match=rf"`optimizer` should be .*{kind.__name__} \(`step\({needs}\)`"):
        fit(net, stream(), loss, steps=1, optimizer=kind(net.parameters(), lr=0.1))


@pytest.mark.parametrize(
    ("optimizer", "error", "said"),
    [
        (None, TypeError, "one of PyTorch's; found None"),
        ("adam", TypeError, "one of PyTorch's; found 'adam'"),
        (
            torch.optim.SGD(nn.Linear(2, 3).parameters(), 0.1),
            ValueError,
            "found 2 parameters of something else",
        ),
    ],
)
def test_an_optimizer_that_moves_nothing_of_the_net_is_refused_before_anything_runs(optimizer, error, said):
    net = Net(nn.Linear(2, 3), {"a": nn.Linear(3, 2)})
    with pytest.raises(
        error, match=f"`optimizer` should be one of .*{said}" if error is ValueError else said
    ):
        fit(net, iter(()), lambda *_: {}, steps=1, optimizer=optimizer)
