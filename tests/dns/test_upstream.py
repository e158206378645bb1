"""The client's side of the wire, judged by dnspython."""

from contextlib import suppress
from itertools import pairwise

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.name import from_text, to_text
from svcdns.dns.reader import MAX_RECORDS, MAX_SETS
from svcdns.dns.records import Rtype
from svcdns.dns.upstream import (
    MAX_LINKS,
    Asked,
    Likeness,
    compare,
    decode_response,
    encode_query,
    without_edns,
)
from svcdns.errors import WireError
from tests.fake_upstream import FORGERIES, forge

NAME = "www.example.org."
ZERO = 0
ALL = 2**4000 - 1


def ask(name: str = NAME, rtype: str = "A", bits: int = 0x1234, *, do: bool = False, mixed: bool = False) -> Asked:
    query = Query(from_text(name), int(dns.rdatatype.from_text(rtype)), do=do)
    return encode_query(query, bits, mixed=mixed)


def message(
    asked: Asked,
    *answer: str,
    authority: tuple[str, ...] = (),
    additional: tuple[str, ...] = (),
    rcode: str = "NOERROR",
) -> dns.message.Message:
    """Make an answer; records are written ``OWNER TTL TYPE DATA``."""
    response = dns.message.make_response(dns.message.from_wire(asked.octets), recursion_available=True)
    response.set_rcode(dns.rcode.from_text(rcode))
    sections = (response.answer, response.authority, response.additional)
    for section, records in zip(sections, (answer, authority, additional), strict=True):
        for record in records:
            owner, ttl, rtype, data = record.split(" ", 3)
            section.append(dns.rrset.from_text(owner, int(ttl), "IN", rtype, data))
    return response


def read(asked: Asked, *answer: str, authority: tuple[str, ...] = (), rcode: str = "NOERROR") -> Response:
    return decode_response(
        asked, message(asked, *answer, authority=authority, rcode=rcode).to_wire(max_size=65535)
    ).response


def shown(response: Response) -> list[tuple[str, str]]:
    return [(to_text(rrset.owner), Rtype(rrset.rtype).name) for rrset in response.answer]


def test_a_question_says_what_is_wanted() -> None:
    sent = dns.message.from_wire(ask(do=True).octets)
    assert sent.id == 0x1234
    assert sent.question[0].to_text() == "www.example.org. IN A"
    assert sent.flags == dns.flags.RD | dns.flags.AD
    assert (sent.edns, sent.payload, bool(sent.ednsflags & dns.flags.DO)) == (0, 1232, True)


def test_cd_and_rd_are_those_of_the_query() -> None:
    query = Query(from_text(NAME), Rtype.A, rd=False, cd=True)
    assert dns.message.from_wire(encode_query(query, 1, mixed=False).octets).flags == dns.flags.CD | dns.flags.AD


def test_a_question_can_do_without_edns() -> None:
    plain = encode_query(Query(from_text(NAME), Rtype.A), 0x1234, mixed=False, opt=False)
    assert dns.message.from_wire(plain.octets).edns == -1
    assert without_edns(ask()) == plain.octets


def test_each_letter_has_a_bit_of_its_own_and_nothing_else_changes() -> None:
    name = "a-1.\\000\\255z.EXAMPLE."
    octets = from_text(name)
    assert ask(name, mixed=True, bits=ZERO).question[:-4] == octets
    assert ask(name, mixed=True, bits=ALL).question[:-4] == octets.upper()
    letters = {ask(name, mixed=True, bits=1 << bit).question for bit in range(16, 16 + 8 * len(octets))}
    assert len(letters) == 1 + sum(chr(octet).isalpha() for octet in octets if octet < 128)


def test_the_answer_to_the_question_is_told_from_all_others() -> None:
    asked = ask(mixed=True, bits=0x5A5A5A5A5A5A5A5A5A5A5A5A5A)
    query = dns.message.from_wire(asked.octets)
    assert compare(asked, message(asked, f"{NAME} 1 A 192.0.2.1").to_wire()) is Likeness.SAME
    likeness = {
        kind: compare(asked, forge(query, kind)) for kind in FORGERIES if kind not in {"port", "address", "ids", "half"}
    }
    assert likeness.pop("case") is Likeness.FOLDED
    foreign = {kind for kind, found in likeness.items() if found is Likeness.FOREIGN}
    assert foreign == {"id", "short", "empty"}
    assert {found for kind, found in likeness.items() if kind not in foreign} == {Likeness.CLOSE}


def test_a_bare_format_error_refuses_edns_only_where_it_was_used() -> None:
    asked = ask()
    bare = asked.octets[:2] + b"\x81\x81" + bytes(8)
    assert compare(asked, bare) is Likeness.REFUSING_EDNS
    plain = encode_query(Query(asked.name, asked.rtype), 0x1234, mixed=False, opt=False)
    assert compare(plain, bare) is Likeness.CLOSE


def test_record_sets_have_the_least_ttl_and_each_record_once() -> None:
    asked = ask()
    octets = message(asked, f"{NAME} 9 A 192.0.2.1", f"{NAME} 5 A 192.0.2.2", f"{NAME} 7 A 192.0.2.1").to_wire()
    (rrset,) = decode_response(asked, octets).response.answer
    assert (rrset.ttl, rrset.rdatas) == (5, (b"\xc0\0\2\1", b"\xc0\0\2\2"))


@pytest.mark.parametrize(("sent", "read_as"), [(0, 0), (2**31 - 1, 2**31 - 1), (2**31, 0), (2**32 - 1, 0)])
def test_ttls_with_the_top_bit_are_zero(sent: int, read_as: int) -> None:
    asked = ask()
    octets = message(asked, f"{NAME} 7 A 192.0.2.1").to_wire().replace(b"\0\0\0\7\0\4", sent.to_bytes(4) + b"\0\4")
    assert decode_response(asked, octets).response.answer[0].ttl == read_as


def test_only_the_chain_from_the_question_is_kept() -> None:
    response = read(
        ask(),
        f"{NAME} 60 CNAME a.example.net.",
        "victim.example. 60 A 192.0.2.66",
        "a.example.net. 60 CNAME b.example.com.",
        "b.example.com. 60 A 192.0.2.1",
        "b.example.com. 60 AAAA 2001:db8::66",
    )
    assert shown(response) == [(NAME, "CNAME"), ("a.example.net.", "CNAME"), ("b.example.com.", "A")]


def test_the_order_of_the_answer_section_does_not_matter() -> None:
    response = read(ask(), "b.example.com. 60 A 192.0.2.1", f"{NAME} 60 CNAME b.example.com.")
    assert shown(response) == [(NAME, "CNAME"), ("b.example.com.", "A")]


def test_records_of_others_are_dropped_from_every_section() -> None:
    asked = ask()
    octets = message(
        asked,
        f"{NAME} 60 A 192.0.2.1",
        authority=("example.org. 60 NS ns.evil.example.", "example.org. 60 SOA a. b. 1 2 3 4 5"),
        additional=("ns.evil.example. 60 A 192.0.2.66",),
    ).to_wire()
    response = decode_response(asked, octets).response
    assert (shown(response), response.authority, response.additional) == ([(NAME, "A")], (), ())


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
@pytest.mark.parametrize(("zone", "kept"), [("example.org.", True), (".", True), ("evil.example.", False)])
def test_a_negative_answer_keeps_the_soa_of_a_zone_that_holds_the_name(rcode: str, zone: str, *, kept: bool) -> None:
    response = read(ask(), authority=(f"{zone} 60 SOA a. b. 1 2 3 4 5",), rcode=rcode)
    assert response.rcode == Rcode[rcode]
    assert [to_text(rrset.owner) for rrset in response.authority] == ([zone] if kept else [])


def test_a_dname_leads_on_with_or_without_its_cname() -> None:
    dname = "example.org. 60 DNAME example.net."
    target = "www.example.net. 60 A 192.0.2.1"
    expected = [("example.org.", "DNAME"), (NAME, "CNAME"), ("www.example.net.", "A")]
    assert shown(read(ask(), dname, f"{NAME} 0 CNAME www.example.net.", target)) == expected
    assert shown(read(ask(), dname, target)) == expected


def test_any_keeps_what_belongs_to_the_name() -> None:
    response = read(ask(rtype="ANY"), f"{NAME} 1 A 192.0.2.1", f"{NAME} 1 TXT x", "other.example. 1 A 192.0.2.66")
    assert shown(response) == [(NAME, "A"), (NAME, "TXT")]


def test_a_cname_that_is_asked_for_is_not_followed() -> None:
    response = read(ask(rtype="CNAME"), f"{NAME} 1 CNAME a.example.", "a.example. 1 CNAME b.example.")
    assert shown(response) == [(NAME, "CNAME")]


@pytest.mark.parametrize("links", [MAX_LINKS, MAX_LINKS + 1])
def test_a_chain_has_eight_links_at_most(links: int) -> None:
    owners = [NAME, *(f"n{number}.example." for number in range(links))]
    chain = [f"{owner} 1 CNAME {target}" for owner, target in pairwise(owners)]
    if links == MAX_LINKS:
        assert len(read(ask(), *chain, f"{owners[-1]} 1 A 192.0.2.1").answer) == links + 1
    else:
        with pytest.raises(WireError, match="loop or is too long"):
            read(ask(), *chain)


@pytest.mark.parametrize("target", [NAME, "b.example."])
def test_a_loop_is_an_error(target: str) -> None:
    with pytest.raises(WireError, match="loop or is too long"):
        read(ask(), f"{NAME} 1 CNAME {target}", f"b.example. 1 CNAME {NAME}")


SIGNED = "A 8 3 60 20300101000000 20200101000000 1 example.org. AAAA"
PROOF = (
    "example.org. 60 SOA a. b. 1 2 3 4 5",
    "example.org. 60 RRSIG " + SIGNED.replace("A 8", "SOA 8"),
    "a.example.org. 60 NSEC z.example.org. A",
    "a.example.org. 60 RRSIG " + SIGNED.replace("A 8", "NSEC 8"),
    "evil.example. 60 NSEC z.evil.example. A",
    "evil.example. 60 RRSIG " + SIGNED.replace("A 8", "NSEC 8").replace("example.org.", "evil.example."),
    "unsigned.example.org. 60 NSEC z.example.org. A",
)


def test_with_do_signatures_and_proofs_are_kept_by_zones_that_hold_the_name() -> None:
    response = read(ask(do=True), authority=PROOF, rcode="NXDOMAIN")
    kept = [(to_text(rrset.owner), Rtype(rrset.rtype).name) for rrset in response.authority]
    apex, proof = "example.org.", "a.example.org."
    assert kept == [(apex, "SOA"), (apex, "RRSIG"), (proof, "NSEC"), (proof, "RRSIG")]


def test_without_do_there_are_no_signatures() -> None:
    response = read(ask(), f"{NAME} 60 A 192.0.2.1", f"{NAME} 60 RRSIG {SIGNED}", authority=PROOF)
    assert (shown(response), response.authority) == ([(NAME, "A")], ())


def test_a_signature_comes_with_what_it_covers() -> None:
    aaaa = SIGNED.replace("A 8", "AAAA 8")
    response = read(ask(do=True), f"{NAME} 60 A 192.0.2.1", f"{NAME} 60 RRSIG {SIGNED}", f"{NAME} 60 RRSIG {aaaa}")
    assert shown(response) == [(NAME, "A"), (NAME, "RRSIG")]
    assert [rdata[:2] for rdata in response.answer[1].rdatas] == [b"\0\1"]


def test_an_extended_rcode_and_ad_are_read() -> None:
    asked = ask()
    response = message(asked)
    response.set_rcode(dns.rcode.BADCOOKIE)
    response.flags |= dns.flags.AD
    answer = decode_response(asked, response.to_wire())
    assert (answer.response.rcode, answer.response.ad, answer.edns) == (Rcode.BADCOOKIE, True, True)


def test_records_of_other_classes_are_not_used() -> None:
    asked = ask()
    octets = message(asked, f"{NAME} 7 A 192.0.2.1").to_wire().replace(b"\0\1\0\1\0\0\0\7", b"\0\1\0\3\0\0\0\7")
    assert decode_response(asked, octets).response.answer == ()


def test_at_most_a_hundred_records_of_a_set_are_used() -> None:
    response = read(ask(), *(f"{NAME} 1 A 10.0.{number // 256}.{number % 256}" for number in range(300)))
    assert len(response.answer[0].rdatas) == MAX_RECORDS == 100


@pytest.mark.parametrize(
    "rdata",
    [
        "NS NS1.Example.org.", "CNAME A.Example.org.", "PTR A.Example.org.", "MX 10 Mail.Example.org.",
        "SOA NS.Example.org. Me.Example.org. 1 2 3 4 5", "SRV 1 2 3 Target.Example.org.",
        'NAPTR 1 2 "U" "E2U" "!^.*$!x!" Replace.Example.org.', "DNAME Other.Example.org.", "KX 1 Kx.Example.org.",
        "RP Me.Example.org. Text.Example.org.", "AFSDB 1 Afs.Example.org.", "RT 1 Rt.Example.org.",
        "PX 1 A.Example.org. B.Example.org.", 'TXT "Case Stays"', "CAA 0 issue Example.org",
        "HTTPS 1 Svc.Example.org. alpn=h2", "LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
    ],
)  # fmt: skip
def test_record_data_are_whole_and_names_in_them_lower_case_where_they_are_in_canonical_form(rdata: str) -> None:
    rtype, _, data = rdata.partition(" ")
    asked = ask("sub.example.org.", rtype)
    expected = dns.rrset.from_text("x.", 1, "IN", rtype, data)[0].to_digestable()
    (rrset,) = read(asked, f"sub.example.org. 1 {rdata}").answer
    assert rrset.rdatas == (expected,)


BROKEN = {
    "fewer records than the header says": lambda octets: octets[:7] + b"\2" + octets[8:],
    "half a record": lambda octets: octets[:-1],
    "junk behind": lambda octets: octets + b"\0",
    "a pointer to itself": lambda octets: octets[:33] + b"\xc0\x21" + octets[35:],
    "a pointer forward": lambda octets: octets[:33] + b"\xc0\x2f" + octets[35:],
    "a pointer into the header": lambda octets: octets[:33] + b"\xc0\x04" + octets[35:],
    "a label type of 0x40": lambda octets: octets[:33] + b"\x40\x0c" + octets[35:],
    "a label type of 0x80 where nothing is read": lambda octets: (
        octets[:11] + b"\1" + octets[12:] + b"\x80" + bytes(11)
    ),
    "an address of three octets": lambda octets: octets[:43] + b"\0\3" + octets[45:-1],
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_message_is_an_error(fault: str) -> None:
    plain = encode_query(Query(from_text(NAME), Rtype.A), 1, mixed=False, opt=False)
    octets = message(plain, f"{NAME} 1 A 192.0.2.1").to_wire()
    assert decode_response(plain, octets).response.rcode == Rcode.NOERROR
    with pytest.raises(WireError):
        decode_response(plain, BROKEN[fault](octets))


labels = st.lists(st.text("abcXYZ019-_", min_size=1, max_size=12), min_size=1, max_size=6)
names = labels.map(lambda parts: ".".join(parts) + ".")
addresses = st.ip_addresses(v=4).map(lambda address: f"A {address}")
records = st.one_of(
    addresses,
    st.ip_addresses(v=6).map(lambda address: f"AAAA {address}"),
    names.map(lambda name: f"MX 10 {name}"),
    names.map(lambda name: f"SRV 1 2 3 {name}"),
    names.map(lambda name: f"NS {name}"),
    st.text("aZ 9", max_size=40).map(lambda text: f'TXT "{text}"'),
)


@given(names, st.lists(records, min_size=1, max_size=8, unique=True))
def test_whatever_dnspython_writes_is_read(name: str, written: list[str]) -> None:
    rtype = written[0].partition(" ")[0]
    asked = ask(name, rtype)
    response = read(asked, *(f"{name} 60 {record}" for record in written))
    same = [record.partition(" ")[2] for record in written if record.startswith(f"{rtype} ")]
    expected = dns.rrset.from_text("x.", 1, "IN", rtype, *same)
    assert shown(response) == [(name.lower(), rtype)]
    assert set(response.answer[0].rdatas) == {rdata.to_digestable() for rdata in expected}


@given(st.data())
def test_nothing_but_a_wire_error_is_raised(data: st.DataObject) -> None:
    asked = ask(do=data.draw(st.booleans()), rtype=data.draw(st.sampled_from(["A", "MX", "ANY", "NAPTR", "NSEC"])))
    octets = bytearray(
        message(
            asked,
            f"{NAME} 60 CNAME www.example.net.",
            "www.example.net. 60 MX 10 mail.example.net.",
            'www.example.net. 60 NAPTR 1 2 "U" "E2U" "" r.example.net.',
            "example.net. 60 DNAME example.com.",
            authority=PROOF,
            additional=("mail.example.net. 60 A 192.0.2.1",),
        ).to_wire()
    )
    for _ in range(data.draw(st.integers(1, 12))):
        octets[data.draw(st.integers(12, len(octets) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del octets[data.draw(st.integers(12, len(octets))) :]
    with suppress(WireError):
        decode_response(asked, bytes(octets))


@given(st.binary(max_size=300))
def test_any_octets_behind_a_question_are_read_or_refused(tail: bytes) -> None:
    asked = ask()
    counts = b"\0\1" + tail[:6].ljust(6, b"\0")
    octets = asked.octets[:2] + b"\x81\x80" + counts + asked.question + tail[6:]
    with suppress(WireError):
        decode_response(asked, octets)


def pointing_into(blob: bytes, count: int) -> bytes:
    """Make an answer of *count* records that point into the middle of one's name after the other of those in *blob*."""
    asked = ask()
    owner = b"\0\0\x10\0\1\0\0\0\0" + len(blob).to_bytes(2) + blob
    start = 12 + len(asked.question) + 11
    targets = [start + 2 * number + number // 126 for number in range(count)]
    pointing = [(0xC000 | target).to_bytes(2) + b"\0\2\0\1" + bytes(4) + b"\0\0" for target in targets]
    counts = b"\0\1" + (1 + count).to_bytes(2) + bytes(4)
    return asked.octets[:2] + b"\x81\x80" + counts + asked.question + owner + b"".join(pointing)


def test_names_together_take_a_bounded_number_of_steps() -> None:
    blob = (b"\1a" * 126 + b"\0") * 4
    assert decode_response(ask(), pointing_into(blob, 30)).response.answer == ()
    with pytest.raises(WireError, match="labels and pointers"):
        decode_response(ask(), pointing_into(blob, 100))


@pytest.mark.parametrize("section", ["answer", "authority"])
def test_an_answer_of_more_sets_than_any_needs_is_an_error(section: str) -> None:
    def octets(count: int) -> bytes:
        asked = ask(do=True)
        response = message(asked)
        rrsets = [dns.rrset.from_text(f"n{number}.", 1, "IN", "A", "192.0.2.1") for number in range(count)]
        getattr(response, section).extend(rrsets)
        return response.to_wire(max_size=65535)

    assert decode_response(ask(do=True), octets(MAX_SETS)).response.answer == ()
    with pytest.raises(WireError, match="record sets"):
        decode_response(ask(do=True), octets(MAX_SETS + 1))


def test_sections_that_are_not_used_may_be_as_long_as_they_like() -> None:
    host = [f"10-0-{number // 256}-{number % 256}.web.default.svc.cluster.local." for number in range(500)]
    srv = [f"{NAME} 5 SRV 0 1 80 {target}" for target in host]
    glue = tuple(f"{target} 5 A 10.0.0.1" for target in host)
    response = message(ask(rtype="SRV"), *srv, additional=glue)
    found = decode_response(ask(rtype="SRV"), response.to_wire(max_size=65535)).response
    assert len(found.answer[0].rdatas) == MAX_RECORDS
    response = message(ask(), f"{NAME} 5 A 10.0.0.1", authority=tuple(f"{name} 5 NS {name}" for name in host))
    assert len(decode_response(ask(), response.to_wire(max_size=65535)).response.answer) == 1


def test_an_answer_without_compression_may_fill_a_message() -> None:
    asked = ask()
    record = asked.question[:-4] + b"\0\1\0\1\0\0\0\1\0\4\x0a\0"
    count = (65535 - len(asked.octets)) // (len(record) + 2)
    records = b"".join(record + number.to_bytes(2) for number in range(count))
    octets = asked.octets[:2] + b"\x81\x80\0\1" + count.to_bytes(2) + bytes(4) + asked.question + records
    (rrset,) = decode_response(asked, octets).response.answer
    assert len(rrset.rdatas) == MAX_RECORDS
