from svcdns.dns.message import Lease, Listener, Query, Rcode, Repeat, Response
from svcdns.dns.name import from_text
from svcdns.metrics import Metrics
from svcdns.traffic import Traffic

QUERY = Query(from_text("web.example.org."), 1, size=44, listener=Listener("dns://:53", "udp", 1, "0.0.0.0", 53))


def series(text: str, name: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"{name}{{")]


def test_queries_that_no_block_takes_are_dropped() -> None:
    metrics = Metrics()
    traffic = Traffic(metrics)
    for rtype in (1, 1, 4711):
        traffic.count_dropped(QUERY.replace(rtype=rtype), Response(Rcode.REFUSED))
    text = metrics.expose()
    place = 'server="dns://:53"'
    assert series(text, "coredns_dns_requests_total") == [
        f'coredns_dns_requests_total{{family="1",proto="udp",{place},type="A",view="",zone="dropped"}} 2',
        f'coredns_dns_requests_total{{family="1",proto="udp",{place},type="other",view="",zone="dropped"}} 1',
    ]
    assert series(text, "coredns_dns_responses_total") == [
        f'coredns_dns_responses_total{{plugin="",rcode="REFUSED",{place},view="",zone="dropped"}} 3'
    ]


def test_dropped_and_answered_queries_are_counted_apart() -> None:
    metrics = Metrics()
    traffic = Traffic(metrics)
    traffic.count_dropped(QUERY, Response(Rcode.REFUSED))
    traffic.count(QUERY, Response(plugin="hosts"), 0.001)
    assert len(series(metrics.expose(), "coredns_dns_requests_total")) == 2


def test_answers_of_a_kind_share_who_counts_them() -> None:
    traffic = Traffic(Metrics())
    response = Response(plugin="hosts").repeatable(Repeat(Lease()))
    _, first, second = (traffic.count(QUERY, response, 0.001).repeat for _ in range(3))
    assert first is not None
    assert second is not None
    assert first.notes is second.notes
