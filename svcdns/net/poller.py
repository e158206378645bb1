"""What all questions to upstreams share: who has something to read, what time it is, how many there may be."""

import asyncio
import resource
import selectors
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from svcdns.net.timers import Timers

MOST_QUESTIONS = 10_000
"""How many questions may be under way, if a half of the process's open files is not less: over UDP each has one."""

AT_ONCE = 64
"""How many who have something to read are called in one turn of the event loop, so that others have theirs, too."""


def limit_questions(files: int) -> int:
    """Return how many questions may be under way in a process that may open so many files."""
    return MOST_QUESTIONS if files == resource.RLIM_INFINITY else min(MOST_QUESTIONS, files // 2)


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
        idle: What closes each socket that waits for a question, the one that waits for longest first.
        limit: How many questions may be under way.
    """

    def __init__(self, clock: Callable[[], float], spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self.clock = clock
        self.spawn = spawn
        self.timers = Timers(clock)
        self.limit = limit_questions(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.asking = 0
        self.idle: dict[object, Callable[[], None]] = {}
        self._selector: selectors.DefaultSelector | None = None
        self._watched: dict[int, selectors.SelectorKey] = {}
        self._ready: deque[selectors.SelectorKey] = deque()
        self._held: deque[Callable[[], None]] = deque()

    @property
    def full(self) -> bool:
        """Whether no further question may be put."""
        return self.asking >= self.limit

    @property
    def crowded(self) -> bool:
        """Whether no further socket may wait for a question: with those in use there may be as many as questions."""
        return self.asking + len(self.idle) > self.limit

    def make_room(self) -> None:
        """Close a socket that waits, where another is to be opened and there would be more than questions may be."""
        if self.idle and self.crowded:
            next(iter(self.idle.values()))()

    def watch(self, watched: socket.socket, ready: Callable[[], None]) -> None:
        """Call *ready* whenever *watched* has something to read, until it is forgotten."""
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
            asyncio.get_running_loop().add_reader(self._selector, self._poll)
        key = self._selector.register(watched, selectors.EVENT_READ, ready)
        self._watched[key.fd] = key

    def forget(self, watched: socket.socket) -> None:
        """Watch a socket no more; it is still open."""
        if self._selector is not None:
            del self._watched[self._selector.unregister(watched).fd]

    def hold(self, call: Callable[[], None]) -> None:
        """Call *call* in the loop's next turn, after what was held before: one after the other, the like cost less.

        What they run stays in the processor's caches, and who receives what they send is woken up once.
        """
        if not self._held:
            asyncio.get_running_loop().call_soon(self._call_held)
        self._held.append(call)

    async def run(self) -> None:
        """Wait until cancelled, then let go of the event loop."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the event loop and close what is watched; what is held is still called, for queries wait for it."""
        self.timers.clear()
        if self._selector is not None:
            asyncio.get_running_loop().remove_reader(self._selector)
            for key in self._watched.values():
                assert isinstance(key.fileobj, socket.socket)  # noqa: S101 - `watch` takes no other
                key.fileobj.close()
            self._watched.clear()
            self._selector.close()
            self._selector = None

    def _call_held(self) -> None:
        try:
            while self._held:
                self._held.popleft()()
        finally:
            if self._held:
                asyncio.get_running_loop().call_soon(self._call_held)

    def _poll(self) -> None:
        """Call some of those who have something to read; what is left is for the next turn."""
        if self._selector is None:
            return
        if not self._ready:
            self._ready.extend([key for key, _ in self._selector.select(0)])
        for _ in range(min(AT_ONCE, len(self._ready))):
            key = self._ready.popleft()
            if self._watched.get(key.fd) is key:  # else it was forgotten meanwhile
                key.data()
