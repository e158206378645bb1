"""The UDP listener: datagrams drained in batches, each answered from the address that it was sent to.

asyncio's own datagram transport costs twice as much a query and cannot tell the address asked, so the socket is read by
a callback of the loop that takes up to 64 datagrams at a time.

Source: RFC 2181 section 4 (the address asked), RFC 8085, RFC 9715.
"""

import asyncio
import socket
import struct
import sys
from functools import partial

from svcdns.net.sockets import Answer, Answerer, Counters, MakeAnswerer, describe, is_any

BATCH = 64
"""How many datagrams are read before the loop gets its turn again."""

_LARGEST_QUERY = 4096
_CONTROL_SIZE = 64
_RECEIVE_BUFFER = 4 * 1024 * 1024
_IP_PKTINFO = 26 if sys.platform == "darwin" else 8  # socket.IP_PKTINFO, which Python has from 3.12 only
_IPV4_INFO = struct.Struct("=I4s4s")
_IPV6_INFO = struct.Struct("=16sI")
_MOST_SOURCES = 256  # a host may have any number of addresses
_LAST_BATCHES = 64  # read at a stop, for a flood must not delay it for ever


Control = list[tuple[int, int, bytes]]
"""Control messages: level, type, data."""


class Datagrams:
    """Answers the datagrams that come to one address.

    Args:
        bound: A bound UDP socket, which the listener owns from now on.
        label: What metrics call the server, such as ``dns://:53``.
        make: Makes what answers.
        counters: What is lost is counted there.

    Attributes:
        answerer: Answers the messages; a reload puts another in its place.
        listener: What plugins are told of the socket.
    """

    def __init__(self, bound: socket.socket, label: str, make: MakeAnswerer, counters: Counters) -> None:
        self._socket = bound
        self._counters = counters
        self.listener = describe(bound, label, "udp")
        self.answerer = make(self.listener)
        self._sources: dict[bytes, Control] = {}
        self._pending: set[asyncio.Task[bytes]] = set()
        bound.setblocking(False)  # noqa: FBT003 - its only argument
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        everywhere = is_any(self.listener.address)
        self._answer = self._answer_from_any if everywhere else self._answer_from_one
        if not everywhere:
            return
        if bound.family == socket.AF_INET:
            bound.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)

    def start(self) -> None:
        """Begin to read."""
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def pause(self) -> None:
        """Read no more; `start` begins again."""
        asyncio.get_running_loop().remove_reader(self._socket)

    async def stop(self, grace: float) -> None:
        """Answer what has come, then close.

        Args:
            grace: How long answers that wait for an upstream may still take, in seconds.
        """
        self._drain()
        if self._pending:
            await asyncio.wait(self._pending, timeout=grace)
        self.pause()
        self._drain()
        self._socket.close()

    def _drain(self) -> None:
        """Answer what has come so far."""
        for _ in range(_LAST_BATCHES):
            if not self._read():
                break

    def _read(self) -> bool:
        """Answer a batch of datagrams; tell whether there may be more."""
        answerer = self.answerer
        answerer.begin()
        count = self._answer(answerer)
        answerer.end(count)
        return count == BATCH

    def _answer_from_one(self, answerer: Answerer) -> int:
        """Answer datagrams that were all sent to one address, and return how many there were."""
        receive, send, recall = self._socket.recvfrom, self._socket.sendto, answerer.recall
        for count in range(BATCH):
            try:
                octets, client = receive(_LARGEST_QUERY)
            except OSError:  # nothing is left to read; an ICMP error tells of a client that went away
                return count
            answer: Answer = recall(octets)
            if answer is None:
                answer = answerer.respond(octets, client[:2])
            if isinstance(answer, bytes):
                try:
                    send(answer, client)
                except OSError:
                    self._counters.unsent.value += 1
            else:
                self._hold(answer, [], client)
        return BATCH

    def _answer_from_any(self, answerer: Answerer) -> int:
        """Answer datagrams as above, each from the address that it was sent to."""
        receive, recall = self._socket.recvmsg, answerer.recall
        for count in range(BATCH):
            try:
                octets, control, _, client = receive(_LARGEST_QUERY, _CONTROL_SIZE)
            except OSError:  # as above
                return count
            answer: Answer = recall(octets)
            if answer is None:
                answer = answerer.respond(octets, client[:2])
            if isinstance(answer, bytes):
                self._send(answer, control, client)
            else:
                self._hold(answer, control, client)
        return BATCH

    def _hold(self, answer: asyncio.Task[bytes] | None, control: Control, client: tuple[str, int]) -> None:
        """Send an answer that is not there yet when it is, or count that there is to be none."""
        if answer is None:
            self._counters.silent.value += 1
            return
        self._pending.add(answer)
        answer.add_done_callback(partial(self._finish, control, client))

    def _finish(self, control: Control, client: tuple[str, int], answer: asyncio.Task[bytes]) -> None:
        self._pending.discard(answer)
        if not answer.cancelled() and answer.exception() is None:
            self._send(answer.result(), control, client)

    def _send(self, octets: bytes, control: Control, client: tuple[str, int]) -> None:
        try:
            self._socket.sendmsg((octets,), self._from(control), 0, client)
        except OSError:
            self._counters.unsent.value += 1

    def _from(self, control: Control) -> Control:
        """Return what sends from the address that *control* says was sent to."""
        if not control:
            return control
        told = control[0][2]
        source = self._sources.get(told)
        if source is None:
            if len(self._sources) == _MOST_SOURCES:
                self._sources.clear()
            source = self._sources[told] = [_as_source(*item) for item in control]
        return source


def _as_source(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """Turn the control message that tells where a datagram was sent into the one that sends from there.

    The interface is left to routing, for the way back need not be the way in.
    """
    if level == socket.IPPROTO_IP:
        _, local, _ = _IPV4_INFO.unpack_from(data)
        return level, kind, _IPV4_INFO.pack(0, local, b"\x00\x00\x00\x00")
    address, interface = _IPV6_INFO.unpack_from(data)
    link_local = address[0] == 0xFE and address[1] & 0xC0 == 0x80  # fe80::/10 needs its interface
    return level, kind, _IPV6_INFO.pack(address, interface if link_local else 0)
