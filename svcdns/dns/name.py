"""Domain names as lower-case wire octets.

A `Name` is the uncompressed wire form of a domain name with A to Z folded to lower case (RFC 4343): a length octet
before each label, the empty root label at the end. So equal names are equal octets, a name is a dictionary key that
costs nothing, any octet may stand in a label without escapes, and a parent is a slice. Length octets are at most 63 and
letters begin at 65, so `bytes.lower` on the whole name folds letters and touches no length.

Source: RFC 1035 sections 2.3.4, 3.1 and 5.1; RFC 4343; RFC 2181 section 11.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NewType

Name = NewType("Name", bytes)
Address = IPv4Address | IPv6Address

ROOT = Name(b"\x00")
MAX_NAME: Final = 255
MAX_LABEL: Final = 63

IPV4_REVERSE = Name(b"\x07in-addr\x04arpa\x00")
IPV6_REVERSE = Name(b"\x03ip6\x04arpa\x00")

_IPV4_LABELS: Final = 4
_IPV6_LABELS: Final = 32
_ESCAPED = frozenset(b'."\\();@$')


def join(labels: Iterable[bytes], suffix: Name = ROOT) -> Name:
    """Put *labels* before *suffix*.

    Raises:
        ValueError: A label is empty or over 63 octets, or the name is over 255.
    """
    octets = bytearray()
    for label in labels:
        if not 0 < len(label) <= MAX_LABEL:
            raise ValueError(f"a label has 1 to {MAX_LABEL} octets, not {len(label)}")
        octets.append(len(label))
        octets += label
    octets += suffix
    if len(octets) > MAX_NAME:
        raise ValueError(f"a name has at most {MAX_NAME} octets, not {len(octets)}")
    return Name(bytes(octets).lower())


def labels(name: Name) -> list[bytes]:
    """Split *name* into its labels, leftmost first, without the root."""
    found = []
    position = 0
    while length := name[position]:
        found.append(name[position + 1 : position + 1 + length])
        position += length + 1
    return found


def parent(name: Name) -> Name:
    """Return *name* without its leftmost label; the root's parent is the root."""
    length = name[0]
    return Name(name[length + 1 :]) if length else name


def suffixes(name: Name) -> Iterator[Name]:
    """Yield *name*, then its ancestors up to and including the root."""
    while name[0]:
        yield name
        name = Name(name[name[0] + 1 :])
    yield name


def is_subdomain(name: Name, ancestor: Name) -> bool:
    """Tell whether *name* is *ancestor* or stands below it; octets that only look like labels do not count."""
    if not name.endswith(ancestor):
        return False
    start = len(name) - len(ancestor)
    position = 0
    while position < start:
        position += name[position] + 1
    return position == start


def is_within(name: Name, zones: Iterable[Name]) -> bool:
    """Tell whether *name* is in one of *zones*."""
    return any(zone == ROOT or is_subdomain(name, zone) for zone in zones)


def from_text(text: str) -> Name:
    r"""Read a name in presentation format, relative ones as if they ended in a dot.

    Args:
        text: Labels with dots between them; ``\X`` and ``\DDD`` escape an octet. Characters beyond ASCII stand for
            their UTF-8 octets.

    Raises:
        ValueError: A label is empty or too long, the name is too long or an escape is not of those forms.

    Source: RFC 1035 section 5.1.
    """
    if text == ".":
        return ROOT
    parts = [bytearray()]
    octets = iter(text.encode())
    for octet in octets:
        if octet == ord("."):
            parts.append(bytearray())
        elif octet == ord("\\"):
            parts[-1].append(_unescape(octets, text))
        else:
            parts[-1].append(octet)
    if not parts[-1]:
        parts.pop()
    return join(bytes(part) for part in parts)


def _unescape(octets: Iterator[int], text: str) -> int:
    """Read what follows a backslash: three digits or one octet that stands for itself."""
    first = next(octets, None)
    if first is None:
        raise ValueError(f"the escape at the end of {text!r} is cut short")
    if not 0x30 <= first <= 0x39:
        return first
    digits = bytes((first, next(octets, 0), next(octets, 0)))
    if not digits.isdigit() or int(digits) > 0xFF:
        raise ValueError(f"an escape in {text!r} is neither \\DDD of at most 255 nor one character")
    return int(digits)


def to_text(name: bytes) -> str:
    """Write *name* in presentation format, absolute, with octets that are special or not printable escaped.

    Source: RFC 1035 section 5.1, RFC 4343 section 2.1.
    """
    if name == ROOT:
        return "."
    return "".join(label_to_text(label) + "." for label in labels(Name(name)))


def label_to_text(label: bytes) -> str:
    """Write one label in presentation format."""
    if label.isalnum():
        return label.decode()
    return "".join(
        f"\\{chr(octet)}" if octet in _ESCAPED else chr(octet) if 0x21 <= octet <= 0x7E else f"\\{octet:03d}"
        for octet in label
    )


def is_address(text: str) -> bool:
    """Tell whether *text* is an IP address, which a name in its place would not be."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def reverse(address: Address) -> Name:
    """Return the name under in-addr.arpa or ip6.arpa that stands for *address*.

    Source: RFC 1035 section 3.5, RFC 3596 section 2.5.
    """
    if isinstance(address, IPv4Address):
        return join((b"%d" % octet for octet in reversed(address.packed)), IPV4_REVERSE)
    return join((nibble.encode() for nibble in reversed(address.packed.hex())), IPV6_REVERSE)


def reversed_address(name: Name) -> Address | None:
    """Return the address that a reverse name stands for, or None where *name* is not exactly that of one address."""
    parts = labels(name)
    if parts[_IPV4_LABELS:] == labels(IPV4_REVERSE):
        return _ipv4(parts[:_IPV4_LABELS])
    if parts[_IPV6_LABELS:] == labels(IPV6_REVERSE):
        return _ipv6(parts[:_IPV6_LABELS])
    return None


def _ipv4(parts: list[bytes]) -> IPv4Address | None:
    text = b".".join(reversed(parts))
    try:
        return IPv4Address(text.decode())
    except ValueError:
        return None


def _ipv6(parts: list[bytes]) -> IPv6Address | None:
    if any(len(part) != 1 for part in parts):
        return None
    try:
        return IPv6Address(bytes.fromhex(b"".join(reversed(parts)).decode("ascii")))
    except ValueError:
        return None
