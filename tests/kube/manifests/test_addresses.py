from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcdns.kube.manifests.addresses import AddressPool, Loopback, Ranges

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
    second = AddressPool(SMALL, {ip_address(alone).packed}).take("IPv4", ("default", "web"))
    usable = [str(address) for address in list(SMALL[0])[2:-1]]
    assert second == usable[(usable.index(alone) + 1) % len(usable)]


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_the_first_two_addresses_and_the_last_are_never_given(family: str) -> None:
    pool = AddressPool(SMALL, set())
    given_out = {pool.take(family, ("default", f"web-{index}")) for index in range(13)}
    network = SMALL[family == "IPv6"]
    assert given_out == {str(network[index]) for index in range(2, 15)}
    with pytest.raises(ValueError, match=f"expected a larger range than {network}, which has no more than 13 to give"):
        pool.take(family, ("default", "web-13"))


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
