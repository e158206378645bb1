"""Octets in, octets out: picks the server block for a query, steps its chain, answers what reaches none.

An answer from memory never touches the event loop: the chain's coroutine is stepped by hand, in the callback that read
the query. One that suspends is stepped on when what it awaits is there; it is no task. An answer that may be given
again does not even touch the chain; see `replies`.

Source: RFC 1035 section 4.1, RFC 5936 section 4, RFC 8906, RFC 9619.
"""

from asyncio import CancelledError, Future, get_running_loop
from collections.abc import Callable, Coroutine, Iterable
from itertools import chain
from typing import Any, Final, NamedTuple, final

from svcdns.chain import Handler, Wait
from svcdns.dns import edns, wire
from svcdns.dns.message import Ede, ExtendedError, Listener, Query, Rcode, Response
from svcdns.dns.name import ROOT, Name, suffixes
from svcdns.dns.records import CLASS_IN, Rtype, weigh
from svcdns.errors import WireError
from svcdns.net.connections import IDLE
from svcdns.net.sockets import Answer, Counters, TellClient, complain
from svcdns.replies import DATAGRAM_OCTETS, ID_SIZE, STREAM_OCTETS, Replies, Reply

MAX_DEPTH: Final = 8
"""How many CNAMEs are followed from a client's question (RFC 1034 section 3.6.2 asks for a bound)."""

Drop = Callable[[Query, Response], None]
Awaited = Future[Any] | None
"""What a coroutine hands to whoever steps it: what it awaits, or None to be stepped on in the next turn."""

_LONGEST_REMEMBERED: Final = 512
_LONGEST_GIVEN_AGAIN: Final = 4096
_TRANSFERS = frozenset({Rtype.AXFR, Rtype.IXFR})
_NOT_OURS = ExtendedError(Ede.NOT_AUTHORITATIVE)
_KEEPALIVE = edns.keepalive(IDLE)
"""Tells a TCP client how long it may stay idle (RFC 7828)."""

REFUSED = Response(Rcode.REFUSED, ede=_NOT_OURS)
"""What a question gets that no server block or no plugin takes (RFC 8914 section 4.21)."""


async def refuse(query: Query) -> Response:  # noqa: ARG001 - a handler takes the query
    """Answer what no plugin of a chain answered."""
    return REFUSED


class Route(NamedTuple):
    """A server block as one of its zones leads to it.

    Attributes:
        zone: The zone.
        handler: The first link of the block's chain.
        recursive: Whether the block asks other servers, which its answers say by RA.
        refreshes: What ends the leases of the block's answers that hold good no longer.
    """

    zone: Name
    handler: Handler
    recursive: bool
    refreshes: tuple[Callable[[], None], ...] = ()


class Routes:
    """Which server block takes which name, at one address and port.

    Args:
        routes: The server blocks, each with another zone.

    Attributes:
        refreshes: What ends the leases of answers that hold good no longer.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = {route.zone: route for route in routes}
        self._everything = self._routes[ROOT] if set(self._routes) == {ROOT} else None
        self._longest = max(map(len, self._routes), default=len(ROOT))
        self.refreshes = tuple(dict.fromkeys(chain.from_iterable(route.refreshes for route in self._routes.values())))

    def find(self, name: Name, rtype: int) -> Route | None:
        """Find the server block with the longest zone that holds *name*.

        A DS record of a zone's apex belongs to the zone above, but where that is the root (RFC 4035 section 3.1.4.1):
        a block for the root forwards, and would tell of another zone than ours.
        """
        if self._everything is not None:
            return self._everything
        position, end = 0, len(name)
        while end - position > self._longest:
            position += name[position] + 1
        found = None
        for zone in suffixes(Name(name[position:])):
            route = self._routes.get(zone)
            if route is not None and (found is None or zone != ROOT):
                found = route
                if rtype != Rtype.DS or zone != name:
                    break
        return found

    async def resolve(self, query: Query) -> Response:
        """Answer a question that a plugin has, as a client of the same listener would be answered."""
        route = self.find(query.name, query.rtype)
        if route is None:
            return REFUSED
        if query.depth > MAX_DEPTH:
            return Response(Rcode.SERVFAIL, ede=ExtendedError(Ede.OTHER, "the chain of CNAMEs is too long"))
        return await route.handler(query.replace(zone=route.zone))


class Surroundings(NamedTuple):
    """What the application lends to responders.

    Attributes:
        drop: Is told of every query that reaches no server block, for metrics.
        counters: What listeners count.
        clock: Monotonic time in seconds.
    """

    drop: Drop
    counters: Counters
    clock: Callable[[], float]


@final
class Exchange:
    """A query as it came, and what its answer must keep to.

    Attributes:
        envelope: What its octets say.
        limit: The longest message that its client takes, in octets.
        ra: Whether recursion is available.
        options: EDNS options of its answer.
    """

    __slots__ = ("envelope", "limit", "options", "ra")

    def __init__(self, envelope: wire.Envelope, limit: int, options: bytes, *, ra: bool) -> None:
        self.envelope = envelope
        self.limit = limit
        self.options = options
        self.ra = ra

    def write(self, response: Response) -> bytes:
        """Write *response*."""
        return wire.encode(self.envelope, response, self.limit, ra=self.ra, options=self.options)

    def write_again(self, response: Response) -> bytes:
        """Write *response* without an id."""
        return self.write(response)[ID_SIZE:]


class Suspended:
    """An answer whose chain awaits something, as a rule what an upstream says.

    A task would step the chain as well, at the cost of three more turns of the event loop. So a chain awaits futures;
    what asks for a task, such as a timeout, is to be spawned.

    Args:
        exchange: The query, and what its answer must keep to.
        waiting: The chain.
        awaited: What it awaits.
    """

    __slots__ = ("_exchange", "_tell", "_waiting")

    def __init__(self, exchange: Exchange, waiting: Coroutine[Awaited, None, Response], awaited: Awaited) -> None:
        self._exchange = exchange
        self._waiting = waiting
        self._tell: Callable[[bytes | None], None]
        self._wait_for(awaited)

    def tell(self, call: Callable[[bytes | None], None]) -> None:
        """See `sockets.Later`."""
        self._tell = call

    def _wait_for(self, awaited: Awaited) -> None:
        if awaited is None:  # the chain only gives others their turn
            get_running_loop().call_soon(self._go_on)
            return
        awaited._asyncio_future_blocking = False  # noqa: SLF001 - as a task does; while set, nobody else can await it
        go_on = self._go_on
        awaited.add_done_callback(go_on)
        if isinstance(awaited, Wait):
            awaited.go_on = go_on

    def _go_on(self, _: Awaited = None) -> None:
        """Step the chain on; one that fails has no answer."""
        answer = None
        try:
            step = self._step()
            if not isinstance(step, bytes):
                self._wait_for(step)
                return
            answer = step
        except CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - the listener must learn that there is no answer
            complain("a query that had to wait has no answer", error)
        self._tell(answer)

    def _step(self) -> Awaited | bytes:
        """Return what the chain awaits next, or else the answer."""
        try:
            return self._waiting.send(None)
        except StopIteration as stop:
            return self._exchange.write(stop.value)


class Responder:
    """Answers the messages of one listener.

    Args:
        routes: Which server block takes which name.
        surroundings: What the application lends.
        listener: The listener.

    Attributes:
        recall: Answers a message like one that was answered before, where that answer may be given again.
        made: How many messages of the batch at hand were answered otherwise.
    """

    def __init__(self, routes: Routes, surroundings: Surroundings, listener: Listener) -> None:
        self._routes = routes
        self._listener = listener
        self._tcp = listener.transport == "tcp"
        self._drop, self._counters, self._clock = surroundings
        self._replies = Replies(self._clock, STREAM_OCTETS if self._tcp else DATAGRAM_OCTETS)
        self.made = 0
        self._seconds = 0.0
        self.recall = self._replies.recall

    def begin(self) -> None:
        """Make sure that what is answered again holds good; nothing may be awaited from here to `end`."""
        for refresh in self._routes.refreshes:
            refresh()
        self._replies.begin()

    def end(self, count: int) -> None:
        """Take note of how many messages were answered since `begin`."""
        self._replies.end(count - self.made, self._seconds)
        self.made, self._seconds = 0, 0.0

    async def settle(self) -> None:
        """Have all answers counted that were given again."""
        await self._replies.settle()

    def respond(self, octets: bytes, client: TellClient) -> Answer:
        """Answer one message.

        Args:
            octets: The message.
            client: Tells who sent it.
        """
        essence = wire.essence(octets)
        answer: Answer = self._replies.recall_alike(octets, essence, self._rewrite)
        if answer is None:
            began = self._clock()
            answer = self._answer(octets, essence, client)
            self.made += 1
            self._seconds += self._clock() - began
        return answer

    def _answer(self, octets: bytes, essence: bytes, client: TellClient) -> Answer:
        """Answer a message that is not known."""
        if not wire.answerable(octets):
            return None
        if not wire.is_query(octets):
            return wire.refusal(octets, Rcode.NOTIMP)
        try:
            envelope = wire.decode(octets)
        except WireError:
            return wire.refusal(octets, Rcode.FORMERR)
        route = self._routes.find(envelope.name, envelope.rtype)
        refused = _refusal(envelope, route)
        if refused is not None or route is None:
            self._drop(self._query(envelope, octets, client, ROOT), refused or REFUSED)
            return self._exchange(envelope, route).write(refused or REFUSED)
        if envelope.trailing:
            self._counters.trailing.value += 1
        exchange = self._exchange(envelope, route)
        waiting = route.handler(self._query(envelope, octets, client, route.zone))
        try:
            awaited = waiting.send(None)
        except StopIteration as stop:
            return self._reply(octets, essence, exchange, stop.value)
        return Suspended(exchange, waiting, awaited)

    def _reply(self, octets: bytes, essence: bytes, exchange: Exchange, response: Response) -> bytes:
        """Write *response*, and remember it if it may be given again."""
        written = exchange.write(response)
        repeat = response.repeat if wire.has_essence(exchange.envelope) else None
        if repeat is not None and len(octets) <= _LONGEST_REMEMBERED and len(written) <= _LONGEST_GIVEN_AGAIN:
            behind = weigh(response.answer + response.additional) if repeat.again or repeat.renew else 0
            query = octets[ID_SIZE:]
            if query == essence:
                query = essence  # most are, and there may be tens of thousands
            reply = Reply(query, written[ID_SIZE:], repeat, exchange.write_again, behind)
            self._replies.remember(essence, reply)
        return written

    def _rewrite(self, octets: bytes, response: Response) -> bytes:
        """Write *response*, without an id, to a query that was answered before."""
        envelope = wire.decode(octets)
        return self._exchange(envelope, self._routes.find(envelope.name, envelope.rtype)).write_again(response)

    def _exchange(self, envelope: wire.Envelope, route: Route | None) -> Exchange:
        """Say what the answer to a query must keep to."""
        payload = _payload(envelope)
        limit = wire.MAX_MESSAGE if self._tcp else min(payload, edns.PAYLOAD)
        options = _KEEPALIVE if self._tcp and _asks_for_keepalive(envelope.opt) else b""
        return Exchange(envelope, limit, options, ra=route is not None and route.recursive)

    def _query(self, envelope: wire.Envelope, octets: bytes, client: TellClient, zone: Name) -> Query:
        """Put together what plugins may know of a query."""
        flags, opt = envelope.flags, envelope.opt
        return Query(
            envelope.name,
            envelope.rtype,
            rd=flags & wire.RD != 0,
            do=opt is not None and opt.do,
            cd=flags & wire.CD != 0,
            ad=flags & wire.AD != 0,
            edns=opt is not None,
            payload=wire.MAX_MESSAGE if self._tcp else _payload(envelope),
            size=len(octets),
            id=envelope.id,
            client=client(),
            listener=self._listener,
            zone=zone,
        )


def _payload(envelope: wire.Envelope) -> int:
    """Return the largest UDP message that the client takes, in octets."""
    return edns.SMALLEST_PAYLOAD if envelope.opt is None else max(edns.SMALLEST_PAYLOAD, envelope.opt.payload)


def _asks_for_keepalive(opt: edns.Opt | None) -> bool:
    return opt is not None and edns.OPTION_KEEPALIVE in opt.options


def _refusal(envelope: wire.Envelope, route: Route | None) -> Response | None:
    """Answer what no chain sees: signed queries, other EDNS versions and classes, transfers, names of nobody here."""
    if envelope.tsig is not None:
        return Response(Rcode.NOTAUTH)
    if envelope.opt is not None and envelope.opt.version:
        return Response(Rcode.BADVERS)
    if envelope.rclass != CLASS_IN or envelope.rtype in _TRANSFERS:
        return Response(Rcode.REFUSED)
    return REFUSED if route is None else None
