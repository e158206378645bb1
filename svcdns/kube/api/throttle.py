"""The limits that an operator may put on requests to the API server."""

from collections.abc import Callable

DEFAULT_BURST = 10
"""How many requests may be made at once where only a rate is written."""


class TokenBucket:
    """Allows so many requests a second on average.

    Args:
        rate: Requests a second; 0 allows any number.
        burst: How many may come together after a quiet time.
        clock: Monotonic time in seconds.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._interval = 1 / rate if rate > 0 else 0.0
        self._depth = self._interval * ((burst or DEFAULT_BURST) - 1)
        self._clock = clock
        self._due = clock() - self._depth

    def reserve(self) -> float:
        """Take the next free place and return for how many seconds to wait for it."""
        now = self._clock()
        self._due = max(self._due, now - self._depth)
        wait = max(0.0, self._due - now)
        self._due += self._interval
        return wait
