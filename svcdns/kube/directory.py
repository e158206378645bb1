"""The names of a cluster: which there are, and what stands at each.

A name is read from right to left, its objects are looked up and published. Nothing is kept here.

Source: Kubernetes DNS-Based Service Discovery, schema 1.1.0; RFC 8020.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from itertools import chain
from sys import intern
from typing import NamedTuple

from svcdns.dns.name import Name, is_within, labels, reversed_address
from svcdns.dns.zone import EMPTY, Node, Zone
from svcdns.kube.cluster import Cluster
from svcdns.kube.objects import EndpointSlice, Key, Kind, Service
from svcdns.kube.reverse import PointedAddresses, is_loopback, is_reverse
from svcdns.kube.schema import (
    PortFilter,
    Publisher,
    name_server,
    name_service,
    parse_address_label,
    publish_version,
)

UNREAD = Node({})
"""Stands for what nobody can tell, since the API server does not let us list what it is made of."""

EVERY_CHANGE: Key = ("", "")
"""What names depend on that several Services, or something else, have a part in."""

NO_CHANGE: Key = ("", ".")
"""What names depend on that no Service has a part in."""


class Pods(Enum):
    """Which names of Pods exist: none, all that are addresses, or those of Pods that there are."""

    DISABLED = "disabled"
    INSECURE = "insecure"
    VERIFIED = "verified"


class Options(NamedTuple):
    """What is shown of a cluster.

    Attributes:
        zones: The zones to answer for; the first that is no reverse zone is where addresses point to.
        ttl: The TTL of records in seconds, 0 to 3600.
        pods: Which names of Pods exist.
        namespaces: The namespaces shown; all where there are none.
        fallthrough: The zones in which names that do not exist are for the rest of the chain.
        pod_names: Whether endpoints are named after their Pods.
        ignore_empty: Whether a Service with a cluster IP exists only with ready endpoints.
    """

    zones: tuple[Name, ...]
    ttl: int = 5
    pods: Pods = Pods.DISABLED
    namespaces: frozenset[str] = frozenset()
    fallthrough: tuple[Name, ...] = ()
    pod_names: bool = False
    ignore_empty: bool = False

    @property
    def primary(self) -> Name:
        """The zone that addresses point to."""
        return next(zone for zone in self.zones if not is_reverse(zone))

    def falls_through(self, name: Name) -> bool:
        """Tell whether *name*, if it does not exist, is for the rest of the chain."""
        return is_within(name, self.fallthrough)


class Found(NamedTuple):
    """What was found of a name.

    Attributes:
        node: What stands there; None where nothing does, `UNREAD` where nobody can tell.
        key: The Service that it depends on, `EVERY_CHANGE` or `NO_CHANGE`; None where it is not worth to be kept.
    """

    node: Node | None
    key: Key | None = None


_NEVER = Found(None, NO_CHANGE)


class Directory:
    """Finds what stands at a name.

    Args:
        cluster: The cluster.
        options: What to show of it.
        local: Returns the addresses that this server answers at, as octets.

    Attributes:
        unread: The kinds that the directory must do without.
    """

    def __init__(self, cluster: Cluster, options: Options, local: Callable[[], Sequence[bytes]]) -> None:
        self.unread: frozenset[Kind] = frozenset()
        self._cluster = cluster
        self._options = options
        self._local = local
        self._publisher = Publisher(options.ttl, pod_names=options.pod_names)
        self._primary = options.primary
        self._pointed: PointedAddresses | None = None

    def look_up(self, name: Name, zone: Zone) -> Found:
        """Find what stands at *name* inside *zone*."""
        path = labels(Name(name[: -len(zone.apex)] + b"\x00"))
        reverse = is_reverse(name)
        match path[::-1]:
            case []:
                return Found(self._publisher.publish_apex(zone.soa, self._servers(zone.apex)), EVERY_CHANGE)
            case [b"dns-version"]:
                return Found(publish_version(name), EVERY_CHANGE)
            case [b"dns", b"ns"]:
                addresses = [address for _, address in self._servers(zone.apex)]
                return Found(self._publisher.publish_addresses(name, addresses), EVERY_CHANGE)
            case [b"dns"] if not (reverse and self._options.falls_through(name)):
                return Found(EMPTY, EVERY_CHANGE)
            case [b"svc" | b"pod"]:
                return Found(EMPTY, EVERY_CHANGE)
            case _ if reverse:
                return Found(self._look_up_address(name), EVERY_CHANGE)
            case [b"svc", namespace, *below]:
                return self._look_up_service(name, namespace.decode("latin-1"), below)
            case [b"pod", namespace, *below] if self._options.pods is not Pods.DISABLED:
                return self._look_up_pod(name, namespace.decode("latin-1"), below)
        return _NEVER

    def exposes(self, namespace: str) -> bool:
        """Tell whether the Services of a namespace are shown."""
        shown = self._options.namespaces
        return (not shown or namespace in shown) and ("", namespace) in self._cluster.namespaces

    def take_in(self, touched: Iterable[Key] | None) -> None:
        """Take in which Services changed; None where all may have."""
        if touched is None:
            self._pointed = None
        elif self._pointed is not None:
            for key in touched:
                service = self._cluster.services.get(key)
                self._pointed.add(service.addresses if service is not None else ())
                for slice_ in self._cluster.slices.of(key):
                    self._pointed.add(slice_.addresses)
            if self._pointed.outgrown:
                self._pointed = None

    def _look_up_service(self, name: Name, namespace: str, below: Sequence[bytes]) -> Found:
        """Find what *below*, labels from right to left, leads to in the Services of a namespace."""
        if not self.exposes(namespace):
            return _NEVER
        if not below:
            return Found(EMPTY, EVERY_CHANGE)
        key = (intern(namespace), below[0].decode("latin-1"))  # kept with what does not exist
        service = self._cluster.services.get(key)
        if service is None:
            return Found(None, key)
        key = service.key  # the same, which is kept already
        slices = self._cluster.slices.of(key)
        if Kind.ENDPOINT_SLICE in self.unread and self._needs_slices(service, below):
            return Found(UNREAD)
        if self._ignores(service, slices):
            return Found(None, key)
        match below:
            case [_]:
                return Found(self._publisher.publish_service(name, service, slices), key)
            case [_, label]:
                return Found(self._publisher.publish_endpoint(name, label, service, slices), key)
            case [_, protocol, port]:
                wanted = PortFilter.from_labels(port, protocol)
                return Found(self._publisher.publish_port(name, wanted, service, slices), key)
        return Found(None, key)

    def _look_up_pod(self, name: Name, namespace: str, below: Sequence[bytes]) -> Found:
        """Find a Pod's name in a namespace: the namespace itself and names right below it are all there is."""
        if not self.exposes(namespace) or len(below) > 1:
            return _NEVER
        if not below:
            return Found(EMPTY, EVERY_CHANGE)
        address = parse_address_label(below[0])
        if address is None:
            return _NEVER
        if self._options.pods is Pods.VERIFIED:
            if Kind.POD in self.unread:
                return Found(UNREAD)
            if all(pod.key[0] != namespace for pod in self._cluster.pods.at(address)):
                return Found(None, EVERY_CHANGE)
        return Found(self._publisher.publish_pod(name, address))

    def _look_up_address(self, name: Name) -> Node | None:
        """Find what stands at a name under in-addr.arpa or ip6.arpa.

        Where such names fall through there is no empty non-terminal: what stands there may be an upstream's.
        """
        address = reversed_address(name)
        if address is not None:
            found = self._publisher.publish_pointers(name, self._targets(address.packed))
        elif self._options.falls_through(name):
            return None
        else:
            found = EMPTY if self._stands_above_addresses(name) else None
        return UNREAD if found is None and Kind.ENDPOINT_SLICE in self.unread else found

    def _stands_above_addresses(self, name: Name) -> bool:
        """Tell whether names of addresses that have targets stand below a reverse name."""
        if self._pointed is None:
            holders: Iterator[Service | EndpointSlice] = chain(
                self._cluster.services.values(), self._cluster.slices.values()
            )
            self._pointed = PointedAddresses(address for holder in holders for address in holder.addresses)
        return self._pointed.any_below(name, lambda address: bool(self._targets(address)))

    def _targets(self, address: bytes) -> list[Name]:
        """Name what has *address*: one Service if it is a cluster IP, else all endpoints that have it."""
        if is_loopback(address):
            return []
        for service in self._cluster.services.at(address):
            name = name_service(service.key, self._primary)
            if name is not None and self.exposes(service.key[0]):
                return [name]
        found = [
            target
            for slice_ in self._cluster.slices.at(address)
            if slice_.service and self.exposes(slice_.key[0])
            for target in self._publisher.name_endpoints(slice_, address, self._primary)
        ]
        return list(dict.fromkeys(found))

    def _servers(self, apex: Name) -> list[tuple[Name, bytes]]:
        """Name a zone's servers with their addresses: the Services that select this one, else its own addresses."""
        local = [address for address in self._local() if not is_loopback(address)]
        slices = {slice_.key: slice_ for address in local for slice_ in self._cluster.slices.at(address)}
        if not slices:
            return [(name_server(apex), address) for address in local]
        found: list[tuple[Name | None, bytes]] = []
        for slice_ in slices.values():
            service = self._cluster.services.get(slice_.owner)
            if service is None:
                continue
            found += [(name_service(service.key, apex), address) for address in service.addresses]
            if service.headless:
                found += [
                    (self._publisher.name_endpoint(endpoint, service.key, apex), endpoint.address)
                    for endpoint in slice_.endpoints()
                ]
        return list(dict.fromkeys((name, address) for name, address in found if name is not None))

    def _needs_slices(self, service: Service, below: Sequence[bytes]) -> bool:
        """Tell whether what stands at *below* can only be told from endpoint slices."""
        if service.external_name:
            return False
        return service.headless or self._options.ignore_empty or len(below) == 2

    def _ignores(self, service: Service, slices: Sequence[EndpointSlice]) -> bool:
        """Tell whether a Service is passed over for its lack of ready endpoints."""
        clustered = not service.headless and not service.external_name
        return self._options.ignore_empty and clustered and not any(slice_.packed for slice_ in slices)
