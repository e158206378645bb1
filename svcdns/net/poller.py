"""What all questions to upstreams share: who has something to read, what time it is, how many there may be."""

import asyncio
import resource
import selectors
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from svcdns.net.timers import Timers

MOST_QUESTIONS = 10_000
"""How many questions may be under way, if a half of the process's open files is not less: over UDP each has one."""


class Poller:
    """Calls whoever waits for a socket that has something to read.

    One selector in the event loop stands for all sockets: to add and remove each of them there would cost more than
    the question that it is for.

    Args:
        clock: Monotonic time in seconds.
        spawn: Begins work that nobody waits for.

    Attributes:
        clock: As given.
        spawn: As given.
        timers: Timers, which are rough.
        asking: How many questions are under way.
        limit: How many may be.
    """

    def __init__(self, clock: Callable[[], float], spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self.clock = clock
        self.spawn = spawn
        self.timers = Timers(clock)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.limit = MOST_QUESTIONS if files == resource.RLIM_INFINITY else min(MOST_QUESTIONS, files // 2)
        self.asking = 0
        self._selector: selectors.DefaultSelector | None = None

    @property
    def full(self) -> bool:
        """Whether no further question may be put."""
        return self.asking >= self.limit

    def watch(self, watched: socket.socket, ready: Callable[[], None]) -> None:
        """Call *ready* whenever *watched* has something to read, until it is forgotten."""
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
            asyncio.get_running_loop().add_reader(self._selector, self._poll)
        self._selector.register(watched, selectors.EVENT_READ, ready)

    def forget(self, watched: socket.socket) -> None:
        """Watch a socket no more; it is still open."""
        if self._selector is not None:
            self._selector.unregister(watched)

    async def run(self) -> None:
        """Wait until cancelled, then let go of the event loop."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the event loop and close what is watched; nothing is called any more."""
        self.timers.clear()
        if self._selector is not None:
            asyncio.get_running_loop().remove_reader(self._selector)
            for watched in [key.fileobj for key in self._selector.get_map().values()]:
                assert isinstance(watched, socket.socket)  # noqa: S101 - `watch` takes no other
                watched.close()
            self._selector.close()
            self._selector = None

    def _poll(self) -> None:
        if self._selector is not None:
            for key, _ in self._selector.select(0):
                key.data()
