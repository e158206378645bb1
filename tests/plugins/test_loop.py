"""Upstreams that lead back to us."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from svcdns.chain import Plugin, chain
from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.name import from_text
from svcdns.dns.records import Rtype
from svcdns.errors import ConfigError
from svcdns.net.upstream import Upstream
from svcdns.plugins import loop
from svcdns.plugins.forward import Forward
from tests.fake_upstream import GOOD, FakeUpstream, Seen, fake_upstream
from tests.fakes import Found, environment, refuse, running, set_up
from tests.plugins.forward.forwarding import addresses, forwarding, to, until


class Mirror(FakeUpstream):
    """An upstream that hands what it is asked to us, as one does that has us as its upstream."""

    mirrors: Callable[[Seen], None] | None = None

    def _respond(self, *taken: object) -> None:
        if self.mirrors is not None:
            self.mirrors(self.seen[-1])
        super()._respond(*taken)  # type: ignore[arg-type]


class Looks:
    """Upstreams that are looked at, and how often they were."""

    def __init__(self, forward: Forward) -> None:
        self.count = 0
        self._forward = forward

    def upstreams(self) -> Sequence[Upstream]:
        self.count += 1
        return self._forward.upstreams()


@asynccontextmanager
async def looking(fake: Mirror, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[list[Plugin], Looks, Upstream]]:
    """Have `loop` and `forward` at work before *fake*."""
    monkeypatch.setattr(loop, "INTERVAL", 0.01)
    monkeypatch.setattr(loop, "PAUSE", 0.01)
    lent = environment(zones=(from_text("example."),))
    plugins = [*set_up("loop", "loop", lent), *set_up(to(fake), "forward", lent)]
    assert isinstance(lent.find, Found)
    assert isinstance(plugins[1], Forward)
    looks = Looks(plugins[1])
    lent.find.plugins.append(looks)
    (upstream,) = looks.upstreams()
    async with running(lent, plugins):
        yield plugins, looks, upstream


async def test_an_upstream_that_leads_back_is_left_alone_until_it_does_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    fake = Mirror()
    async with fake_upstream(fake), looking(fake, monkeypatch) as (plugins, _, upstream):
        handler = chain(plugins, refuse)
        tasks = []

        def come_back(seen: Seen) -> None:
            query = Query(from_text(seen.name), seen.message.question[0].rdtype)
            tasks.append(asyncio.ensure_future(handler(query)))

        fake.mirrors = come_back
        await until(lambda: upstream.looping)
        assert f"upstream {upstream.label} leads back to this server" in caplog.text
        response = await handler(Query(from_text("www.example."), Rtype.A))
        assert response.rcode == Rcode.SERVFAIL
        assert response.ede is not None
        assert "leads back here" in response.ede.text
        fake.mirrors = None
        await until(lambda: not upstream.looping)
        assert f"upstream {upstream.label} no longer leads back to this server" in caplog.text
        assert addresses(await handler(Query(from_text("www.example."), Rtype.A))) == [GOOD]
        assert {(await task).rcode for task in tasks} == {Rcode.SERVFAIL}


async def test_an_upstream_that_does_not_is_asked_once_for_a_name_in_the_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = Mirror()
    async with fake_upstream(fake), looking(fake, monkeypatch) as (_, looks, upstream):
        await until(lambda: looks.count > 5)
        assert not upstream.looping
        ((question,),) = [seen.message.question for seen in fake.seen]
        assert int(question.rdtype) == Rtype.HINFO
        assert question.name.to_text().lower().endswith(".example.")


async def test_without_it_a_question_that_comes_back_waits_for_itself_and_goes_round_no_further() -> None:
    fake = Mirror()
    tasks: list[asyncio.Future[Response]] = []
    async with fake_upstream(fake), forwarding(to(fake)) as forward:
        fake.mirrors = lambda seen: tasks.append(asyncio.ensure_future(forward.ask(seen.name)))
        assert (await forward.ask("blackhole.example.")).rcode == Rcode.SERVFAIL
        assert len(fake.named("blackhole")) <= 4
        await asyncio.gather(*tasks)


async def test_other_queries_pass() -> None:
    lent = environment()
    (plugin,) = set_up("loop", "loop", lent)
    response = await chain([plugin], refuse)(Query(from_text("1.2.example."), Rtype.HINFO))
    assert response.rcode == Rcode.REFUSED


async def test_without_forward_there_is_nothing_to_do() -> None:
    lent = environment()
    (plugin,) = set_up("loop", "loop", lent)
    await plugin.run()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("loop now", "Corefile:2: loop: found 'now', expected no arguments"),
        ("loop {\n fast\n}", "Corefile:3: unknown option 'fast', expected none"),
        ("loop\nloop", "Corefile:3: loop: found again in the server block"),
    ],
)
def test_it_takes_no_arguments_and_stands_once(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        set_up(text, "loop", environment())
    assert reason in str(caught.value)
