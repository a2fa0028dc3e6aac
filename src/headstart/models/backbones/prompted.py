"""A decoder that is asked in words: the likelihoods of some words as features.

Shapes: ``B`` rows, ``L`` tokens, ``K`` words to choose from, ``V`` pieces of the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from ...errors import wrong
from ..net import Backbone, as_backbone
from .hf import import_transformers
from .tokenizer import tokens_of

SCALED = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "lm_head_multiplier",
)  # of some families


@final
class Prompted(Backbone):
    r"""Ask a language model for the likelihood of some words behind a text.

    A row is put into a template: tokens before it, tokens behind it, and then each of the words in turn. With
    :math:`w_{k1} \ldots w_{kn}` the tokens of word ``k`` and :math:`c` all that stands before it, features
    are

    .. math:: z_k = \sum_j \log p(w_{kj} \mid c, w_{k1} \ldots w_{k, j-1})

    Examples for learning in context are part of what stands before. The parts are tokens already, each cut by
    itself; a row that is too long for the model is cut at its end.

    Args:
        model: a decoder of text, as ``hf`` builds it, whose output layer is its table of pieces, as in GPT-2.
        before: token numbers, as in rows.
        behind: likewise.
        words: likewise, of each word; at least two.
        special: numbers of tokens in rows that stand for no text, which are left out.

    Shape:
        ``x (B, L)`` token numbers that end in 0; returns log-likelihoods ``(B, K)`` in nats.

    Raises:
        ValueError: if the model is no such decoder, a word has no token, or too little room is left for rows.

    References:
        Brown et al. (NeurIPS 2020), section 2.4, https://arxiv.org/abs/2005.14165
    """

    use = "prompted"

    def __init__(
        self,
        model: Backbone,
        before: Sequence[int],
        behind: Sequence[int],
        words: Sequence[Sequence[int]],
        special: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if reason := not_to_be_asked(model):
            expected = "a decoder of text of the GPT family"
            raise wrong("`model`", expected=expected, found=reason)
        if len(words) < 2 or not all(map(len, words)):
            raise wrong("`words`", expected="at least two, of a token or more each", found=list(words))
        if not len(before) + len(behind):
            expected = "at least one token before the words"
            raise wrong("template", expected=expected, found="none")
        about: Any = model
        self.settings = {
            "model": {"use": model.use, "settings": model.settings}, "before": list(before),
            "behind": list(behind), "words": [list(word) for word in words], "special": list(special),
        }  # fmt: skip
        self.model, self.width, self.tokenizer = model, len(words), model.tokenizer
        self.room: int = about.limit - len(before) - len(behind) - max(map(len, words)) + 1
        if self.room < 1:
            found = f"{len(before) + len(behind)} tokens of a template in a model of {about.limit}"
            raise wrong("template", expected="room for a row", found=found, hint="take fewer examples")

    def forward(self, x: Tensor) -> Tensor:
        """Return the log-likelihood of each word."""
        about: Any = self.model
        known = torch.tensor([0, *self.settings["special"]], device=x.device)
        x = torch.where(torch.isin(x.abs(), known), 0, x)
        x, there = tokens_of(x, self.use, about.numbers)
        x, there = x[:, : self.room], (there & (x > 0))[:, : self.room]
        said = x.new_zeros(len(x), self.width, dtype=next(about.parameters()).dtype)
        words = self.settings["words"]
        for stem in dict.fromkeys(tuple(word[:-1]) for word in words):
            log_p = self._behind(x, there, stem)  # (B, 1 + tokens of the stem, V)
            for k, word in enumerate(words):
                if tuple(word[:-1]) == stem:
                    at = torch.tensor(word, device=x.device) - about.offset
                    said[:, k] = log_p[:, torch.arange(len(word)), at].sum(1)
        return said

    def _behind(self, x: Tensor, there: Tensor, stem: Sequence[int]) -> Tensor:
        """Return the log-probabilities of what comes after the prompt, and after each token of a stem."""
        about: Any = self.model
        ends = (self.settings["before"], [*self.settings["behind"], *stem])
        first, last = (torch.tensor(end, device=x.device, dtype=x.dtype).expand(len(x), -1) for end in ends)
        whole = torch.cat([first, x, last], 1)
        full = torch.cat([torch.ones_like(first).bool(), there, torch.ones_like(last).bool()], 1)
        order = (~full).to(torch.uint8).argsort(dim=1, stable=True)  # padding goes to the end
        whole, full = whole.gather(1, order), full.gather(1, order)
        ids = torch.where(full, whole - about.offset, about.pad)
        hidden = about.model(input_ids=ids, attention_mask=full.long()).last_hidden_state
        at = full.sum(1, keepdim=True) - 1 - len(stem) + torch.arange(1 + len(stem), device=x.device)
        hidden = hidden.gather(1, at[..., None].expand(-1, -1, hidden.shape[2]))
        table = about.model.get_input_embeddings().weight
        return (hidden @ table.T).log_softmax(2)


def not_to_be_asked(model: nn.Module) -> str:
    """Say why a backbone is no language model that can be asked for words, or ``""``.

    Whether it reads from left to right is tried: its first token must not know of the second.
    """
    about: Any = as_backbone(model)
    inner = getattr(about, "model", None)
    config = getattr(inner, "config", None)
    if config is None:
        return "no text model of transformers"
    transformers: Any = import_transformers()
    if type(config) not in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
        return f"no language model of transformers ({config.model_type})"
    training = about.training
    with torch.no_grad():
        device = next(about.parameters()).device
        x = torch.tensor([[1, 1], [1, 2]], device=device) + about.offset
        first = about.eval().places(x)[:, 0]
    about.train(training)
    if not torch.allclose(first[0], first[1], atol=1e-6):
        return f"an encoder ({config.model_type}), whose tokens know of those behind them"
    if not getattr(config, "tie_word_embeddings", False):
        return f"a decoder with an output layer of its own ({config.model_type}), which its features lack"
    odd = [name for name in SCALED if getattr(config, name, None)]
    return f"a decoder that scales its outputs ({odd[0]})" if odd else ""


def rebuilt(settings: Mapping[str, Any], build: Any) -> Prompted:
    """Build it again from its settings; ``build`` makes the model of its own."""
    return Prompted(build(settings["model"]), **{k: v for k, v in settings.items() if k != "model"})
