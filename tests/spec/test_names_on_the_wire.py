"""Names: pointers, labels, lengths, letter case, any octet at all.

The ids are those of the rules: N1 and N3 to N11. Source: RFC 1035 sections 2.3.4, 3.1 and 4.1.4, RFC 2181 section 11,
RFC 2782, RFC 3597, RFC 4343, RFC 6891 section 5, RFC 9267.
"""

import pytest

from svcdns.dns.message import Rcode
from svcdns.dns.name import ROOT
from tests import octets
from tests.frontend import frontend
from tests.octets import AA, QR, RD, bare, opt, query, question
from tests.spec.sample import APEX, HANDLERS, absent, authority, upstream
from tests.spec.table import TRANSPORTS, cases

FORMERR = bare(Rcode.FORMERR, RD)
TAIL = b"\x00\x01\x00\x01"
A63 = b"\x3f" + b"a" * 63
LONGEST = A63 * 3 + b"\x3d" + b"a" * 61 + b"\x00"
assert len(LONGEST) == 255

WRONG = [
    ("N1 a pointer to itself", b"\xc0\x0c"),
    ("N1 a pointer forward", b"\xc0\x20"),
    ("N1 a pointer to its second octet", b"\xc0\x0d"),
    ("N1 a pointer into the header", b"\xc0\x00"),
    ("N1 a pointer to the counts", b"\xc0\x04"),
    ("N1 a pointer far beyond", b"\xff\xff"),
    ("N1 a label, then a pointer to it", b"\x03web\xc0\x0c"),
    ("N1 a label, then a pointer to itself", b"\x03web\xc0\x10"),
    ("N1 labels, then a pointer to the second", b"\x03web\x03com\xc0\x10"),
    ("N1 two pointers at each other", b"\xc0\x0e\xc0\x0c"),
    ("N1 a pointer cut in two", b"\xc0"),
    ("N3 label type 0x40", b"\x40" + b"a" * 64 + b"\x00"),
    ("N3 label type 0x41, the bit string", b"\x41\x08\xff\x00"),
    ("N3 label type 0x80", b"\x80" + b"a" * 128 + b"\x00"),
    ("N3 label type 0xbf", b"\xbf" + b"a" * 191 + b"\x00"),
    ("N3 label type 0x40 behind a label", b"\x03web\x40" + b"a" * 64 + b"\x00"),
    ("N4 256 octets", A63 * 3 + b"\x3e" + b"a" * 62 + b"\x00"),
    ("N4 257 octets", A63 * 4 + b"\x00"),
    ("N4 128 labels of one octet", b"\x01a" * 128 + b"\x00"),
    ("N4 2000 labels of one octet", b"\x01a" * 2000 + b"\x00"),
    ("N4 16 labels of 15 octets and one of 14", (b"\x0f" + b"A" * 15) * 15 + b"\x0e" + b"A" * 14 + b"\x00"),
]

RUN_OUT = [
    ("N5 nothing", b""),
    ("N5 a length alone", b"\x03"),
    ("N5 a label cut short", b"\x03we"),
    ("N5 a label without a root", b"\x03web"),
    ("N5 63 octets of 62", b"\x3f" + b"a" * 62),
    ("N5 labels of zeros that run out", b"\x01\x00" * 100),
]


@TRANSPORTS
@cases("name", WRONG)
async def test_a_name_that_is_none_is_a_format_error(name: bytes, transport: str) -> None:
    async with frontend(HANDLERS) as server:
        assert await server.ask(query(name + TAIL), transport) == FORMERR
        assert await server.ask(query(name + TAIL, opt()), transport) == FORMERR


@TRANSPORTS
@cases("name", RUN_OUT)
async def test_a_name_without_an_end_is_a_format_error(name: bytes, transport: str) -> None:
    async with frontend(HANDLERS) as server:
        assert await server.ask(query(name), transport) == FORMERR


@TRANSPORTS
@cases(
    "name",
    [
        ("N4 255 octets", LONGEST),
        ("N4 127 labels", b"\x01a" * 127 + b"\x00"),
        ("N11 the root", b"\x00"),
        ("N6 a dot in a label", b"\x03a.b\x03com\x00"),
        ("N6 a label like a name", b"\x07\x03com\x00ab\x00"),
        ("N8 letters of both cases", b"\x0bWwW.ExAmPlE\x03CoM\x00"),
    ],
)
async def test_any_other_name_is_asked_on_and_kept_octet_for_octet(name: bytes, transport: str) -> None:
    async with frontend(upstream, recursive=True) as server:
        answer = await server.ask(query(name + TAIL), transport)
        assert answer is not None
        assert octets.read_header(answer).answers == 1
        assert answer[12 : 12 + len(name) + 4] == name + TAIL
        assert answer[12 + len(name) + 4 :][:2] == b"\xc0\x0c"  # N9: the owner has the question's letter case


@pytest.mark.parametrize("octet", range(256))
async def test_n6_any_octet_may_stand_in_a_label(octet: int) -> None:
    name = b"\x03a" + bytes((octet,)) + b"b\x07cluster\x05local\x00"
    async with frontend({APEX: authority, ROOT: absent}) as server:
        answer = await server.ask(query(name + TAIL))
        assert answer is not None
        header = octets.read_header(answer)
        assert (header.flags, header.authorities) == (QR | AA | RD | Rcode.NXDOMAIN, 1)
        assert answer[12 : 12 + len(name) + 4] == name + TAIL


@cases(
    "name answers",
    [
        ("N7 lower case", b"\x03web\x07default\x03svc\x07cluster\x05local\x00", 2),
        ("N7 upper case", b"\x03WEB\x07DEFAULT\x03SVC\x07CLUSTER\x05LOCAL\x00", 2),
        ("N7 mixed case", b"\x03wEb\x07dEfAuLt\x03SvC\x07cLuStEr\x05lOcAl\x00", 2),
        ("N7 the upper half itself", b"\x01\xe4\x07default\x03svc\x07cluster\x05local\x00", 1),
        ("N7 the upper half is not folded", b"\x01\xc4\x07default\x03svc\x07cluster\x05local\x00", 0),
    ],
)
async def test_letters_are_compared_without_case_and_nothing_else_is(name: bytes, answers: int) -> None:
    async with frontend(HANDLERS) as server:
        answer = await server.ask(query(name + TAIL))
        assert answer is not None
        assert octets.read_header(answer).answers == answers
        assert answer[12 : 12 + len(name)] == name


@cases(
    "message",
    [
        ("N8 NXDOMAIN", query(question("X.Cluster.LOCAL"))),
        ("N8 NODATA", query(question("Svc.Cluster.LOCAL"))),
        ("N8 REFUSED", query(question("WWW.Example.COM"))),
        ("N8 another class", query(question("Web.Cluster.LOCAL", 1, 3))),
        ("N8 BADVERS", query(question("Web.Cluster.LOCAL"), opt(version=1))),
        ("N8 NOTAUTH", query(question("Web.Cluster.LOCAL"), octets.tsig())),
        ("N8 TC", query(question("MANY.default.svc.Cluster.LOCAL"))),
    ],
)
async def test_the_question_is_echoed_bit_for_bit_in_errors_too(message: bytes) -> None:
    async with frontend(HANDLERS) as server:
        answer = await server.ask(message)
        assert answer is not None
        size = message.index(b"\x00", 12) + 5
        assert answer[12:size] == message[12:size]


async def test_n10_the_target_of_an_srv_record_is_not_compressed() -> None:
    async with frontend(HANDLERS) as server:
        answer = await server.ask(query(question("_http._tcp.web.default.svc.cluster.local", 33)))
        assert answer is not None
        assert octets.read_header(answer).additionals == 3
        target = octets.name("web.default.svc.cluster.local")
        place = answer.index(target, 30)
        assert answer[place + len(target) : place + len(target) + 2] == (0xC000 | place).to_bytes(2)


async def test_n11_the_root_is_refused_where_nobody_forwards() -> None:
    async with frontend(HANDLERS) as server:
        answer = await server.ask(query(b"\x00" + TAIL))
        assert answer == query(b"\x00" + TAIL, flags=QR | RD | Rcode.REFUSED)
