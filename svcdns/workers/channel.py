"""Messages between the first process and a worker: in order, whole, and handled as they come."""

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple, cast

from svcdns.metrics import Report

_SIZE = struct.Struct("!I")


class Changed(NamedTuple):
    """To a worker: a resource changed.

    Attributes:
        number: Which of the resources that were left, counted from 0.
        change: What to learn.
    """

    number: int
    change: object


class Ping(NamedTuple):
    """To a worker: say that you live."""


class Pong(NamedTuple):
    """From a worker: it lives, and reads its sockets."""


class Resign(NamedTuple):
    """From a worker: somebody else told it to end; it goes on until it is told to leave."""


class Count(NamedTuple):
    """To a worker: say what you counted."""


class Counted(NamedTuple):
    """From a worker: what it counted since it was asked last.

    Attributes:
        reports: What to add to the metrics of the first process.
    """

    reports: list[Report]


class Leave(NamedTuple):
    """To a worker: answer what has come, say what you counted, and end."""


def pack(message: object) -> bytes:
    """Write *message*, a tuple of this module, as it is sent."""
    octets = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _SIZE.pack(len(octets)) + octets


class Channel(asyncio.Protocol):
    """One end of the connection between two processes.

    Attributes:
        hear: Takes each message of the other.
        end: Is called when the other is gone.
    """

    def __init__(self) -> None:
        self.hear: Callable[[object], None] = lambda _: None
        self.end: Callable[[], None] = lambda: None
        self._held = bytearray()
        self._left = asyncio.Event()
        self._left.set()
        self._transport: asyncio.Transport

    async def open(self, connected: socket.socket) -> None:
        """Begin to hear what comes through a connected stream socket, which the channel owns from now on."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=connected)

    def send(self, message: object) -> None:
        """Send *message*, a tuple of this module, without waiting."""
        self.write(pack(message))

    def write(self, octets: bytes) -> None:
        """Send a message as `pack` writes it, without waiting; to one that is gone, nothing."""
        if not self._transport.is_closing():
            self._transport.write(octets)

    async def flush(self) -> None:
        """Wait until all that was sent has left."""
        await self._left.wait()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._transport.set_write_buffer_limits(high=0)

    def pause_writing(self) -> None:
        """Take note that something is left to send."""
        self._left.clear()

    def resume_writing(self) -> None:
        """Take note that nothing is."""
        self._left.set()

    def data_received(self, data: bytes) -> None:
        """Handle the messages that are whole now."""
        held = self._held
        held += data
        start = 0
        while len(held) >= start + _SIZE.size:
            begin = start + _SIZE.size
            (size,) = _SIZE.unpack_from(held, start)
            if len(held) < begin + size:
                break
            start = begin + size
            self.hear(pickle.loads(held[begin:start]))  # noqa: S301 - from a fork of ours, through a pair of sockets
        del held[:start]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it ended makes no difference
        """Say that the other is gone."""
        self._left.set()
        self.end()
