"""A zone to ask, served as `kubernetes` serves one, and what its answers look like."""

import asyncio
from ipaddress import ip_address

from svcdns.chain import Handler
from svcdns.dns.message import Lease, Query, Rcode, Response
from svcdns.dns.name import Name, from_text, is_subdomain, labels
from svcdns.dns.records import RRset, Rtype, hostmaster, soa, srv
from svcdns.dns.zone import EMPTY, Node, Records, Zone

APEX = from_text("cluster.local")
SVC = from_text("svc.cluster.local")
NAMESPACE = from_text("default.svc.cluster.local")
WEB = from_text("web.default.svc.cluster.local")
TCP = from_text("_tcp.web.default.svc.cluster.local")
HTTP = from_text("_http._tcp.web.default.svc.cluster.local")
ALIAS = from_text("alias.default.svc.cluster.local")
MANY = from_text("many.default.svc.cluster.local")
UPPER_HALF = Name(b"\x01\xe4" + NAMESPACE)
SIZED = from_text("size.cluster.local")

UNKNOWN_TYPE = 65280


def addresses(name: Name, *texts: str) -> RRset:
    """Return a record set of addresses of one family."""
    packed = [ip_address(text).packed for text in texts]
    return RRset(name, Rtype.A if len(packed[0]) == 4 else Rtype.AAAA, 30, packed)


A = addresses(WEB, "10.0.0.1", "10.0.0.2")
AAAA = addresses(WEB, "fd00::1")
NS = RRset(APEX, Rtype.NS, 30, [from_text("ns.dns.cluster.local")])
SOA = RRset(APEX, Rtype.SOA, 60, [soa(from_text("ns.dns.cluster.local"), hostmaster(APEX), 1, (7200, 1800, 86400, 5))])
ZONE = Zone(SOA.owner, lambda: SOA, "kubernetes", Lease())
NODES = {
    APEX: Node({Rtype.SOA: Records(SOA), Rtype.NS: Records(NS)}),
    SVC: EMPTY,
    NAMESPACE: EMPTY,
    TCP: EMPTY,
    WEB: Node({Rtype.A: Records(A), Rtype.AAAA: Records(AAAA)}),
    HTTP: Node({Rtype.SRV: Records(RRset(HTTP, Rtype.SRV, 30, [srv(0, 100, 80, WEB)]), (A, AAAA))}),
    ALIAS: Node({Rtype.CNAME: Records(RRset(ALIAS, Rtype.CNAME, 30, [from_text("www.example.com")]))}),
    MANY: Node({Rtype.A: Records(RRset(MANY, Rtype.A, 5, [number.to_bytes(4) for number in range(5000)]))}),
    UPPER_HALF: Node({Rtype.A: Records(addresses(UPPER_HALF, "10.0.0.3"))}),
}


async def authority(query: Query) -> Response:
    """Answer from the zone; below `SIZED`, with a record of as many octets as the first label says."""
    if is_subdomain(query.name, SIZED) and query.name != SIZED:
        size = int(labels(query.name)[0])
        return Response(answer=(RRset(query.name, UNKNOWN_TYPE, 5, [bytes(size)]),), aa=True)
    return ZONE.answer(NODES.get(query.name), query.rtype)


async def upstream(query: Query) -> Response:
    """Answer, a turn of the loop later, what another server would: an address, or nothing of that type."""
    await asyncio.sleep(0)
    if query.rtype == Rtype.A:
        return Response(answer=(addresses(query.name, "192.0.2.1"),))
    if query.rtype == Rtype.SOA:
        return Response(answer=(RRset(query.name, Rtype.SOA, 60, SOA.rdatas),))
    return Response(authority=(SOA,))


async def absent(query: Query) -> Response:
    """Deny every name."""
    return Response(Rcode.NXDOMAIN, authority=(SOA,))


HANDLERS: dict[Name, Handler] = {APEX: authority}
