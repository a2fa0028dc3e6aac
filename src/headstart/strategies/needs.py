"""What strategies need of a situation, each a question with a reason for no, or ``""`` for yes."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ..datasets.featuremaps import LABELLED
from ..engine import seeded
from ..models import cuts
from ..models.net import as_backbone
from ..tasks import Labelled, Task
from ..tasks.kinds.kind import Label
from .situation import Situation, facts_of, of_words, one_row, row_shape
from .unlike import all_rows, taken, width, with_labels

NO_CLASSES = "the target is no classification"
NO_TOKENS = "the backbone has no features of each token at its blocks"
NO_IDS = "the target's rows are no token ids"
QUERIES = 5  # query rows per class of an episode
PAIRED = 200  # classes of which each pair may be told apart
GROWN = 1024  # columns times classes that trees are grown for


def labels(situation: Situation) -> str:
    """Ask for labelled rows of the target."""
    return "" if situation.labelled() else "the target has no labelled rows"


def tensors(situation: Situation) -> str:
    """Ask for the target's labelled rows in memory."""
    if situation.target.train.held:
        return labels(situation)
    return "the target's rows are a dataset; what is computed of all of them needs them in tensors"


def start(situation: Situation) -> str:
    """Ask for a pretrained backbone, or sources to pretrain one on."""
    if labels(situation) or situation.comes_pretrained() or situation.sources:
        return labels(situation)
    return f"there is no pretrained backbone, and {_none(situation)} to pretrain one on"


def blocks(situation: Situation) -> str:
    """Ask for ``start``, and a backbone of several blocks."""
    if reason := start(situation):
        return reason
    with seeded(0):
        count = len(cuts(situation.build(pretrained=False))) - 1
    return "" if count > 1 else "the backbone is no stack of blocks"


def peft(situation: Situation) -> str:
    """Ask for ``start``, and the library of low-rank updates."""
    there = importlib.util.find_spec("peft") is not None
    return start(situation) or ("" if there else 'peft is not installed: pip install "headstart[peft]"')


def features(situation: Situation) -> str:
    """Ask for a pretrained backbone whose features of all rows fit in memory."""
    return tensors(situation) or start(situation)


def one_class(situation: Situation) -> str:
    """Ask for one class per row."""
    return one_answer(situation) or ("" if situation.target.kind.exclusive else NO_CLASSES)


def one_answer(situation: Situation) -> str:
    """Ask for one answer per row, rather than one at each of its places."""
    kind = situation.target.kind
    return "" if kind.per_row else f"the target has an answer for each {kind.place}"


def one_answer_each(situation: Situation) -> str:
    """Ask for one answer per row in all tasks that are learned side by side."""
    apart = (t for t in (*situation.targets, *situation.sources) if not t.kind.per_row)
    first = next(apart, None)
    return "" if first is None else f"task {first.name!r} has an answer for each {first.kind.place}"


def each_class(situation: Situation) -> str:
    """Ask for one class per row, or at each place."""
    return "" if situation.target.kind.single.exclusive else NO_CLASSES


def classes(situation: Situation) -> str:
    """Ask for one class per row, and features."""
    return one_class(situation) or features(situation)


def layers(situation: Situation) -> str:
    """Ask for one class per row, or for each token of a text; features; and blocks that have them too."""
    kind = situation.target.kind
    if kind.per_row or kind.axes != 1:
        return classes(situation)
    if reason := decided(situation):
        return reason
    row = one_row(situation.target)
    told = row is not None and tokens_at_blocks(situation.build, row)
    return "" if told else NO_TOKENS


def tags(situation: Situation) -> str:
    """Ask for one class for each token of a text, and for blocks that have features of them."""
    kind = situation.target.kind
    alone = "the target has no class for each token of a text"
    return layers(situation) if kind.axes == 1 and kind.classes else alone


def tokens_at_blocks(build: Callable[..., nn.Module], row: Tensor) -> bool:
    """Tell whether a backbone has features of each token at its blocks."""
    with seeded(0):
        about = as_backbone(build(pretrained=False))
    return about is not None and about.mask(row) is not None


def decided(situation: Situation) -> str:
    """Ask for one class per row, or at each place, and features."""
    return each_class(situation) or features(situation)


def sources(situation: Situation) -> str:
    """Ask for labelled rows and other tasks to learn beside them."""
    if labels(situation) or situation.sources or len(situation.targets) > 1:
        return labels(situation)
    return f"there is {_none(situation)} to train with"


def prototypes(situation: Situation) -> str:
    """Ask for classes that have a mean each, and sources."""
    if not situation.target.kind.extensible:
        return one_answer(situation) or "the target is not one of several classes"
    return tensors(situation) or sources(situation)


def started_prototypes(situation: Situation) -> str:
    """Ask for ``prototypes``, and ``start``."""
    return prototypes(situation) or start(situation)


def episodes(situation: Situation) -> str:
    """Ask for a source that episodes can be cut from."""
    if prototypes(situation):
        return prototypes(situation)
    if any(map(allows_episodes, situation.sources)):
        return ""
    return f"no source has classes with more than {QUERIES} rows each to cut episodes from"


def episodes_of_any(situation: Situation) -> str:
    """Ask for a source that episodes can be cut from, of classes or of the target's kind of numbers."""
    if situation.target.kind.classes:
        return episodes(situation)
    if reason := one_answer(situation) or tensors(situation) or sources(situation):
        return reason
    if not complete(situation.target):
        return "some of the target's rows lack one of their numbers"
    if any(map(allows_numbers, situation.shared())):
        return ""
    return f"no source has the target's kind of numbers in more than {QUERIES} rows to cut episodes from"


def allows_numbers(task: Task) -> bool:
    """Tell whether a task of numbers has rows for a shot and the queries, each with all of its numbers."""
    return task.train.held and int(task.train.present().sum()) > QUERIES and complete(task)


def complete(task: Task) -> bool:
    """Tell whether rows in memory that have any number have all of them."""
    return task.train.held and not task.train.y[task.train.present()].isnan().any()


def allows_episodes(task: Task) -> bool:
    """Tell whether every class of a task has rows for a shot and the queries."""
    if not task.kind.extensible or not task.train.held:
        return False
    counts = class_counts(task.train)
    return len(counts) >= 2 and min(counts) > QUERIES


def class_counts(rows: Labelled) -> list[int]:
    """Count the labelled rows of each class that has any."""
    return rows.y[rows.present()].unique(return_counts=True)[1].tolist()


def shift(situation: Situation) -> str:
    """Ask for unlabelled rows of the target and a source with its classes."""
    if not situation.target.unlabelled:
        return "the target has no unlabelled rows"
    return one_class(situation) or source(situation)


def answered_shift(situation: Situation) -> str:
    """Ask for ``shift``, of one class per row or of numbers."""
    if not situation.target.unlabelled:
        return "the target has no unlabelled rows"
    kind = situation.target.kind
    if reason := one_answer(situation):
        return reason
    if kind.classes and not kind.exclusive:
        return "the target has any of several labels"
    return source(situation)


def shallow_numbers(situation: Situation) -> str:
    """Ask for numbers to answer with, unlabelled rows, and rows that are numbers or a net that reads them."""
    if situation.target.kind.classes:
        return "the target has classes"
    if reason := answered_shift(situation):
        return reason
    return "" if situation.comes_pretrained() else plain(situation)


def transported_numbers(situation: Situation) -> str:
    """Ask for ``shallow_numbers``, and the library of optimal transport."""
    return shallow_numbers(situation) or pot()


def pictured_shift(situation: Situation) -> str:
    """Ask for ``shift``, of images."""
    if reason := shift(situation):
        return reason
    images = len(row_shape(situation.target) or ()) == 3
    return "" if images else "the target's rows are no images, which can be changed and stay what they are"


def several_shift(situation: Situation) -> str:
    """Ask for ``shift``, and several sources with the target's classes."""
    return shift(situation) or _several(situation)


def several_shallow(situation: Situation) -> str:
    """Ask for ``shallow``, and several sources with the target's classes."""
    return shallow(situation) or _several(situation)


def several_numbers(situation: Situation) -> str:
    """Ask for ``shallow_numbers``, and several sources with the target's kind of numbers."""
    return shallow_numbers(situation) or _several(situation)


def _several(situation: Situation) -> str:
    many = sum(task.train.held for task in situation.shared())
    answers = "classes" if situation.target.kind.classes else "kind of numbers"
    return "" if many > 1 else f"there is one source alone with the target's {answers}"


def labelled_shift(situation: Situation) -> str:
    """Ask for ``shift``, and some labelled rows of the target besides."""
    return tensors(situation) or shift(situation)


def shallow(situation: Situation) -> str:
    """Ask for ``shift``, and rows that are numbers or pixels, or a pretrained backbone that reads them."""
    return shift(situation) or ("" if situation.comes_pretrained() else plain(situation))


def perceptron(situation: Situation) -> str:
    """Ask for ``shallow``, and a backbone of fully connected layers, which reads rows of any width."""
    return shallow(situation) or _fresh_perceptron(situation)


def _fresh_perceptron(situation: Situation) -> str:
    with seeded(0):
        told = "" if situation.comes_pretrained() else getattr(situation.build(pretrained=False), "use", "")
    return "" if told == "mlp" else "the backbone is no `mlp` that learns from the start"


def transported(situation: Situation) -> str:
    """Ask for ``shallow``, and the library of optimal transport."""
    return shallow(situation) or pot()


def transported_shift(situation: Situation) -> str:
    """Ask for ``shift``, and the library of optimal transport."""
    return shift(situation) or pot()


def pot() -> str:
    """Ask for the library of optimal transport."""
    there = importlib.util.find_spec("ot") is not None
    return "" if there else 'POT is not installed: pip install "headstart[ot]"'


def normalised_shift(situation: Situation) -> str:
    """Ask for ``shift``, and a backbone with batch normalisation."""
    if reason := shift(situation):
        return reason
    with seeded(0):
        built = situation.build(pretrained=False)
    there = any(isinstance(getattr(module, "running_mean", None), Tensor) for module in built.modules())
    return "" if there else "the backbone has no batch normalisation"


# What needs no reuse, and what takes sources as they are.


def raw(situation: Situation) -> str:
    """Ask for labelled rows of numbers or pixels, of one class each or with numbers for answers."""
    kind = situation.target.kind
    if reason := one_answer(situation):
        return reason
    if kind.classes and not kind.exclusive:
        return "the target has any of several labels"
    return tensors(situation) or plain(situation)


def ids(situation: Situation) -> str:
    """Ask for labelled rows with ids, and a number or yes or no for an answer."""
    kind = situation.target.kind
    if "ids" not in facts_of(situation.target):
        return "no column of the target holds ids"
    if not kind.per_row or (len(kind.classes) != 2 if kind.classes else kind.outputs != 1):
        return "the target is neither one number nor yes or no"
    return tensors(situation)


def plain(situation: Situation) -> str:
    """Ask for rows that are numbers or pixels."""
    if "ids" in facts_of(situation.target):
        return "rows hold ids, whose numbers mean nothing"
    if one_row(situation.target) is None:
        return "the target's rows are no numbers, images or token ids"
    return "rows are token ids, whose numbers mean nothing" if of_words(situation) else ""


def raw_classes(situation: Situation) -> str:
    """Ask for labelled rows of numbers or pixels, of one class each."""
    return one_class(situation) or raw(situation)


def raw_pairs(situation: Situation) -> str:
    """Ask for ``raw``, and for not too many classes to pair them."""
    return raw(situation) or pairs(situation)


def pairs(situation: Situation) -> str:
    """Ask for few enough classes to learn a machine for each pair of them."""
    classes = len(situation.target.kind.classes)
    return "" if classes <= PAIRED else f"there are {classes} classes, more than {PAIRED} to be paired"


def raw_numbers(situation: Situation) -> str:
    """Ask for labelled rows of numbers or pixels, with numbers for answers."""
    return "the target has classes" if situation.target.kind.classes else raw(situation)


def boosting(situation: Situation) -> str:
    """Ask for few enough columns and classes to grow trees in seconds."""
    if reason := raw(situation):
        return reason
    work = columns(situation) * max(1, len(situation.target.kind.classes))
    return (
        "" if work <= GROWN else f"columns times classes are {work}, more than {GROWN}: trees take too long"
    )


def columns(situation: Situation) -> int:
    """Count the numbers in a row."""
    row = one_row(situation.target)
    assert row is not None  # `plain` asked for it
    return row[0].numel() if len(row) else math.prod(row.shape[1:])


def words(situation: Situation) -> str:
    """Ask for labelled rows of token ids, of one class each."""
    if reason := one_class(situation):
        return reason
    return tensors(situation) or ("" if of_words(situation) else NO_IDS)


def lexicon(situation: Situation) -> str:
    """Ask for labelled rows of token ids, with one class for each token."""
    if situation.target.kind.axes != 1:
        return "the target has no answer for each token"
    return each_class(situation) or tensors(situation) or ("" if of_words(situation) else NO_IDS)


def levels(situation: Situation) -> str:
    """Ask for labelled images in memory, with one class for each pixel."""
    return pixels(situation) or each_class(situation)


def pixels(situation: Situation) -> str:
    """Ask for labelled images in memory, with one class or one number for each pixel."""
    if situation.target.kind.place != "pixel":
        return "the target has no answer for each pixel"
    return tensors(situation)


def objects(situation: Situation) -> str:
    """Ask for labelled images in memory, with boxes of objects."""
    if situation.target.kind.place != "object":
        return "the target has no answer for each object"
    return tensors(situation)


def untrained(situation: Situation) -> str:
    """Ask for one class per row, or at each place, in memory."""
    return each_class(situation) or tensors(situation)


def source(situation: Situation) -> str:
    """Ask for a source with the target's classes, or with as many numbers."""
    if any(task.train.held for task in situation.shared()):
        return ""
    if situation.unlike and not situation.sources:
        return _none(situation)
    return f"no source has {_other_answers(situation, situation.sources)}{_apart(situation)}"


def _other_answers(situation: Situation, sources: Sequence[Task]) -> str:
    """Say what sources lack that answer something else."""
    kind = situation.target.kind
    if not kind.classes:
        return "the target's kind of numbers"
    differ = [f"{s.name!r} {differing(s.kind.classes, kind.classes)}" for s in sources if s.kind.classes]
    return f"the target's classes{': ' if differ else ''}{'; '.join(differ)}"


def _none(situation: Situation) -> str:
    """Say that there is no source, or none of the target's columns."""
    return f"no source with the target's columns{_apart(situation)}" if situation.unlike else "no source"


def _apart(situation: Situation) -> str:
    """Say why sources with other columns do not count."""
    names = ", ".join(repr(s.name) for s in situation.unlike)
    return f" ({names} has others)" if names else ""


LISTED = 5  # classes that are named, at most


def differing(classes: Sequence[Label], wanted: Sequence[Label]) -> str:
    """List the classes that one set lacks and has besides.

    Example:
        >>> differing(["a", "b"], ["a", "c"])
        "lacks 'c', has 'b' besides"
        >>> differing(["b", "a"], ["a", "b"])
        'has them in another order'
    """
    told = []
    for words, some, others in (("lacks {}", wanted, classes), ("has {} besides", classes, wanted)):
        if missing := [repr(name) for name in some if name not in others]:
            more = [f"{len(missing) - LISTED} more"] if len(missing) > LISTED else []
            told.append(words.format(", ".join(missing[:LISTED] + more)))
    return ", ".join(told) or "has them in another order"


def source_pairs(situation: Situation) -> str:
    """Ask for ``source_plain``, and for not too many classes to pair them."""
    return source_plain(situation) or pairs(situation)


def source_classes(situation: Situation) -> str:
    """Ask for a source with the target's classes, and rows that a linear model reads."""
    if reason := one_class(situation):
        return reason
    return source(situation) or ("" if of_words(situation) else plain(situation))


def source_plain(situation: Situation) -> str:
    """Ask for a source with the target's kind of answer, and rows of numbers or pixels."""
    return one_answer(situation) or source(situation) or plain(situation)


def source_numbers(situation: Situation) -> str:
    """Ask for a source with as many numbers for an answer, and rows of numbers or pixels."""
    return "the target has classes" if situation.target.kind.classes else source_plain(situation)


def pooled(situation: Situation) -> str:
    """Ask for labelled rows of the target and a source with its kind of answer."""
    return tensors(situation) or source(situation)


def pooled_classes(situation: Situation) -> str:
    """Ask for what a linear classifier on the rows of target and source needs."""
    return tensors(situation) or source_classes(situation)


def pooled_pairs(situation: Situation) -> str:
    """Ask for what a support vector machine on the rows of target and source needs."""
    return tensors(situation) or source_pairs(situation)


def pooled_numbers(situation: Situation) -> str:
    """Ask for what a regression on the rows of target and source needs."""
    return tensors(situation) or source_numbers(situation)


# Sources with other columns.


def unlike(situation: Situation) -> str:
    """Ask for labelled rows of the target, and a source with other columns and its kind of answer."""
    if not situation.unlike:
        return "no source has other columns than the target"
    if reason := one_answer(situation) or tensors(situation):
        return reason
    if taken(situation.target, situation.shared_unlike()) is None:
        return f"no source with other columns has {_other_answers(situation, situation.unlike)}"
    return ""


def joint(situation: Situation) -> str:
    """Ask for ``unlike``, and a backbone of fully connected layers, whose first layer can be divided."""
    return unlike(situation) or _fresh_perceptron(situation)


def columns_shared(situation: Situation) -> str:
    """Ask for ``unlike``, and a column of one name on both sides."""
    if reason := unlike(situation):
        return reason
    there = taken(situation.target, situation.shared_unlike(), named=True)
    return "" if there else "no source with other columns shares one with the target by its name"


def columns_shared_classes(situation: Situation) -> str:
    """Ask for ``columns_shared``, and one class per row."""
    return columns_shared(situation) or one_class(situation)


def columns_shared_numbers(situation: Situation) -> str:
    """Ask for ``columns_shared``, and numbers for an answer."""
    return columns_shared(situation) or ("the target has classes" if situation.target.kind.classes else "")


def columns_filled_classes(situation: Situation) -> str:
    """Ask for ``columns_shared_classes``, and rows enough to learn how columns go together."""
    return columns_shared_classes(situation) or _fillable(situation)


def columns_filled_numbers(situation: Situation) -> str:
    """Ask for ``columns_shared_numbers``, and rows enough to learn how columns go together."""
    return columns_shared_numbers(situation) or _fillable(situation)


def transferable_classes(situation: Situation) -> str:
    """Ask for ``_transferable``, and one class per row."""
    return one_class(situation) or _transferable(situation)


def transferable_numbers(situation: Situation) -> str:
    """Ask for ``_transferable``, and numbers for an answer."""
    return "the target has classes" if situation.target.kind.classes else _transferable(situation)


def _transferable(situation: Situation) -> str:
    """Ask for tables of both sides with labels enough to tell how each column goes with them."""
    if reason := one_answer(situation) or tensors(situation):
        return reason
    if not width(situation.target) or situation.comes_pretrained():
        return "the target's rows are no table as it is"
    if (count := int(situation.target.train.present().sum())) < LABELLED:
        return f"the target has {count} labelled rows, too few to tell which columns agree ({LABELLED})"
    there = with_labels(situation)
    return "" if there else f"no source of {LABELLED} labelled rows has the target's answers and its columns"


def _fillable(situation: Situation) -> str:
    count = len(all_rows(situation.target))
    return (
        "" if count >= LABELLED else f"the target has {count} rows, too few to fill columns by ({LABELLED})"
    )
