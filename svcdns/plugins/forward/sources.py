"""Where the addresses of upstreams come from: the Corefile itself, a file, or a host name."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol

from svcdns.chain import Environment
from svcdns.corefile import Directive
from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.records import Rtype
from svcdns.errors import UpstreamError
from svcdns.net.asking import ask
from svcdns.net.resolvconf import PORT, ResolvConf
from svcdns.net.upstream import Upstream
from svcdns.plugins.forward.config import Address, Destination, File, Host

PATIENCE = 2.0
"""How long one server has to give the addresses of a host name, in seconds."""

_TYPES = (Rtype.A, Rtype.AAAA)
_SHORTEST_TTL = 30.0
_LONGEST_TTL = 3600.0
_AGAIN = 5.0


class Source(Protocol):
    """What knows addresses of upstreams."""

    def addresses(self) -> tuple[Address, ...]:
        """Return the addresses that are known now."""


class Fixed:
    """An address as written."""

    def __init__(self, address: Address) -> None:
        self._addresses = (address,)

    def addresses(self) -> tuple[Address, ...]:
        """Return the address."""
        return self._addresses


class Listed:
    """The name servers of a file."""

    def __init__(self, listed: ResolvConf) -> None:
        self._listed = listed
        self._nameservers: tuple[str, ...] = ()
        self._addresses: tuple[Address, ...] = ()

    def addresses(self) -> tuple[Address, ...]:
        """Return what the file names, as of the last second."""
        nameservers = self._listed.nameservers
        if nameservers is not self._nameservers:
            self._nameservers = nameservers
            self._addresses = tuple(Address(nameserver, PORT) for nameserver in nameservers)
        return self._addresses


class Resolved:
    """The addresses of a host name; the last ones known stay while nobody gives newer ones.

    Attributes:
        host: The host name.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self._addresses: tuple[Address, ...] = ()

    def addresses(self) -> tuple[Address, ...]:
        """Return the addresses found last."""
        return self._addresses

    async def resolve(self, resolvers: Sequence[Upstream]) -> float:
        """Ask *resolvers* in turn until one knows the name.

        Returns:
            After how many seconds to ask again.
        """
        for resolver in resolvers:
            answers = await asyncio.gather(*(_ask(resolver, Query(self.host.name, rtype)) for rtype in _TYPES))
            found = [rrset for answer in answers for rrset in answer.answer if rrset.rtype in _TYPES]
            if found:
                hosts = [str(ip_address(rdata)) for rrset in found for rdata in rrset.rdatas]
                self._addresses = tuple(Address(host, self.host.port, self.host.tls, self.host.text) for host in hosts)
                return min(_LONGEST_TTL, max(_SHORTEST_TTL, min(rrset.ttl for rrset in found)))
        return _AGAIN


def open_source(directive: Directive, environment: Environment, destination: Destination) -> Source:
    """Make the source of what *destination* stands for.

    Raises:
        ConfigError: A file cannot be read.
    """
    match destination:
        case Address():
            return Fixed(destination)
        case Host():
            return Resolved(destination)
        case File(path):
            try:
                return Listed(ResolvConf(path, environment.clock, environment.listening))
            except (OSError, UnicodeDecodeError) as error:
                raise directive.error(f"{path} cannot be read: {error}") from error


async def _ask(resolver: Upstream, query: Query) -> Response:
    try:
        return await ask(resolver, query, PATIENCE)
    except UpstreamError as error:
        return Response(Rcode.SERVFAIL, error=error)
