"""The UDP listener: datagrams drained in batches, each answered from the address that it was sent to.

asyncio's own datagram transport costs twice as much a query and cannot tell the address asked, so the socket is read by
a callback of the loop, a batch at a time.

Source: RFC 8085, RFC 9715.
"""

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from svcdns.net.mmsg import Mmsg
from svcdns.net.packets import BATCH, OneByOne, Packets, Sender
from svcdns.net.sockets import Counters, MakeAnswerer, complain, describe_listener

_RECEIVE_BUFFER: Final = 4 * 1024 * 1024
_MADE: Final = 8  # answers that were not known; all that are at hand are sent then, before more are made
_LAST_BATCHES: Final = 64  # read at a stop, for a flood must not delay it for ever


def best_packets(bound: socket.socket) -> Packets:
    """Return what reads and sends the datagrams of a socket at the least cost."""
    return Mmsg(bound) if Mmsg.works(bound) else OneByOne(bound)


class Datagrams:
    """Answers the datagrams that come to one address.

    Args:
        bound: A bound UDP socket, which the listener owns from now on.
        label: What metrics call the server, such as ``dns://:53``.
        make: Makes what answers.
        counters: What is lost is counted there.
        packets_of: Makes what reads and sends them.

    Attributes:
        answerer: Answers the messages; a reload puts another in its place.
        listener: What plugins are told of the socket.
    """

    def __init__(
        self,
        bound: socket.socket,
        label: str,
        make: MakeAnswerer,
        counters: Counters,
        packets_of: Callable[[socket.socket], Packets] = best_packets,
    ) -> None:
        self._socket = bound
        self._counters = counters
        self.listener = describe_listener(bound, label, "udp")
        self.answerer = make(self.listener)
        self._place = 0
        self._waiting = 0
        self._late: list[tuple[Sender, bytes | None]] = []
        self._settled = asyncio.Event()
        bound.setblocking(False)  # noqa: FBT003 - its only argument
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._packets = packets_of(bound)

    def start(self) -> None:
        """Begin to read."""
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def pause(self) -> None:
        """Read no more; `start` begins again."""
        asyncio.get_running_loop().remove_reader(self._socket)

    def retire(self) -> None:
        """Leave what comes from now on to other sockets at the port; what has come stays to be answered.

        What comes between the last look and the close would be lost. Linux leads nobody to a socket that is connected
        but the one whom it is connected to, and that is itself.

        Source: connect(2), socket(7) on SO_REUSEPORT.
        """
        if sys.platform == "linux":  # elsewhere a connected socket answers nobody else
            with suppress(OSError):
                self._socket.connect(self._socket.getsockname())

    async def stop(self, grace: float) -> None:
        """Answer what has come, then close.

        Args:
            grace: How long answers that wait for an upstream may still take, in seconds.
        """
        self._drain()
        if self._waiting:
            self._settled.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), grace)
        self.pause()
        self._drain()
        self._send_late()
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
        recall = answerer.recall
        queries = self._packets.receive()
        answers: list[bytes] = []
        first = made = sent = 0
        for place, octets in enumerate(queries):
            try:
                answer = recall(octets)
                if answer is None:
                    answer = self._make(place, octets)
                    made = answerer.made
            except Exception as error:  # noqa: BLE001 - others share the batch, and must not suffer for it
                complain(f"a query over UDP to {self.listener.address} has no answer", error)
                answer = None
            if answer is not None:
                answers.append(answer)
            if answer is None or made - sent >= _MADE:
                self._send(first, answers)
                answers = []
                first, sent = place + 1, made
        self._send(first, answers)
        answerer.end(len(queries))
        return len(queries) == BATCH

    def _make(self, place: int, octets: bytes) -> bytes | None:
        """Answer the query at a place in the batch; None if that is for later, or not to be done."""
        self._place = place
        answer = self.answerer.respond(octets, self._client)
        if isinstance(answer, bytes):
            return answer
        if answer is None:
            self._counters.silent.value += 1
        else:
            self._waiting += 1
            answer.tell(partial(self._finish, self._packets.sender(place)))
        return None

    def _client(self) -> tuple[str, int]:
        """Say who sent the query that is being answered."""
        return self._packets.sender(self._place).address[:2]

    def _send(self, first: int, answers: list[bytes]) -> None:
        """Answer the datagrams from the one at place *first* on."""
        if answers:
            self._counters.unsent.value += self._packets.send(first, answers)

    def _finish(self, sender: Sender, answer: bytes | None) -> None:
        """Have an answer that had to wait sent when all that are at hand have been made, for then packets cost less.

        What sends them stays in the processor's caches, and who receives them is woken up once.
        """
        if not self._late:
            asyncio.get_running_loop().call_soon(self._send_late)
        self._late.append((sender, answer))

    def _send_late(self) -> None:
        """Send the answers that had to wait."""
        late, self._late = self._late, []
        for sender, answer in late:
            if answer is not None:
                try:
                    self._socket.sendmsg((answer,), sender.control, 0, sender.address)
                except OSError:
                    self._counters.unsent.value += 1
        self._waiting -= len(late)
        if not self._waiting:
            self._settled.set()
