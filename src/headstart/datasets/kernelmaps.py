"""Rows of another space as rows of the target's, by a map that bends.

Shapes: ``D`` target columns, ``E`` source columns, ``N`` paired rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import wrong
from ..tasks import Task
from .featuremaps import LABELLED, mapped

if TYPE_CHECKING:
    from sklearn.compose import TransformedTargetRegressor

MOST = 5000  # paired rows, each of which is held against each


@dataclass(frozen=True, eq=False)
class KernelMap:
    """Bring rows of one space to another by their likeness to rows that were seen in both.

    Args:
        model: fitted, from source rows to target rows.
        width: columns ``E`` of the source.
    """

    model: TransformedTargetRegressor
    width: int

    def rows(self, x: Tensor) -> Tensor:
        """Map rows ``(*, E)`` to ``(*, D)``; ``ValueError`` for another width."""
        if x.ndim != 2 or x.shape[1] != self.width:
            raise wrong("rows to be mapped", expected=f"tables of {self.width} columns", found=tuple(x.shape))
        return torch.from_numpy(self.model.predict(x.double().cpu().numpy())).to(x)

    def __call__(self, task: Task) -> Task:
        """Map all rows of a source, which then stands beside the target; its labels stay."""
        return mapped(task, lambda x, part: self.rows(x))


def map_kernel(
    target: Tensor, source: Tensor, *, ridge: float = 0.1, gamma: float | None = None
) -> KernelMap:
    r"""Learn from paired rows how rows of the source look in the target's space, where no line tells it.

    .. math:: x_t \approx \bar x_t + (x'_t)^\top (K + r I)^{-1} k(x_s), \qquad
        k(x_s)_i = e^{-\gamma \lVert x_s - x_{s,i} \rVert^2}

    with :math:`x'_t` the paired target rows about their mean :math:`\bar x_t`, and the source's columns in
    units of their own spread. Far from all paired rows the answer is that mean. Pairs are the same rows seen
    twice, or rows of one class (``match_by_label``).

    Args:
        target: rows ``(N, D)``.
        source: the same rows in the other space, ``(N, E)``; ten to 5000.
        ridge: :math:`r`, above 0.
        gamma: :math:`\gamma`, above 0; ``None`` is ``1 / E``.

    Raises:
        ValueError: if there are too few or too many rows, not as many of both, or an argument is out of its
            range.

    Example:
        >>> rows = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
        >>> bent = map_kernel(rows.square(), rows, ridge=1e-3)
        >>> bent.rows(torch.tensor([[-1.5], [0.0], [1.0]])).round()
        tensor([[2.],
                [0.],
                [1.]])

    References:
        Saunders, Gammerman & Vovk (ICML 1998), equation 8, https://eprints.soton.ac.uk/258942/
    """
    if len(target) != len(source) or not LABELLED <= len(target) <= MOST:
        found = f"{len(target)} and {len(source)}"
        expected = f"as many of both sides, {LABELLED} to {MOST}"
        raise wrong("paired rows", expected=expected, found=found, hint="pass a part of them")
    if not 0 < ridge < float("inf") or (gamma is not None and not 0 < gamma < float("inf")):
        raise wrong("`ridge` and `gamma`", expected="above 0 and finite", found=f"{ridge} and {gamma}")
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    t, s = (side.double().cpu().numpy() for side in (target, source))
    regression = KernelRidge(alpha=ridge, kernel="rbf", gamma=gamma or 1 / s.shape[1])
    model = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), regression), transformer=StandardScaler(with_std=False)
    )
    return KernelMap(model.fit(s, t), s.shape[1])
