"""A whole server before an upstream that misbehaves: what clients get, over UDP and TCP.

Source: the rules E23, F2 to F14, P5, P6 and P10 of the forwarder, RFC 2308, 5452, 5625, 6840, 8914 and 9520.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.fake_upstream import FORGERIES, GOOD, FakeUpstream, fake_upstream
from tests.serving import PATIENCE, Serving, serving
from tests.spec.table import TRANSPORTS, cases

FORWARDER = """
. {{
    forward . 127.0.0.1:{upstream}
    cache 30
}}
"""


@asynccontextmanager
async def forwarder(fake: FakeUpstream | None = None) -> AsyncIterator[tuple[Serving, FakeUpstream]]:
    """Forward everything to *fake*."""
    async with fake_upstream(fake) as upstream, serving(FORWARDER.format(upstream=upstream.port)) as server:
        yield server, upstream


def shown(response: dns.message.Message) -> tuple[str, list[str]]:
    """Return an answer's response code and data."""
    data = [rdata.to_text() for rrset in response.answer for rdata in rrset]
    return dns.rcode.to_text(response.rcode()), data


def errors(response: dns.message.Message) -> list[int]:
    """Return the codes of an answer's extended errors."""
    return [int(option.code) for option in response.options if isinstance(option, dns.edns.EDEOption)]


@TRANSPORTS
@cases(
    "label",
    [
        ("nothing", "www"),
        ("the first lost", "lost-1"),
        ("the first two lost", "lost-2"),
        *((f"P5 forged {kind}", f"forged-{kind}") for kind in (*FORGERIES, "flood")),
        ("F7 truncated", "truncated"),
        ("F7 truncated with a part of the data", "truncated-partial"),
        ("twice", "twice"),
        ("P10 records of others", "foreign"),
    ],
)
async def test_the_true_answer_comes_and_nothing_else(label: str, transport: str) -> None:
    async with forwarder() as (server, _):
        response = await server.ask(f"{label}.example", tcp=transport == "tcp")
        assert shown(response) == ("NOERROR", [GOOD])
        assert (response.authority, response.additional) == ([], [])
        assert response.flags & (dns.flags.AA | dns.flags.RA) == dns.flags.RA


@TRANSPORTS
@cases(
    "label expected codes",
    [
        ("F10 SERVFAIL", "rcode-SERVFAIL", "SERVFAIL", [22]),
        ("F10 REFUSED", "rcode-REFUSED", "REFUSED", [22]),
        ("F10 NOTIMP", "rcode-NOTIMP", "NOTIMP", [22]),
        ("F10 FORMERR", "rcode-FORMERR", "FORMERR", [22]),
        ("F2 NXDOMAIN without SOA", "negative-NXDOMAIN", "NXDOMAIN", []),
        ("F2 NODATA without SOA", "negative-NOERROR", "NOERROR", []),
        ("F7 truncated, then closed", "truncated-closed", "SERVFAIL", [23]),
        ("F7 truncated again", "truncated-again", "SERVFAIL", [22]),
        ("F7 truncated, then silent", "truncated-hang", "SERVFAIL", [22]),
        ("F13 fewer records than it says", "lying", "SERVFAIL", [22]),
        ("F13 junk behind it", "junk", "SERVFAIL", [22]),
        ("F14 a CNAME to itself", "circle", "SERVFAIL", [22]),
        ("no answer", "blackhole", "SERVFAIL", [22]),
    ],
)
async def test_where_there_is_no_answer_the_client_learns_why(
    label: str, expected: str, codes: list[int], transport: str
) -> None:
    async with forwarder() as (server, _):
        response = await server.ask(f"{label}.example", tcp=transport == "tcp")
        assert (shown(response), errors(response)) == ((expected, []), codes)


async def test_a_closed_port_is_a_network_error() -> None:
    async with fake_upstream() as closed:
        port = closed.port
    async with serving(FORWARDER.format(upstream=port)) as server:
        response = await server.ask("www.example")
        assert (shown(response), errors(response)) == (("SERVFAIL", []), [23])


async def test_f4_a_failure_is_kept_and_asked_for_once() -> None:
    async with forwarder() as (server, upstream):
        for codes in ([22], [13]):
            response = await server.ask("rcode-SERVFAIL.example")
            assert (shown(response)[0], errors(response)) == ("SERVFAIL", codes)
        assert len(upstream.seen) == 1


async def test_p6_equal_questions_of_many_clients_are_one_to_the_upstream() -> None:
    async with forwarder(FakeUpstream(delay=0.04)) as (server, upstream):
        responses = await asyncio.gather(*(server.ask("www.example") for _ in range(100)))
        assert {tuple(shown(response)[1]) for response in responses} == {(GOOD,)}
        assert len({(seen.port, seen.message.id) for seen in upstream.seen}) == 1


async def test_a_late_answer_takes_the_failure_s_place_in_the_cache() -> None:
    async with forwarder() as (server, upstream):
        assert shown(await server.ask("slow-2000.example"))[0] == "SERVFAIL"
        sent = len(upstream.seen)
        async with asyncio.timeout(PATIENCE):
            while shown(await server.ask("slow-2000.example")) != ("NOERROR", [GOOD]):  # noqa: ASYNC110 - as a client
                await asyncio.sleep(0.02)
        assert len(upstream.seen) == sent


@cases(
    "label ttls",
    [
        ("F3 a TTL of 0 is not kept", "ttl-0", [0, 0]),
        ("F3 a TTL of over 31 bits is 0", "ttl-4294967295", [0, 0]),
        ("F3 a TTL has a bound", "ttl-100000", [30, 30]),
        ("F2 a denial without SOA is not kept", "negative-NXDOMAIN", []),
    ],
)
async def test_what_the_cache_keeps(label: str, ttls: list[int]) -> None:
    async with forwarder() as (server, upstream):
        responses = [await server.ask(f"{label}.example") for _ in range(2)]
        assert [rrset.ttl for response in responses for rrset in response.answer] == ttls
        assert len({seen.message.id for seen in upstream.seen}) == (1 if ttls == [30, 30] else 2)


async def test_f11_what_is_too_large_for_the_client_is_truncated() -> None:
    async with forwarder() as (server, _):
        small = await server.ask("big-99.example")
        assert small.flags & dns.flags.TC
        assert len(small.to_wire()) <= 1232
        whole = await server.ask("big-99.example", tcp=True)
        assert (whole.flags & dns.flags.TC, len(shown(whole)[1])) == (0, 99)


@cases("flags do expected", [("neither", 0, False, 0), ("AD", dns.flags.AD, False, 1), ("DO", 0, True, 1)])
async def test_f12_ad_is_for_those_who_ask_for_it(flags: int, do: bool, expected: int) -> None:  # noqa: FBT001 - a row
    async with forwarder() as (server, _):
        query = dns.message.make_query("validated.example", "A", want_dnssec=do, payload=1232)
        query.flags |= flags
        for _ in range(2):
            response = await server.send(query)
            assert bool(response.flags & dns.flags.AD) == bool(expected)


@pytest.mark.parametrize("payload", [512, 1232, 4096])
async def test_e23_a_client_s_options_go_no_further(payload: int) -> None:
    async with forwarder() as (server, upstream):
        options = [dns.edns.ECSOption("192.0.2.0", 24), dns.edns.GenericOption(dns.edns.OptionType.COOKIE, bytes(8))]
        query = dns.message.make_query("www.example", "A", payload=payload, options=options)
        assert shown(await server.send(query)) == ("NOERROR", [GOOD])
        assert (upstream.seen[0].message.payload, upstream.seen[0].message.options) == (1232, ())
