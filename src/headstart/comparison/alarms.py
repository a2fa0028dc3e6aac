"""What looks wrong in answers to rows without labels: alarms that whoever has no label can hear.

A way is looked at by its answers alone. An alarm is no proof, and silence is none either: labels that a
source has turned around leave answers that look as good as any, until another source contradicts them.

===================  ================================================================================
one class            nearly all rows get one class, which not nearly all of the sources' rows have
class shares         the answers' class shares are far from those of the sources' rows. If the target's
                     classes are shared as the sources' are, at least the distance (total variation) of
                     the answers is wrong
little information   knowing the row, the answer is hardly surer than the class shares alone make it
contradiction        what is learned from one source alone answers otherwise than what is learned from
                     another: on each such row one of them is wrong
===================  ================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..measure import information as informed
from ..tasks import Inputs, Kind, Lazy, X
from ..tasks.nouns import rows, take

MOST = 2000  # rows that are looked at, spread over all
ONE = 0.95  # share of one class from which on nearly all answers are of it
PRIOR = 0.9  # share in the sources from which on that is no wonder
FAR = 0.2  # distance between class shares, beside what drawing so few rows gives: a fifth of the answers
LITTLE = 0.03  # of the entropy of the class shares: as of honest answers, right in 60 % of two classes
APART = 0.5  # of the rows


def some(bare: Inputs | Lazy) -> X:
    """Take rows spread over all, as files may be in the order of their classes."""
    count = rows(bare.x) if bare.held else len(bare)
    at = torch.linspace(0, count - 1, min(count, MOST)).long().unique()
    return take(bare.x, at) if bare.held else bare.take(at).x


def seen(kind: Kind, outputs: Tensor) -> dict[str, Any] | None:
    """Say what is to be kept of a net's answers to rows without labels; None where classes are not exclusive.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> seen(Multiclass(2), torch.tensor([[50.0, 0], [0, 50], [0, 50], [0, 50]]))
        {'rows': 4, 'answers': [0, 1, 1, 1], 'shares': [0.25, 0.75], 'information': 0.562...}
    """
    p = kind.probabilities(outputs.double().cpu()) if kind.exclusive and len(outputs) else None
    if p is None:
        return None
    answers = p.argmax(1)
    shares = answers.bincount(minlength=p.shape[1]) / len(p)
    return {
        "rows": len(p),
        "answers": answers.tolist(),
        "shares": shares.tolist(),
        "information": informed(p),
    }


def raised(told: Sequence[Mapping[str, Any]], prior: Sequence[float]) -> list[dict[str, Any]]:
    """List the alarms that a way raises over its seeds, each with its value and the limit that it passed.

    Args:
        told: what ``seen`` said, by seed.
        prior: share of each class in the rows of the sources.

    Example:
        >>> told = {"rows": 100, "shares": [0.98, 0.02], "information": 0.0}
        >>> [(each["alarm"], each["value"]) for each in raised([told], [0.5, 0.5])]
        [('one class', 0.98), ('little information', 0.0)]
        >>> raised([told], [0.97, 0.03])[0]["alarm"]
        'little information'
    """
    expected = torch.tensor(prior, dtype=torch.float64)
    if not told or not prior or not 0 < float(expected.max()) < 1:
        return []
    shares = torch.tensor([each["shares"] for each in told], dtype=torch.float64).mean(0)
    information = (
        sum(each["information"] for each in told) / len(told) / float(torch.special.entr(expected).sum())
    )
    distance, top = float((shares - expected).abs().sum() / 2), int(shares.argmax())
    count = min(each["rows"] for each in told)
    far = FAR + ((len(prior) - 1) / (2 * torch.pi * count)) ** 0.5  # its mean where shares are equal
    found = []
    if float(shares[top]) >= ONE and float(expected[top]) < PRIOR:
        found.append({"alarm": "one class", "value": float(shares[top]), "limit": ONE})
    elif distance > far:
        found.append({"alarm": "class shares", "value": distance, "limit": far})
    if information < LITTLE:
        found.append({"alarm": "little information", "value": information, "limit": LITTLE})
    return found


def contradiction(
    ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """List the alarm, if there is one, that two ways answer otherwise than each other, over their seeds.

    Example:
        >>> one, other = {"answers": [0, 1, 1, 0]}, {"answers": [1, 0, 0, 0]}
        >>> contradiction([one], [other]), contradiction([one], [one])
        ([{'alarm': 'contradiction', 'value': 0.75, 'limit': 0.5}], [])
    """
    pairs = [
        (a, b)
        for one, other in zip(ours, theirs, strict=False)
        for a, b in zip(one["answers"], other["answers"], strict=True)
    ]
    apart = sum(a != b for a, b in pairs) / max(1, len(pairs))
    return [{"alarm": "contradiction", "value": apart, "limit": APART}] if apart >= APART else []
