"""The metrics of queries and answers, counted at the cost of a few additions a query.

Source: CoreDNS's metrics, names, labels and buckets alike.
"""

from svcdns.dns.message import Listener, Query, Rcode, Response, rcode_to_text, uncompressed_size
from svcdns.dns.name import Name, to_text
from svcdns.dns.records import type_to_text
from svcdns.metrics import SIZE_BUCKETS, Counter, Metrics

_VIEW = ""
_TYPES = frozenset({
    "A", "AAAA", "ANY", "AXFR", "CNAME", "DNSKEY", "DS", "HTTPS", "IXFR", "MX", "NS", "NSEC", "NSEC3", "PTR", "RRSIG",
    "SOA", "SRV", "SVCB", "TXT",
})  # fmt: skip
_OTHER_RTYPE = -1
_OTHER = "other"
_DROPPED = "dropped"
_RCODES = frozenset(Rcode)


class Families:
    """The metrics of queries and answers."""

    def __init__(self, metrics: Metrics) -> None:
        place = ("server", "zone", "view")
        self.requests = metrics.counter("coredns_dns_requests_total", "Queries.", (*place, "proto", "family", "type"))
        self.do = metrics.counter("coredns_dns_do_requests_total", "Queries that ask for DNSSEC.", place)
        self.responses = metrics.counter("coredns_dns_responses_total", "Answers.", (*place, "rcode", "plugin"))
        self.duration = metrics.histogram(
            "coredns_dns_request_duration_seconds", "Seconds from a query to its answer.", place
        )
        self.query_size = metrics.histogram(
            "coredns_dns_request_size_bytes", "Octets of queries.", (*place, "proto"), SIZE_BUCKETS
        )
        self.response_size = metrics.histogram(
            "coredns_dns_response_size_bytes", "Octets of answers before compression.", (*place, "proto"), SIZE_BUCKETS
        )


class Row:
    """The numbers of one listener, zone and type, at hand so that a query costs no look-up of labels.

    Args:
        families: Where the numbers are shown.
        listener: The listener.
        zone: The zone as metrics name it.
        rtype: The type as metrics name it.
    """

    __slots__ = ("_family", "_place", "_responses", "do", "duration", "query_size", "requests", "response_size")

    def __init__(self, families: Families, listener: Listener, zone: str, rtype: str) -> None:
        place, proto = (listener.label, zone, _VIEW), listener.transport
        self._place = place
        self._family = families.responses
        self._responses: dict[tuple[int, str], Counter] = {}
        self.requests = families.requests.labels(*place, proto, str(listener.family), rtype)
        self.do = families.do.labels(*place)
        self.duration = families.duration.labels(*place)
        self.query_size = families.query_size.labels(*place, proto)
        self.response_size = families.response_size.labels(*place, proto)

    def count(self, query: Query, response: Response, seconds: float) -> None:
        """Count a query, its answer, and the time between them."""
        self.requests.value += 1
        if query.do:
            self.do.value += 1
        self.duration.observe(seconds)
        self.query_size.observe(query.size)
        self.response_size.observe(uncompressed_size(query, response))
        counter = self._responses.get((response.rcode, response.plugin))
        if counter is None:
            counter = self._response(response.rcode, response.plugin)
        counter.value += 1

    def _response(self, rcode: int, plugin: str) -> Counter:
        text = rcode_to_text(rcode) if rcode in _RCODES else _OTHER
        counter = self._responses[rcode, plugin] = self._family.labels(*self._place, text, plugin)
        return counter


class Traffic:
    """Counts queries and answers.

    Args:
        metrics: Where they are shown.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._families = Families(metrics)
        self._rows: dict[tuple[Listener, Name | None, int], Row] = {}

    def count(self, query: Query, response: Response, seconds: float) -> None:
        """Count a query that a server block took, its answer, and the time between them."""
        row = self._rows.get((query.listener, query.zone, query.rtype)) or self._row(query, query.zone)
        row.count(query, response, seconds)

    def count_dropped(self, query: Query, response: Response) -> None:
        """Count a query that reached no server block."""
        self._row(query, None).count(query, response, 0.0)

    def _row(self, query: Query, zone: Name | None) -> Row:
        """Return the row for a query; the types without a name of their own share one."""
        rtype = type_to_text(query.rtype)
        key = (query.listener, zone, query.rtype)
        if rtype not in _TYPES:
            rtype = _OTHER
            key = (query.listener, zone, _OTHER_RTYPE)
        row = self._rows.get(key)
        if row is None:
            shown = _DROPPED if zone is None else to_text(zone)
            row = self._rows[key] = Row(self._families, query.listener, shown, rtype)
        return row
