"""Tasks at different depths of one encoder.

Shapes: ``B`` rows, ``L`` tokens, ``D`` features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from ...errors import unknown, wrong
from ...tasks import X
from ..backbones.cuts import AtAllCuts, cuts
from .pattern import Pattern


@final
class Hierarchical(Pattern):
    r"""Let tasks read one encoder at different depths: simple ones below, what builds on them above.

    A task reads the features at its block, and those at the blocks of the tasks below it beside them
    (shortcuts), so that what a lower task needs is not to be carried through the blocks in between.

    Train the tasks one after another, from below, with ``transfer.L2SP(net, weight=...)`` added to all but
    the first: that is the successive regularisation of the joint many-task model, which keeps the weights
    near those that the lower task left.

    Args:
        encoder: any with blocks.
        at: by task, the block that it reads behind, among ``models.cuts(encoder)``; ``""`` is behind all.
        widths: the features at each block, as ``models.widths(encoder, x)`` measures them on a row.
        placed: tasks with an answer for each token of a text, which read the features at each token.

    Shape:
        rows ``(B, *)`` to ``(B, D)``, with a ``D`` of each task's own (``width_for``); to ``(B, L, D)`` for
        the tasks in ``placed``.

    Raises:
        ValueError: for a name that is no block of the encoder, or a block that rows do not pass.

    Differs from the papers:
        Hashimoto et al. also hand the lower tasks' answers up, as label embeddings; here it is features.

    Example:
        >>> from headstart.models import Net, mlp, widths
        >>> encoder = mlp(3, hidden=[8, 4])
        >>> low = Hierarchical(encoder, {"a": "0", "b": ""}, widths(encoder, torch.zeros(1, 3)))
        >>> low.width_for("a"), low.width_for("b")
        (8, 12)
        >>> Net(low, {"b": nn.Linear(12, 1)})(torch.zeros(5, 3), "b").shape
        torch.Size([5, 1])

    References:
        Søgaard & Goldberg (ACL 2016), https://aclanthology.org/P16-2038
        Hashimoto et al. (EMNLP 2017), https://arxiv.org/abs/1611.01587
    """

    name = "multitask:hierarchical"

    def __init__(
        self,
        encoder: nn.Module,
        at: Mapping[str, str],
        widths: Mapping[str, int],
        *,
        placed: Sequence[str] = (),
    ) -> None:
        about = {"encoder": encoder, "at": dict(at), "widths": dict(widths), "placed": list(placed)}
        super().__init__(about, list(at))
        for task in placed:
            self.check(task)
        self.placed = set(placed)
        known = cuts(encoder)
        for block in at.values():
            if block not in known:
                raise unknown("block of the encoder", block, known)
            if block not in widths:
                hint = "pass `models.widths(encoder, x)`, and only blocks in it"
                raise wrong(f"width at block {block!r}", expected="known", found=dict(widths), hint=hint)
        used = [block for block in known if block in at.values()]
        self.reads = {task: used[: used.index(block) + 1] for task, block in at.items()}
        self.widths = {block: widths[block] for block in used}
        self.width = sum(self.widths.values())
        self.encoder = AtAllCuts(encoder, used)

    def width_for(self, task: str) -> int:
        """Tell the features of a task: those at its block and at the used ones below."""
        self.check(task)
        return sum(self.widths[block] for block in self.reads[task])

    def several(self, x: X, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Return the features of each task, of one pass; of another for those that read tokens."""
        ways = {False: self.encoder.by_name, True: self.encoder.places_by_name}
        features = {}
        for placed in {task in self.placed for task in tasks}:
            found = ways[placed](x)  # type: ignore[arg-type]
            for block, width in self.widths.items():
                if found[block].shape[-1] != width:
                    what = f"features at block {block!r}"
                    raise wrong(what, expected=f"{width}, as said", found=found[block].shape[-1])
            for task in tasks:
                if (task in self.placed) == placed:
                    features[task] = torch.cat([found[block] for block in self.reads[task]], -1)
        return features
