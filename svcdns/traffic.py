"""The metrics of queries and answers, counted at the cost of a few additions a query.

Source: CoreDNS's metrics, names, labels and buckets alike.
"""

from functools import partial

from svcdns.dns.message import Listener, Note, Query, Rcode, Response, rcode_to_text, uncompressed_size
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
_MOST_NOTES = 1024


Kind = tuple[bool, int, int, int, str]
"""What queries and answers of one row are told apart by: whether DNSSEC is asked for, the octets of the query, those of
the answer before compression, the response code, and the plugin that made the answer.
"""


def _kind(query: Query, response: Response) -> Kind:
    return query.do, query.size, uncompressed_size(query, response), response.rcode, response.plugin


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

    __slots__ = ("_do", "_duration", "_family", "_notes", "_place", "_query_size", "_requests", "_response_size",
                 "_responses")  # fmt: skip

    def __init__(self, families: Families, listener: Listener, zone: str, rtype: str) -> None:
        place, proto = (listener.label, zone, _VIEW), listener.transport
        self._place = place
        self._family = families.responses
        self._responses: dict[tuple[int, str], Counter] = {}
        self._requests = families.requests.labels(*place, proto, str(listener.family), rtype)
        self._do = families.do.labels(*place)
        self._duration = families.duration.labels(*place)
        self._query_size = families.query_size.labels(*place, proto)
        self._response_size = families.response_size.labels(*place, proto)
        self._notes: dict[Kind, tuple[Note, ...]] = {}  # a `tuple[Note]`, compiled, is copied at each use

    def count(self, kind: Kind, times: int, seconds: float) -> None:
        """Count queries and answers of one *kind*, and the time between them, all together."""
        do, query_size, response_size, rcode, plugin = kind
        self._requests.value += times
        if do:
            self._do.value += times
        self._duration.observe(seconds / times, times)
        self._query_size.observe(query_size, times)
        self._response_size.observe(response_size, times)
        counter = self._responses.get((rcode, plugin))
        if counter is None:
            counter = self._response(rcode, plugin)
        counter.value += times

    def notes(self, kind: Kind) -> tuple[Note, ...]:
        """Return what counts further queries of a *kind*: as far as may be the same one, for there are many."""
        notes = self._notes.get(kind)
        if notes is None:
            if len(self._notes) == _MOST_NOTES:
                self._notes.clear()
            notes = self._notes[kind] = (partial(self.count, kind),)
        return notes

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

    def count(self, query: Query, response: Response, seconds: float) -> Response:
        """Count a query that a server block took, its answer, and the time between them.

        Returns:
            The answer, which is also counted when it is given again.
        """
        row = self._rows.get((query.listener, query.zone, query.rtype)) or self._row(query, query.zone)
        kind = _kind(query, response)
        row.count(kind, 1, seconds)
        repeat = response.repeat
        if repeat is None:
            return response
        return response.repeatable(repeat.noted(row.notes(kind)))

    def count_dropped(self, query: Query, response: Response) -> None:
        """Count a query that reached no server block."""
        self._row(query, None).count(_kind(query, response), 1, 0.0)

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
