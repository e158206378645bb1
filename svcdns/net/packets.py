"""The datagrams of a socket, read in batches, each answered from the address that it was sent to.

Source: ip(7) and ipv6(7) on packet information; RFC 2181 section 4.
"""

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from svcdns.net.sockets import is_any

BATCH: Final = 64
"""How many datagrams are read, at most, before any of them is answered."""

LARGEST_QUERY: Final = 4096
"""What is longer is cut, in octets."""

_IPV4_INFO: Final = struct.Struct("=I4s4s")  # in_pktinfo: interface, local address, address in the header
_IPV6_INFO: Final = struct.Struct("=16sI")  # in6_pktinfo: address, interface

Control = list[tuple[int, int, bytes]]
"""Control messages: level, type, data."""


class Sender(NamedTuple):
    """Who sent a datagram, and how it is answered.

    Attributes:
        address: The address and port of the client; over IPv6 flow and interface, too.
        control: Has the answer leave from the address that was asked.
    """

    address: tuple[str, int] | tuple[str, int, int, int]
    control: Control


class Packets(Protocol):
    """The datagrams of one socket, in batches."""

    def receive(self) -> Sequence[bytes]:
        """Read what has come, up to a batch."""

    def sender(self, place: int) -> Sender:
        """Say who sent the datagram at a place in the batch."""

    def send(self, first: int, answers: Sequence[bytes]) -> int:
        """Answer some of the batch.

        Args:
            first: The place of the first datagram that is answered.
            answers: The answers to it and to those that came behind it, of at most 65,535 octets each.

        Returns:
            How many answers the network refused.
        """


def control_size(bound: socket.socket) -> int:
    """Return how many octets the control message takes that tells which address was asked; 0 if there is but one."""
    if not is_any(bound.getsockname()[0]):
        return 0
    return socket.CMSG_SPACE((_IPV4_INFO if bound.family == socket.AF_INET else _IPV6_INFO).size)


class OneByOne:
    """Datagrams that are read and sent one at a time, which every system can do.

    Args:
        bound: A bound socket that does not block.
    """

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound
        self._control_size = control_size(bound)
        self._senders: list[Sender] = []

    def receive(self) -> Sequence[bytes]:
        """See `Packets`."""
        queries: list[bytes] = []
        self._senders.clear()
        with suppress(OSError):  # nothing is left to read; an ICMP error tells of a client that went away
            while len(queries) < BATCH:
                octets, control, _, address = self._socket.recvmsg(LARGEST_QUERY, self._control_size)
                queries.append(octets)
                self._senders.append(Sender(address, [_as_source(*item) for item in control]))
        return queries

    def sender(self, place: int) -> Sender:
        """See `Packets`."""
        return self._senders[place]

    def send(self, first: int, answers: Sequence[bytes]) -> int:
        """See `Packets`."""
        refused = 0
        for (address, control), octets in zip(self._senders[first:], answers, strict=False):
            try:
                self._socket.sendmsg((octets,), control, 0, address)
            except OSError:
                refused += 1
        return refused


def _as_source(level: int, kind: int, told: bytes) -> tuple[int, int, bytes]:
    """Turn the control message that tells where a datagram was sent into the one that sends from there.

    The interface is left to routing, for the way back need not be the way in; a link-local address needs it, though.
    """
    if level == socket.IPPROTO_IP:
        _, local, _ = _IPV4_INFO.unpack(told)
        return level, kind, _IPV4_INFO.pack(0, local, bytes(4))
    address, interface = _IPV6_INFO.unpack(told)
    link_local = address[0] == 0xFE and address[1] & 0xC0 == 0x80  # fe80::/10
    return level, kind, _IPV6_INFO.pack(address, interface if link_local else 0)
