"""Strategies that reuse nothing, for answers at places: each word or pixel is answered by itself.

What reuse gains can only be told beside them.
"""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor, nn

from ...models import Backbone, Net
from ...models.backbones.pointwise import LEVELS, Greys, Pixels
from ...models.backbones.spelled import Spelled, Written
from ...models.heads import Lookup, Sums
from .. import needs
from ..situation import facts_of
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .linear import PASSES, linear_head, quiet, regression
from .plain import planes

WORDS = 50_000  # with a tag, that a learner goes through in seconds


def lexicon(trial: Trial) -> Trained:
    r"""Answer each word by how often it had each tag; a word that was never seen by the rare ones.

    .. math:: \log(n_{wc} + \alpha p_c)

    with the share :math:`p_c` of tag ``c`` among words that occur once: words to come are rather like those.
    """
    kind, rows = trial.target.kind, trial.labelled().to("cpu")
    assert isinstance(rows.x, Tensor)
    special = _special(trial)
    words, tags = kind.entries(Spelled(0, special).facts(rows.x)[..., 0], rows.y)
    known, words = words.unique(return_inverse=True)
    backbone = Spelled(len(known), special)
    backbone.known.copy_(known)
    count, alpha = len(kind.classes), float(trial.settings["alpha"])
    seen = torch.zeros(1 + len(known), count, dtype=torch.float64)  # the first stands for all others
    seen.index_put_((words + 1, tags), torch.ones((), dtype=torch.float64), accumulate=True)
    rare = seen[seen.sum(1) == 1].sum(0) + seen.sum(0) / seen.sum()  # the latter where no word is rare
    head = Lookup(len(seen), count)
    head.table.copy_((seen + alpha * rare / rare.sum()).clamp(min=1e-9).log())
    return _answering(trial, backbone, kind.placed(head))


def _special(trial: Trial) -> list[int]:
    """List the numbers of tokens that are part of no word, such as the mark of an end."""
    return list(facts_of(trial.target).get("special", []))


def _answering(trial: Trial, backbone: Backbone, head: nn.Module) -> Trained:
    return Trained(Net(backbone, {trial.target.name: head}).to(trial.problem.on).eval(), {})


RAW_LEXICON = Strategy(
    name="raw+lexicon",
    run=lexicon,
    summary="the commonest tag of each word",
    options=rates(1.0, 0.1, 10.0, name="alpha"),
    needs=needs.lexicon,
    builds=False,
)


def windows(trial: Trial) -> Trained:
    """Fit a logistic regression on each word, how it is written, and the words beside it.

    Rows keep how words are written beside their tokens: a tokenizer without capitals takes none from it. Of
    the words of large sets 50,000 are drawn.

    Differs from the paper:
        tags of the words before are no features, so that no search for the likeliest row of tags is needed;
        three first letters at most, and frequent words have them as well as rare ones.

    References:
        Ratnaparkhi (EMNLP 1996), https://aclanthology.org/W96-0213/
    """
    from scipy import sparse

    kind, rows, special = trial.target.kind, trial.labelled().to("cpu"), _special(trial)
    assert isinstance(rows.x, Tensor)
    facts, tags = kind.entries(Written(0, special).facts(rows.x), rows.y)
    some = torch.randperm(len(facts), generator=trial.generator("words of a learner"))[:WORDS]
    facts, tags = facts[some], tags[some]
    known, columns = facts.unique(return_inverse=True)
    backbone = Written(len(known), special)
    backbone.known.copy_(known)
    ends = torch.arange(0, facts.numel() + 1, facts.shape[1])
    ones = numpy.ones(facts.numel())
    z = sparse.csr_matrix((ones, columns.flatten().numpy(), ends.numpy()), (len(facts), len(known)))
    head = Sums(1 + len(known), len(kind.classes))  # the first stands for what was never seen
    plane = planes(quiet(regression(trial).set_params(max_iter=PASSES), z, tags.numpy()), kind.single)
    head.table[1:] = plane.weight.detach().T
    head.offset.copy_(plane.bias.detach())
    return _answering(trial, backbone, kind.placed(head))


RAW_WINDOW = Strategy(
    name="raw+window",
    run=windows,
    summary="logistic regression on each word and its neighbours",
    options=rates(1.0, 0.1, 10.0, name="C"),
    needs=needs.lexicon,
    builds=False,
)


def threshold(trial: Trial) -> Trained:
    """Tell two classes apart by one level of grey: the level and the classes that agree best in training.

    That is by the sum of both classes' intersection over union; a third class is never the answer.

    References:
        One level for a whole image goes back to Otsu (IEEE SMC 1979), who had no labels.
    """
    kind, rows = trial.target.kind, trial.labelled().to("cpu")
    assert isinstance(rows.x, Tensor)
    backbone, grey = Greys(), rows.x.mean(1)
    backbone.low.copy_(grey.min())
    backbone.high.copy_(torch.maximum(grey.max(), grey.min() + 1e-6))
    level, is_ = kind.entries(backbone.places(rows.x), rows.y)
    many = len(kind.classes)
    counts = (level[:, 0] * many + is_).bincount(minlength=LEVELS * many).double().reshape(LEVELS, many)
    below, whole = counts.cumsum(0), counts.sum(0)
    agrees = [
        part / (whole + part.sum(1, keepdim=True) - part).clamp(min=1) for part in (below, whole - below)
    ]
    both = agrees[0][:, :, None] + agrees[1][:, None, :] - 2 * torch.eye(many)  # two classes
    at, dark, light = (int(i) for i in torch.unravel_index(both.argmax(), both.shape))
    head = Lookup(LEVELS, many)
    head.table[: at + 1, dark] = 1.0
    head.table[at + 1 :, light] = 1.0
    return _answering(trial, backbone, kind.placed(head))


RAW_THRESHOLD = Strategy(
    name="raw+threshold",
    run=threshold,
    summary="one level of grey that tells two classes apart",
    needs=needs.levels,
    builds=False,
)


def pixels(trial: Trial) -> Trained:
    """Fit a logistic regression, or one of numbers, on the colours of each pixel by itself."""
    rows = trial.labelled().to("cpu")
    assert isinstance(rows.x, Tensor)
    backbone = Pixels(rows.x.shape[1])
    colours = rows.x.movedim(1, -1).flatten(0, -2).double()
    backbone.mean.copy_(colours.mean(0))
    backbone.spread.copy_(colours.std(0).clamp(min=1e-6))
    model = regression(trial) if trial.target.kind.classes else ridge(trial)
    return _answering(trial, backbone, linear_head(trial, backbone.places(rows.x), model))


def ridge(trial: Trial) -> Any:
    """Make a regression of numbers whose penalty is as large beside the rows as that of classes."""
    from sklearn.linear_model import Ridge

    return Ridge(alpha=1 / trial.settings["C"])


RAW_PIXELS = Strategy(
    name="raw+pixels",
    run=pixels,
    summary="linear regression on the colours of each pixel, logistic of classes",
    options=rates(1.0, 0.1, 10.0, name="C"),
    needs=needs.pixels,
    builds=False,
)
