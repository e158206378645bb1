import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from dns.rdtypes.ANY.TXT import TXT
from hypothesis import given
from hypothesis import strategies as st

from svcdns.dns import records
from svcdns.dns.name import from_text
from svcdns.dns.records import RRset, Rtype

WEB = from_text("web.default.svc.cluster.local")
ONE, TWO = b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02"


def as_text(rtype: int, rdata: bytes) -> str:
    """Return what dnspython makes of record data."""
    return dns.rdata.from_wire("IN", dns.rdatatype.RdataType.make(rtype), rdata, 0, len(rdata)).to_text()


def test_a_record_set_keeps_its_records_as_they_stand_behind_its_question() -> None:
    rrset = RRset(WEB, Rtype.A, 30, [ONE, TWO])
    fixed = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04"
    assert rrset.octets == fixed + ONE + fixed + TWO


def test_record_sets_are_values() -> None:
    rrset = RRset(WEB, Rtype.A, 30, [ONE, TWO])
    assert rrset == RRset(WEB, 1, 30, (ONE, TWO))
    assert len({rrset, RRset(WEB, Rtype.A, 30, [ONE, TWO])}) == 1
    assert rrset != RRset(WEB, Rtype.A, 30, [TWO, ONE])
    assert rrset != "something else"
    assert repr(rrset) == f"RRset({WEB!r}, A, 30, {(ONE, TWO)!r})"


def test_a_copy_differs_in_what_is_asked_for_alone() -> None:
    rrset = RRset(WEB, Rtype.A, 30, [ONE, TWO])
    assert rrset.with_ttl(5) == RRset(WEB, Rtype.A, 5, [ONE, TWO])
    assert rrset.with_ttl(30) is rrset
    assert rrset.with_rdatas([TWO, ONE]) == RRset(WEB, Rtype.A, 30, [TWO, ONE])


def test_an_srv_record_says_what_it_was_made_of() -> None:
    assert as_text(Rtype.SRV, records.srv(0, 100, 80, WEB)) == "0 100 80 web.default.svc.cluster.local."


def test_an_soa_record_says_what_it_was_made_of() -> None:
    apex = from_text("cluster.local")
    rdata = records.soa(from_text("ns.dns.cluster.local"), records.hostmaster(apex), 2**32 - 1, (7200, 1800, 86400, 5))
    assert as_text(Rtype.SOA, rdata) == ("ns.dns.cluster.local. hostmaster.cluster.local. 4294967295 7200 1800 86400 5")


@given(st.lists(st.binary(max_size=255), min_size=1, max_size=5))
def test_a_txt_record_says_what_it_was_made_of(strings: list[bytes]) -> None:
    rdata = records.txt(*strings)
    assert dns.rdata.from_wire("IN", "TXT", rdata, 0, len(rdata)) == TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings)


def test_a_character_string_has_at_most_255_octets() -> None:
    with pytest.raises(ValueError, match="at most 255 octets"):
        records.txt(b"x" * 256)


@pytest.mark.parametrize(
    ("rtype", "text"),
    [
        (1, "A"),
        (28, "AAAA"),
        (65, "HTTPS"),
        (255, "ANY"),
        (0, "TYPE0"),
        (666, "TYPE666"),
        (65535, "TYPE65535"),
    ],
)
def test_a_type_has_its_mnemonic_or_its_number(rtype: int, text: str) -> None:
    assert records.type_to_text(rtype) == text
