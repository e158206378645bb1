"""From objects to records: one function for each section of the DNS specification, and for what CoreDNS adds to it.

All are pure. Each takes the name to publish at, which is the question's, and what the cluster holds there, and returns
the `Node` that stands at it, or None where no name is. Whether a name exists is decided at once and cheaply; the
records themselves are made when their type is first asked for.

Source: Kubernetes DNS-Based Service Discovery, schema 1.1.0; RFC 2782.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from ipaddress import IPv6Address
from typing import NamedTuple

from svcdns.dns.name import MAX_LABEL, MAX_NAME, Name, from_text, join, parent
from svcdns.dns.records import RRset, Rtype, hostmaster, soa, srv, txt
from svcdns.dns.zone import EMPTY, Maker, Node, Records
from svcdns.kube.objects import ANY_PORT, IPV4_OCTETS, IPV6_OCTETS, Endpoint, EndpointSlice, Key, Port, Service, octets

SCHEMA_VERSION = b"1.1.0"
LONGEST_SOA_TTL = 300

_VERSION_TTL = 28800
_REFRESH, _RETRY, _EXPIRE = 7200, 1800, 86400
_FULL_WEIGHT = 100
_IPV4_DASHES = 3
_IPV4_MAPPED = bytes(10) + b"\xff\xff"
_ADDRESS_TYPES = ((Rtype.A, IPV4_OCTETS), (Rtype.AAAA, IPV6_OCTETS))


class Offer(NamedTuple):
    """One address and port at which a Service is offered: the unit that SRV weights count.

    Attributes:
        address: As octets.
        port: The port's number, or `ANY_PORT`.
        endpoint: The endpoint that the address belongs to; None for a cluster IP.
    """

    address: bytes
    port: int
    endpoint: Endpoint | None = None


class PortFilter(NamedTuple):
    """What a name says of a port: its name and protocol, each empty where any will do."""

    name: str = ""
    protocol: str = ""

    @classmethod
    def from_labels(cls, name: bytes, protocol: bytes) -> "PortFilter":
        """Read ``_name._protocol``; CoreDNS asks for no underscore, and lets a lone one stand for any."""
        return cls(name.decode("latin-1").removeprefix("_"), protocol.decode("latin-1").removeprefix("_"))

    def pick(self, ports: Iterable[Port]) -> list[Port]:
        """Return those of *ports* that fit."""
        return [port for port in ports if self.name in ("", port.name) and self.protocol in ("", port.protocol)]


ANY = PortFilter()


class Publisher(NamedTuple):
    """How records are made: their TTL in seconds, and whether endpoints are named after their Pods."""

    ttl: int = 5
    pod_names: bool = False

    def publish_service(self, name: Name, service: Service, slices: Sequence[EndpointSlice]) -> Node | None:
        """Publish a Service: its cluster IPs, or where it is headless its ready endpoints, or its external name.

        Source: sections 2.3.1, 2.4.1 and 2.5.
        """
        if service.external_name:
            return self._alias(name, service.external_name)
        return self._offered(name, name, partial(_offers, service, slices, ANY)) or _above_endpoints(slices)

    def publish_port(
        self, name: Name, wanted: PortFilter, service: Service, slices: Sequence[EndpointSlice]
    ) -> Node | None:
        """Publish what of a Service is offered at some of its ports.

        Source: sections 2.3.2 and 2.4.2.
        """
        if service.external_name:
            return self._alias(name, service.external_name) if wanted == ANY else None
        return self._offered(name, parent(parent(name)), partial(_offers, service, slices, wanted))

    def publish_endpoint(
        self, name: Name, label: bytes, service: Service, slices: Sequence[EndpointSlice]
    ) -> Node | None:
        """Publish the ready endpoints of a Service that are called *label*, else the protocol above its ports.

        Source: section 2.4.1 for headless Services; RFC 8020 for ``_tcp`` above ``_http._tcp``.
        """
        wanted = PortFilter.from_labels(b"", label)
        if service.external_name:
            return EMPTY if wanted == ANY and self._alias(name, service.external_name) is not None else None
        node = self._offered(name, parent(name), partial(self._endpoint_offers, label, slices))
        if node is None and any(_offers(service, slices, wanted)):
            return EMPTY
        return node

    def publish_pod(self, name: Name, address: bytes) -> Node:
        """Publish a Pod under its address (kept by CoreDNS from kube-dns, no part of the specification)."""
        made = RRset(name, Rtype.A if len(address) == IPV4_OCTETS else Rtype.AAAA, self.ttl, [address])
        service = RRset(name, Rtype.SRV, self.ttl, [srv(0, _FULL_WEIGHT, 0, name)])
        return Node({made.rtype: Records(made), Rtype.SRV: Records(service, (made,))})

    def publish_pointers(self, name: Name, targets: Sequence[Name]) -> Node | None:
        """Publish the names of an address.

        Source: sections 2.3.3 and 2.4.3.
        """
        return Node({Rtype.PTR: Records(RRset(name, Rtype.PTR, self.ttl, targets))}) if targets else None

    def publish_apex(self, soa: RRset, servers: Sequence[tuple[Name, bytes]]) -> Node:
        """Publish a zone's SOA and name servers.

        Args:
            soa: The SOA.
            servers: Each name server with each of its addresses.
        """
        parts: dict[int, Records | Maker] = {Rtype.SOA: Records(soa)}
        if servers:
            names = dict.fromkeys(name for name, _ in servers)
            parts[Rtype.NS] = Records(RRset(soa.owner, Rtype.NS, self.ttl, list(names)), self._glue(servers))
        return Node(parts)

    def publish_addresses(self, name: Name, addresses: Iterable[bytes]) -> Node:
        """Publish addresses of either family at *name*, which exists even without any."""
        return Node({rrset.rtype: Records(rrset) for rrset in self._address_sets(name, addresses)})

    def label_endpoint(self, endpoint: Endpoint) -> bytes:
        """Name an endpoint inside its Service: its hostname, its Pod's name where that is asked for, or its address."""
        text = endpoint.hostname or (endpoint.pod if self.pod_names else "")
        label = text.encode().lower()
        return label if 0 < len(label) <= MAX_LABEL else label_address(endpoint.address)

    def name_endpoints(self, slice_: EndpointSlice, address: bytes, zone: Name) -> Iterator[Name]:
        """Yield the names in *zone* of those endpoints of a slice that have *address*."""
        for endpoint in slice_.endpoints():
            if endpoint.address == address and (name := self.name_endpoint(endpoint, slice_.owner, zone)) is not None:
                yield name

    def name_endpoint(self, endpoint: Endpoint, service: Key, zone: Name) -> Name | None:
        """Name an endpoint inside *zone*; None where its name would be too long."""
        above = name_service(service, zone)
        return None if above is None else _child(self.label_endpoint(endpoint), above)

    def _alias(self, name: Name, external_name: str) -> Node | None:
        """Publish a CNAME; an address or what is no name cannot be one's target."""
        if octets(external_name) is not None:
            return None
        try:
            target = from_text(external_name)
        except ValueError:
            return None
        return Node({Rtype.CNAME: Records(RRset(name, Rtype.CNAME, self.ttl, [target]))})

    def _offered(self, name: Name, service: Name, offers: Callable[[], Iterator[Offer]]) -> Node | None:
        """Publish offers at *name*, the Service being called *service*; None where there are none."""
        if not any(offers()):
            return None
        return Node(
            {
                Rtype.A: partial(self._address_records, name, Rtype.A, IPV4_OCTETS, offers),
                Rtype.AAAA: partial(self._address_records, name, Rtype.AAAA, IPV6_OCTETS, offers),
                Rtype.SRV: partial(self._srv, name, service, offers),
            }
        )

    def _address_records(
        self, name: Name, rtype: Rtype, size: int, offers: Callable[[], Iterator[Offer]]
    ) -> Records | None:
        found = dict.fromkeys(offer.address for offer in offers() if len(offer.address) == size)
        return Records(RRset(name, rtype, self.ttl, list(found))) if found else None

    def _srv(self, name: Name, service: Name, offers: Callable[[], Iterator[Offer]]) -> Records | None:
        """Make SRV records, and the addresses of their targets.

        As CoreDNS does it, the weight counts every offer, also those that name no port or turn out equal.
        """
        found = list(offers())
        weight = max(1, _FULL_WEIGHT // len(found))
        rdatas: dict[bytes, None] = {}
        targets: list[tuple[Name, bytes]] = []
        for address, port, endpoint in found:
            target = service if endpoint is None else _child(self.label_endpoint(endpoint), service)
            if port == ANY_PORT or target is None:
                continue
            rdatas[srv(0, weight, port, target)] = None
            targets.append((target, address))
        if not rdatas:
            return None
        return Records(RRset(name, Rtype.SRV, self.ttl, list(rdatas)), self._glue(targets))

    def _glue(self, targets: Iterable[tuple[Name, bytes]]) -> tuple[RRset, ...]:
        """Make the address records of what other records point to, in the order of the names."""
        addresses: dict[Name, dict[bytes, None]] = {}
        for name, address in targets:
            addresses.setdefault(name, {})[address] = None
        return tuple(rrset for name, found in addresses.items() for rrset in self._address_sets(name, found))

    def _address_sets(self, name: Name, addresses: Iterable[bytes]) -> Iterator[RRset]:
        for rtype, size in _ADDRESS_TYPES:
            of_type = [address for address in dict.fromkeys(addresses) if len(address) == size]
            if of_type:
                yield RRset(name, rtype, self.ttl, of_type)

    def _endpoint_offers(self, label: bytes, slices: Iterable[EndpointSlice]) -> Iterator[Offer]:
        address = parse_address_label(label)
        for slice_ in slices:
            if not _may_hold(slice_, label, address):
                continue
            for endpoint in slice_.endpoints():
                if self.label_endpoint(endpoint) == label:
                    for port in slice_.ports:
                        yield Offer(endpoint.address, port.number, endpoint)


def make_soa(zone: Name, ttl: int, serial: int) -> RRset:
    """Make the SOA of *zone*; *ttl* is that of its records, in seconds.

    Raises:
        ValueError: The zone's name leaves no room for those of its primary server and its mailbox.
    """
    times = (_REFRESH, _RETRY, _EXPIRE, ttl)
    return RRset(zone, Rtype.SOA, min(ttl, LONGEST_SOA_TTL), [soa(name_server(zone), hostmaster(zone), serial, times)])


def name_server(zone: Name) -> Name:
    """Return the name of the primary server that the SOA of *zone* names."""
    return join([b"ns", b"dns"], zone)


def publish_version(name: Name) -> Node:
    """Publish the version of the specification.

    Source: section 2.2.
    """
    return Node({Rtype.TXT: Records(RRset(name, Rtype.TXT, _VERSION_TTL, [txt(SCHEMA_VERSION)]))})


def name_service(service: Key, zone: Name) -> Name | None:
    """Name a Service inside *zone*; None where its name is none or too long."""
    namespace, name = service
    try:
        return join([name.encode(), namespace.encode(), b"svc"], zone)
    except ValueError:
        return None


def label_address(address: bytes) -> bytes:
    """Write an address as a label: dashes for what separates its parts, and no dash at the end."""
    if len(address) == IPV4_OCTETS:
        return b"%d-%d-%d-%d" % tuple(address)
    label = str(IPv6Address(address)).replace(":", "-").encode()
    return label + b"0" if label.endswith(b"-") else label


def parse_address_label(label: bytes) -> bytes | None:
    """Read an address that was written as a label; None where it is none. One of IPv4 may be mapped into IPv6."""
    text = label.decode("latin-1")
    ipv4 = text.count("-") == _IPV4_DASHES and "--" not in text
    address = octets(text.replace("-", "." if ipv4 else ":"))
    return address.removeprefix(_IPV4_MAPPED) if address is not None else None


def _offers(service: Service, slices: Iterable[EndpointSlice], wanted: PortFilter) -> Iterator[Offer]:
    """Yield what a Service offers at ports that fit: its cluster IPs, or its endpoints where it is headless."""
    if not service.headless:
        for port in wanted.pick(service.ports):
            for address in service.addresses:
                yield Offer(address, port.number)
        return
    for slice_ in slices:
        if ports := wanted.pick(slice_.ports):
            for endpoint in slice_.endpoints():
                for port in ports:
                    yield Offer(endpoint.address, port.number, endpoint)


def _above_endpoints(slices: Iterable[EndpointSlice]) -> Node | None:
    """Tell whether a Service that offers nothing itself stands above names of endpoints."""
    return EMPTY if any(slice_.packed for slice_ in slices) else None


def _may_hold(slice_: EndpointSlice, label: bytes, address: bytes | None) -> bool:
    """Tell cheaply whether a slice may hold an endpoint called *label*, since a Service can have thousands."""
    if address is not None and address in slice_.packed:
        return True
    return bytes((len(label),)) + label in slice_.packed.lower()


def _child(label: bytes, above: Name) -> Name | None:
    """Put a label of 1 to 63 octets before a name; None where that makes it too long."""
    name = bytes((len(label),)) + label + above
    return Name(name) if len(name) <= MAX_NAME else None
