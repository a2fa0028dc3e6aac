"""Train in two phases, in processes that kill themselves at given places; see test_resume.py."""

import hashlib
import json
import os
import signal
import sys

import torch
from torch import nn

from headstart import records
from headstart.engine import Run, checkpoint, fit
from headstart.models import Net, freeze, parameter_groups, unfreeze
from headstart.tasks import Labelled, Multiclass, Task, batches

STEPS = 12


class Weighted(nn.Module):
    """An objective with a weight of its own, which dies at a step that was chosen before."""

    def __init__(self, task, die):
        super().__init__()
        self.task, self.die, self.log = task, die, nn.Parameter(torch.zeros(()))

    def forward(self, net, batch, progress):
        self.die -= 1
        if self.die == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        rows = batch[self.task.name]
        return {
            self.task.name: self.task.kind.loss(net(rows.x, "a"), rows.y) * (-self.log).exp(),
            "log": self.log,
        }


def cosine(optimizer):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)


def one_cycle(optimizer):
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=STEPS)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


def recipe(directory, first, second, schedules, die, every):
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(1)
    x = torch.randn(50, 6, generator=g)
    task = Task("a", Multiclass(3), Labelled(x, torch.randint(3, (50,), generator=g)))
    backbone = nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 16)
    )
    net = Net(backbone, {"a": nn.Sequential(nn.Dropout(0.2), nn.Linear(16, 3))})
    objective = Weighted(task, die)
    freeze(net.backbone)
    with Run.create(directory, {"seed": 0}, every_steps=every) as run:
        for phase, make, schedule in (("head", first, schedules[0]), ("all", second, schedules[1])):
            groups = [*parameter_groups(net, 0.01, factor=0.5), {"params": objective.parameters()}]
            optimizer = make(groups)
            stream = batches([task], 8, generator=g)
            kept = {"scheduler": schedule(optimizer), "run": run, "phase": phase}
            fit(net, stream, objective, steps=STEPS, optimizer=optimizer, clip=1.0, progress=False, **kept)
            torch.rand(1)
            unfreeze(net)
    content = [t.numpy().tobytes() for t in [*net.state_dict().values(), objective.log.detach()]]
    with open(f"{directory}/weights", "w") as file:
        file.write(hashlib.sha256(b"".join(content)).hexdigest())


def die_writing(call, number):
    """Kill this process in the middle of its ``number``-th file of a checkpoint, at a call of ``os``."""
    write, left = checkpoint.write_atomic, number

    def write_or_die(path, data, *, sync=True):
        nonlocal left
        left -= sync  # the heartbeat does not wait for the disk
        if left == 0:
            setattr(os, call, die)
        write(path, data, sync=sync)

    def die(file, *_):
        if call == "fsync":  # half of the file has come to the disk
            os.ftruncate(file, os.fstat(file).st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.write_atomic = records.write_atomic = write_or_die


def attempts(directory, variant, every, deaths):
    """Run the recipe in one process after another, each of which dies, but the last.

    A death is the step, or ``"fsync:3"``: that call of ``os`` in the third file of a checkpoint.
    """
    makers = {"sgd-adamw": (sgd, torch.optim.AdamW), "adamw-sgd": (torch.optim.AdamW, sgd)}[variant]
    schedules = (one_cycle, cosine) if variant == "sgd-adamw" else (cosine, one_cycle)
    for die in [*deaths, "0"]:
        child = os.fork()
        if child == 0:
            call, _, number = die.rpartition(":")
            if call:
                die_writing(call, int(number))
            recipe(directory, *makers, schedules, 0 if call else int(die), every)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == (0 if die == "0" else -signal.SIGKILL), (die, status)


if __name__ == "__main__":
    import torch._dynamo  # optimizers import it at their first step: once here instead of in every child

    torch.set_num_threads(1)
    for root, variant, *deaths in json.loads(sys.argv[1]):
        attempts(f"{root}/unbroken", variant, 100, [])
        attempts(f"{root}/broken", variant, 3, deaths)
