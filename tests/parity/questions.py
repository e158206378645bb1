"""The names to ask for: every object's, in every form that the grammar of names has, right and wrong; and how to ask.

Everything is made from the objects by rule, and in the same order on every run.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address

import dns.flags
import dns.name

from tests.cluster.apiserver import Object
from tests.parity.answers import Name, Question, canonical
from tests.parity.objects import OWNER_LABEL

TYPES = ("A", "AAAA", "SRV", "PTR", "TXT", "CNAME", "MX", "NS", "SOA", "ANY", "HTTPS", "TYPE666", "DS")
NEUTRAL = "TYPE666"
"""A type that nothing has: it tells alone whether a name exists."""

EVIDENCE = ("A", "AAAA", "SRV", "PTR", "TXT", "CNAME", "SOA", NEUTRAL)
"""The types that tell all about a name."""

ABSENT = "absent-here"
"""A label that no name begins with."""

_JUNK = "nothing * any _ x.y x.y.z v.w.x.y.z _x - web 10-244-1-1 tcp udp sctp"
_PODS = r"""
    10-0-0-1 10-0-0 10-0-0-256 010-0-0-1 1-2-3-4-5 10.0.0.1 0-0-0-0 255-255-255-255 1-2--3-4 --1 1-- -- - fe80--1
    fe80--a fe80--1%25eth0 2001-db8-1-2-3-4-5-6 2001-db8-1-2-3-4-5-6-7 --ffff-10.0.0.1 --ffff-a00-1 10-0-0-x 1-2-3-4\032
    \217\161-2-3-4 junk x.10-0-0-1 x.y.10-0-0-1 x.y.z.10-0-0-1 * _http._tcp.10-0-0-1
"""
_TOP = r"""
    svc. pod. dns. ns.dns. x.ns.dns. x.dns. dns-version. x.dns-version. apex.dns. nothing. x.y. nothing.svc.
    nothing.pod. x.nothing.svc. x.nothing.pod. web.shop. shop. *. *.svc. *.shop.svc. any.any.svc. x.y.z.v.w.svc.
    x.y.z.v.w.pod. www.example.net. w\000b.shop.svc. w\.eb.shop.svc. \255\254.shop.svc. we\032b.shop.svc. \@.svc.
    dns-version.svc.
"""
_REVERSE = f"""
    svc.in-addr.arpa. pod.in-addr.arpa. shop.svc.in-addr.arpa. web.shop.svc.in-addr.arpa. 10-0-0-1.shop.pod.ip6.arpa.
    dns.in-addr.arpa. ns.dns.in-addr.arpa. dns-version.in-addr.arpa. dns.ip6.arpa. ns.dns.ip6.arpa.
    dns-version.ip6.arpa. 256.1.96.10.in-addr.arpa. 01.1.96.10.in-addr.arpa. 1.1.1.96.10.in-addr.arpa.
    x.1.96.10.in-addr.arpa. -1.1.96.10.in-addr.arpa. +1.1.96.10.in-addr.arpa. 1_0.1.96.10.in-addr.arpa.
    0x1.1.96.10.in-addr.arpa. 0.0.0.0.in-addr.arpa. 255.255.255.255.in-addr.arpa. 1.0.0.127.in-addr.arpa.
    web.shop.svc.cluster.local.in-addr.arpa.
    g.f.ip6.arpa. fd.ip6.arpa. 0.0.d.f.ip6.arpa. d.f.ip6.arpa. {"0." * 31}1.ip6.arpa. 1.{"0." * 31}ip6.arpa.
    1.0.1.0.0.6.a.0.f.f.f.f.{"0." * 20}ip6.arpa.
"""
_OUTSIDE = """
    . arpa. local. local.cluster. xcluster.local. cluster.local.net. example.net. www.example.net. alias.example.net.
    dead-alias.example.net. nowhere.example.net. text.example.net. six.example.net. mail.example.net. two.example.net.
    x.wild.example.net. www.refused.example. localhost. web. web.shop. web.shop.svc. 192.0.2.999.
"""


class World:
    """What questions are made from.

    Args:
        objects: The objects as the API server has them.
        zone: The zone of the cluster's names, with its final dot.
    """

    def __init__(self, objects: Sequence[Object], zone: Name) -> None:
        self.objects = objects
        self.zone = zone

    def of_kind(self, kind: str) -> Iterator[tuple[str, str, Object]]:
        """Yield namespace, name and object of each object of a kind."""
        for each in self.objects:
            if each["kind"] == kind:
                yield each["metadata"].get("namespace", ""), each["metadata"]["name"], each

    def slices_of(self, namespace: str, service: str) -> Iterator[Object]:
        """Yield the endpoint slices that name a Service."""
        for space, _, each in self.of_kind("EndpointSlice"):
            if (space, (each["metadata"].get("labels") or {}).get(OWNER_LABEL)) == (namespace, service):
                yield each

    def addresses(self) -> list[str]:
        """Return every address of every object, but of the largest slices only some."""
        found: list[str] = []
        for _, _, service in self.of_kind("Service"):
            spec, status = service["spec"], service.get("status") or {}
            found += [each for each in spec.get("clusterIPs") or () if each != "None"]
            found += spec.get("externalIPs") or ()
            found += [each["ip"] for each in (status.get("loadBalancer") or {}).get("ingress") or () if "ip" in each]
        for _, _, slice_ in self.of_kind("EndpointSlice"):
            # CoreDNS leaves the pointer of an address without answer whose slice names no Service
            if slice_["addressType"] != "FQDN" and "labels" in slice_["metadata"]:
                found += [each for endpoint in (slice_["endpoints"] or ())[:8] for each in endpoint["addresses"]]
        for _, _, pod in self.of_kind("Pod"):
            found += [each["ip"] for each in pod["status"].get("podIPs") or ()]
        return list(dict.fromkeys(found))

    def targets(self) -> Iterator[Name]:
        """Yield where external names lead."""
        for _, _, service in self.of_kind("Service"):
            if "externalName" in service["spec"]:
                yield service["spec"]["externalName"].rstrip(".") + "."


def make_names(world: World, zones: Sequence[Name]) -> list[Name]:
    """Return the names to ask for where *zones* are served, each once."""
    names = dict.fromkeys(f"{top}{world.zone}" for top in ("", *_TOP.split()))
    for namespace, name, service in world.of_kind("Service"):
        base = f"{name}.{namespace}.svc.{world.zone}"
        names |= dict.fromkeys([base, *(f"{below}.{base}" for below in _below(world, namespace, name, service))])
    for namespace, _, slice_ in world.of_kind("EndpointSlice"):
        owner = (slice_["metadata"].get("labels") or {}).get(OWNER_LABEL, "unlabelled")
        base = f"{owner}.{namespace}.svc.{world.zone}"
        names |= dict.fromkeys([base, *(f"{label}.{base}" for label in _endpoint_labels(slice_))])
    names |= dict.fromkeys(_pod_names(world))
    names |= dict.fromkeys(world.targets())
    names |= dict.fromkeys(_reverse_names(world, zones))
    names |= dict.fromkeys(_OUTSIDE.split())
    return list(dict.fromkeys(canonical(name) for name in names if _is_name(name)))


def make_questions(names: Iterable[Name], zones: Sequence[Name], types: Sequence[str]) -> Iterator[Question]:
    """Yield questions of *types* for each name, plainly, and some of them once more in other ways."""
    chance = random.Random(1053)
    for name in names:
        asked = TYPES if name in zones else types
        for rtype in asked:
            yield Question(name, rtype)
        yield from _vary(name, chance.choice(asked), chance)


def _vary(name: Name, rtype: str, chance: random.Random) -> Iterator[Question]:
    """Yield the same question in other ways."""
    mixed = "".join(chance.choice((letter.upper(), letter)) for letter in name)
    yield Question(mixed, rtype)
    match chance.randrange(6):
        case 0:
            yield Question(name.upper(), rtype, payload=1232, do=True)
        case 1:
            yield Question(name, rtype, transport="tcp")
        case 2:
            yield Question(mixed, rtype, transport="tcp", payload=4096, do=True)
        case 3:
            yield Question(name, rtype, payload=4096, flags=0)
        case 4:
            yield Question(name, rtype, payload=512, flags=int(dns.flags.RD | dns.flags.CD | dns.flags.AD))
        case 5:
            yield Question(name, rtype, chance.choice(("CH", "HS", "IN")), payload=1232)


def vary_size(question: Question) -> Iterator[Question]:
    """Yield a question over TCP and with other payload sizes: the answer to be had over UDP is not the whole."""
    yield Question(question.folded, question.rtype, transport="tcp")
    for payload in (512, 1000, 1232, 1400, 4096, 65535):
        yield Question(question.folded, question.rtype, payload=payload)


def _below(world: World, namespace: str, name: str, service: Object) -> Iterator[str]:
    """Yield what may stand before the name of a Service."""
    slices = list(world.slices_of(namespace, name))
    ports = [port for each in (service["spec"], *slices) for port in each.get("ports") or ()]
    pairs = dict.fromkeys((port.get("name") or "", (port.get("protocol") or "TCP").lower()) for port in ports)
    for port, protocol in pairs:
        if port:
            yield from (f"_{port}._{protocol}", f"{port}.{protocol}", f"_{port}.{protocol}", f"__{port}._{protocol}")
            yield from (f"_{port}._", f"_{port}", port, f"_{port}._nothing", f"_{port}.x._{protocol}")
        yield from (f"_._{protocol}", f"_.{protocol}", f"_{protocol}", protocol, f"_nothing._{protocol}")
    yield from ("_._", "_", "_http._tcp", "nothing")
    if pairs:
        yield from ("_http._udp", "_nothing._nothing", *_JUNK.split())
    for slice_ in slices:
        for label in _endpoint_labels(slice_):
            yield from (label, f"x.{label}", f"_http.{label}", f"_http._tcp.{label}")


def _endpoint_labels(slice_: Object) -> Iterator[str]:
    """Yield what endpoints may be called, ready or not, under any option."""
    for endpoint in (slice_["endpoints"] or ())[:8]:
        if "hostname" in endpoint:
            yield endpoint["hostname"]
        if "targetRef" in endpoint:
            yield endpoint["targetRef"]["name"]
        for address in endpoint["addresses"]:
            label = address.replace(".", "-").replace(":", "-")
            yield label + "0" if label.endswith("-") else label


def _pod_names(world: World) -> Iterator[Name]:
    """Yield names of Pods in every namespace that has any, and more where there are some."""
    for _, namespace, _ in world.of_kind("Namespace"):
        above = (f"{namespace}.svc", f"{namespace}.pod", f"nothing.{namespace}.svc")
        yield from (f"{each}.{world.zone}" for each in above)
        labels = _PODS.split()
        yield from (
            f"{label}.{namespace}.pod.{world.zone}" for label in (labels if namespace == "shop" else labels[:3])
        )
        for _, _, pod in world.of_kind("Pod"):
            for each in pod["status"].get("podIPs") or ():
                label = each["ip"].replace(".", "-").replace(":", "-")
                yield f"{label}.{namespace}.pod.{world.zone}"


def _reverse_names(world: World, zones: Sequence[Name]) -> Iterator[Name]:
    """Yield the names of addresses, those above and below them, and what only looks like one."""
    yield from _REVERSE.split()
    for zone in zones:
        yield from (zone, f"{ABSENT}.{zone}")
    for text in world.addresses():
        address = ip_address(text)
        name = address.reverse_pointer + "."
        parts = name.split(".")
        yield from (name, f"0.{name}", f"x.{name}", f"1.2.3.4.{name}", (address + 1).reverse_pointer + ".")
        yield from (".".join(parts[step:]) for step in ((1, 2, 3) if address.version == 4 else (1, 4, 12, 16, 28, 31)))


def _is_name(text: str) -> bool:
    """Tell whether *text* can be a name: its parts, and all of it, are short enough."""
    try:
        dns.name.from_text(text)
    except (dns.name.LabelTooLong, dns.name.NameTooLong):
        return False
    return True
