"""TCP over real sockets: pipelining, limits, clients that misbehave, a graceful end.

The ids are those of the rules: C1 to C17. Source: RFC 7766, RFC 7828, RFC 9210.
"""

import asyncio
import gc
import logging
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from svcdns.dns.message import Query, Response
from svcdns.dns.name import labels
from svcdns.dns.records import RRset, Rtype
from svcdns.net.connections import Connection, Limits
from svcdns.net.sockets import raise_file_limit
from tests import octets
from tests.frontend import PATIENCE, Answers, Client, Frontend, Held, few_files, frontend, read_all, read_answer

PATIENT = Limits(first=60, message=60, idle=60, busy_idle=60, stalled=60, sweep=0.005)
"""Limits of which a test makes one small."""

SHORT = 0.04
LARGE = 60_000
GONE = 100


class Chain:
    """Answers a name that begins with slow when it is told to, large with 60,000 octets, any other at once.

    One that begins with broken, or with slow and broken, fails.
    """

    def __init__(self) -> None:
        self.asked: Counter[bytes] = Counter()
        self.slow: list[asyncio.Event] = []

    async def __call__(self, query: Query) -> Response:
        self.asked[labels(query.name)[0]] += 1
        if b"slow" in labels(query.name):
            released = asyncio.Event()
            self.slow.append(released)
            await released.wait()
        if b"broken" in labels(query.name):
            raise ArithmeticError
        if b"large" in labels(query.name):
            return Response(answer=(RRset(query.name, Rtype.NULL, 5, [bytes(LARGE)]),))
        return Response()

    def release(self) -> None:
        """Let all slow ones be answered."""
        for event in self.slow:
            event.set()


def framed(name: str, ident: int = octets.ID) -> bytes:
    """Return a query as TCP carries it."""
    message = octets.query(octets.question(name), id=ident)
    return len(message).to_bytes(2) + message


def ident(answer: bytes) -> int:
    return octets.read_header(answer).id


async def until(server: Frontend, condition: Callable[[], bool]) -> None:
    """Give the server turns until *condition* holds: each question that is answered took one."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await server.ask_udp(b"")


async def turns(server: Frontend) -> None:
    """Give the server turns to do what it must not."""
    for _ in range(20):
        await server.ask_udp(b"")


async def elapsed_until_closed(reader: asyncio.StreamReader) -> float:
    """Return how long the server takes to close a connection without a word, in seconds."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    return loop.time() - begun


def reset(client: Client) -> None:
    """Close a connection by a reset."""
    _, writer = client
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave cycles where they are."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def count_connections() -> int:
    """Return how many of the server's connections are in memory, open or not."""
    return sum(isinstance(each, Connection) for each in gc.get_objects())


# --- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 2, 3, 14, 20, -1])
async def test_c2_a_message_may_be_cut_anywhere(cut: int) -> None:
    async with frontend(Chain()) as server:
        reader, writer = await server.connect()
        writer.write(framed("x")[:cut])
        await turns(server)
        writer.write(framed("x")[cut:])
        assert ident(await read_answer(reader)) == octets.ID


async def test_c2_a_message_may_come_an_octet_at_a_time() -> None:
    async with frontend(Chain()) as server:
        reader, writer = await server.connect()
        for octet in framed("x", 1) + framed("y", 2):
            writer.write(bytes((octet,)))
            await server.ask_udp(b"")
        assert [ident(await read_answer(reader)), ident(await read_answer(reader))] == [1, 2]


async def test_c2_two_messages_may_come_in_one_segment_and_end_in_a_part_of_a_third() -> None:
    async with frontend(Chain()) as server:
        reader, writer = await server.connect()
        writer.write(framed("x", 1) + framed("y", 2) + framed("z", 3)[:5])
        assert [ident(await read_answer(reader)), ident(await read_answer(reader))] == [1, 2]
        writer.write(framed("z", 3)[5:])
        assert ident(await read_answer(reader)) == 3


async def test_c2_a_part_of_a_message_outlasts_what_others_send() -> None:
    async with frontend(Chain()) as server:
        reader, writer = await server.connect()
        other, others = await server.connect()
        writer.write(framed("x", 1)[:20])
        await turns(server)
        others.write(framed("an-other.name", 2))
        assert ident(await read_answer(other)) == 2
        writer.write(framed("x", 1)[20:])
        answer = await read_answer(reader)
        assert answer[12:].startswith(octets.question("x"))


async def test_c3_length_and_message_leave_in_one_segment() -> None:
    async with frontend(Chain()) as server:
        with socket.create_connection((server.address, server.port)) as client:
            client.setblocking(False)  # noqa: FBT003 - its only argument
            client.send(framed("x"))
            segment = await asyncio.get_running_loop().sock_recv(client, 65535)
            assert len(segment) == 2 + int.from_bytes(segment[:2])


@pytest.mark.parametrize("count", [100, 5000])
async def test_c4_pipelined_queries_are_all_answered(count: int) -> None:
    async with frontend(Chain()) as server:
        reader, writer = await server.connect()
        writer.write(b"".join(framed("x", number) for number in range(count)))
        writer.write_eof()
        assert [ident(answer) for answer in await read_all(reader)] == list(range(count))


async def test_c4_pipelined_large_answers_are_all_sent_to_who_reads_them() -> None:
    async with frontend(Chain()) as server:
        reader, writer = await server.connect()
        writer.write(b"".join(framed("large", number) for number in range(300)))
        writer.write_eof()
        answers = await read_all(reader)
        assert [ident(answer) for answer in answers] == list(range(300))
        assert {len(answer) for answer in answers} == {LARGE + 12 + 11 + 12}


async def test_c5_an_answer_that_is_there_overtakes_one_that_waits() -> None:
    chain = Chain()
    async with frontend(chain) as server:
        reader, writer = await server.connect()
        writer.write(b"".join(framed("slow", number) for number in range(100)) + framed("x", 999))
        assert ident(await read_answer(reader)) == 999
        chain.release()
        assert sorted([ident(await read_answer(reader)) for _ in range(100)]) == list(range(100))


async def test_c6_beyond_128_in_flight_nothing_more_is_read_until_one_is_answered() -> None:
    chain = Chain()
    async with frontend(chain) as server:
        reader, writer = await server.connect()
        writer.write(b"".join(framed("slow", number) for number in range(300)))
        await until(server, lambda: len(chain.slow) == 128)
        await turns(server)
        assert len(chain.slow) == 128
        chain.slow[7].set()
        assert ident(await read_answer(reader)) == 7
        await until(server, lambda: len(chain.slow) == 129)
        await turns(server)
        assert len(chain.slow) == 129
        answered = 1
        while answered < 300:
            chain.release()
            await read_answer(reader)
            answered += 1


async def test_others_get_their_turn_while_one_client_pipelines() -> None:
    chain = Chain()
    async with frontend(chain) as server:
        _reader, writer = await server.connect()
        writer.write(b"".join(framed("x", number) for number in range(5000)))
        await until(server, lambda: chain.asked[b"x"] > 0)
        other, other_writer = await server.connect()
        other_writer.write(framed("y"))
        await read_answer(other)
        assert chain.asked[b"x"] < 5000


async def test_c12_garbage_is_answered_and_the_connection_lives_on() -> None:
    async with frontend(Chain()) as server:
        reader, writer = await server.connect()
        for garbage in (octets.query(b"\xc0\x0c\x00\x01\x00\x01"), bytes(12), b"\x00" * 65535):
            writer.write(len(garbage).to_bytes(2) + garbage)
            assert octets.read_header(await read_answer(reader)).rcode == 1
        writer.write(framed("x"))
        assert octets.read_header(await read_answer(reader)).rcode == 0


async def test_c12_what_was_asked_before_garbage_that_ends_it_is_answered() -> None:
    async with frontend(Chain()) as server:
        reader, writer = await server.connect()
        writer.write(framed("x", 1) + framed("y", 2) + b"\x00\x00" + framed("z", 3))
        assert [ident(answer) for answer in await read_all(reader)] == [1, 2]


async def test_a_failed_answer_is_silence_and_the_connection_lives_on(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(query: Query) -> Response:
        await asyncio.sleep(0)
        if b"bad" in labels(query.name):
            raise ConnectionError
        return Response()

    with caplog.at_level(logging.CRITICAL):
        async with frontend(fail) as server:
            reader, writer = await server.connect()
            writer.write(framed("bad", 1) + framed("good", 2))
            writer.write_eof()
            assert [ident(answer) for answer in await read_all(reader)] == [2]


async def test_an_error_while_a_message_is_answered_ends_its_connection_alone(caplog: pytest.LogCaptureFixture) -> None:
    def fail(message: bytes) -> bytes:
        if message[:2] == b"\x00\x02":
            raise ArithmeticError
        return message

    async with frontend(Chain(), limits=PATIENT) as server:
        server.streams.answerer = Answers(fail)
        other, other_writer = await server.connect()
        reader, writer = await server.connect()
        writer.write(framed("x", 1) + framed("y", 2))
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert server.connections.count == 1
        other_writer.write(framed("z", 3))
        assert ident(await read_answer(other)) == 3
    assert len(caplog.records) == 1
    assert "a connection of 127.0.0.1:" in caplog.text
    assert "ArithmeticError" in caplog.text


# --- time ------------------------------------------------------------------------------------------------------------


async def test_c7_an_idle_connection_is_closed() -> None:
    async with frontend(Chain(), limits=replace(PATIENT, idle=SHORT)) as server:
        reader, writer = await server.connect()
        writer.write(framed("x"))
        await read_answer(reader)
        assert await elapsed_until_closed(reader) >= SHORT / 2


async def test_c7_idle_connections_are_closed_sooner_where_four_fifths_are_taken() -> None:
    async with frontend(Chain(), limits=replace(PATIENT, busy_idle=SHORT, connections=5)) as server:
        clients = [await server.connect() for _ in range(4)]
        for reader, writer in clients:
            writer.write(framed("x"))
            await read_answer(reader)
        async with asyncio.timeout(SHORT * 2):
            await turns(server)
        assert not any(reader.at_eof() for reader, _ in clients)
        reader, writer = await server.connect()
        writer.write(framed("x"))
        await read_answer(reader)
        async with asyncio.timeout(PATIENCE):
            assert await clients[0][0].read() == b""


async def test_c8_a_connection_that_never_says_a_word_is_closed() -> None:
    async with frontend(Chain(), limits=replace(PATIENT, first=SHORT)) as server:
        reader, _writer = await server.connect()
        assert await elapsed_until_closed(reader) >= SHORT / 2


@pytest.mark.parametrize("sent", [1, 2, 20])
async def test_c8_a_message_that_does_not_end_ends_the_connection(sent: int) -> None:
    async with frontend(Chain(), limits=replace(PATIENT, message=SHORT)) as server:
        reader, writer = await server.connect()
        writer.write(framed("a.message.that.is.cut.short")[:sent])
        assert await elapsed_until_closed(reader) >= SHORT / 2


async def test_c8_dripping_octets_buys_no_time() -> None:
    async with frontend(Chain(), limits=replace(PATIENT, message=SHORT)) as server:
        reader, writer = await server.connect()
        begun = asyncio.get_running_loop().time()
        closed = asyncio.ensure_future(reader.read())
        async with asyncio.timeout(PATIENCE):
            for octet in framed("a.message.that.drips" * 3) * 100:
                writer.write(bytes((octet,)))
                done, _ = await asyncio.wait([closed], timeout=SHORT / 10)
                if done:
                    break
        with suppress(ConnectionResetError):  # an octet came after the end
            assert await closed == b""
        assert asyncio.get_running_loop().time() - begun < 100 * SHORT


async def test_a_connection_that_waits_for_an_answer_is_not_idle() -> None:
    chain = Chain()
    async with frontend(chain, limits=replace(PATIENT, idle=SHORT / 4, first=SHORT / 4)) as server:
        reader, writer = await server.connect()
        writer.write(framed("slow"))
        other, _other_writer = await server.connect()
        await elapsed_until_closed(other)
        chain.release()
        assert ident(await read_answer(reader)) == octets.ID
        await elapsed_until_closed(reader)


# --- clients that do not read ----------------------------------------------------------------------------------------


async def deaf(server: Frontend, *names: str) -> socket.socket:
    """Ask without ever reading an answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)  # noqa: FBT003 - its only argument
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, (server.address, server.port))
    await loop.sock_sendall(client, b"".join(map(framed, names)))
    await until(server, lambda: server.connections.count == 1)
    return client


async def drain(client: socket.socket) -> None:
    """Read what is left, up to the reset."""
    loop = asyncio.get_running_loop()
    with client, suppress(ConnectionResetError):
        while await loop.sock_recv(client, 65536):
            pass
        pytest.fail("the connection ended without a reset")


async def test_c9_a_client_that_does_not_read_is_asked_no_more_and_then_cut_off() -> None:
    chain = Chain()
    async with frontend(chain, limits=replace(PATIENT, stalled=SHORT)) as server:
        client = await deaf(server, *["large"] * 1000)
        await until(server, lambda: server.connections.count == 0)
        assert chain.asked[b"large"] * LARGE < 16 * 2**20  # what the kernel takes, and little more
        await drain(client)


async def test_c9_answers_that_waited_are_not_kept_beyond_256_kib() -> None:
    chain = Chain()
    async with frontend(chain, limits=PATIENT) as server:
        client = await deaf(server, *["slow.large"] * 128)
        await until(server, lambda: len(chain.slow) == 128)
        for event in chain.slow:
            event.set()
            await server.ask_udp(b"")
        await until(server, lambda: server.connections.count == 0)
        assert server.counters.closed.value == 1
        await drain(client)


async def test_c9_a_client_that_half_closes_and_does_not_read_is_cut_off() -> None:
    async with frontend(Chain(), limits=replace(PATIENT, stalled=SHORT)) as server:
        client = await deaf(server, *["large"] * 200)
        client.shutdown(socket.SHUT_WR)
        await until(server, lambda: server.connections.count == 0)
        await drain(client)


async def test_c9_an_idle_client_that_left_an_answer_unread_is_cut_off() -> None:
    async with frontend(Chain(), limits=replace(PATIENT, stalled=SHORT, idle=SHORT)) as server:
        client = await deaf(server, *["large"] * 80)
        await until(server, lambda: server.connections.count == 0)
        client.close()


def fill(message: bytes) -> bytes:
    """Answer with as many octets as the message says behind its id, all of them as the id says."""
    return message[:2] * (int.from_bytes(message[2:4]) // 2)


def filled(*sizes: int) -> bytes:
    """Return what `fill` answers messages that ask for so many octets."""
    return b"".join(size.to_bytes(2) + number.to_bytes(2) * (size // 2) for number, size in enumerate(sizes))


def fillers(*sizes: int) -> bytes:
    """Return these messages as TCP carries them."""
    return b"".join(b"\x00\x04" + number.to_bytes(2) + size.to_bytes(2) for number, size in enumerate(sizes))


SIZES = {"long": [60_000] * 100, "short": [4000] * 500, "mixed": [60_000, 20, 4096, 4098] * 60}


async def read_slowly(client: socket.socket) -> bytes:
    """Return all that a client is sent up to the end, of which it takes little at a time."""
    loop, pieces = asyncio.get_running_loop(), []
    async with asyncio.timeout(PATIENCE):
        while piece := await loop.sock_recv(client, 5000):
            pieces.append(piece)
    return b"".join(pieces)


async def ask_slowly(server: Frontend, asked: bytes) -> socket.socket:
    """Return a client that has sent *asked*, and has room for few octets of answers."""
    client = await deaf(server)
    await asyncio.get_running_loop().sock_sendall(client, asked)
    return client


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
async def test_a_slow_reader_gets_every_octet_in_order(sizes: list[int]) -> None:
    async with frontend(Chain(), limits=PATIENT, send_buffer=4096) as server:
        server.streams.answerer = Answers(fill)
        with await ask_slowly(server, fillers(*sizes)) as client:
            client.shutdown(socket.SHUT_WR)
            assert await read_slowly(client) == filled(*sizes)


async def test_a_slow_reader_gets_what_it_asked_for_before_a_stop() -> None:
    async with frontend(Chain(), limits=PATIENT, send_buffer=4096) as server:
        server.streams.answerer = Answers(fill)
        with await ask_slowly(server, fillers(*SIZES["long"])) as client:
            stopping = asyncio.ensure_future(server.streams.stop(PATIENCE))
            assert await read_slowly(client) == filled(*SIZES["long"])
            await stopping


async def test_a_slow_reader_gets_what_was_answered_before_garbage_that_ended_its_connection() -> None:
    def answer(message: bytes) -> bytes | None:
        return fill(message) if message else None

    async with frontend(Chain(), limits=PATIENT, send_buffer=4096) as server:
        server.streams.answerer = Answers(answer)
        with await ask_slowly(server, fillers(*SIZES["short"]) + b"\x00\x00") as client:
            assert await read_slowly(client) == filled(*SIZES["short"])


# --- how many --------------------------------------------------------------------------------------------------------


async def test_c10_a_new_connection_takes_the_place_of_the_one_idle_for_longest() -> None:
    chain = Chain()
    async with frontend(chain, limits=replace(PATIENT, connections=3)) as server:
        waiting, first, second = [await server.connect() for _ in range(3)]
        waiting[1].write(framed("slow"))
        await until(server, lambda: len(chain.slow) == 1)
        for client in (second, first):
            client[1].write(framed("x"))
            await read_answer(client[0])
        third = await server.connect()
        third[1].write(framed("y"))
        assert ident(await read_answer(third[0])) == octets.ID
        with pytest.raises(ConnectionResetError):
            await second[0].read()
        assert server.counters.closed.value == 1
        first[1].write(framed("z"))
        await read_answer(first[0])
        chain.release()
        await read_answer(waiting[0])


async def test_c10_where_none_is_idle_the_oldest_gives_way() -> None:
    chain = Chain()
    async with frontend(chain, limits=replace(PATIENT, connections=2)) as server:
        clients = []
        for _ in range(2):
            clients.append(await server.connect())
            clients[-1][1].write(framed("slow"))
            await until(server, lambda: len(chain.slow) == len(clients))
        clients.append(await server.connect())
        clients[-1][1].write(framed("x"))
        await read_answer(clients[-1][0])
        with pytest.raises(ConnectionResetError):
            await clients[0][0].read()
        chain.release()
        await read_answer(clients[1][0])


async def test_c10_a_client_with_too_many_loses_its_own_idlest_and_nobody_elses() -> None:
    async with frontend(Chain(), limits=replace(PATIENT, per_client=2)) as server:
        other = await server.connect("127.0.0.2")
        clients = [await server.connect("127.0.0.1") for _ in range(3)]
        with pytest.raises(ConnectionResetError):
            await clients[0][0].read()
        for client in (other, *clients[1:]):
            client[1].write(framed("x"))
            await read_answer(client[0])
        assert server.connections.count == 3


@pytest.mark.parametrize("sent", [b"", b"\x00"], ids=["silent", "dripping"])
async def test_c14_c16_a_thousand_idle_clients_change_nothing_for_the_others(sent: bytes) -> None:
    raise_file_limit()
    async with frontend(Chain(), limits=PATIENT) as server:
        clients = []
        for number in range(1000):
            clients.append(await server.connect(f"127.0.1.{1 + number % 250}"))
            clients[-1][1].write(sent)
        await until(server, lambda: server.connections.count == 1000)
        assert len(await server.ask_tcp(octets.query(octets.question("x")))) == 1
        assert await server.ask(octets.query(octets.question("x"))) is not None
        assert server.connections.count == 1000
        for client in clients:
            reset(client)
        await until(server, lambda: server.connections.count == 0)


async def test_c14_without_files_the_idlest_gives_way_and_udp_is_unharmed(caplog: pytest.LogCaptureFixture) -> None:
    async with frontend(Chain(), limits=replace(PATIENT, pause=SHORT)) as server:
        idle = await server.connect()
        await until(server, lambda: server.connections.count == 1)
        late = socket.socket()
        late.setblocking(False)  # noqa: FBT003 - its only argument
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asking.setblocking(False)  # noqa: FBT003 - as above
        asking.connect((server.address, server.port))
        loop = asyncio.get_running_loop()
        with few_files(0):
            await loop.sock_connect(late, (server.address, server.port))
            with pytest.raises(ConnectionResetError):
                await idle[0].read()
            asking.send(octets.query(octets.question("x")))
            async with asyncio.timeout(PATIENCE):
                assert ident(await loop.sock_recv(asking, 512)) == octets.ID
                await loop.sock_sendall(late, framed("y"))
                assert ident((await loop.sock_recv(late, 512))[2:]) == octets.ID
        assert len(caplog.records) == 1
        assert "can be taken in: Too many open files" in caplog.text
        for each in (late, asking):
            each.close()


async def test_c14_clients_that_have_gone_do_not_keep_out_one_that_waits_behind_them() -> None:
    async with frontend(Chain(), limits=PATIENT) as server:
        for _ in range(GONE):  # without a turn of the loop, so that none is taken in yet
            socket.create_connection((server.address, server.port)).close()
        with socket.create_connection((server.address, server.port)) as late, few_files(4):
            late.setblocking(False)  # noqa: FBT003 - its only argument
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(late, framed("x"))
            async with asyncio.timeout(PATIENCE):
                assert ident((await loop.sock_recv(late, 512))[2:]) == octets.ID


# --- ends ------------------------------------------------------------------------------------------------------------


async def test_c11_a_client_that_half_closes_still_gets_its_answers() -> None:
    chain = Chain()
    async with frontend(chain) as server:
        reader, writer = await server.connect()
        writer.write(framed("slow", 1) + framed("x", 2) + framed("slow", 3))
        writer.write_eof()
        assert ident(await read_answer(reader)) == 2
        await until(server, lambda: len(chain.slow) == 2)
        chain.release()
        assert sorted(ident(answer) for answer in await read_all(reader)) == [1, 3]


async def test_c11_more_than_may_be_in_flight_are_answered_after_a_half_close() -> None:
    chain = Chain()
    async with frontend(chain, limits=replace(PATIENT, in_flight=2)) as server:
        reader, writer = await server.connect()
        writer.write(b"".join(framed("slow", number) for number in range(5)))
        writer.write_eof()
        await until(server, lambda: len(chain.slow) == 2)
        chain.release()
        await until(server, lambda: len(chain.slow) == 4)
        chain.release()
        await until(server, lambda: len(chain.slow) == 5)
        chain.release()
        assert sorted(ident(answer) for answer in await read_all(reader)) == list(range(5))


async def test_c11_a_half_close_in_the_middle_of_a_message_ends_the_connection() -> None:
    async with frontend(Chain(), limits=PATIENT) as server:
        reader, writer = await server.connect()
        writer.write(framed("x") + framed("y")[:5])
        writer.write_eof()
        assert len(await read_all(reader)) == 1


@pytest.mark.parametrize("name", ["large", "slow", "slow.large"])
async def test_c15_a_reset_leaves_nothing_behind_and_is_no_error(name: str, caplog: pytest.LogCaptureFixture) -> None:
    chain = Chain()
    async with frontend(chain, limits=PATIENT) as server:
        for _ in range(50):
            chain.asked.clear()
            client = await server.connect()
            client[1].write(framed(name) * 40)
            await until(server, lambda: chain.asked[name.partition(".")[0].encode()] > 0)
            reset(client)
        await until(server, lambda: server.connections.count == 0)
        chain.release()
        await turns(server)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert len(await server.ask_tcp(octets.query(octets.question("x")))) == 1
    assert caplog.records == []


async def test_a_late_answer_begins_no_batch_without_messages() -> None:
    counts: list[int] = []
    held: list[Held] = []

    class Counting(Answers):
        def end(self, count: int) -> None:
            counts.append(count)

    def hold(message: bytes) -> Held:
        held.append(Held())
        return held[-1]

    async with frontend(Chain(), limits=replace(PATIENT, in_flight=3)) as server:
        server.streams.answerer = Counting(hold)
        reader, writer = await server.connect()
        writer.write(b"".join(framed("x", number) for number in range(5)))
        await until(server, lambda: len(held) == 3)
        for number in range(5):
            held[number].give(bytes([number]))
        assert [await read_answer(reader) for _ in range(5)] == [bytes([number]) for number in range(5)]
    assert counts == [3, 1, 1]


@pytest.mark.parametrize("size", [1, 5, 20_000, 60_000])
async def test_c15_a_reset_behind_a_part_of_a_message_ends_the_connection(size: int) -> None:
    async with frontend(Chain(), limits=PATIENT) as server:
        client = await deaf(server)
        client.send(b"\xff\xff" + bytes(size))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # in the same turn of the loop, so that the server finds both
        await until(server, lambda: server.connections.count == 0)


@pytest.mark.parametrize("name", ["x", "large", "slow", "slow.large"])
@pytest.mark.parametrize("end", [socket.SHUT_WR, socket.SHUT_RDWR, None], ids=["half", "whole", "reset"])
async def test_a_closed_connection_leaves_nothing_to_the_collector_of_cycles(name: str, end: int | None) -> None:
    chain = Chain()
    async with frontend(chain, limits=PATIENT) as server:

        def released() -> bool:
            chain.release()
            return server.connections.count == 0

        await server.ask_udp(b"")
        with uncollected():
            with await deaf(server, *[name] * 40) as client:
                await until(server, lambda: chain.asked[name.partition(".")[0].encode()] > 0)
                held = count_connections()
                if end is None:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    client.shutdown(end)
            await until(server, released)
            await turns(server)
            assert held == 1
            assert count_connections() == 0


@pytest.mark.parametrize("name", ["broken", "slow.broken"])
async def test_a_connection_with_an_error_leaves_nothing_to_the_collector_of_cycles(name: str) -> None:
    chain = Chain()
    failures: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(repr(context["exception"])))
    async with frontend(chain, limits=PATIENT) as server:
        with uncollected():
            _, writer = await server.connect()
            writer.write(framed(name))
            writer.write_eof()
            await until(server, lambda: chain.asked[name.partition(".")[0].encode()] > 0)
            chain.release()
            await until(server, lambda: server.connections.count == 0)
            await turns(server)
            assert failures == ["ArithmeticError()"]
            assert count_connections() == 0


async def test_c17_a_stop_closes_what_is_idle_and_answers_what_is_in_flight() -> None:
    chain = Chain()
    async with frontend(chain, limits=PATIENT) as server:
        idle, waiting = await server.connect(), await server.connect()
        waiting[1].write(framed("slow"))
        await until(server, lambda: len(chain.slow) == 1)
        stopping = asyncio.ensure_future(server.streams.stop(PATIENCE))
        await elapsed_until_closed(idle[0])
        with pytest.raises(ConnectionRefusedError):
            await server.connect()
        assert not stopping.done()
        chain.release()
        assert len(await read_all(waiting[0])) == 1
        await stopping


async def test_c17_what_was_sent_before_a_stop_is_answered() -> None:
    async with frontend(Chain(), limits=PATIENT) as server:
        reader, writer = await server.connect()
        await until(server, lambda: server.connections.count == 1)
        with socket.create_connection((server.address, server.port)) as late:
            late.send(framed("x", 1) * 200)
            writer.write(framed("y", 2) * 200)
            await server.streams.stop(PATIENCE)
            assert [ident(answer) for answer in await read_all(reader)] == [2] * 200
            late_reader, late_writer = await asyncio.open_connection(sock=late.dup())
            assert [ident(answer) for answer in await read_all(late_reader)] == [1] * 200
            late_writer.close()


async def test_c17_a_stop_waits_no_longer_than_its_grace() -> None:
    chain = Chain()
    async with frontend(chain, limits=PATIENT) as server:
        reader, writer = await server.connect()
        writer.write(framed("slow"))
        await until(server, lambda: len(chain.slow) == 1)
        await server.streams.stop(0.01)
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_a_reload_hands_the_next_message_to_the_new_responder() -> None:
    async with frontend(Chain(), limits=PATIENT) as server:
        reader, writer = await server.connect()
        server.streams.answerer = Answers(lambda message: b"new")
        writer.write(framed("x"))
        assert await read_answer(reader) == b"new"


@pytest.mark.parametrize(("address", "family"), [("127.0.0.1", 1), ("0.0.0.0", 1), ("::1", 2), ("::", 2)])
async def test_a_client_is_named_by_its_address_and_port(address: str, family: int) -> None:
    seen: list[Query] = []

    async def look(query: Query) -> Response:
        seen.append(query)
        return Response()

    async with frontend(look, address=address) as server:
        await server.ask_tcp(octets.query(octets.question("x")))
        (query,) = seen
        assert query.client[0] == ("::1" if ":" in address else "127.0.0.1")
        assert query.listener == ("dns://:53", "tcp", family, address, server.port)
