"""Strategies that reuse nothing, for answers at places: each word or pixel is answered by itself.

What reuse gains can only be told beside them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...models import Net
from ...models.backbones.pointwise import Ids
from ...models.heads import Lookup
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial


def lexicon(trial: Trial) -> Trained:
    r"""Answer each word by how often it had each tag; a word that was never seen by the rare ones.

    .. math:: \log(n_{wc} + \alpha p_c)

    with the share :math:`p_c` of tag ``c`` among words that occur once: words to come are rather like those.
    """
    kind, rows = trial.target.kind, trial.labelled()
    assert isinstance(rows.x, Tensor)
    words, tags = kind.entries(rows.x, rows.y)
    count, alpha = len(kind.classes), float(trial.settings["alpha"])
    seen = torch.zeros(int(words.max()) + 1, count, dtype=torch.float64)
    seen.index_put_((words.long().cpu(), tags.cpu()), torch.ones((), dtype=torch.float64), accumulate=True)
    rare = seen[seen.sum(1) == 1].sum(0) + seen.sum(0) / seen.sum()  # the latter where no word is rare
    head = Lookup(len(seen), count)
    head.table.copy_((seen + alpha * rare / rare.sum()).clamp(min=1e-9).log())
    return Trained(Net(Ids(), {trial.target.name: kind.placed(head)}).to(trial.problem.on).eval(), {})


RAW_LEXICON = Strategy(
    name="raw+lexicon",
    run=lexicon,
    summary="the commonest tag of each word",
    options=rates(1.0, 0.1, 10.0, name="alpha"),
    needs=needs.lexicon,
)
