"""Which of the objects that cannot be decoded the log names: all of them are counted, but it must not fill the disk."""

from collections.abc import Callable

from svcdns.kube.objects import Key
from svcdns.kube.structs import Retained

INTERVAL = 60.0
"""For how many seconds an object that was named is not named again."""

MOST_NAMED = 10
"""How many objects are named in such a time."""


class Skips:
    """The objects of one kind that cannot be decoded.

    Args:
        clock: Monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._named: set[Key] = set()
        self._unnamed = 0

    def describe(self, found: Retained) -> str:
        """Say what is wrong with an object; nothing where the log has had enough for the time being."""
        now = self._clock()
        if now - self._began >= INTERVAL:
            self._began = now
            self._named.clear()
        if found.key in self._named or len(self._named) == MOST_NAMED:
            self._unnamed += 1
            return ""
        self._named.add(found.key)
        more, self._unnamed = self._unnamed, 0
        return f"{found.fault}; since the last such line {more} more" if more else found.fault
