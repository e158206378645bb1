"""The UDP and TCP listeners of an address and a port, or of all addresses and a port."""

import asyncio
import socket
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from svcdns.net.connections import Connections
from svcdns.net.datagrams import Datagrams
from svcdns.net.sockets import Answerer, BindError, Counters, MakeAnswerer, bind, has_ipv6, share, show_address
from svcdns.net.streams import Streams

EVERYWHERE = ""
"""The address of listeners at all addresses."""

GRACE = 5.0
"""How long a stop waits for answers that are in flight, in seconds."""

Share = list[tuple[socket.socket, socket.socket]]
"""The sockets that one process reads: for each address family one for UDP and one for TCP."""

_PORT_TRIES = 20


class Endpoint(NamedTuple):
    """Where listeners are: an IP address or `EVERYWHERE`, and a port."""

    address: str
    port: int

    @property
    def label(self) -> str:
        """What metrics call it."""
        return f"dns://{show_address(self.address, self.port)}"


class Listeners:
    """What answers at one endpoint: a UDP and a TCP listener for each address family.

    Where several processes answer, each has sockets of its own at the same port, a share of what comes; here are the
    listeners for all shares, of which those read that are started.

    Args:
        endpoint: Where.
        shares: The sockets of each share, as `open_shares` opens them; the listeners own them from now on.
        make: Makes what answers at each listener.
        counters: What listeners count.
        connections: The TCP connections of all listeners.

    Attributes:
        shares: See above.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        shares: Sequence[Share],
        make: MakeAnswerer,
        counters: Counters,
        connections: Connections,
    ) -> None:
        self.shares = shares
        self._listeners: list[list[Datagrams | Streams]] = [
            [
                listener
                for udp, tcp in share
                for listener in (
                    Datagrams(udp, endpoint.label, make, counters),
                    Streams(tcp, endpoint.label, make, connections),
                )
            ]
            for share in shares
        ]

    @property
    def sockets(self) -> list[socket.socket]:
        """What is listened with."""
        return list_sockets(self.shares)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses and ports that are answered at."""
        found = [each.listener for each in self._listeners[0] if isinstance(each, Datagrams)]
        return [(listener.address, listener.port) for listener in found]

    @property
    def answerers(self) -> list[Answerer]:
        """What answers at each listener."""
        return [each.answerer for each in self._all()]

    def start(self, share: int) -> None:
        """Begin to answer what comes to a share."""
        for each in self._listeners[share]:
            each.start()

    def pause(self, share: int) -> None:
        """Leave to another process what comes to a share from now on."""
        for each in self._listeners[share]:
            each.pause()

    def hand_to(self, make: MakeAnswerer) -> None:
        """Have others answer from now on."""
        for each in self._all():
            each.answerer = make(each.listener)

    def retire(self) -> None:
        """Leave datagrams that come from now on to others at the port, whichever process reads a share."""
        for each in self._all():
            if isinstance(each, Datagrams):
                each.retire()

    async def stop(self) -> None:
        """Answer what has come to any share, then close."""
        await asyncio.gather(*(each.stop(GRACE) for each in self._all()))
        for answerer in self.answerers:
            await answerer.settle()

    def _all(self) -> Iterator[Datagrams | Streams]:
        return chain.from_iterable(self._listeners)


def list_sockets(shares: Iterable[Share]) -> list[socket.socket]:
    """Return the sockets of *shares*."""
    return [each for share in shares for pair in share for each in pair]


def open_shares(endpoint: Endpoint, count: int, *, shared: bool) -> list[Share]:
    """Open the sockets of *count* processes at each address of *endpoint*, all at one port.

    The kernel spreads clients over them by address and port. The first are opened alone, so that a port that is in use
    is found out about.

    Args:
        endpoint: Where.
        count: For how many processes.
        shared: Whether the port may be in use by sockets that are `sharing` it.

    Raises:
        BindError: An address cannot be had.
    """
    shares = [_open_share(endpoint, shared=shared)]
    port = shares[0][0][0].getsockname()[1]
    try:
        while len(shares) < count:
            share(list_sockets(shares[-1:]), shared=True)
            shares.append(_open_share(endpoint._replace(port=port), shared=True))
    except BindError:
        _close(shares)
        raise
    share(list_sockets(shares[-1:]), shared=count > 1)
    return shares


def _open_share(endpoint: Endpoint, *, shared: bool) -> Share:
    """Open a UDP and a TCP socket at each address of *endpoint*, all at one port.

    Raises:
        BindError: An address cannot be had.
    """
    addresses = [endpoint.address]
    if endpoint.address == EVERYWHERE:
        addresses = ["0.0.0.0", "::"] if has_ipv6() else ["0.0.0.0"]  # noqa: S104 - it stands for all addresses
    for attempt in range(_PORT_TRIES):
        pairs: Share = []
        port = endpoint.port
        try:
            for address in addresses:
                udp = bind(address, port, socket.SOCK_DGRAM, shared=shared)
                pairs.append((udp, udp))
                port = udp.getsockname()[1]
                pairs[-1] = (udp, bind(address, port, socket.SOCK_STREAM, shared=shared))
        except BindError:
            _close([pairs])
            if endpoint.port or attempt == _PORT_TRIES - 1:
                raise
        else:
            return pairs
    raise AssertionError


def _close(shares: Iterable[Share]) -> None:
    for each in list_sockets(shares):
        each.close()
