"""Addresses for Services and Pods whose manifests name none: stable ones, made from namespace and name."""

from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, ip_address

from svcdns.kube.objects import FAMILIES, Key

Ranges = tuple[IPv4Network, IPv6Network]
"""A range of addresses of each family."""

SERVICE_RANGES: Ranges = (IPv4Network("10.96.0.0/12"), IPv6Network("fd00:10:96::/112"))
POD_RANGES: Ranges = (IPv4Network("10.244.0.0/16"), IPv6Network("fd00:10:244::/64"))
LOOPBACK = ("127.0.0.1", "::1")

_KEPT_AT_START = 2
_KEPT_AT_END = 1
SMALLEST_RANGE = _KEPT_AT_START + 1 + _KEPT_AT_END
"""How many addresses a range must have for one to be given."""


class AddressPool:
    """Gives out addresses of both families, each once.

    Of a range its own address, the next one (a cluster's `kubernetes` Service or its node has it) and the last one,
    which is IPv4's broadcast, are never given.

    Args:
        ranges: Where the addresses are taken from.
        taken: Addresses in use, as octets; those given are added.
    """

    def __init__(self, ranges: Ranges, taken: set[bytes]) -> None:
        self._ranges: dict[str, IPv4Network | IPv6Network] = dict(zip(FAMILIES, ranges, strict=True))
        self._taken = taken

    def take(self, family: str, key: Key) -> str:
        """Give the address that belongs to a namespace and name, or where it is taken the next free one.

        Raises:
            ValueError: All are taken.
        """
        network = self._ranges[family]
        length = network.max_prefixlen // 8
        first = int(network.network_address) + _KEPT_AT_START
        size = network.num_addresses - _KEPT_AT_START - _KEPT_AT_END
        start = int.from_bytes(blake2b("/".join(key).encode(), digest_size=16).digest())
        for step in range(size):
            address = (first + (start + step) % size).to_bytes(length)
            if address not in self._taken:
                self._taken.add(address)
                return str(ip_address(address))
        raise ValueError(f"expected a larger range than {network}, which has no more than {size} to give")


class Loopback:
    """Gives everyone the loopback address: what runs on a laptop listens there."""

    def take(self, family: str, _key: Key) -> str:
        """Give the one address of *family*."""
        return LOOPBACK[FAMILIES.index(family)]
