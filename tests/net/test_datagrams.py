"""UDP over real sockets: where answers leave from, batches, what is lost."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, closing, suppress

import pytest

from svcdns.chain import Handler
from svcdns.dns.message import Query, Response
from svcdns.metrics import Metrics
from svcdns.net.datagrams import Datagrams, best_packets
from svcdns.net.mmsg import Mmsg
from svcdns.net.packets import BATCH, OneByOne, Packets
from svcdns.net.sockets import Answer, Counters, TellClient, bind, share
from tests import octets
from tests.frontend import PATIENCE, Answers, Held, frontend

Give = Callable[[bytes], Answer]

WEB = octets.question("web.default.svc.cluster.local")


async def at_once(query: Query) -> Response:
    return Response()


async def later(query: Query) -> Response:
    await asyncio.sleep(0)
    return Response()


async def exchange(message: bytes, server: tuple[str, int], source: str) -> tuple[bytes, tuple[str, int]]:
    """Send a datagram from an unconnected socket; return what comes back, and where from."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as client:
        client.settimeout(PATIENCE)
        client.bind((source, 0))
        client.sendto(message, server)
        answer, sender = await asyncio.to_thread(client.recvfrom, 65535)
        return answer, sender[:2]


@pytest.mark.parametrize("handler", [at_once, later])
@pytest.mark.parametrize(
    ("bound", "asked", "source"),
    [
        ("0.0.0.0", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.2", "127.0.0.1"),
        ("0.0.0.0", "127.255.1.2", "127.0.0.3"),
        ("127.0.0.2", "127.0.0.2", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("::", "::1", "::1"),
        ("::1", "::1", "::1"),
    ],
)
async def test_h22_an_answer_leaves_from_the_address_and_port_that_were_asked(
    handler: Handler, bound: str, asked: str, source: str
) -> None:
    async with frontend(handler, address=bound) as server:
        answer, sender = await exchange(octets.query(WEB), (asked, server.port), source)
        assert octets.read_header(answer).id == octets.ID
        assert sender == (asked, server.port)


async def test_a_client_is_named_by_its_address_and_port_in_either_family() -> None:
    clients: list[tuple[str, int]] = []

    async def look(query: Query) -> Response:
        clients.append(query.client)
        return Response()

    for bound in ("127.0.0.1", "0.0.0.0", "::1", "::"):
        async with frontend(look, address=bound) as server:
            address = "::1" if ":" in bound else "127.0.0.1"
            await exchange(octets.query(WEB), (address, server.port), address)
    assert [address for address, _ in clients] == ["127.0.0.1", "127.0.0.1", "::1", "::1"]


async def test_more_datagrams_than_a_batch_are_all_answered() -> None:
    async with frontend(at_once) as server:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
            client.setblocking(False)  # noqa: FBT003 - its only argument
            client.connect((server.address, server.port))
            for ident in range(3 * BATCH + 1):
                client.send(octets.query(WEB, id=ident))
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(PATIENCE):
                answers = [await loop.sock_recv(client, 512) for _ in range(3 * BATCH + 1)]
            assert [octets.read_header(answer).id for answer in answers] == list(range(3 * BATCH + 1))


async def test_the_loop_gets_its_turn_between_batches() -> None:
    turns: list[int] = []
    answered = 0

    async def count(query: Query) -> Response:
        nonlocal answered
        answered += 1
        return Response()

    def turn() -> None:
        turns.append(answered)
        asyncio.get_running_loop().call_soon(turn)

    async with frontend(count) as server:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
            client.connect((server.address, server.port))
            for ident in range(3 * BATCH):
                client.send(octets.query(WEB, id=ident))
            turn()
            await server.ask(octets.query(WEB))
    assert {BATCH, 2 * BATCH} <= set(turns)


async def test_a_datagram_over_4096_octets_is_cut_and_what_is_left_is_answered() -> None:
    async with frontend(at_once) as server:
        assert octets.read_header(await server.ask(octets.query(WEB) + bytes(60000)) or b"").rcode == 0
        padded = octets.query(WEB, octets.opt(octets.option(12, bytes(5000))))
        assert await server.ask(padded) == octets.bare(1, octets.RD)
        fitting = octets.query(WEB, octets.opt(octets.option(12, bytes(4096 - 12 - len(WEB) - 15))))
        assert len(fitting) == 4096
        assert octets.read_header(await server.ask(fitting) or b"").rcode == 0


async def test_a_client_that_went_away_is_no_obstacle() -> None:
    async with frontend(later) as server:
        for _ in range(20):
            with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
                client.connect((server.address, server.port))
                client.send(octets.query(WEB))
        assert await server.ask(octets.query(WEB)) is not None


@asynccontextmanager
async def listening(
    give: Give, address: str, packets_of: Callable[[socket.socket], Packets] = best_packets
) -> AsyncIterator[tuple[Datagrams, Counters, socket.socket]]:
    """Answer with *give* at *address*; yield the listener, neither started nor stopped, counters, a client."""
    counters = Counters.of(Metrics())
    bound = bind(address, 0, socket.SOCK_DGRAM)
    datagrams = Datagrams(bound, "dns://:53", lambda _: Answers(give), counters, packets_of)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
        client.setblocking(False)  # noqa: FBT003 - its only argument
        client.connect(("127.0.0.1", datagrams.listener.port))
        yield datagrams, counters, client


async def receive(client: socket.socket) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.get_running_loop().sock_recv(client, 65535)


def give(answer: bytes) -> Give:
    """Answer at once."""
    return lambda message: answer if message != b"last" else b"done"


def give_later(answer: bytes) -> Give:
    """Answer a turn of the loop later."""

    def hold(message: bytes) -> Answer:
        if message == b"last":
            return b"done"
        held = Held()
        asyncio.get_running_loop().call_soon(lambda: held.give(answer))
        return held

    return hold


BIND_TO = pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
MAKERS = pytest.mark.parametrize("make", [give, give_later])


@BIND_TO
@MAKERS
async def test_an_answer_that_the_network_refuses_is_counted_and_no_more(
    make: Callable[[bytes], Give], address: str
) -> None:
    async with listening(make(bytes(65_535)), address) as (datagrams, counters, client):
        datagrams.start()
        client.send(b"first")
        client.send(b"last")
        assert await receive(client) == b"done"
        await asyncio.sleep(0)
        await datagrams.stop(PATIENCE)
        assert counters.unsent.value == 1


@BIND_TO
@MAKERS
async def test_what_came_before_a_stop_is_answered(make: Callable[[bytes], Give], address: str) -> None:
    async with listening(make(b"answer"), address) as (datagrams, _, client):
        for _ in range(3 * BATCH):
            client.send(b"question")
        await datagrams.stop(PATIENCE)
        for _ in range(3 * BATCH):
            assert client.recv(512) == b"answer"


@BIND_TO
async def test_what_comes_once_a_listener_retires_goes_to_others_at_its_port_and_nothing_is_lost(address: str) -> None:
    def listen(port: int, answer: bytes) -> Datagrams:
        bound = bind(address, port, socket.SOCK_DGRAM, shared=True)
        share([bound], shared=True)
        return Datagrams(bound, "dns://:53", lambda _: Answers(give(answer)), Counters.of(Metrics()))

    old = listen(0, b"old")
    new = listen(old.listener.port, b"new")
    with ExitStack() as stack:

        def ask() -> socket.socket:
            client = stack.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
            client.setblocking(False)  # noqa: FBT003 - its only argument
            client.connect(("127.0.0.1", old.listener.port))
            client.send(b"question")
            return client

        before = [ask() for _ in range(50)]
        old.retire()
        after = [ask() for _ in range(50)]
        await old.stop(PATIENCE)
        new.start()
        assert {await receive(client) for client in before} == {b"old", b"new"}
        assert {await receive(client) for client in after} == {b"new"}
        await new.stop(PATIENCE)


@BIND_TO
async def test_a_stop_waits_no_longer_than_its_grace(address: str) -> None:
    held = Held()
    async with listening(lambda message: held, address) as (datagrams, counters, client):
        client.send(b"question")
        await datagrams.stop(0.01)
        held.give(b"too late")
        await asyncio.sleep(0)
        assert counters.unsent.value == 1


@BIND_TO
async def test_an_answer_that_does_not_come_is_silence(address: str) -> None:
    held = Held()
    answers: list[Answer] = [b"done", held]
    async with listening(lambda message: answers.pop(), address) as (datagrams, _, client):
        datagrams.start()
        for _ in range(2):
            client.send(b"question")
        assert await receive(client) == b"done"
        held.give(None)
        await datagrams.stop(PATIENCE)
        with pytest.raises(BlockingIOError):
            client.recv(512)


async def test_a_reload_hands_the_next_datagram_to_the_new_responder() -> None:
    async with listening(give(b"old"), "127.0.0.1") as (datagrams, _, client):
        datagrams.start()
        client.send(b"question")
        assert await receive(client) == b"old"
        datagrams.answerer = Answers(give(b"new"))
        client.send(b"question")
        assert await receive(client) == b"new"
        await datagrams.stop(PATIENCE)


@pytest.mark.parametrize(
    ("address", "family", "shown"),
    [("127.0.0.1", 1, "127.0.0.1"), ("0.0.0.0", 1, "0.0.0.0"), ("::1", 2, "::1"), ("::", 2, "::")],
)
async def test_a_listener_says_where_it_is(address: str, family: int, shown: str) -> None:
    async with frontend(at_once, address=address) as server:
        listener = server.datagrams.listener
        assert listener == ("dns://:53", "udp", family, shown, server.port)


@pytest.mark.parametrize("packets_of", [OneByOne, Mmsg])
@BIND_TO
async def test_each_of_a_batch_gets_its_own_answer_or_none(
    packets_of: Callable[[socket.socket], Packets], address: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Answers at once, later and never, in any order, and one query that nobody can answer."""
    held: list[Held] = []

    def answer(message: bytes) -> Answer:
        kind, name = message[:1], message[1:]
        if kind == b"f":
            raise ZeroDivisionError
        if kind == b"h":
            held.append(each := Held())
            asyncio.get_running_loop().call_soon(lambda: each.give(name))
            return each
        return name if kind == b"g" else None

    order = 4 * "ghgshhggfgsfhggg"  # give, hold, say nothing, fail
    async with listening(answer, address, packets_of) as (datagrams, counters, _):
        with ExitStack() as stack:
            clients = [
                stack.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))) for _ in range(BATCH)
            ]
            for number, (client, kind) in enumerate(zip(clients, order, strict=True)):
                client.setblocking(False)  # noqa: FBT003 - its only argument
                client.connect(("127.0.0.1", datagrams.listener.port))
                client.send(f"{kind}{number}".encode())
            await datagrams.stop(PATIENCE)
            for number, (client, kind) in enumerate(zip(clients, order, strict=True)):
                if kind in "gh":
                    assert await receive(client) == str(number).encode()
                with pytest.raises(BlockingIOError):
                    client.recv(512)
        assert (counters.silent.value, counters.unsent.value, len(held)) == (8, 0, 16)
    assert caplog.text.count("has no answer") == 8


class Known(Answers):
    """Answers all as if one like it was answered before, but for its octets."""

    def respond(self, octets: bytes, client: TellClient) -> Answer:
        answer = super().respond(octets, client)
        self.made = 0
        return answer


@pytest.mark.parametrize(("kind", "most"), [(Answers, 8), (Known, BATCH)])
async def test_what_is_made_is_sent_before_much_more_is_made(kind: type[Answers], most: int) -> None:
    come: list[int] = []

    def count(message: bytes) -> bytes:
        with suppress(BlockingIOError):
            while client.recv(512):
                come[-1] += 1
        come.append(come[-1] if come else 0)
        return message

    async with listening(count, "127.0.0.1") as (datagrams, _, client):
        datagrams.answerer = kind(count)
        for _ in range(BATCH):
            client.send(b"question")
        await datagrams.stop(PATIENCE)
    assert max(made - sent for made, sent in enumerate(come, start=1)) == most


async def test_silence_is_counted() -> None:
    for address in ("127.0.0.1", "0.0.0.0"):
        async with listening(lambda message: None if message else b"x", address) as (
            datagrams,
            counters,
            client,
        ):
            client.send(b"question")
            await datagrams.stop(PATIENCE)
            assert counters.silent.value == 1
