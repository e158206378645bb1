"""How memory is taken and given back by a process that is to run for months."""

import ctypes
import gc

_GC_THRESHOLDS = (5000, 100, 100)  # a query leaves no cycles behind, and a pass over 20,000 objects takes 10 ms
_M_MMAP_THRESHOLD = -3
_LARGE = 288 * 1024  # what TLS is read into, at each event of a watch, has 256 KiB: not worth a mapping of its own


def tune() -> None:
    """Have the collector of cycles run seldom."""
    gc.set_threshold(*_GC_THRESHOLDS)


def give_back() -> None:
    """From now on have what is large come from the system, and go back to it when it is freed.

    glibc takes what is as large as anything freed before from its heap, where small objects are soon in between, so
    that the next page of a list finds no room. As long as the first lists are read, one page after the other, that is
    the faster way.

    Source: mallopt(3), M_MMAP_THRESHOLD.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
    trim()


def trim() -> None:
    """Give back to the system what is free between what is not, which takes some milliseconds.

    Each piece of a list or of TLS that is read goes to another place in the heap, so that in half an hour megabytes of
    free memory are the process's for good.

    Source: malloc_trim(3).
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
