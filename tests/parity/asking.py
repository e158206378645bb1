"""Many questions to one server: over UDP with a bounded number in flight, over TCP through one connection."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import cast

from tests.parity.answers import Question, Reply, read

PATIENCE = 20.0
"""How long a server may leave all questions unanswered, in seconds."""

_IN_FLIGHT = 128
_STANDSTILL = 0.3
_IDS = 2**16


class _Asker(asyncio.DatagramProtocol):
    """Sends queries of ids from 0 upwards, at most so many at a time, and takes in what comes back."""

    def __init__(self, queries: Iterator[bytes]) -> None:
        self.answers: dict[int, bytes] = {}
        self.done = asyncio.get_running_loop().create_future()
        self._queries = queries
        self._waiting: dict[int, bytes] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # by contract; asyncio's own says less
        for _ in range(_IN_FLIGHT):
            self._ask_next()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        ident = int.from_bytes(data[:2])
        if self._waiting.pop(ident, None) is not None:
            self.answers[ident] = data
            self._ask_next()

    def error_received(self, exc: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(exc)

    def ask_again(self) -> None:
        """Send once more what is not answered yet."""
        assert self._transport is not None
        for query in self._waiting.values():
            self._transport.sendto(query)

    def _ask_next(self) -> None:
        assert self._transport is not None
        query = next(self._queries, None)
        if query is not None:
            self._waiting[int.from_bytes(query[:2])] = query
            self._transport.sendto(query)
        elif not self._waiting and not self.done.done():
            self.done.set_result(None)


async def ask(port: int, questions: Iterable[Question], patience: float = PATIENCE) -> dict[Question, Reply]:
    """Return what the server at *port* of 127.0.0.1 says to each of *questions*.

    Raises:
        OSError: There is no server, or it leaves questions unanswered.
    """
    replies: dict[Question, Reply] = {}
    for transport, exchange in (("udp", _ask_udp), ("tcp", _ask_tcp)):
        chosen = [question for question in questions if question.transport == transport]
        for start in range(0, len(chosen), _IDS):
            part = chosen[start : start + _IDS]
            octets = await exchange(port, [each.to_wire(ident) for ident, each in enumerate(part)], patience)
            replies |= {question: read(question, octets[ident]) for ident, question in enumerate(part)}
    return replies


async def _ask_udp(port: int, queries: list[bytes], patience: float) -> dict[int, bytes]:
    """Return the answers by id; what the kernel loses is asked again."""
    loop = asyncio.get_running_loop()
    transport, asker = await loop.create_datagram_endpoint(
        lambda: _Asker(iter(queries)), remote_addr=("127.0.0.1", port)
    )
    with closing(transport):
        deadline = loop.time() + patience
        answered = -1
        while not asker.done.done() and (answered < len(asker.answers) or loop.time() < deadline):
            if answered < len(asker.answers):
                deadline = loop.time() + patience
            else:
                asker.ask_again()
            answered = len(asker.answers)
            await asyncio.wait([asker.done], timeout=_STANDSTILL)
        if asker.done.done():
            asker.done.result()
            return asker.answers
    missing = [queries[ident] for ident in range(len(queries)) if ident not in asker.answers]
    raise TimeoutError(f"{len(missing)} queries are not answered, the first is {missing[0].hex()}")


async def _ask_tcp(port: int, queries: list[bytes], patience: float) -> dict[int, bytes]:
    answers: dict[int, bytes] = {}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for start in range(0, len(queries), _IN_FLIGHT):
            part = queries[start : start + _IN_FLIGHT]
            writer.writelines(len(query).to_bytes(2) + query for query in part)
            async with asyncio.timeout(patience):
                for _ in part:
                    answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                    answers[int.from_bytes(answer[:2])] = answer
    finally:
        writer.close()
        await writer.wait_closed()
    return answers
