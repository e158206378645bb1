"""The plugin: what is told from the cache, what is asked for, what is kept."""

import asyncio
import math
from asyncio import Task
from collections.abc import Sequence

from svcdns.chain import Environment, Handler, Plugin, only
from svcdns.corefile import Directive
from svcdns.dns.message import Lease, Query, Rcode, Repeat, Response
from svcdns.dns.name import is_within, to_text
from svcdns.plugins.cache.config import Prefetch, Settings, Stale, find_slip, parse
from svcdns.plugins.cache.counters import Counters
from svcdns.plugins.cache.entry import PLUGIN, Entry, Kind, classify, make_entry, make_failure
from svcdns.plugins.cache.table import Key, Store

RECHECK = 30.0
"""How many seconds pass until an answer whose fetch failed is fetched again (RFC 8767 section 5)."""

_USEFUL = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN})


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Read ``cache``."""
    directive = only(directives)
    settings = parse(directive)
    if slip := find_slip(directive, environment.zones):
        environment.warn(str(directive.error(slip)))
    store = environment.keep(
        (PLUGIN, environment.place(), settings.terms),
        lambda: Store(settings.success.capacity, settings.denial.capacity),
    )
    return Cache(settings, environment, store)


class Cache(Plugin):
    """Keeps answers.

    Args:
        settings: What the directive says.
        environment: What the application lends.
        store: What is kept.
    """

    skippable = True

    def __init__(self, settings: Settings, environment: Environment, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._clock = environment.clock
        self._spawn = environment.spawn
        self._metrics = environment.metrics
        self._label = ",".join(to_text(zone) for zone in settings.zones or environment.zones)
        self._counters: dict[str, Counters] = {}
        self._fetches: dict[Key, Task[Response]] = {}

    async def handle(self, query: Query, rest: Handler) -> Response:
        """Answer *query* with what is kept, else with what the rest of the chain answers."""
        settings = self._settings
        if settings.zones and not is_within(query.name, settings.zones):
            return await rest(query)
        counters = self._counters_of(query)
        counters.requests.value += 1
        key = _key(query)
        now = self._clock()
        entry = self._find(key, now)
        if entry is None:
            counters.misses.value += 1
            return self._keep(key, query, await rest(query))
        counters.hits(entry.kind).value += 1
        if now >= entry.expires and settings.stale is not None:
            return await self._answer_stale(entry, settings.stale, query, rest)
        if settings.prefetch is not None:
            entry.hit(1, now, settings.prefetch.gap)
            if _is_due(entry, settings.prefetch, now):
                counters.prefetches.value += 1
                self._fetch(entry, query, rest)
        return self._tell(key, entry, counters, now)

    def keep(self, query: Query, response: Response) -> None:
        """Keep the answer to *query*, which came when nobody waited for it any more."""
        if not self._settings.zones or is_within(query.name, self._settings.zones):
            self._keep(_key(query), query, response)

    def _tell(self, key: Key, entry: Entry, counters: Counters, now: float) -> Response:
        """Return what *entry* says, to be given again until its TTLs are one less."""
        told = _Told(self, key, entry, counters)
        repeat = Repeat(Lease(entry.next_step(now)), told.renew, notes=(told.note,))
        response = entry.response if self._settings.keepttl else entry.at(now)
        return response.repeatable(repeat)

    def renew(self, key: Key, entry: Entry, counters: Counters) -> Response | None:
        """Return what *entry* says now, if it is still what is told and nothing else is to be done."""
        now, prefetch = self._clock(), self._settings.prefetch
        if now >= entry.expires or self._find(key, now) is not entry:
            return None
        if prefetch is not None and _is_due(entry, prefetch, now):
            return None
        return self._tell(key, entry, counters, now)

    def note(self, entry: Entry, counters: Counters, times: int) -> None:
        """Count answers that were given again."""
        counters.requests.value += times
        counters.hits(entry.kind).value += times
        if self._settings.prefetch is not None:
            entry.hit(times, self._clock(), self._settings.prefetch.gap)

    def _find(self, key: Key, now: float) -> Entry | None:
        """Return what is kept and may be told, fresh before stale; a failure only where there is neither."""
        entry = self._store.success.get(key)
        if entry is not None and now < entry.expires:
            return entry
        denial = self._store.denial.get(key)
        if denial is not None and now < denial.expires and denial.kind is Kind.DENIAL:
            return denial
        stale = self._settings.stale
        if stale is not None:
            for expired in (entry, denial):
                if expired is not None and expired.kind is not Kind.FAILURE and now < expired.expires + stale.period:
                    return expired
        return denial if denial is not None and now < denial.expires else None

    def _keep(self, key: Key, query: Query, response: Response) -> Response:
        """Keep *response*, and return it with the TTLs that it is kept with."""
        settings, store, now = self._settings, self._store, self._clock()
        kind = classify(query, response)
        if kind is None:
            return response
        if kind is Kind.FAILURE:
            if settings.servfail and self._find(key, now) is None:
                evicted = store.denial.put(key, make_failure(response, settings.servfail, now))
                self._counters_of(query).evictions(kind).value += evicted
            return response
        successful = kind is Kind.SUCCESS
        side = settings.success if successful else settings.denial
        disabled = side.disabled and is_within(query.name, side.disabled)
        entry = None if disabled else make_entry(kind, response, side, now)
        if entry is None:
            return response
        table, other = (store.success, store.denial) if successful else (store.denial, store.success)
        other.drop(key)
        self._counters_of(query).evictions(kind).value += table.put(key, entry)
        kept = entry.response
        return Response(
            kept.rcode,
            kept.answer,
            kept.authority,
            kept.additional,
            ad=response.ad,
            ede=response.ede,
            plugin=response.plugin,
        )

    async def _answer_stale(self, entry: Entry, stale: Stale, query: Query, rest: Handler) -> Response:
        """Answer with what has expired, unless the rest of the chain does better in time (RFC 8767 section 5)."""
        counters = self._counters_of(query)
        if self._clock() >= entry.retry_at:
            fetch = self._fetch(entry, query, rest)
            if stale.timeout is not None:
                await asyncio.wait((fetch,), timeout=stale.timeout)
                if _is_useful(fetch):
                    return fetch.result()
            else:
                counters.prefetches.value += 1
        counters.stale.value += 1
        return entry.stale()

    def _fetch(self, entry: Entry, query: Query, rest: Handler) -> Task[Response]:
        """Ask the rest of the chain again for what *entry* says, unless that is under way."""
        key = _key(query)
        fetch = self._fetches.get(key)
        if fetch is None:
            fetch = self._fetches[key] = self._spawn(self._ask(key, query, rest))
            fetch.add_done_callback(lambda done: self._end(key, entry, done))
        return fetch

    async def _ask(self, key: Key, query: Query, rest: Handler) -> Response:
        return self._keep(key, query, await rest(query))

    def _end(self, key: Key, entry: Entry, fetch: Task[Response]) -> None:
        del self._fetches[key]
        if not _is_useful(fetch):
            entry.retry_at = self._clock() + RECHECK

    def _counters_of(self, query: Query) -> Counters:
        server = query.listener.label
        counters = self._counters.get(server)
        if counters is None:
            counters = self._counters[server] = Counters(self._metrics, server, self._label, self._store)
        return counters


class _Told:
    """An answer that was told, and may be told again as long as it would be.

    There may be tens of thousands, and functions with their arguments (`functools.partial`) take twice the memory.

    Args:
        cache: Told it.
        key: Its question.
        entry: What it was made of.
        counters: Count it.
    """

    __slots__ = ("_cache", "_counters", "_entry", "_key")

    def __init__(self, cache: Cache, key: Key, entry: Entry, counters: Counters) -> None:
        self._cache = cache
        self._key = key
        self._entry = entry
        self._counters = counters

    def renew(self) -> Response | None:
        """Return the answer of the moment, or None where the chain must be asked."""
        return self._cache.renew(self._key, self._entry, self._counters)

    def note(self, times: int, _: float) -> None:
        """Take note that it was told again."""
        self._cache.note(self._entry, self._counters, times)


def _key(query: Query) -> Key:
    return query.name, query.rtype, query.do, query.cd


def _is_due(entry: Entry, prefetch: Prefetch, now: float) -> bool:
    """Tell whether the entry is asked for often enough, and old enough, to be fetched again."""
    popular = entry.hits >= prefetch.amount
    return popular and entry.expires - now <= math.ceil(prefetch.fraction * entry.lifetime) and now >= entry.retry_at


def _is_useful(fetch: Task[Response]) -> bool:
    """Tell whether a fetch has ended with an answer to the question."""
    return fetch.done() and not fetch.cancelled() and fetch.exception() is None and fetch.result().rcode in _USEFUL
