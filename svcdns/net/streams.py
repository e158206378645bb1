"""The TCP listener: takes connections in and hands their messages to whatever answers.

asyncio's own server writes a hundred log lines a second when no file is left, so connections are accepted here: then
the one idle for longest gives way.

Source: RFC 7766, RFC 9210.
"""

import asyncio
import logging
import socket

from svcdns.dns.message import Listener
from svcdns.net.connections import Connection, Connections
from svcdns.net.sockets import MakeAnswerer

_BATCH = 64  # connections that are accepted before others get their turn
_LAST_BATCHES = 64  # accepted at a stop, for a flood must not delay it for ever

log = logging.getLogger(__name__)


class Streams:
    """Answers the connections that come to one address.

    Args:
        bound: A listening TCP socket, which the listener owns from now on.
        label: What metrics call the server, such as ``dns://:53``.
        make: Makes what answers.
        connections: The connections of all listeners.

    Attributes:
        answerer: Answers the messages; a reload puts another in its place.
        listener: What plugins are told of the socket.
    """

    def __init__(self, bound: socket.socket, label: str, make: MakeAnswerer, connections: Connections) -> None:
        address, port = bound.getsockname()[:2]
        family = 1 if bound.family == socket.AF_INET else 2
        self.listener = Listener(label, "tcp", family, address, port)
        self.answerer = make(self.listener)
        self._socket = bound
        self._connections = connections
        self._arriving: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to accept."""
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    async def stop(self, grace: float) -> None:
        """Accept no more, and answer what has come.

        Args:
            grace: How long that may take, in seconds; then connections are closed as they are.
        """
        for _ in range(_LAST_BATCHES):
            if not self._accept():
                break
        asyncio.get_running_loop().remove_reader(self._socket)
        if self._pause is not None:
            self._pause.cancel()
        self._socket.close()
        await asyncio.gather(*self._arriving)
        await self._connections.finish(self.listener, grace)

    def _accept(self) -> bool:
        """Accept a batch of connections; tell whether there may be more."""
        loop = asyncio.get_running_loop()
        for _ in range(_BATCH):
            try:
                accepted, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return False
            except OSError as error:
                pause = self._connections.limits.pause
                log.warning("no TCP connection can be taken in for %g s: %s", pause, error.strerror)
                self._connections.make_room()
                loop.remove_reader(self._socket)
                self._pause = loop.call_later(pause, self.start)
                return False
            accepted.setblocking(False)  # noqa: FBT003 - its only argument
            arriving = loop.create_task(loop.connect_accepted_socket(self._connection, accepted))
            self._arriving.add(arriving)
            arriving.add_done_callback(self._arriving.discard)
        return True

    def _connection(self) -> Connection:
        return Connection(self._connections, self.listener, lambda: self.answerer)
