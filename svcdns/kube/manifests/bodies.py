"""What svcdns reads of the kinds that a manifest may hold, and what each field must be.

`kube.decode` takes what an API server has checked; here people write, so that names, addresses and ports are checked
too.

Source: Kubernetes API v1, apps/v1, discovery.k8s.io/v1.
"""

from itertools import chain

import msgspec

from svcdns.dns.name import MAX_LABEL
from svcdns.kube.manifests.fields import (
    HOST,
    LABEL,
    PORT_NAME,
    SUBDOMAIN,
    Fields,
    check_address,
    check_choice,
    check_form,
    check_port,
    check_target,
    check_word,
)
from svcdns.kube.objects import EXTERNAL_NAME, FAMILIES, FQDN, HEADLESS

_MOST_REPLICAS = 100_000
_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", EXTERNAL_NAME)
_POLICIES = ("SingleStack", "PreferDualStack", "RequireDualStack")
_PROTOCOLS = ("TCP", "UDP", "SCTP")


class Owner(Fields, frozen=True):
    """Who controls an object."""

    kind: str = ""
    name: str = ""


class Metadata(Fields, frozen=True):
    """An object's name and labels."""

    name: str
    namespace: str | None = None
    labels: dict[str, str] | None = None
    owner_references: list[Owner] | None = None
    deletion_timestamp: str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(f"name: {SUBDOMAIN.expected}")
        check_form("name", self.name, SUBDOMAIN)
        check_form("namespace", self.namespace, LABEL)


class ServicePort(Fields, frozen=True):
    """A port of a Service."""

    port: int
    name: str | None = None
    protocol: str | None = None
    target_port: int | str | None = None

    def __post_init__(self) -> None:
        check_form("name", self.name, PORT_NAME)
        check_port("port", self.port)
        check_choice("protocol", self.protocol, _PROTOCOLS)
        check_target("targetPort", self.target_port)


class ServiceSpec(Fields, frozen=True):
    """What a Service offers, and what stands behind it."""

    type: str | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = msgspec.field(default=None, name="clusterIPs")
    ip_families: list[str] | None = msgspec.field(default=None, name="ipFamilies")
    ip_family_policy: str | None = None
    selector: dict[str, str] | None = None
    ports: list[ServicePort] | None = None
    external_name: str | None = None
    publish_not_ready_addresses: bool | None = None

    def __post_init__(self) -> None:
        check_choice("type", self.type, _TYPES)
        check_choice("ipFamilyPolicy", self.ip_family_policy, _POLICIES)
        for index, family in enumerate(self.ip_families or ()):
            check_word(f"ipFamilies[{index}]", family, FAMILIES)
        if self.cluster_ip and self.cluster_ip != HEADLESS:
            check_address("clusterIP", self.cluster_ip)
        for index, address in enumerate(self.cluster_ips or ()):
            if address != HEADLESS:
                check_address(f"clusterIPs[{index}]", address)
        if self.type == EXTERNAL_NAME:
            if not self.external_name:
                raise ValueError("externalName: expected a name")
            check_form("externalName", self.external_name, HOST)

    @property
    def headless(self) -> bool:
        """Whether it has no address by intent."""
        return HEADLESS in (*(self.cluster_ips or ()), self.cluster_ip)

    @property
    def addresses(self) -> list[str]:
        """Its cluster IPs, of which most manifests write none."""
        return [address for address in self.cluster_ips or (self.cluster_ip,) if address and address != HEADLESS]

    @property
    def families(self) -> list[str]:
        """The families of its addresses in their order: as written, as its addresses say, else IPv4."""
        found = self.ip_families or [family_of(address) for address in self.addresses] or FAMILIES[:1]
        dual = self.ip_family_policy in ("PreferDualStack", "RequireDualStack")
        return list(dict.fromkeys((*found, *(FAMILIES if dual else ()))))


class Service(Fields, frozen=True):
    """A Service."""

    metadata: Metadata
    spec: ServiceSpec

    def __post_init__(self) -> None:
        check_form("metadata.name", self.metadata.name, LABEL)


class Conditions(Fields, frozen=True):
    """The state of an endpoint."""

    ready: bool | None = None


class Reference(Fields, frozen=True):
    """The object behind an endpoint."""

    name: str = ""


class Endpoint(Fields, frozen=True):
    """One endpoint of a slice."""

    addresses: list[str] | None = None
    conditions: Conditions | None = None
    hostname: str | None = None
    target_ref: Reference | None = None

    def __post_init__(self) -> None:
        check_form("hostname", self.hostname, LABEL)


class EndpointPort(Fields, frozen=True):
    """A port of endpoints; without a number it stands for all."""

    name: str | None = None
    protocol: str | None = None
    port: int | None = None

    def __post_init__(self) -> None:
        check_form("name", self.name, PORT_NAME)
        check_choice("protocol", self.protocol, _PROTOCOLS)
        if self.port is not None:
            check_port("port", self.port)


class EndpointSlice(Fields, frozen=True):
    """An EndpointSlice."""

    metadata: Metadata
    address_type: str | None = None
    endpoints: list[Endpoint] | None = None
    ports: list[EndpointPort] | None = None

    def __post_init__(self) -> None:
        check_choice("addressType", self.address_type, (*FAMILIES, FQDN))
        for index, endpoint in enumerate(self.endpoints or ()):
            for place, address in enumerate(endpoint.addresses or ()):
                if self.address_type != FQDN:
                    check_address(f"endpoints[{index}].addresses[{place}]", address, self.address_type)


class EndpointAddress(Fields, frozen=True):
    """One address of legacy Endpoints."""

    ip: str
    hostname: str | None = None
    target_ref: Reference | None = None

    def __post_init__(self) -> None:
        check_address("ip", self.ip)
        check_form("hostname", self.hostname, LABEL)


class Subset(Fields, frozen=True):
    """Addresses of legacy Endpoints that share their ports; what is not ready is not read."""

    addresses: list[EndpointAddress] | None = None
    ports: list[EndpointPort] | None = None


class Endpoints(Fields, frozen=True):
    """Legacy Endpoints, which belong to the Service of their name."""

    metadata: Metadata
    subsets: list[Subset] | None = None


class Namespace(Fields, frozen=True):
    """A Namespace."""

    metadata: Metadata

    def __post_init__(self) -> None:
        check_form("metadata.name", self.metadata.name, LABEL)


class ContainerPort(Fields, frozen=True):
    """A port that a container listens at."""

    container_port: int
    name: str | None = None
    protocol: str | None = None

    def __post_init__(self) -> None:
        check_port("containerPort", self.container_port)
        check_choice("protocol", self.protocol, _PROTOCOLS)


class Container(Fields, frozen=True):
    """A container; an init container that always restarts is a sidecar, and lives as long as the others."""

    ports: list[ContainerPort] | None = None
    restart_policy: str | None = None


class PodSpec(Fields, frozen=True):
    """What a Pod runs, and what it is called."""

    hostname: str | None = None
    subdomain: str | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None

    def __post_init__(self) -> None:
        check_form("hostname", self.hostname, LABEL)

    def find_port(self, name: str, protocol: str) -> int | None:
        """Return the number of the container port of that name and protocol, if there is one."""
        sidecars = (container for container in self.init_containers or () if container.restart_policy == "Always")
        for container in chain(self.containers or (), sidecars):
            for port in container.ports or ():
                if port.name == name and (port.protocol or "TCP") == protocol:
                    return port.container_port
        return None


class PodCondition(Fields, frozen=True):
    """One aspect of a Pod's state."""

    type: str = ""
    status: str = ""


class PodAddress(Fields, frozen=True):
    """An address of a Pod."""

    ip: str

    def __post_init__(self) -> None:
        check_address("ip", self.ip)


class PodStatus(Fields, frozen=True):
    """How a Pod is. One that says nothing of its phase or conditions, as people write it, is well."""

    phase: str | None = None
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    pod_ips: list[PodAddress] | None = msgspec.field(default=None, name="podIPs")
    conditions: list[PodCondition] | None = None

    def __post_init__(self) -> None:
        if self.pod_ip:
            check_address("podIP", self.pod_ip)

    @property
    def addresses(self) -> list[str]:
        """Its addresses, of which most manifests write none."""
        return [address.ip for address in self.pod_ips or ()] or ([self.pod_ip] if self.pod_ip else [])

    @property
    def over(self) -> bool:
        """Whether its containers have ended for good."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        if not self.conditions:
            return self.phase in (None, "", "Running")
        return any(condition.type == "Ready" and condition.status == "True" for condition in self.conditions)


class Pod(Fields, frozen=True):
    """A Pod."""

    metadata: Metadata
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus | None = None


class TemplateMetadata(Fields, frozen=True):
    """The labels of Pods to be made."""

    labels: dict[str, str] | None = None


class PodTemplate(Fields, frozen=True):
    """What Pods are made from."""

    metadata: TemplateMetadata | None = None
    spec: PodSpec = msgspec.field(default_factory=PodSpec)


class Ordinals(Fields, frozen=True):
    """How a StatefulSet counts its Pods."""

    start: int = 0

    def __post_init__(self) -> None:
        if self.start < 0:
            raise ValueError("start: expected 0 or more")


class WorkloadSpec(Fields, frozen=True):
    """How many Pods there are to be, and how they are made."""

    template: PodTemplate
    replicas: int | None = None
    service_name: str | None = None
    ordinals: Ordinals | None = None

    def __post_init__(self) -> None:
        if not 0 <= (self.replicas or 0) <= _MOST_REPLICAS:
            raise ValueError(f"replicas: expected 0 to {_MOST_REPLICAS}")

    @property
    def indexes(self) -> range:
        """The numbers of its Pods; there is one Pod where nothing is said."""
        start = self.ordinals.start if self.ordinals else 0
        return range(start, start + (1 if self.replicas is None else self.replicas))


class Workload(Fields, frozen=True):
    """A Deployment, ReplicaSet or DaemonSet."""

    metadata: Metadata
    spec: WorkloadSpec


class StatefulSet(Workload, frozen=True):
    """A StatefulSet, whose name becomes part of hostnames."""

    def __post_init__(self) -> None:
        name, indexes = self.metadata.name, self.spec.indexes
        check_form("metadata.name", name, LABEL)
        ending = f"-{indexes[-1]}" if indexes else ""
        if (longest := MAX_LABEL - len(ending)) < len(name):
            reason = f"expected up to {longest} characters, since its Pods end in {ending}"
            raise ValueError(f"metadata.name: {reason}")


Body = Service | EndpointSlice | Endpoints | Namespace | Pod | Workload

BODIES: dict[str, tuple[str, type[Body]]] = {
    "Service": ("v1", Service),
    "EndpointSlice": ("discovery.k8s.io/v1", EndpointSlice),
    "Endpoints": ("v1", Endpoints),
    "Namespace": ("v1", Namespace),
    "Pod": ("v1", Pod),
    "Deployment": ("apps/v1", Workload),
    "ReplicaSet": ("apps/v1", Workload),
    "DaemonSet": ("apps/v1", Workload),
    "StatefulSet": ("apps/v1", StatefulSet),
}
"""The kinds that are read, each with its apiVersion."""


def family_of(address: str) -> str:
    """Return the family of an IP address."""
    return FAMILIES[":" in address]
