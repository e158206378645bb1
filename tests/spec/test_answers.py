"""What an answer contains: authority, SOA, order, truncation.

The ids are those of the rules: A1 to A3, A5, A7 to A13, A16, A18. The others speak of caches, chases and the cluster,
whose tests have them. Source: RFC 1034, RFC 1035, RFC 2181, RFC 2308, RFC 2782, RFC 8020, RFC 9471.
"""

import dns.message
import pytest

from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.name import from_text
from svcdns.dns.records import RRset, Rtype
from tests import octets
from tests.frontend import frontend
from tests.octets import AA, QR, RA, RD, opt, query, question
from tests.spec.sample import HANDLERS, MANY, UNKNOWN_TYPE, upstream
from tests.spec.table import TRANSPORTS, cases

WEB = "web.default.svc.cluster.local"


@TRANSPORTS
@cases(
    "name rtype flags sections",
    [
        ("A1 data", WEB, 1, AA, (2, 0, 0)),
        ("A1 A2 A3 NODATA at the service", WEB, 16, AA, (0, 1, 0)),
        ("A1 A2 NXDOMAIN", "x.default.svc.cluster.local", 1, AA | Rcode.NXDOMAIN, (0, 1, 0)),
        ("A3 svc", "svc.cluster.local", 1, AA, (0, 1, 0)),
        ("A3 a namespace", "default.svc.cluster.local", 1, AA, (0, 1, 0)),
        ("A3 _tcp", "_tcp.web.default.svc.cluster.local", 33, AA, (0, 1, 0)),
        ("A5 below a service", "x.web.default.svc.cluster.local", 1, AA | Rcode.NXDOMAIN, (0, 1, 0)),
        ("A7 a CNAME asked for CNAME", "alias.default.svc.cluster.local", 5, AA, (1, 0, 0)),
        ("A7 a CNAME asked for ANY", "alias.default.svc.cluster.local", 255, AA, (1, 0, 0)),
        ("A13 SRV with addresses", "_http._tcp.web.default.svc.cluster.local", 33, AA, (1, 0, 3)),
        ("A16 a name of nobody here", "www.example.com", 1, Rcode.REFUSED, (0, 0, 0)),
        ("A16 the zone above", "local", 1, Rcode.REFUSED, (0, 0, 0)),
    ],
)
async def test_an_answer_of_our_own(
    name: str, rtype: int, flags: int, sections: tuple[int, int, int], transport: str
) -> None:
    async with frontend(HANDLERS) as server:
        answer = await server.ask(query(question(name, rtype)), transport)
        assert answer is not None
        assert octets.read_header(answer) == (octets.ID, QR | RD | flags, 1, *sections)
        for rrset in dns.message.from_wire(answer).authority:
            assert rrset.to_text().startswith("cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local.")


@TRANSPORTS
async def test_a1_an_answer_of_another_server_is_not_authoritative(transport: str) -> None:
    async with frontend(upstream, recursive=True) as server:
        answer = await server.ask(query(question("www.example.com")), transport)
        assert answer is not None
        assert octets.read_header(answer).flags == QR | RD | RA


async def test_a9_over_udp_as_many_whole_records_as_fit_come_with_tc() -> None:
    async with frontend(HANDLERS) as server:
        for extra, limit in (((), 512), ((opt(payload=700),), 700), ((opt(payload=4096),), 1232)):
            answer = await server.ask(query(question("many.default.svc.cluster.local"), *extra))
            assert answer is not None
            header = octets.read_header(answer)
            assert header.flags & octets.TC
            assert limit - 16 < len(answer) <= limit
            rrset = dns.message.from_wire(answer, ignore_trailing=False).answer[0]
            assert [str(rdata) for rdata in rrset] == [f"0.0.0.{number}" for number in range(header.answers)]


async def test_a12_over_tcp_as_many_as_65535_octets_hold_come_with_tc_and_are_counted() -> None:
    async with frontend(HANDLERS) as server:
        answer = await server.ask(query(question("many.default.svc.cluster.local"), opt()), "tcp")
        assert answer is not None
        assert octets.read_header(answer).flags & octets.TC
        assert 65535 - 16 < len(answer) <= 65535
        assert len(dns.message.from_wire(answer).answer[0]) == octets.read_header(answer).answers > 4000
        assert server.counters.truncated.value == 1


async def test_a12_what_waited_for_another_server_is_cut_and_counted_too() -> None:
    async def slow(query: Query) -> Response:
        await upstream(query)
        return Response(answer=(RRset(MANY, Rtype.A, 5, [number.to_bytes(4) for number in range(5000)]),))

    async with frontend(slow) as server:
        answer = await server.ask(query(question("many.default.svc.cluster.local")), "tcp")
        assert answer is not None
        assert octets.read_header(answer).flags & octets.TC
        assert server.counters.truncated.value == 1


@pytest.mark.parametrize("room", range(0, 120, 3))
async def test_a10_additional_records_go_first_and_without_tc(room: int) -> None:
    size = 512 - 12 - len(question(WEB)) - 12 - room
    more = RRset(from_text("more.example"), Rtype.A, 5, [bytes(4), bytes(3) + b"\x01"])

    async def answer_with_more(query: Query) -> Response:
        return Response(answer=(RRset(query.name, UNKNOWN_TYPE, 5, [bytes(size)]),), additional=(more,))

    async with frontend(answer_with_more) as server:
        answer = await server.ask(query(question(WEB, UNKNOWN_TYPE)))
        assert answer is not None
        header = octets.read_header(answer)
        first, second = len(octets.name("more.example")) + 14, 16
        fitting = 0 if room < first else 1 if room < first + second else 2
        assert (header.flags & octets.TC, header.answers, header.additionals) == (0, 1, fitting)
