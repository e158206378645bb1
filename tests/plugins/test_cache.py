import asyncio
import tracemalloc
from collections.abc import Callable
from typing import Any

import dns.message
import pytest
from prometheus_client.parser import text_string_to_metric_families

from svcdns.chain import Handler, chain
from svcdns.dns.message import Ede, ExtendedError, Lease, Listener, Query, Rcode, Repeat, Response
from svcdns.dns.name import ROOT, Name, from_text
from svcdns.dns.records import RRset, Rtype, soa
from svcdns.errors import ConfigError, UpstreamError
from svcdns.metrics import Metrics
from svcdns.plugins.cache import Cache
from svcdns.plugins.cache.plugin import RECHECK
from svcdns.responder import Responder, Route
from tests import octets
from tests.fakes import Clock, Kept, Script, Spawned, environment, set_up
from tests.frontend import make_responder

NAME = from_text("web.example.org.")
ALIAS = from_text("www.example.org.")
LISTENER = Listener("dns://:53", "udp", 1, "0.0.0.0", 53)
QUERY = Query(NAME, Rtype.A, listener=LISTENER)


def addresses(ttl: int, *lasts: int, owner: Name = NAME) -> RRset:
    return RRset(owner, Rtype.A, ttl, [bytes((10, 0, 0, last)) for last in lasts or (1,)])


def denial(ttl: int, minimum: int, rcode: int = Rcode.NXDOMAIN) -> Response:
    data = soa(from_text("ns.example.org."), from_text("host.example.org."), 1, (2, 3, 4, minimum))
    return Response(rcode, authority=(RRset(from_text("example.org."), Rtype.SOA, ttl, [data]),), plugin="forward")


def positive(ttl: int, *lasts: int) -> Response:
    return Response(answer=(addresses(ttl, *lasts),), plugin="forward")


def failing(rcode: int = Rcode.SERVFAIL, code: int = Ede.NO_REACHABLE_AUTHORITY) -> Response:
    return Response(
        rcode, ede=ExtendedError(code, "no answer"), plugin="forward", error=UpstreamError("10.0.0.9:53", "no answer")
    )


def ttls(response: Response) -> list[int]:
    return [rrset.ttl for rrset in response.answer + response.authority + response.additional]


class Server:
    """A cache with a clock that is turned by hand, above an upstream that answers as it is told."""

    def __init__(self, text: str, *answers: Response | Exception, **lent: Any) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self.spawned = Spawned()
        self.upstream = Script(*answers)
        self.environment = environment(**({"clock": self.clock, "metrics": self.metrics, "spawn": self.spawned} | lent))
        (plugin,) = set_up(text, "cache", self.environment)
        assert isinstance(plugin, Cache)
        self.cache = plugin
        self.chain: Handler = chain([plugin], self.upstream)

    async def ask(self, query: Query) -> Response:
        """Ask, and return the answer without what says how it may be given again."""
        response = await self.chain(query)
        return response if response.repeat is None else response.repeatable(None)

    @property
    def asked(self) -> int:
        """How many questions came to the upstream."""
        return len(self.upstream.asked)

    async def after(self, seconds: float, query: Query = QUERY) -> Response:
        """Ask when some more time has passed."""
        self.clock.now += seconds
        return await self.ask(query)

    async def settle(self) -> None:
        """Let what was spawned come to its end."""
        own = asyncio.current_task()
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not own), return_exceptions=True)

    def metric(self, name: str, **labels: str) -> float:
        families = text_string_to_metric_families(self.metrics.expose())
        samples = [sample for family in families for sample in family.samples if sample.name == f"coredns_cache_{name}"]
        (value,) = [each.value for each in samples if labels.items() <= each.labels.items()]
        return value


# --- what is given again ---------------------------------------------------------------------------------------------


def ask_again(server: Server, responder: Responder, times: int) -> list[list[int]]:
    """Ask the same question so many times in one batch, and return the TTLs of each answer."""
    message = octets.query(octets.question("web.example.org"))
    responder.begin()
    answers = [
        responder.recall(message) or responder.respond(message, lambda: ("192.0.2.7", 4242)) for _ in range(times)
    ]
    responder.end(times)
    read = [dns.message.from_wire(answer) for answer in answers if isinstance(answer, bytes)]
    return [[rrset.ttl for rrset in each.answer] for each in read]


@pytest.mark.parametrize("lasts", [(1,), (1, 2, 3)])
async def test_what_is_given_again_counts_down_and_is_counted(lasts: tuple[int, ...]) -> None:
    server = Server("cache", positive(300, *lasts))
    handler = chain(set_up("loadbalance", "loadbalance", server.environment), server.chain)
    responder = make_responder([Route(ROOT, handler, recursive=True)], LISTENER, clock=server.clock)
    for seconds, left in ((0.0, 300), (0.5, 300), (0.6, 299), (100.0, 199), (198.7, 1)):
        server.clock.now += seconds
        assert ask_again(server, responder, 4) == [[left]] * 4
    assert server.asked == 1
    await responder.settle()
    assert (
        server.metric("requests_total"),
        server.metric("hits_total", type="success"),
        server.metric("misses_total"),
    ) == (20, 19, 1)
    server.clock.now += 0.3
    assert ask_again(server, responder, 1) == [[300]]
    assert server.asked == 2


async def test_what_is_given_again_makes_a_name_popular() -> None:
    server = Server("cache {\nprefetch 10 1m 10%\n}", positive(100))
    responder = make_responder([Route(ROOT, server.chain, recursive=True)], LISTENER, clock=server.clock)
    ask_again(server, responder, 12)
    server.clock.now += 89
    ask_again(server, responder, 1)
    await server.settle()
    assert server.asked == 1
    server.clock.now += 0.5
    ask_again(server, responder, 11)
    server.clock.now += 1
    assert ask_again(server, responder, 1) == [[10]]
    await server.settle()
    assert server.asked == 2


# --- answers ---------------------------------------------------------------------------------------------------------


async def test_an_answer_is_kept_and_counts_down() -> None:
    server = Server("cache", positive(300, 1, 2))
    assert await server.ask(QUERY) == positive(300, 1, 2)
    for seconds, left in ((0.0, 300), (0.9, 300), (0.2, 299), (298.8, 1)):
        response = await server.after(seconds)
        assert response == Response(answer=(addresses(left, 1, 2),), plugin="cache")
        assert response.answer[0].octets == addresses(left, 1, 2).octets
    assert server.asked == 1
    assert ttls(await server.after(0.2)) == [300]
    assert server.asked == 2


async def test_each_record_keeps_its_own_ttl() -> None:
    alias = RRset(ALIAS, Rtype.CNAME, 100, [NAME])
    extra = addresses(5000, 9, owner=from_text("ns.example.org."))
    server = Server("cache", Response(answer=(alias, addresses(50)), additional=(extra,)))
    query = QUERY.replace(name=ALIAS)
    assert ttls(await server.ask(query)) == [100, 50, 3600]
    assert ttls(await server.after(49, query)) == [51, 1, 3551]
    assert server.asked == 1
    await server.after(1, query)
    assert server.asked == 2


@pytest.mark.parametrize(
    ("text", "ttl", "kept"),
    [
        ("cache", 86_400, 3600),
        ("cache 30", 86_400, 30),
        ("cache 30", 20, 20),
        ("cache {\nsuccess 5000 60\n}", 300, 60),
        ("cache 30 {\nsuccess 5000\n}", 300, 30),
        ("cache {\nsuccess 5000 60 10\n}", 2, 10),
        ("cache {\nsuccess 5000 60 10\n}", 0, 10),
        ("cache {\nsuccess 1 60\n}", 300, 60),
    ],
)
async def test_a_ttl_has_bounds(text: str, ttl: int, kept: int) -> None:
    server = Server(text, positive(ttl))
    assert ttls(await server.ask(QUERY)) == [kept]
    assert ttls(await server.after(kept - 1)) == [1]
    await server.after(1)
    assert server.asked == 2


async def test_a_ttl_of_0_is_not_kept() -> None:
    server = Server("cache", positive(0))
    for _ in range(2):
        assert await server.ask(QUERY) == positive(0)
    assert server.asked == 2


async def test_keepttl_keeps_ttls_but_no_longer() -> None:
    server = Server("cache {\nkeepttl\n}", positive(300))
    for seconds in (0, 100, 199):
        assert ttls(await server.after(seconds)) == [300]
    assert server.asked == 1
    await server.after(2)
    assert server.asked == 2


@pytest.mark.parametrize("change", [{"rtype": 28}, {"do": True}, {"cd": True}, {"name": ALIAS}])
async def test_another_question_has_another_answer(change: dict[str, Any]) -> None:
    server = Server("cache", positive(300), positive(300, 2))
    await server.ask(QUERY)
    await server.ask(QUERY.replace(**change))
    assert server.asked == 2
    assert (await server.ask(QUERY)).answer == (addresses(300),)


async def test_who_asks_makes_no_other_question() -> None:
    server = Server("cache", positive(300))
    await server.ask(QUERY)
    await server.ask(QUERY.replace(id=5, client=("10.0.0.5", 5), edns=True, payload=1232, ad=True, rd=False))
    assert server.asked == 1


async def test_ad_is_kept_and_aa_is_not() -> None:
    server = Server("cache", positive(300).replace(ad=True, aa=True))
    for _ in range(2):
        response = await server.ask(QUERY)
        assert (response.ad, response.aa) == (True, False)


# --- denials ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rcode", [Rcode.NXDOMAIN, Rcode.NOERROR])
@pytest.mark.parametrize(
    ("text", "ttl", "minimum", "kept"),
    [
        ("cache", 300, 60, 60),
        ("cache", 60, 300, 60),
        ("cache", 86_400, 86_400, 1800),
        ("cache 30", 300, 300, 30),
        ("cache {\ndenial 5000 20\n}", 300, 300, 20),
        ("cache {\ndenial 5000 20 5\n}", 300, 0, 5),
    ],
)
async def test_a_denial_is_kept_as_long_as_its_soa_allows(
    text: str, ttl: int, minimum: int, kept: int, rcode: int
) -> None:
    server = Server(text, denial(ttl, minimum, rcode))
    assert ttls(await server.ask(QUERY)) == [kept]
    response = await server.after(kept - 1)
    assert (response.rcode, ttls(response), server.asked) == (rcode, [1], 1)
    await server.after(1)
    assert server.asked == 2


async def test_the_ttl_of_an_soa_that_was_asked_for_is_its_own() -> None:
    record = denial(300, 60).authority
    server = Server("cache", Response(answer=record))
    await server.ask(QUERY.replace(rtype=Rtype.SOA))
    assert ttls(await server.ask(QUERY.replace(rtype=Rtype.SOA))) == [300]


@pytest.mark.parametrize(
    "response",
    [
        Response(Rcode.NXDOMAIN),
        Response(),
        denial(300, 0),
        Response(authority=(RRset(from_text("example.org."), Rtype.NS, 300, [NAME]),)),
        Response(answer=(RRset(NAME, Rtype.CNAME, 300, [ALIAS]),)),
        Response(Rcode.NXDOMAIN, answer=(addresses(300),)),
        Response(Rcode.REFUSED),
        Response(Rcode.FORMERR),
        Response(Rcode.YXDOMAIN, authority=denial(300, 300).authority),
    ],
)
async def test_what_nobody_may_keep_is_not_kept(response: Response) -> None:
    server = Server("cache", response)
    for _ in range(2):
        assert await server.ask(QUERY) is response
    assert server.asked == 2


async def test_a_chain_to_a_name_that_does_not_exist_is_a_denial() -> None:
    alias = RRset(NAME, Rtype.CNAME, 40, [ALIAS])
    server = Server("cache", denial(300, 60).replace(answer=(alias,)))
    await server.ask(QUERY)
    response = await server.after(39)
    assert (response.rcode, ttls(response), server.asked) == (Rcode.NXDOMAIN, [1, 21], 1)
    assert server.metric("hits_total", type="denial") == 1


async def test_a_cname_that_was_asked_for_is_an_answer() -> None:
    server = Server("cache", Response(answer=(RRset(NAME, Rtype.CNAME, 300, [ALIAS]),)))
    for _ in range(2):
        await server.ask(QUERY.replace(rtype=Rtype.CNAME))
    assert server.asked == 1


async def test_the_last_answer_counts() -> None:
    server = Server("cache", positive(300), denial(300, 300), positive(300, 2))
    await server.ask(QUERY)
    server.cache.keep(QUERY, denial(300, 300))
    assert (await server.ask(QUERY)).rcode == Rcode.NXDOMAIN
    server.cache.keep(QUERY, positive(300, 2))
    assert (await server.ask(QUERY)).answer == (addresses(300, 2),)
    assert server.asked == 1


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.NOTIMP])
@pytest.mark.parametrize(("text", "seconds"), [("cache", 5.0), ("cache {\nservfail 1m\n}", 60.0)])
async def test_a_failure_is_kept_for_a_while_without_its_error(text: str, seconds: float, rcode: int) -> None:
    failure = failing(rcode)
    server = Server(text, failure)
    assert await server.ask(QUERY) is failure
    expected = Response(rcode, ede=ExtendedError(Ede.CACHED_ERROR), plugin="cache")
    assert await server.after(seconds - 0.1) == expected
    assert server.asked == 1
    assert await server.after(0.2) is failure
    assert server.asked == 2


async def test_a_failure_need_not_be_kept() -> None:
    server = Server("cache {\nservfail 0s\n}", failing())
    await server.ask(QUERY)
    await server.ask(QUERY)
    assert server.asked == 2


@pytest.mark.parametrize("code", [Ede.OTHER, Ede.NOT_READY])
async def test_a_trouble_of_our_own_is_not_kept(code: int) -> None:
    server = Server("cache", failing(code=code))
    await server.ask(QUERY)
    await server.ask(QUERY)
    assert server.asked == 2


async def test_a_failure_takes_no_answer_s_place() -> None:
    server = Server("cache", positive(300))
    await server.ask(QUERY)
    server.cache.keep(QUERY, failing())
    assert (await server.ask(QUERY)).rcode == Rcode.NOERROR


async def test_an_answer_takes_a_failure_s_place() -> None:
    server = Server("cache", failing())
    await server.ask(QUERY)
    server.cache.keep(QUERY, positive(300))
    assert (await server.ask(QUERY)).answer == (addresses(300),)
    assert server.asked == 1


async def test_an_error_that_is_raised_keeps_nothing() -> None:
    server = Server("cache", UpstreamError("10.0.0.9:53", "no answer"), positive(300))
    with pytest.raises(UpstreamError):
        await server.ask(QUERY)
    assert (await server.ask(QUERY)).rcode == Rcode.NOERROR


# --- zones -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "asked"),
    [
        ("cache 30 example.org", "web.example.org.", 1),
        ("cache example.net EXAMPLE.org.", "web.example.org.", 1),
        ("cache 30 example.org", "web.example.com.", 2),
        ("cache 30 10.0.0.0/24", "1.0.0.10.in-addr.arpa.", 1),
        ("cache {\ndisable success\n}", "web.example.org.", 2),
        ("cache {\ndisable denial\n}", "web.example.org.", 1),
        ("cache {\ndisable success example.org\n}", "web.example.org.", 2),
        ("cache {\ndisable success cluster.local\ndisable success example.org\n}", "web.example.org.", 2),
        ("cache {\ndisable success cluster.local\ndisable denial cluster.local\n}", "web.example.org.", 1),
    ],
)
async def test_only_names_that_are_meant_are_kept(text: str, name: str, asked: int) -> None:
    server = Server(text, positive(300))
    for _ in range(2):
        assert ttls(await server.ask(QUERY.replace(name=from_text(name))))[0] in (30, 300)
    assert server.asked == asked


async def test_denials_are_disabled_apart() -> None:
    server = Server("cache {\ndisable denial example.org\n}", denial(300, 300))
    await server.ask(QUERY)
    await server.ask(QUERY)
    assert server.asked == 2


async def test_a_late_answer_outside_of_the_zones_is_not_kept() -> None:
    server = Server("cache example.com", positive(300))
    server.cache.keep(QUERY, positive(300))
    await server.ask(QUERY)
    assert server.asked == 1


async def test_a_late_answer_is_kept() -> None:
    server = Server("cache", failing())
    server.cache.keep(QUERY, positive(300))
    assert (await server.after(10)).answer == (addresses(290),)
    assert server.asked == 0


# --- prefetch --------------------------------------------------------------------------------------------------------


async def test_what_is_asked_often_is_fetched_before_it_expires() -> None:
    server = Server("cache {\nprefetch 3 1m 10%\n}", positive(100, 1), positive(100, 2))
    for seconds in (0, 60, 15, 14):
        await server.after(seconds)
    assert server.asked == 1
    assert ttls(await server.after(1)) == [10]
    await server.settle()
    assert server.asked == 2
    assert await server.after(0) == Response(answer=(addresses(100, 2),), plugin="cache")
    assert server.metric("prefetch_total") == 1


async def test_what_stays_popular_is_fetched_again_and_again() -> None:
    server = Server("cache {\nprefetch 5 1m 20%\n}", positive(10))
    for _ in range(60):
        await server.after(1)
        await server.settle()
    assert server.metric("misses_total") == 1
    assert server.asked == 8


@pytest.mark.parametrize(
    ("option", "seconds"),
    [("prefetch 3", (10, 10, 70)), ("prefetch 3 10s", (10, 10, 70)), ("prefetch 0", (1, 1, 95)), ("", (1, 1, 95))],
)
async def test_what_is_asked_seldom_is_not(option: str, seconds: tuple[int, ...]) -> None:
    server = Server(f"cache {{\n{option}\n}}", positive(100))
    for each in (0, *seconds):
        await server.after(each)
    await server.settle()
    assert server.asked == 1


async def test_one_fetch_at_a_time_is_under_way() -> None:
    release = asyncio.Event()

    async def slow(query: Query) -> Response:
        asked.append(query)
        if len(asked) > 1:
            await release.wait()
        return positive(100)

    asked: list[Query] = []
    server = Server("cache {\nprefetch 1\n}", positive(100))
    ask = chain([server.cache], slow)
    await ask(QUERY)
    server.clock.now += 95
    for _ in range(10):
        await ask(QUERY)
        await asyncio.sleep(0)
    assert len(asked) == 2
    release.set()
    await server.settle()
    assert ttls(await ask(QUERY)) == [100]


async def test_a_prefetch_that_fails_is_not_repeated_at_once() -> None:
    server = Server("cache {\nprefetch 1 1m 50%\n}", positive(100), failing())
    await server.ask(QUERY)
    for seconds, asked in ((60, 2), (1, 2), (RECHECK, 3)):
        assert (await server.after(seconds)).rcode == Rcode.NOERROR
        await server.settle()
        assert server.asked == asked


async def test_a_prefetch_that_raises_is_logged_and_leaves_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    server = Server("cache {\nprefetch 1\n}", positive(100), ZeroDivisionError("bug"))
    await server.ask(QUERY)
    await server.after(95)
    await server.settle()
    assert (await server.after(1)).answer == (addresses(4),)
    assert "ZeroDivisionError" in caplog.text


# --- stale answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["serve_stale", "serve_stale 1h", "serve_stale 1h immediate"])
async def test_what_has_expired_is_told_at_once_and_fetched(text: str) -> None:
    server = Server(f"cache {{\n{text}\n}}", positive(100), positive(200, 2))
    await server.ask(QUERY)
    stale = await server.after(100)
    assert stale == Response(answer=(addresses(30),), ede=ExtendedError(Ede.STALE_ANSWER), plugin="cache")
    await server.settle()
    assert await server.after(0) == Response(answer=(addresses(200, 2),), plugin="cache")
    assert server.metric("served_stale_total") == 1
    assert server.metric("hits_total", type="success") == 2


async def test_a_stale_denial_says_so() -> None:
    server = Server("cache {\nserve_stale\n}", denial(60, 60), failing())
    await server.ask(QUERY)
    response = await server.after(100)
    assert (response.rcode, ttls(response)) == (Rcode.NXDOMAIN, [30])
    assert response.ede == ExtendedError(Ede.STALE_NXDOMAIN)


async def test_stale_answers_have_an_end() -> None:
    server = Server("cache {\nserve_stale 10m\n}", positive(100), failing())
    await server.ask(QUERY)
    assert (await server.after(699)).rcode == Rcode.NOERROR
    await server.settle()
    assert (await server.after(1)).rcode == Rcode.SERVFAIL


async def test_a_fetch_that_failed_is_repeated_after_a_while() -> None:
    server = Server("cache {\nserve_stale\n}", positive(100), failing())
    await server.ask(QUERY)
    for seconds, asked in ((100, 2), (1, 2), (RECHECK - 2, 2), (1, 3)):
        assert ttls(await server.after(seconds)) == [30]
        await server.settle()
        assert server.asked == asked


async def test_verify_asks_first() -> None:
    server = Server("cache {\nserve_stale 1h verify\n}", positive(100), positive(200, 2))
    await server.ask(QUERY)
    assert await server.after(100) == positive(200, 2)
    assert server.metric("served_stale_total") == 0


@pytest.mark.parametrize("answer", [failing(), Response(Rcode.REFUSED), ZeroDivisionError("bug")])
async def test_verify_tells_what_is_stale_where_nothing_better_comes(answer: Response | Exception) -> None:
    server = Server("cache {\nserve_stale 1h verify\n}", positive(100), answer)
    await server.ask(QUERY)
    for _ in range(3):
        assert await server.after(100 if server.asked == 1 else 1) == Response(
            answer=(addresses(30),), ede=ExtendedError(Ede.STALE_ANSWER), plugin="cache"
        )
    assert server.asked == 2


async def test_verify_waits_no_longer_than_its_timeout() -> None:
    release = asyncio.Event()

    async def slow(query: Query) -> Response:
        asked.append(query)
        if len(asked) > 1:
            await release.wait()
        return positive(100, len(asked))

    asked: list[Query] = []
    server = Server("cache {\nserve_stale 1h verify 10ms\n}", positive(100))
    ask = chain([server.cache], slow)
    await ask(QUERY)
    server.clock.now += 100
    responses = await asyncio.gather(*(ask(QUERY) for _ in range(5)))
    assert [ttls(response) for response in responses] == [[30]] * 5
    assert len(asked) == 2
    release.set()
    await server.settle()
    assert (await ask(QUERY)).answer == (addresses(100, 2),)


async def test_a_denial_takes_a_stale_answer_s_place() -> None:
    server = Server("cache {\nserve_stale\n}", positive(100), denial(300, 300))
    await server.ask(QUERY)
    await server.after(100)
    await server.settle()
    assert (await server.ask(QUERY)).rcode == Rcode.NXDOMAIN


async def test_a_failure_is_not_told_when_stale() -> None:
    server = Server("cache {\nserve_stale\n}", failing(), positive(100))
    await server.ask(QUERY)
    assert await server.after(5) == positive(100)


# --- bounds ----------------------------------------------------------------------------------------------------------


def junk(number: int) -> Query:
    return QUERY.replace(name=from_text(f"{number}.junk.example."))


def fill(server: Server, count: int, make: Callable[[Name], Response] = lambda _: positive(3000)) -> None:
    for number in range(count):
        query = junk(number)
        server.cache.keep(query, make(query.name))


async def has(server: Server, query: Query) -> bool:
    """Tell whether the answer to a query is there; it is from now on."""
    before = server.asked
    await server.ask(query)
    return server.asked == before


async def test_what_is_new_gives_way_in_the_order_in_which_it_came() -> None:
    server = Server("cache {\nsuccess 1024\n}", positive(3000))
    fill(server, 1026)
    assert server.metric("evictions_total", type="success") == 2
    assert [await has(server, junk(number)) for number in (2, 1025, 1)] == [True, True, False]


async def test_what_is_asked_again_gives_way_in_the_order_in_which_it_was() -> None:
    server = Server("cache {\nsuccess 1024\n}", positive(3000))
    fill(server, 1024)
    for number in (*range(1024), 0):
        assert await has(server, junk(number))
    server.cache.keep(QUERY, positive(3000))
    assert [await has(server, junk(number)) for number in (0, 1)] == [True, False]


async def test_an_answer_that_takes_the_place_of_another_takes_its_room() -> None:
    server = Server("cache {\nsuccess 1024\n}", positive(3000))
    for _ in range(3000):
        server.cache.keep(QUERY, positive(3000))
    fill(server, 1023)
    assert server.metric("entries", type="success") == 1024
    assert server.metric("evictions_total", type="success") == 0
    assert await has(server, QUERY)


async def test_an_answer_that_takes_the_place_of_one_that_is_asked_again_stays_like_it() -> None:
    server = Server("cache {\nsuccess 1024\n}", positive(3000))
    server.cache.keep(QUERY, positive(3000))
    assert await has(server, QUERY)
    server.cache.keep(QUERY, positive(3000, 2))
    fill(server, 5000)
    assert await has(server, QUERY)
    assert (await server.ask(QUERY)).answer == (addresses(3000, 2),)


async def test_a_denial_takes_the_place_of_an_answer_that_is_asked_again() -> None:
    server = Server("cache", positive(3000))
    server.cache.keep(QUERY, positive(3000))
    assert await has(server, QUERY)
    server.cache.keep(QUERY, denial(3000, 3000))
    assert [server.metric("entries", type=each) for each in ("success", "denial")] == [0, 1]


async def test_what_an_answer_has_beside_its_records_is_for_who_asked_first() -> None:
    extras = {"aa": True, "error": UpstreamError("10.0.0.9:53", "odd"), "repeat": Repeat(Lease())}
    why = ExtendedError(Ede.OTHER, "why not")
    server = Server("cache", positive(300).replace(ad=True, ede=why, **extras))
    assert await server.cache.handle(QUERY, server.upstream) == positive(300).replace(ad=True, ede=why)
    assert await server.ask(QUERY) == positive(300).replace(ad=True, plugin="cache")


async def test_random_names_flush_no_name_that_is_asked_again() -> None:
    server = Server("cache {\nsuccess 2000\n}", positive(3000))
    hot = [QUERY.replace(name=from_text(f"hot{number}.example.org.")) for number in range(1000)]
    for _ in range(2):
        for query in hot:
            await server.ask(query)
    fill(server, 10_000, lambda name: Response(answer=(addresses(3000, owner=name),)))
    server.upstream.asked.clear()
    for query in hot:
        await server.ask(query)
    assert server.asked == 0
    assert server.metric("entries", type="success") == 2000
    assert server.metric("evictions_total", type="success") == 9000


async def test_what_was_hot_once_gives_way_to_what_is() -> None:
    server = Server("cache {\nsuccess 1024\n}", positive(3000))
    for number in range(5000):
        for _ in range(2):
            await server.ask(QUERY.replace(name=from_text(f"{number}.example.org.")))
    assert server.metric("entries", type="success") <= 1024
    server.upstream.asked.clear()
    await server.ask(QUERY.replace(name=from_text("4999.example.org.")))
    assert server.asked == 0


@pytest.mark.parametrize(("records", "count"), [(1, 3000), (100, 1000), (3000, 50)])
async def test_memory_is_bounded_whatever_is_kept(records: int, count: int) -> None:
    server = Server("cache {\nsuccess 1024\n}", positive(3000))
    datas = [number.to_bytes(4) for number in range(records)]
    await server.ask(QUERY)
    tracemalloc.start()
    fill(
        server,
        count,
        lambda name: Response(answer=(RRset(name, 1, 300, [bytes(bytearray(data)) for data in datas]),)),
    )
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 1024 * 2048


async def test_one_answer_that_is_larger_than_all_the_room_is_not_kept() -> None:
    server = Server("cache {\nsuccess 1024\n}", positive(300, *range(1, 250)))
    await server.ask(QUERY)
    await server.ask(QUERY)
    assert server.asked == 1
    server.cache.keep(QUERY, Response(answer=(RRset(NAME, 1, 300, [n.to_bytes(4) for n in range(6000)]),)))
    await server.ask(QUERY)
    assert server.asked == 2


# --- reload, metrics, syntax -----------------------------------------------------------------------------------------


async def test_what_is_kept_outlives_a_reload() -> None:
    kept, clock = Kept(), Clock()
    before = Server("cache 30", positive(300), keep=kept, clock=clock)
    await before.ask(QUERY)
    after = Server("cache 30 {\nprefetch 5\nserve_stale\nkeepttl\n}", failing(), keep=kept, clock=clock)
    assert ttls(await after.ask(QUERY)) == [30]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("cache {\ndisable success example.org\n}", positive(300)),
        ("cache {\ndisable denial example.org\n}", denial(300, 300)),
        ("cache {\nservfail 0\n}", failing()),
        ("cache 60", positive(300)),
        ("cache {\ndenial 9984 60\n}", denial(300, 300)),
    ],
)
async def test_what_is_kept_on_other_terms_ends_with_a_reload(text: str, answer: Response) -> None:
    kept, clock = Kept(), Clock()
    await Server("cache", answer, keep=kept, clock=clock).ask(QUERY)
    after = Server(text, answer, keep=kept, clock=clock)
    await after.ask(QUERY)
    assert after.asked == 1


@pytest.mark.parametrize(
    ("text", "place"), [("cache example.org", ()), ("cache {\nsuccess 5000\n}", ()), ("cache", ("other",))]
)
async def test_what_another_cache_keeps_is_its_own(text: str, place: tuple[str, ...]) -> None:
    kept = Kept()
    await Server("cache", positive(300), keep=kept).ask(QUERY)
    other = Server(text, positive(300), keep=kept, place=lambda: place)
    await other.ask(QUERY)
    assert other.asked == 1


async def test_everything_is_counted_as_coredns_counts_it() -> None:
    server = Server("cache", positive(300), denial(300, 300), zones=(from_text("example.org."), ROOT))
    for _ in range(2):
        await server.ask(QUERY)
        await server.ask(QUERY.replace(name=ALIAS))
    await server.ask(QUERY)
    place = 'server="dns://:53"'
    zones = 'view="",zones="example.org.,."'
    assert [line for line in server.metrics.expose().splitlines() if not line.startswith("#")] == [
        f"coredns_cache_drops_total{{{place},{zones}}} 0",
        f'coredns_cache_entries{{{place},type="denial",{zones}}} 1',
        f'coredns_cache_entries{{{place},type="success",{zones}}} 1',
        f'coredns_cache_evictions_total{{{place},type="denial",{zones}}} 0',
        f'coredns_cache_evictions_total{{{place},type="success",{zones}}} 0',
        f'coredns_cache_hits_total{{{place},type="denial",{zones}}} 1',
        f'coredns_cache_hits_total{{{place},type="success",{zones}}} 2',
        f"coredns_cache_misses_total{{{place},{zones}}} 2",
        f"coredns_cache_prefetch_total{{{place},{zones}}} 0",
        f"coredns_cache_requests_total{{{place},{zones}}} 5",
        f"coredns_cache_served_stale_total{{{place},{zones}}} 0",
    ]


async def test_the_zones_written_are_the_label() -> None:
    server = Server("cache 30 Example.org example.net", positive(300))
    await server.ask(QUERY)
    assert server.metric("requests_total", zones="example.org.,example.net.") == 1


@pytest.mark.parametrize("words", ["10s", "1m30s example.org", "abc", "other.test", "10.0.0.0/8"])
def test_what_is_taken_for_a_zone_but_hardly_meant_as_one_is_a_warning(
    words: str, caplog: pytest.LogCaptureFixture
) -> None:
    Server(f"cache {words}", zones=(from_text("example.org."), from_text("cluster.local.")))
    reason = "is read as a zone, and only names in it are kept; a TTL is a plain number of seconds"
    assert caplog.messages == [f"Corefile:2: cache: '{words.partition(' ')[0]}' {reason}"]


def test_a_duration_is_a_slip_at_the_root_too(caplog: pytest.LogCaptureFixture) -> None:
    Server("cache 10s")
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("words", ["", "30", "30 other.test", "example.org", "web.EXAMPLE.org", "org", ".", "+30"])
def test_what_may_be_meant_as_a_zone_is_no_warning(words: str, caplog: pytest.LogCaptureFixture) -> None:
    Server(f"cache {words}", zones=(from_text("example.org."),))
    Server("cache abc")
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cache\ncache", "3: cache: found again"),
        ("cache 0", "2: cache: found '0', expected a number from 1 to"),
        ("cache -5", "2: cache: found '-5', expected a number from 1 to"),
        ("cache 30 a..b", "2: cache: found 'a..b', expected a zone"),
        ("cache {\nsucces 5\n}", "3: unknown option 'succes', did you mean 'success'?"),
        ("cache {\nsuccess\n}", "3: success: found no arguments, expected CAPACITY [TTL [MINTTL]]"),
        ("cache {\nsuccess 1 2 3 4\n}", "3: success: found '1 2 3 4', expected CAPACITY [TTL [MINTTL]]"),
        ("cache {\nsuccess many\n}", "3: success: found 'many', expected a number"),
        ("cache {\ndenial 5000 0\n}", "3: denial: found '0', expected a number from 1 to"),
        ("cache {\ndenial 5000 60 61\n}", "3: denial: found '61', expected a number from 0 to 60"),
        ("cache {\nprefetch\n}", "3: prefetch: found no arguments, expected AMOUNT [DURATION [PERCENTAGE%]]"),
        ("cache {\nprefetch 1 60\n}", "3: prefetch: found '60', expected a duration"),
        ("cache {\nprefetch 1 1m 9%\n}", "3: prefetch: found '9%', expected a percentage from 10% to 90%"),
        ("cache {\nprefetch 1 1m 91%\n}", "3: prefetch: found '91%', expected a percentage from 10% to 90%"),
        ("cache {\nprefetch 1 1m 10\n}", "3: prefetch: found '10', expected a percentage from 10% to 90%"),
        ("cache {\nserve_stale 1h later\n}", "3: serve_stale: found 'later', expected 'immediate' or 'verify'"),
        ("cache {\nserve_stale 1h immediate 5s\n}", "expected [DURATION [immediate|verify [TIMEOUT]]]"),
        ("cache {\nserve_stale 1\n}", "3: serve_stale: found '1', expected a duration"),
        ("cache {\nservfail 6m\n}", "3: servfail: found '6m', expected a duration of at most 300s"),
        ("cache {\nservfail\n}", "3: servfail: found no arguments, expected DURATION"),
        ("cache {\ndisable\n}", "3: disable: found no arguments, expected success|denial [ZONES...]"),
        ("cache {\ndisable all\n}", "3: disable: found 'all', expected 'success' or 'denial'"),
        ("cache {\nkeepttl 5\n}", "3: keepttl: found '5', expected nothing"),
    ],
)
def test_what_cannot_be_meant_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Server(text, positive(300))
    assert reason in str(caught.value)
