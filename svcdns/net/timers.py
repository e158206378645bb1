"""Timers by the thousand: those due at about the same time share one timer of the event loop.

A question that is answered in a millisecond would pay more for setting and cancelling timers than for its answer. So
timers here are rough, and one that is cancelled stays where it is, but lets go of whom it would have called.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable

RESOLUTION = 0.006
"""How late a timer may be, in seconds."""

AT_ONCE = 64
"""How many timers are called in one turn of the event loop, so that others have theirs, too."""

Timer = list[Callable[[], object]]
"""Who is called; cleared, nobody."""

_SLOT = 0.004  # seconds; who is due within so many shares a timer of the loop
_EARLY = 1e-6  # a slot's time is a product that may be rounded
_LATE = 0.0015  # seconds; uvloop rounds to whole milliseconds, from a clock that does: as much too early, it would spin


class Timers:
    """Calls back when it is time.

    Args:
        clock: Monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._slots: dict[int, deque[Timer]] = {}
        self._due: list[int] = []
        self._armed: asyncio.TimerHandle | None = None

    def at(self, when: float, call: Callable[[], object]) -> Timer:
        """Have *call* called at *when* or up to `RESOLUTION` later, unless the timer is cleared before."""
        timer: Timer = [call]
        number = int(when / _SLOT) + 1
        slot = self._slots.get(number)
        if slot is not None:
            slot.append(timer)
            return timer
        self._slots[number] = deque((timer,))
        heapq.heappush(self._due, number)
        if self._due[0] == number:
            self._arm()
        return timer

    def clear(self) -> None:
        """Forget all that is due."""
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None
        self._slots.clear()
        self._due.clear()

    def _arm(self) -> None:
        """Set the loop's timer to the first slot."""
        if self._armed is not None:
            self._armed.cancel()
        delay = self._due[0] * _SLOT - self._clock()
        late = delay + _LATE if delay > 0 else 0.0
        self._armed = asyncio.get_running_loop().call_later(late, self._fire)

    def _fire(self) -> None:
        """Call some of those that are due; what is left, and what a failure leaves, is for the next turn."""
        self._armed = None
        now = self._clock() / _SLOT + _EARLY
        left = AT_ONCE
        try:
            while left and self._due and self._due[0] <= now:
                slot = self._slots[self._due[0]]
                if slot:
                    left -= 1
                    for call in slot.popleft():
                        call()
                else:
                    del self._slots[heapq.heappop(self._due)]
        finally:
            if self._due and self._armed is None:
                self._arm()
