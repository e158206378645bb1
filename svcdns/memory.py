"""How memory is taken and given back by a process that is to run for months."""

import ctypes
import gc

_GC_THRESHOLDS = (5000, 100, 100)  # a query leaves no cycles behind, and a pass over 20,000 objects takes 10 ms
_M_MMAP_THRESHOLD = -3
_LARGE = 128 * 1024


def tune() -> None:
    """Have the collector of cycles run seldom, and what is large go back to the system when it is freed.

    glibc begins so, too, but takes what is as large as anything freed before from its heap from then on. There small
    objects are soon in between, and the next page of a list finds no room.

    Source: mallopt(3), M_MMAP_THRESHOLD.
    """
    gc.set_threshold(*_GC_THRESHOLDS)
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
