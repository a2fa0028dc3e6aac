"""How many tasks at a time a kernel works on, so that what it makes on its way stays in the caches."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

ROOM = {"cpu": 2**22}  # bytes
ELSEWHERE = 2**28


def parts(like: Tensor, each: int) -> Iterator[slice]:
    """Give slices of tasks.

    Args:
        like: ``(T, *)``, on the device and of the type of what is made.
        each: numbers that are made for a task.
    """
    room = ROOM.get(like.device.type, ELSEWHERE) // like.element_size()
    count = max(1, room // max(1, each))
    return (slice(at, min(at + count, len(like))) for at in range(0, len(like), count))
