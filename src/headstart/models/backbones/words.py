"""Static word vectors: a table with a vector for each token, averaged over a text.

Shapes: ``B`` rows, ``L`` tokens, ``D`` numbers per vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from torch import Tensor, nn

from ...errors import wrong
from .._weights import read_weights
from ..net import Backbone
from .provider import Provider, Shape, check_settings
from .tokenizer import FILE, at_tokens, mean_over, read_tokenizer, tokens_of

LIMIT = 1 << 20  # tokens: there are no positions


@final
class _Vectors(Backbone):
    def __init__(self, use: str, vocabulary: int, width: int) -> None:
        super().__init__()
        self.use, self.settings, self.width = use, {"vocabulary": vocabulary, "width": width}, width
        self.table = nn.Embedding(vocabulary, width)

    def forward(self, x: Tensor) -> Tensor:
        return mean_over(*self._tokens(x))

    def places(self, x: Tensor) -> Tensor:
        """Return the vector of each token, ``(B, L, D)``, 0 where it is padding."""
        return at_tokens(self._tokens(x)[0], x)

    def _tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return a vector for each token ``(B, l, D)``, and which of them are of tokens, ``(B, l)``."""
        x, there = tokens_of(x, self.use, self.table.num_embeddings + 1)
        return self.table((x - 1).clamp(min=0)), there & (x > 0)


def words(
    file: str,
    *,
    weights: str | None = "default",
    tokenizer: str | None = None,
    vocabulary: int | None = None,
    width: int | None = None,
) -> Backbone:
    """Build a table of word vectors; a text is the mean of its tokens' vectors.

    Rows are token numbers, larger by one than the table's own, so that 0 is padding. Vectors are float32
    once they are read, and train where the backbone does.

    Args:
        file: a ``.safetensors`` file with one table of shape (tokens, numbers).
        weights: ``None`` for random ones; else those in the file.
        tokenizer: path of its ``tokenizer.json``; beside the file where it is left out.
        vocabulary: tokens of the table, where ``weights`` is ``None`` and the file is not to be read.
        width: numbers per vector, likewise.

    Shape:
        ``x (B, L)`` integers; returns ``(B, width)``, zeros for a text without tokens. Its ``places(x)`` are
        the vectors of the tokens, ``(B, L, width)``.

    Raises:
        FileNotFoundError: if the file or the tokenizer is not there.
        ValueError: if the file holds no single table.

    Example:
        >>> import tempfile, torch
        >>> from safetensors.torch import save_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file({"table": torch.eye(3, dtype=torch.float16)}, f"{folder}/table.safetensors")
        ...     text = '{"model": {"type": "WordLevel", "vocab": {}, "unk_token": ""}}'
        ...     _ = Path(folder, "tokenizer.json").write_text(text)
        ...     built = words(f"{folder}/table.safetensors")
        >>> built(torch.tensor([[1, 2, 0]])).tolist()
        [[0.5, 0.5, 0.0]]

    References:
        Mikolov et al. (NeurIPS 2013), https://arxiv.org/abs/1310.4546
    """
    use = f"words:{file}"
    if weights not in (None, "default"):
        raise wrong(f"`weights` of {use!r}", expected='"default" or None', found=f'"{weights}"')
    if weights is None and vocabulary is not None and width is not None:
        return _Vectors(use, vocabulary, width)
    table = _table(file)
    built = _Vectors(use, *table.shape)
    if weights is not None:
        built.table.weight.data.copy_(table)
    built.tokenizer = _tokenizer(file, {} if tokenizer is None else {"tokenizer": tokenizer})
    return built


def _table(file: str) -> Tensor:
    tensors = read_weights(Path(file))
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    if [len(shape) for shape in shapes.values()] != [2]:
        raise wrong(f"`{file}`", expected="one table of shape (tokens, numbers)", found=shapes)
    return next(iter(tensors.values())).float()


def _tokenizer(file: str, settings: Mapping[str, Any]) -> str:
    place = Path(settings.get("tokenizer") or Path(file).with_name(FILE))
    return read_tokenizer(place, limit=LIMIT, padding=False, markers=False)


def _build(file: str, inputs: Shape | None, weights: str | None, settings: dict[str, Any]) -> Backbone:
    check_settings(f"words:{file}", settings, ("tokenizer", "vocabulary", "width"))
    return words(file, weights=weights, **settings)


WORDS = Provider(
    names={"words:FILE": "a table of word vectors in safetensors, averaged over a text"},
    build=_build,
    tokenizer=_tokenizer,
)
