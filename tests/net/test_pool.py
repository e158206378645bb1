"""Connections that questions share."""

import asyncio
import ssl
import time

import pytest
import trustme

from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.name import from_text
from svcdns.dns.records import Rtype
from svcdns.errors import UpstreamError
from svcdns.metrics import Counter
from svcdns.net.asking import ask
from svcdns.net.poller import Poller
from svcdns.net.pool import MOST_CONNECTIONS, Keeping, Route
from svcdns.net.upstream import Counters, Upstream
from svcdns.tasks import Tasks
from tests.fake_upstream import FakeUpstream, fake_upstream
from tests.net.asking import asking


async def put(upstream: Upstream, label: str = "www", patience: float = 5.0) -> Response:
    return await ask(upstream, Query(from_text(f"{label}.example.org."), Rtype.A), patience, stream_after=0.0)


async def test_a_connection_is_used_again() -> None:
    async with asking() as (upstream, fake):
        for _ in range(5):
            assert (await put(upstream)).rcode == Rcode.NOERROR
        assert fake.connections == 1
        assert (upstream.counters.misses.value, upstream.counters.hits.value) == (1, 4)


async def test_questions_at_once_share_a_few_connections() -> None:
    async with asking(FakeUpstream(delay=0.05)) as (upstream, fake):
        await asyncio.gather(*(put(upstream, f"n{number}") for number in range(100)))
        assert fake.connections == MOST_CONNECTIONS
        assert len(fake.seen) == 100


async def test_a_connection_takes_as_many_questions_as_there_are() -> None:
    async with asking(FakeUpstream(delay=0.05)) as (upstream, fake):
        responses = await asyncio.gather(*(put(upstream, f"n{number}", 60) for number in range(2000)))
        assert {response.rcode for response in responses} == {Rcode.NOERROR}
        assert fake.connections == MOST_CONNECTIONS


async def test_a_slow_answer_does_not_hold_up_others() -> None:
    async with asking() as (upstream, _):
        slow = [asyncio.ensure_future(put(upstream, f"slow-{1000 + number}")) for number in range(MOST_CONNECTIONS)]
        await asyncio.gather(*(put(upstream, f"n{number}") for number in range(20)))
        assert not any(task.done() for task in slow)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_a_connection_that_the_upstream_closed_is_replaced_without_a_word() -> None:
    async with asking() as (upstream, fake):
        await put(upstream)
        fake.hang_up()
        assert (await put(upstream)).rcode == Rcode.NOERROR
        assert fake.connections == 2


async def test_an_idle_connection_is_closed_when_it_expires() -> None:
    async with asking(keeping=Keeping(expire=0.01)) as (upstream, fake):
        await put(upstream)
        await asyncio.wait_for(fake.quiet.wait(), 5)
        await put(upstream)
        assert fake.connections == 2


async def test_an_old_connection_takes_no_further_question() -> None:
    async with asking(keeping=Keeping(max_age=1e-6)) as (upstream, fake):
        for _ in range(3):
            await put(upstream)
        assert fake.connections == 3


async def test_more_idle_connections_than_wanted_are_closed() -> None:
    async with asking(FakeUpstream(delay=0.02), keeping=Keeping(max_idle=1)) as (upstream, fake):
        await asyncio.gather(*(put(upstream, f"n{number}") for number in range(4)))
        await asyncio.gather(*(put(upstream, f"m{number}") for number in range(2)))
        assert fake.connections == 5


async def test_an_upstream_without_tcp_says_so_at_once() -> None:
    async with asking(FakeUpstream(tcp=False)) as (upstream, _):
        with pytest.raises(UpstreamError) as caught:
            await put(upstream)
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        assert "refused" in caught.value.reason  # and not, later, that it did not answer


async def test_a_refused_connection_is_not_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svcdns.net.pool._DIAL_PAUSE", 60.0)  # longer than 500 questions take on any machine
    async with asking(FakeUpstream(tcp=False)) as (upstream, _):
        results = await asyncio.gather(*(put(upstream, f"n{number}") for number in range(500)), return_exceptions=True)
        with pytest.raises(UpstreamError):
            await put(upstream)
        assert {type(result) for result in results} == {UpstreamError}
        assert upstream.counters.misses.value == MOST_CONNECTIONS


@pytest.mark.parametrize(
    ("server_name", "reason"),
    [("dns.example", None), ("", None), ("other.example", "certificate verify failed")],
)
async def test_over_tls_the_upstream_must_be_who_it_should_be(server_name: str, reason: str | None) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("dns.example", "127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    tasks = Tasks()
    poller = Poller(time.monotonic, tasks.spawn)
    async with fake_upstream(tls=server) as fake:
        route = Route("127.0.0.1", fake.port, context=client, server_name=server_name)
        upstream = Upstream(route, Keeping(), poller, Counters(*(Counter() for _ in range(5))))
        query = Query(from_text("www.example.org."), Rtype.A)
        if reason is None:
            assert (await ask(upstream, query, 5)).rcode == Rcode.NOERROR
            assert (await ask(upstream, query, 5)).rcode == Rcode.NOERROR
            assert ([seen.transport for seen in fake.seen], fake.connections) == (["tls", "tls"], 1)
        else:
            with pytest.raises(UpstreamError, match=reason):
                await ask(upstream, query, 5)
            assert fake.seen == []
        upstream.pool.close()
        poller.close()
        await tasks.cancel()
