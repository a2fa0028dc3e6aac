"""What strategies need of a situation, each a question with a reason for no, or ``""`` for yes."""

from __future__ import annotations

from ..tasks import Labelled, Task
from .situation import Situation

QUERIES = 5  # query rows per class of an episode


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
    return "there is no pretrained backbone, and no source to pretrain one on"


def features(situation: Situation) -> str:
    """Ask for a pretrained backbone whose features of all rows fit in memory."""
    return tensors(situation) or start(situation)


def classes(situation: Situation) -> str:
    """Ask for one class per row, and features."""
    return features(situation) if situation.target.kind.exclusive else "the target is no classification"


def sources(situation: Situation) -> str:
    """Ask for labelled rows and other tasks to learn beside them."""
    if labels(situation) or situation.sources or len(situation.targets) > 1:
        return labels(situation)
    return "there is no source to train with"


def prototypes(situation: Situation) -> str:
    """Ask for classes that have a mean each, and sources."""
    if not situation.target.kind.extensible:
        return "the target is not one of several classes"
    return tensors(situation) or sources(situation)


def episodes(situation: Situation) -> str:
    """Ask for a source that episodes can be cut from."""
    if prototypes(situation):
        return prototypes(situation)
    if any(map(allows_episodes, situation.sources)):
        return ""
    return f"no source has classes with more than {QUERIES} rows each to cut episodes from"


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
    if situation.target.unlabelled is None:
        return "the target has no unlabelled rows"
    if not situation.shared():
        return "no source has the target's classes"
    return ""
