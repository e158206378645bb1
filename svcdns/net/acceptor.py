"""Takes in the TCP connections that come to a listening socket.

asyncio's own server writes a hundred log lines a second when no file is left, so connections are accepted here. Then
one that is held gives way, and the next are taken in after a short pause: of those that wait many may have gone, which
cost a file only until that is seen.
"""

import asyncio
import logging
import select
import socket
from collections.abc import Callable

from svcdns.errors import describe
from svcdns.net.sockets import show_address

PAUSE = 0.05
"""Seconds without new connections, after there was no file left for one."""

_BETWEEN_LINES = 1.0  # seconds

_BATCH = 64  # connections that are accepted before others get their turn
_LAST_BATCHES = 64  # accepted at a stop, for a flood must not delay it for ever

TakeIn = Callable[[socket.socket, tuple[str, int]], None]
"""Takes in a connection: its socket, which does not block and is the taker's from now on, and the client's address."""

log = logging.getLogger(__name__)


class Acceptor:
    """Accepts the connections to one address.

    Args:
        bound: A listening socket that does not block, which the acceptor owns from now on.
        take_in: Takes in each connection.
        make_room: Closes a connection that is held, if there is any.
        pause: Seconds without new connections, after there was no file left for one.
    """

    def __init__(
        self,
        bound: socket.socket,
        take_in: TakeIn,
        make_room: Callable[[], None],
        pause: float = PAUSE,
    ) -> None:
        self._socket = bound
        self._take_in = take_in
        self._make_room = make_room
        self._pause = pause
        self._resuming: asyncio.TimerHandle | None = None
        self._next_line = 0.0

    def start(self) -> None:
        """Begin to accept."""
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def pause(self) -> None:
        """Accept no more; `start` begins again."""
        asyncio.get_running_loop().remove_reader(self._socket)
        if self._resuming is not None:
            self._resuming.cancel()

    def stop(self) -> None:
        """Take in what has come, and accept no more."""
        for _ in range(_LAST_BATCHES):
            if not self._accept():
                break
        self.pause()
        self._socket.close()

    def _accept(self) -> bool:
        """Accept a batch of connections; tell whether there may be more."""
        for _ in range(_BATCH):
            try:
                accepted, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return False
            except OSError as error:
                if _is_asked(self._socket):
                    self._rest(error)
                return False
            accepted.setblocking(False)  # noqa: FBT003 - its only argument
            self._take_in(accepted, address[:2])
        return True

    def _rest(self, error: OSError) -> None:
        """Accept nothing for a while, since there is no room for it."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next_line:
            self._next_line = loop.time() + _BETWEEN_LINES
            shown = show_address(*self._socket.getsockname()[:2])
            log.warning("no connection to %s can be taken in: %s", shown, describe(error))
        self._make_room()
        loop.remove_reader(self._socket)
        self._resuming = loop.call_later(self._pause, self.start)


def _is_asked(bound: socket.socket) -> bool:
    """Tell whether somebody waits to be taken in: without a file, the kernel refuses before it looks."""
    poll = select.poll()
    poll.register(bound, select.POLLIN)
    return bool(poll.poll(0))
