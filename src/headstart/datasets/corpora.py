"""The benchmark sets of text; tokens are numbered as in ``text``.

Shapes: ``N`` rows, ``L`` tokens.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import unknown, wrong
from ..tasks import Kind, Multiclass, Task, Tokens
from ..tasks.kinds import MISSING
from .home import locate
from .options import Options
from .splits import Division, build, divide
from .text import fit_tokens, token_ids

Rows = list[list[str]]
SENTIMENT = ("negative", "positive")


def _text(file: str) -> str:
    data = lzma.decompress(locate(file).read_bytes())
    try:
        return data.decode()
    except UnicodeDecodeError:  # a few lines of the older sets are Latin-1
        lines = data.split(b"\n")
        return "\n".join(_line(line) for line in lines)


def _line(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _encoding(fitted: dict[str, Any]) -> dict[str, Any]:
    return {"reader": "text", "column": "text", "tokens": "spaces"} | fitted


def _classes(name: str, parts: dict[str, tuple[Rows, list[Any]]], classes: Sequence[Any]) -> list[Task]:
    """Make one task of a class per row, with the vocabulary of the train rows."""
    fitted = fit_tokens(parts["train"][0])
    rows = [row for texts, _ in parts.values() for row in texts]
    kind = Multiclass(classes)
    y = kind.encode([label for _, labels in parts.values() for label in labels])
    x = token_ids(rows, fitted["vocabulary"], fitted["length"])
    return build([(name, kind, y)], x, _blocks({p: len(t) for p, (t, _) in parts.items()}), _encoding(fitted))


def _blocks(sizes: dict[str, int]) -> Division:
    ends = [0]
    for size in sizes.values():
        ends.append(ends[-1] + size)
    return {part: torch.arange(a, b) for part, a, b in zip(sizes, ends, ends[1:], strict=False)}


def read_fdu_mtl(argument: str, options: Options) -> list[Task]:
    """Read ``fdu_mtl:books`` or all 16 domains: sentiment, with unlabelled rows.

    The vocabulary is that of the train rows of all 16 domains, so that they can share a backbone.

    References:
        Liu, Qiu & Huang (ACL 2017), https://arxiv.org/abs/1704.05742
    """
    lines = [line.split("\t", 3) for line in _text("fdu_mtl/fdu_mtl_labelled.tsv.xz").split("\n") if line]
    domains = sorted({line[0] for line in lines})
    asked = argument.split(",") if argument else domains
    for domain in asked:
        if domain not in domains:
            raise unknown("domain of `fdu_mtl`", domain, domains)
    fitted = fit_tokens([line[3].split() for line in lines if line[1] == "train"])
    free = [line.split("\t", 3) for line in _text("fdu_mtl/fdu_mtl_unlabelled.tsv.xz").split("\n") if line]

    def ids(rows: list[list[str]]) -> Tensor:
        return token_ids([row[3].split() for row in rows], fitted["vocabulary"], fitted["length"])

    tasks = []
    for domain in asked:
        rows = [line for line in lines if line[0] == domain]
        parts = [line[1] for line in rows]
        division = {p: torch.tensor([i for i, q in enumerate(parts) if q == p]) for p in ("train", "test")}
        y = torch.tensor([int(line[2]) for line in rows])
        more = ids([line for line in free if line[0] == domain])
        target = (f"fdu_mtl_{domain}", Multiclass(SENTIMENT), y)
        tasks += build([target], ids(rows), division, _encoding(fitted), unlabelled=more)
    return tasks


_LABEL_AND_WORDS = {
    "MR": ("rt-polarity.all",),
    "SUBJ": ("subj.all",),
    "CR": ("custrev.all",),
    "MPQA": ("mpqa.all",),
    "SST-1": ("stsa.fine.train", "stsa.fine.dev", "stsa.fine.test"),
    "SST-2": ("stsa.binary.train", "stsa.binary.dev", "stsa.binary.test"),
    "TREC": ("TREC.train.all", "", "TREC.test.all"),
}


def read_text_cls(argument: str, options: Options) -> list[Task]:
    """Read ``text_cls:MR``, ``SUBJ``, ``CR``, ``MPQA``, ``SST-1``, ``SST-2`` or ``TREC``: short sentences.

    MR, SUBJ, CR and MPQA have no test part of their own: ``split`` divides them.

    References:
        Kim (EMNLP 2014), table 1, https://arxiv.org/abs/1408.5882
    """
    if argument not in _LABEL_AND_WORDS:
        raise unknown("set of `text_cls`", argument, _LABEL_AND_WORDS)
    parts: dict[str, tuple[Rows, list[Any]]] = {}
    for part, file in zip(("train", "valid", "test"), _LABEL_AND_WORDS[argument], strict=False):
        if file:
            lines = [line.split() for line in _text(f"text_cls/{file}.txt.xz").split("\n") if line.strip()]
            parts[part] = [line[1:] for line in lines], [int(line[0]) for line in lines]
    classes = sorted(set(parts["train"][1]))
    if len(parts) == 1:
        rows, labels = parts["train"]
        division = divide(options.split, len(rows), labels)
        parts = {p: ([rows[i] for i in at], [labels[i] for i in at]) for p, at in _lists(division)}
    return _classes(f"text_cls_{argument}", parts, classes)


def _lists(division: Division) -> list[tuple[str, list[int]]]:
    return [(part, at.tolist()) for part, at in division.items()]


CLINC = ("full", "small", "imbalanced", "oos_plus")


def read_clinc150(argument: str, options: Options) -> list[Task]:
    """Read ``clinc150``, ``:small``, ``:imbalanced`` or ``:oos_plus``: 150 intents, in-scope queries only.

    References:
        Larson et al. (EMNLP 2019), https://arxiv.org/abs/1909.02027
    """
    variant = argument or "full"
    if variant not in CLINC:
        raise unknown("variant of `clinc150`", variant, CLINC)
    data = json.loads(_text(f"clinc150/data_{variant}.json.xz"))
    parts = {
        part: ([text.split() for text, _ in data[key]], [intent for _, intent in data[key]])
        for part, key in (("train", "train"), ("valid", "val"), ("test", "test"))
    }
    return _classes("clinc150", parts, sorted(set(parts["train"][1])))


def _tokens(
    name: str, parts: dict[str, list[tuple[list[str], list[str]]]]
) -> tuple[Kind, Tensor, Tensor, dict[str, Any]]:
    """Number tokens and their labels; no sentence is cut."""
    sentences = [s for part in parts.values() for s in part]
    longest = max(len(tokens) for tokens, _ in sentences)
    fitted = fit_tokens([tokens for tokens, _ in parts["train"]]) | {"length": longest}
    kind = Tokens(sorted({label for _, labels in sentences for label in labels}))
    number = {label: k for k, label in enumerate(kind.classes)}
    y = torch.full((len(sentences), longest), MISSING)
    for row, (_, labels) in zip(y, sentences, strict=True):
        row[: len(labels)] = torch.tensor([number[label] for label in labels])
    x = token_ids([tokens for tokens, _ in sentences], fitted["vocabulary"], longest)
    return kind, x, y, _encoding(fitted)


def read_snips(argument: str, options: Options) -> list[Task]:
    """Read ``snips``: two tasks on one tensor, the intent of a query and the slot of each token.

    References:
        Coucke et al. (2018), https://arxiv.org/abs/1805.10190;
        Goo et al. (NAACL 2018), whose split this is, https://aclanthology.org/N18-2118/
    """
    _no_part("snips", argument)
    lines = {p: [r.split("\t") for r in _text(f"snips/snips_{p}.tsv.xz").split("\n") if r] for p in _PARTS}
    kind, x, slots, encoding = _tokens(
        "slots", {p: [(r[1].split(), r[2].split()) for r in rows] for p, rows in lines.items()}
    )
    names = [row[0] for rows in lines.values() for row in rows]
    intents = Multiclass(sorted(set(names)))
    division = _blocks({p: len(rows) for p, rows in lines.items()})
    return build(
        [("snips_intent", intents, intents.encode(names)), ("snips_slots", kind, slots)],
        x,
        division,
        encoding,
    )


_PARTS = ("train", "valid", "test")


def _no_part(name: str, argument: str) -> None:
    if argument:
        raise wrong(f"reference to `{name}`", expected=f'"{name}" alone', found=f'"{name}:{argument}"')


def _columns(text: str, token: int, label: int) -> list[tuple[list[str], list[str]]]:
    """Read sentences of one token a line, between blank lines."""
    sentences: list[tuple[list[str], list[str]]] = [([], [])]
    for line in text.split("\n"):
        if not line.strip():
            sentences.append(([], []))
        else:
            fields = line.split("\t")
            sentences[-1][0].append(fields[token])
            sentences[-1][1].append(fields[label].strip())
    return [s for s in sentences if s[0]]


GENRES = ("answers", "email", "newsgroup", "reviews", "weblog")


def read_ud_ewt(argument: str, options: Options) -> list[Task]:
    """Read ``ud_ewt``, or one genre as ``ud_ewt:weblog``: the part of speech of each token.

    The vocabulary is that of all five genres. What is downloaded is release 2.7.

    References:
        Silveira et al. (LREC 2014), https://universaldependencies.org/treebanks/en_ewt/
    """
    if argument and argument not in GENRES:
        raise unknown("genre of `ud_ewt`", argument, GENRES)
    parts, genres = {}, []
    for part, file in (("train", "train"), ("valid", "dev"), ("test", "test")):
        blocks = [b.split("\n", 1) for b in _text(f"ud_ewt/{file}.tsv.xz").strip("\n").split("\n\n")]
        parts[part] = [_columns(body, 0, 1)[0] for _, body in blocks]
        genres += [head.split("\t")[0].removeprefix("# ") for head, _ in blocks]
    kind, x, y, encoding = _tokens("ud_ewt", parts)
    division: dict[str, Tensor] = dict(_blocks({p: len(s) for p, s in parts.items()}))
    if argument:
        division = {
            p: at[torch.tensor([genres[i] == argument for i in at.tolist()])] for p, at in division.items()
        }
    return build([(f"ud_ewt_{argument}" if argument else "ud_ewt", kind, y)], x, division, encoding)


def read_wnut17(argument: str, options: Options) -> list[Task]:
    """Read ``wnut17``: the entity tag of each token of tweets, 6 types in BIO.

    References:
        Derczynski et al. (W-NUT 2017), https://aclanthology.org/W17-4418/
    """
    _no_part("wnut17", argument)
    files = ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")
    parts = {p: _columns(_text(f"wnut17/{f}.xz"), 0, 1) for p, f in zip(_PARTS, files, strict=True)}
    kind, x, y, encoding = _tokens("wnut17", parts)
    return build([("wnut17", kind, y)], x, _blocks({p: len(s) for p, s in parts.items()}), encoding)
