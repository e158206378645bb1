"""The Kubernetes objects that svcdns needs, cut down as they are decoded.

What comes as JSON from the API server or as plain data from a manifest leaves `kube.decode` as these small immutable
values, which `Cluster` keeps. A large cluster has 100,000 endpoints, so an `EndpointSlice` holds the ready ones packed,
a few dozen octets each.

Source: Kubernetes API v1 (Service, Namespace, Pod), discovery.k8s.io/v1 (EndpointSlice).
"""

from collections.abc import Iterator
from enum import Enum
from ipaddress import ip_address
from typing import NamedTuple, Self

import msgspec

Key = tuple[str, str]
"""Namespace and name; the namespace is empty for what has none."""

DEFAULT_NAMESPACE = "default"
FAMILIES = ("IPv4", "IPv6")
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
TRIGGER_TIME_ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time"
HEADLESS = "None"
EXTERNAL_NAME = "ExternalName"
FQDN = "FQDN"
"""The address type of endpoints that have names instead of addresses."""

ANY_PORT = -1
"""The port of what has none: it yields addresses but no SRV record."""

IPV4_OCTETS = 4
IPV6_OCTETS = 16

_OCTETS = {str(number): bytes((number,)) for number in range(256)}


class Kind(Enum):
    """A kind of object that is listed and watched, by its plural as the API writes it."""

    SERVICE = "services"
    ENDPOINT_SLICE = "endpointslices"
    NAMESPACE = "namespaces"
    POD = "pods"


class Port(NamedTuple):
    """A port of a Service or slice: name and protocol in lower case, `ANY_PORT` as number where there is none."""

    name: str
    protocol: str
    number: int


NO_PORTS = (Port("", "", ANY_PORT),)


class Endpoint(NamedTuple):
    """One ready address.

    Attributes:
        address: Four octets for IPv4, sixteen for IPv6.
        hostname: The endpoint's hostname, or empty.
        pod: The name of the object behind it where it can serve as a label, or empty.
    """

    address: bytes
    hostname: str
    pod: str


class Versioned(msgspec.Struct, frozen=True, gc=False):
    """What all objects have in common.

    They hold no cycles, and the collector does not look at them: its passes would be as long as the cluster is large.

    Attributes:
        key: Namespace and name.
        version: The resource version.
    """

    key: Key
    version: str

    def with_version(self, version: str) -> Self:
        """Return the same at another version."""
        return msgspec.structs.replace(self, version=version)


class Service(Versioned, frozen=True, gc=False):
    """A Service.

    Attributes:
        addresses: The cluster IPs as octets, in their order; empty for headless and ExternalName.
        headless: Whether its first cluster IP is ``None``.
        external_name: The target of an ExternalName, as written; empty for every other type.
        ports: Its ports, `NO_PORTS` where it has none.
    """

    addresses: tuple[bytes, ...]
    headless: bool
    external_name: str
    ports: tuple[Port, ...]

    @property
    def owner(self) -> Key:
        """The Service whose records it makes: itself."""
        return self.key


class EndpointSlice(Versioned, frozen=True, gc=False):
    """An EndpointSlice with what of it is ready.

    Attributes:
        service: The name of the Service it belongs to, or empty.
        ports: Its ports, `NO_PORTS` where it has none.
        packed: The ready endpoints as `pack` writes each.
        changed: When the controller saw the change behind this version, Unix time in seconds; 0 if it did not say.
    """

    service: str
    ports: tuple[Port, ...]
    packed: bytes
    changed: float = 0.0

    def endpoints(self) -> Iterator[Endpoint]:
        """Yield the ready endpoints in the order of the API."""
        packed, position = self.packed, 0
        while position < len(packed):
            hostname = position + packed[position] + 1
            pod = hostname + packed[hostname] + 1
            end = pod + packed[pod] + 1
            address = packed[position + 1 : hostname]
            yield Endpoint(address, packed[hostname + 1 : pod].decode(), packed[pod + 1 : end].decode())
            position = end

    @property
    def owner(self) -> Key:
        """The Service whose records it makes."""
        return (self.key[0], self.service)

    @property
    def addresses(self) -> set[bytes]:
        """The ready addresses alone, as octets."""
        packed, position, found = self.packed, 0, set()
        while position < len(packed):
            hostname = position + packed[position] + 1
            pod = hostname + packed[hostname] + 1
            found.add(packed[position + 1 : hostname])
            position = pod + packed[pod] + 1
        return found


class Namespace(Versioned, frozen=True, gc=False):
    """A Namespace, which counts by its name alone; its key's first half is empty."""

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """None: a Namespace has no address."""
        return ()


class Pod(Versioned, frozen=True, gc=False):
    """A Pod's addresses as octets, one per family at most."""

    addresses: tuple[bytes, ...]


Object = Service | EndpointSlice | Namespace | Pod


def pack(address: bytes, hostname: str, pod: str) -> bytes:
    """Write an `Endpoint` as the octets that `EndpointSlice` keeps: each field behind a length octet."""
    name, behind = hostname.encode(), pod.encode()
    return b"%c%b%c%b%c%b" % (len(address), address, len(name), name, len(behind), behind)


def octets(address: str) -> bytes | None:
    """Return the octets of an IP address as text, or None where it is none; with a zone, no record can hold it."""
    try:  # a large cluster has 100,000 such, and this is a quarter of the time
        first, second, third, fourth = address.split(".")
        return _OCTETS[first] + _OCTETS[second] + _OCTETS[third] + _OCTETS[fourth]
    except (ValueError, KeyError):
        pass
    try:
        return None if "%" in address else ip_address(address).packed
    except ValueError:
        return None
