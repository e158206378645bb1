"""Connections to one upstream over TCP or TLS: kept open, shared by questions, bounded in number and age.

Questions follow each other without waiting for answers, which may come in any order. A question on a connection that
the upstream closed meanwhile is asked again on a new one, since an idle connection may be closed at any time.

Source: RFC 7766 section 6, RFC 7858 section 3.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast

from svcdns.dns.framing import Framer, frame
from svcdns.dns.upstream import Asked
from svcdns.metrics import Counter
from svcdns.net.poller import Poller

MOST_CONNECTIONS = 8
"""How many connections to one upstream questions spread over before they share them."""

_DIAL_TIMEOUT = 5.0
_DIAL_PAUSE = 0.2
_ID = 2


class Route(NamedTuple):
    """Where connections lead.

    Attributes:
        address: The upstream's address.
        port: Its port.
        source: The address to ask from; empty to leave it to routing.
        context: How TLS is spoken, or None for plain TCP.
        server_name: Whose certificate the upstream must show; empty for its address's.
    """

    address: str
    port: int
    source: str = ""
    context: ssl.SSLContext | None = None
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long and how many connections are kept.

    Attributes:
        expire: Seconds after which an idle connection is closed.
        max_age: Seconds after which a connection takes no further question; 0 for no such limit.
        max_idle: How many idle connections are kept; 0 for no limit of its own.
    """

    expire: float = 10.0
    max_age: float = 0.0
    max_idle: int = 0


class Receiver(Protocol):
    """Who asked over a connection."""

    def receive(self, asked: Asked, octets: bytes) -> None:
        """Take the message whose id is that of *asked*."""

    def lose(self, asked: Asked, error: Exception) -> None:
        """Learn that there will be no answer to *asked*."""


class _Waiting(NamedTuple):
    """A question on a connection.

    Attributes:
        asked: The question.
        receiver: Who asked it.
        reused: Whether the connection had served before, and so may have been closed meanwhile.
    """

    asked: Asked
    receiver: Receiver
    reused: bool


class Pool:
    """The connections to one upstream.

    Args:
        route: Where they lead.
        keeping: How long and how many are kept.
        poller: Its clock, timers and tasks.
        hits: Counts questions that found a connection.
        misses: Counts those that had to open one.
    """

    def __init__(self, route: Route, keeping: Keeping, poller: Poller, hits: Counter, misses: Counter) -> None:
        self.route = route
        self.keeping = keeping
        self.poller = poller
        self._hits = hits
        self._misses = misses
        self._open: list[_Connection] = []
        self._refused: OSError | None = None
        self._dial_at = 0.0

    def ask(self, encode: Callable[[], Asked], receiver: Receiver) -> Asked:
        """Send a question.

        Args:
            encode: Makes the question; called again where its id is in use on the connection.
            receiver: Learns what comes of it.

        Raises:
            OSError: A connection has just been refused.
        """
        connection = self._choose()
        asked = encode()
        while connection.uses(asked):
            asked = encode()
        connection.ask(asked, receiver)
        return asked

    def forget(self, asked: Asked) -> None:
        """Take no notice any more of what comes of *asked*."""
        for connection in self._open:
            if connection.forget(asked):
                return

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._open):
            connection.close()

    def ask_again(self, waiting: list[_Waiting]) -> None:
        """Send questions on a new connection that another took with it when it was closed."""
        connection = self._add()
        for asked, receiver, _ in waiting:
            connection.ask(asked, receiver)

    def note_refusal(self, error: OSError) -> None:
        """Dial no more for a moment, so that a flood of questions for a dead upstream costs few connections."""
        self._refused = error
        self._dial_at = self.poller.clock() + _DIAL_PAUSE

    def remove(self, connection: "_Connection") -> None:
        """Forget a connection that is closed."""
        self._open.remove(connection)

    def note_idle(self, connection: "_Connection") -> None:
        """Close a connection that fell idle where there are enough of these, else do so when it expires."""
        keeping = self.keeping
        idle = sum(each.idle_since is not None for each in self._open)
        if not connection.takes_questions or (keeping.max_idle and idle > keeping.max_idle):
            connection.close()
        else:
            self.poller.timers.at(self.poller.clock() + keeping.expire, connection.expire)

    def _choose(self) -> "_Connection":
        """Return the connection that has been idle longest, else a new one, else the one with the fewest questions."""
        young = [connection for connection in self._open if connection.takes_questions]
        idle = [connection for connection in young if connection.idle_since is not None]
        if not idle and len(young) < MOST_CONNECTIONS:
            if self._refused is not None and self.poller.clock() < self._dial_at:
                raise self._refused
            return self._add()
        self._hits.value += 1
        return min(idle, key=lambda each: each.idle_since or 0.0) if idle else min(young, key=_Connection.load)

    def _add(self) -> "_Connection":
        self._misses.value += 1
        connection = _Connection(self)
        self._open.append(connection)
        self.poller.spawn(connection.dial())
        return connection


class _Connection(asyncio.Protocol):
    """One connection, and the questions that wait on it.

    Attributes:
        idle_since: When its last question was answered; None while there are any, or none has been yet.
    """

    def __init__(self, pool: Pool) -> None:
        self.idle_since: float | None = None
        self._pool = pool
        self._begun = self._heard = pool.poller.clock()
        self._waiting: dict[bytes, _Waiting] = {}
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._closed = False
        self._answered = False

    @property
    def takes_questions(self) -> bool:
        """Whether it is not too old."""
        limit = self._pool.keeping.max_age
        return not limit or self._pool.poller.clock() - self._begun < limit

    def load(self) -> int:
        """Return how many questions wait."""
        return len(self._waiting)

    def uses(self, asked: Asked) -> bool:
        """Tell whether a question with the same id waits."""
        return asked.octets[:_ID] in self._waiting

    def ask(self, asked: Asked, receiver: Receiver) -> None:
        """Send a question, at once or as soon as there is a connection."""
        self._waiting[asked.octets[:_ID]] = _Waiting(asked, receiver, self._answered)
        self.idle_since = None
        if self._transport is not None:
            self._transport.write(frame(asked.octets))

    def forget(self, asked: Asked) -> bool:
        """Forget a question and tell whether it waited here; a connection that fell silent is closed."""
        waiting = self._waiting.get(asked.octets[:_ID])
        if waiting is None or waiting.asked is not asked:
            return False
        del self._waiting[asked.octets[:_ID]]
        if self._pool.poller.clock() - self._heard > _DIAL_TIMEOUT:
            self.close()
        elif not self._waiting:
            self._rest()
        return True

    async def dial(self) -> None:
        """Connect, and send what waits."""
        route = self._pool.route
        try:
            async with asyncio.timeout(_DIAL_TIMEOUT):
                await asyncio.get_running_loop().create_connection(
                    lambda: self,
                    route.address,
                    route.port,
                    ssl=route.context,
                    server_hostname=route.server_name or None,
                    local_addr=(route.source, 0) if route.source else None,
                )
        except OSError as error:
            self._pool.note_refusal(error)
            self._end(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what waits."""
        stream = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        if self._closed:
            stream.abort()
            return
        self._transport = stream
        self._heard = self._pool.poller.clock()
        stream.writelines([frame(waiting.asked.octets) for waiting in self._waiting.values()])

    def data_received(self, data: bytes) -> None:
        """Hand each message to whoever waits for its id; what nobody waits for is dropped."""
        self._heard = self._pool.poller.clock()
        for octets in self._framer.feed(data):
            waiting = self._waiting.pop(octets[:_ID], None)
            if waiting is not None:
                self._answered = True
                waiting.receiver.receive(waiting.asked, octets)
        if not self._waiting:
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ask again what was asked over a connection that had served before; say that the rest is lost."""
        again = [each for each in self._waiting.values() if each.reused]
        for each in again:
            del self._waiting[each.asked.octets[:_ID]]
        self._end(exc or ConnectionResetError("the upstream closed the connection"))
        if again:
            self._pool.ask_again(again)

    def expire(self) -> None:
        """Close the connection if it has been idle for as long as it may."""
        now = self._pool.poller.clock()
        if self.idle_since is not None and now - self.idle_since >= self._pool.keeping.expire:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()
        self._end(ConnectionAbortedError("the connection was closed"))

    def _rest(self) -> None:
        if self.idle_since is None and not self._closed:
            self.idle_since = self._pool.poller.clock()
            self._pool.note_idle(self)

    def _end(self, error: Exception) -> None:
        if self._closed:
            return
        self._closed = True
        self._pool.remove(self)
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            each.receiver.lose(each.asked, error)
