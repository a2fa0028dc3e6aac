import errno
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from headstart.engine import Run, fit
from headstart.engine.checkpoint import latest, pack, unpack
from headstart.models import Net
from headstart.tasks import Labelled, Multiclass, Task, batches

SCRIPT = Path(__file__).with_name("two_phases.py")


def outcome(directory):
    return (directory / "weights").read_text(), (directory / "metrics.jsonl").read_bytes()


# Files 1 and 2 are the first checkpoint's tensors and facts, 3 and 4 the second's.
WRITING = ["fsync:1", "replace:1", "fsync:2", "replace:2", "fsync:3", "replace:4", "fsync:4", "replace:5"]


def deaths(variant):
    """Draw steps: every attempt gets one checkpoint further at least, and dies before the end."""
    draw = random.Random(variant)
    return [str(draw.randint(*ends)) for ends in ((1, 5), (4, 6), (4, 6), (1, 3), (4, 6))]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Run all of ``two_phases.py`` once; its children kill themselves and are started again."""
    root = tmp_path_factory.mktemp("killed")
    variants = {v: [v, *deaths(v)] for v in ("sgd-adamw", "adamw-sgd")} | {"writing": ["sgd-adamw", *WRITING]}
    jobs = [[str(root / name), *words] for name, words in variants.items()]
    for directory, *_ in jobs:
        os.mkdir(directory)
    subprocess.run([sys.executable, SCRIPT, json.dumps(jobs)], check=True, capture_output=True)
    return root


@pytest.mark.parametrize("name", ["sgd-adamw", "adamw-sgd", "writing"])
def test_killed_and_resumed_is_bit_equal_to_unbroken(killed, name):
    path = killed / name
    assert outcome(path / "unbroken") == outcome(path / "broken")
    assert len(outcome(path / "broken")[1].splitlines()) == 24
    assert Run.open(path / "broken").status().state == "done"
    assert not list((path / "broken").rglob("*.tmp"))


def setting(seed=0, width=2):
    torch.manual_seed(seed)
    rows = Labelled(torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2)
    task = Task("a", Multiclass(2), rows)
    net = Net(nn.Sequential(nn.Linear(2, width), nn.Dropout()), {"a": nn.Linear(width, 2)})
    return net, batches([task], 4, generator=torch.Generator().manual_seed(1)), task


def train_here(run, steps=10, *, fail=-1, width=2, phase="fit", poison=-1):
    net, stream, task = setting(width=width)
    taken = []

    def objective(net, batch, progress):
        step = round(progress * steps)
        taken.append(step)
        if step == fail:
            return {"a": torch.tensor(float("nan"))}
        loss = task.kind.loss(net(batch["a"].x, "a"), batch["a"].y)
        return (
            {"a": loss} if step != poison else {"a": loss, "b": (loss * 0).sqrt()}
        )  # finite, its gradient is not

    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    history = fit(net, stream, objective, steps=steps, optimizer=optimizer, run=run, phase=phase)
    return net, history, taken


def same(one, two):
    return all(torch.equal(v, two.state_dict()[k]) for k, v in one.state_dict().items())


def test_a_finished_phase_is_restored_without_training(tmp_path):
    first, history, _ = train_here(Run.create(tmp_path, {}))
    again, restored, taken = train_here(Run.open(tmp_path))
    assert taken == []
    assert same(first, again)
    assert restored.losses == history.losses


def test_a_loss_that_is_not_finite_leaves_the_last_good_checkpoint(tmp_path):
    unbroken, _, _ = train_here(None)
    with pytest.raises(FloatingPointError), Run.create(tmp_path, {}, every_steps=2) as run:
        train_here(run, fail=5)
    status = Run.open(tmp_path).status()
    assert (status.state, status.step) == ("failed", 5)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 5
    resumed, _, taken = train_here(Run.open(tmp_path))
    assert taken == [4, 5, 6, 7, 8, 9]
    assert same(unbroken, resumed)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    run = Run.create(tmp_path, {}, every_steps=2)
    with pytest.raises(FloatingPointError, match=r'weights ".*" after step 5 should be finite'):
        train_here(run, poison=5)
    assert latest(tmp_path / "checkpoints", "fit", run.journal).step == 4


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_used(suffix, damage, tmp_path):
    unbroken, _, _ = train_here(Run.create(tmp_path, {}, every_steps=2))
    metrics = (tmp_path / "metrics.jsonl").read_bytes()
    kept = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert kept == [f"fit-{s:09d}.{e}" for s in (8, 10) for e in ("json", "safetensors")]
    path = tmp_path / "checkpoints" / f"fit-000000010.{suffix}"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data if damage == "altered" else data[:-20])
    with pytest.warns(
        UserWarning, match=r"checkpoint fit-000000010.json should be whole; found .*the one before"
    ):
        resumed, _, taken = train_here(Run.open(tmp_path))
    assert taken == [8, 9]
    assert same(unbroken, resumed)
    assert (tmp_path / "metrics.jsonl").read_bytes() == metrics


def test_later_phases_are_forgotten_where_an_earlier_one_goes_back(tmp_path):
    run = Run.create(tmp_path, {}, every_steps=4)
    train_here(run, phase="one")
    train_here(run, phase="two")
    metrics = (tmp_path / "metrics.jsonl").read_bytes()
    (tmp_path / "checkpoints" / "one-000000010.json").unlink()
    run = Run.open(tmp_path)
    assert train_here(run, phase="one")[2] == [8, 9]
    assert train_here(run, phase="two")[2] == list(range(10))
    assert (tmp_path / "metrics.jsonl").read_bytes() == metrics


def test_calls_that_do_not_fit_the_run(tmp_path):
    train_here(Run.create(tmp_path, {}))
    with pytest.raises(ValueError, match=r'`steps` of phase "fit" should be 10, as in the run; found 5'):
        train_here(Run.open(tmp_path), steps=5)
    with pytest.raises(ValueError, match=r'net and optimizer of phase "fit" should be built as in the run'):
        train_here(Run.open(tmp_path), width=3)
    run = Run.open(tmp_path)
    train_here(run)
    with pytest.raises(
        ValueError, match=r'`phase` should be another for each `fit` of a run; found "fit" again'
    ):
        train_here(run)
    net, stream, _ = setting()
    with pytest.raises(ValueError, match="`stream` of a run should be a `Stream`"):
        fit(
            net,
            [next(stream)],
            None,
            steps=1,
            optimizer=torch.optim.SGD(net.parameters(), 1.0),
            run=run,
            phase="b",
        )


def test_metrics_hold_the_losses_and_no_clock(tmp_path):
    _, history, _ = train_here(Run.create(tmp_path, {}))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[3] == {"phase": "fit", "step": 3, "losses": {"a": history.losses["a"][3]}}


def test_states_survive_packing():
    state = {
        "a": [1, None, True, 0.1, {"b": (1, "x")}],
        3: torch.arange(3),
        "nan": float("nan"),
        "e": {},
        "t": (),
    }
    tensors = {}
    back = unpack(json.loads(json.dumps(pack(state, tensors))), tensors)
    assert torch.equal(back.pop(3), state.pop(3))
    assert repr(back) == repr(state)
    with pytest.raises(TypeError, match="state of a checkpoint should be tensors"):
        pack({"f": len}, {})


def test_a_full_disk_stops_the_run_with_what_it_has(tmp_path, monkeypatch):
    unbroken, _, _ = train_here(None)
    run = Run.create(tmp_path, {}, every_steps=4)

    class Full:
        def __init__(self, path, mode):
            self.file, self.size = open(path, mode), os.path.getsize(path)  # noqa: SIM115

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, data):
            if self.size:
                self.file.write(data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            self.file.write(data)

    monkeypatch.setattr("headstart.engine.journal.open", Full, raising=False)
    with pytest.raises(OSError, match=r"metrics.jsonl` should be writable; found No space left on"), run:
        train_here(run)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(len(lines)))
    assert 1 <= len(lines) < 4
    assert run.status().state == "failed"
    monkeypatch.undo()
    assert same(unbroken, train_here(Run.open(tmp_path))[0])


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_signal_within_a_phase_saves_a_checkpoint_first(tmp_path):
    unbroken, _, _ = train_here(None)
    net, stream, task = setting()

    def objective(net, batch, progress):
        if round(progress * 10) == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"a": task.kind.loss(net(batch["a"].x, "a"), batch["a"].y)}

    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    with pytest.raises(KeyboardInterrupt), Run.create(tmp_path, {}) as run:
        fit(net, stream, objective, steps=10, optimizer=optimizer, run=run)
    assert (run.status().state, run.status().step) == ("interrupted", 7)
    resumed, _, taken = train_here(Run.open(tmp_path))
    assert taken == [7, 8, 9]
    assert same(unbroken, resumed)


def test_losses_that_were_altered_are_computed_again(tmp_path):
    unbroken, _, _ = train_here(Run.create(tmp_path, {}, every_steps=2))
    path = tmp_path / "metrics.jsonl"
    metrics = path.read_bytes()
    path.write_bytes(metrics.replace(b"1", b"2", 1))
    with pytest.warns(UserWarning, match=r"the losses in metrics.jsonl up to there are others"):
        resumed, _, taken = train_here(Run.open(tmp_path))
    assert taken == list(range(10))
    assert same(unbroken, resumed)
    assert path.read_bytes() == metrics
