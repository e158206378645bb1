import pytest

from svcdns.dns.message import Lease, Rcode, Repeat, Response
from svcdns.dns.name import from_text
from svcdns.dns.records import RRset, Rtype, soa
from svcdns.dns.zone import EMPTY, Node, Records, Zone

APEX = from_text("example.")
WEB = from_text("web.example.")
ALIAS = from_text("alias.example.")


def soa_of(ttl: int, minimum: int) -> RRset:
    return RRset(APEX, Rtype.SOA, ttl, [soa(from_text("ns.example."), APEX, 1, (2, 3, 4, minimum))])


SOA = soa_of(300, 30)
DENIAL = SOA.with_ttl(30)
LEASE = Lease()
ZONE = Zone(SOA.owner, lambda: SOA, "file", LEASE)

A = RRset(WEB, Rtype.A, 60, [bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])])
AAAA = RRset(WEB, Rtype.AAAA, 60, [bytes(16)])
SRV = RRset(WEB, Rtype.SRV, 60, [bytes(6) + WEB])
CNAME = RRset(ALIAS, Rtype.CNAME, 60, [WEB])

SERVICE = Node({Rtype.A: Records(A), Rtype.AAAA: Records(AAAA), Rtype.SRV: Records(SRV, (A, AAAA))})
ALIASED = Node({Rtype.CNAME: Records(CNAME)})


def data(*answer: RRset, additional: tuple[RRset, ...] = ()) -> Response:
    return Response(answer=answer, additional=additional, aa=True, plugin="file", repeat=Repeat(LEASE))


NODATA = Response(authority=(DENIAL,), aa=True, plugin="file", repeat=Repeat(LEASE))
NXDOMAIN = NODATA.replace(rcode=Rcode.NXDOMAIN)


@pytest.mark.parametrize(
    ("node", "rtype", "response"),
    [
        (SERVICE, Rtype.A, data(A)),
        (SERVICE, Rtype.SRV, data(SRV, additional=(A, AAAA))),
        (SERVICE, Rtype.TXT, NODATA),
        (SERVICE, Rtype.CNAME, NODATA),
        (SERVICE, 65280, NODATA),
        (SERVICE, Rtype.ANY, data(AAAA)),
        (Node({Rtype.SRV: Records(SRV, (A,))}), Rtype.ANY, data(SRV)),
        (EMPTY, Rtype.A, NODATA),
        (EMPTY, Rtype.ANY, NODATA),
        (ALIASED, Rtype.CNAME, data(CNAME)),
        (ALIASED, Rtype.A, data(CNAME)),
        (ALIASED, Rtype.ANY, data(CNAME)),
        (None, Rtype.A, NXDOMAIN),
        (None, Rtype.ANY, NXDOMAIN),
    ],
)
def test_the_answer_is_what_stands_at_the_name(node: Node | None, rtype: int, response: Response) -> None:
    assert ZONE.answer(node, rtype) == response


@pytest.mark.parametrize(("ttl", "minimum", "kept"), [(300, 30, 30), (30, 300, 30), (0, 5, 0), (5, 0, 0)])
def test_a_denial_is_kept_for_the_shorter_of_ttl_and_minimum(ttl: int, minimum: int, kept: int) -> None:
    zone = Zone(SOA.owner, lambda: soa_of(ttl, minimum), "file", Lease())
    assert zone.denial.ttl == kept
    assert zone.soa.ttl == ttl
    assert zone.nodata.authority == zone.nxdomain.authority == (zone.denial,)


def test_denials_are_made_once() -> None:
    zone = Zone(SOA.owner, lambda: SOA, "file", Lease())
    assert zone.denial is zone.denial
    assert zone.nodata is zone.nodata
    assert zone.nxdomain is zone.nxdomain
    assert zone.soa is zone.soa


def test_records_are_made_when_they_are_first_asked_for_and_once() -> None:
    made: list[str] = []

    def make_address() -> Records:
        made.append("A")
        return Records(A)

    def make_none() -> None:
        made.append("AAAA")

    node = Node({Rtype.A: make_address, Rtype.AAAA: make_none})
    assert made == []
    assert [node.get(Rtype.A), node.get(Rtype.A)] == [Records(A), Records(A)]
    assert [node.get(Rtype.AAAA), node.get(Rtype.AAAA)] == [None, None]
    assert made == ["A", "AAAA"]


def test_any_finds_nothing_where_nothing_can_be_made() -> None:
    node = Node({Rtype.A: lambda: None})
    assert ZONE.answer(node, Rtype.ANY) == NODATA
