"""TCP connections: pipelined messages, answered as soon as each answer is there.

Every connection is bounded in time and memory, and so is the number of all, so that clients that idle, drip or do not
read change nothing for the others. One timer looks after all connections; a message costs none.

asyncio's transports and protocols cost a tenth of an answer, so the sockets are read and written by callbacks of the
loop. Nothing refers to a closed connection, so that it goes without the collector of cycles, which runs seldom.

Source: RFC 7766, RFC 7828, RFC 9210.
"""

import asyncio
import socket
import struct
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from svcdns.dns import wire
from svcdns.dns.framing import Framer, frame
from svcdns.dns.message import Listener
from svcdns.net.acceptor import PAUSE
from svcdns.net.sockets import Answer, Answerer, Counters, complain, show_address

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
_SEGMENT = 16 * 1024  # what is read at a time
_SEGMENTS = range(8)  # what is read at most before others get their turn, more than a message
_FULL = 0.8
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, without waiting


class Connections:
    """The connections of all listeners, in the order in which they were last used.

    Args:
        counters: What is closed to keep a limit, and what is cut to fit, is counted there.
        limits: What connections may take.
    """

    def __init__(self, counters: Counters, limits: Limits) -> None:
        self.counters = counters
        self.limits = limits
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
        self._all.move_to_end(connection)
        self._by_client[connection.client[0]].move_to_end(connection)

    def forget(self, connection: "Connection") -> None:
        """Note that *connection* is closed."""
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
        chosen = [each for each in self._all if each.door.listener is listener]
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


class Door(Protocol):
    """The listener that a connection came in through.

    Attributes:
        listener: What plugins are told of its socket.
        answerer: Answers the messages at the time.
    """

    listener: Listener
    answerer: Answerer


class Connection:
    """One client's connection.

    Args:
        accepted: Its socket, which does not block and which the connection owns from now on.
        client: The client's address and port.
        door: The listener that it came in through.
        connections: Where it counts as one.

    Attributes:
        client: See above.
        door: See above.
        in_flight: How many of its messages wait for an answer.
        closed: Done when the connection is.
    """

    def __init__(self, accepted: socket.socket, client: tuple[str, int], door: Door, connections: Connections) -> None:
        self.client = client
        self.door = door
        self.in_flight = 0
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._socket = accepted
        self._connections = connections
        self._framer = Framer()
        self._messages: list[bytes] = []  # that came, and are not answered yet
        self._unsent = b""
        self._since = monotonic()
        self._stalled_since: float | None = None
        self._waiting_for_first = True
        self._reading = False
        self._working = False  # in turns with others
        self._ending = False  # nothing more will come
        self._closing = False  # nothing more is answered

    def start(self) -> None:
        """Take the client in."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.admit(self)
        self._steer()

    def finish(self) -> None:
        """Answer what the client sent up to now, then close: to us it is as if the client had sent its last."""
        with suppress(OSError):  # it may be gone already
            self._socket.shutdown(socket.SHUT_RD)

    def abort(self) -> None:
        """Close at once, by a reset: the kernel is not to keep what the client does not read."""
        if not self.closed.done():
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._close()

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
        elif self._framer.rest:
            allowed = limits.message
        else:
            allowed = idle
        if now - self._since > allowed:
            self._close()

    def _read(self) -> None:
        """Read what came, and answer the messages that are whole now.

        Behind a part of a message is read on until nothing is left, since a reset may stand there: uvloop does not tell
        of one that came before the octets were read.
        """
        for _ in _SEGMENTS:
            try:
                octets = self._socket.recv(_SEGMENT)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._close()
                return
            if not octets:  # answers still go out (RFC 7766 section 6.2.4)
                self._ending = True
                self._steer()
                return
            begins = not self._framer.rest
            self._messages = self._framer.feed(octets)
            if begins or self._messages:
                self._since = monotonic()
                self._connections.touch(self)
            self._waiting_for_first = False
            if self._messages:
                self._work()
            if self._working or self._unsent or self.in_flight or self._closing:
                self._steer()
            if not (self._framer.rest and self._reading):
                return

    def _work(self) -> None:
        """Answer a batch of messages now, and the rest after others had their turn."""
        answerer = self.door.answerer
        answers: list[bytes] = []
        count = 0
        try:
            answerer.begin()
            recall = answerer.recall
            for message in self._messages:
                count += 1
                answer: Answer = recall(message)
                if answer is None:
                    answer = answerer.respond(message, self._who)
                if isinstance(answer, bytes) and len(answer) <= _LONG:
                    answers.append(frame(answer))
                elif not self._put(answer, answers):
                    break
                if count == _BATCH:
                    break
            if answers:
                self._send(b"".join(answers))
            answerer.end(count)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this connection alone
            complain(f"a connection of {show_address(*self.client)} failed", error)
            self.abort()
        del self._messages[:count]
        if count == _BATCH:
            self._working = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Answer more and read more, as far as there is room for it."""
        self._working = False
        if self._messages and not self._blocked:
            self._work()
        self._steer()

    def _put(self, answer: Answer, answers: list[bytes]) -> bool:
        """Take a long answer, one that comes later, or silence; tell whether further messages may be answered.

        Args:
            answer: The answer.
            answers: Those before it that are still to be sent, all of which go with a long one.
        """
        if isinstance(answer, bytes):
            answers.append(self._frame(answer))
            self._send(b"".join(answers))
            answers.clear()
        elif answer is not None:
            self.in_flight += 1
            answer.tell(self._answered)
        else:
            self._connections.counters.silent.value += 1
            self._closing = True
        return not self._blocked

    def _who(self) -> tuple[str, int]:
        return self.client

    @property
    def _blocked(self) -> bool:
        """Whether further messages must wait until answers have left, or for ever."""
        return bool(self._unsent) or self._closing or self.in_flight >= self._connections.limits.in_flight

    def _steer(self) -> None:
        """Read on, unless there is enough to do; close where there is nothing left to do."""
        done = self._closing or (self._ending and not self.in_flight)
        if done and not self._unsent and not self._working:
            self._close()
            return
        reading = not (self._blocked or self._working or self._ending)
        if reading and not self._reading:
            self._loop.add_reader(self._socket, self._read)
        elif self._reading and not reading:
            self._loop.remove_reader(self._socket)
        self._reading = reading

    def _answered(self, answer: bytes | None) -> None:
        self.in_flight -= 1
        if not self._closing and answer is not None:
            self._since = monotonic()
            self._send(self._frame(answer))
            if len(self._unsent) > self._connections.limits.unread:
                self._connections.counters.closed.value += 1
                self.abort()
        if not self._working:
            self._go_on()

    def _frame(self, answer: bytes) -> bytes:
        if len(answer) > _LONG and wire.is_truncated(answer):
            self._connections.counters.truncated.value += 1
        return frame(answer)

    def _send(self, octets: bytes) -> None:
        """Send *octets* behind those that wait; what the kernel does not take at once counts as unread."""
        if self._unsent:
            octets = self._unsent + octets
        try:
            sent = self._socket.send(octets)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._close()
            return
        if sent == len(octets) and not self._unsent:
            return
        self._unsent = octets[sent:]
        if self._stalled_since is None:
            self._stalled_since = monotonic()
            self._loop.add_writer(self._socket, self._send_rest)

    def _send_rest(self) -> None:
        """Send what waits, and go on where the client has read all."""
        self._send(b"")
        if not self._unsent and not self.closed.done():
            self._loop.remove_writer(self._socket)
            self._since, self._stalled_since = monotonic(), None
            if not self._working:
                self._go_on()

    def _close(self) -> None:
        """Let go of the client."""
        if not self.closed.done():
            self._closing, self._reading, self._unsent = True, False, b""
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._connections.forget(self)
            self.closed.set_result(None)
