"""Tags of a text that are read off together: how well each fits its word, and how well it follows another.

Shapes: ``B`` rows, ``L`` places, ``D`` features, ``W`` words of the longest row, ``C`` tags.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from ...errors import wrong
from ...tasks.kinds.kind import Label
from ...tasks.kinds.missing import MISSING, known
from ...tasks.kinds.spans import may_follow
from .layer import Layer


@final
class Chain(Layer):
    r"""Tell how likely each tag of a word is, given the tags around it: a linear-chain random field.

    .. math:: p(y \mid z) = \frac{1}{Z} \prod_t e^{s_t(y_t)} A_{y_{t-1} y_t}, \qquad
        A_{ab} = e^{F_{ab}} \text{, or 0 where tag } b \text{ may not follow } a

    A word's scores :math:`s_t` are linear in its features; :math:`F` is learned, and a number for each tag
    at the beginning and at the end of a row. Of tags of spans, an ``I-`` goes on with its own type alone.

    ``Supervised`` lowers the ``loss`` of this head in place of cross-entropy; weights of classes have no say.
    Its answers are the likeliest row of tags, which keeps to these rules; its probabilities are those of each
    tag by itself.

    Places whose features are all 0 are none; those at which no word begins are passed over. Sums over all
    rows of tags are exact, and take :math:`L C^2` steps.

    Args:
        columns: features ``D``.
        tags: the classes of ``Tokens``, in its order.

    Shape:
        ``(B, L, D)`` to log probabilities ``(B, L, C)``, 0 at what is no word.

    Example:
        >>> from headstart.models import Net
        >>> from headstart.models.net import Given
        >>> tags = ["O", "B-city", "I-city"]
        >>> net = Net(Given(), {"cities": Chain(3, tags)})
        >>> net(torch.rand(2, 5, 3), "cities").exp().sum(2).allclose(torch.ones(2, 5))
        True

    References:
        Lafferty, McCallum & Pereira (ICML 2001), https://dl.acm.org/doi/10.5555/645530.655813
    """

    layer = "chain"
    reads_places = True
    reads_words = True
    may: Tensor
    begins: Tensor

    def __init__(self, columns: int, tags: Sequence[Label]) -> None:
        super().__init__()
        self.settings = {"columns": columns, "tags": list(tags)}
        self.scores = nn.Linear(columns, len(tags))
        self.follows = nn.Parameter(torch.zeros(len(tags), len(tags)))
        self.ends = nn.Parameter(torch.zeros(2, len(tags)))  # how well a tag begins a row, and ends it
        begins, may = may_follow(tags)
        self.register_buffer("begins", begins, persistent=False)
        self.register_buffer("may", may, persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        r"""Return :math:`\log p(y_t \mid z)`.

        Where the likeliest row has another tag than the likeliest by itself, the two change places, so that
        the first is what is answered.
        """
        s, there, at = self._words(z)
        p, after = _exp(s), self._after()
        before, _ = _along(p, after, self._first(), there)
        behind, _ = _along(p.flip(1), after.T, self.ends[1].exp(), there.flip(1))
        said = (_log(before) + s + _log(behind.flip(1))).log_softmax(2)
        top, path = said.argmax(2, keepdim=True), self._best(s, there)[:, :, None]
        high, low = said.gather(2, top), said.gather(2, path)
        said = said.scatter(2, top, low).scatter(2, path, high) * there[:, :, None]
        return said.new_zeros(*z.shape[:2], said.shape[2]).scatter(1, at[:, :, None].expand_as(said), said)

    def loss(self, z: Tensor, y: Tensor) -> Tensor:
        r"""Give :math:`-\log p(y \mid z)` in nats per labelled word; sums go over the tags that are missing.

        Args:
            z: features ``(B, L, D)``.
            y: tags ``(B, L)`` in ``[0, C)``, or -100.

        Raises:
            ValueError: if a tag may not follow the one before it.
        """
        s, there, at = self._words(z)
        y = y.gather(1, at)
        told = known(y) & there
        self._check(y.clamp(min=0), told)
        p, after, first, last = _exp(s), self._after(), self._first(), self.ends[1].exp()
        own = nn.functional.one_hot(y.clamp(min=0), s.shape[2]).to(p).where(told[:, :, None], 1.0)
        of_row, of_all = (_along(part, after, first, there, last)[1] for part in (p * own, p))
        return (of_all - of_row).sum() / told.sum().clamp(min=1)

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Give the likeliest row of tags, ``(B, L)`` int64; -100 at what is no word."""
        s, there, at = self._words(z)
        found = self._best(s, there).where(there, MISSING)
        return found.new_full(z.shape[:2], MISSING).scatter(1, at, found)

    @torch.no_grad()
    def _best(self, s: Tensor, there: Tensor) -> Tensor:
        """Give the likeliest row of tags of scores ``(B, W, C)``, ``(B, W)`` (Viterbi)."""
        follows = self.follows.masked_fill(~self.may, -torch.inf)
        best = self.ends[0].masked_fill(~self.begins, -torch.inf) + s[:, 0]
        same, back = torch.arange(s.shape[2], device=s.device), []
        for place in range(1, s.shape[1]):
            score, tag = (best[:, :, None] + follows).max(1)
            on = there[:, place, None]
            back.append(torch.where(on, tag, same))
            best = torch.where(on, score + s[:, place], best)
        tags = [(best + self.ends[1]).argmax(1)]
        for tag in reversed(back):
            tags.append(tag.gather(1, tags[-1][:, None])[:, 0])
        return torch.stack(tags[::-1], 1)

    def _words(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score the tags of each word ``(B, W, C)``; tell where words are, ``(B, W)``, and their places."""
        there = (z != 0).any(2)
        many = max(1, int(there.sum(1).max())) if len(z) else 1
        at = (~there).to(torch.uint8).argsort(dim=1, stable=True)[:, :many]
        words = z.gather(1, at[:, :, None].expand(-1, -1, z.shape[2]))
        return self.scores(words), there.gather(1, at), at

    def _after(self) -> Tensor:
        return self.follows.exp() * self.may

    def _first(self) -> Tensor:
        return self.ends[0].exp() * self.begins

    def _check(self, y: Tensor, told: Tensor) -> None:
        """Raise ``ValueError`` where a tag stands behind one that it may not follow."""
        one, other = y[:, :-1], y[:, 1:]
        against = ~self.may[one, other] & told[:, :-1] & told[:, 1:]
        begins = ~self.begins[y[:, 0]] & told[:, 0]
        if not (against.any() or begins.any()):
            return
        tags: list[Label] = self.settings["tags"]
        if begins.any():
            found = f"{tags[int(y[begins][0, 0])]!r} at the beginning of a row"
        else:
            found = f"{tags[int(other[against][0])]!r} behind {tags[int(one[against][0])]!r}"
        expected = "`I-` behind the same type"
        hint = (
            "write the first tag of each span as `B-`, or take the head of `Tokens`, which has no such rule"
        )
        raise wrong("tags of a row", expected=expected, found=found, hint=hint)


def _along(
    p: Tensor, after: Tensor, start: Tensor, there: Tensor, last: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Give how well each tag goes with the words before it, ``(B, W, C)``; what is no word passes that on.

    Returns:
        that, and the logarithm of what rows of tags come to in all, ``(B,)``, where words stand first.
    """
    told, size = [start.expand_as(p[:, 0])], p.new_zeros(len(p))
    for place in range(p.shape[1] - 1):
        on = (told[-1] * p[:, place]) @ after
        whole, here = on.sum(1, keepdim=True), (there[:, place] & there[:, place + 1])[:, None]
        told.append(torch.where(here, on / whole, told[-1]))
        size = size + torch.where(here, whole.log(), 0)[:, 0]
    if last is not None:
        end = (there.sum(1) - 1).clamp(min=0)[:, None, None].expand(-1, 1, p.shape[2])
        size = size + ((told[-1] * p.gather(1, end)[:, 0]) @ last).log()
    return torch.stack(told, 1), size


def _exp(s: Tensor) -> Tensor:
    """Give powers of e relative to the highest, none so small that sums along a row lose them."""
    least = math.log(torch.finfo(s.dtype).tiny) / 3
    return (s - s.amax(2, keepdim=True)).clamp(min=least).exp()


def _log(p: Tensor) -> Tensor:
    return p.clamp(min=torch.finfo(p.dtype).tiny).log()
