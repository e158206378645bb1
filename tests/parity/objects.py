"""The objects of `objects.yaml`: read, put into an API server, and written as manifests of what the API server made."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path

import yaml

from tests.cluster.apiserver import Client, Object

FILE = Path(__file__).with_name("objects.yaml")
OWNER_LABEL = "kubernetes.io/service-name"
NAME_SERVER = ("kube-system", "kube-dns")

_VERSIONS = {"EndpointSlice": "discovery.k8s.io/v1"}
_LISTS = {
    "Namespace": "/api/v1/namespaces",
    "Service": "/api/v1/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "Pod": "/api/v1/pods",
}
_IMAGE = {"containers": [{"name": "any", "image": "any"}]}
_FIRST_OF_MANY = int(ip_address("10.244.8.0"))


def read_objects(local: Iterable[str]) -> list[Object]:
    """Return the objects as the API takes them.

    Args:
        local: Addresses of this machine, behind which the cluster's own name server stands.
    """
    found: list[Object] = []
    for each in yaml.safe_load(FILE.read_text(encoding="utf-8"))["items"]:
        count = each.pop("endpoints", 0) if each["kind"] == "Service" else 0
        found.append(each)
        if count:
            found.append(_make_slice(each["metadata"], (str(ip_address(_FIRST_OF_MANY + at)) for at in range(count))))
    found += _make_name_server(list(local))
    for each in found:
        each["apiVersion"] = _VERSIONS.get(each["kind"], "v1")
        if each["kind"] == "Pod":
            each["spec"] = _IMAGE
    return found


async def populate(client: Client, objects: Iterable[Object]) -> None:
    """Put *objects* into an API server; what is marked as deleted is deleted, once all is there."""
    leaving = []
    for each in objects:
        metadata = dict(each["metadata"])
        if metadata.pop("deleted", False):
            leaving.append(each)
        await client.create({**each, "metadata": metadata})
        if "status" in each:
            await client.patch(each, {"status": each["status"]}, "status")
    for each in leaving:
        await client.delete(each)


async def fetch(client: Client) -> list[Object]:
    """Return all objects of an API server that names are made of."""
    found = []
    for kind, path in _LISTS.items():
        listed = await client.ask("GET", path)
        found += [{"apiVersion": _VERSIONS.get(kind, "v1"), "kind": kind, **each} for each in listed["items"]]
    return found


def dump(objects: Iterable[Object], path: Path) -> None:
    """Write *objects* as a manifest."""
    path.write_text(yaml.dump_all(objects, Dumper=yaml.CSafeDumper), encoding="utf-8")


def _make_name_server(local: list[str]) -> Iterator[Object]:
    """Yield the Service of the cluster's name server, and a slice for each of its addresses and twice for the first."""
    namespace, name = NAME_SERVER
    metadata = {"name": name, "namespace": namespace}
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}]
    yield {"kind": "Service", "metadata": metadata, "spec": {"clusterIP": "10.96.0.10", "ports": ports}}
    for at, address in enumerate([*local[:1], *local]):
        made = _make_slice(metadata, [address])
        made["metadata"]["name"] += f"-{at}"
        yield made


def _make_slice(service: Object, addresses: Iterable[str]) -> Object:
    endpoints = [{"addresses": [address]} for address in addresses]
    metadata = {
        "name": f"{service['name']}-slice",
        "namespace": service["namespace"],
        "labels": {OWNER_LABEL: service["name"]},
    }
    family = f"IPv{ip_address(endpoints[0]['addresses'][0]).version}"
    ports = [{"name": "http", "port": 80}]
    return {
        "kind": "EndpointSlice", "metadata": metadata, "addressType": family, "ports": ports, "endpoints": endpoints
    }  # fmt: skip
