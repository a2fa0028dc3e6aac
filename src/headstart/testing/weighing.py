"""The check of weighings."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor

from ..seams import GramianWeighing, LossWeighing
from ._common import cast, close, name_of, pickled, require, same, untouched
from .laws import assert_absent_adds_nothing


def check_weighing(
    weighing: GramianWeighing | LossWeighing, *, of: Literal["gramian", "losses"] = "gramian", tasks: int = 3
) -> None:
    """Check that a weighing keeps the contract of its seam.

    From a Gramian ``(K, K)`` it gives finite weights ``(K,)``, for zero, equal, opposite and badly
    scaled gradients too; from losses ``(K,)`` a finite scalar whose gradient reaches each loss, and to
    which an absent one adds nothing if the weighing has ``names``. It gives the same twice from the same
    state (a generator it holds included), in the type of its input, leaves the input and every global
    random state alone, and can be pickled.

    Args:
        weighing: a function or module of one of the two signatures.
        of: what it takes.
        tasks: ``K``, at least 1; a Gramian weighing is tried with fewer as well. One with ``names`` has as
            many, and is given the zero gradients of absent ones.

    Raises:
        AssertionError: if the contract is broken; the message says how.

    Example:
        >>> from headstart.multitask import pcgrad
        >>> check_weighing(pcgrad)
        >>> check_weighing(torch.sum, of="losses")
    """
    name = name_of(weighing)
    tasks = len(getattr(weighing, "names", ())) or tasks
    cases = _gramians(tasks) if of == "gramian" else _losses(tasks)
    if of == "gramian" and hasattr(weighing, "names"):
        cases = {case: _absent(value, tasks) for case, value in cases.items()}
    for case, value in cases.items():
        for dtype in (torch.float32, torch.float64):
            given = value.to(dtype)
            own = cast(weighing, dtype)
            twin, sent = copy.deepcopy(own), pickled(name, own)
            with untouched(name, given):
                result = own(given)
            shape = (len(given),) if of == "gramian" else ()
            require(result.shape == shape, f"{name} returns {tuple(result.shape)}, not {shape}, for {case}")
            require(result.isfinite().all(), f"{name} returns {result.tolist()} for {case}")
            require(result.dtype == dtype, f"{name} returns {result.dtype} for {dtype}")
            require(same(result, twin(given)), f"{name} gives another result from the same state for {case}")
            require(same(result, sent(given)), f"{name} gives another result after pickling for {case}")
            if torch.cuda.is_available():
                there = cast(cast(weighing, dtype), "cuda")(given.cuda())
                require(close(result, there), f"{name} gives another result on the GPU for {case}")
    if of == "losses":
        given = torch.linspace(0.5, 2, tasks).requires_grad_()
        (gradient,) = torch.autograd.grad(copy.deepcopy(weighing)(given), given)
        require(gradient.isfinite().all(), f"{name} gives the losses the gradient {gradient.tolist()}")
        require(gradient.ne(0).all(), f"{name} gives a loss no gradient: {gradient.tolist()}")
        if getattr(weighing, "names", ()):
            assert_absent_adds_nothing(weighing, given)


def _gramians(tasks: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(tasks, 5, generator=generator, dtype=torch.float64)
    zero, scaled = rows.clone(), rows.clone()
    far = torch.logspace(-10, 10, tasks, dtype=torch.float64)[:, None]
    zero[0], scaled[0] = 0, 1e-4 * rows[0]
    sign = torch.ones(tasks, 1, dtype=torch.float64)
    sign[1::2] = -1
    cases = {f"{k} random gradients": rows[:k] for k in range(1, tasks + 1)}
    cases |= {
        "conflicting gradients": rows - rows.mean(0),
        "a zero gradient": zero,
        "zero gradients": 0 * rows,
        "equal gradients": rows[:1].expand(tasks, -1),
        "opposite gradients": sign * rows[:1],
        "gradients of other scales": scaled,
        "collinear gradients of far scales": far * sign * rows[:1],
        "gradients of far scales": far * rows,
    }
    return {case: j @ j.T for case, j in cases.items()}


def _absent(gramian: Tensor, tasks: int) -> Tensor:
    """Fill a Gramian up with tasks that are absent."""
    whole = gramian.new_zeros(tasks, tasks)
    whole[: len(gramian), : len(gramian)] = gramian
    return whole


def _losses(tasks: int) -> dict[str, Tensor]:
    return {
        "losses": torch.linspace(0.5, 2, tasks),
        "equal losses": torch.ones(tasks),
        "losses of other scales": torch.logspace(-3, 3, tasks),
    }
