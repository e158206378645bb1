"""An event loop that skips the time in which nothing happens."""

import asyncio
import selectors
from collections import Counter
from typing import Any

_INSTANT = 0.001


class Selector(selectors.DefaultSelector):
    """Does not wait for what takes its time but skips that time.

    Attributes:
        hurries: Whether it does so.
        skipped: How many seconds so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hurries = False
        self.skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, or soon."""
        if not self.hurries or timeout is None or timeout <= _INSTANT:
            return super().select(timeout)
        ready = super().select(_INSTANT)
        if not ready:
            self.skipped += timeout - _INSTANT
        return ready


class Loop(asyncio.SelectorEventLoop):
    """A loop whose time is that of its selector, and which counts connects, whatever becomes of them, by port."""

    def __init__(self) -> None:
        self.selector = Selector()
        self.connects: Counter[int] = Counter()
        super().__init__(self.selector)

    def time(self) -> float:
        """Return monotonic time in seconds."""
        return super().time() + self.selector.skipped

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Connect."""
        self.connects[address[1]] += 1
        await super().sock_connect(sock, address)
