"""Options of the C library's allocator, so that it keeps large buffers."""

import ctypes
import sys

from tensorhop.settings import current_settings

# glibc's <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
MIB = 1024 * 1024


def keep_large_buffers() -> bool:
    """Make malloc reuse the memory of large buffers instead of returning it to the kernel.

    By default, glibc maps every large buffer afresh, and the kernel clears each of its pages at the first access. For a
    36 MB message, this costs several times as much as copying it. The price of reuse is memory that stays with the
    process: up to the sum of the messages that were under way at once. Tensorhop's own processes call this when they
    start, unless TENSORHOP_KEEP_BUFFERS is 0. Other programs that import the client keep their allocator as it is,
    unless they call this.

    Returns:
        Whether the options were set; False with another C library, or if TENSORHOP_KEEP_BUFFERS is 0.
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
