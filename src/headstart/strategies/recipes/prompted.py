"""Strategies that ask a language model in words, and train nothing.

Shapes: ``N`` texts, ``K`` classes.

References:
    Brown et al. (NeurIPS 2020), https://arxiv.org/abs/2005.14165
    Zhao et al. (ICML 2021), https://arxiv.org/abs/2102.09690
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn

from ...datasets.readers.pieces import MOST, piece_ids
from ...engine import seeded
from ...errors import wrong
from ...models import Net, freeze
from ...models.backbones.prompted import Prompted, not_to_be_asked
from ...models.net import as_backbone
from ...tasks import Labelled
from ...transfer import contextual_calibration
from .. import needs
from ..situation import Situation, facts_of
from ..strategy import Strategy
from ..trial import Trained, Trial
from .wording import AS_NAMED, worded

TEMPLATES = ("{text}\nLabel: {label}", "{text}\nThis is about: {label}", "{text} It was {label}")
BETWEEN = "\n\n"
EXAMPLES = (8, 4, 16)
EMPTY = ("", "N/A", "[MASK]")
MODEL = "the language model, as it is"


@dataclass(frozen=True, eq=False)
class Prompt:
    """A template as tokens, and the words for the classes.

    Args:
        start: what the tokenizer puts before any text.
        before: what stands before a text.
        behind: what stands between a text and its word.
        words: of each class.
        between: what stands between examples.
        special: numbers that stand for no text.
    """

    start: list[int]
    before: list[int]
    behind: list[int]
    words: list[list[int]]
    between: list[int]
    special: list[int]

    @classmethod
    def of(cls, trial: Trial) -> Prompt:
        """Cut the trial's template and words by the tokenizer of its rows."""
        facts, template = facts_of(trial.target), str(trial.settings["template"])
        before, text, rest = template.partition("{text}")
        behind, label, end = rest.partition("{label}")
        if not (text and label) or end.strip():
            expected = "{text}, something behind it and {label} at the end"
            raise wrong("`template`", expected=expected, found=repr(template))
        given = worded(trial, [str(name).replace("_", " ") for name in trial.target.kind.classes])
        space = " " * (len(behind) - len(behind.rstrip(" ")))
        texts = [before, behind.rstrip(" "), BETWEEN, *(space + word for word in given)]
        special = list(facts["special"])
        some, *cut = piece_ids(["a", *texts], facts["tokenizer"], MOST)
        first, second, between, *words = ([n for n in part if n not in special] for part in cut)
        start = list(takewhile(special.__contains__, some))
        return cls(start, first, second, words, between, special)

    def example(self, row: Tensor, label: int) -> list[int]:
        """Write a labelled row out."""
        text = [n for n in row.tolist() if n and n not in self.special]
        return [*self.before, *text, *self.behind, *self.words[label], *self.between]

    def ask(self, model: nn.Module, examples: Sequence[int] = ()) -> Prompted:
        """Put the prompt around a model, behind some examples."""
        before = [*self.start, *examples, *self.before]
        about = as_backbone(model)
        assert about is not None  # `asked` has asked for it
        return Prompted(about, before, self.behind, self.words, self.special)


def prompt(trial: Trial) -> Trained:
    """Put each row into a template, and answer the class whose words are the likeliest behind it.

    No label of the target is learned from. The words are the names of the classes, or ``words``.

    Differs from the paper:
        all tokens of a word count, and likelihoods are not divided by those without the text; texts and parts
        of the template are cut into tokens each by itself.
    """
    made = Prompt.of(trial)
    asked = made.ask(trial.pretrained().backbone)
    return _answering(trial, asked, _as_it_is(asked.width), 0)


def prompt_examples(trial: Trial) -> Trained:
    """Put labelled rows before each row, each with its word, and answer as ``prompt`` does.

    Rows are drawn, of each class as many as of any other, in an order that is drawn. Those that the model has
    no room for are left out: half of what it reads stays for the row.

    Differs from the paper:
        as ``prompt``; classes are drawn alike.
    """
    asked, count = _behind_examples(trial)
    return _answering(trial, asked, _as_it_is(asked.width), count)


def prompt_calibrated(trial: Trial) -> Trained:
    """Answer as ``prompt+examples`` does, less what the model says of texts without content.

    These are the empty text, ``N/A`` and ``[MASK]``, behind the same examples.

    Differs from the paper:
        as ``prompt+examples``; a word's likelihood is that of all its tokens, not of the first.
    """
    asked, count = _behind_examples(trial)
    asked.eval()
    cut = piece_ids(EMPTY, facts_of(trial.target)["tokenizer"], MOST)
    rows = torch.zeros(len(cut), max(map(len, cut), default=0) or 1, dtype=torch.long)
    for row, numbers in zip(rows, cut, strict=True):
        row[: len(numbers)] = torch.tensor(numbers, dtype=torch.long)
    with torch.no_grad():
        head = contextual_calibration(asked(rows.to(trial.problem.on)))
    return _answering(trial, asked, head, count)


def _behind_examples(trial: Trial) -> tuple[Prompted, int]:
    """Put labelled rows before the prompt, of each class alike, as many as there is room for; count them."""
    made, model = Prompt.of(trial), trial.pretrained().backbone
    rows: Labelled = trial.labelled().to("cpu")
    assert isinstance(rows.x, Tensor)
    y = trial.target.kind.numbers(rows.y)
    order = torch.randperm(len(y), generator=trial.generator("examples"))
    turn = torch.zeros(len(y), dtype=torch.long)
    seen: dict[int, int] = {}
    for at in order.tolist():
        turn[at] = seen.get(int(y[at]), 0)
        seen[int(y[at])] = int(turn[at]) + 1
    drawn = order[turn[order].argsort(stable=True)][: int(trial.settings["examples"])]
    drawn = drawn[torch.randperm(len(drawn), generator=trial.generator("order of examples"))]
    about: Any = as_backbone(model)
    most = about.limit // 2
    said: list[int] = []
    count = 0
    for at in drawn.tolist():
        one = made.example(rows.x[at], int(y[at]))
        if len(said) + len(one) <= most:
            said, count = said + one, count + 1
    return made.ask(model, said), count


def _as_it_is(width: int) -> nn.Linear:
    return contextual_calibration(torch.zeros(1, width))


def _answering(trial: Trial, asked: Prompted, head: nn.Linear, examples: int) -> Trained:
    net = Net(freeze(asked), {trial.target.name: freeze(head)})
    return Trained(net.to(trial.problem.on), {}, {"examples": examples})


def decoder(situation: Situation) -> str:
    """Ask for texts of one class each, and a pretrained language model of the GPT family."""
    if reason := needs.words(situation):
        return reason
    if "tokenizer" not in facts_of(situation.target):
        return "the target's rows are not cut by the tokenizer of a model"
    if not situation.comes_pretrained():
        return "the backbone is not pretrained"
    with seeded(0):
        reason = not_to_be_asked(situation.build(pretrained=False))
    return f"the backbone is {reason}" if reason else ""


_SHOWN = [{"template": TEMPLATES[0], **AS_NAMED, "examples": count} for count in EXAMPLES]
PROMPT = Strategy(
    name="prompt",
    run=prompt,
    summary="the class whose name a language model finds likeliest",
    options=[{"template": template, **AS_NAMED} for template in TEMPLATES],
    needs=decoder,
    reused=MODEL,
    frozen="all",
    paper="[Brown et al. 2020](https://arxiv.org/abs/2005.14165)",
)
PROMPT_EXAMPLES = Strategy(
    name="prompt+examples",
    run=prompt_examples,
    summary="the same, behind labelled rows in the prompt",
    options=_SHOWN,
    needs=decoder,
    reused=MODEL,
    frozen="all",
    paper="[Brown et al. 2020](https://arxiv.org/abs/2005.14165)",
)
PROMPT_CALIBRATED = Strategy(
    name="prompt+calibrated",
    run=prompt_calibrated,
    summary="the same, less what the model says of no text",
    options=_SHOWN,
    needs=decoder,
    reused=MODEL,
    frozen="all",
    paper="[Zhao et al. 2021](https://arxiv.org/abs/2102.09690)",
)
