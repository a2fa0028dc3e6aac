"""Texts that nobody has labelled, and a tokenizer of their own.

Shapes: ``N`` texts, ``L`` tokens.
"""

from __future__ import annotations

import importlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ...errors import wrong
from ...tasks import Labelled, Task, Tokens
from ...tasks.kinds import MISSING
from ..options import need
from .pieces import offset, special, tokenizer_text
from .text import PieceEncoding

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FEWEST = 60  # pieces: the five that stand for no text, and letters


def train_tokenizer(texts: Iterable[str], size: int = 8000, *, cased: bool = False) -> str:
    """Learn the word pieces of texts, and return the text of a ``tokenizer.json`` as BERT's.

    Number 0 pads; texts begin with ``[CLS]`` and end with ``[SEP]``; ``[MASK]`` is there for ``MaskedWords``.

    Args:
        texts: as many as there are; the test texts of what is to be measured do not belong among them.
        size: pieces, at most; at least 60.
        cased: keep capitals and accents.

    Raises:
        ValueError: if there is no text, or the size is too small.
        ImportError: if the library tokenizers is not installed.

    Example:
        >>> tokens = train_tokenizer(["a good bolt", "a good nut"], 60)
        >>> from headstart.datasets import plain_texts
        >>> (plain_texts("texts", ["a good nut"], tokens).train.y >= 0).tolist()
        [[False, True, True, True, False]]

    References:
        Schuster & Nakajima (ICASSP 2012), https://doi.org/10.1109/ICASSP.2012.6289079;
        Devlin et al. (NAACL 2019), section 3, https://arxiv.org/abs/1810.04805
    """
    if size < FEWEST:
        raise wrong("`size`", expected=f"at least {FEWEST}", found=size)
    given = [text for text in texts if text.strip()]
    if not given:
        raise wrong("`texts`", expected="at least one with a word", found="none")
    need("tokenizers", "words")
    tokenizers = importlib.import_module("tokenizers")
    normalizer = tokenizers.normalizers.BertNormalizer(lowercase=not cased, strip_accents=not cased)
    cutter = tokenizers.pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in given:
        counts.update(word for word, _ in cutter.pre_tokenize_str(normalizer.normalize_str(text)))
    vocabulary = {piece: at for at, piece in enumerate([*SPECIAL, *_pieces(tokenizers, counts, size)])}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizer, cutter
    made.decoder = tokenizers.decoders.WordPiece()
    made.add_special_tokens(list(SPECIAL))
    marks = [(mark, SPECIAL.index(mark)) for mark in ("[CLS]", "[SEP]")]
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
    )
    made.enable_padding(pad_id=0, pad_token="[PAD]")
    return str(made.to_str())


def _pieces(tokenizers: Any, counts: Counter[str], size: int) -> list[str]:
    """Learn the pieces of words: those that begin one, and those that go on with one, marked by ``##``.

    The library learns pieces of either sort in an order that changes from call to call. So letters behind the
    first of a word are other letters for it, and there is one sort.
    """
    learner = tokenizers.Tokenizer(tokenizers.models.BPE())
    learner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    told = (
        (word[0] + _shifted(word[1:], _BEHIND), n) for word, n in sorted(counts.items()) if max(word) < _TOP
    )
    most = size - len(SPECIAL)
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=most, limit_alphabet=most, show_progress=False)
    learner.train_from_iterator((" ".join([word] * n) for word, n in told), trainer)
    known = learner.get_vocab()
    found = []
    for piece in sorted(known, key=known.__getitem__):
        goes_on = ord(piece[0]) >= _BEHIND
        first = "##" + _shifted(piece[0], -_BEHIND) if goes_on else piece[0]
        found.append(first + _shifted(piece[1:], -_BEHIND))
    return found


def _shifted(letters: str, by: int) -> str:
    return "".join(chr(ord(letter) + by) for letter in letters)


_BEHIND = 0xF0000  # letters of private use begin there
_TOP = chr(0x20000)  # letters below it have a place among them; those above are rare ones of Chinese


def plain_texts(name: str, texts: Sequence[str], tokens: str | os.PathLike[str]) -> Task:
    """Make a task of texts without labels: the answer at each token is that token.

    Args:
        name: of the task.
        texts: the texts; what is longer than 256 tokens, or than the tokenizer allows, is cut and told.
        tokens: the text or the path of a ``tokenizer.json``, as for ``read``.

    Shape:
        ``x (N, L)`` token numbers that end in 0; ``y (N, L)`` the tokenizer's own numbers, -100 at padding
        and at marks that stand for no text.

    Raises:
        ValueError: if there is no text, or ``tokens`` is no tokenizer.
        FileNotFoundError: if there is no such file.
        ImportError: if the library tokenizers is not installed.

    Example:
        >>> tokens = train_tokenizer(["a good bolt", "a good nut"], 60)
        >>> task = plain_texts("texts", ["a good nut", "a bolt"], tokens)
        >>> task.train.x.shape, task.kind.outputs
        (torch.Size([2, 5]), 22)
    """
    if not len(texts):
        raise wrong("`texts`", expected="at least one", found="none")
    need("tokenizers", "words")
    text = tokenizer_text(tokens)
    encoding = PieceEncoding.learn(texts, text)
    x = encoding.numbered(texts)
    aside = torch.tensor([0, *special(text)])
    y = torch.where(torch.isin(x, aside), MISSING, x - offset(text))
    return Task(name, Tokens(len(encoding.words()) + 1 - offset(text)), Labelled(x, y), encoding=encoding)
