"""Memory that a process has freed, and will ask for again at its next step."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's <malloc.h>
MOST = 2**31 - 1  # bytes of free memory that are kept
LARGEST = 2**25  # bytes of one piece that are kept: glibc takes no more


def keep_memory() -> bool:
    """Let this process keep the memory that it frees, where the C library can be told so.

    A step of training on a CPU frees tensors of some megabytes and asks for as many at the next step. The C
    library gives them back to the system in between, and the system clears them page by page. With this a
    step like the last one asks for no page anew, and convolutions gain most. The process then stays as large
    as it has been once, up to 2 GB of free memory.

    It is for the whole process and all that runs in it, so nothing in the library calls it but the command
    line and the workers of a comparison, in processes of their own.

    Returns:
        whether it is so: ``True`` on Linux with glibc; elsewhere nothing changes.

    Example:
        >>> keep_memory() in (True, False)
        True
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, MOST))
