"""The UDP and TCP listeners of an address and a port, or of all addresses and a port."""

import asyncio
import socket
from typing import NamedTuple

from svcdns.net.connections import Connections
from svcdns.net.datagrams import Datagrams
from svcdns.net.sockets import Answerer, BindError, Counters, MakeAnswerer, bind, has_ipv6, show_address
from svcdns.net.streams import Streams

EVERYWHERE = ""
"""The address of listeners at all addresses."""

GRACE = 5.0
"""How long a stop waits for answers that are in flight, in seconds."""

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

    Args:
        endpoint: Where.
        make: Makes what answers at each listener.
        counters: What listeners count.
        connections: The TCP connections of all listeners.
        shared: Whether the port may be in use by sockets that are `sharing` it.

    Attributes:
        sockets: What is listened with.

    Raises:
        BindError: An address cannot be had.
    """

    def __init__(
        self, endpoint: Endpoint, make: MakeAnswerer, counters: Counters, connections: Connections, *, shared: bool
    ) -> None:
        self.sockets: list[socket.socket] = []
        self._datagrams: list[Datagrams] = []
        self._streams: list[Streams] = []
        for udp, tcp in _bind_all(endpoint, shared=shared):
            self.sockets += udp, tcp
            self._datagrams.append(Datagrams(udp, endpoint.label, make, counters))
            self._streams.append(Streams(tcp, endpoint.label, make, connections))

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses and ports that are answered at."""
        return [(each.listener.address, each.listener.port) for each in self._datagrams]

    @property
    def answerers(self) -> list[Answerer]:
        """What answers at each listener."""
        return [*(each.answerer for each in self._datagrams), *(each.answerer for each in self._streams)]

    def start(self) -> None:
        """Begin to answer."""
        for datagrams in self._datagrams:
            datagrams.start()
        for streams in self._streams:
            streams.start()

    def hand_to(self, make: MakeAnswerer) -> None:
        """Have others answer from now on."""
        for datagrams in self._datagrams:
            datagrams.answerer = make(datagrams.listener)
        for streams in self._streams:
            streams.answerer = make(streams.listener)

    async def stop(self) -> None:
        """Answer what has come, then close."""
        stopping = [datagrams.stop(GRACE) for datagrams in self._datagrams]
        await asyncio.gather(*stopping, *(streams.stop(GRACE) for streams in self._streams))
        for answerer in self.answerers:
            await answerer.settle()


def _bind_all(endpoint: Endpoint, *, shared: bool) -> list[tuple[socket.socket, socket.socket]]:
    """Open a UDP and a TCP socket at each address of *endpoint*, all at one port.

    Raises:
        BindError: An address cannot be had.
    """
    addresses = [endpoint.address]
    if endpoint.address == EVERYWHERE:
        addresses = ["0.0.0.0", "::"] if has_ipv6() else ["0.0.0.0"]  # noqa: S104 - it stands for all addresses
    for attempt in range(_PORT_TRIES):
        pairs: list[tuple[socket.socket, socket.socket]] = []
        port = endpoint.port
        try:
            for address in addresses:
                udp = bind(address, port, socket.SOCK_DGRAM, shared=shared)
                pairs.append((udp, udp))
                port = udp.getsockname()[1]
                pairs[-1] = (udp, bind(address, port, socket.SOCK_STREAM, shared=shared))
        except BindError:
            for pair in pairs:
                for each in pair:
                    each.close()
            if endpoint.port or attempt == _PORT_TRIES - 1:
                raise
        else:
            return pairs
    raise AssertionError
