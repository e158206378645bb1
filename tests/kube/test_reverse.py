from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcdns.dns.name import from_text, reverse, suffixes
from svcdns.kube.reverse import MOST_ADDED, PointedAddresses, is_loopback, is_reverse


@pytest.mark.parametrize(
    ("name", "reverse"),
    [
        ("in-addr.arpa.", True),
        ("ip6.arpa.", True),
        ("10.in-addr.arpa.", True),
        ("x.0.8.ip6.arpa.", True),
        ("arpa.", False),
        ("xin-addr.arpa.", False),
        ("in-addr.arpa.example.", False),
        (".", False),
    ],
)
def test_reverse_names(name: str, reverse: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_reverse(from_text(name)) is reverse


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1", True), ("127.255.0.9", True), ("::1", True), ("128.0.0.1", False), ("::", False)],
)
def test_loopback_addresses(address: str, loopback: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_loopback(ip_address(address).packed) is loopback


POINTED = ("10.96.0.1", "10.96.0.2", "10.0.0.0", "255.255.255.255", "fd00:10:96::a", "::")


@pytest.mark.parametrize("text", POINTED)
def test_every_name_above_an_addresss_stands_above_it(text: str) -> None:
    pointed = PointedAddresses(ip_address(each).packed for each in POINTED)
    own, *above = suffixes(reverse(ip_address(text)))
    assert not pointed.any_below(own, lambda _: True)
    assert all(pointed.any_below(name, lambda _: True) for name in above if is_reverse(name))


@pytest.mark.parametrize(
    "name",
    [
        "11.in-addr.arpa.",
        "97.10.in-addr.arpa.",
        "1.96.10.in-addr.arpa.",
        "010.in-addr.arpa.",
        "256.in-addr.arpa.",
        "x.10.in-addr.arpa.",
        "1.1.0.96.10.in-addr.arpa.",
        "e.f.ip6.arpa.",
        "10.ip6.arpa.",
        "g.ip6.arpa.",
        "svc.in-addr.arpa.",
    ],
)
def test_other_names_stand_above_none(name: str) -> None:
    pointed = PointedAddresses(ip_address(each).packed for each in POINTED)
    assert not pointed.any_below(from_text(name), lambda _: True)


def test_addresses_that_lost_their_names_do_not_count_until_they_are_added_again() -> None:
    kept, lost = ip_address("10.0.0.1").packed, ip_address("10.0.0.0").packed
    pointed = PointedAddresses([kept, lost])
    assert pointed.any_below(from_text("0.0.10.in-addr.arpa."), lambda address: address == kept)
    assert pointed.any_below(from_text("10.in-addr.arpa."), lambda address: address == kept)
    assert not pointed.any_below(from_text("10.in-addr.arpa."), lambda _: False)
    assert not pointed.any_below(from_text("10.in-addr.arpa."), lambda _: True)
    pointed.add([lost, lost])
    assert pointed.any_below(from_text("10.in-addr.arpa."), lambda _: True)


def test_addresses_are_outgrown_once_more_came_than_there_is_room_for() -> None:
    pointed = PointedAddresses(number.to_bytes(4) for number in range(5))
    pointed.add(number.to_bytes(4) for number in range(MOST_ADDED + 5))
    assert not pointed.outgrown
    pointed.add([b"\xff" * 4])
    assert pointed.outgrown


packed = st.lists(st.integers(0, 3), min_size=4, max_size=4).map(bytes)


@given(st.lists(packed), st.sets(packed), st.lists(packed, max_size=3), st.lists(st.integers(0, 3), max_size=3))
def test_it_finds_what_a_search_through_all_finds(
    first: list[bytes], named: set[bytes], later: list[bytes], digits: list[int]
) -> None:
    pointed = PointedAddresses(first)
    pointed.add(later)
    name = from_text(".".join([*map(str, reversed(digits)), "in-addr.arpa."]))
    expected = any(address.startswith(bytes(digits)) for address in {*first, *later} & named)
    assert pointed.any_below(name, named.__contains__) == expected
    assert pointed.any_below(name, named.__contains__) == expected
