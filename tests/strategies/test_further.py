"""The strategies that run where they are named: what makes each of them that one."""

from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from headstart.comparison import Problem
from headstart.engine import Run
from headstart.engine.phase import Phase
from headstart.strategies import FURTHER, Budget, Starts, Trial
from headstart.tasks import Labelled, Multiclass, Regression, Task
from headstart.transfer import CoTuning

from .test_tuned import owner, posed, rows

BUDGET = Budget(steps=8, options=1)


def ran(name, problem, **settings):
    given = {**FURTHER[name].options[0], **settings}
    trial = Trial(problem, given, 0, Starts())
    start = {n: v.clone() for n, v in trial.pretrained().backbone.state_dict().items()}
    return FURTHER[name].learn(trial), start


def test_surgical_moves_one_block_and_no_other_by_a_bit():
    trained, start = ran("surgical", posed(budget=BUDGET))
    now = trained.net.backbone.state_dict()
    moved = {name.split(".")[1] for name, value in now.items() if not torch.equal(value, start[name])}
    assert len(moved) == 1
    assert len(moved | {"0", "1", "2", "3"}) == 4


def test_decay_moves_lower_blocks_less():
    trained, start = ran("finetune-decay", posed(budget=BUDGET))
    sizes = {
        n: (v - start[n]).norm() / v.numel() ** 0.5
        for n, v in trained.net.backbone.named_parameters()
        if v.ndim == 4
    }
    moves = list(sizes.values())
    assert len(moves) == 4
    assert moves[0] < moves[1] < moves[2]


@pytest.mark.parametrize("name", ["finetune-decay", "surgical"])
def test_a_backbone_without_blocks_is_left_out_with_the_reason(name):
    problem = posed(backbone=nn.Sequential(nn.Flatten(), nn.Linear(256, 4)))
    assert FURTHER[name].needs(problem) == "the backbone is no stack of blocks"


def test_wise_ft_leaves_normalisation_as_it_came():
    trained, start = ran("wise-ft", posed(budget=BUDGET))
    for name, value in trained.net.backbone.state_dict().items():
        norm = isinstance(owner(trained.net.backbone, name), nn.BatchNorm2d)
        assert torch.equal(value, start[name]) == norm, name


def test_contrast_brings_rows_of_a_class_together_and_leaves_normalisation():
    def together(net, problem):
        with torch.no_grad():
            z = nn.functional.normalize(net.eval().features(problem.target.train.x), dim=1)
        y, alike = problem.target.train.y, z @ z.T
        same = y[:, None] == y
        return float(alike[same].mean() - alike[~same].mean())

    problem = posed(each=10, budget=Budget(steps=30, options=1))
    trained, start = ran("contrastive", problem, lr=3e-3)
    before = Trial(problem, {"C": 1.0}, 0, Starts()).pretrained()
    assert together(trained.net, problem) > together(before, problem) + 0.005
    for name, value in trained.net.backbone.state_dict().items():
        if isinstance(owner(trained.net.backbone, name), nn.BatchNorm2d):
            assert torch.equal(value, start[name]), name


def test_contrast_has_the_temperature_that_is_set():
    problem = posed(each=4, budget=Budget(steps=2, options=1))
    sums = [
        sum(
            float(p.double().sum())
            for p in ran("contrastive", problem, temperature=t)[0].net.backbone.parameters()
        )
        for t in (0.1, 0.1, 0.05)
    ]
    assert sums[0] == sums[1] != sums[2]
    with pytest.raises(ValueError, match="temperature"):
        ran("contrastive", problem, temperature=0.0)


def test_means_differ_from_the_last_weights():
    problem = posed(budget=BUDGET)
    last, swa, ema = (
        ran(f"finetune-{name}", problem)[0].net.heads["new"].weight for name in ("decay", "swa", "ema")
    )
    assert not torch.equal(swa, ema)
    assert swa.isfinite().all()
    assert not torch.equal(last, swa)


def test_logit_adjustment_moves_answers_towards_rare_classes():
    problem = posed(each=12, budget=Budget(steps=30, options=1))
    few = torch.cat([torch.arange(12) * 3, torch.tensor([1, 2])])  # 12 rows of the first, one of the others
    target = replace(problem.target, train=problem.target.train.take(few))
    rare = replace(problem, target=target, class_weights="none")
    sides = []
    for strength in (0.0, 2.0):
        net = ran("logit-adjusted", rare, strength=strength)[0].net.eval()
        with torch.no_grad():
            said = net(target.test.x, "new")
            sides.append((said[:, 1:].mean(1) - said[:, 0]).mean())
    assert sides[1] > sides[0] + 0.05


def test_cotuning_teaches_the_source_s_head_and_hands_over_the_target_s_alone(monkeypatch):
    target, old = rows(6, 1), Task("old", Multiclass(5), rows(8, 3, classes=5))
    task = Task("new", Multiclass(3), target, test=rows(6, 2))
    problem = Problem(task, [old], settings={"width": 4}, rotations=False, budget=Budget(steps=8, pretrain=8))
    seen = []
    real = CoTuning.__call__

    def called(self, net, batch, progress):
        seen.append(self)
        return real(self, net, batch, progress)

    monkeypatch.setattr(CoTuning, "__call__", called)
    trained, start = ran("cotuning", problem, weight=0.5)
    assert list(trained.net.heads) == ["new"]
    assert (seen[0].source, seen[0].weight, seen[0].related.shape) == ("old", 0.5, (3, 5))
    assert any("cotuning" in name for name in trained.curves)
    moved = [not torch.equal(v, start[n]) for n, v in trained.net.backbone.named_parameters()]
    assert any(moved)
    told = FURTHER["cotuning"].needs
    assert told(posed()) == "the backbone comes without the head of what it was pretrained on"
    assert told(
        replace(problem, sources=[Task("old", Regression(), Labelled(old.train.x, torch.zeros(40)))])
    ).startswith("there is no source")


class Stopped(Exception):
    pass


@pytest.mark.parametrize(
    "name", ["finetune@layer", "finetune-swa", "wise-ft", "surgical", "lora", "delta", "contrastive"]
)
def test_a_run_that_is_stopped_in_its_second_phase_goes_on_to_the_same_bits(name, tmp_path, monkeypatch):
    if name == "lora" and find_spec("peft") is None:
        pytest.skip("needs peft")
    problem, real = posed(budget=Budget(steps=12, options=1)), Phase.after

    def run(directory):
        torch.rand(7)  # the global state is another each time
        with Run.create(directory, {"strategy": name}, every_steps=2) as kept:
            trial = Trial(problem, FURTHER[name].options[0], 0, Starts(), run=kept)
            return FURTHER[name].run(trial).net.state_dict()

    unbroken, count = run(tmp_path / "unbroken"), iter(range(100))

    def stopping(phase, step):
        real(phase, step)
        if next(count) == 9:
            raise Stopped

    monkeypatch.setattr(Phase, "after", stopping)
    with pytest.raises(Stopped):
        run(tmp_path / "broken")
    monkeypatch.setattr(Phase, "after", real)
    broken = run(tmp_path / "broken")
    assert broken.keys() == unbroken.keys()
    assert all(torch.equal(value, broken[key]) for key, value in unbroken.items())
