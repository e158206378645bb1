"""Queries read and responses written, against dnspython, which was written by others."""

from collections.abc import Callable
from random import Random

import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcdns.dns import edns, wire
from svcdns.dns.message import Ede, ExtendedError, Query, Rcode, Response, uncompressed_size
from svcdns.dns.name import ROOT, Name, from_text, join, to_text
from svcdns.dns.records import RRset, Rtype, srv, txt
from svcdns.errors import WireError
from tests import octets

WEB = from_text("web.default.svc.cluster.local")
APEX = from_text("cluster.local")
PLAIN = wire.decode(octets.query(octets.question("web.default.svc.cluster.local")))
WITH_OPT = wire.decode(octets.query(octets.question("web.default.svc.cluster.local"), octets.opt()))

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=6).filter(lambda parts: sum(map(len, parts)) < 240)
NAMES = LABELS.map(join)
# Few labels, so that names share endings often, the question's among them.
RELATED = st.lists(st.sampled_from([b"web", b"default", b"svc", b"cluster", b"local", b"a" * 40]), max_size=5).map(
    lambda parts: join(parts, APEX)
)
ANY_NAME = st.one_of(RELATED, NAMES, st.just(WEB), st.just(ROOT))


def rdata_of(rtype: int) -> st.SearchStrategy[bytes]:
    """Return what makes valid data of a type, names whole and lower case."""
    name, short, octet = ANY_NAME, st.binary(min_size=2, max_size=2), st.binary(max_size=255)
    shapes: dict[int, tuple[st.SearchStrategy[bytes], ...]] = {
        Rtype.A: (st.binary(min_size=4, max_size=4),),
        Rtype.AAAA: (st.binary(min_size=16, max_size=16),),
        Rtype.NS: (name,),
        Rtype.CNAME: (name,),
        Rtype.PTR: (name,),
        Rtype.DNAME: (name,),
        Rtype.MX: (short, name),
        Rtype.KX: (short, name),
        Rtype.AFSDB: (short, name),
        Rtype.RT: (short, name),
        Rtype.RP: (name, name),
        Rtype.SRV: (short, short, short, name),
        Rtype.SOA: (name, name, st.binary(min_size=20, max_size=20)),
        Rtype.TXT: (octet.map(txt), octet.map(txt)),
        Rtype.HINFO: (octet.map(txt), octet.map(txt)),
        Rtype.NAPTR: (short, short, octet.map(txt), octet.map(txt), octet.map(txt), name),
        Rtype.DS: (short, st.just(b"\x08\x02"), st.binary(min_size=32, max_size=32)),
        65280: (octet,),
    }
    return st.tuples(*shapes[rtype]).map(b"".join)


RTYPES = (1, 2, 5, 6, 12, 13, 15, 16, 17, 18, 21, 28, 33, 35, 36, 39, 43, 65280)


@st.composite
def rrsets(draw: st.DrawFn) -> RRset:
    rtype = draw(st.sampled_from(RTYPES))
    most = 1 if rtype in {Rtype.CNAME, Rtype.SOA, Rtype.DNAME} else 12  # more than one is none (RFC 2181 section 10.1)
    rdatas = draw(st.lists(rdata_of(rtype), min_size=1, max_size=most, unique=True))
    return RRset(draw(ANY_NAME), rtype, draw(st.integers(0, 2**31 - 1)), rdatas)


def owner_and_type(rrset: RRset) -> tuple[Name, int]:
    return rrset.owner, rrset.rtype


SECTIONS = st.lists(rrsets(), max_size=6, unique_by=owner_and_type).map(tuple)
RESPONSES = st.builds(
    Response,
    rcode=st.sampled_from([0, 2, 3, 5, 16, 23]),
    answer=SECTIONS,
    authority=SECTIONS,
    additional=SECTIONS,
    aa=st.booleans(),
    ad=st.booleans(),
    ede=st.none() | st.builds(ExtendedError, st.sampled_from(Ede), st.text(max_size=300)),
)
QUERIES = st.builds(
    octets.query,
    st.just(octets.question("Web.Default.SVC.cluster.Local")) | LABELS.map(lambda parts: octets.question(join(parts))),
    flags=st.sampled_from([0, octets.RD, octets.CD, octets.AD | octets.RD | octets.CD]),
) | st.builds(
    octets.query,
    st.just(octets.question("Web.Default.SVC.cluster.Local")) | LABELS.map(lambda parts: octets.question(join(parts))),
    st.builds(octets.opt, flags=st.sampled_from([0, octets.DO])),
)

Section = list[tuple[Name, int, int, list[bytes]]]


def from_dnspython(section: list[dns.rrset.RRset]) -> Section:
    """Return a section that dnspython read as plain values, with names in lower case."""
    return [
        (from_text(each.name.to_text()), int(each.rdtype), each.ttl, sorted(rdata.to_digestable() for rdata in each))
        for each in section
    ]


def from_ours(rrsets: tuple[RRset, ...]) -> Section:
    """Return a section of ours in the same form."""
    return [
        (each.owner, each.rtype, each.ttl, sorted(digestable(each.rtype, rdata) for rdata in each.rdatas))
        for each in rrsets
    ]


def digestable(rtype: int, rdata: bytes) -> bytes:
    """Return record data as dnspython writes them."""
    return dns.rdata.from_wire(
        dns.rdataclass.IN, dns.rdatatype.RdataType.make(rtype), rdata, 0, len(rdata)
    ).to_digestable()


def records(message: bytes) -> list[tuple[int, int]]:
    """Return where each record behind the question begins and ends."""
    header = octets.read_header(message)
    position = 12
    found = []
    for index in range(header.questions + header.answers + header.authorities + header.additionals):
        start = position
        while 0 < message[position] < 0xC0:
            position += message[position] + 1
        position += 2 if message[position] else 1
        position += 4 if index < header.questions else 10 + int.from_bytes(message[position + 8 : position + 10])
        if index >= header.questions:
            found.append((start, position))
    assert position == len(message)
    return found


# --- what clients send -----------------------------------------------------------------------------------------------


@given(
    name=NAMES,
    rtype=st.integers(0, 65535).filter(lambda rtype: rtype not in {41, 249, 250}),
    rclass=st.integers(0, 65535),
    flags=st.integers(0, 0x7FF),
    payload=st.integers(0, 65535),
)
def test_what_dnspython_asks_we_read(name: Name, rtype: int, rclass: int, flags: int, payload: int) -> None:
    query = dns.message.Message(id=payload)
    query.flags = dns.flags.Flag(flags)
    owner = dns.name.from_wire(name, 0)[0]
    query.question.append(dns.rrset.RRset(owner, dns.rdataclass.RdataClass(rclass), dns.rdatatype.RdataType(rtype)))
    plain = wire.decode(query.to_wire())
    assert plain == wire.Envelope(payload, flags, name, rtype, rclass, plain.question, None, None, 0)
    query.use_edns(0, dns.flags.DO, payload)
    assert wire.decode(query.to_wire()) == plain._replace(opt=edns.Opt(payload, 0, 0, do=True, options=()))


@settings(max_examples=500)
@given(st.binary(min_size=12, max_size=600))
def test_any_octets_are_read_or_refused(message: bytes) -> None:
    read_or_refuse(message)


@settings(max_examples=1000)
@given(QUERIES, st.lists(st.tuples(st.integers(2, 600), st.integers(0, 255)), max_size=5), st.integers(12, 700))
def test_any_mutation_of_a_query_is_read_or_refused(query: bytes, changes: list[tuple[int, int]], length: int) -> None:
    mutated = bytearray(query)
    for position, octet in changes:
        mutated[position % len(mutated)] = octet
    read_or_refuse(bytes(mutated[: max(12, length)]))


@settings(max_examples=1000)
@given(QUERIES, st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=2), st.binary(max_size=8))
def test_queries_of_one_essence_differ_in_letter_case_and_data_of_options(
    query: bytes, changes: list[tuple[int, int]], behind: bytes
) -> None:
    envelope = wire.decode(query)
    mutated = bytearray(query.swapcase() if wire.essence(query.swapcase()) == wire.essence(query) else query)
    for position, octet in changes:
        mutated[position % len(mutated)] = octet
    other = bytes(mutated) + behind
    if wire.has_essence(envelope) and wire.essence(other) == wire.essence(query):
        found = wire.decode(other)
        assert found.question.lower() == envelope.question.lower()
        assert found._replace(id=envelope.id, question=envelope.question) == envelope


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"\x03www\x00\x00\x01\x00\x01", b"\x03wWW\x00\x00\x01\x00\x01", True),
        (b"\x03www\x00\x00\x41\x00\x01", b"\x03www\x00\x00\x61\x00\x01", False),
        (b"\x03www\x00\x00\x01\x00\x41", b"\x03www\x00\x00\x01\x00\x61", False),
    ],
    ids=["letter case", "type", "class"],
)
def test_the_letter_case_of_the_name_alone_is_no_part_of_the_essence(one: bytes, other: bytes, *, same: bool) -> None:
    assert (wire.essence(octets.query(one)) == wire.essence(octets.query(other))) is same


def read_or_refuse(message: bytes) -> None:
    """Read octets, if they have a header; what can be read can be answered."""
    if not wire.answerable(message):
        return
    assert len(wire.refusal(message, Rcode.FORMERR)) == 12
    try:
        envelope = wire.decode(message)
    except WireError:
        return
    assert len(envelope.name) <= 255
    assert envelope.trailing >= 0
    answer = wire.encode(envelope, Response(Rcode.REFUSED), 512)
    assert len(answer) <= 512
    assert answer[12 : 12 + len(envelope.question)] == message[12 : 12 + len(envelope.question)]


def test_trailing_octets_are_counted_and_ignored() -> None:
    assert wire.decode(octets.query(octets.question("x")) + b"junk").trailing == 4


@pytest.mark.parametrize("length", range(12))
def test_without_a_header_nothing_can_be_answered(length: int) -> None:
    assert not wire.answerable(octets.query(octets.question("x"))[:length])


def test_truncation_is_seen() -> None:
    message = dns.message.make_response(dns.message.make_query("example.org", "A"))
    assert not wire.is_truncated(message.to_wire())
    message.flags |= dns.flags.TC
    assert wire.is_truncated(message.to_wire())


def test_a_response_cannot_be_answered() -> None:
    assert not wire.answerable(octets.query(octets.question("x"), flags=octets.QR))


@pytest.mark.parametrize("opcode", range(16))
def test_a_refusal_copies_id_and_opcode_and_a_querys_rd_alone(opcode: int) -> None:
    message = octets.query(octets.question("x"), flags=0x07FF | opcode << 11)
    assert wire.is_query(message) is (opcode == 0)
    kept = octets.RD if opcode == 0 else 0
    assert wire.refusal(message, Rcode.NOTIMP) == octets.bare(4, kept | opcode << 11)


# --- what clients are sent -------------------------------------------------------------------------------------------


@given(QUERIES, RESPONSES)
def test_what_we_write_dnspython_reads(query: bytes, response: Response) -> None:
    envelope = wire.decode(query)
    answer = wire.encode(envelope, response, 65535, ra=True)
    read = dns.message.from_wire(answer, one_rr_per_rrset=False)
    header = octets.read_header(answer)
    assert header.id == octets.ID
    kept = octets.read_header(query).flags & (octets.RD | octets.CD)
    aa = octets.AA if response.aa else 0
    understood = envelope.flags & octets.AD or (envelope.opt is not None and envelope.opt.do)
    ad = octets.AD if response.ad and understood else 0
    assert header.flags & 0xFFF0 == octets.QR | octets.RA | kept | aa | ad
    assert header.questions == 1
    assert answer[12 : 12 + len(envelope.question)] == envelope.question
    written = (response.answer, response.authority, response.additional)
    for ours, theirs in zip(written, (read.answer, read.authority, read.additional), strict=True):
        assert from_dnspython(theirs) == from_ours(ours)
    if envelope.opt is None:
        assert read.edns == -1
        assert read.rcode() == (response.rcode if response.rcode < 16 else Rcode.SERVFAIL)
    else:
        assert (read.edns, read.payload, read.rcode()) == (0, 1232, response.rcode)
        assert bool(read.ednsflags & octets.DO) is envelope.opt.do
        assert len(read.extended_errors()) == (response.ede is not None)


@pytest.mark.parametrize("rtype", [Rtype.SOA, Rtype.NAPTR])
def test_an_owner_that_is_the_root_takes_one_octet(rtype: int) -> None:
    envelope = wire.decode(octets.query(octets.question("example.org")))
    authority = RRset(ROOT, rtype, 5, (bytes(22),))
    answer = wire.encode(envelope, Response(authority=(authority,)), 1232)
    assert answer[12 + len(envelope.question) :][:3] == b"\x00" + rtype.to_bytes(2)


@settings(max_examples=150)
@given(QUERIES, RESPONSES, st.integers(512, 1232) | st.sampled_from([512, 1232]))
def test_what_does_not_fit_is_cut_between_records_answers_last(query: bytes, response: Response, limit: int) -> None:
    envelope = wire.decode(query)
    whole = wire.encode(envelope, response, 65535)
    cut = wire.encode(envelope, response, limit)
    assert len(cut) <= limit
    header, full = octets.read_header(cut), octets.read_header(whole)
    tail = records(whole)[-1][1] - records(whole)[-1][0] if envelope.opt is not None else 0
    opts = 1 if tail else 0
    kept = header.answers + header.authorities + header.additionals - opts
    spans = records(whole)
    body = spans[kept - 1][1] if kept else 12 + len(envelope.question)
    assert cut[12 : len(cut) - tail] == whole[12:body]
    assert cut[len(cut) - tail :] == whole[len(whole) - tail :]
    if kept < len(spans) - opts:
        assert spans[kept][1] + tail > limit
    lost = (header.answers, header.authorities) != (full.answers, full.authorities)
    assert bool(header.flags & octets.TC) is lost
    assert header.flags & ~octets.TC == full.flags
    if header.answers < full.answers:
        assert header.authorities == 0
    if lost:
        assert header.additionals == opts


@pytest.mark.parametrize("limit", [512, 1232, 65535])
@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("envelope", [PLAIN, WITH_OPT], ids=["plain", "opt"])
def test_a_message_of_the_limit_is_whole_and_one_octet_more_is_cut(
    envelope: wire.Envelope, limit: int, excess: int
) -> None:
    room = limit - 12 - len(envelope.question) - (11 if envelope.opt else 0) - 12
    answer = wire.encode(envelope, Response(answer=(RRset(WEB, 65280, 5, [bytes(room + excess)]),)), limit)
    assert octets.read_header(answer).answers == 1 - excess
    assert bool(octets.read_header(answer).flags & octets.TC) is bool(excess)
    assert len(answer) == (limit if not excess else limit - room - 12)


@pytest.mark.parametrize(
    ("rtype", "data"),
    [
        (Rtype.A, lambda number: number.to_bytes(4)),
        (Rtype.TXT, lambda number: txt(b"%d" % number)),
        (Rtype.SRV, lambda number: srv(0, 100, number, from_text(f"{number}.web.default.svc.cluster.local"))),
        (Rtype.PTR, lambda number: from_text(f"{number}.some.name.that.takes.room.in.every.case.of.these")),
    ],
    ids=["A", "TXT", "SRV", "PTR"],
)
def test_5000_records_over_tcp_are_cut_to_65535_octets(rtype: int, data: Callable[[int], bytes]) -> None:
    rrset = RRset(WEB, rtype, 5, [data(number) for number in range(5000)])
    answer = wire.encode(WITH_OPT, Response(answer=(rrset,), additional=(rrset,)), 65535)
    header = octets.read_header(answer)
    ends = records(answer)
    assert header.flags & octets.TC
    assert 0 < header.answers < 5000
    assert header.additionals == 1
    longest = max(end - start for start, end in ends)
    assert 65535 - longest < len(answer) <= 65535
    dns.message.from_wire(answer)


def test_names_beyond_16_kib_are_not_pointed_at() -> None:
    names = [from_text(f"{number:04}.{'x' * 40}.{number % 700:03}.example") for number in range(950)]
    rrset = RRset(WEB, Rtype.PTR, 5, names)
    answer = wire.encode(PLAIN, Response(answer=(rrset,)), 65535)
    assert len(answer) > 3 * 16384
    read = dns.message.from_wire(answer)
    assert sorted(str(rdata) for rdata in read.answer[0]) == sorted(map(to_text, names))


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_long_answers_of_any_names_are_read_as_they_were_written(seed: int) -> None:
    random = Random(seed)
    names = [APEX, WEB, ROOT]
    while len(names) < 1500:
        below = random.choice(names)
        if len(below) < 200:
            names.append(join([random.randbytes(random.randint(1, 50))], below))
    names = list(dict.fromkeys(names))
    rrset = RRset(WEB, Rtype.NS, 5, names)
    answer = wire.encode(PLAIN, Response(answer=(rrset,)), 65535)
    header = octets.read_header(answer)
    read = dns.message.from_wire(answer)
    assert {rdata.to_digestable() for rdata in read.answer[0]} == set(names[: header.answers])


def test_owners_have_the_letter_case_of_the_question() -> None:
    envelope = wire.decode(octets.query(octets.question("wEb.DefaulT.sVc.cLuster.LOCAL")))
    soa = RRset(APEX, Rtype.NS, 5, [from_text("ns.dns.cluster.local")])
    answer = wire.encode(envelope, Response(answer=(RRset(WEB, 1, 5, [bytes(4)]),), authority=(soa,)), 512)
    read = dns.message.from_wire(answer)
    assert read.question[0].name.to_text() == "wEb.DefaulT.sVc.cLuster.LOCAL."
    assert read.answer[0].name.to_text() == "wEb.DefaulT.sVc.cLuster.LOCAL."
    assert read.authority[0].name.to_text() == "cLuster.LOCAL."
    assert records(answer)[0][0] == 12 + len(envelope.question)
    assert answer[records(answer)[0][0] :][:2] == b"\xc0\x0c"


def test_the_target_of_an_srv_record_is_whole_and_its_address_points_there() -> None:
    target = from_text("a.b.c.example")
    for owner in (WEB, from_text("other.example")):
        answer = wire.encode(
            PLAIN,
            Response(
                answer=(RRset(owner, Rtype.SRV, 5, [srv(0, 1, 80, target)]),),
                additional=(RRset(target, Rtype.A, 5, [bytes(4)]),),
            ),
            512,
        )
        (_, answer_end), (start, _) = records(answer)
        assert answer[:answer_end].endswith(target)
        assert answer[start] & 0xC0 == 0xC0
        assert dns.message.from_wire(answer).additional[0].name.to_text() == "a.b.c.example."


def test_an_additional_record_that_does_not_fit_is_left_out_without_a_word() -> None:
    room = 512 - 12 - len(PLAIN.question) - 12
    response = Response(
        answer=(RRset(WEB, 65280, 5, [bytes(room - 20)]),), additional=(RRset(APEX, 65280, 5, [bytes(100)]),)
    )
    header = octets.read_header(wire.encode(PLAIN, response, 512))
    assert (header.answers, header.additionals, header.flags & octets.TC) == (1, 0, 0)


def test_the_root_can_be_asked_and_answered() -> None:
    envelope = wire.decode(octets.query(octets.question(".", 2)))
    rrset = RRset(ROOT, Rtype.NS, 5, [from_text("a.root-servers.net"), ROOT])
    read = dns.message.from_wire(wire.encode(envelope, Response(answer=(rrset,), authority=(rrset,)), 512))
    assert [each.name for each in (*read.answer, *read.authority)] == [dns.name.root] * 2


@settings(max_examples=50)
@given(RESPONSES)
@example(Response(answer=(RRset(WEB, 1, 5, [bytes(4)]),)))
def test_the_uncompressed_size_is_what_dnspython_counts(response: Response) -> None:
    whole = from_ours(response.answer) + from_ours(response.authority) + from_ours(response.additional)
    size = 12 + len(PLAIN.question)
    for owner, _, _, rdatas in whole:
        size += sum(len(owner) + 10 + len(rdata) for rdata in rdatas)
    assert uncompressed_size(Query(PLAIN.name, PLAIN.rtype), response) == size


# --- TSIG ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [(), (octets.opt(),)], ids=["plain", "opt"])
def test_a_signed_query_is_answered_with_badkey(extra: tuple[bytes, ...]) -> None:
    query = octets.query(octets.question("x"), *extra, octets.tsig())
    answer = wire.encode(wire.decode(query), Response(Rcode.NOTAUTH), 512)
    read = dns.message.from_wire(answer, keyring=False)
    assert int(read.rcode()) == Rcode.NOTAUTH
    assert read.tsig is not None
    assert read.tsig.name.to_text() == "key."
    assert read.tsig[0].to_text().endswith(f' 300 0 "" {octets.ID} BADKEY 0')


def test_a_tsig_record_that_the_answer_has_no_room_for_is_left_out() -> None:
    long = ".".join(["k" * 60] * 4)
    query = octets.query(octets.question(long), octets.tsig(long))
    answer = wire.encode(wire.decode(query), Response(Rcode.NOTAUTH), 512)
    assert answer == octets.query(octets.question(long), flags=octets.QR | octets.RD | Rcode.NOTAUTH)


@pytest.mark.parametrize(
    "record",
    [
        octets.tsig(rclass=1),
        octets.tsig()[:-1],
        octets.record(octets.name("key"), 250, octets.name("hmac-sha256") + bytes(15), 255),
        octets.record(octets.name("key"), 250, octets.name("a") + bytes(8) + b"\xff\xff" + bytes(6), 255),
        octets.record(b"\xc0\x0c", 250, octets.name("a") + bytes(16), 255),
        octets.record(octets.name("key"), 249, octets.name("a") + bytes(16), 255),
    ],
    ids=["class", "cut", "short", "mac", "pointer", "tkey"],
)
def test_a_tsig_record_that_is_none_is_refused(record: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode(octets.query(octets.question("x"), record))
