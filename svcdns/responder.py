"""Octets in, octets out: picks the server block for a query, steps its chain, answers what reaches none.

An answer from memory never touches the event loop: the chain's coroutine is stepped once by hand, in the callback that
read the query, and only one that suspends becomes a task.

Source: RFC 1035 section 4.1, RFC 5936 section 4, RFC 8906, RFC 9619.
"""

from asyncio import Task
from collections.abc import Callable, Coroutine, Generator, Mapping
from functools import partial
from types import coroutine as generator_coroutine
from typing import Any, NamedTuple

from svcdns.chain import Handler
from svcdns.dns import edns, wire
from svcdns.dns.message import Ede, ExtendedError, Listener, Query, Rcode, Response
from svcdns.dns.name import ROOT, Name, suffixes
from svcdns.dns.records import CLASS_IN, Rtype
from svcdns.errors import WireError
from svcdns.exchange import ID_SIZE, Exchange, Recent
from svcdns.net.connections import IDLE
from svcdns.net.sockets import Answer, Counters

MAX_DEPTH = 8
"""How many CNAMEs are followed from a client's question (RFC 1034 section 3.6.2 asks for a bound)."""

Spawn = Callable[[Coroutine[Any, Any, bytes]], Task[bytes]]
Drop = Callable[[Query, Response], None]

_REMEMBERED = 8192
_LONGEST_REMEMBERED = 512
_TRANSFERS = frozenset({Rtype.AXFR, Rtype.IXFR})
_NOT_OURS = ExtendedError(Ede.NOT_AUTHORITATIVE)

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
    """

    zone: Name
    handler: Handler
    recursive: bool


class Responder:
    """Answers the messages of the listeners at one address.

    Args:
        routes: The server blocks by zone.
        spawn: Makes a task of an answer that must wait.
        drop: Is told of every query that reaches no server block, for metrics.
        counters: What listeners count.
    """

    def __init__(self, routes: Mapping[Name, Route], spawn: Spawn, drop: Drop, counters: Counters) -> None:
        self._routes = routes
        self._everything = routes[ROOT] if set(routes) == {ROOT} else None
        self._longest = max(map(len, routes), default=len(ROOT))
        self._spawn = spawn
        self._drop = drop
        self._counters = counters
        self._recent: Recent[bytes, Exchange] = Recent(_REMEMBERED)

    def respond(self, octets: bytes, client: tuple[str, int], listener: Listener) -> Answer:
        """Answer one message.

        Args:
            octets: The message.
            client: The address and port that sent it.
            listener: The socket that it came in through.
        """
        exchange = self._recent.get(octets[ID_SIZE:])
        if exchange is None or exchange.listener is not listener:
            read = self._read(octets, client, listener)
            if not isinstance(read, Exchange):
                return read
            exchange = read
        waiting = exchange.handler(exchange.query(octets, client))
        try:
            yielded = waiting.send(None)
        except StopIteration as stop:
            return exchange.reply(octets, stop.value)
        return self._spawn(_finish(exchange, octets, waiting, yielded))

    def _read(self, octets: bytes, client: tuple[str, int], listener: Listener) -> Exchange | bytes | None:
        """Read a message that was not seen of late, and remember it; answer it at once where it reaches no chain."""
        if not wire.answerable(octets):
            return None
        if not wire.is_query(octets):
            return wire.refusal(octets, Rcode.NOTIMP)
        try:
            envelope = wire.decode(octets)
        except WireError:
            return wire.refusal(octets, Rcode.FORMERR)
        route = self._everything or self._route(envelope.name, envelope.rtype)
        query = _query(envelope, len(octets), client, listener, route)
        tcp = listener.transport == "tcp"
        limit = query.payload if tcp else min(query.payload, edns.PAYLOAD)
        options = _options(envelope) if tcp else b""
        ra = route is not None and route.recursive
        refused = _refusal(envelope, route)
        if refused is not None or route is None:
            self._drop(query, refused or REFUSED)
            return wire.encode(envelope, refused or REFUSED, limit, ra=ra, options=options)
        exchange = Exchange(envelope, query, route.handler, limit, ra=ra, options=options)
        if envelope.trailing:
            self._counters.trailing.value += 1
        elif len(octets) <= _LONGEST_REMEMBERED:
            self._recent.put(octets[ID_SIZE:], exchange)
        return exchange

    async def resolve(self, query: Query) -> Response:
        """Answer a question that a plugin has, as a client of the same listener would be answered."""
        route = self._route(query.name, query.rtype)
        if route is None:
            return REFUSED
        if query.depth > MAX_DEPTH:
            return Response(Rcode.SERVFAIL, ede=ExtendedError(Ede.OTHER, "the chain of CNAMEs is too long"))
        return await route.handler(query._replace(zone=route.zone))

    def _route(self, name: Name, rtype: int) -> Route | None:
        """Find the server block with the longest zone that holds *name*.

        A DS record of a zone's apex belongs to the zone above, but where that is the root (RFC 4035 section 3.1.4.1):
        a block for the root forwards, and would tell of another zone than ours.
        """
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


def _query(
    envelope: wire.Envelope, size: int, client: tuple[str, int], listener: Listener, route: Route | None
) -> Query:
    """Put together what plugins may know of a query of *size* octets."""
    flags, opt = envelope.flags, envelope.opt
    payload = edns.SMALLEST_PAYLOAD if opt is None else max(edns.SMALLEST_PAYLOAD, opt.payload)
    return Query(
        envelope.name,
        envelope.rtype,
        flags & wire.RD != 0,
        opt is not None and opt.do,
        flags & wire.CD != 0,
        flags & wire.AD != 0,
        opt is not None,
        wire.MAX_MESSAGE if listener.transport == "tcp" else payload,
        envelope.id,
        size,
        client,
        listener,
        ROOT if route is None else route.zone,
    )


def _options(envelope: wire.Envelope) -> bytes:
    """Build the EDNS options of an answer over TCP: how long a client that asks may stay idle (RFC 7828)."""
    asked = envelope.opt is not None and edns.OPTION_KEEPALIVE in envelope.opt.options
    return edns.keepalive(IDLE) if asked else b""


def _refusal(envelope: wire.Envelope, route: Route | None) -> Response | None:
    """Answer what no chain sees: signed queries, other EDNS versions and classes, transfers, names of nobody here."""
    if envelope.tsig is not None:
        return Response(Rcode.NOTAUTH)
    if envelope.opt is not None and envelope.opt.version:
        return Response(Rcode.BADVERS)
    if envelope.rclass != CLASS_IN or envelope.rtype in _TRANSFERS:
        return Response(Rcode.REFUSED)
    return REFUSED if route is None else None


async def _finish(exchange: Exchange, octets: bytes, waiting: Coroutine[Any, Any, Response], yielded: Any) -> bytes:
    """Go on with a chain that had to wait, and write what it answers at last."""
    return exchange.reply(octets, await _resume(waiting, yielded))


@generator_coroutine
def _resume(waiting: Coroutine[Any, Any, Response], yielded: Any) -> Generator[Any, Any, Response]:
    """Go on, inside a task, with a coroutine whose first step was taken by hand and gave *yielded*."""
    while True:
        try:
            sent = yield yielded
        except BaseException as error:  # noqa: BLE001 - the coroutine decides, cancellation included
            step = partial(waiting.throw, error)
        else:
            step = partial(waiting.send, sent)
        try:
            yielded = step()
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
