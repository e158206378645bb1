"""Where the addresses of upstreams come from: the Corefile itself, a file, or a host name."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Protocol

from svcdns.chain import Environment
from svcdns.corefile import Directive
from svcdns.dns.message import Query, Rcode, Response, rcode_to_text
from svcdns.dns.records import Rtype
from svcdns.errors import UpstreamError, describe
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

log = logging.getLogger(__name__)


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
        name: The host name as written.
    """

    def __init__(self, host: Host) -> None:
        self.name = host.text
        self._host = host
        self._addresses: tuple[Address, ...] = ()
        self._failure = ""

    @property
    def missing(self) -> str:
        """Why there is no address; empty where there is one."""
        return "" if self._addresses else f"{self.name}: {self._failure or 'not looked up yet'}"

    def addresses(self) -> tuple[Address, ...]:
        """Return the addresses found last."""
        return self._addresses

    async def resolve(self, resolvers: Sequence[Upstream]) -> float:
        """Ask *resolvers* in turn until one knows the name.

        Returns:
            After how many seconds to ask again.
        """
        failures = []
        for resolver in resolvers:
            answers = await asyncio.gather(*(_ask(resolver, Query(self._host.name, rtype)) for rtype in _TYPES))
            found = [rrset for answer in answers for rrset in answer.answer if rrset.rtype in _TYPES]
            if found:
                hosts = [str(ip_address(rdata)) for rrset in found for rdata in rrset.rdatas]
                port, tls = self._host.port, self._host.tls
                self._addresses = tuple(Address(host, port, tls, self.name) for host in hosts)
                self._tell("")
                return min(_LONGEST_TTL, max(_SHORTEST_TTL, min(rrset.ttl for rrset in found)))
            failures.append(_describe(resolver.label, answers))
        self._tell("; ".join(failures) or "there is no name server to ask for it")
        return _AGAIN

    def _tell(self, failure: str) -> None:
        """Log how the look-up ended, where it ended otherwise than the last."""
        if failure and failure != self._failure:
            log.warning("upstream %s: %s", self.name, failure)
        elif self._failure and not failure:
            log.info("upstream %s is found", self.name)
        self._failure = failure


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
                raise directive.error(f"{path} cannot be read: {describe(error)}") from error


async def _ask(resolver: Upstream, query: Query) -> Response:
    try:
        return await ask(resolver, query, PATIENCE)
    except UpstreamError as error:
        return Response(Rcode.SERVFAIL, error=error)


def _describe(label: str, answers: Iterable[Response]) -> str:
    """Say what came of asking the name server *label*, which gave no address."""
    for answer in answers:
        if answer.error is not None:
            return f"{label} gives no answer"
        if answer.rcode == Rcode.NXDOMAIN:
            return f"the name is not found, says {label}"
        if answer.rcode != Rcode.NOERROR:
            return f"{label} answers {rcode_to_text(answer.rcode)}"
    return f"the name has no address, says {label}"
