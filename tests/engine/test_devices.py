"""Devices and precision, as far as a machine without an accelerator goes; the rest is marked `gpu`."""

import copy
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from headstart.engine import Run, cached_features, checkpoint, device, evaluate, fit, predict, score
from headstart.engine.devices import Ahead, computing, moved, precision, to
from headstart.models import Net, freeze
from headstart.tasks import Labelled, Multiclass, Task, batches

gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")]


def machine(monkeypatch, cuda=0, mps=False):
    """Pretend that this machine has other devices."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)


def test_auto_takes_the_fastest_there_is(monkeypatch):
    for there, name in (({}, "cpu"), ({"mps": True}, "mps"), ({"cuda": 2, "mps": True}, "cuda")):
        machine(monkeypatch, **there)
        assert device("auto") == device() == torch.device(name)
    assert device("cuda:1") == torch.device("cuda:1")
    assert device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "CPU", "meta"])
def test_a_device_that_is_not_known_is_refused(name):
    with pytest.raises(ValueError, match=rf'`device` should be "auto", "cpu", .*; found "{name}"; pass dev'):
        device(name)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    machine(monkeypatch)
    with pytest.raises(
        ValueError, match=r'should be one of this machine \(cpu\); found "cuda"; pass device='
    ):
        device("cuda")
    machine(monkeypatch, cuda=1)
    with pytest.raises(ValueError, match=r'this machine \(cuda, cuda:0, cpu\); found "cuda:1"; pass'):
        device("cuda:1")


def test_auto_precision_is_bf16_where_cuda_is_made_for_it(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: True)
    cuda, cpu, mps = map(torch.device, ("cuda", "cpu", "mps"))
    assert precision("auto", cuda) == precision("bf16", cpu) == torch.bfloat16
    assert precision("auto", cpu) == precision("auto", mps) == precision("float32", cuda) == torch.float32
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: False)
    assert precision("auto", cuda) == torch.float32
    with pytest.raises(ValueError, match=r'`precision` should be a known name; found "bf17"; did you mean'):
        precision("bf17", cpu)


class Spied(nn.Linear):
    """Note the numbers that it computes in."""

    seen: torch.dtype

    def forward(self, x):
        out = super().forward(x)
        self.seen = out.dtype
        return out


def setting(rows=60):
    torch.manual_seed(0)
    x = torch.randn(rows, 5, generator=torch.Generator().manual_seed(1))
    task = Task("a", Multiclass(2), Labelled(x, (x[:, 0] > 0).long()))
    net = Net(nn.Sequential(Spied(5, 16), nn.ReLU()), {"a": Spied(16, 2)})
    return net, task


def stream(task):
    return batches([task], 8, generator=torch.Generator().manual_seed(2))


def loss(net, batch, progress):
    return {n: F.cross_entropy(net(b.x, n), b.y) for n, b in batch.items()}


def trained(net, task, steps=12, objective=loss, **settings):
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.05)
    return fit(net, stream(task), objective, steps=steps, optimizer=optimizer, **settings), optimizer


def test_bf16_is_for_the_backbone_alone():
    net, task = setting()
    seen, copies = [], []

    def objective(net, batch, progress):
        losses = loss(net, batch, progress)
        seen.append((net.backbone[0].seen, net.heads["a"].seen, losses["a"].dtype))
        copies.append(copy.deepcopy(net))
        return losses

    history, optimizer = trained(net, task, objective=objective, precision="bf16", steps=30)
    assert set(seen) == {(torch.bfloat16, torch.float32, torch.float32)}
    assert history.losses["a"][-1] < history.losses["a"][0] / 2
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in net.parameters())
    assert all(s["exp_avg"].dtype == torch.float32 for s in optimizer.state.values())
    for after in (net, copies[0]):  # as before
        after(task.train.x, "a")
        assert after.backbone[0].seen == torch.float32
    assert not torch.is_autocast_enabled("cpu")


def test_an_error_leaves_no_precision_behind():
    net, task = setting()
    with pytest.raises(ValueError, match="mat1 and mat2"), computing(net, torch.bfloat16):
        net(torch.zeros(1, 4), "a")
    assert not torch.is_autocast_enabled("cpu")
    net(task.train.x, "a")
    assert net.backbone[0].seen == torch.float32


def test_float32_is_what_it_was():
    (net, task), (other, _) = setting(), setting()
    history, _ = trained(net, task)
    assert trained(other, task, precision="auto")[0].losses == history.losses


def test_predictions_and_features_in_bf16():
    net, task = setting()
    x = task.train.x
    exact, rounded = predict(net, "a", x), predict(net, "a", x, precision="bf16")
    assert exact.dtype == rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(exact, rounded, rtol=0.05, atol=0.05)
    score(net, task, task.train, precision="bf16")
    assert net.backbone[0].seen == torch.bfloat16
    evaluate(net, task, task.train)
    assert net.backbone[0].seen == torch.float32
    evaluate(net, task, task.train, precision="bf16")
    assert net.backbone[0].seen == torch.bfloat16
    freeze(net.backbone)
    assert not torch.equal(cached_features(net, x), cached_features(net, x, precision="bf16"))
    with pytest.raises(ValueError, match="`precision` should be a known name"):
        predict(net, "a", x, precision="double")


def test_predictions_of_rows_without_numbers_have_their_shape():
    net = setting()[0].to("meta")
    assert predict(net, "a", torch.zeros(300, 5, device="meta")).shape == (300, 2)
    batch = {"a": torch.zeros(2, 5)}
    assert next(moved([batch], torch.device("meta")))["a"].is_meta
    assert to(batch, torch.device("cpu")) is batch


class Slow:
    """Copy as CUDA does: nobody may use what has begun before it has ended."""

    def __init__(self, place=None):
        self.events = []

    def begin(self, batch):
        self.events.append("begin")
        return copy.deepcopy(batch)

    def end(self, begun):
        self.events.append("end")
        return begun


def test_each_batch_is_copied_while_the_one_before_is_in_use():
    copier = Slow()
    taken = iter(range(10))
    given = [pair for pair in Ahead(taken, copier).pairs(4) if copier.events.append("use") is None]
    assert given == [(i, i) for i in range(4)]
    assert copier.events == ["begin", *["begin", "end", "use"] * 3, "end", "use"]
    assert next(taken) == 4
    assert list(Ahead(iter("ab"), copier).pairs(3)) == [("a", "a"), ("b", "b")]
    assert list(Ahead([], copier).pairs()) == []


def test_the_state_is_that_of_the_batch_in_use():
    _, task = setting()
    ahead, plain = Ahead(stream(task), Slow(), resumable=True), stream(task)
    assert ahead.state_dict() == plain.state_dict()
    for _, there in ahead.pairs(5):
        assert torch.equal(there["a"].x, next(plain)["a"].x)
        assert ahead.state_dict() == plain.state_dict()
    again = Ahead(stream(task), Slow(), resumable=True)
    again.load_state_dict(ahead.state_dict())
    assert torch.equal(next(again.pairs(1))[1]["a"].x, next(plain)["a"].x)


@pytest.fixture
def pretend(monkeypatch):
    """Let `fit` believe that the net is on CUDA, and copy ahead of need."""
    module = sys.modules["headstart.engine.fit"]  # by its name one finds the function
    monkeypatch.setattr(module, "device_of", lambda net: torch.device("cuda"))
    monkeypatch.setattr(module, "Pinned", Slow)


def same(one, two):
    return all(torch.equal(v, two.state_dict()[k]) for k, v in one.state_dict().items())


def dying(step, steps=12):
    def objective(net, batch, progress):
        if round(progress * steps) == step:
            raise KeyboardInterrupt
        return loss(net, batch, progress)

    return objective


def test_copied_ahead_training_and_resuming_are_exact(pretend, monkeypatch, tmp_path):
    net, task = setting()
    run = Run.create(tmp_path, {}, every_steps=2)
    with pytest.raises(KeyboardInterrupt), run:
        trained(net, task, objective=dying(7), run=run)
    resumed, _ = setting()
    ahead, _ = trained(resumed, task, run=Run.open(tmp_path))
    monkeypatch.undo()
    plain, _ = setting()
    assert trained(plain, task)[0].losses == ahead.losses
    assert same(plain, resumed)


def test_copied_ahead_what_is_wrong_is_told_at_its_step(pretend, tmp_path):
    net, task = setting(8)
    batch = {"a": task.train}
    bad = {"a": replace(task.train, x=torch.full((8, 5), torch.nan))}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(ValueError, match='inputs of task "a" at step 2 should be finite numbers'):
        fit(net, [batch, batch, bad, batch], loss, steps=4, optimizer=optimizer)
    with pytest.raises(ValueError, match="`stream` should be at least 4 batches long; found 3"):
        fit(net, [batch] * 3, loss, steps=4, optimizer=optimizer)
    taken = iter([batch] * 3)
    fit(net, taken, loss, steps=2, optimizer=optimizer)
    assert len(list(taken)) == 1
    with pytest.raises(
        ValueError, match=r"`stream` of a run should be a `Stream`, which resumes; found list"
    ):
        fit(net, [batch], loss, steps=1, optimizer=optimizer, run=Run.create(tmp_path, {}))


def test_a_run_that_was_on_cuda_goes_on_elsewhere_and_says_so(tmp_path):
    net, task = setting()
    run = Run.create(tmp_path, {}, every_steps=2)
    with pytest.raises(KeyboardInterrupt), run:
        trained(net, task, objective=dying(7), run=run)
    lies = tmp_path / "checkpoints"
    last = checkpoint.load(lies / "fit-000000006.json")
    there = last.state | {"random_cuda": torch.zeros(16, dtype=torch.uint8)}
    checkpoint.save(lies, replace(last, state=there))
    message = r'device of phase "fit" should be CUDA, as in the run; found cpu; it goes on, with numbers'
    with pytest.warns(UserWarning, match=message):
        history, _ = trained(setting()[0], task, run=Run.open(tmp_path))
    assert len(history.losses["a"]) == 12


@pytest.mark.parametrize("asked", [pytest.param("float32", marks=gpu), pytest.param("auto", marks=gpu)])
def test_on_cuda_training_resumes_exactly(asked, tmp_path):
    here = device("auto")
    net, task = setting()
    run = Run.create(tmp_path, {}, every_steps=2)
    with pytest.raises(KeyboardInterrupt), run:
        trained(net.to(here), task, objective=dying(7), run=run, precision=asked)
    resumed, unbroken = (setting()[0].to(here) for _ in range(2))
    ahead, _ = trained(resumed, task, run=Run.open(tmp_path), precision=asked)
    assert trained(unbroken, task, precision=asked)[0].losses == ahead.losses
    assert same(unbroken, resumed)
    assert predict(resumed, "a", task.train.x).device == torch.device("cpu")
    close = predict(setting()[0].to(here), "a", task.train.x), predict(setting()[0], "a", task.train.x)
    torch.testing.assert_close(*close, rtol=1e-3, atol=1e-4)
