"""Strategies that read the names of the classes: texts for the encoder, as the rows are.

Shapes: ``C`` classes, ``D`` features.

References:
    Müller et al. (ACL 2022), https://arxiv.org/abs/2203.14655
    Tunstall et al. (2022), https://arxiv.org/abs/2209.11055
"""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch.nn.functional import pad

from ...datasets.readers.text import TextEncoding
from ...errors import wrong
from ...maths import unit
from ...models import Net, freeze
from ...models.heads import Sphere
from ...tasks import Labelled
from .. import needs
from ..situation import Situation
from ..strategy import Strategy
from ..trial import Trained, Trial
from .contrastive import TUNED, contrastive
from .features import EXTRACTOR, fitted
from .finetune import START
from .left_out import penalty
from .linear import regression
from .wording import AS_NAMED, worded

SHARPNESS = 20.0  # of cosines, as sentence encoders are trained with


def names(trial: Trial) -> Trained:
    """Answer the class whose name lies nearest to a row, by the cosine of features; no label is learned from.

    Differs from the paper:
        names stand alone, without a sentence around them; ``words`` may say more.
    """
    net, kind = trial.pretrained(), trial.target.kind
    freeze(net.backbone)
    with torch.no_grad():
        x = labels(trial).to(trial.problem.on).x
        z = SHARPNESS * unit(trial.starts.features(net, x, trial.target.name))
    head = Sphere(z.shape[1], kind.outputs).to(z.device)
    head.weight.copy_(z[1:] - z[:1] if kind.outputs == 1 else z)
    return Trained(Net(net.backbone, {trial.target.name: head}), {})


def names_logreg(trial: Trial) -> Trained:
    """Fit a logistic regression on frozen features of the rows, and of the names of the classes beside them.

    The penalty is the one that rows choose which are left out, as for ``features+logreg``; names have no say.

    Differs from the paper:
        a name is a row of its class; the paper starts from names and moves them by the rows' labels.
    """
    net = trial.pretrained()
    freeze(net.backbone)
    chosen = {"C": penalty(trial, trial.features(net))}
    more = replace(beside(trial), settings={**trial.settings, **chosen})
    return replace(fitted(more, net, regression(more)), told=chosen)


def names_contrastive(trial: Trial) -> Trained:
    """Tune and fit as ``contrastive`` does, with the name of each class as one more row of it.

    Where a class has one row, its name is the other that this row is to lie near.
    """
    return contrastive(beside(trial))


def beside(trial: Trial) -> Trial:
    """Put the name of each class beside the target's labelled rows, as a row of that class."""
    rows, more = trial.labelled(), labels(trial)
    assert isinstance(rows.x, torch.Tensor)  # `needs` has asked for token ids
    assert isinstance(more.x, torch.Tensor)
    x = torch.cat([rows.x, pad(more.x, (0, rows.x.shape[1] - more.x.shape[1])).to(rows.x)])
    y = torch.cat([rows.y, more.y.to(rows.y)])
    target = replace(trial.target, train=Labelled(x, y, rows.complete))
    others = trial.targets[1:]
    return replace(trial, problem=trial.problem.with_rows(targets=(target, *others)))


def labels(trial: Trial) -> Labelled:
    """Cut the names of the classes, or the setting ``words``, as the rows were; ``C`` rows."""
    target, classes = trial.target, trial.target.kind.classes
    given = worded(trial, [readable(str(name)) for name in classes])
    if bare := [text for text in given if not any(map(str.isalpha, text))]:
        expected, hint = "words, that an encoder can read", 'say what they are: `words = ["good", "bad"]`'
        raise wrong("names of the classes", expected=expected, found=repr(bare[0]), hint=hint)
    assert isinstance(target.encoding, TextEncoding)  # `needs` has asked
    return Labelled(target.encoding.of(given), torch.arange(len(classes)), complete=True)


def readable(name: str) -> str:
    """Write a name as words.

    Example:
        >>> readable("transfer_money"), readable("PlayMusic")
        ('transfer money', 'Play Music')
    """
    return " ".join(re.sub(r"[_-]|(?<=[a-z])(?=[A-Z])", " ", name).split())


def named(situation: Situation) -> str:
    """Ask for texts of one class each, of which it is known how they were cut, and a start."""
    if reason := needs.words(situation) or needs.classes(situation):
        return reason
    cut = isinstance(situation.target.encoding, TextEncoding)
    return "" if cut else "the target's rows do not say how names are to be cut"


MULLER = "[Müller et al. 2022](https://arxiv.org/abs/2203.14655)"
NAMES = Strategy(
    name="names",
    run=names,
    summary="the class whose name lies nearest, by a frozen encoder",
    options=[AS_NAMED],
    needs=named,
    reused=EXTRACTOR,
    frozen="all",
    paper=MULLER,
)
NAMES_LOGREG = Strategy(
    name="names+logreg",
    run=names_logreg,
    summary="logistic regression on frozen features of rows and of the classes' names",
    options=[{"C": C, **AS_NAMED} for C in (10.0, 1.0, 100.0)],
    needs=named,
    reused=EXTRACTOR,
    frozen="backbone",
    paper=MULLER,
)
NAMES_CONTRASTIVE = Strategy(
    name="names+contrastive",
    run=names_contrastive,
    summary="`contrastive`, with the classes' names as rows",
    options=[{**one, **AS_NAMED} for one in TUNED],
    needs=named,
    reused=START,
    frozen="normalisation",
    paper="[Tunstall et al. 2022](https://arxiv.org/abs/2209.11055)",
)
