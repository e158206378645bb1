from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcdns.kube.manifests.addresses import AddressPool, Loopback, Ranges, normalize, parse_ranges

RANGES: Ranges = (IPv4Network("10.96.0.0/12"), IPv6Network("fd00:10:96::/112"))
SMALL: Ranges = (IPv4Network("10.0.0.0/28"), IPv6Network("fd00::/124"))

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=63)
keys = st.tuples(names, names)


@pytest.mark.parametrize(
    ("family", "key", "address"),
    [
        ("IPv4", ("default", "web"), "10.111.210.249"),
        ("IPv4", ("default", "db"), "10.111.3.32"),
        ("IPv6", ("default", "web"), "fd00:10:96::8faa"),
        ("IPv6", ("shop", "web"), "fd00:10:96::69ad"),
    ],
)
def test_a_name_has_the_same_address_for_ever(family: str, key: tuple[str, str], address: str) -> None:
    assert AddressPool(RANGES, set()).take(family, key) == address


def test_where_two_meet_the_later_one_moves_on() -> None:
    alone = AddressPool(SMALL, set()).take("IPv4", ("default", "web"))
    second = AddressPool(SMALL, {alone}).take("IPv4", ("default", "web"))
    usable = [str(address) for address in list(SMALL[0])[2:-1]]
    assert second == usable[(usable.index(alone) + 1) % len(usable)]


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_the_first_two_addresses_and_the_last_are_never_given(family: str) -> None:
    pool = AddressPool(SMALL, set())
    given_out = {pool.take(family, ("default", f"web-{index}")) for index in range(13)}
    network = SMALL[family == "IPv6"]
    assert given_out == {str(network[index]) for index in range(2, 15)}
    with pytest.raises(ValueError, match=f"expected a larger range than {network}, none of its 13 addresses is left"):
        pool.take(family, ("default", "web-13"))


@pytest.mark.parametrize(
    ("words", "ranges"),
    [
        ("", RANGES),
        ("10.0.0.0/28", (SMALL[0], RANGES[1])),
        ("fd00::/124", (RANGES[0], SMALL[1])),
        ("fd00::/124 10.0.0.0/28", SMALL),
    ],
)
def test_an_option_names_a_range_of_either_family_or_both(words: str, ranges: Ranges) -> None:
    assert parse_ranges(words.split(), RANGES) == ranges


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("10.0.0.0/33", "expected a range such as 10.96.0.0/12 or fd00:10:96::/112, found 10.0.0.0/33"),
        ("10.0.0.1/24", "expected a range such as 10.96.0.0/12 or fd00:10:96::/112, found 10.0.0.1/24"),
        ("10.0.0.1", "expected a range of at least 4 addresses, found 10.0.0.1"),
        ("fd00::/127", "expected a range of at least 4 addresses, found fd00::/127"),
        ("10.0.0.0/8 11.0.0.0/8", "expected one range of each family, found 11.0.0.0/8 as a second one"),
    ],
)
def test_what_is_no_range_says_what_one_is(words: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        parse_ranges(words.split(), RANGES)


@pytest.mark.parametrize("network", ["10.0.0.0/31", "10.0.0.0/32"])
def test_a_range_without_room_gives_nothing(network: str) -> None:
    with pytest.raises(ValueError, match="none of its 0 addresses is left"):
        AddressPool((IPv4Network(network), SMALL[1]), set()).take("IPv4", ("default", "web"))


@given(st.sets(keys, max_size=100))
def test_no_two_names_have_the_same_address(found: set[tuple[str, str]]) -> None:
    ranges = (IPv4Network("10.0.0.0/24"), IPv6Network("fd00::/120"))
    for index, family in enumerate(("IPv4", "IPv6")):
        pool = AddressPool(ranges, set())
        addresses = [pool.take(family, key) for key in sorted(found)]
        assert len(set(addresses)) == len(found)
        assert all(ip_address(address) in ranges[index] for address in addresses)


@given(st.sets(keys, max_size=5), keys)
def test_a_name_keeps_its_address_while_nobody_has_it(others: set[tuple[str, str]], key: tuple[str, str]) -> None:
    alone = AddressPool(RANGES, set()).take("IPv4", key)
    pool = AddressPool(RANGES, set())
    if alone not in {pool.take("IPv4", other) for other in sorted(others - {key})}:
        assert pool.take("IPv4", key) == alone


def test_on_loopback_everyone_has_the_same_address() -> None:
    assert {Loopback().take("IPv4", ("default", name)) for name in ("web", "db")} == {"127.0.0.1"}
    assert {Loopback().take("IPv6", ("default", name)) for name in ("web", "db")} == {"::1"}


def test_an_address_has_one_spelling() -> None:
    assert normalize(["FD00:0::1", "fd00::1", "10.0.0.1"]) == {"fd00::1", "10.0.0.1"}
