r"""Spans that tags mark: a name of several words begins with ``B-`` and goes on with ``I-``.

Shapes: ``R`` reweightings, ``n`` tokens of all texts, one behind the other.

References:
    Tjong Kim Sang & De Meulder (CoNLL 2003), section 2, https://aclanthology.org/W03-0419
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def marks_spans(classes: Sequence[object]) -> bool:
    """Tell whether classes are tags of spans: ``O``, and each other one ``B-`` or ``I-`` and a type.

    Example:
        >>> marks_spans(["O", "B-city", "I-city"]), marks_spans(["NOUN", "VERB"])
        (True, False)
    """
    tags = [str(c) for c in classes]
    return "O" in tags and any(t.startswith("B-") for t in tags) and all(
        t == "O" or (t[:2] in ("B-", "I-") and len(t) > 2) for t in tags
    )  # fmt: skip


def may_follow(classes: Sequence[object]) -> tuple[Tensor, Tensor]:
    """Tell which tags may begin a text, ``(C,)``, and which may follow which, ``(C, C)``, from row to column.

    An ``I-`` goes on with its own type alone; tags that mark no spans may stand in any order.

    Example:
        >>> may_follow(["O", "B-city", "I-city"])[1].int().tolist()
        [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    """
    tags = [str(c) for c in classes]
    inside = [marks_spans(tags) and tag.startswith("I-") for tag in tags]
    may = [[not go or one[2:] == tag[2:] for tag, go in zip(tags, inside, strict=True)] for one in tags]
    return ~torch.tensor(inside), torch.tensor(may)


@dataclass(frozen=True)
class Spans:
    r"""Score the spans that are found: F1 over spans, right in both ends and the type.

    .. math:: 2 TP / (2 TP + FP + FN)

    A span begins at a ``B-``, and at an ``I-`` that goes on with nothing of its type, as CoNLL's script
    reads it. A span weighs what its first token does.

    Args:
        classes: the tags.

    Example:
        >>> said = torch.eye(3)[[1, 2, 0, 1]]  # two spans, of which one is right
        >>> is_ = torch.tensor([[1, 0], [2, 0], [0, 0], [0, 0]])
        >>> round(Spans(("O", "B-city", "I-city"))(said, is_, torch.ones(1, 4)).item(), 3)
        0.667
    """

    classes: tuple[str, ...]

    def __call__(self, p: Tensor, t: Tensor, w: Tensor) -> Tensor:
        """Score logits ``p (n, C)`` against tags and the number of their text ``t (n, 2)``."""
        (begins, kind, end), (also, same, there) = (
            self._found(tags, t[:, 1]) for tags in (p.argmax(1), t[:, 0])
        )
        right = begins & also & (kind == same) & (end == there)
        said, is_ = w @ begins.to(w), w @ also.to(w)
        return 2 * (w @ right.to(w)) / (said + is_)

    def _found(self, tags: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tell where spans begin; and for every token its type and where what it is in ends."""
        types = sorted({c[2:] for c in self.classes if c != "O"})
        of = torch.tensor([-1 if c == "O" else types.index(c[2:]) for c in self.classes])
        opens = torch.tensor([c.startswith("B-") for c in self.classes])
        kind, first = of[tags], opens[tags]
        new = torch.ones(len(tags), dtype=torch.bool)
        new[1:] = first[1:] | (kind[1:] != kind[:-1]) | (text[1:] != text[:-1])
        # A token ends where the next new one stands.
        place = torch.arange(len(tags) + 1)
        after = torch.where(torch.cat([new[1:], new.new_ones(1)]), place[1:], len(tags))
        end = after.flip(0).cummin(0).values.flip(0) if len(tags) else after
        return new & (kind >= 0), kind, end
