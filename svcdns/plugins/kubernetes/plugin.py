"""The plugin: which query a view answers, which the rest of the chain, and what others know of an answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

import ifaddr

from svcdns.chain import Environment, Handler, Plugin, only
from svcdns.corefile import Directive
from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.name import Name, to_text
from svcdns.dns.records import Rtype
from svcdns.kube.cluster import Cluster
from svcdns.kube.memo import Chase
from svcdns.kube.objects import DEFAULT_NAMESPACE, IPV4_OCTETS, Service
from svcdns.kube.schema import name_service
from svcdns.kube.view import PLUGIN, View
from svcdns.plugins.kubernetes.config import Folders, Settings, read_settings
from svcdns.plugins.kubernetes.sources import Source, open_source

_EXAMPLE_TYPES = (Rtype.A, Rtype.AAAA, Rtype.CNAME)

log = logging.getLogger(__name__)


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Read the `kubernetes` directive of a server block."""
    directive = only(directives)
    settings = read_settings(directive, environment.zones, environment.warn)
    return Kubernetes(settings, open_source(directive, settings, environment), environment)


class Kubernetes(Plugin):
    """Answers from a view of a cluster.

    Args:
        settings: What the directive says.
        source: What keeps the cluster current.
        environment: What the application lends.
    """

    skippable = True
    singular = True

    def __init__(self, settings: Settings, source: Source, environment: Environment) -> None:
        self.startup_timeout = settings.startup_timeout
        self._settings = settings
        self._source = source
        self._view = View(source.cluster, settings.options, LocalAddresses(environment.listening))
        self._resolve: Callable[[Query], Awaitable[Response]] = environment.resolve

    async def handle(self, query: Query, rest: Handler) -> Response:
        """Answer *query* if its name is the cluster's."""
        found = self._view.find(query.name, query.rtype)
        if isinstance(found, Response):
            return found
        if found is not None:
            return await self._chase(query, found)
        response = await rest(query)
        fell_through = response.repeat is not None and self._view.covers(query.name)
        return response.repeatable(None) if fell_through else response

    def refresh(self) -> None:
        """End the leases of answers that a change in the cluster touched."""
        self._view.refresh()

    def prepare(self) -> None:
        """Have at hand what is likely to be asked for after a change in the cluster."""
        self._view.prepare()

    async def run(self) -> None:
        """Say so once if the first lists are not in by the time that they should be."""
        await asyncio.sleep(self.startup_timeout)
        if reason := self.unready:
            log.warning("starting without a full view of the cluster: %s", reason)

    @property
    def unready(self) -> str:
        """Which kinds of object are not listed yet, and what stands against it."""
        pending = self._source.cluster.pending
        if not pending:
            return ""
        missing = ", ".join(sorted(kind.value for kind in pending))
        faults = [fault for kind, fault in self._source.faults().items() if kind in pending]
        return f"no list of {missing} yet" + (f" ({'; '.join(faults)})" if faults else "")

    @property
    def example(self) -> str:
        """A question that the manifests answer; those of an API server may not be in yet."""
        if not isinstance(self._settings.source, Folders):
            return ""
        return find_example(self._source.cluster, self._settings.options.primary, self._view.find)

    async def _chase(self, query: Query, found: Chase) -> Response:
        """Ask the whole server for the last step of an answer; the response code is that of the last step (RFC 6604).

        A name that nobody here answers for, the client's resolver may know: to it the CNAME is a good answer.
        """
        last = await self._resolve(query.replace(name=found.target, depth=query.depth + len(found.links)))
        if last.rcode == Rcode.REFUSED and not last.plugin:
            return Response(answer=found.links, aa=True, plugin=PLUGIN)
        answer = (*found.links, *(rrset for rrset in last.answer if rrset not in found.links))
        return last.replace(answer=answer, additional=(), aa=True, ad=False, plugin=PLUGIN, repeat=None)


def find_example(cluster: Cluster, zone: Name, find: Callable[[Name, int], Response | Chase | None]) -> str:
    """Return a question that is answered: rather for a cluster IP, rather of IPv4, rather in ``default``.

    Args:
        cluster: What is served.
        zone: The zone for names, whose SOA is there in any case.
        find: Answers a question.
    """
    for service in sorted(cluster.services.values(), key=_rank_as_example):
        name = name_service(service.key, zone)
        if name is None:
            continue
        for rtype in _EXAMPLE_TYPES:
            found = find(name, rtype)
            if isinstance(found, Response) and found.rcode == Rcode.NOERROR and found.answer:
                return f"{_show(name)} {rtype.name}"
    return f"{_show(zone)} {Rtype.SOA.name}"


def _rank_as_example(service: Service) -> tuple[bool, bool, bool, bool]:
    ipv4 = any(len(address) == IPV4_OCTETS for address in service.addresses)
    return bool(service.external_name), service.headless, not ipv4, service.key[0] != DEFAULT_NAMESPACE


def _show(name: Name) -> str:
    return to_text(name).removesuffix(".") or "."


class LocalAddresses:
    """The addresses that this server answers at, those of all interfaces where it listens at all.

    Args:
        listening: Returns the addresses and ports of the listeners.
    """

    def __init__(self, listening: Callable[[], Sequence[tuple[str, int]]]) -> None:
        self._listening = listening
        self._interfaces: tuple[bytes, ...] | None = None

    def __call__(self) -> Sequence[bytes]:
        """Return the addresses as octets, each once."""
        bound = [ip_address(address.partition("%")[0]) for address, _ in self._listening()]
        if bound and not any(address.is_unspecified for address in bound):
            return list(dict.fromkeys(address.packed for address in bound))
        if self._interfaces is None:
            self._interfaces = tuple(dict.fromkeys(_list_interface_addresses()))
        return self._interfaces


def _list_interface_addresses() -> list[bytes]:
    texts = [each.ip if isinstance(each.ip, str) else each.ip[0] for card in ifaddr.get_adapters() for each in card.ips]
    return [ip_address(text).packed for text in texts]
