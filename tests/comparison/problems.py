"""Small problems that the tests of this room share."""

import torch

from headstart.comparison import Problem
from headstart.strategies import Budget
from headstart.tasks import Inputs, Labelled, Multiclass, Task

ELSEWHERE = (
    "raw+ridge",
    "tfidf+logreg",
    "raw+lexicon",
    "raw+window",
    "raw+means",
    "raw+threshold",
    "raw+pixels",
    "raw+blobs",
    "source+ridge",
    "pooled+ridge",
    "shared+logreg",
    "shared+ridge",
    "filled+logreg",
    "filled+ridge",
    "joint+space",
    "transferable+logreg",
    "transferable+ridge",
    "multi-dann",
    "features@layer+chain",
    "names",
    "names+logreg",
    "names+contrastive",
    "prompt",
    "prompt+examples",
    "prompt+calibrated",
    "coral+ridge",
    "sa+ridge",
    "tca+ridge",
    "ot+ridge",
    "iw+ridge",
    "kliep+ridge",
    "mixture+logreg",
    "mixture+ridge",
    "msda+mmd",
    "msda+dann",
    "adapted+mean",
)  # for other tasks
TINY = Budget(steps=4, pretrain=6, meta=2, episodes=2, options=2, repeats=1)
SMALL = {"width": 4}  # of conv4


def pictures(classes, each, seed, *, first=0, noise=0.7):
    """Draw 8x8 images: each class has a pattern of its own, which does not depend on ``seed``."""
    patterns = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(99))
    y = torch.arange(classes * each) % classes
    generator = torch.Generator().manual_seed(seed)
    return Labelled(patterns[first + y] + noise * torch.randn(len(y), 1, 8, 8, generator=generator), y)


def numbers(each, seed, *, classes=2, move=0.0):
    """Draw rows of two numbers, one blob per class."""
    y = torch.arange(classes * each) % classes
    x = torch.randn(len(y), 2, generator=torch.Generator().manual_seed(seed))
    return Labelled(x + torch.stack([2.0 * y, -1.0 * y], 1) + move, y)


def images(**changes):
    """Make a problem that every strategy applies to: old classes, the new ones elsewhere, bare new rows."""
    kind = Multiclass(["a", "b", "c"])
    parts = {"test": pictures(3, 8, 2), "unlabelled": Inputs(pictures(3, 6, 3).x)}
    target = Task("new", kind, pictures(3, 6, 1), **parts)
    twin = Labelled(0.5 * pictures(3, 8, 4).x + 0.2, pictures(3, 8, 4).y)
    sources = [Task("old", Multiclass(6), pictures(6, 8, 5, first=3)), Task("twin", kind, twin)]
    return Problem(target, sources, **{"settings": SMALL, "budget": TINY} | changes)


def table(**changes):
    """Make a problem with rows of two numbers and a source of four classes, by ``mlp``."""
    target = Task("new", Multiclass(2), numbers(8, 1), test=numbers(20, 2))
    source = Task("old", Multiclass(5), numbers(12, 3, classes=5))
    return Problem(target, [source], **{"settings": {"hidden": [6]}, "budget": TINY} | changes)


def few_without_reuse(patch, *names):
    """Let only these ways without reuse run beside what is asked for: what a test says holds of any."""
    patch.setattr("headstart.comparison.problem.NO_REUSE", names)


def tensors(problem):
    """List all tensors of a problem."""
    for task in (problem.target, *problem.sources):
        for rows in (task.train, task.valid, task.test, task.unlabelled):
            if rows is not None:
                yield rows.x
                if isinstance(rows, Labelled):
                    yield rows.y


def weights(module):
    """Copy the state of a module."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one, other):
    """Tell whether two states are equal to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)
