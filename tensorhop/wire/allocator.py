"""The C library's allocator, told to keep large buffers."""

import ctypes
import sys

from tensorhop.settings import current_settings

# glibc's <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
MIB = 1024 * 1024


def keep_large_buffers() -> bool:
    """Have malloc use the memory of large buffers again, instead of giving it back and getting it page by page anew.

    By default glibc maps every large buffer afresh, and the kernel clears and faults in each of its pages: for a
    36 MB message, several times the cost of copying it. The price is memory that stays with the process: up to the sum
    of the messages that were under way at once. Our own processes call this at their start (TENSORHOP_KEEP_BUFFERS=0
    turns it off). A program that imports the client keeps its own allocator, unless it calls this itself.

    Returns:
        Whether it was done; False with another C library.
    """
    if not current_settings().keep_buffers or not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    options = [(M_MMAP_THRESHOLD, 1024 * MIB), (M_TRIM_THRESHOLD, 2048 * MIB - 1), (M_TOP_PAD, 64 * MIB)]
    # One arena for all threads: otherwise each keeps buffers of its own.
    return all(mallopt(name, value) == 1 for name, value in [*options, (M_ARENA_MAX, 1)])
