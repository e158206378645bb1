"""What a control plane makes of manifests: addresses, endpoint slices and Namespaces.

It takes documents and gives the objects that an API server would list, through the same `decode.from_plain`, so that
the same Service has the same records from either source. Where a folder leaves a choice:

- The same object written twice: the last one stands, as with ``kubectl apply``; where they differ, that is reported.
- Two Services with the same cluster IP: both stand, since to drop one would lose a name; that is reported.
- A Pod has an address of each family, so that Services of any family find it.
- Slices that a cluster's own controllers made, as dumps hold them, give way where Pods of the folder are selected.
- With `loopback` only addresses that no manifest writes become 127.0.0.1 and ::1, which no PTR
  belongs to.

Source: Kubernetes, "Service", "EndpointSlices", "IPv4/IPv6 dual-stack".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from svcdns.errors import ConfigError
from svcdns.kube.decode import from_plain
from svcdns.kube.manifests import bodies
from svcdns.kube.manifests.addresses import POD_RANGES, SERVICE_RANGES, AddressPool, Loopback, Ranges
from svcdns.kube.manifests.complaints import Complaint, find_complaints
from svcdns.kube.manifests.documents import Document
from svcdns.kube.manifests.endpoints import (
    CONTROLLERS,
    MANAGED_BY_LABEL,
    Listed,
    PodIndex,
    mirror_endpoints,
    slice_pods,
)
from svcdns.kube.manifests.workloads import RunningPod, find_pods
from svcdns.kube.objects import EXTERNAL_NAME, FAMILIES, HEADLESS, SERVICE_NAME_LABEL, Key, Kind, Object, octets
from svcdns.kube.selector import EVERYTHING, Selector

_NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_SKIP_MIRROR_LABEL = "endpointslice.kubernetes.io/skip-mirror"

Objects = dict[Kind, dict[Key, Object]]


@dataclass(frozen=True, slots=True)
class Options:
    """What the Corefile says of manifests.

    Attributes:
        labels: Which Services, EndpointSlices and Pods count.
        namespace_labels: Which Namespaces count.
        service_cidr: Where Services get their addresses.
        pod_cidr: Where Pods get theirs.
        loopback: Whether both get 127.0.0.1 and ::1 instead.
    """

    labels: Selector = EVERYTHING
    namespace_labels: Selector = EVERYTHING
    service_cidr: Ranges = SERVICE_RANGES
    pod_cidr: Ranges = POD_RANGES
    loopback: bool = False


class Made(NamedTuple):
    """What was made of manifests.

    Attributes:
        objects: By kind and key, every kind included.
        complaints: What is doubtful in the manifests.
    """

    objects: Objects
    complaints: tuple[Complaint, ...]


def make_objects(documents: Iterable[Document], options: Options) -> Made:
    """Make the objects that an API server would list once its controllers are done.

    Args:
        documents: All that is written, in the order in which it would be applied.
        options: What of it counts, and where addresses come from.

    Raises:
        ConfigError: A range of addresses is too small.
    """
    current, complaints = _keep_last(documents)
    pods = find_pods(current)
    index = PodIndex(pods)
    addresses = _Addresses(current, pods, options)
    objects: Objects = {kind: {} for kind in Kind}
    for listed in _list_objects(current, pods, index, addresses):
        selector = options.namespace_labels if listed.kind is Kind.NAMESPACE else options.labels
        if selector.matches(listed.labels):
            namespace, name = listed.key
            metadata = {"namespace": namespace, "name": name, "labels": listed.labels}
            objects[listed.kind][listed.key] = from_plain(listed.kind, {"metadata": metadata, **listed.content})
    return Made(objects, (*complaints, *find_complaints(current, index)))


class _Addresses:
    """The addresses of all Services and Pods, those written and those made.

    Attributes:
        services: The cluster IPs of each Service that has some.
        pods: The addresses of each Pod.

    Raises:
        ConfigError: A range is too small.
    """

    def __init__(self, documents: Sequence[Document], pods: Sequence[RunningPod], options: Options) -> None:
        written = (octets(address) for document in documents for address in _list_written(document.body))
        taken = {address for address in written if address is not None}  # which nobody else is given
        self._loopback = options.loopback
        self.services: dict[Key, list[str]] = {}
        self.pods: dict[Key, list[str]] = {}
        services = self._pool(options.service_cidr, taken)
        for document in sorted(documents, key=_key):
            if isinstance(document.body, bodies.Service) and not _lacks_address(spec := document.body.spec):
                own = {bodies.family_of(address): address for address in spec.addresses}
                self.services[document.key] = [
                    own.get(family) or _take(services, family, document.key, document, "service_cidr")
                    for family in dict.fromkeys((*spec.families, *own))
                ]
        pool = self._pool(options.pod_cidr, taken)
        for pod in sorted(pods, key=_key):
            self.pods[pod.key] = pod.status.addresses or [
                _take(pool, family, pod.key, pod.origin, "pod_cidr") for family in FAMILIES
            ]

    def _pool(self, ranges: Ranges, taken: set[bytes]) -> AddressPool | Loopback:
        return Loopback() if self._loopback else AddressPool(ranges, taken)


def _list_objects(
    documents: Sequence[Document], pods: Sequence[RunningPod], index: PodIndex, addresses: _Addresses
) -> Iterator[Listed]:
    yield from _list_namespaces(documents)
    for pod in pods:
        if pod.listed:
            content = {"status": {"podIPs": [{"ip": address} for address in addresses.pods[pod.key]]}}
            yield Listed(Kind.POD, pod.key, pod.labels, content)
    yield from _list_slices(documents, index, addresses)
    for document in documents:
        if isinstance(document.body, bodies.Service):
            yield _list_service(document.key, document.body, addresses.services.get(document.key, [HEADLESS]))


def _list_service(key: Key, service: bodies.Service, addresses: list[str]) -> Listed:
    spec = {
        "type": service.spec.type or "ClusterIP",
        "clusterIPs": addresses,
        "externalName": service.spec.external_name or "",
        "ports": msgspec.to_builtins(service.spec.ports or []),
    }
    return Listed(Kind.SERVICE, key, service.metadata.labels or {}, {"spec": spec})


def _list_namespaces(documents: Iterable[Document]) -> Iterator[Listed]:
    """List the Namespaces that are written, and those that something is in."""
    labels: dict[str, Mapping[str, str]] = {}
    for document in documents:
        if isinstance(document.body, bodies.Namespace):
            labels[document.body.metadata.name] = document.body.metadata.labels or {}
        else:
            labels.setdefault(document.key[0], {})
    for name, own in labels.items():
        yield Listed(Kind.NAMESPACE, ("", name), {**own, _NAMESPACE_LABEL: name}, {})


def _list_slices(documents: Sequence[Document], index: PodIndex, addresses: _Addresses) -> Iterator[Listed]:
    """List the slices that are written and those made for Services: from Pods, else from their legacy Endpoints."""
    endpoints = {each.key: each.body for each in documents if isinstance(each.body, bodies.Endpoints)}
    written: dict[Key, list[Listed]] = {}
    for document in documents:
        if isinstance(document.body, bodies.EndpointSlice):
            listed = _list_slice(document.key, document.body)
            written.setdefault((listed.key[0], listed.labels.get(SERVICE_NAME_LABEL, "")), []).append(listed)
    for document in documents:
        if not isinstance(document.body, bodies.Service) or document.body.spec.type == EXTERNAL_NAME:
            continue
        key, selector = document.key, document.body.spec.selector
        if selector:
            pods = index.select(key[0], selector)
            yield from slice_pods(key, document.body, pods, addresses.pods)
            if pods:
                written[key] = [each for each in written.get(key, ()) if not _is_managed(each)]
        elif key not in written and key in endpoints and not _skips_mirror(endpoints[key]):
            yield from mirror_endpoints(endpoints[key], key)
    for each in written.values():
        yield from each


def _list_slice(key: Key, written: bodies.EndpointSlice) -> Listed:
    content = {
        "addressType": written.address_type or "",
        "endpoints": msgspec.to_builtins(written.endpoints or []),
        "ports": msgspec.to_builtins(written.ports or []),
    }
    return Listed(Kind.ENDPOINT_SLICE, key, written.metadata.labels or {}, content)


def _is_managed(listed: Listed) -> bool:
    return listed.labels.get(MANAGED_BY_LABEL) in CONTROLLERS


def _skips_mirror(endpoints: bodies.Endpoints) -> bool:
    return (endpoints.metadata.labels or {}).get(_SKIP_MIRROR_LABEL) == "true"


def _lacks_address(spec: bodies.ServiceSpec) -> bool:
    """Tell whether a Service has no address by intent."""
    return spec.headless or spec.type == EXTERNAL_NAME


def _list_written(body: bodies.Body) -> Iterator[str]:
    """Yield every address, or host name in the place of one, that a manifest writes."""
    match body:
        case bodies.Service(spec=spec):
            yield from spec.addresses
        case bodies.Pod(status=bodies.PodStatus() as status):
            yield from status.addresses
        case bodies.EndpointSlice():
            for endpoint in body.endpoints or ():
                yield from endpoint.addresses or ()
        case bodies.Endpoints():
            for subset in body.subsets or ():
                yield from (address.ip for address in subset.addresses or ())


def _take(pool: AddressPool | Loopback, family: str, key: Key, origin: Document, option: str) -> str:
    try:
        return pool.take(family, key)
    except ValueError as error:
        raise ConfigError(origin.path, origin.line, f"{origin}: no {option} address: {error}") from None


def _keep_last(documents: Iterable[Document]) -> tuple[list[Document], tuple[Complaint, ...]]:
    """Keep one document for each object, and say which differ from the one that is kept."""
    kept: dict[tuple[str, Key], Document] = {}
    complaints = []
    for document in documents:
        before = kept.get((document.kind, document.key))
        if before is not None and before.body != document.body:
            complaints.append(Complaint(before, "gives way to", document, "which is written after it"))
        kept[document.kind, document.key] = document
    return list(kept.values()), tuple(complaints)


def _key(each: Document | RunningPod) -> Key:
    return each.key
