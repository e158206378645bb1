"""How the API writes the objects that svcdns needs, and how they are cut down to the values of `kube.objects`.

The structures name the fields that count; msgspec skips all others while it reads, which is what keeps a large
cluster's lists cheap.

Source: Kubernetes API v1, discovery.k8s.io/v1.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

import msgspec

from svcdns.dns.name import MAX_LABEL
from svcdns.kube.objects import (
    ANY_PORT,
    EXTERNAL_NAME,
    FQDN,
    HEADLESS,
    NO_PORTS,
    SERVICE_NAME_LABEL,
    TRIGGER_TIME_ANNOTATION,
    EndpointSlice,
    Key,
    Kind,
    Namespace,
    Object,
    Pod,
    Port,
    Service,
    Versioned,
    octets,
    pack,
)


class Struct(msgspec.Struct, rename="camel", gc=False):
    """Field names in the API's camel case; values without cycles, so that the collector need not track them."""


class Meta(Struct):
    """The metadata of an object or of a list."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None
    continue_: str = msgspec.field(default="", name="continue")


class _Port(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None
    protocol: str | None = None
    port: int | None = None


class _ServiceSpec(Struct):
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: list[str] | None = msgspec.field(default=None, name="clusterIPs")
    type: str = "ClusterIP"
    external_name: str = ""
    ports: list[_Port] | None = None


class _Service(Struct):
    metadata: Meta
    spec: _ServiceSpec
    kind: str = ""


class _Conditions(Struct):
    ready: bool | None = None


class _Reference(Struct):
    name: str = ""


class _Endpoint(Struct):
    addresses: list[str] | None = None
    conditions: _Conditions | None = None
    hostname: str | None = None
    target_ref: _Reference | None = None


class _EndpointSlice(Struct):
    metadata: Meta
    kind: str = ""
    address_type: str = ""
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None


class _Namespace(Struct):
    metadata: Meta
    kind: str = ""


class _PodAddress(Struct):
    ip: str = ""


class _PodStatus(Struct):
    pod_ip: str = msgspec.field(default="", name="podIP")
    pod_ips: list[_PodAddress] | None = msgspec.field(default=None, name="podIPs")


class _Pod(Struct):
    metadata: Meta
    kind: str = ""
    status: _PodStatus | None = None


class Retained(Versioned, frozen=True, gc=False):
    """An object that leaves what was known of it as it is: one that cannot be decoded, or a Pod on its way out.

    The name in its key is empty where not even that can be read.

    Attributes:
        fault: What is wrong with it, naming it; empty where nothing is.
    """

    fault: str = ""


def _service(item: _Service) -> Service:
    spec = item.spec
    external = spec.external_name if spec.type == EXTERNAL_NAME else ""
    addresses = [] if external else spec.cluster_ips or [spec.cluster_ip]
    return Service(
        key_of(item.metadata),
        item.metadata.resource_version,
        tuple(packed for address in addresses if (packed := octets(address)) is not None),
        addresses[:1] == [HEADLESS],
        external,
        _ports(spec.ports),
    )


def _slice(item: _EndpointSlice) -> EndpointSlice:
    fqdn = item.address_type == FQDN
    return EndpointSlice(
        key_of(item.metadata),
        item.metadata.resource_version,
        (item.metadata.labels or {}).get(SERVICE_NAME_LABEL, ""),
        _ports(item.ports),
        b"" if fqdn else _pack_ready(item.endpoints or ()),
        _unix_time((item.metadata.annotations or {}).get(TRIGGER_TIME_ANNOTATION, "")),
    )


def _namespace(item: _Namespace) -> Namespace:
    return Namespace(key_of(item.metadata), item.metadata.resource_version)


def _pod(item: _Pod) -> Pod | Retained:
    meta, status = item.metadata, item.status or _PodStatus()
    if meta.deletion_timestamp:
        return Retained(key_of(meta), meta.resource_version)
    texts = [address.ip for address in status.pod_ips or ()] or [status.pod_ip]
    addresses = tuple(packed for text in texts if (packed := octets(text)) is not None)
    return Pod(key_of(meta), meta.resource_version, addresses)


class Shape(NamedTuple):
    """How a kind is written in JSON, and how what was read is cut down."""

    name: str
    struct: type[Any]
    cut: Callable[[Any], Object | Retained]


SHAPES = {
    Kind.SERVICE: Shape("Service", _Service, _service),
    Kind.ENDPOINT_SLICE: Shape("EndpointSlice", _EndpointSlice, _slice),
    Kind.NAMESPACE: Shape("Namespace", _Namespace, _namespace),
    Kind.POD: Shape("Pod", _Pod, _pod),
}


def key_of(meta: Meta) -> Key:
    """Return namespace and name. There are few namespaces; whoever reads them here has each but once."""
    return (intern(meta.namespace), meta.name)


def _ports(ports: list[_Port] | None) -> tuple[Port, ...]:
    if not ports:
        return NO_PORTS
    return _cut_ports(tuple(ports))


@lru_cache(maxsize=1024)
def _cut_ports(ports: tuple[_Port, ...]) -> tuple[Port, ...]:
    """Return the same tuple for the same ports, which most Services of a cluster have."""
    return tuple(
        Port((port.name or "").lower(), (port.protocol or "TCP").lower(), ANY_PORT if port.port is None else port.port)
        for port in ports
    )


def _pack_ready(endpoints: Iterable[_Endpoint]) -> bytes:
    """Pack the addresses of those that are ready, which they are where nothing is said."""
    written = []
    for endpoint in endpoints:
        if endpoint.conditions is not None and endpoint.conditions.ready is False:
            continue
        hostname = endpoint.hostname or ""
        pod = endpoint.target_ref.name if endpoint.target_ref else ""
        if len(pod) > MAX_LABEL or "." in pod:
            pod = ""
        for address in endpoint.addresses or ():
            packed = octets(address)
            if packed is not None:
                written.append(pack(packed, hostname, pod))
    return b"".join(written)


def _unix_time(text: str) -> float:
    """Read a time as RFC 3339 writes it; 0 where it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
