"""Addresses for Services and Pods whose manifests name none: stable ones, made from namespace and name."""

from collections.abc import Iterable
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import cast

from svcdns.kube.manifests.bodies import FAMILIES
from svcdns.kube.objects import Key

Ranges = tuple[IPv4Network, IPv6Network]
"""A range of addresses of each family."""

LOOPBACK = ("127.0.0.1", "::1")

_KEPT_AT_START = 2
_KEPT_AT_END = 1


def parse_ranges(words: Iterable[str], ranges: Ranges) -> Ranges:
    """Read the ranges that an option names.

    Args:
        words: One range of either family, such as ``10.96.0.0/12``, or one of each.
        ranges: The ranges where the option names none.

    Raises:
        ValueError: Says what was expected.
    """
    found: dict[int, IPv4Network | IPv6Network] = {}
    for word in words:
        try:
            network = ip_network(word)
        except ValueError:
            raise ValueError(f"expected a range such as 10.96.0.0/12 or fd00:10:96::/112, found {word}") from None
        if network.version in found:
            raise ValueError(f"expected one range of each family, found {word} as a second one")
        if network.num_addresses <= _KEPT_AT_START + _KEPT_AT_END:
            raise ValueError(f"expected a range of at least 4 addresses, found {word}")
        found[network.version] = network
    return cast("Ranges", (found.get(4, ranges[0]), found.get(6, ranges[1])))


class AddressPool:
    """Gives out addresses of both families, each once.

    Of a range its own address, the next one (a cluster's `kubernetes` Service or its node has it) and the last one,
    which is IPv4's broadcast, are never given.

    Args:
        ranges: Where the addresses are taken from.
        taken: Addresses in use as `normalize` writes them; those given are added.
    """

    def __init__(self, ranges: Ranges, taken: set[str]) -> None:
        self._ranges = ranges
        self._taken = taken

    def take(self, family: str, key: Key) -> str:
        """Give the address that belongs to a namespace and name, or where it is taken the next free one.

        Raises:
            ValueError: All are taken.
        """
        network = self._ranges[FAMILIES.index(family)]
        size = max(0, network.num_addresses - _KEPT_AT_START - _KEPT_AT_END)
        start = int.from_bytes(blake2b("/".join(key).encode(), digest_size=16).digest())
        for step in range(size):
            address = str(network[_KEPT_AT_START + (start + step) % size])
            if address not in self._taken:
                self._taken.add(address)
                return address
        raise ValueError(f"expected a larger range than {network}, none of its {size} addresses is left")


class Loopback:
    """Gives everyone the loopback address: what runs on a laptop listens there."""

    def take(self, family: str, _key: Key) -> str:
        """Give the one address of *family*."""
        return LOOPBACK[FAMILIES.index(family)]


def normalize(addresses: Iterable[str]) -> set[str]:
    """Write addresses in the one form in which they are compared."""
    return {str(ip_address(address)) for address in addresses}
