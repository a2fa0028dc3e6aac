"""Convolutions over word vectors, for short texts.

Shapes: ``B`` rows, ``L`` tokens, ``E`` numbers per word vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import wrong
from ...tasks.spelling import unspelled
from ..net import Backbone


@final
class _TextCNN(Backbone):
    use = "textcnn"

    def __init__(
        self, vocabulary: int, embedding: int, filters: int, windows: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        sizes = {
            "vocabulary": vocabulary,
            "embedding": embedding,
            "filters": filters,
            "windows": list(windows),
        }
        if not windows or min(vocabulary - 1, embedding, filters, *windows) < 1:
            expected = "at least 1, `vocabulary` at least 2 (id 0 is padding)"
            raise wrong("sizes of `textcnn`", expected=expected, found=sizes)
        self.settings = sizes | {"dropout": dropout}
        self.width = filters * len(windows)
        self.words = nn.Embedding(vocabulary, embedding, padding_idx=0)
        self.windows = nn.ModuleList(nn.Conv1d(embedding, filters, w, padding=w - 1) for w in windows)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        words = self.words(unspelled(x).long().abs()).transpose(1, 2)  # (B, E, L), 0 where padded
        there = (x != 0).to(words.dtype)[:, None]  # (B, 1, L)
        parts = []
        for size, window in zip(self.settings["windows"], self.windows, strict=True):
            touches = F.pad(there, (size - 1, size - 1)).unfold(2, size, 1).amax(3)  # a word in the window
            parts.append((window(words).relu() * touches).amax(2))
        return self.dropout(torch.cat(parts, 1))

    def places(self, x: Tensor) -> Tensor:
        """Return the responses of all filters around each token, ``(B, L, D)``, 0 where it is padding."""
        length, there = x.shape[1], x != 0
        used = length
        if type(length) is int:  # while a net is exported it is a symbol
            used = max(1, int((there.any(0).nonzero()[-1:] + 1).sum()))  # behind it all rows are padding
        words = self.words(unspelled(x[:, :used]).long().abs()).transpose(1, 2)
        parts = [
            window(words).relu()[:, :, size // 2 : size // 2 + used]
            for size, window in zip(self.settings["windows"], self.windows, strict=True)
        ]
        found = torch.cat(parts, 1).transpose(1, 2) * there[:, :used, None]
        return self.dropout(F.pad(found, (0, 0, 0, length - used)))


def textcnn(
    vocabulary: int,
    *,
    embedding: int = 100,
    filters: int = 100,
    windows: Sequence[int] = (3, 4, 5),
    dropout: float = 0.5,
) -> Backbone:
    """Build parallel convolutions over word vectors, each followed by the maximum over time.

    A feature is the largest response of one filter to any window of words. Id 0 is padding: windows
    without a word are left out, so the features of a text do not depend on how far, or on which
    side, it was padded. Weights are drawn from the global random state, as PyTorch's layers do.

    Args:
        vocabulary: token ids, padding included; at least 2.
        embedding: numbers per word vector.
        filters: convolutions per window size.
        windows: words that a filter sees.
        dropout: share of the features left out in training, in [0, 1).

    Shape:
        ``x (B, L)`` integers below ``vocabulary``, whose signs are dropped; returns
        ``(B, filters * len(windows))``. Its ``places(x)`` are the responses around each token,
        ``(B, L, filters * len(windows))``.

    Raises:
        ValueError: if a size is below 1.

    Differs from the paper:
        word vectors are learned from scratch, and there are 100 numbers in each, not 300. As in the
        paper's code the edges are padded, so that texts shorter than a window have features too.

    Example:
        >>> textcnn(1000)(torch.tensor([[4, 8, 0, 0], [7, 7, 9, 1]])).shape
        torch.Size([2, 300])

    References:
        Kim (EMNLP 2014), section 2, https://arxiv.org/abs/1408.5882
    """
    return _TextCNN(vocabulary, embedding, filters, windows, dropout)
