"""A small cluster with one of everything, and a way to ask it in the words of zone files."""

from collections.abc import Sequence
from typing import Any

import dns.message
import dns.rcode
import yaml

from svcdns.dns import wire
from svcdns.dns.message import Response
from svcdns.dns.name import Name, from_text, to_text
from svcdns.dns.records import CLASS_IN, Rtype
from svcdns.kube.cluster import Cluster, new_store
from svcdns.kube.decode import from_plain
from svcdns.kube.directory import Options
from svcdns.kube.memo import Chase
from svcdns.kube.objects import Kind, octets
from svcdns.kube.view import View

ZONE = "cluster.local."
ZONES = (from_text(ZONE), from_text("in-addr.arpa."), from_text("ip6.arpa."))
SERIAL = 1_700_000_000

OBJECTS = """
namespaces: [default, prod, kube-system]
services:
- default/web:
    clusterIPs: [10.96.0.10]
    ports: [{name: http, port: 80}, {name: dns, protocol: UDP, port: 53}, {name: dns-tcp, port: 53}]
- default/dual:
    clusterIPs: [10.96.0.11, "fd00:10:96::b"]
    ports: [{name: http, port: 80}]
- default/six:
    clusterIPs: ["fd00:10:96::c"]
    ports: [{port: 443}]
- default/portless: {clusterIPs: [10.96.0.13]}
- default/empty:
    clusterIPs: [10.96.0.14]
    ports: [{name: http, port: 80}]
- default/node:
    type: NodePort
    clusterIP: 10.96.0.15
    ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080}]
- default/balanced:
    type: LoadBalancer
    clusterIPs: [10.96.0.16]
    ports: [{name: http, port: 80}]
- default/db:
    clusterIP: None
    clusterIPs: [None]
    ports: [{name: pg, port: 5432}]
- default/bare: {clusterIP: None}
- default/asleep:
    clusterIP: None
    ports: [{name: http, port: 80}]
- default/outside: {type: ExternalName, externalName: Example.COM}
- default/alias: {type: ExternalName, externalName: web.default.svc.cluster.local}
- default/far: {type: ExternalName, externalName: alias.default.svc.cluster.local}
- default/onward: {type: ExternalName, externalName: outside.default.svc.cluster.local}
- default/dead: {type: ExternalName, externalName: nothing.default.svc.cluster.local}
- default/below: {type: ExternalName, externalName: x.below.default.svc.cluster.local}
- default/ring: {type: ExternalName, externalName: ringer.default.svc.cluster.local}
- default/ringer: {type: ExternalName, externalName: ring.default.svc.cluster.local}
- default/numeric: {type: ExternalName, externalName: 192.0.2.1}
- default/garbled: {type: ExternalName, externalName: a..b}
- prod/web:
    clusterIPs: [10.96.1.10]
    ports: [{name: http, port: 80}]
- hidden/web:
    clusterIPs: [10.96.2.10]
    ports: [{name: http, port: 80}]
- kube-system/kube-dns:
    clusterIPs: [10.96.0.2, "fd00:10:96::2"]
    ports: [{name: dns, protocol: UDP, port: 53}, {name: dns-tcp, port: 53}, {name: metrics, port: 9153}]
endpointslices:
- default/web-1 of web:
    addressType: IPv4
    ports: [{name: http, port: 8080}]
    endpoints:
    - {addresses: [10.244.0.21], targetRef: {name: web-abc}}
    - {addresses: [10.244.0.22], conditions: {ready: false}, targetRef: {name: web-def}}
- default/db-1 of db:
    addressType: IPv4
    ports: [{name: pg, port: 5432}, {name: stats, port: 9187}]
    endpoints:
    - {addresses: [10.244.0.31], hostname: db-0, conditions: {ready: true}, targetRef: {name: db-0}}
    - {addresses: [10.244.0.32], hostname: DB-1, targetRef: {name: db-1}}
    - {addresses: [10.244.0.33], targetRef: {name: db-2-abc}}
    - {addresses: [10.244.0.34], hostname: db-3, conditions: {ready: false, serving: true}}
- default/db-2 of db:
    addressType: IPv6
    ports: [{name: pg, port: 5432}]
    endpoints:
    - {addresses: ["fd00:10:244::1f"], hostname: db-0}
    - {addresses: ["2001:db8::"]}
- default/bare-1 of bare:
    addressType: IPv4
    endpoints: [{addresses: [10.244.0.41]}]
- default/asleep-1 of asleep:
    addressType: IPv4
    ports: [{name: http, port: 80}]
    endpoints: [{addresses: [10.244.0.51], conditions: {ready: false}}]
- default/named-1 of balanced:
    addressType: FQDN
    endpoints: [{addresses: [a.example.com]}]
- default/orphan-1 of orphan:
    addressType: IPv4
    endpoints: [{addresses: [10.244.0.61], hostname: lost}]
- default/stray:
    addressType: IPv4
    endpoints: [{addresses: [10.244.0.62]}]
- prod/web-1 of web:
    addressType: IPv4
    ports: [{name: http, port: 8080}]
    endpoints: [{addresses: [10.244.0.21]}]
- hidden/web-1 of web:
    addressType: IPv4
    ports: [{name: http, port: 8080}]
    endpoints: [{addresses: [10.244.0.71]}]
- kube-system/kube-dns-1 of kube-dns:
    addressType: IPv4
    ports: [{name: dns, protocol: UDP, port: 53}]
    endpoints: [{addresses: [10.244.0.2]}]
- kube-system/kube-dns-2 of kube-dns:
    addressType: IPv6
    ports: [{name: dns, protocol: UDP, port: 53}]
    endpoints: [{addresses: ["fd00:10:244::2"]}]
pods:
- default/web-abc: {podIP: 10.244.0.21, podIPs: [{ip: 10.244.0.21}, {ip: "fd00:10:244::15"}]}
- prod/solo: {podIP: 10.244.0.81}
"""


def make_cluster(text: str = OBJECTS, *, kinds: Sequence[Kind] = tuple(Kind)) -> Cluster:
    """Make a cluster with the objects of *kinds* listed; the other kinds are still pending."""
    cluster = Cluster(list(Kind), lambda: SERIAL)
    written = yaml.safe_load(text)
    for kind in kinds:
        store = new_store(kind)
        for item in written.get(kind.value, ()):
            store.put(from_plain(kind, _plain(kind, item)))
        cluster.swap(kind, store)
    return cluster


def _plain(kind: Kind, item: Any) -> dict[str, Any]:
    """Write out an object of the sample as the API does."""
    if kind is Kind.NAMESPACE:
        return {"metadata": {"name": item}}
    (head, body), *_ = item.items()
    key, _, service = head.partition(" of ")
    namespace, _, name = key.partition("/")
    metadata: dict[str, Any] = {"namespace": namespace, "name": name}
    if kind is Kind.ENDPOINT_SLICE:
        labels = {"kubernetes.io/service-name": service} if service else {}
        return {"metadata": metadata | {"labels": labels}, **body}
    return {"metadata": metadata, "spec" if kind is Kind.SERVICE else "status": body}


def make_view(cluster: Cluster | None = None, *, local: Sequence[str] = (), **options: Any) -> View:
    """Make a view of *cluster*, the sample by default, that answers at the addresses *local*."""
    addresses = [found for text in local if (found := octets(text)) is not None]
    return View(cluster or make_cluster(), Options(**{"zones": ZONES} | options), lambda: addresses)


def name_of(text: str) -> Name:
    """Read a name; without a dot at its end it is relative to the cluster's zone."""
    return from_text(text if text.endswith(".") else f"{text}.{ZONE}")


def ask(view: View, question: str) -> str:
    """Ask ``NAME TYPE`` and return what `show` makes of the answer."""
    name, rtype = question.split()
    return show(name_of(name), Rtype[rtype], view.find(name_of(name), Rtype[rtype]))


def show(name: Name, rtype: Rtype, found: Response | Chase | None) -> str:
    """Write an answer as an independent library reads it: rcode, records, ``-`` before authority, ``+`` additional.

    Names inside the cluster's zone are cut to what stands before it, and the SOA to its name and TTL.
    """
    if found is None:
        return "rest"
    if isinstance(found, Chase):
        links = show(name, rtype, Response(answer=found.links)).removeprefix("NOERROR\n")
        return f"chase {_cut(to_text(found.target))}\n{links}"
    question = name + rtype.to_bytes(2) + CLASS_IN.to_bytes(2)
    envelope = wire.Envelope(1, 0, name, rtype, CLASS_IN, question, None, None, 0)
    message = dns.message.from_wire(wire.encode(envelope, found, 65535))
    lines = [dns.rcode.to_text(message.rcode())]
    for mark, section in (("", message.answer), ("- ", message.authority), ("+ ", message.additional)):
        for rrset in section:
            for rdata in rrset:
                text = "" if mark == "- " else f" {rdata.to_text()}"
                kind = dns.rdatatype.to_text(rrset.rdtype)
                lines.append(_cut(f"{mark}{rrset.name} {rrset.ttl} {kind}{text}"))
    return "\n".join(lines)


def _cut(text: str) -> str:
    return " ".join(word.removesuffix(f".{ZONE}") for word in text.split(" "))
