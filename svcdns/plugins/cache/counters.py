"""What the cache counts."""

from collections.abc import Callable
from functools import partial
from weakref import ref

from svcdns.metrics import Counter, Metrics
from svcdns.plugins.cache.entry import Kind
from svcdns.plugins.cache.table import Store, Table

_VIEW = ""
_DESCRIPTIONS = {
    "requests": "Queries that came to the cache.",
    "misses": "Queries that the cache had no answer to.",
    "prefetch": "Fetches before or after the end of an answer's time.",
    "served_stale": "Queries answered with what had expired.",
    "drops": "Answers to another question than was asked.",
}


class Counters:
    """The numbers of one listener.

    Args:
        metrics: Where they are shown.
        server: The listener's label.
        zones: The zones that the cache is for, as a label.
        store: What is kept.
    """

    def __init__(self, metrics: Metrics, server: str, zones: str, store: Store) -> None:
        def counter(name: str) -> Counter:
            family = metrics.counter(f"coredns_cache_{name}_total", _DESCRIPTIONS[name], ("server", "zones", "view"))
            return family.labels(server, zones, _VIEW)

        self.requests = counter("requests")
        self.misses = counter("misses")
        self.prefetches = counter("prefetch")
        self.stale = counter("served_stale")
        counter("drops")
        labels = ("server", "type", "zones", "view")
        hits = metrics.counter("coredns_cache_hits_total", "Queries answered from the cache.", labels)
        evictions = metrics.counter("coredns_cache_evictions_total", "Entries that had to give way.", labels)
        entries = metrics.gauge("coredns_cache_entries", "Entries in the cache.", labels)
        self._success_hits = hits.labels(server, "success", zones, _VIEW)
        self._denial_hits = hits.labels(server, "denial", zones, _VIEW)
        self._success_evictions = evictions.labels(server, "success", zones, _VIEW)
        self._denial_evictions = evictions.labels(server, "denial", zones, _VIEW)
        for name, table in (("success", store.success), ("denial", store.denial)):
            entries.labels(server, name, zones, _VIEW).follow(partial(_count, ref(table)))

    def hits(self, kind: Kind) -> Counter:
        """Return what counts the hits of a kind of entry."""
        return self._success_hits if kind is Kind.SUCCESS else self._denial_hits

    def evictions(self, kind: Kind) -> Counter:
        """Return what counts the entries that gave way to one of a kind."""
        return self._success_evictions if kind is Kind.SUCCESS else self._denial_evictions


def _count(table: Callable[[], Table | None]) -> int:
    """Return how much is in a table, as long as there is one: a gauge must not keep it from being forgotten."""
    kept = table()
    return 0 if kept is None else len(kept)
