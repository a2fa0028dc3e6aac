"""Text as token numbers: 0 is padding; of words, 1 is an unknown one.

Shapes: ``N`` rows, ``L`` tokens.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor

from ...errors import wrong
from ...tasks import Task
from ...tasks.encoding import Encoding, common
from ...tasks.kinds import MISSING
from ...tasks.spelling import spelled, unspelled
from ..options import Options, Reader
from .files import Table, existing, lines, load, load_frame
from .memory import items, plain
from .pieces import MOST as LENGTH
from .pieces import count_cut, padded, piece_ids, pieces, special, word_piece_ids
from .tables import read_tasks
from .written import nfc

WORDS = 30_000
AS_WRITTEN = "words as written"
WORDS_OF_PIECES = "words of pieces"
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_UNSPACED = (  # Thai and Lao, Myanmar, Khmer, kana, and the characters of Chinese
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_CUT = (
    r"lower the case of a text in the form NFC, and cut it into: single characters of Han, Hiragana, "
    r"Katakana, Thai, Lao, Khmer and Myanmar with the marks (\p{M}) after them; runs of other letters, "
    r"digits, underscores and marks, with apostrophes between; any other character but white space by itself"
)


@cache
def _of_any_script() -> re.Pattern[str]:
    """Match a word of any script: with its combining marks, and a character where words have no spaces."""
    marks = "".join(map(chr, filter(lambda c: unicodedata.category(chr(c))[0] == "M", range(0x20000))))
    marks += "\U000e0100-\U000e01ef"
    letter = rf"(?:(?![{_UNSPACED}])[\w{marks}])"
    return re.compile(rf"[{_UNSPACED}][{marks}]*|{letter}+(?:['’]{letter}+)*|[^\w\s]")


def words(text: str | None) -> list[str]:
    """Cut text into lower-case words and punctuation marks; into characters where there are no spaces.

    Example:
        >>> words("It's a Bolt, no?")
        ["it's", 'a', 'bolt', ',', 'no', '?']
        >>> words("हिन्दी 很好")
        ['हिन्दी', '很', '好']
    """
    text = nfc(text or "").lower()
    return (_WORD if text.isascii() else _of_any_script()).findall(text)


def at_spaces(text: str | None) -> list[str]:
    """Cut text where it has white space."""
    return nfc(text or "").split()


CUTS: dict[str, Callable[[str | None], list[str]]] = {
    "words": words,
    "spaces": at_spaces,
    AS_WRITTEN: at_spaces,
}


def vocabulary(rows: Sequence[Sequence[str]], most: int = WORDS) -> list[str]:
    """List the commonest tokens, ties in the order of the alphabet; number 2 is the first of them."""
    counts = Counter(token for row in rows for token in row)
    return sorted(counts, key=lambda token: (-counts[token], token))[:most]


def token_ids(rows: Sequence[Sequence[str]], known: Sequence[str], length: int) -> Tensor:
    """Number tokens, ``(N, L)`` int64; longer rows are cut, shorter ones end in 0."""
    number = {token: k for k, token in enumerate(known, start=2)}
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    for row, tokens in zip(ids, rows, strict=True):
        numbers = [number.get(token, 1) for token in tokens[:length]]
        row[: len(numbers)] = torch.tensor(numbers, dtype=torch.long)
    return ids


TAGGED = (".conll", ".conllu", ".bio", ".iob", ".iob2")


def sentences(text: str, where: str) -> tuple[list[list[list[str]]], bool]:
    r"""Read the fields of each word of sentences between blank lines; tell also whether it is CoNLL-U.

    Of CoNLL-U, comments, ranges (``1-2``) and empty nodes (``8.1``) are left out; of other files, lines of
    ``-DOCSTART-``.

    Raises:
        ValueError: if there is no word, or a line has more or fewer fields than the first.

    Example:
        >>> sentences("I O\nsee O\nRome B-city\n\nNo O\n", "it")
        ([[['I', 'O'], ['see', 'O'], ['Rome', 'B-city']], [['No', 'O']]], False)
    """
    blocks: list[list[list[str]]] = [[]]
    lines = [(at, line.rstrip("\r")) for at, line in enumerate(text.split("\n"), start=1)]
    body = next((line for _, line in lines if line.strip() and not line.startswith("#")), "")
    universal = body.count("\t") == 9 and body[0].isdigit()
    width = len(_fields(body))
    for at, line in lines:
        if not line.strip():
            blocks.append([])
            continue
        fields = _fields(line)
        if (universal and (line.startswith("#") or not fields[0].isdigit())) or fields[0] == "-DOCSTART-":
            continue
        if len(fields) != width:
            hint = "fields stand between tabs, or between spaces where there are none"
            found, told = f"{len(fields)} in {line!r:.60}", f"{width} fields, as in the first"
            raise wrong(f"line {at} of {where}", expected=told, found=found, hint=hint)
        blocks[-1].append(fields)
    if not any(blocks):
        raise wrong(where, expected="a word on each line", found="no words")
    return [block for block in blocks if block], universal


def _fields(line: str) -> list[str]:
    return [field.strip() for field in line.split("\t")] if "\t" in line else line.split()


def _of_words(row: Any) -> bool:
    """Tell whether a row is a list of words."""
    return isinstance(row, list | tuple) and all(isinstance(word, str) for word in row)


def _text_column(table: Table, names: Sequence[str]) -> str:
    strings = [n for n in names if table.words(n)]
    if "text" in names:
        return "text"
    if len(strings) != 1:
        raise wrong(
            f"text column of {table.where}",
            expected="a column named `text`, or one column of strings",
            found=strings or list(table.columns),
            hint="rename the column to `text`",
        )
    return strings[0]


@dataclass(frozen=True, kw_only=True)
class TextEncoding(Encoding):
    """Words become their numbers; see `Encoding` for what all have.

    Args:
        column: the column of a table that holds the text.
        tokens: how text is cut: ``"words"`` (lower case, and punctuation), ``"spaces"``, or at spaces as
            ``"words as written"``, whose spelling stands in their numbers too (``tasks/spelling.py``).
        vocabulary: the words that have numbers, from 2 on.
        length: of a row; longer ones are cut.
    """

    readers: ClassVar[tuple[str, ...]] = ("text", "conll")
    column: str = "text"
    tokens: str = "words"
    vocabulary: tuple[str, ...] = field(repr=False)
    length: int

    @classmethod
    def fit(cls, rows: Sequence[Sequence[str]], *, column: str = "text", tokens: str = "words") -> Self:
        """Learn vocabulary and length from the tokens of train rows: at most 30,000 words, 256 tokens."""
        length = max(1, min(LENGTH, max(map(len, rows))))
        return cls(
            reader="text", column=column, tokens=tokens, vocabulary=tuple(vocabulary(rows)), length=length
        )

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave."""
        words = tuple(about["vocabulary"])
        return cls(
            **common(about),
            column=about.get("column", ""),
            tokens=about["tokens"],
            vocabulary=words,
            length=about["length"],
        )

    def _own(self) -> dict[str, Any]:
        words = list(self.vocabulary)
        return {"column": self.column, "tokens": self.tokens, "vocabulary": words, "length": self.length}

    def row_shape(self) -> tuple[int, ...]:
        """Return the number of tokens."""
        return (self.length,)

    def facts(self) -> dict[str, Any]:
        """Return how many numbers there are: the words', padding and unknown words."""
        return {"vocabulary": len(self.vocabulary) + 2}

    def preparation(self) -> list[str]:
        """Say how text becomes numbers."""
        return [
            _CUT if self.tokens == "words" else "cut a text where it has white space",
            "a token's number is its place in `vocabulary`, counted from 2; a token that is not in it has 1",
            f"keep the first {self.length} tokens; fill shorter rows with 0 at the end, as int64",
        ]

    def made_up(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw token numbers."""
        return torch.randint(1, len(self.vocabulary) + 2, (count, self.length), generator=generator)

    def written(self) -> tuple[str, ...]:
        """Return the column of text."""
        return (self.column,)

    def words(self) -> tuple[str, ...]:
        """Return the vocabulary."""
        return self.vocabulary

    def cut(self, text: str | None) -> list[str]:
        """Cut a text into tokens; none where it is missing."""
        return CUTS[self.tokens](text)

    def number(self, rows: Sequence[Sequence[str]]) -> Tensor:
        """Number the tokens of rows, ``(N, L)`` int64."""
        ids = token_ids(rows, self.vocabulary, self.length)
        return spelled(ids, rows) if self.tokens == AS_WRITTEN else ids

    def encode(self, path: Path) -> Tensor:
        """Number the words of a file, with or without labels; ``.txt`` has a row a line.

        Of a file with a word on each line, the sentences between blank lines.
        """
        if path.suffix in TAGGED or (self.reader == "conll" and path.suffix not in (".txt", ".csv", ".tsv")):
            rows, universal = sentences(existing(path).read_text("utf-8-sig"), f"`{path}`")
            return self.numbered([[fields[int(universal)] for fields in row] for row in rows])
        if path.suffix == ".txt":
            return self.numbered(lines(path))
        return self._of_table(load(path, texts={self.column, "text"}))

    def _made(self, value: Any) -> Tensor:
        """Number the words of strings, in a list, a column or a DataFrame with the column of text."""
        if (table := load_frame(value)) is not None:
            return self._of_table(table)
        listed = items(value)
        if listed and all(_of_words(row) for row in listed):  # cut already
            return self.numbered(listed)
        texts = plain(listed)
        odd = next((v for v in texts if not isinstance(v, str | None)), None)
        if not texts or odd is not None:
            raise wrong(
                "rows of text",
                expected="a list of strings, or a DataFrame",
                found=f"{odd!r} in it" if texts else f"{type(value).__name__} {value!r:.40}",
                hint='pass ["some text", "another"], or lists of words; `hs.datasets.encode` reads files',
                error=TypeError,
            )
        return self.numbered(texts)

    def numbered(self, texts: Sequence[str | None] | Sequence[Sequence[str]]) -> Tensor:
        """Number texts, or rows of words; warn of those that are not read whole."""
        whole = bool(texts) and isinstance(texts[0], list | tuple)
        rows = self.number(texts) if whole else self.of(texts)  # type: ignore[arg-type]
        full = [text for text, last in zip(texts, rows[:, -1].tolist(), strict=True) if last]
        if cut := self._count_cut(full):  # type: ignore[arg-type]
            warnings.warn(
                f"of {cut} of {len(texts)} texts only the first {self.length} tokens are read: as many as "
                f"the longest of the training texts had, and at most {LENGTH}",
                stacklevel=3,
            )
        return rows

    def _count_cut(self, texts: Sequence[str | Sequence[str]]) -> int:
        """Count texts, or rows of words, that have more tokens than a row."""
        rows = (self.cut(text) if isinstance(text, str) else text for text in texts)
        return sum(len(row) > self.length for row in rows)

    def words_at(self, rows: Tensor) -> list[list[int]]:
        """Tell at which places of each row its words begin."""
        return [row.nonzero().flatten().tolist() for row in rows > 0]

    def line_up(self, rows: Tensor, y: Tensor) -> Tensor:
        """Put an answer for each word where the words begin in rows; -100 elsewhere."""
        lined = y.new_full(rows.shape, MISSING)
        for row, at, answers in zip(lined, self.words_at(rows), y, strict=True):
            row[at[: len(answers)]] = answers[: len(at)]
        return lined

    def of(self, texts: Sequence[str | None]) -> Tensor:
        """Number the tokens of texts, ``(N, L)`` int64."""
        return self.number([self.cut(text) for text in texts])

    def _of_table(self, table: Table) -> Tensor:
        column = self.column if self.column in table.columns else _text_column(table, list(table.columns))
        return self.numbered([None if v is None else str(v) for v in table.column(column)])

    def _ready(self, ids: Tensor) -> Tensor:
        if tuple(ids.shape[1:]) != self.row_shape() or ids.is_floating_point():
            raise wrong(
                "rows of text",
                expected=f"strings, or whole numbers of shape (rows, {self.length})",
                found=f"{ids.dtype} of shape {tuple(ids.shape)}",
            )
        return ids.detach().cpu().long()


@dataclass(frozen=True, kw_only=True)
class PieceEncoding(TextEncoding):
    """Pieces of words become the numbers that a pretrained model has for them.

    Args:
        tokens: ``"pieces"``, or ``"words of pieces"``: cut at spaces first, and it is told where each word
            begins.
        tokenizer: the text of its ``tokenizer.json``; see ``pieces.py`` for the numbers.
    """

    tokens: str = "pieces"
    vocabulary: tuple[str, ...] = field(default=(), repr=False)
    tokenizer: str = field(repr=False)

    @classmethod
    def learn(cls, texts: Sequence[str | None], tokenizer: str, column: str = "text") -> Self:
        """Learn the length from train rows: at most 256 tokens, or the tokenizer's own limit."""
        length = max(1, *map(len, piece_ids(texts, tokenizer, LENGTH)))
        return cls(reader="text", column=column, tokenizer=tokenizer, length=length)

    @classmethod
    def of_words(cls, rows: Sequence[Sequence[str]], tokenizer: str) -> Self:
        """Learn the length from rows of words: at most 256 pieces, or the tokenizer's own limit."""
        length = max(1, *map(len, word_piece_ids(rows, tokenizer, LENGTH)))
        return cls(reader="text", tokens=WORDS_OF_PIECES, tokenizer=tokenizer, length=length)

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave."""
        return cls(
            **common(about),
            column=about.get("column", ""),
            tokens=about.get("tokens", "pieces"),
            tokenizer=about["tokenizer"],
            length=about["length"],
        )

    def _own(self) -> dict[str, Any]:
        how = {} if self.tokens == "pieces" else {"tokens": self.tokens}
        return {"column": self.column, "tokenizer": self.tokenizer, "length": self.length} | how

    def facts(self) -> dict[str, Any]:
        """Return how many numbers there are, the tokenizer, and the numbers that stand for no text."""
        numbers = len(self.words()) + 1
        return {"vocabulary": numbers, "tokenizer": self.tokenizer, "special": special(self.tokenizer)}

    def preparation(self) -> list[str]:
        """Say how text becomes numbers."""
        words = self.tokens == WORDS_OF_PIECES
        cut = "cut a text where it has white space, and each word" if words else "cut a text"
        return [
            f"{cut} by `tokenizer`, the text of a tokenizer.json, with the marks that it adds itself",
            "numbers are the tokenizer's own; larger by one where its padding is not 0",
            *(["make all but the first number of each word negative"] if words else []),
            f"keep {self.length} tokens at most; fill shorter rows with 0 at the end, as int64",
        ]

    def made_up(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw token numbers; each is of a word by itself."""
        return torch.randint(1, len(self.words()) + 1, (count, self.length), generator=generator)

    def words(self) -> tuple[str, ...]:
        """Return the pieces."""
        return pieces(self.tokenizer)

    def of(self, texts: Sequence[str | None]) -> Tensor:
        """Number the pieces of texts, ``(N, L)`` int64."""
        if self.tokens == WORDS_OF_PIECES:
            return self.number([at_spaces(text) for text in texts])
        return padded(piece_ids(texts, self.tokenizer, self.length), self.length)

    def number(self, rows: Sequence[Sequence[str]]) -> Tensor:
        """Number the pieces of words, ``(N, L)`` int64; those where no word begins are below 0.

        How a word is written stands in the number of its first piece too (``tasks/spelling.py``).
        """
        return spelled(padded(word_piece_ids(rows, self.tokenizer, self.length), self.length), rows)

    def _count_cut(self, texts: Sequence[str | Sequence[str]]) -> int:
        if self.tokens == WORDS_OF_PIECES:
            texts = [at_spaces(text) if isinstance(text, str) else list(text) for text in texts]
        return count_cut(texts, self.tokenizer, self.length)

    def _ready(self, ids: Tensor) -> Tensor:
        ids = super()._ready(ids)
        most, tokens = len(self.words()), unspelled(ids)
        least = -most if self.tokens == WORDS_OF_PIECES else 0
        if len(ids) and not least <= int(tokens.min()) <= int(tokens.max()) <= most:
            found = f"{int(tokens.min())} to {int(tokens.max())}"
            raise wrong("rows of text", expected=f"numbers from {least} to {most}", found=found)
        return ids


def spaced_encoding(rows: Sequence[Sequence[str]], options: Options) -> TextEncoding:
    """Say how texts of sets become rows, of which these are the train rows, cut at spaces."""
    known = options.encoding
    if known is not None and known.reads("text"):
        return cast(TextEncoding, known).alike()
    if options.tokens:
        return PieceEncoding.learn([" ".join(row) for row in rows], options.tokens)
    return TextEncoding.fit(rows, tokens="spaces")


def encode_text(
    table: Table,
    names: Sequence[str],
    train: Tensor,
    reader: str,
    known: Encoding | None,
    column: str = "",
    tokens: str = "",
) -> tuple[Tensor, Encoding]:
    """Number the words of a column, as the encoding says that is known, or as the train rows do."""
    made = cast(TextEncoding | None, known)
    if not column:
        column = made.column if made is not None and made.column in names else _text_column(table, names)
    texts = [None if v is None else str(v) for v in table.column(column)]
    if made is None:
        rows = [texts[i] for i in train.tolist()]
        if tokens:
            made = PieceEncoding.learn(rows, tokens, column)
        else:
            made = TextEncoding.fit([words(text) for text in rows], column=column)
    return made.numbered(texts), replace(made.alike(), reader=reader, column=column)


def read_text(argument: str, options: Options) -> list[Task]:
    """Read ``text:file.csv#label``: a CSV, TSV or Parquet file with a column of text.

    The column is the one named ``text``, or the only one of strings. Words are lower-case; the
    vocabulary is that of the train rows (at most 30,000 words), the length that of the longest train
    row (at most 256 tokens). ``tokens`` of ``read`` cuts by the tokenizer of a pretrained model instead.
    """
    return read_tasks(argument, options, "text", partial(encode_text, tokens=options.tokens))


READER = Reader(
    read_text,
    'a table with a column of text: "text:reviews.csv#label"',
    encoding=TextEncoding,
    labels=True,
    texts=True,
)
