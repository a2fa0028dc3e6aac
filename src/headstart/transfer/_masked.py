"""Masked words: learn a language from texts that nobody has labelled.

Shapes: ``B`` texts, ``L`` tokens, ``D`` features, ``V`` pieces of a tokenizer, ``n`` hidden tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import wrong
from ..maths import generator
from ..models import Net
from ..tasks import Labelled, Task, Tokens
from ..tasks.kinds import known
from ..tasks.kinds.placed import AtPlaces

MASKS = ("[MASK]", "<mask>")
HIDDEN, SWAPPED = 0.8, 0.1  # of the tokens that are asked for; the others are seen as they are


@dataclass(frozen=True, eq=False)
class MaskedWords:
    r"""Hide some tokens of each text, and say which they were (masked language modelling of BERT).

    Of the tokens :math:`M` that are asked for, 80 % are hidden behind the tokenizer's mask, 10 % replaced by
    a random piece, and 10 % left, so that the net cannot tell which are asked for:

    .. math:: L = \frac{-1}{|M|} \sum_{i \in M} \log p(x_i \mid \tilde x)

    The answer at each place of a row is the token that stands there, as ``datasets.plain_texts`` makes such a
    task. The head answers the tokens that are asked for and no others, which saves most of its time. What is
    hidden is a function of the seed and of how far the run is, so that training that is resumed hides what it
    would have hidden.

    Args:
        task: of texts whose tokens are their own answers, of kind ``Tokens``; its encoding knows the mask.
        share: of the tokens that are asked for, above 0 and below 1.
        seed: of the draws.

    Shape:
        token numbers ``x (B, L)``, 0 for padding, and the pieces ``y (B, L)`` in ``[0, V)``, -100 where
        nothing is to be asked; returns one scalar under the name of the task, in nats per token that is asked
        for, and nothing where no token was drawn.

    Raises:
        ValueError: if the share is out of its range, or the task is of another kind or its tokenizer has no
            mask.

    Differs from the paper:
        there is no second task of neighbouring sentences, as in RoBERTa; tokens are drawn one by one, and
        anew at every step.

    Example:
        >>> import headstart as hs
        >>> lines = ["a good bolt", "a bad nut", "a good nut"]
        >>> tokens = hs.datasets.train_tokenizer(lines, 60)
        >>> texts = hs.datasets.plain_texts("texts", lines, tokens)
        >>> config = {"model_type": "bert", "vocab_size": texts.kind.outputs, "hidden_size": 8}
        >>> config |= {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        >>> trunk = hs.models.hf("new", weights=None, config=config)
        >>> net = Net(trunk, {"texts": word_head(trunk)})
        >>> sorted(MaskedWords(texts, share=0.5)(net, {"texts": texts.train}, 0.0))
        ['texts']

    References:
        Devlin et al. (NAACL 2019), section 3.1, https://arxiv.org/abs/1810.04805;
        Liu et al. (2019), sections 4.1 and 4.2, https://arxiv.org/abs/1907.11692
    """

    task: Task
    share: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        task, words = self.task, self._words()
        if not 0 < self.share < 1:
            raise wrong("`share`", expected="above 0 and below 1", found=self.share)
        if not isinstance(task.kind, Tokens):
            expected, hint = "tokens that are their own answers", "make it by `hs.datasets.plain_texts`"
            raise wrong(f"task {task.name!r}", expected=expected, found=task.kind.describe(), hint=hint)
        if not any(mask in words for mask in MASKS):
            expected, hint = f"a piece {' or '.join(MASKS)}", "make one by `hs.datasets.train_tokenizer`"
            found = f"none among {len(words)}"
            raise wrong(f"tokenizer of task {task.name!r}", expected=expected, found=found, hint=hint)

    def _words(self) -> tuple[str, ...]:
        return () if self.task.encoding is None else self.task.encoding.words()

    def __call__(self, net: Net, batch: Mapping[str, Labelled], progress: float) -> dict[str, Tensor]:
        """Return the loss of the tokens that were hidden."""
        name = self.task.name
        if name not in batch:
            return {}
        rows = batch[name]
        shown, asked = self.hide(rows, generator(self.seed, "masked words", float(progress).hex()))
        if not bool(asked.any()):
            return {}
        z = net.features(shown, name)[asked]
        return {name: F.cross_entropy(net.answer(z[None], name)[0], rows.y[asked])}

    def hide(self, rows: Labelled, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Hide tokens of rows: return what is shown, and which are asked for, both ``(B, L)``."""
        x, y = rows.x, rows.y
        assert isinstance(x, Tensor)
        asked, chance = torch.rand(2, *x.shape, generator=draws).to(x.device)
        words = self._words()
        mask = next(words.index(mask) + 1 for mask in MASKS if mask in words)
        other = torch.randint(len(self.task.kind.classes), x.shape, generator=draws).to(x.device)
        wanted = (asked < self.share) & known(y)
        hidden = wanted & (chance < HIDDEN)
        swapped = wanted & (chance >= HIDDEN) & (chance < HIDDEN + SWAPPED)
        another = (other + x - y).clamp(min=1)  # numbers in rows may be larger by one than those of pieces
        return torch.where(hidden, mask, torch.where(swapped, another, x)), wanted


def word_head(backbone: nn.Module) -> AtPlaces:
    """Make a head that says which piece stands at each place, as BERT's: its last layer is the table of
    pieces.

    A linear layer, GELU and layer normalisation stand before the table, whose weights are those that the
    backbone reads tokens by.

    Args:
        backbone: a text model, as ``hf`` builds it.

    Shape:
        features ``(B, L, D)`` to ``(B, L, V)``.

    Raises:
        ValueError: if the backbone has no table of pieces as wide as its features.

    Example:
        >>> class Trunk(nn.Embedding):
        ...     width = 4
        >>> trunk = Trunk(9, 4)
        >>> head = word_head(trunk)
        >>> head(trunk(torch.tensor([[1, 2, 3]]))).shape
        torch.Size([1, 3, 9])

    References:
        Devlin et al. (NAACL 2019), https://arxiv.org/abs/1810.04805; Press & Wolf (EACL 2017),
        https://arxiv.org/abs/1608.05859
    """
    tables = [part for part in backbone.modules() if isinstance(part, nn.Embedding)]
    width = getattr(backbone, "width", 0)
    table = max(tables, key=lambda part: part.num_embeddings, default=None)
    if table is None or table.embedding_dim != width:
        found = "none" if table is None else f"one of width {table.embedding_dim}"
        raise wrong("backbone", expected=f"with a table of tokens of width {width}", found=found)
    last = nn.Linear(width, table.num_embeddings)
    last.weight = table.weight
    nn.init.zeros_(last.bias)
    return AtPlaces(nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), last))
