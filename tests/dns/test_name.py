from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.name
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from svcdns.dns.name import (
    IPV4_REVERSE,
    IPV6_REVERSE,
    MAX_NAME,
    ROOT,
    Name,
    from_text,
    is_subdomain,
    join,
    label_to_text,
    labels,
    parent,
    reverse,
    reversed_address,
    suffixes,
    to_text,
)

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=8).filter(lambda parts: sum(map(len, parts)) < 240)
ADDRESSES = st.ip_addresses()


def lower(octets: bytes) -> bytes:
    """Fold letters as RFC 4343 does, by its own table."""
    return bytes(octet + 32 if 65 <= octet <= 90 else octet for octet in octets)


@given(LABELS)
def test_labels_come_back_as_they_went_in_but_for_the_case_of_ascii_letters(parts: list[bytes]) -> None:
    assert labels(join(parts)) == [lower(part) for part in parts]


@given(LABELS)
def test_a_name_is_the_lower_case_wire_form(parts: list[bytes]) -> None:
    assert join(parts) == dns.name.Name([*map(lower, parts), b""]).to_wire()


@given(LABELS)
def test_a_name_survives_its_text(parts: list[bytes]) -> None:
    name = join(parts)
    assert from_text(to_text(name)) == name


@given(LABELS)
def test_dnspython_reads_the_same_name_in_our_text(parts: list[bytes]) -> None:
    name = join(parts)
    assert dns.name.from_text(to_text(name)).to_wire() == name


@given(LABELS)
def test_we_read_the_same_name_in_dnspythons_text(parts: list[bytes]) -> None:
    assert from_text(dns.name.Name([*parts, b""]).to_text()) == join(parts)


@pytest.mark.parametrize("octet", range(256))
def test_any_octet_may_stand_in_a_label(octet: int) -> None:
    name = join([bytes((octet,)), b"x"])
    text = to_text(name)
    assert from_text(text) == name
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (".", b"\x00"),
        ("com", b"\x03com\x00"),
        ("com.", b"\x03com\x00"),
        ("WWW.Example.", b"\x03www\x07example\x00"),
        (r"a\.b.c.", b"\x03a.b\x01c\x00"),
        (r"a\.", b"\x02a.\x00"),
        (r"\065\255.", b"\x02a\xff\x00"),
        (r"\\.", b"\x01\\\x00"),
        (r"\*.x", b"\x01*\x01x\x00"),
        ("é.x", b"\x02\xc3\xa9\x01x\x00"),
        ("É.x", b"\x02\xc3\x89\x01x\x00"),
        ("_dns._tcp.x", b"\x04_dns\x04_tcp\x01x\x00"),
        ("a" * 63, b"\x3f" + b"a" * 63 + b"\x00"),
    ],
)
def test_text_is_read(text: str, name: bytes) -> None:
    assert from_text(text) == name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a..b", "a label has 1 to 63 octets, not 0"),
        (".a", "a label has 1 to 63 octets, not 0"),
        ("..", "a label has 1 to 63 octets, not 0"),
        ("a" * 64, "a label has 1 to 63 octets, not 64"),
        (".".join(["a" * 63] * 3 + ["a" * 62]), "a name has at most 255 octets, not 256"),
        ("a\\", "is cut short"),
        ("\\25", "neither"),
        ("\\256", "neither"),
        ("\\2x5", "neither"),
    ],
)
def test_text_that_is_no_name_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        from_text(text)


def test_a_name_of_255_octets_is_a_name() -> None:
    name = from_text(".".join(["a" * 63] * 3 + ["a" * 61]))
    assert len(name) == 255


def test_what_is_special_in_zone_files_is_escaped() -> None:
    assert to_text(join([b'a"b.c\\(d);e@$ \x00\xff'])) == r"a\"b\.c\\\(d\)\;e\@\$\032\000\255."
    assert label_to_text(b"web-0_x*") == "web-0_x*"
    assert to_text(ROOT) == "."


@given(LABELS)
def test_parents_and_suffixes_lose_a_label_at_a_time(parts: list[bytes]) -> None:
    name = join(parts)
    assert list(suffixes(name)) == [join(parts[start:]) for start in range(len(parts) + 1)]
    assert parent(name) == join(parts[1:])


@given(LABELS, LABELS)
def test_is_subdomain_agrees_with_dnspython(parts: list[bytes], others: list[bytes]) -> None:
    other = join(others)
    assume(len(join(parts)) + len(other) - 1 <= MAX_NAME)
    name = join(parts, other)
    assert is_subdomain(name, other)
    for one, two in ((join(parts), other), (other, join(parts)), (other, name)):
        expected = dns.name.from_wire(one, 0)[0].is_subdomain(dns.name.from_wire(two, 0)[0])
        assert is_subdomain(one, two) is expected


def test_octets_that_only_look_like_a_parent_are_none() -> None:
    assert not is_subdomain(join([b"x\x03com"]), from_text("com"))
    assert not is_subdomain(from_text("xcom"), from_text("com"))
    assert is_subdomain(from_text("com"), from_text("com"))
    assert is_subdomain(from_text("com"), ROOT)
    assert is_subdomain(ROOT, ROOT)
    assert not is_subdomain(ROOT, from_text("com"))


@given(ADDRESSES)
def test_a_reverse_name_is_the_one_that_the_library_writes_and_leads_back(address: IPv4Address | IPv6Address) -> None:
    name = reverse(address)
    assert to_text(name) == address.reverse_pointer + "."
    assert reversed_address(name) == address


@pytest.mark.parametrize(
    "name",
    [
        ROOT,
        IPV4_REVERSE,
        IPV6_REVERSE,
        from_text("1.2.3.in-addr.arpa"),
        from_text("1.2.3.4.5.in-addr.arpa"),
        from_text("256.2.3.4.in-addr.arpa"),
        from_text("01.2.3.4.in-addr.arpa"),
        from_text("x.2.3.4.in-addr.arpa"),
        from_text("1.2.3.4.in-addr.arpa.x"),
        from_text("1.2.3.4.xin-addr.arpa"),
        from_text("0-127.2.3.4.in-addr.arpa"),
        join([b"1.2", b"3", b"4"], IPV4_REVERSE),
        join([b"\xff", b"2", b"3", b"4"], IPV4_REVERSE),
        join([b"+1", b"2", b"3", b"4"], IPV4_REVERSE),
        join([b"0"] * 31, IPV6_REVERSE),
        join([b"0"] * 33, IPV6_REVERSE),
        join([b"g"] + [b"0"] * 31, IPV6_REVERSE),
        join([b"\xff"] + [b"0"] * 31, IPV6_REVERSE),
        join([b"00", b" "] + [b"0"] * 30, IPV6_REVERSE),
        join([b"00"] + [b"0"] * 31, IPV6_REVERSE),
        from_text("x." + ip_address("::1").reverse_pointer),
    ],
    ids=to_text,
)
def test_what_is_not_exactly_one_addresss_reverse_name_leads_nowhere(name: Name) -> None:
    assert reversed_address(name) is None


@pytest.mark.parametrize(
    "parts", [[b""], [b"a", b""], [b"a" * 64], [b"a" * 63] * 4], ids=["empty", "last", "64", "256"]
)
def test_labels_that_make_no_name_are_refused(parts: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"at most 255|1 to 63"):
        join(parts)
