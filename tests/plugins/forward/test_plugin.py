"""Which queries are forwarded, where to, and what is never taken from an upstream."""

from typing import Any

import pytest

from svcdns.chain import Handler, Plugin, chain
from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.name import from_text, is_subdomain, to_text
from svcdns.dns.records import RRset, Rtype
from tests.fake_upstream import EVIL, GOOD, FakeUpstream, fake_upstream
from tests.fakes import refuse
from tests.plugins.forward.forwarding import OVER_TCP, addresses, forwarding, to


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("example.org.", True),
        ("www.example.org.", True),
        ("WWW.EXAMPLE.ORG.", True),
        ("internal.example.org.", False),
        ("a.internal.example.org.", False),
        ("example.com.", False),
        ("notexample.org.", False),
        (".", False),
    ],
)
async def test_names_below_from_and_not_below_an_exception_are_forwarded(name: str, *, taken: bool) -> None:
    async with fake_upstream() as fake:
        text = f"forward example.org 127.0.0.1:{fake.port} {{\n except internal.example.org\n}}"
        async with forwarding(text) as forward:
            response = await forward.ask(name)
            assert (response.rcode == Rcode.NOERROR, bool(fake.seen)) == (taken, taken)


async def test_from_itself_is_never_an_exception() -> None:
    async with fake_upstream() as fake:
        text = f"forward example.org 127.0.0.1:{fake.port} {{\n except example.org\n}}"
        async with forwarding(text) as forward:
            assert (await forward.ask("example.org.")).rcode == Rcode.NOERROR
            assert (await forward.ask("www.example.org.")).rcode == Rcode.REFUSED


async def test_a_range_stands_for_its_reverse_zones() -> None:
    async with fake_upstream() as fake, forwarding(f"forward 10.0.0.0/23 127.0.0.1:{fake.port}") as forward:
        for name, rcode in (("1.0.0.10", 0), ("1.1.0.10", 0), ("1.2.0.10", 5)):
            assert (await forward.ask(f"{name}.in-addr.arpa.", Rtype.ANY)).rcode == rcode


async def test_the_first_directive_that_takes_the_name_is_asked() -> None:
    async with fake_upstream() as lab, fake_upstream() as rest:
        text = f"forward lab.example 127.0.0.1:{lab.port}\nforward . 127.0.0.1:{rest.port}"
        async with forwarding(text) as forward:
            await forward.ask("www.lab.example.")
            await forward.ask("www.example.")
            assert [seen.name.lower() for seen in lab.seen] == ["www.lab.example."]
            assert [seen.name.lower() for seen in rest.seen] == ["www.example."]


@pytest.mark.parametrize(
    ("option", "label", "second"),
    [
        ("next NXDOMAIN", "rcode-NXDOMAIN", True),
        ("next SERVFAIL REFUSED", "rcode-REFUSED", True),
        ("next NXDOMAIN", "rcode-NOERROR", False),
        ("next_on_nodata", "rcode-NOERROR", True),
        ("next_on_nodata", "www", False),
        ("next NXDOMAIN", "rcode-SERVFAIL", False),
    ],
)
async def test_the_next_directive_is_asked_after_the_answers_that_say_so(
    option: str, label: str, *, second: bool
) -> None:
    async with fake_upstream() as first, fake_upstream(FakeUpstream(helpful=True)) as other:
        text = f"forward . 127.0.0.1:{first.port} {{\n {option}\n}}\nforward . 127.0.0.1:{other.port}"
        async with forwarding(text) as forward:
            response = await forward.ask(f"{label}.example.")
            assert bool(other.seen) is second
            assert (addresses(response) == [GOOD]) is (second or label == "www")


async def test_without_a_next_directive_the_answer_stands() -> None:
    async with fake_upstream() as fake, forwarding(to(fake, "next NXDOMAIN")) as forward:
        assert (await forward.ask("rcode-NXDOMAIN.example.")).rcode == Rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("option", "transport", "seen"),
    [
        ("", {}, "udp"),
        ("", {"listener": OVER_TCP}, "tcp"),
        ("prefer_udp", {"listener": OVER_TCP}, "udp"),
        ("force_tcp", {}, "tcp"),
        ("force_tcp\nprefer_udp", {"listener": OVER_TCP}, "tcp"),
    ],
)
async def test_the_transport_is_that_of_the_query_unless_an_option_says_otherwise(
    option: str, transport: dict[str, Any], seen: str
) -> None:
    async with fake_upstream() as fake, forwarding(to(fake, option)) as forward:
        assert addresses(await forward.ask("www.example.", **transport)) == [GOOD]
        assert [each.transport for each in fake.seen] == [seen]


@pytest.mark.parametrize("count", [60, 99, 300])
async def test_a_large_answer_comes_whole(count: int) -> None:
    async with fake_upstream() as fake, forwarding(to(fake)) as forward:
        assert len(addresses(await forward.ask(f"big-{count}.example."))) == min(count, 100)


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
async def test_a_negative_answer_without_soa_is_handed_on(rcode: str) -> None:
    async with fake_upstream() as fake, forwarding(to(fake)) as forward:
        response = await forward.ask(f"rcode-{rcode}.example.")
        assert (response.rcode, response.answer, response.authority) == (Rcode[rcode], (), ())


@pytest.mark.parametrize(("sent", "given"), [(0, 0), (60, 60), (2**31, 0), (2**32 - 1, 0)])
async def test_ttls_are_handed_on_but_for_those_that_cannot_be(sent: int, given: int) -> None:
    async with fake_upstream() as fake, forwarding(to(fake)) as forward:
        assert (await forward.ask(f"ttl-{sent}.example.")).answer[0].ttl == given


async def test_records_of_others_never_reach_an_answer() -> None:
    async with fake_upstream() as fake, forwarding(to(fake)) as forward:
        response = await forward.ask("foreign.example.")
        assert addresses(response) == [GOOD]
        assert (len(response.answer), response.authority, response.additional) == (1, (), ())


class Cluster(Plugin):
    """Answers a zone of our own."""

    async def handle(self, query: Query, rest: Handler) -> Response:
        if not is_subdomain(query.name, from_text("cluster.local.")):
            return await rest(query)
        return Response(answer=(RRset(query.name, Rtype.A, 5, [b"\x0a\0\0\1"]),), plugin="kubernetes")


async def test_an_upstream_cannot_speak_for_a_zone_of_ours() -> None:
    async with fake_upstream() as fake, forwarding(to(fake)) as forward:
        handler = chain([Cluster(), forward.plugin], refuse)
        foreign = await handler(Query(from_text("into.example."), Rtype.A))
        assert to_text(foreign.answer[0].owner) == "into.example."
        own = await handler(Query(from_text("web.default.svc.cluster.local."), Rtype.A))
        assert addresses(own) == ["10.0.0.1"]
        assert not fake.named("web")


@pytest.mark.parametrize("name", ["a\\.b.example.", "a\\000b.example.", "\\255\\192.example."])
async def test_odd_octets_in_names_are_forwarded_unchanged(name: str) -> None:
    async with fake_upstream() as fake, forwarding(to(fake)) as forward:
        response = await forward.ask(name)
        assert response.answer[0].owner == from_text(name)
        assert from_text(fake.seen[0].name) == from_text(name)


async def test_the_root_can_be_asked() -> None:
    async with fake_upstream() as fake, forwarding(to(fake)) as forward:
        assert (await forward.ask(".", Rtype.NS)).rcode == Rcode.NOERROR


async def test_evil_is_never_given() -> None:
    async with fake_upstream() as fake, forwarding(to(fake)) as forward:
        for label in ("truncated-partial", "forged-flood", "forged-case", "forged-port"):
            assert EVIL not in addresses(await forward.ask(f"{label}.example."))


async def test_own_names_are_unharmed_by_a_flood_for_a_dead_upstream() -> None:
    async with fake_upstream(FakeUpstream(loss=1.0)) as fake, forwarding(to(fake)) as forward:
        handler = chain([Cluster(), forward.plugin], refuse)
        waiting = [handler(Query(from_text(f"n{number}.example."), Rtype.A)) for number in range(500)]
        for each in waiting:
            each.send(None)
        own = handler(Query(from_text("web.cluster.local."), Rtype.A))
        with pytest.raises(StopIteration) as answered:
            own.send(None)
        assert addresses(answered.value.value) == ["10.0.0.1"]
        for each in waiting:
            each.close()
