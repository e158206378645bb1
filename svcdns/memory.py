"""How memory is taken and given back by a process that is to run for months."""

import asyncio
import ctypes
import gc

_GC_THRESHOLDS = (5000, 100, 100)  # a query leaves no cycles behind, and a pass over 20,000 objects takes 10 ms
_M_MMAP_THRESHOLD = -3
_LARGE = 288 * 1024  # what TLS is read into, at each event of a watch, has 256 KiB: not worth a mapping of its own
_UNTIL_READ = 60.0  # seconds after a start
_PAUSE = 30.0


def tune() -> None:
    """Have the collector of cycles run seldom."""
    gc.set_threshold(*_GC_THRESHOLDS)


async def keep_small() -> None:
    """Give back to the system what is not needed, again and again, once all lists should have been read.

    The heap grows otherwise: each piece of a list, or of TLS, is read into another place of it, so that megabytes that
    are free between what is not stay with the process.
    """
    await asyncio.sleep(_UNTIL_READ)
    map_what_is_large()
    while True:
        await asyncio.to_thread(trim)
        await asyncio.sleep(_PAUSE)


def map_what_is_large() -> None:
    """From now on have what is large come from the system, and go back to it when it is freed.

    glibc takes what is as large as anything freed before from its heap, where small objects are soon in between, so
    that the next page of a list finds no room. As long as the first lists are read, one page after the other, that is
    the faster way.

    Source: mallopt(3), M_MMAP_THRESHOLD.
    """
    _tell_glibc("mallopt", _M_MMAP_THRESHOLD, _LARGE)


def trim() -> None:
    """Give back to the system what is free in the heap. Meanwhile, for some milliseconds, nobody gets any of it.

    Source: malloc_trim(3).
    """
    _tell_glibc("malloc_trim", 0)


def _tell_glibc(name: str, *numbers: int) -> None:
    """Call a function of glibc; other libraries of C have none of the name."""
    library = ctypes.CDLL(None)
    if hasattr(library, name):
        library[name](*numbers)
