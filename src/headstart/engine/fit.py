"""The one training loop; it knows no method's name."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..errors import wrong
from ..models import Net, device_of
from ..progress import Bar
from ..seams import Combine, Objective
from ..tasks import Batch
from ..tasks.finite import check_finite_rows
from ..tasks.nouns import inputs_of
from . import devices
from .devices import Ahead, Pinned, computing, to
from .distributed import several, synchronize
from .held import Watch
from .log import History, Log
from .moving import advance, check_steps, move
from .phase import check_resumable
from .run import Run


def total(losses: dict[str, Tensor], net: Net) -> None:
    """Lower the plain sum of the losses; the default ``combine`` of ``fit``.

    Example:
        >>> import torch
        >>> net = Net(nn.Linear(1, 1), {"a": nn.Linear(1, 1)})
        >>> total({"a": net(torch.ones(1, 1), "a").sum()}, net)
        >>> net.backbone.weight.grad.shape
        torch.Size([1, 1])
    """
    if losses:
        first, *rest = losses.values()
        sum(rest, first).backward()


def fit(
    net: Net,
    stream: Iterable[Any],
    objective: Objective,
    *,
    steps: int,
    optimizer: Optimizer,
    combine: Combine = total,
    scheduler: LRScheduler | None = None,
    run: Run | None = None,
    phase: str = "fit",
    clip: float | None = None,
    precision: str = "float32",
    held: Watch | None = None,
    progress: bool | None = None,
) -> History:
    r"""Train a net: the objective says what to lower, ``combine`` says how, the optimizer moves.

    Each step computes :math:`L_k(\theta)` for every loss on the next batch, fills ``.grad`` and
    moves. Everything a method needs also works in a loop of the caller's own. Where ``objective``
    or ``combine`` are modules with parameters that the optimizer does not hold, they are added to
    it as the groups "objective" and "combine", with its default settings.

    With ``run``, the state is checkpointed, and calling ``fit`` again in the same order on the same
    run continues exactly: the weights and ``metrics.jsonl`` come out bit-equal to those of an
    unbroken run. A phase that is finished is restored without training.

    Args:
        net: trained in place; left in training mode.
        stream: batches, at least ``steps`` of them; moved to the net's device, on CUDA ahead of need.
        objective: ``(net, batch, progress) -> losses``, each a scalar; ``progress`` in [0, 1).
        steps: how many batches to train on, at least 1.
        optimizer: whose parameters are moved; one that needs a closure (LBFGS) is refused.
        combine: ``(losses, net) -> None``, fills ``.grad``.
        scheduler: stepped once per step; ``ReduceLROnPlateau`` by the sum of the step's losses, so that its
            ``patience`` counts steps.
        run: directory that keeps checkpoints, losses and the state of the run.
        phase: names this call within the run; each call of one run has its own.
        clip: largest norm of the whole gradient, above 0; ``None`` leaves it alone.
        precision: ``"float32"``; ``"bf16"`` lets the backbone compute in bfloat16 by autocast, while heads,
            losses, weights and the optimizer stay in float32; ``"auto"`` does so on CUDA devices made for it.
        held: rows that are looked at now and then (``Held``); the weights that did best on them are those
            that are left. Or what else says which are: ``Averaged`` leaves their mean.
        progress: ``None`` shows progress on stderr after two seconds, ``True`` at once, ``False`` never.

    Raises:
        FloatingPointError: at the first loss that is not finite; the last good checkpoint stays.
        TypeError: if the objective gives something else than losses by name, or the optimizer is none.
        ValueError: if ``steps`` or ``clip`` is out of range, the optimizer holds nothing of the net, it or
            the scheduler needs more for its step than there is, a loss is no scalar, the stream ends early,
            or parameters would have to join an optimizer that a scheduler already steers; at the first batch
            with NaN or infinity in its inputs, before anything is learned from it.

    Example:
        >>> import torch
        >>> from headstart.tasks import Labelled, Multiclass, Task, batches
        >>> rows = Labelled(torch.randn(8, 2), torch.arange(8) % 2)
        >>> coins = Task("coins", Multiclass(2), rows)
        >>> net = Net(nn.Linear(2, 4), {"coins": nn.Linear(4, 2)})
        >>> def objective(net, batch, progress):
        ...     return {n: coins.kind.loss(net(b.x, n), b.y) for n, b in batch.items()}
        >>> stream = batches([coins], 4, generator=torch.Generator())
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> history = fit(net, stream, objective, steps=3, optimizer=optimizer)
        >>> len(history.losses["coins"])
        3
    """
    if steps < 1:
        raise wrong("`steps`", expected="at least 1", found=steps)
    if clip is not None and not clip > 0:
        raise wrong("`clip`", expected="above 0", found=clip, hint="leave it out to clip nothing")
    learners = {n: m for n, m in (("objective", objective), ("combine", combine)) if isinstance(m, nn.Module)}
    together = several()
    check_steps(optimizer, scheduler, several=together)
    adopt(optimizer, scheduler, net, learners)
    started, device = time.perf_counter(), device_of(net)
    dtype = devices.precision(precision, device)
    ahead = Ahead(stream, Pinned(device), resumable=run is not None) if device.type == "cuda" else None
    log, kept = Log(), None
    if run is not None:
        check_resumable(stream)
        parts = {"net": net, "optimizer": optimizer, "stream": ahead or stream} | learners
        parts |= {} if held is None else {"held": held}
        kept = run.phase(phase, steps, log, parts, scheduler)
    pairs = ahead.pairs(steps - log.steps) if ahead else ((batch, to(batch, device)) for batch in stream)
    net.train()
    with (
        computing(net, dtype),
        Bar(phase, steps, progress, start=log.steps) as bar,
        kept or nullcontext(),
    ):
        for step, (given, batch) in zip(range(log.steps, steps), pairs, strict=False):
            check_inputs(given, step)
            optimizer.zero_grad(set_to_none=True)
            losses = objective(net, batch, step / steps)
            log.add(losses, step)  # refuses a loss that is not finite
            combine(losses, net)
            if together:
                synchronize(net, *learners.values())
            if clip is not None:
                nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], clip)
            move(optimizer)
            if scheduler is not None:
                advance(scheduler, log.last)
            bar.show(step + 1, log.last)
            if held is not None:
                held.after(net, step + 1)
            if kept is not None:
                kept.after(step + 1)
    if log.steps < steps:
        raise wrong("`stream`", expected=f"at least {steps} batches long", found=log.steps)
    if held is not None:
        held.keep(net)
    return History(log.columns, log.seconds + time.perf_counter() - started)


def check_inputs(batch: Batch, step: int) -> None:
    """Raise ``ValueError`` where inputs hold NaN or infinity, before anything is learned from them."""
    for name, x in inputs_of(batch).items():
        check_finite_rows(x, f"inputs of {name} at step {step}")


def adopt(
    optimizer: Optimizer, scheduler: LRScheduler | None, net: nn.Module, learners: Mapping[str, nn.Module]
) -> None:
    """Give the optimizer the learners' trainable parameters that neither it nor the net holds."""
    call = 'optimizer.add_param_group({{"params": {0}.parameters(), "name": "{0}"}})'
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    learned = [p for module in (net, *learners.values()) for p in module.parameters() if p.requires_grad]
    if learned and not any(id(p) in held for p in learned):
        raise wrong(
            "`optimizer`",
            expected="one of parameters of the net",
            found=f"{len(held)} parameters of something else",
            hint="make it after the last change to the net, as in AdamW(net.parameters())",
        )
    held |= {id(p) for p in net.parameters()}
    for name, module in learners.items():
        new = {n: p for n, p in module.named_parameters() if p.requires_grad and id(p) not in held}
        if new and scheduler is not None:
            raise wrong(
                "`optimizer`",
                expected=f"given the parameters of `{name}` before a scheduler is built on it",
                found=f"{len(new)} without a group ({next(iter(new))})",
                hint=f"call {call.format(name)} first",
            )
        if new:
            named = "param_names" in optimizer.param_groups[0]
            optimizer.add_param_group(
                {"params": list(new.items()) if named else list(new.values()), "name": name}
            )
            held |= {id(p) for p in new.values()}
