"""What the responder itself decides: which block, whether to wait, what to tell of the query."""

import asyncio
from collections.abc import Callable

import pytest

from svcdns.chain import Handler, Wait
from svcdns.dns.message import Listener, Query, Rcode, Response
from svcdns.dns.name import ROOT, Name, from_text
from svcdns.dns.records import RRset, Rtype
from svcdns.responder import MAX_DEPTH, REFUSED, Route, Routes, refuse
from tests import octets
from tests.frontend import frontend, make_responder

UDP = Listener("dns://:53", "udp", 1, "0.0.0.0", 53)
TCP = UDP._replace(transport="tcp")
CLIENT = ("192.0.2.7", 4242)
WEB = octets.question("web.default.svc.cluster.local")
DATA = Response(answer=(RRset(from_text("web.default.svc.cluster.local"), Rtype.A, 5, [bytes(4)]),))


class Chain:
    """A chain's first link, which notes what it is asked and answers `DATA`."""

    def __init__(self) -> None:
        self.seen: list[Query] = []

    async def __call__(self, query: Query) -> Response:
        self.seen.append(query)
        return DATA


def routes(**zones: Chain) -> list[Route]:
    """Make routes to blocks that are named by zones with `_` for dots."""
    return [Route(from_text(text.replace("_", ".")), chain, recursive=False) for text, chain in zones.items()]


def respond(handler: Handler, message: bytes, *, recursive: bool = False) -> asyncio.Future[bytes | None]:
    """Answer *message* over UDP by one handler for all names, as a listener does: in a callback, not in a task."""
    made = make_responder([Route(ROOT, handler, recursive)], UDP)
    loop = asyncio.get_running_loop()
    told: asyncio.Future[bytes | None] = loop.create_future()

    def call() -> None:
        try:
            answer = made.respond(message, lambda: CLIENT)
        except Exception as error:  # noqa: BLE001 - for who awaits the answer
            told.set_exception(error)
            return
        if isinstance(answer, bytes | None):
            told.set_result(answer)
        else:
            answer.tell(told.set_result)

    loop.call_soon(call)
    return told


def flags_of(answer: object) -> int:
    assert isinstance(answer, bytes)
    return octets.read_header(answer).flags


async def test_a_plugin_is_told_all_there_is_to_know_of_a_query() -> None:
    chain = Chain()
    asked = octets.query(
        octets.question("WEB.cluster.LOCAL", 28),
        octets.opt(flags=octets.DO, payload=4000),
        flags=octets.RD | octets.CD | octets.AD,
    )
    make_responder(routes(cluster_local=chain), UDP).respond(asked, lambda: CLIENT)
    make_responder(routes(cluster_local=chain), TCP).respond(asked, lambda: CLIENT)
    over_udp = Query(
        name=from_text("web.cluster.local"),
        rtype=28,
        rd=True,
        do=True,
        cd=True,
        ad=True,
        edns=True,
        payload=4000,
        id=octets.ID,
        size=len(asked),
        client=CLIENT,
        listener=UDP,
        zone=from_text("cluster.local"),
        depth=0,
    )
    assert chain.seen == [over_udp, over_udp.replace(payload=65535, listener=TCP)]


@pytest.mark.parametrize(
    ("extra", "payload"), [((), 512), ((octets.opt(payload=0),), 512), ((octets.opt(payload=513),), 513)]
)
async def test_the_payload_is_never_under_512(extra: tuple[bytes, ...], payload: int) -> None:
    chain = Chain()
    await respond(chain, octets.query(WEB, *extra, flags=0))
    (query,) = chain.seen
    assert query == Query(
        from_text("web.default.svc.cluster.local"),
        1,
        rd=False,
        edns=bool(extra),
        payload=payload,
        id=octets.ID,
        size=len(octets.query(WEB, *extra)),
        client=CLIENT,
        listener=UDP,
    )


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("cluster.local", "cluster.local"),
        ("web.cluster.local", "cluster.local"),
        ("a.deep.one.svc.cluster.local", "svc.cluster.local"),
        ("svc.cluster.local", "svc.cluster.local"),
        ("xcluster.local", "."),
        ("local", "."),
        (".", "."),
        ("cluster.local.example.com", "."),
    ],
)
async def test_the_longest_zone_takes_a_query(name: str, zone: str) -> None:
    chain = Chain()
    made = make_responder(routes(**{".": chain, "cluster.local": chain, "svc.cluster.local": chain}), UDP)
    made.respond(octets.query(octets.question(name)), lambda: CLIENT)
    assert chain.seen[0].zone == from_text(zone)


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("svc.cluster.local", "cluster.local"),
        ("cluster.local", "cluster.local"),
        ("web.svc.cluster.local", "svc.cluster.local"),
    ],
)
async def test_a_ds_record_of_an_apex_is_asked_of_the_zone_above(name: str, zone: str) -> None:
    chain = Chain()
    made = make_responder(routes(**{".": chain, "cluster.local": chain, "svc.cluster.local": chain}), UDP)
    made.respond(octets.query(octets.question(name, 43)), lambda: CLIENT)
    assert chain.seen[0].zone == from_text(zone)


async def test_octets_that_look_like_a_zone_are_none() -> None:
    chain = Chain()
    one_label = b"\x0fa\x07cluster\x05local\x00"
    answer = make_responder(routes(cluster_local=chain), UDP).respond(
        octets.query(octets.question(one_label)), lambda: CLIENT
    )
    assert flags_of(answer) & 0xF == Rcode.REFUSED
    assert chain.seen == []


async def test_an_answer_that_is_there_comes_at_once() -> None:
    answer = respond(Chain(), octets.query(WEB))
    await asyncio.sleep(0)
    assert flags_of(answer.result()) == octets.QR | octets.RD


def waits(waiting: asyncio.Future[None]) -> asyncio.Future[bytes | None]:
    """Return the answer to a query whose chain awaits *waiting*."""

    async def handle(query: Query) -> Response:
        await waiting
        await asyncio.sleep(0)
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        await asyncio.wait([waiting])
        return DATA

    return respond(handle, octets.query(WEB), recursive=True)


async def test_an_answer_that_must_wait_comes_when_what_it_waits_for_is_there() -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answer = waits(waiting)
    await asyncio.sleep(0)
    assert not answer.done()
    waiting.set_result(None)
    assert flags_of(await answer) == octets.QR | octets.RD | octets.RA


async def test_several_queries_may_await_the_same() -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answers = [waits(waiting) for _ in range(2)]
    await asyncio.sleep(0)
    waiting.set_result(None)
    assert [flags_of(answer) for answer in await asyncio.gather(*answers)] == 2 * [octets.QR | octets.RD | octets.RA]


async def test_whoever_ends_a_wait_steps_the_chain_on() -> None:
    wait: Wait[Response] = Wait()

    async def handle(query: Query) -> Response:
        return await wait

    answer = respond(handle, octets.query(WEB))
    await asyncio.sleep(0)
    held: list[Callable[[], None]] = []
    wait.end(DATA, held.append)
    await asyncio.sleep(0)
    assert not answer.done()
    (go_on,) = held
    go_on()
    assert flags_of(answer.result()) == octets.QR | octets.RD


async def test_a_wait_that_several_queries_and_a_task_await_goes_on_for_all() -> None:
    wait: Wait[Response] = Wait()

    async def handle(query: Query) -> Response:
        return await wait

    answers = [respond(handle, octets.query(WEB)) for _ in range(2)]
    ended = asyncio.gather(*answers, asyncio.wait_for(wait, 10))
    await asyncio.sleep(0)
    wait.end(DATA, lambda go_on: go_on())
    *told, result = await ended
    assert [flags_of(each) for each in told] == 2 * [octets.QR | octets.RD]
    assert result == DATA


@pytest.mark.parametrize("make", [asyncio.Future, Wait])
async def test_a_failure_of_what_is_waited_for_reaches_the_chain(make: type[asyncio.Future[None]]) -> None:
    waiting = make()

    async def handle(query: Query) -> Response:
        try:
            await waiting
        except ConnectionError:
            return Response(Rcode.SERVFAIL)
        return DATA

    answer = respond(handle, octets.query(WEB))
    await asyncio.sleep(0)
    waiting.set_exception(ConnectionError())
    assert flags_of(await answer) & 0xF == Rcode.SERVFAIL


@pytest.mark.parametrize("make", [asyncio.Future, Wait])
async def test_a_chain_whose_wait_is_cancelled_cleans_up_and_has_no_answer(make: type[asyncio.Future[None]]) -> None:
    cleaned = []
    waiting = make()

    async def handle(query: Query) -> Response:
        try:
            await waiting
        finally:
            cleaned.append(True)
        return DATA

    answer = respond(handle, octets.query(WEB))
    await asyncio.sleep(0)
    waiting.cancel()
    assert await answer is None
    assert cleaned == [True]


async def test_a_chain_that_fails_after_a_wait_is_logged_and_gives_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def handle(query: Query) -> Response:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    assert await respond(handle, octets.query(WEB)) is None
    assert "has no answer" in caplog.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("turns", [0, 1])
async def test_a_chain_that_asks_for_a_task_fails_and_it_is_logged(
    turns: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(query: Query) -> Response:
        for _ in range(turns):
            await asyncio.sleep(0)
        if query.name == from_text("web.default.svc.cluster.local"):
            async with asyncio.timeout(10):
                await asyncio.sleep(0)
        return DATA

    async with frontend(handle) as server:
        assert await server.ask(octets.query(WEB)) is None
    assert len(caplog.records) == 1
    assert "Timeout should be used inside a task" in caplog.text


async def test_a_plugins_own_question_goes_to_the_block_that_a_clients_would() -> None:
    chain = Chain()
    made = Routes(routes(cluster_local=chain))
    asked = Query(from_text("web.cluster.local"), 1, depth=MAX_DEPTH)
    assert await made.resolve(asked) == DATA
    assert chain.seen == [Query(from_text("web.cluster.local"), 1, depth=MAX_DEPTH, zone=from_text("cluster.local"))]
    assert await made.resolve(asked.replace(name=from_text("example.com"))) == REFUSED
    too_deep = await made.resolve(asked.replace(depth=MAX_DEPTH + 1))
    assert too_deep.rcode == Rcode.SERVFAIL
    assert too_deep.ede is not None


async def test_what_no_plugin_takes_is_refused() -> None:
    assert await refuse(Query(Name(b"\x00"), 1)) == REFUSED
