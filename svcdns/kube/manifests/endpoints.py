"""From Services and the Pods behind them to endpoint slices, as the controllers of Kubernetes make them.

Source: Kubernetes, "EndpointSlices"; discovery.k8s.io/v1; KEP 752 for what becomes of legacy Endpoints.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from svcdns.kube.manifests import bodies
from svcdns.kube.manifests.bodies import family_of
from svcdns.kube.manifests.workloads import RunningPod
from svcdns.kube.objects import FAMILIES, SERVICE_NAME_LABEL, Key, Kind

MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
CONTROLLERS = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")

_HEADLESS_LABEL = "service.kubernetes.io/headless"

_Ports = tuple[tuple[str, str, int], ...]


class Listed(NamedTuple):
    """An object as the API would list it.

    Attributes:
        kind: Its kind.
        key: Namespace and name.
        labels: Its labels.
        content: All else, as plain data in the shape of the API.
    """

    kind: Kind
    key: Key
    labels: Mapping[str, str]
    content: dict[str, Any]


class PodIndex:
    """Finds Pods by their labels, each selector looking only at Pods that have its first label."""

    def __init__(self, pods: Iterable[RunningPod]) -> None:
        self._by_label: dict[tuple[str, str, str], list[RunningPod]] = {}
        for pod in pods:
            for label, value in pod.labels.items():
                self._by_label.setdefault((pod.key[0], label, value), []).append(pod)

    def select(self, namespace: str, selector: Mapping[str, str]) -> list[RunningPod]:
        """Return the Pods of *namespace* that have all labels of *selector*; none for an empty one."""
        first = next(iter(selector.items()), ("", ""))
        candidates = self._by_label.get((namespace, *first), [])
        return [pod for pod in candidates if selector.items() <= pod.labels.items()]


def slice_pods(
    key: Key, service: bodies.Service, pods: Sequence[RunningPod], addresses: Mapping[Key, Sequence[str]]
) -> Iterator[Listed]:
    """Make the slices of a Service from the Pods that it selects: one for each family and set of ports.

    Args:
        key: The Service's namespace and name.
        service: The Service.
        pods: The Pods; those that are not ready count where the Service publishes them.
        addresses: Each Pod's addresses.
    """
    spec = service.spec
    published = [pod for pod in pods if spec.publish_not_ready_addresses or pod.ready]
    labels = {**(service.metadata.labels or {}), MANAGED_BY_LABEL: CONTROLLERS[0]}
    if spec.headless:
        labels[_HEADLESS_LABEL] = ""
    for family in spec.families:
        endpoints: dict[_Ports, list[dict[str, Any]]] = {}
        for pod in published:
            of_family = [address for address in addresses[pod.key] if family_of(address) == family]
            if of_family:
                made = _make_endpoint(of_family, _hostname(pod, key), pod.key[1])
                endpoints.setdefault(_resolve_ports(spec, pod), []).append(made)
        for index, (ports, alike) in enumerate(endpoints.items()):
            plain = [{"name": name, "protocol": protocol, "port": number} for name, protocol, number in ports]
            yield _make_slice(key, f"{family}:{index}", labels, alike, plain)


def mirror_endpoints(endpoints: bodies.Endpoints, key: Key) -> Iterator[Listed]:
    """Make slices of legacy Endpoints: one for each subset and family."""
    labels = {**(endpoints.metadata.labels or {}), MANAGED_BY_LABEL: CONTROLLERS[1]}
    for index, subset in enumerate(endpoints.subsets or ()):
        for family in FAMILIES:
            of_family = [
                _make_endpoint([each.ip], each.hostname, each.target_ref.name if each.target_ref else "")
                for each in subset.addresses or ()
                if family_of(each.ip) == family
            ]
            if of_family:
                ports = msgspec.to_builtins(subset.ports or [])
                yield _make_slice(key, f"{family}:{index}", labels, of_family, ports)


def _resolve_ports(spec: bodies.ServiceSpec, pod: RunningPod) -> _Ports:
    """Return name, protocol and number of the ports that a Service reaches at a Pod, without those that it lacks."""
    found = []
    for port in spec.ports or ():
        protocol = port.protocol or "TCP"
        target = port.target_port or port.port
        number = target if isinstance(target, int) else pod.spec.find_port(target, protocol)
        if number is not None:
            found.append((port.name or "", protocol, number))
    return tuple(found)


def _hostname(pod: RunningPod, service: Key) -> str | None:
    """Return the hostname of a Pod, which counts only in the Service that it names as its subdomain."""
    return pod.spec.hostname if pod.spec.subdomain == service[1] else None


def _make_endpoint(addresses: Sequence[str], hostname: str | None, pod: str) -> dict[str, Any]:
    return {"addresses": addresses, "hostname": hostname, "targetRef": {"name": pod}}


def _make_slice(
    service: Key, part: str, labels: Mapping[str, str], endpoints: list[dict[str, Any]], ports: list[dict[str, Any]]
) -> Listed:
    """Make a slice; no manifest can hold one of its name, since a colon is in it."""
    content = {"endpoints": endpoints, "ports": ports}
    labels = {**labels, SERVICE_NAME_LABEL: service[1]}
    return Listed(Kind.ENDPOINT_SLICE, (service[0], f"{service[1]}:{part}"), labels, content)
