"""Header, opcode and counts: what is answered, with what, and what meets silence.

The ids are those of the rules: H1 to H21. Source: RFC 1035 section 4.1.1, RFC 1996, RFC 2136, RFC 6895, RFC 8906
section 7, RFC 9619.
"""

import pytest

from svcdns.dns.message import Rcode
from tests import octets
from tests.frontend import frontend, read_all
from tests.octets import AA, AD, CD, QR, RA, RD, TC, Z, bare, opt, option, query, question, record, tsig
from tests.spec.sample import APEX, HANDLERS, authority, upstream
from tests.spec.table import TRANSPORTS, cases

WEB = question("web.default.svc.cluster.local")
ALL_FLAGS = AA | TC | RD | RA | Z | AD | CD | 0xF
FORMERR = bare(Rcode.FORMERR, RD)
A_RECORD = record(b"\x00", 1, bytes(4))
SOA_RECORD = record(b"\xc0\x0c", 6, b"\x00\x00" + bytes(20))

SILENCE = [
    *((f"H1 {length} octets", query(WEB)[:length]) for length in range(12)),
    ("H3 a response", query(WEB, flags=QR)),
    ("H3 a response that is a header", query(b"", flags=QR, questions=0)),
    ("H3 a response of another opcode", query(WEB, flags=QR | 5 << 11)),
    ("H3 a response with an error", query(WEB, flags=QR | RD | RA | Rcode.REFUSED)),
    ("H4 our own FORMERR", FORMERR),
    ("H4 our own NOTIMP", bare(Rcode.NOTIMP, 4 << 11)),
]

EXACT = [
    *(
        (f"{'H6' if code == 4 else 'H7' if code == 5 else 'H5'} opcode {code}, {what}", message, bare(4, code << 11))
        for code in range(1, 16)
        for what, message in [
            ("header", query(b"", flags=code << 11, questions=0)),
            ("question", query(WEB, flags=code << 11 | RD)),
            ("all flags", query(WEB, opt(), flags=code << 11 | ALL_FLAGS)),
            ("wrong counts", query(b"", flags=code << 11, questions=65535, answers=65535, additionals=65535)),
        ]
    ),
    ("H8 no question", query(b"", questions=0), FORMERR),
    ("H8 no question, RD clear", query(b"", questions=0, flags=0), bare(1)),
    ("H8 a question, not counted", query(WEB, questions=0), FORMERR),
    ("H8 no question, an answer", query(A_RECORD, questions=0, answers=1), FORMERR),
    ("H9 no question, a cookie", query(b"", opt(option(10, bytes(8))), questions=0), FORMERR),
    ("H9 no question, an OPT record", query(b"", opt(), questions=0), FORMERR),
    ("H10 two questions", query(WEB + question("x"), questions=2), FORMERR),
    ("H10 the same question twice", query(WEB + WEB, questions=2), FORMERR),
    ("H10 two types", query(WEB + question("web.default.svc.cluster.local", 28), questions=2), FORMERR),
    ("H10 two classes", query(WEB + question("web.default.svc.cluster.local", 1, 2), questions=2), FORMERR),
    ("H10 two questions, one there", query(WEB, questions=2), FORMERR),
    ("H10 65535 questions", query(WEB * 100, questions=65535), FORMERR),
    ("H10 256 questions, an OPT record", query(WEB, opt(), questions=256), FORMERR),
    *((f"H11 a question of {length} octets", query(WEB[:length]), FORMERR) for length in range(len(WEB))),
    ("H12 an answer", query(WEB, A_RECORD, answers=1, additionals=0), FORMERR),
    ("H12 an answer, not there", query(WEB, answers=1), FORMERR),
    ("H12 65535 answers", query(WEB, answers=65535), FORMERR),
    ("H12 an authority record", query(WEB, A_RECORD, authorities=1, additionals=0), FORMERR),
    ("H12 an authority record, not there", query(WEB, authorities=1), FORMERR),
    (
        "H12 an authority record of an AXFR",
        query(question("x", 252), SOA_RECORD, authorities=1, additionals=0),
        FORMERR,
    ),
    ("H12 two of an IXFR", query(question("x", 251), SOA_RECORD * 2, authorities=2, additionals=0), FORMERR),
    ("H12 one of an IXFR, not there", query(question("x", 251), authorities=1), FORMERR),
    ("H12 one of an IXFR, no SOA", query(question("x", 251), A_RECORD, authorities=1, additionals=0), FORMERR),
    ("H12 one of an IXFR, cut", query(question("x", 251), SOA_RECORD[:-1], authorities=1, additionals=0), FORMERR),
    ("H13 an additional record, not there", query(WEB, additionals=1), FORMERR),
    ("H13 an OPT record and one that is not there", query(WEB, opt(), additionals=2), FORMERR),
    ("H13 65535 additional records", query(WEB, opt(), additionals=65535), FORMERR),
    ("H13 a record without its data", query(WEB, A_RECORD[:-4]), FORMERR),
    ("H13 a record without its length", query(WEB, A_RECORD[:9]), FORMERR),
    ("H14 an address", query(WEB, A_RECORD), FORMERR),
    ("H14 an OPT record and an address", query(WEB, opt(), A_RECORD), FORMERR),
    ("H14 an address and an OPT record", query(WEB, A_RECORD, opt()), FORMERR),
    ("H14 an OPT record, an address and a TSIG record", query(WEB, opt(), A_RECORD, tsig()), FORMERR),
    ("H14 TSIG before OPT", query(WEB, tsig(), opt()), FORMERR),
    ("H14 two TSIG records", query(WEB, tsig(), tsig()), FORMERR),
    ("H14 TSIG of class IN", query(WEB, tsig(rclass=1)), FORMERR),
    ("H14 SIG(0)", query(WEB, record(b"\x00", 24, bytes(30), 255)), FORMERR),
    ("H14 a key of another class", query(WEB, record(b"\x00", 25, b"\x00\x00\x00\xf8\x00", 2)), FORMERR),
]

# What is ignored: the answer is the same as without it.
IGNORED = [
    ("H15 octets behind the message", query(WEB) + b"\x00", RD),
    ("H15 a message behind the message", query(WEB) + query(WEB), RD),
    ("H15 octets behind the OPT record", query(WEB, opt()) + bytes(300), RD),
    ("H15 an OPT record, not counted", query(WEB, opt(), additionals=0), RD),
    ("H16 TC", query(WEB, flags=TC), 0),
    ("H17 AA", query(WEB, flags=AA), 0),
    ("H17 RA", query(WEB, flags=RA), 0),
    ("H17 AD", query(WEB, flags=AD), 0),
    ("H17 Z", query(WEB, flags=Z), 0),
    ("H17 an rcode", query(WEB, flags=0xF), 0),
    ("H17 all of them", query(WEB, flags=ALL_FLAGS & ~(RD | CD)), 0),
    ("H18 RD", query(WEB, flags=RD), RD),
    ("H19 CD", query(WEB, flags=CD), CD),
    ("H18 H19 RD and CD", query(WEB, flags=ALL_FLAGS), RD | CD),
]


@TRANSPORTS
@cases("message", SILENCE)
async def test_silence_meets_what_must_not_be_answered(message: bytes, transport: str) -> None:
    async with frontend(HANDLERS) as server:
        assert await server.ask(message, transport) is None
        assert server.counters.silent.value == 1


@cases("message", [*SILENCE, ("H2 an empty message", b"")])
async def test_the_server_closes_a_connection_that_brings_what_must_not_be_answered(message: bytes) -> None:
    async with frontend(HANDLERS) as server:
        reader, writer = await server.connect()
        good = query(WEB)
        writer.write(b"".join(len(each).to_bytes(2) + each for each in (good, message, good)))
        assert len(await read_all(reader)) == 1


@TRANSPORTS
@cases("message answer", EXACT)
async def test_what_is_no_query_gets_a_header(message: bytes, answer: bytes, transport: str) -> None:
    async with frontend(HANDLERS) as server:
        assert await server.ask(message, transport) == answer


@TRANSPORTS
@cases("message flags", IGNORED)
async def test_what_is_ignored_changes_nothing(message: bytes, flags: int, transport: str) -> None:
    async with frontend(HANDLERS) as server:
        plain = await server.ask(query(WEB, *([opt()] if message[11] else []), flags=flags), transport)
        answer = await server.ask(message, transport)
        assert plain is not None
        assert answer == plain
        header = octets.read_header(plain)
        assert (header.flags, header.answers) == (QR | AA | flags, 2)


@TRANSPORTS
async def test_octets_behind_a_message_are_counted(transport: str) -> None:
    async with frontend(HANDLERS) as server:
        await server.ask(query(WEB) + b"\x00", transport)
        await server.ask(query(WEB), transport)
        assert server.counters.trailing.value == 1


@TRANSPORTS
@pytest.mark.parametrize("ident", [0, 1, 0x8000, 65534 - 1, 65535])
@cases(
    "body flags questions",
    [
        ("H21 an answer", WEB, 0, 1),
        ("H21 FORMERR", WEB, 0, 2),
        ("H21 NOTIMP", WEB, 0x7800, 1),
        ("H21 REFUSED", question("x", 1, 3), 0, 1),
    ],
)
async def test_the_id_is_copied(body: bytes, flags: int, questions: int, ident: int, transport: str) -> None:
    async with frontend(HANDLERS) as server:
        answer = await server.ask(query(body, flags=flags, questions=questions, id=ident), transport)
        assert answer is not None
        assert octets.read_header(answer).id == ident


@TRANSPORTS
@pytest.mark.parametrize("recursive", [False, True], ids=["alone", "forwards"])
@cases(
    "message rcode",
    [
        ("H20 data", query(WEB), Rcode.NOERROR),
        ("H20 NODATA", query(question("svc.cluster.local")), Rcode.NOERROR),
        ("H20 NXDOMAIN", query(question("x.cluster.local")), Rcode.NXDOMAIN),
        ("H20 REFUSED", query(question("x.cluster.local", 252)), Rcode.REFUSED),
        ("H20 BADVERS", query(WEB, opt(version=1)), Rcode.NOERROR),
        ("H20 NOTAUTH", query(WEB, tsig()), Rcode.NOTAUTH),
    ],
)
async def test_ra_tells_whether_the_server_block_forwards(
    message: bytes,
    rcode: Rcode,
    recursive: bool,  # noqa: FBT001 - a parameter of the test
    transport: str,
) -> None:
    async with frontend({APEX: authority}, recursive=recursive) as server:
        answer = await server.ask(message, transport)
        assert answer is not None
        header = octets.read_header(answer)
        assert (header.rcode, bool(header.flags & RA)) == (rcode, recursive)


@TRANSPORTS
async def test_a_header_alone_has_no_ra(transport: str) -> None:
    async with frontend(upstream, recursive=True) as server:
        assert await server.ask(query(WEB, questions=2), transport) == FORMERR


@pytest.mark.parametrize("recursive", [False, True], ids=["alone", "forwards"])
async def test_names_of_no_server_block_are_refused_and_counted(recursive: bool) -> None:  # noqa: FBT001 - as above
    async with frontend(HANDLERS, recursive=recursive) as server:
        answer = await server.ask(query(question("www.example.com"), opt()))
        assert answer is not None
        assert octets.read_header(answer).flags == QR | RD | Rcode.REFUSED
        assert b"\x00\x0f\x00\x02\x00\x14" in answer  # extended error 20: not authoritative
        assert [(query.name, response.rcode) for query, response in server.dropped] == [
            (octets.name("www.example.com"), Rcode.REFUSED),
            (octets.name("marker.invalid"), Rcode.REFUSED),
        ]


@pytest.mark.parametrize("length", range(1, 17))
async def test_zero_octets_do_no_harm(length: int) -> None:
    async with frontend(HANDLERS) as server:
        answer = await server.ask(bytes(length))
        assert answer == (bare(Rcode.FORMERR, id=0) if length >= 12 else None)
        assert octets.read_header(await server.ask(query(WEB)) or b"").answers == 2
