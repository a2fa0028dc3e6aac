"""Strategies that learn from episodes cut from the sources, and adapt on the target's few rows.

Where the target's answers are numbers, an episode is some rows of one source of that kind of numbers. All of
them ask for as many outputs, so that the target starts from the head that was meta-trained; heads for classes
start from zeros.

References:
    ProtoNet: Snell et al. (NeurIPS 2017), https://arxiv.org/abs/1703.05175
    MAML: Finn et al. (ICML 2017), https://arxiv.org/abs/1703.03400
    ANIL: Raghu et al. (ICLR 2020), https://arxiv.org/abs/1909.09157
    Reptile: Nichol et al. (2018), https://arxiv.org/abs/1803.02999
    R2D2: Bertinetto et al. (ICLR 2019), https://arxiv.org/abs/1805.08136
    Matching networks: Vinyals et al. (NeurIPS 2016), https://arxiv.org/abs/1606.04080
    A pretrained start for episodes: Chen et al. (ICCV 2021), https://arxiv.org/abs/2003.04390
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...engine import seeded
from ...meta import ANIL, MAML, Episodic, Matching, ProtoNet, Reptile, Ridge
from ...models import Adapted, Net, freeze
from ...seams import Adaptation, Objective
from ...tasks import Labelled, Stream, Task, episodes
from .. import needs
from ..needs import QUERIES, allows_episodes, allows_numbers, class_counts
from ..strategy import Strategy, rates
from ..trial import Curves, Trained, Trial, rotated
from .finetune import START
from .sharing import together

MOST = 25  # support rows of an episode of numbers
HALVINGS = 6  # of MAML's rate on the target, before it is given up


def protonet(trial: Trial) -> Trained:
    """Meta-train the features on episodes of the sources, then take the nearest class mean.

    A mean of each class knows nothing of the classes' shares: it answers as if all were equally common.
    """
    name = trial.target.name
    adaptation = ProtoNet(name)
    net, curves = meta_train(trial, adaptation, lr=trial.settings["meta_lr"])
    return Trained(exported(adaptation(net.eval(), trial.labelled())), curves)


PROTONET = Strategy(
    name="protonet",
    run=protonet,
    summary="episodes on the sources, then nearest class mean",
    options=rates(1e-4, 3e-4, 1e-3, name="meta_lr"),
    needs=needs.episodes,
    reused=START + " for episodes",
    frozen="backbone",
    paper="[Snell et al. 2017](https://arxiv.org/abs/1703.05175)",
)


def maml(trial: Trial) -> Trained:
    """Meta-train start weights on episodes of the sources, then take gradient steps on the target."""
    name, lr = trial.target.name, trial.settings["lr"]
    net, curves = meta_train(trial, MAML(name, lr=lr, steps=1, loss=trial.target.kind.loss), lr=3e-4)
    return Trained(exported(_descend(trial, net, _all_weights, lr)), curves)


MAML_STRATEGY = Strategy(
    name="maml",
    run=maml,
    summary="episodes on the sources, then a few gradient steps",
    options=rates(0.01, 0.003, 0.03),
    needs=needs.episodes_of_any,
    reused=START + " for episodes",
    frozen="normalisation",
    paper="[Finn et al. 2017](https://arxiv.org/abs/1703.03400)",
)


def anil(trial: Trial) -> Trained:
    """Meta-train features under heads that take gradient steps, then take such steps on the target."""
    name, lr = trial.target.name, trial.settings["lr"]
    net, curves = meta_train(trial, ANIL(name, lr=lr, loss=trial.target.kind.loss), lr=3e-4)
    return Trained(exported(_descend(trial, net, _head_alone, lr)), curves)


ANIL_STRATEGY = Strategy(
    name="anil",
    run=anil,
    summary="episodes on the sources, then gradient steps on the head",
    options=rates(0.1, 0.03, 0.3),
    needs=needs.episodes_of_any,
    reused=START + " for episodes",
    frozen="backbone",
    paper="[Raghu et al. 2020](https://arxiv.org/abs/1909.09157)",
)


def reptile(trial: Trial) -> Trained:
    """Move start weights towards those that episodes end at, then take gradient steps on the target."""
    name, lr = trial.target.name, trial.settings["lr"]
    inner = MAML(name, lr=lr, steps=5, first_order=True, loss=trial.target.kind.loss)
    net, curves = meta_train(trial, inner, lr=3e-4, learn=Reptile)
    return Trained(exported(_descend(trial, net, _all_weights, lr)), curves)


REPTILE_STRATEGY = Strategy(
    name="reptile",
    run=reptile,
    summary="towards where the steps of episodes end, then gradient steps",
    options=rates(0.01, 0.003, 0.03),
    needs=needs.episodes_of_any,
    reused=START + " for episodes",
    frozen="normalisation",
    paper="[Nichol et al. 2018](https://arxiv.org/abs/1803.02999)",
)


def r2d2(trial: Trial) -> Trained:
    """Meta-train features under heads that are ridge regressions, then solve for the target's."""
    adaptation = Ridge(trial.target.name, penalty=trial.settings["penalty"])
    for parameter in adaptation.parameters():
        parameter.requires_grad_(False)  # the penalty is a setting here, chosen as those of others are
    net, curves = meta_train(trial, adaptation, lr=3e-4)
    return Trained(exported(adaptation.to(trial.problem.on)(net.eval(), _rows(trial))), curves)


R2D2 = Strategy(
    name="r2d2",
    run=r2d2,
    summary="episodes on the sources, then a ridge regression",
    options=rates(1.0, 0.1, 10.0, name="penalty"),
    needs=needs.episodes_of_any,
    reused=START + " for episodes",
    frozen="backbone",
    paper="[Bertinetto et al. 2019](https://arxiv.org/abs/1805.08136)",
)


def matching(trial: Trial) -> Trained:
    """Meta-train the features on episodes of the sources, then let the target's rows vote."""
    adaptation = Matching(trial.target.name)
    net, curves = meta_train(trial, adaptation, lr=trial.settings["meta_lr"])
    return Trained(exported(adaptation(net.eval(), _rows(trial))), curves)


MATCHING = Strategy(
    name="matching",
    run=matching,
    summary="episodes on the sources, then votes of alike rows",
    options=rates(1e-4, 3e-4, 1e-3, name="meta_lr"),
    needs=needs.episodes,
    reused=START + " for episodes",
    frozen="backbone",
    paper="[Vinyals et al. 2016](https://arxiv.org/abs/1606.04080)",
)


def _rows(trial: Trial) -> Labelled:
    """Return the target's labelled rows where nets train."""
    return trial.labelled().to(trial.problem.on)


def _all_weights(trial: Trial, lr: float, steps: int) -> Adaptation:
    return MAML(trial.target.name, lr=lr, steps=steps, loss=trial.target.loss)


def _head_alone(trial: Trial, lr: float, steps: int) -> Adaptation:
    return ANIL(trial.target.name, lr=lr, steps=steps, loss=trial.target.loss)


def _descend(
    trial: Trial, net: Net, adapting: Callable[[Trial, float, int], Adaptation], lr: float
) -> Adapted:
    """Take steps on the target's rows; where they hardly lower the loss, with half the rate if that is lower.

    The head is new for the target's classes and starts at zero, where every class is alike. It has further
    to go than one step, so the adaptation takes as many as every strategy may. Steps that are too long may
    leave a net that answers one class for all rows, at a loss that is just below the first one.
    """
    for parameter in net.eval().heads[trial.target.name].parameters():
        nn.init.zeros_(parameter)
    steps = trial.problem.budget.of(0)  # each sees all rows, so that more rows need no more of them
    rows, loss = _rows(trial), trial.target.loss
    with torch.no_grad():  # nothing is learned from the way here
        start = lowest = loss(net(rows.x, trial.target.name), rows.y)
        best: Adapted | None = None
        for _ in range(HALVINGS):
            adapted = adapting(trial, lr, steps)(net, rows)
            value = loss(adapted(rows.x), rows.y)
            if value < lowest:  # also false where it is not a number
                best, lowest = adapted, value
            elif best is not None:
                break
            if lowest < start / 2:
                break
            lr /= 2
    if best is None:
        raise FloatingPointError(f"the steps on {trial.target.name!r} did not lower the loss at any rate")
    return best


def pretrain_multitask_fewshot(trial: Trial) -> Trained:
    """Start from the pretrained backbone, train with the sources, then take the nearest class mean.

    As with ``protonet``, the means answer as if all classes were equally common.
    """
    net, curves = together(trial, trial.pretrained(), trial.settings["lr"])
    return Trained(exported(ProtoNet(trial.target.name)(net.eval(), _rows(trial))), curves)


PRETRAIN_MULTITASK_FEWSHOT = Strategy(
    name="pretrain+multitask+fewshot",
    run=pretrain_multitask_fewshot,
    summary="pretrained, trained with the sources, then class means",
    options=rates(1e-3, 3e-4, 3e-3),
    needs=needs.started_prototypes,
    reused=START + ", and the sources' rows",
    frozen="backbone at last",
    paper="[Chen et al. 2021](https://arxiv.org/abs/2003.04390)",
)


def exported(adapted: Adapted) -> Net:
    """Give the adapted net with the head of its task alone."""
    net = adapted.export()
    return Net(net.backbone, {adapted.task: net.heads[adapted.task]})


def episode_source(trial: Trial) -> tuple[list[Task], int, int]:
    """Return the sources that episodes can be cut from, and the ways and shots that they allow.

    For numbers the ways are the outputs, and shots are the rows of an episode.
    """
    kind, rows = trial.target.kind, len(trial.labelled())
    if not kind.classes:
        tasks = [t for t in trial.problem.shared() if allows_numbers(t)]
        least = min(int(t.train.present().sum()) for t in tasks if t.train.held)
        return tasks, kind.outputs, max(1, min(rows, MOST, least - QUERIES))
    tasks = [t for t in rotated(trial.problem) if allows_episodes(t)]
    counts = [class_counts(t.train) for t in tasks if t.train.held]
    ways = min([kind.outputs, *map(len, counts)])
    shots = max(1, rows // kind.outputs)
    return tasks, ways, min(shots, 5, *(min(c) - QUERIES for c in counts))


def meta_train(
    trial: Trial, adaptation: Adaptation, *, lr: float, learn: Callable[[Adaptation], Objective] = Episodic
) -> tuple[Net, Curves]:
    """Train the pretrained backbone on episodes; its normalisation keeps the statistics it has."""
    tasks, ways, shots = episode_source(trial)
    budget, name, kind = trial.problem.budget, trial.target.name, trial.target.kind
    stream: Stream = episodes(
        tasks,
        ways=ways,
        shots=shots,
        queries=QUERIES,
        per_step=budget.episodes,
        generator=trial.generator("episodes"),
    )

    def make() -> tuple[Net, Curves]:
        start = trial.pretrained()
        with seeded(trial.seed):
            net = Net(start.backbone, {name: nn.Linear(start.heads[name].in_features, ways)})  # type: ignore[arg-type]
        for parameter in net.heads[name].parameters():
            nn.init.zeros_(parameter)
        for layer in norms(net):
            freeze(layer)
        objective = learn(adaptation) if kind.classes else _of_numbers(learn, adaptation, kind.loss)
        net = net.to(trial.problem.on)
        return net, trial.train(
            net, [], objective, steps=budget.meta, lr=lr, decay=0.0, stream=stream, phase="meta"
        )

    net, curves = trial.starts.get(trial.called(f"{learn} {adaptation} {lr} {ways} {shots}"), make)
    with seeded(trial.seed):
        start = trial.net(net.backbone)
    if not kind.classes:
        start.heads[name].load_state_dict(net.heads[name].state_dict())
    return start, curves


def _of_numbers(
    learn: Callable[[Adaptation], Objective], adaptation: Adaptation, loss: Callable[..., Tensor]
) -> Objective:
    """Judge by a loss of numbers, where an objective judges at all."""
    return Episodic(adaptation, loss) if learn is Episodic else learn(adaptation)


def norms(net: Net) -> list[nn.Module]:
    """List the normalisation layers that keep running statistics."""
    return [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
