"""The EDNS compliance probes of ISC, the probes of RFC 8906 section 8, and packets that broke BIND.

Each probe is sent to a zone of our own and to a server block that forwards, whose answers are not authoritative.
"""

from typing import NamedTuple

import dns.message
import pytest

from svcdns.chain import Handler
from svcdns.dns.message import Rcode
from svcdns.dns.name import ROOT, Name
from tests import octets
from tests.frontend import frontend
from tests.octets import AA, AD, CD, DO, QR, RA, RD, TC, Z, bare, opt, option, query, question, record, tsig
from tests.spec.sample import HANDLERS, upstream
from tests.spec.table import TRANSPORTS, cases

SOA, DNSKEY, TXT = 6, 48, 16
NAME = "cluster.local"
ZONE = question(NAME, SOA)
NSID, SUBNET, EXPIRE, COOKIE = option(3), option(8, b"\x00\x01\x00\x00"), option(9), option(10, b"12345678")
BADVERS = 16


class Probe(NamedTuple):
    """What is asked and what must come back."""

    sent: bytes
    transport: str = "udp"
    rcode: int = Rcode.NOERROR
    soa: bool = True


def probe(*extra: bytes, rtype: int = SOA, flags: int = 0, transport: str = "udp", soa: bool = True) -> Probe:
    """Ask the apex; what comes back is no error."""
    return Probe(query(question(NAME, rtype), *extra, flags=flags), transport, soa=soa)


def version_1(options: bytes = b"", flags: int = 0) -> Probe:
    """Ask the apex with another version of EDNS."""
    return Probe(query(ZONE, opt(options, payload=4096, version=1, flags=flags), flags=0), rcode=BADVERS, soa=False)


def ours(options: bytes = b"", payload: int = 4096, flags: int = 0) -> bytes:
    """Return the OPT record of a probe."""
    return opt(options, payload=payload, flags=flags)


ISC = {
    "dns": probe(),
    "edns": probe(ours()),
    "edns1": version_1(),
    "edns@512": probe(ours(payload=512, flags=DO), rtype=DNSKEY, soa=False),
    "ednsopt": probe(ours(option(100))),
    "edns1opt": version_1(option(100)),
    "do": probe(ours(flags=DO)),
    "ednsflags": probe(ours(flags=0x80)),
    "optlist": probe(ours(NSID + SUBNET + EXPIRE + COOKIE)),
    "ednstcp": probe(ours(payload=512, flags=DO), rtype=DNSKEY, transport="tcp", soa=False),
    "aa": probe(ours(), flags=AA),
    "ra": probe(ours(), flags=RA),
    "tc": probe(ours(), flags=TC),
    "ad": probe(ours(), flags=AD),
    "cd": probe(ours(), flags=CD),
    "rd": probe(ours(), flags=RD),
    "zflag": probe(ours(), flags=Z),
    "type666": probe(ours(), rtype=666, soa=False),
    "tcp": probe(ours(), transport="tcp"),
    "docd": probe(ours(flags=DO), flags=CD),
    "edns1do": version_1(flags=DO),
    "ednsnsid": probe(ours(NSID)),
    "ednscookie": probe(ours(COOKIE)),
    "ednsexpire": probe(ours(EXPIRE)),
    "ednssubnet": probe(ours(SUBNET)),
    "edns1nsid": version_1(NSID),
    "edns1cookie": version_1(COOKIE),
    "edns1expire": version_1(EXPIRE),
    "edns1subnet": version_1(SUBNET),
    "bind11": probe(ours(COOKIE, flags=DO)),
    "dig11": probe(ours(COOKIE), flags=RD | AD),
}
HEADERS_ALONE = {"opcode": 15 << 11, "opcodeflg": 15 << 11 | TC | RD | RA | CD | AD | AA | Z}

RFC8906 = {
    "8.1.1 a configured zone": probe(),
    "8.1.2 an unknown type": probe(rtype=1000, soa=False),
    "8.1.3.1 CD": probe(flags=CD),
    "8.1.3.2 AD": probe(flags=AD),
    "8.1.3.3 the reserved bit": probe(flags=Z),
    "8.1.3.4 RD": probe(flags=RD),
    "8.1.5 TCP": probe(transport="tcp"),
    "8.2.1 plain EDNS": probe(ours()),
    "8.2.2 version 1": version_1(),
    "8.2.3 an unknown option": probe(ours(option(100))),
    "8.2.4 an unknown flag": probe(ours(flags=0x40)),
    "8.2.5 version 1 and an unknown flag": version_1(flags=0x40),
    "8.2.6 version 1 and an unknown option": version_1(option(100)),
    "8.2.7 a truncated answer": probe(ours(payload=512, flags=DO), rtype=DNSKEY, soa=False),
    "8.2.8 DO": probe(ours(flags=DO)),
    "8.2.9 version 1 and DO": version_1(flags=DO),
    "8.2.10 several known options": probe(ours(NSID + COOKIE + EXPIRE + SUBNET)),
}

TYPES = [*range(1, 31), 33, *range(35, 40), *range(42, 54), 55, 59, 60, 61, 99, *range(104, 110), *range(256, 260)]
MODES = pytest.mark.parametrize(
    ("handlers", "forwards"),
    [pytest.param(HANDLERS, False, id="authority"), pytest.param({ROOT: upstream}, True, id="forwarder")],
)


def check(probe: Probe, answer: bytes | None, *, forwards: bool) -> None:
    """Check all that the compliance tester does."""
    assert answer is not None
    read = dns.message.from_wire(answer, ignore_trailing=False)
    header, asked = octets.read_header(answer), octets.read_header(probe.sent)
    body = probe.sent[12 : probe.sent.index(b"\x00", 12) + 5]
    assert answer[12 : 12 + len(body)] == body
    assert (header.id, read.rcode()) == (asked.id, probe.rcode)
    error = probe.rcode != Rcode.NOERROR
    own = AA if not forwards and not error else 0
    assert header.flags & ~0xF == QR | asked.flags & (RD | CD) | own | (RA if forwards else 0)
    assert any(rrset.rdtype == SOA for rrset in read.answer) is probe.soa
    assert (header.authorities == 1) is (not probe.soa and not error)
    assert header.additionals == asked.additionals
    if asked.additionals:
        assert (read.edns, read.payload, read.options) == (0, 1232, ())
        assert read.ednsflags & 0xFFFF == dns.message.from_wire(probe.sent).ednsflags & DO
        assert probe.transport == "tcp" or len(answer) <= 512
    else:
        assert read.edns == -1


@MODES
@pytest.mark.parametrize("name", ISC)
async def test_isc_probe(name: str, handlers: dict[Name, Handler], forwards: bool) -> None:  # noqa: FBT001 - a parameter
    async with frontend(handlers, recursive=forwards) as server:
        check(ISC[name], await server.ask(ISC[name].sent, ISC[name].transport), forwards=forwards)


@MODES
@pytest.mark.parametrize("name", HEADERS_ALONE)
async def test_isc_probe_of_opcodes(name: str, handlers: dict[Name, Handler], forwards: bool) -> None:  # noqa: FBT001
    async with frontend(handlers, recursive=forwards) as server:
        sent = query(b"", flags=HEADERS_ALONE[name], questions=0)
        assert await server.ask(sent) == bare(Rcode.NOTIMP, 15 << 11)


async def test_isc_probe_dnswkk() -> None:
    async with frontend(HANDLERS) as server:
        answer = await server.ask(query(ZONE, tsig(".", bytes(32))))
        assert answer is not None
        read = dns.message.from_wire(answer, keyring=False)
        assert read.tsig is not None
        assert (int(read.rcode()), read.tsig[0].to_text()[-8:]) == (Rcode.NOTAUTH, "BADKEY 0")


@MODES
@pytest.mark.parametrize("rtype", [*TYPES, 32769, 1000])
async def test_isc_probe_of_types(rtype: int, handlers: dict[Name, Handler], forwards: bool) -> None:  # noqa: FBT001
    async with frontend(handlers, recursive=forwards) as server:
        answer = await server.ask(query(question(NAME, rtype), ours(), flags=0))
        assert answer is not None
        header = octets.read_header(answer)
        assert (header.rcode, header.answers + header.authorities) == (Rcode.NOERROR, 1)


def test_the_probes_are_all_there() -> None:
    assert len(ISC) + len(HEADERS_ALONE) == 33
    assert len(TYPES) + 2 == 65
    assert len(RFC8906) + 1 == 18


@MODES
@pytest.mark.parametrize("name", RFC8906)
async def test_rfc_8906_probe(name: str, handlers: dict[Name, Handler], forwards: bool) -> None:  # noqa: FBT001
    async with frontend(handlers, recursive=forwards) as server:
        check(RFC8906[name], await server.ask(RFC8906[name].sent, RFC8906[name].transport), forwards=forwards)


@MODES
async def test_rfc_8906_probe_8_1_4_an_unknown_opcode(handlers: dict[Name, Handler], forwards: bool) -> None:  # noqa: FBT001
    async with frontend(handlers, recursive=forwards) as server:
        assert await server.ask(query(b"", flags=15 << 11, questions=0)) == bare(Rcode.NOTIMP, 15 << 11)


LONG_NAME = (b"\x0f" + b"A" * 15) * 15 + b"\x0e" + b"A" * 14 + b"\x00"
ADDRESS = record(b"\x00", 1, bytes(4))
TWO_SOAS = [record(b"\x00", SOA, b"\x00\x00" + bytes(19) + bytes((minimum,))) for minimum in (5, 6)]

FORMERR_PACKETS = [
    ("a name too long", query(LONG_NAME + b"\x00\x01\x00\x01", flags=0)),
    ("two names in a question", query(question("a") + b"\x01a\x00\x01b\x00\x00\x01\x00\x01", questions=2, flags=0)),
    ("two types", query(question("a") + question("a", 2), questions=2, flags=0)),
    ("a question twice", query(question("a") * 2, questions=2, flags=0)),
    ("two answers", query(question(".", SOA), *TWO_SOAS, answers=2, additionals=0, flags=0)),
    (
        "a query type as an answer",
        query(b"", record(b"\x00", 253, b""), questions=0, answers=1, additionals=0, flags=0),
    ),
    ("no question", query(b"", questions=0, flags=0)),
    (
        "an NSEC3 record whose owner is none",
        query(
            question("."),
            record(octets.name("X"), 50, b"\xf0\x00\x00\x00\x00\x01\xff"),
            authorities=1,
            additionals=0,
            flags=0,
        ),
    ),
    ("a record cut short", query(b"", question("."), questions=0, flags=0)),
    ("a question cut short", query(b"\x00\x00\x01", flags=0)),
    ("two classes", query(question(".") + question(".", 1, 2), questions=2, flags=0)),
    ("a record's name too long", query(b"", record(LONG_NAME, 1, bytes(4)), questions=0, flags=0)),
    ("a record of another class", query(b"", ADDRESS, record(b"\x00", 65280, bytes(4), 256), questions=0, flags=0)),
    ("a key of another class", query(question("."), record(b"\x00", 25, b"\x00\x00\x00\xf8\x00", 2), flags=0)),
    ("an OPT record's owner", query(b"", opt(owner=octets.name("A")), questions=0, flags=0)),
    ("a signature", query(b"", record(b"\x00", 46, bytes(20)), questions=0, flags=0)),
    ("a TSIG record of class IN", query(b"", tsig(rclass=1), questions=0, flags=0)),
    ("a TSIG record that is not last", query(b"", tsig(), ADDRESS, questions=0, flags=0)),
]


@TRANSPORTS
@cases("message", FORMERR_PACKETS)
async def test_packets_that_broke_bind_are_format_errors(message: bytes, transport: str) -> None:
    async with frontend(HANDLERS) as server:
        assert await server.ask(message, transport) == bare(Rcode.FORMERR)


@TRANSPORTS
async def test_an_update_that_broke_bind_is_not_implemented(transport: str) -> None:
    async with frontend(HANDLERS) as server:
        deletion = record(b"\x00", 1, b"\x00", 255)
        message = query(b"", deletion, questions=0, authorities=1, additionals=0, flags=5 << 11)
        assert await server.ask(message, transport) == bare(Rcode.NOTIMP, 5 << 11)
