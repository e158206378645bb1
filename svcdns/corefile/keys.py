"""The keys of a server block: for which zones, over what and on which port it answers."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from svcdns.corefile.lexer import Place, Token, show
from svcdns.corefile.values import parse_port, parse_zones
from svcdns.corefile.vocabulary import describe_unknown

DEFAULT_PORTS = {"dns": 53, "tls": 853, "quic": 853, "grpc": 443, "https": 443, "https3": 443}
"""Each scheme of CoreDNS's with the port of a key that names none."""

_SERVED_SCHEMES = ("dns",)
_SCHEME = re.compile(r"([^:/]*)://(.*)", re.DOTALL)
_PORT = re.compile(r"(.*):([0-9]+)", re.DOTALL)
_PREFERRED = re.compile(r"[a-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Key(Place):
    """One zone that a server block answers for.

    Args:
        scheme: how it is asked, a key of `DEFAULT_PORTS`.
        zone: lower case, ending in a dot.
        port: as written, or None where the default counts.
    """

    scheme: str
    zone: str
    port: int | None


def parse_keys(token: Token, warn: Callable[[str], None]) -> Iterator[Key]:
    """Read `[SCHEME://]ZONE[:PORT]`; an address range gives a key for each of its reverse zones.

    Raises:
        ConfigError: the scheme is unknown or not served yet, or zone or port are none.
    """
    scheme, rest = _split_scheme(token)
    match = _PORT.fullmatch(rest)
    zone, port = (match[1], match[2]) if match else (rest, None)
    try:
        zones = parse_zones(zone or ("." if port else zone))
        number = None if port is None else parse_port(port)
    except ValueError as error:
        raise token.error(f"found {show(token.text)}, {_hint(rest) or error}") from None
    for name in zones:
        if not _PREFERRED.fullmatch(name):
            warn(str(token.error(f"zone {show(name)} is no host name in the preferred syntax of RFC 1035")))
        yield Key(scheme, name, number, path=token.path, line=token.line, unset=token.unset)


def _split_scheme(token: Token) -> tuple[str, str]:
    match = _SCHEME.fullmatch(token.text)
    if match is None:
        return "dns", token.text
    scheme = match[1].lower()
    if scheme not in DEFAULT_PORTS:
        raise token.error(describe_unknown("scheme", scheme, _SERVED_SCHEMES))
    if scheme not in _SERVED_SCHEMES:
        raise token.error(f"'{scheme}://' in {show(token.text)} is a scheme of CoreDNS that svcdns does not have yet")
    return scheme, match[2]


def _hint(rest: str) -> str:
    """Say what is wrong with a key that fails in a way often seen, or nothing."""
    if rest.endswith("{"):
        return "expected a space before '{'"
    if "," in rest:
        return "expected a space after each comma"
    if rest.startswith("("):
        return "expected a snippet's name to stand alone before '{'"
    if rest.endswith(":"):
        return "expected a port after ':'"
    if rest.count(":") == 1 and not _PORT.fullmatch(rest):
        return "expected ZONE:PORT with a port from 0 to 65535"
    return ""
