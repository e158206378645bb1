"""What a `forward` directive says."""

import ssl
from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from svcdns.corefile import DEFAULT_PORTS, Directive, Option
from svcdns.corefile.values import parse_choice, parse_duration, parse_integer, parse_port, parse_zone
from svcdns.dns.message import Rcode
from svcdns.dns.name import ROOT, Name, from_text
from svcdns.errors import describe, describe_with_file
from svcdns.net.pool import Keeping
from svcdns.plugins.forward.policy import POLICIES

MOST_DESTINATIONS = 15

DNS_PORT = DEFAULT_PORTS["dns"]
TLS_PORT = DEFAULT_PORTS["tls"]

_SYNTAX = "FROM TO..."
_MOST = 2**31 - 1
_SYSTEM_RESOLVERS = Path("/etc/resolv.conf")
_SCHEMES = frozenset({"dns", "tls"})
_FLAGS = ("force_tcp", "prefer_udp", "failfast_all_unhealthy_upstreams", "next_on_nodata")
_OPTIONS = (
    *_FLAGS,
    "except", "expire", "max_age", "max_idle_conns", "max_fails", "health_check", "policy",
    "max_concurrent", "max_connect_attempts", "failover", "next",
    "read_timeout", "source_address", "resolver", "tls", "tls_servername",
)  # fmt: skip


class Address(NamedTuple):
    """An upstream whose address is written.

    Attributes:
        host: The IP address.
        port: The port.
        tls: Whether it is asked over TLS.
        server_name: Whose certificate it must show; empty for the address's own or that of `tls_servername`.
    """

    host: str
    port: int
    tls: bool = False
    server_name: str = ""


class Host(NamedTuple):
    """Upstreams whose addresses a host name has."""

    name: Name
    text: str
    port: int
    tls: bool


class File(NamedTuple):
    """Upstreams that a file names."""

    path: Path


Destination = Address | Host | File


class Tls(NamedTuple):
    """Files for TLS, empty where the system's or none are used.

    Attributes:
        digest: Of what they say, so that a reload sees a change.
    """

    certificate: str = ""
    key: str = ""
    authorities: str = ""
    digest: str = ""


class Probe(NamedTuple):
    """How an upstream that failed is probed: every *interval* seconds, for *domain*."""

    interval: float = 0.5
    recurse: bool = True
    domain: Name = ROOT


_KEEPING = Keeping()
_PROBE = Probe()
_NO_FILES = Tls()


@dataclass(frozen=True, slots=True)
class Settings:
    """One `forward` directive; see the manual of the plugin.

    Attributes:
        directive: Where it is written.
        context: How TLS is spoken, or None where no destination needs it.
        attempts: How many upstreams are tried at most; 0 for all.
        read_timeout: In seconds; None where it is not written.
    """

    directive: Directive
    zones: tuple[Name, ...]
    destinations: tuple[Destination, ...]
    excepted: tuple[Name, ...] = ()
    force_tcp: bool = False
    prefer_udp: bool = False
    keeping: Keeping = _KEEPING
    max_fails: int = 2
    probe: Probe = _PROBE
    policy: str = "random"
    max_concurrent: int = 0
    attempts: int = 0
    failfast_all_unhealthy_upstreams: bool = False
    failover: frozenset[int] = frozenset()
    next: frozenset[int] = frozenset()
    next_on_nodata: bool = False
    read_timeout: float | None = None
    source: str = ""
    resolvers: tuple[Destination, ...] = (File(_SYSTEM_RESOLVERS),)
    tls: Tls = _NO_FILES
    server_name: str = ""
    context: ssl.SSLContext | None = None


def parse(directive: Directive, contexts: MutableMapping[Tls, ssl.SSLContext]) -> Settings:
    """Read a directive and all its options.

    Args:
        directive: The directive.
        contexts: The TLS contexts in use, by what they were made of; one that is missing is added.

    Raises:
        ConfigError: It says what cannot be.
    """
    match directive.words:
        case (zone, *destinations) if destinations:
            zones = tuple(from_text(each) for each in directive.zones([zone]))
        case _:
            raise directive.expected(_SYNTAX)
    if len(destinations) > MOST_DESTINATIONS:
        raise directive.error(f"found {len(destinations)} upstreams, expected at most {MOST_DESTINATIONS}")
    settings = Settings(directive, zones, tuple(_parse_destination(directive, word) for word in destinations))
    for option in directive.options:
        settings = _apply(settings, option)
    named = any(isinstance(each, Address) and each.server_name for each in settings.destinations)
    if named and settings.server_name:
        raise directive.error("found tls_servername and a name behind '%' in an upstream, expected one of them")
    _check_family(settings)
    if any(isinstance(each, (Address, Host)) and each.tls for each in settings.destinations):
        tls = _digest(directive, settings.tls)
        context = contexts[tls] = contexts.get(tls) or _make_context(directive, tls)
        settings = replace(settings, tls=tls, context=context)
    return settings


def _check_family(settings: Settings) -> None:
    """Refuse an address to ask from that cannot reach an upstream."""
    for each in settings.destinations:
        if settings.source and isinstance(each, Address) and (":" in each.host) != (":" in settings.source):
            raise settings.directive.error(
                f"found {each.host} and source_address {settings.source}, expected one family"
            )


def _apply(settings: Settings, option: Option) -> Settings:
    """Return *settings* with one more option."""
    match option.name, option.words:
        case "except", (_, *_):
            zones = tuple(from_text(zone) for zone in option.zones(option.words))
            return replace(settings, excepted=settings.excepted + zones)
        case name, _ if name in _FLAGS:
            return _apply_flag(settings, option)
        case "policy", (policy,):
            return replace(settings, policy=option.value(parse_choice, policy, POLICIES))
        case "failover", (_, *_):
            return replace(settings, failover=settings.failover | _parse_rcodes(option, Rcode.FORMERR))
        case "next", (_, *_):
            return replace(settings, next=settings.next | _parse_rcodes(option, Rcode.NOERROR))
        case "source_address", (address,):
            return replace(settings, source=option.value(_parse_ip, address))
        case "resolver", (_, *_):
            return replace(settings, resolvers=tuple(_parse_address(option, word) for word in option.words))
        case "tls" | "tls_servername", _:
            return _apply_tls(settings, option)
        case _:
            return _apply_limit(settings, option)


def _apply_flag(settings: Settings, option: Option) -> Settings:
    match option.name, option.words:
        case "force_tcp", ():
            return replace(settings, force_tcp=True)
        case "prefer_udp", ():
            return replace(settings, prefer_udp=True)
        case "next_on_nodata", ():
            return replace(settings, next_on_nodata=True)
        case "failfast_all_unhealthy_upstreams", ():
            return replace(settings, failfast_all_unhealthy_upstreams=True)
        case _:
            raise _blame(option)


def _apply_limit(settings: Settings, option: Option) -> Settings:
    """Return *settings* with one more number or duration."""
    keeping = settings.keeping
    match option.name, option.words:
        case "expire", (duration,):
            return replace(settings, keeping=replace(keeping, expire=option.value(parse_duration, duration)))
        case "max_age", (duration,):
            return replace(settings, keeping=replace(keeping, max_age=option.value(parse_duration, duration)))
        case "max_idle_conns", (number,):
            return replace(settings, keeping=replace(keeping, max_idle=option.value(parse_integer, number, 0, _MOST)))
        case "max_fails", (number,):
            return replace(settings, max_fails=option.value(parse_integer, number, 0, _MOST))
        case "max_concurrent", (number,):
            return replace(settings, max_concurrent=option.value(parse_integer, number, 0, _MOST))
        case "max_connect_attempts", (number,):
            return replace(settings, attempts=option.value(parse_integer, number, 0, _MOST))
        case "read_timeout", (duration,):
            return replace(settings, read_timeout=option.value(parse_duration, duration, 0.001))
        case "health_check", (duration, *words):
            return replace(settings, probe=_parse_probe(option, duration, words))
        case _:
            raise _blame(option)


def _apply_tls(settings: Settings, option: Option) -> Settings:
    match option.name, option.words:
        case "tls_servername", (name,):
            return replace(settings, server_name=option.value(parse_zone, name).removesuffix("."))
        case "tls", ():
            return replace(settings, tls=Tls())
        case "tls", (authorities,):
            return replace(settings, tls=Tls(authorities=_locate(option, authorities)))
        case "tls", (certificate, key):
            return replace(settings, tls=Tls(_locate(option, certificate), _locate(option, key)))
        case "tls", (certificate, key, authorities):
            files = (_locate(option, certificate), _locate(option, key), _locate(option, authorities))
            return replace(settings, tls=Tls(*files))
        case _:
            raise _blame(option)


def _blame(option: Option) -> Exception:
    """Make the error for an option that none of the cases took."""
    if option.name.startswith("doh_"):
        return option.unsupported()
    if option.name not in _OPTIONS:
        return option.unknown(_OPTIONS)
    return option.expected(_EXPECTED.get(option.name, "one argument"))


_EXPECTED = {
    "except": "ZONES...",
    **dict.fromkeys(_FLAGS, "no arguments"),
    "health_check": "DURATION [no_rec] [domain NAME]",
    "policy": "random, round_robin or sequential",
    "failover": "RCODES...",
    "next": "RCODES...",
    "resolver": "ADDRESS[:PORT]...",
    "tls": "[CERT KEY] [CA]",
}


def _parse_probe(option: Option, duration: str, words: list[str]) -> Probe:
    probe = Probe(interval=option.value(parse_duration, duration, 0.001))
    while words:
        match words:
            case ["no_rec", *words]:
                probe = probe._replace(recurse=False)
            case ["domain", name, *words]:
                probe = probe._replace(domain=from_text(option.value(parse_zone, name)))
            case _:
                raise _blame(option)
    return probe


def _parse_rcodes(option: Option, lowest: Rcode) -> frozenset[int]:
    names = tuple(rcode.name for rcode in Rcode if lowest <= rcode <= Rcode.NOTZONE)
    return frozenset(Rcode[option.value(parse_choice, word.upper(), names)] for word in option.words)


def _parse_destination(directive: Directive, word: str) -> Destination:
    """Read one TO: an address, a file that is there, or a host name."""
    scheme, separator, rest = word.rpartition("://")
    if separator and scheme not in _SCHEMES:
        if scheme in DEFAULT_PORTS:
            raise directive.error(f"'{scheme}://' in '{word}' is a scheme of CoreDNS that svcdns does not have yet")
        raise directive.error(f"found '{word}', expected an address, 'dns://', 'tls://', a host name or a file")
    if not separator:
        path = _relative(directive, word)
        if path.is_file():
            return File(path)
        if "/" in word or not word:
            raise directive.error(f"found '{word}', expected an address, a host name or a file that is there")
    return _parse_address(directive, rest, tls=scheme == "tls")


def _parse_address(statement: Directive | Option, word: str, *, tls: bool = False) -> Address | Host:
    """Read ``HOST[%NAME][:PORT]``; ``%`` begins a server's name with TLS, else an interface's."""
    host, port = _split_port(statement, word, TLS_PORT if tls else DNS_PORT)
    server_name = ""
    if tls and "%" in host:
        host, _, server_name = host.partition("%")
        server_name = statement.value(parse_zone, server_name).removesuffix(".")
    try:
        return Address(str(ip_address(host)), port, tls, server_name)
    except ValueError:
        named = host and not server_name and statement.name != "resolver"
        zone = statement.value(parse_zone, host) if named else ""
    if not zone or zone.rpartition(".")[0].replace(".", "").isdigit():
        raise statement.error(f"found '{word}', expected an IP address")
    return Host(from_text(zone), zone.removesuffix("."), port, tls)


def _split_port(statement: Directive | Option, word: str, default: int) -> tuple[str, int]:
    """Split a port from a host; an IPv6 address with a port has brackets."""
    if word.startswith("["):
        host, bracket, rest = word[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise statement.error(f"found '{word}', expected [ADDRESS]:PORT")
        return host, statement.value(_parse_port, rest[1:]) if rest else default
    address = word.partition("%")[0]
    if address.count(":") > 1:
        before, colon, last = word.rpartition(":")
        named = "%" in before and colon and last.isdigit()
        return (before, statement.value(_parse_port, last)) if named else (word, default)
    host, colon, port = word.rpartition(":")
    return (host, statement.value(_parse_port, port)) if colon else (word, default)


def _parse_port(text: str) -> int:
    port = parse_port(text)
    if not port:
        raise ValueError("expected a port from 1 to 65535")
    return port


def _parse_ip(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("expected an IP address") from None


def _relative(statement: Directive | Option, word: str) -> Path:
    return Path(statement.path).parent / word


def _locate(option: Option, word: str) -> str:
    path = _relative(option, word)
    if not path.is_file():
        raise option.error(f"found '{word}', expected a file that is there")
    return str(path)


def _digest(directive: Directive, tls: Tls) -> Tls:
    """Fill in the digest."""
    digest = sha256()
    try:
        for name in filter(None, (tls.certificate, tls.key, tls.authorities)):
            digest.update(Path(name).read_bytes())
    except OSError as error:
        raise directive.error(f"found TLS files that cannot be used: {describe_with_file(error)}") from error
    return tls._replace(digest=digest.hexdigest())


def _make_context(directive: Directive, files: Tls) -> ssl.SSLContext:
    """Make what TLS connections share: certificates are always verified, at least TLS 1.2 is spoken."""
    try:
        context = ssl.create_default_context(cafile=files.authorities or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if files.certificate:
            context.load_cert_chain(files.certificate, files.key)
    except (OSError, ValueError) as error:
        raise directive.error(f"found TLS files that cannot be used: {describe(error)}") from error
    return context
