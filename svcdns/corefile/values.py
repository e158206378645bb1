"""Words to values: what the directives and options of all plugins share.

Each function takes the word as it was written and raises ValueError with what it expected. `Option.value` and
`Directive.value` call them, and turn that into an error with file, line and the word found.
"""

import re
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from svcdns.corefile.vocabulary import list_words
from svcdns.dns.name import is_address

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_PORT = re.compile(r"[0-9]{1,5}")
_DURATION_PART = re.compile(r"([0-9]{1,19}(?:\.[0-9]{0,19})?|\.[0-9]{1,19})(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_DURATION = 2**63 / 1e9
_NEVER_IN_LABELS = frozenset('"(),:;@\\{} ')


def parse_integer(text: str, minimum: int, maximum: int) -> int:
    """Read a decimal number between *minimum* and *maximum*, both allowed."""
    if not _INTEGER.fullmatch(text) or not minimum <= int(text) <= maximum:
        raise ValueError(f"expected a number from {minimum} to {maximum}")
    return int(text)


def parse_duration(text: str, minimum: float = 0.0, maximum: float = _LONGEST_DURATION) -> float:
    """Read a duration as Go writes it, such as `500ms`, `5s`, `1m30s` or `0`.

    Args:
        text: numbers with units.
        minimum: the shortest allowed, in seconds.
        maximum: the longest allowed, in seconds.

    Returns:
        Seconds.
    """
    seconds = _add_duration_parts(text)
    if seconds < minimum:
        raise ValueError(f"expected a duration of at least {minimum:g}s")
    if seconds > maximum:
        raise ValueError(f"expected a duration of at most {maximum:g}s")
    return seconds


def parse_choice(text: str, choices: Collection[str]) -> str:
    """Read a word that must be one of *choices*."""
    if text not in choices:
        raise ValueError(f"expected {list_words(choices)}")
    return text


def parse_address(text: str) -> tuple[str, int]:
    """Read where to listen: `HOST:PORT`, `[IPV6]:PORT`, or `:PORT` for every address of the machine.

    Returns:
        The host, empty for every address, and the port.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not bracketed):
        raise ValueError("expected HOST:PORT, [IPV6]:PORT or :PORT")
    return host[1:-1] if bracketed else host, parse_port(port)


def parse_port(text: str) -> int:
    """Read a port; 0 leaves the choice to the system."""
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ValueError("expected a port from 0 to 65535")
    return int(text)


def parse_zone(text: str) -> str:
    """Read one zone name.

    Returns:
        The name in lower case, ending in a dot.

    Source: RFC 1035, section 2.3.4, for the lengths.
    """
    if text == ".":
        return text
    name = text.removesuffix(".").lower()
    for label in name.split("."):
        if not 1 <= len(label) <= 63:
            raise ValueError("expected a zone whose labels have 1 to 63 characters")
        if not label.isascii() or not label.isprintable() or not _NEVER_IN_LABELS.isdisjoint(label):
            raise ValueError("expected a zone of letters, digits, hyphens and dots (others as xn--...)")
    if len(name) > 253:
        raise ValueError("expected a zone of at most 253 characters")
    return f"{name}."


def parse_zones(text: str) -> tuple[str, ...]:
    """Read a zone name, or an address range (`10.0.0.0/24`, `fd00::/64`) that stands for its reverse zones.

    Returns:
        Names as `parse_zone` makes them. A range that ends inside of an octet (IPv4) or a nibble (IPv6) gives up to 128
        or 8 of them.
    """
    address, slash, length = text.partition("/")
    if not slash or not is_address(address):
        return (parse_zone(text),)
    longest = ip_address(address).max_prefixlen
    try:
        network = ip_network(f"{address}/{parse_integer(length, 0, longest)}", strict=False)
    except ValueError:
        raise ValueError(f"expected an address range ADDRESS/LENGTH with a length from 0 to {longest}") from None
    return _name_reverse_zones(network)


def _name_reverse_zones(network: IPv4Network | IPv6Network) -> tuple[str, ...]:
    """Name the reverse zones that cover exactly *network*.

    Source: RFC 1035, section 3.5; RFC 3596, section 2.5.
    """
    bits_a_label = 8 if network.version == 4 else 4
    labels = -(-network.prefixlen // bits_a_label)
    zones = []
    for part in network.subnets(new_prefix=labels * bits_a_label):
        name = part.network_address.reverse_pointer.split(".")
        zones.append(".".join(name[len(name) - 2 - labels :]) + ".")
    return tuple(zones)


def _add_duration_parts(text: str) -> float:
    if text == "0":
        return 0.0
    seconds = 0.0
    position = 0
    while match := _DURATION_PART.match(text, position):
        seconds += float(match[1]) * _SECONDS[match[2]]
        position = match.end()
    if not text or position != len(text):
        raise ValueError("expected a duration with its unit, such as 500ms, 5s or 1m30s")
    return seconds
