"""What the responder itself decides: which block, whether to wait, what to tell of the query."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest

from svcdns.chain import Handler
from svcdns.dns.message import Listener, Query, Rcode, Response
from svcdns.dns.name import ROOT, Name, from_text
from svcdns.dns.records import RRset, Rtype
from svcdns.net.sockets import Answer
from svcdns.responder import MAX_DEPTH, REFUSED, Route, Routes, refuse
from svcdns.tasks import Tasks
from tests import octets
from tests.frontend import make_responder

UDP = Listener("dns://:53", "udp", 1, "0.0.0.0", 53)
TCP = UDP._replace(transport="tcp")
CLIENT = ("192.0.2.7", 4242)
WEB = octets.question("web.default.svc.cluster.local")
DATA = Response(answer=(RRset(from_text("web.default.svc.cluster.local"), Rtype.A, 5, [bytes(4)]),))


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    made = Tasks()
    yield made
    await made.cancel()


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


def respond(tasks: Tasks, handler: Handler, message: bytes, *, recursive: bool = False) -> Answer:
    """Answer *message* over UDP by one handler for all names."""
    made = make_responder([Route(ROOT, handler, recursive)], UDP, tasks.spawn)
    return made.respond(message, lambda: CLIENT)


def flags_of(answer: object) -> int:
    assert isinstance(answer, bytes)
    return octets.read_header(answer).flags


async def test_a_plugin_is_told_all_there_is_to_know_of_a_query(tasks: Tasks) -> None:
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
    assert chain.seen == [over_udp, over_udp._replace(payload=65535, listener=TCP)]


@pytest.mark.parametrize(
    ("extra", "payload"), [((), 512), ((octets.opt(payload=0),), 512), ((octets.opt(payload=513),), 513)]
)
async def test_the_payload_is_never_under_512(tasks: Tasks, extra: tuple[bytes, ...], payload: int) -> None:
    chain = Chain()
    respond(tasks, chain, octets.query(WEB, *extra, flags=0))
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
async def test_the_longest_zone_takes_a_query(tasks: Tasks, name: str, zone: str) -> None:
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
async def test_a_ds_record_of_an_apex_is_asked_of_the_zone_above(tasks: Tasks, name: str, zone: str) -> None:
    chain = Chain()
    made = make_responder(routes(**{".": chain, "cluster.local": chain, "svc.cluster.local": chain}), UDP)
    made.respond(octets.query(octets.question(name, 43)), lambda: CLIENT)
    assert chain.seen[0].zone == from_text(zone)


async def test_octets_that_look_like_a_zone_are_none(tasks: Tasks) -> None:
    chain = Chain()
    one_label = b"\x0fa\x07cluster\x05local\x00"
    answer = make_responder(routes(cluster_local=chain), UDP).respond(
        octets.query(octets.question(one_label)), lambda: CLIENT
    )
    assert flags_of(answer) & 0xF == Rcode.REFUSED
    assert chain.seen == []


async def test_an_answer_that_is_there_comes_at_once_and_makes_no_task(tasks: Tasks) -> None:
    def spawn(work: object) -> asyncio.Task[bytes]:
        raise AssertionError(work)

    made = make_responder([Route(ROOT, Chain(), recursive=False)], UDP, spawn)
    assert flags_of(made.respond(octets.query(WEB), lambda: CLIENT)) == octets.QR | octets.RD


async def waits(tasks: Tasks, waiting: asyncio.Future[None]) -> asyncio.Task[bytes]:
    """Return the answer to a query whose chain awaits *waiting*."""

    async def handle(query: Query) -> Response:
        await waiting
        await asyncio.sleep(0)
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        return DATA

    answer = respond(tasks, handle, octets.query(WEB), recursive=True)
    assert isinstance(answer, asyncio.Task)
    return answer


async def test_an_answer_that_must_wait_comes_as_a_task(tasks: Tasks) -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answer = await waits(tasks, waiting)
    await asyncio.sleep(0)
    assert not answer.done()
    waiting.set_result(None)
    assert flags_of(await answer) == octets.QR | octets.RD | octets.RA


async def test_what_is_waited_for_may_be_there_before_the_task_begins(tasks: Tasks) -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answer = await waits(tasks, waiting)
    waiting.set_result(None)
    assert flags_of(await answer) == octets.QR | octets.RD | octets.RA


async def test_a_failure_of_what_is_waited_for_reaches_the_chain(tasks: Tasks) -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handle(query: Query) -> Response:
        try:
            await waiting
        except ConnectionError:
            return Response(Rcode.SERVFAIL)
        return DATA

    answer = respond(tasks, handle, octets.query(WEB))
    assert isinstance(answer, asyncio.Task)
    waiting.set_exception(ConnectionError())
    assert flags_of(await answer) & 0xF == Rcode.SERVFAIL


async def test_a_cancelled_query_lets_its_chain_clean_up(tasks: Tasks) -> None:
    cleaned = []

    async def handle(query: Query) -> Response:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append(True)
        return DATA

    answer = respond(tasks, handle, octets.query(WEB))
    assert isinstance(answer, asyncio.Task)
    await asyncio.sleep(0)
    answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answer
    assert cleaned == [True]


async def test_queries_that_wait_do_not_share_their_context(tasks: Tasks) -> None:
    mine: ContextVar[int] = ContextVar("mine")

    async def handle(query: Query) -> Response:
        await asyncio.sleep(0)
        mine.set(query.id)
        await asyncio.sleep(0)
        return Response(mine.get())

    answers = [respond(tasks, handle, octets.query(WEB, id=ident)) for ident in range(10)]
    assert [flags_of(await answer) & 0xF for answer in answers if isinstance(answer, asyncio.Task)] == list(range(10))


async def test_a_plugins_own_question_goes_to_the_block_that_a_clients_would() -> None:
    chain = Chain()
    made = Routes(routes(cluster_local=chain))
    asked = Query(from_text("web.cluster.local"), 1, depth=MAX_DEPTH)
    assert await made.resolve(asked) == DATA
    assert chain.seen == [asked._replace(zone=from_text("cluster.local"))]
    assert await made.resolve(asked._replace(name=from_text("example.com"))) == REFUSED
    too_deep = await made.resolve(asked._replace(depth=MAX_DEPTH + 1))
    assert too_deep.rcode == Rcode.SERVFAIL
    assert too_deep.ede is not None


async def test_what_no_plugin_takes_is_refused() -> None:
    assert await refuse(Query(Name(b"\x00"), 1)) == REFUSED
