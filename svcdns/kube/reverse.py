"""Names of addresses: which zones hold them, and which names stand above some.

Source: RFC 1035 section 3.5, RFC 3596 section 2.5, RFC 8020.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address

from svcdns.dns.name import IPV4_REVERSE, IPV6_REVERSE, Name, is_subdomain, labels
from svcdns.kube.objects import IPV4_OCTETS, IPV6_OCTETS

MOST_ADDED = 20_000
"""How many addresses come to those at the start before they are made anew."""

_LOOPBACK_IPV4 = 127
_LOOPBACK_IPV6 = IPv6Address("::1").packed
_NIBBLES = frozenset(b"0123456789abcdef"[at : at + 1] for at in range(16))
_OCTETS = {b"%d" % octet: f"{octet:02x}" for octet in range(256)}


def is_reverse(name: Name) -> bool:
    """Tell whether *name* is in-addr.arpa, ip6.arpa or below."""
    return is_subdomain(name, IPV4_REVERSE) or is_subdomain(name, IPV6_REVERSE)


def is_loopback(address: bytes) -> bool:
    """Tell whether an address, as octets, means the host itself, so that nothing else can be found by it."""
    return address[0] == _LOOPBACK_IPV4 if len(address) == IPV4_OCTETS else address == _LOOPBACK_IPV6


class PointedAddresses:
    """The addresses that have names, in order, so that those with a common beginning stand together.

    Those that lose their names stay until a question meets them, so the whole is to be made anew now and then.
    """

    def __init__(self, addresses: Iterable[bytes]) -> None:
        self._known = set(addresses)
        self._room = len(self._known) + MOST_ADDED
        self._ordered: dict[int, list[bytes]] = {IPV4_OCTETS: [], IPV6_OCTETS: []}
        for address in sorted(self._known):
            self._ordered[len(address)].append(address)

    @property
    def outgrown(self) -> bool:
        """Whether so many were added that most of them may have lost their names since."""
        return len(self._known) > self._room

    def add(self, addresses: Iterable[bytes]) -> None:
        """Put *addresses* in."""
        for address in addresses:
            if address not in self._known:
                self._known.add(address)
                insort(self._ordered[len(address)], address)

    def any_below(self, name: Name, named: Callable[[bytes], bool]) -> bool:
        """Tell whether a reverse name of an address stands below *name*; forget those no longer *named*."""
        size = IPV4_OCTETS if is_subdomain(name, IPV4_REVERSE) else IPV6_OCTETS
        digits = _digits(name, size)
        if digits is None:
            return False
        ordered = self._ordered[size]
        start = at = bisect_left(ordered, bytes.fromhex(digits.ljust(2 * size, "0")))
        while at < len(ordered) and ordered[at].hex().startswith(digits):
            if named(ordered[at]):
                break
            self._known.discard(ordered[at])
            at += 1
        del ordered[start:at]
        return start < len(ordered) and ordered[start].hex().startswith(digits)


def _digits(name: Name, size: int) -> str | None:
    """Return the first hexadecimal digits of the addresses that stand below a reverse name, or None where none can."""
    above = IPV4_REVERSE if size == IPV4_OCTETS else IPV6_REVERSE
    parts = labels(Name(name[: -len(above)] + b"\x00"))[::-1]
    if size == IPV4_OCTETS:
        found = [_OCTETS.get(part) for part in parts]
    else:
        found = [part.decode() if part in _NIBBLES else None for part in parts]
    digits = "".join(each for each in found if each is not None)
    return None if None in found or len(digits) >= 2 * size else digits
