"""EDNS: versions, flags, sizes, options.

The ids are those of the rules: E1 to E23, without those of options that svcdns does not speak, which it ignores.
Source: RFC 6891, RFC 3225, RFC 5001, RFC 7828, RFC 7830, RFC 7871, RFC 7873, RFC 8914, RFC 9715.
"""

import pytest

from svcdns.dns.message import Ede, ExtendedError, Query, Rcode, Response
from tests import octets
from tests.frontend import frontend
from tests.octets import AA, DO, QR, RD, bare, opt, option, query, question, record
from tests.spec.sample import HANDLERS
from tests.spec.table import TRANSPORTS, cases

WEB = question("web.default.svc.cluster.local")
FORMERR = bare(Rcode.FORMERR, RD)
OURS = opt()
OURS_DO = opt(flags=DO)
ROOTLESS = octets.name("x")
NSID, CLIENT_SUBNET, EXPIRE, COOKIE, KEEPALIVE, PADDING, EDE = 3, 8, 9, 10, 11, 12, 15

REFUSED = [
    ("E7 two OPT records", query(WEB, opt(), opt())),
    ("E7 two OPT records, one of another version", query(WEB, opt(), opt(version=1))),
    ("E7 two OPT records and TSIG", query(WEB, opt(), opt(), octets.tsig())),
    ("E8 an owner that is not the root", query(WEB, opt(owner=ROOTLESS))),
    ("E8 an owner that points to the question", query(WEB, opt(owner=b"\xc0\x0c"))),
    ("E9 an OPT record as an answer", query(WEB, opt(), answers=1, additionals=0)),
    ("E9 an OPT record as authority", query(WEB, opt(), authorities=1, additionals=0)),
    ("E9 an OPT record as an IXFR's authority", query(question("x", 251), opt(), authorities=1, additionals=0)),
    ("E10 RDLEN one beyond the message", query(WEB, opt(length=1))),
    ("E10 RDLEN 65535", query(WEB, opt(length=65535))),
    ("E10 an OPT record cut in its type", query(WEB, opt()[:2])),
    *((f"E10 an OPT record of {length} octets", query(WEB, opt()[:length])) for length in range(3, 11)),
    ("E10 an option beyond RDLEN", query(WEB, opt(option(NSID, b"", length=1)))),
    ("E10 an option of 65535 octets", query(WEB, opt(option(NSID, b"abcd", length=65535)))),
    ("E10 an option beyond RDLEN, but not beyond the message", query(WEB, opt(option(NSID, b"", length=4)) + b"abcd")),
    ("E10 one stray octet", query(WEB, opt(b"\x00"))),
    ("E10 two stray octets", query(WEB, opt(b"\x00\x03"))),
    ("E10 three stray octets", query(WEB, opt(b"\x00\x03\x00"))),
    ("E10 a stray octet behind an option", query(WEB, opt(option(NSID) + b"\x00"))),
    ("E10 1000 options", query(WEB, opt(option(NSID) * 1000))),
]

ANSWERED = [
    ("E1 version 0", opt(), OURS),
    ("E4 an unknown option", opt(option(100)), OURS),
    ("E4 an unknown option with data", opt(option(65001, b"abcd")), OURS),
    ("E4 an option twice", opt(option(100) * 2), OURS),
    ("E4 an EDE option", opt(option(EDE, b"\x00\x00")), OURS),
    *((f"E5 flag {1 << bit:#06x}", opt(flags=1 << bit), OURS) for bit in range(15)),
    ("E5 all flags but DO", opt(flags=0x7FFF), OURS),
    ("E5 all flags", opt(flags=0xFFFF), OURS_DO),
    ("E5 an extended rcode", opt(rcode=255), OURS),
    ("E6 DO", opt(flags=DO), OURS_DO),
    ("E12 size 0", opt(payload=0), OURS),
    ("E12 size 100", opt(payload=100), OURS),
    ("E13 size 4096", opt(payload=4096), OURS),
    ("E13 size 65535", opt(payload=65535), OURS),
    ("E14 NSID", opt(option(NSID)), OURS),
    ("E15 a cookie", opt(option(COOKIE, bytes(8))), OURS),
    *(
        (f"E16 a cookie of {length} octets", opt(option(COOKIE, bytes(length))), OURS)
        for length in (0, 1, 7, 9, 15, 16, 40, 41)
    ),
    ("E17 a server cookie", opt(option(COOKIE, bytes(24))), OURS),
    ("E20 padding", opt(option(PADDING, bytes(100))), OURS),
    ("E20 padding with data", opt(option(PADDING, b"x" * 100)), OURS),
    ("E21 a client subnet", opt(option(CLIENT_SUBNET, b"\x00\x01\x18\x00\x0a\x00\x00")), OURS),
    ("E21 no client subnet", opt(option(CLIENT_SUBNET, bytes(4))), OURS),
    ("E21 a client subnet of no family", opt(option(CLIENT_SUBNET, b"\x00\x63\x18\x00\x0a\x00\x00")), OURS),
    ("E21 a client subnet too long", opt(option(CLIENT_SUBNET, b"\x00\x01\xff\x00" + bytes(40))), OURS),
    ("E21 an empty client subnet", opt(option(CLIENT_SUBNET)), OURS),
    ("E14 EXPIRE", opt(option(EXPIRE)), OURS),
]

OTHER_VERSIONS = [
    *((f"E2 version {version}", opt(version=version), OURS) for version in range(1, 256)),
    ("E2 version 1 of another form", opt(b"\x00", version=1), OURS),
    ("E3 version 1 and NSID", opt(option(NSID), version=1), OURS),
    ("E3 version 1 and an unknown option", opt(option(100), version=1), OURS),
    ("E3 version 1 and a cookie", opt(option(COOKIE, bytes(8)), version=1), OURS),
    ("E3 version 1 and a client subnet", opt(option(CLIENT_SUBNET, bytes(4)), version=1), OURS),
    ("E3 version 1 and keepalive", opt(option(KEEPALIVE), version=1), OURS),
    ("E5 version 1 and an unknown flag", opt(flags=0x40, version=1), OURS),
    ("E6 version 1 and DO", opt(flags=DO, version=1), OURS_DO),
    ("E12 version 1 and size 0", opt(payload=0, version=1), OURS),
]


@TRANSPORTS
@cases("message", REFUSED)
async def test_an_opt_record_that_is_none_is_a_format_error(message: bytes, transport: str) -> None:
    async with frontend(HANDLERS) as server:
        assert await server.ask(message, transport) == FORMERR


@TRANSPORTS
@cases("asked answered", ANSWERED)
async def test_what_is_not_known_is_ignored_and_never_echoed(asked: bytes, answered: bytes, transport: str) -> None:
    async with frontend(HANDLERS) as server:
        plain = await server.ask(query(WEB), transport)
        answer = await server.ask(query(WEB, asked), transport)
        assert plain is not None
        assert octets.read_header(plain).additionals == 0
        assert answer == plain[:11] + b"\x01" + plain[12:] + answered


@TRANSPORTS
@cases("asked answered", OTHER_VERSIONS)
async def test_another_version_is_told_ours_and_no_records(asked: bytes, answered: bytes, transport: str) -> None:
    async with frontend(HANDLERS) as server:
        badvers = answered[:5] + b"\x01" + answered[6:]  # the upper eight bits of 16
        assert await server.ask(query(WEB, asked), transport) == query(WEB, badvers, flags=QR | RD)


@TRANSPORTS
@cases(
    "body rcode flags",
    [
        ("E1 NODATA", question("svc.cluster.local"), Rcode.NOERROR, AA),
        ("E1 NXDOMAIN", question("x.cluster.local"), Rcode.NXDOMAIN, AA),
        ("E1 REFUSED", question("x.cluster.local", 252), Rcode.REFUSED, 0),
    ],
)
async def test_every_answer_but_a_bare_header_has_an_opt_record_exactly_if_one_was_sent(
    body: bytes, rcode: Rcode, flags: int, transport: str
) -> None:
    async with frontend(HANDLERS) as server:
        for extra, additionals in (((), 0), ((opt(),), 1), ((opt(flags=DO),), 1)):
            answer = await server.ask(query(body, *extra), transport)
            assert answer is not None
            header = octets.read_header(answer)
            assert (header.flags, header.additionals) == (QR | RD | flags | rcode, additionals)
            assert answer.endswith(b"".join(extra))


async def test_e18_keepalive_is_never_sent_over_udp() -> None:
    async with frontend(HANDLERS) as server:
        answer = await server.ask(query(WEB, opt(option(KEEPALIVE))))
        assert answer is not None
        assert answer.endswith(OURS)


@cases(
    "options",
    [
        ("E11 E19 C13 keepalive, empty and last", option(KEEPALIVE)),
        ("E19 keepalive behind others", option(COOKIE, bytes(8)) + option(KEEPALIVE)),
        ("E19 keepalive before others", option(KEEPALIVE) + option(NSID)),
        ("E19 keepalive with a value of the client's", option(KEEPALIVE, b"\x00\x01")),
    ],
)
async def test_keepalive_over_tcp_is_answered_with_how_long_a_client_may_idle(options: bytes) -> None:
    async with frontend(HANDLERS) as server:
        answer = await server.ask(query(WEB, opt(options)), "tcp")
        assert answer is not None
        assert answer.endswith(opt(option(KEEPALIVE, b"\x00\x64")))


@TRANSPORTS
@pytest.mark.parametrize("code", list(Ede))
async def test_e22_an_extended_error_is_told_to_who_speaks_edns(code: Ede, transport: str) -> None:
    async def fail(query: Query) -> Response:
        return Response(Rcode.SERVFAIL, ede=ExtendedError(code, "why"))

    async with frontend(fail) as server:
        assert await server.ask(query(WEB), transport) == query(WEB, flags=QR | RD | Rcode.SERVFAIL)
        told = opt(option(EDE, code.to_bytes(2) + b"why"))
        assert await server.ask(query(WEB, opt()), transport) == query(WEB, told, flags=QR | RD | Rcode.SERVFAIL)


async def test_e23_a_handler_sees_no_option_and_cannot_send_one_back() -> None:
    seen: list[Query] = []

    async def look(query: Query) -> Response:
        seen.append(query)
        return Response()

    async with frontend(look) as server:
        await server.ask(query(WEB, opt(option(CLIENT_SUBNET, bytes(4)), payload=4000, flags=DO)))
        assert (seen[0].edns, seen[0].do, seen[0].payload) == (True, True, 4000)


SIZES = [*range(1, 40), *range(400, 600, 3), *range(420, 470), *range(1100, 1260), 1400, 1500, 4000, 60000]


@pytest.mark.parametrize(
    ("payload", "room"),
    [
        (None, 512),
        (0, 512),
        (511, 512),
        (512, 512),
        (513, 513),
        (1000, 1000),
        (1231, 1231),
        (1232, 1232),
        (4096, 1232),
        (65535, 1232),
    ],
)
async def test_a11_e13_udp_answers_are_exact_to_the_octet_at_every_size(payload: int | None, room: int) -> None:
    async with frontend(HANDLERS) as server:
        extra = () if payload is None else (opt(payload=payload),)
        for size in SIZES:
            body = question(f"{size}.size.cluster.local", 65280)
            whole = 12 + len(body) + 12 + size + (0 if payload is None else 11)
            answer = await server.ask(query(body, *extra))
            assert answer is not None
            header = octets.read_header(answer)
            assert len(answer) == (whole if whole <= room else whole - size - 12)
            assert (header.answers, bool(header.flags & octets.TC)) == ((1, False) if whole <= room else (0, True))
            assert payload is None or answer.endswith(OURS)


async def test_a_record_of_data_in_the_additional_section_is_no_opt_record() -> None:
    async with frontend(HANDLERS) as server:
        assert await server.ask(query(WEB, record(b"\x00", 65280, b"abc"))) == FORMERR
