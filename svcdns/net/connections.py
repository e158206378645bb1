"""TCP connections: pipelined messages, answered as soon as each answer is there.

Every connection is bounded in time and memory, and so is the number of all, so that clients that idle, drip or do not
read change nothing for the others. One timer looks after all connections; a message costs none.

Source: RFC 7766, RFC 7828, RFC 9210.
"""

import asyncio
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from svcdns.dns import wire
from svcdns.dns.framing import Framer, frame
from svcdns.dns.message import Listener
from svcdns.net.acceptor import PAUSE
from svcdns.net.sockets import Answer, Answerer, Counters

IDLE = 10.0
"""How long a connection may stay idle, in seconds; what clients that ask for keepalive are told (RFC 7828)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a connection may take, times in seconds, to which a sweep adds up to its own.

    Attributes:
        first: From the connection to its first octet.
        message: From the first octet of a message to its last.
        idle: Between an answer and the next query.
        busy_idle: The same while over four fifths of all connections are taken.
        stalled: How long a client may refuse to read.
        unread: Octets of answers kept for a client that does not read.
        in_flight: Messages of a connection that wait for an upstream; at this number its reading pauses.
        connections: In all; the one idle for longest gives way to a new one.
        per_client: Of one client address; of these, too, the one idle for longest gives way.
        sweep: How often connections are looked after.
        pause: Without new connections, after there was no file left for one.
    """

    first: float = 2.5
    message: float = 1.5
    idle: float = IDLE
    busy_idle: float = 1.0
    stalled: float = 4.5
    unread: int = 256 * 1024
    in_flight: int = 128
    connections: int = 10_000
    per_client: int = 256
    sweep: float = 0.5
    pause: float = PAUSE


_BATCH = 64  # messages of one connection that are answered before others get their turn
_LONG = 4096  # answers over this leave at once, so that what a slow reader makes us keep stays bounded
_SEGMENT = 64 * 1024  # what is read at a time
_FULL = 0.8
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, without waiting


class Connections:
    """The connections of all listeners, in the order in which they were last used.

    Args:
        counters: What is closed to keep a limit, and what is cut to fit, is counted there.
        limits: What connections may take.

    Attributes:
        buffer: Where what came is read into: one for all, for nothing stays there.
    """

    def __init__(self, counters: Counters, limits: Limits) -> None:
        self.counters = counters
        self.limits = limits
        self.buffer = memoryview(bytearray(_SEGMENT))
        self._all: OrderedDict[Connection, None] = OrderedDict()
        self._by_client: dict[str, OrderedDict[Connection, None]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._all)

    def admit(self, connection: "Connection") -> None:
        """Take in a new connection, at the expense of the one idle for longest where there are too many."""
        of_client = self._by_client.get(connection.client[0], OrderedDict())
        if len(of_client) >= self.limits.per_client:
            self._evict(of_client)
        elif len(self._all) >= self.limits.connections:
            self._evict(self._all)
        self._all[connection] = None
        self._by_client.setdefault(connection.client[0], OrderedDict())[connection] = None
        if self._sweep is None:
            self._look_after()

    def touch(self, connection: "Connection") -> None:
        """Note that *connection* is the one used last."""
        if connection in self._all:
            self._all.move_to_end(connection)
            self._by_client[connection.client[0]].move_to_end(connection)

    def forget(self, connection: "Connection") -> None:
        """Note that *connection* is closed."""
        if connection not in self._all:
            return
        del self._all[connection]
        of_client = self._by_client[connection.client[0]]
        del of_client[connection]
        if not of_client:
            del self._by_client[connection.client[0]]

    def make_room(self) -> None:
        """Close the connection idle for longest, if there is any."""
        if self._all:
            self._evict(self._all)

    async def finish(self, listener: Listener, grace: float) -> None:
        """Close what came in through *listener* as soon as it is answered, and after *grace* seconds in any case."""
        chosen = [each for each in self._all if each.listener is listener]
        for each in chosen:
            each.finish()
        if chosen:
            await asyncio.wait([each.closed for each in chosen], timeout=grace)
        for each in chosen:
            each.abort()

    def _evict(self, connections: "OrderedDict[Connection, None]") -> None:
        self.counters.closed.value += 1
        idlest = next((each for each in connections if not each.in_flight), next(iter(connections)))
        idlest.abort()

    def _look_after(self) -> None:
        """Close the connections whose time is up, and come back later while there are any."""
        loop = asyncio.get_running_loop()
        busy = len(self._all) > _FULL * self.limits.connections
        idle = self.limits.busy_idle if busy else self.limits.idle
        now = monotonic()
        for connection in list(self._all):
            connection.check(now, idle)
        self._sweep = loop.call_later(self.limits.sweep, self._look_after) if self._all else None


class Connection(asyncio.BufferedProtocol):
    """One client's connection.

    Args:
        connections: Where it counts as one.
        listener: The socket that it came in through.
        answerer: Returns what answers the messages at the time.

    Attributes:
        client: The client's address and port.
        in_flight: How many of its messages wait for an answer.
        closed: Done when the connection is.
    """

    def __init__(self, connections: Connections, listener: Listener, answerer: Callable[[], Answerer]) -> None:
        self.client = ("", 0)
        self.listener = listener
        self.in_flight = 0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connections = connections
        self._answerer = answerer
        self._most_in_flight = connections.limits.in_flight
        self._framer = Framer()
        self._transport: asyncio.Transport
        self._since = monotonic()
        self._waiting_for_first = True
        self._stalled_since: float | None = None
        self._working = False
        self._ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client in."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream socket gets
        self._transport = transport
        peer = transport.get_extra_info("peername") or ("", 0)
        self.client = (peer[0], peer[1])
        transport.set_write_buffer_limits(high=0)  # whatever the kernel does not take at once counts as unread
        self._connections.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it ended makes no difference
        """Let go of the client."""
        self._connections.forget(self)
        self.closed.set_result(None)
        _break_cycles(self._transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - it is no more than a wish
        """Say where to read into. What a transport makes for each read is larger, and may cost more than the answer."""
        return self._connections.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Answer what messages are whole now."""
        if not self._framer.partial:
            self._since = monotonic()
            self._connections.touch(self)
        self._waiting_for_first = False
        self._framer.feed(bytes(self._connections.buffer[:nbytes]))
        self._work()

    def eof_received(self) -> bool:
        """Keep the half that answers go out by open until all of them have (RFC 7766 section 6.2.4)."""
        self._ending = True
        self._close_when_done()
        return True

    def pause_writing(self) -> None:
        """Take in no more while the client does not read."""
        self._stalled_since = monotonic()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on where the client has read all."""
        self._stalled_since = None
        if not self._working:
            self._work()

    def finish(self) -> None:
        """Answer what the client sent up to now, then close: to us it is as if the client had sent its last."""
        with suppress(OSError):  # it may be gone already
            self._transport.get_extra_info("socket").shutdown(socket.SHUT_RD)

    def abort(self) -> None:
        """Close at once, by a reset: the kernel is not to keep what the client does not read."""
        self._connections.forget(self)
        if not self.closed.done():
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    def check(self, now: float, idle: float) -> None:
        """Close a connection whose time is up."""
        limits = self._connections.limits
        if self._stalled_since is not None:
            if now - self._stalled_since > limits.stalled:
                self.abort()
            return
        if self.in_flight or self._working:
            return
        if self._waiting_for_first:
            allowed = limits.first
        elif self._framer.partial:
            allowed = limits.message
        else:
            allowed = idle
        if now - self._since > allowed:
            self._transport.close()

    def _work(self) -> None:
        """Answer what has come, some of it now and the rest after others had their turn."""
        self._working = False
        if self._transport.is_closing():
            return
        answerer = self._answerer()
        answerer.begin()
        count = self._answer(answerer)
        answerer.end(count)
        if count:
            self._since = monotonic()
        if count == _BATCH:
            self._working = True
            asyncio.get_running_loop().call_soon(self._work)
        self._steer()

    def _answer(self, answerer: Answerer) -> int:
        """Answer a batch of messages, and return how many there were."""
        take, recall = self._framer.take, answerer.recall
        answers: list[bytes] = []
        count = 0
        while count < _BATCH and not self._blocked and (message := take()) is not None:
            count += 1
            answer: Answer = recall(message)
            if answer is None:
                answer = answerer.respond(message, self._who)
            if isinstance(answer, bytes):
                answers.append(self._frame(answer))
                if len(answer) > _LONG:
                    self._send(answers)
            elif answer is not None:
                self.in_flight += 1
                answer.add_done_callback(self._answered)
            else:
                self._connections.counters.silent.value += 1
                self._send(answers)
                self._transport.close()
                break
        self._send(answers)
        return count

    def _who(self) -> tuple[str, int]:
        return self.client

    @property
    def _blocked(self) -> bool:
        """Whether further messages must wait until answers have left."""
        return self._stalled_since is not None or self.in_flight >= self._most_in_flight

    def _steer(self) -> None:
        """Read on, unless there is enough to do; close where there is nothing left to do."""
        if self._blocked or self._working:
            self._transport.pause_reading()
        elif not self._ending:
            self._transport.resume_reading()
        if self._ending:
            self._close_when_done()

    def _answered(self, answer: asyncio.Task[bytes]) -> None:
        self.in_flight -= 1
        if not answer.cancelled() and answer.exception() is None:
            self._since = monotonic()
            self._send([self._frame(answer.result())])
            if self._transport.get_write_buffer_size() > self._connections.limits.unread:
                self._connections.counters.closed.value += 1
                self.abort()
        if not self._working:
            self._work()

    def _frame(self, answer: bytes) -> bytes:
        if len(answer) > _LONG and wire.is_truncated(answer):
            self._connections.counters.truncated.value += 1
        return frame(answer)

    def _send(self, answers: list[bytes]) -> None:
        """Write *answers*, of which none is left."""
        if answers and not self._transport.is_closing():
            self._transport.write(b"".join(answers))
        answers.clear()

    def _close_when_done(self) -> None:
        if self._ending and not self.in_flight and not self._working:
            self._transport.close()


def _break_cycles(transport: asyncio.Transport) -> None:
    """Have a closed transport forget its own methods.

    asyncio's transports keep some of these as attributes, and so each would stay until the collector finds the cycle:
    with the thresholds of `memory`, that may be half an hour later.
    """
    kept = vars(transport)
    for name in [name for name, value in kept.items() if getattr(value, "__self__", None) is transport]:
        del kept[name]
