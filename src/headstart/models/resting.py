"""A net that is asked and not trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def resting(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode for a while, and every part back into its own mode afterwards.

    Example:
        >>> net = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
        >>> with resting(net):
        ...     net[0].training
        False
        >>> [part.training for part in net]
        [True, False]
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
