"""Types and classes that are special, unknown, or not served.

The ids are those of the rules: T1 to T10 and T19. Source: RFC 1995, RFC 3597, RFC 4035 section 3.1.4.1, RFC 5936,
RFC 6895, RFC 8482, RFC 8906, RFC 8945, RFC 9460.
"""

import pytest

from svcdns.dns.message import Rcode
from svcdns.dns.name import from_text
from tests import octets
from tests.frontend import frontend
from tests.octets import AA, QR, RD, bare, opt, query, question, record
from tests.spec.sample import HANDLERS, absent, authority
from tests.spec.table import TRANSPORTS, cases

FORMERR = bare(Rcode.FORMERR, RD)
NODATA = (AA | Rcode.NOERROR, 0, 1)
REFUSED = (Rcode.REFUSED, 0, 0)
APEX, SVC, WEB, NOTHING = "cluster.local", "svc.cluster.local", "web.default.svc.cluster.local", "x.cluster.local"
SOA_RECORD = record(b"\xc0\x0c", 6, b"\x00\x00" + bytes(20))

ANSWERED = [
    *((f"T1 type {rtype}", question(WEB, rtype), NODATA) for rtype in (0, 54, 666, 1000, 32769, 65280, 65535)),
    *((f"T1 type {rtype} at the apex", question(APEX, rtype), NODATA) for rtype in (0, 666, 65535)),
    ("T1 an unknown type at nothing", question(NOTHING, 666), (AA | Rcode.NXDOMAIN, 0, 1)),
    ("T2 ANY at the apex: one RRset, the smallest", question(APEX, 255), (AA, 1, 0)),
    ("T2 ANY at a service", question(WEB, 255), (AA, 1, 0)),
    ("T2 ANY at an empty non-terminal", question(SVC, 255), NODATA),
    ("T2 ANY at nothing", question(NOTHING, 255), (AA | Rcode.NXDOMAIN, 0, 1)),
    ("T2 ANY at a CNAME", question("alias.default.svc.cluster.local", 255), (AA, 1, 0)),
    ("T3 T4 AXFR", question(APEX, 252), REFUSED),
    ("T3 T4 IXFR", question(APEX, 251), REFUSED),
    ("T3 T4 AXFR of a name that is no apex", question(WEB, 252), REFUSED),
    ("T3 T4 AXFR of nobody's zone", question("example.com", 252), REFUSED),
    ("T5 MAILA", question(WEB, 254), NODATA),
    ("T5 MAILB", question(WEB, 253), NODATA),
    ("T5 RRSIG", question(WEB, 46), NODATA),
    ("T5 NXNAME", question(WEB, 128), NODATA),
    ("T6 DS at the apex", question(APEX, 43), NODATA),
    ("T6 DS at a service", question(WEB, 43), NODATA),
    ("T6 DS at nothing", question(NOTHING, 43), (AA | Rcode.NXDOMAIN, 0, 1)),
    ("T7 SVCB", question(WEB, 64), NODATA),
    ("T7 HTTPS", question(WEB, 65), NODATA),
    ("T8 version.bind", question("version.bind", 16, 3), REFUSED),
    ("T8 id.server", question("id.server", 16, 3), REFUSED),
    *(
        (f"T{10 if rclass == 255 else 9} class {rclass}", question(WEB, 1, rclass), REFUSED)
        for rclass in (0, 2, 3, 4, 254, 255, 65280, 65535)
    ),
    ("T19 a search path's double", question("a.com.default.svc.cluster.local"), (AA | Rcode.NXDOMAIN, 0, 1)),
]


@TRANSPORTS
@cases("body expected", ANSWERED)
async def test_each_type_and_class_is_answered(body: bytes, expected: tuple[int, int, int], transport: str) -> None:
    async with frontend(HANDLERS) as server:
        for extra in ((), (opt(),)):
            answer = await server.ask(query(body, *extra), transport)
            assert answer is not None
            flags, answers, authorities = expected
            header = octets.read_header(answer)
            assert header == (octets.ID, QR | RD | flags, 1, answers, authorities, len(extra))
            assert answer[12 : 12 + len(body)] == body


@TRANSPORTS
@pytest.mark.parametrize("rtype", [41, 249, 250])
async def test_t5_a_type_that_is_no_data_is_a_format_error(rtype: int, transport: str) -> None:
    async with frontend(HANDLERS) as server:
        for name in (APEX, WEB, "example.com", "."):
            assert await server.ask(query(question(name, rtype)), transport) == FORMERR


@TRANSPORTS
async def test_t4_an_ixfr_with_its_soa_is_refused_like_any_transfer(transport: str) -> None:
    async with frontend(HANDLERS) as server:
        body = question(APEX, 251)
        for soa in (SOA_RECORD, octets.name(APEX) + SOA_RECORD[2:], b"\x07cluster\xc0\x14" + SOA_RECORD[2:]):
            answer = await server.ask(query(body, soa, authorities=1, additionals=0), transport)
            assert answer == query(body, flags=QR | RD | Rcode.REFUSED)


async def test_t6_a_ds_record_of_an_apex_belongs_to_the_zone_above_if_it_is_served_here() -> None:
    async with frontend({from_text("local"): absent, from_text(APEX): authority}) as server:
        flags = {
            name: octets.read_header(await server.ask(query(question(name, 43))) or b"").flags
            for name in (APEX, SVC, WEB)
        }
        assert flags == {APEX: QR | RD | Rcode.NXDOMAIN, SVC: QR | RD | AA, WEB: QR | RD | AA}


async def test_t6_but_never_to_the_root_which_forwards() -> None:
    async with frontend({from_text("."): absent, from_text(APEX): authority}) as server:
        answer = await server.ask(query(question(APEX, 43)))
        assert answer is not None
        assert octets.read_header(answer).flags == QR | RD | AA


async def test_t19_a_name_without_a_dot_goes_where_all_others_go() -> None:
    async with frontend({from_text("."): absent, from_text(APEX): authority}) as server:
        answer = await server.ask(query(question("db")))
        assert answer is not None
        assert octets.read_header(answer).flags == QR | RD | Rcode.NXDOMAIN
