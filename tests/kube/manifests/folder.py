"""Manifests as text, and what a control plane makes of them, in short for tables."""

import re
from ipaddress import ip_address
from typing import Any, cast

from svcdns.kube.manifests.controlplane import Objects, Options, make_objects
from svcdns.kube.manifests.documents import parse
from svcdns.kube.objects import EndpointSlice, Key, Kind, Service

_KIND = re.compile(r"^(?P<indent> *)kind: (?P<kind>\w+)$", re.MULTILINE)
_GROUPS = {
    "EndpointSlice": "discovery.k8s.io/v1",
    **dict.fromkeys(("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"), "apps/v1"),
}


def complete(text: str) -> str:
    """Write below each kind its apiVersion, which tables leave out."""
    return _KIND.sub(lambda match: f"{match[0]}\n{match['indent']}apiVersion: {_GROUPS.get(match['kind'], 'v1')}", text)


def make(*texts: str, **options: Any) -> Objects:
    """Make the objects of files called ``0.yaml`` and so on; *options* are those of `Options`."""
    documents = [document for index, text in enumerate(texts) for document in parse(f"{index}.yaml", complete(text))]
    return make_objects(documents, Options(**options)).objects


def complain(*texts: str) -> tuple[str, ...]:
    """Say what is complained of in files called ``0.yaml`` and so on."""
    documents = [document for index, text in enumerate(texts) for document in parse(f"{index}.yaml", complete(text))]
    return tuple(map(str, make_objects(documents, Options()).complaints))


def service(objects: Objects, name: str, namespace: str = "default") -> Service:
    """Return a Service."""
    return cast("Service", objects[Kind.SERVICE][namespace, name])


def cluster_ips(objects: Objects, name: str, namespace: str = "default") -> list[str]:
    """Return the cluster IPs of a Service."""
    return [str(ip_address(address)) for address in service(objects, name, namespace).addresses]


def slices(objects: Objects, name: str, namespace: str = "default") -> list[EndpointSlice]:
    """Return the slices of a Service."""
    found = cast("dict[Key, EndpointSlice]", objects[Kind.ENDPOINT_SLICE])
    return [each for each in found.values() if each.owner == (namespace, name)]


def endpoints(objects: Objects, name: str, namespace: str = "default") -> list[tuple[str, str, str, tuple[int, ...]]]:
    """Return address, hostname, Pod and port numbers of each ready endpoint of a Service."""
    return [
        (str(ip_address(each.address)), each.hostname, each.pod, tuple(port.number for port in slice_.ports))
        for slice_ in slices(objects, name, namespace)
        for each in slice_.endpoints()
    ]


def pods_of(objects: Objects, name: str, namespace: str = "default") -> list[str]:
    """Return the names of the Pods behind a Service."""
    return [pod for _, _, pod, _ in endpoints(objects, name, namespace)]
