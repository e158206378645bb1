"""What is kept of an answer: which ones may be, for how long, and what they say as time goes by.

Source: RFC 2181 sections 5.2 and 8, RFC 2308 sections 5 and 7, RFC 8767 section 4, RFC 9520 section 3.2.
"""

from collections.abc import Callable
from enum import Enum

from svcdns.dns.message import Ede, ExtendedError, Query, Rcode, Response
from svcdns.dns.records import RRset, Rtype, as_denial
from svcdns.plugins.cache.config import Side

PLUGIN = "cache"

STALE_TTL = 30

_FAILURES = frozenset({Rcode.SERVFAIL, Rcode.NOTIMP})
_OWN_TROUBLES = frozenset({Ede.OTHER, Ede.NOT_READY})
_CACHED_ERROR = ExtendedError(Ede.CACHED_ERROR)
_STALE_ANSWER = ExtendedError(Ede.STALE_ANSWER)
_STALE_NXDOMAIN = ExtendedError(Ede.STALE_NXDOMAIN)

AVERAGE_SIZE = 2048
"""How many octets of memory there are for each entry; a smaller one counts as if it took them."""

_ENTRY_SIZE = 1200
_RRSET_SIZE = 300
_RDATA_SIZE = 48
"""Octets of memory that an entry, one of its record sets and one of its records take beside the data."""


class Kind(Enum):
    """What an answer says."""

    SUCCESS = "success"
    DENIAL = "denial"
    FAILURE = "failure"


class Entry:
    """An answer that is kept.

    Args:
        kind: What it says.
        response: The answer, as it is told when nothing of its time has passed.
        lifetime: How many seconds it may be told.
        now: Monotonic time in seconds.

    Attributes:
        kind: What it says.
        response: The answer as it was at first.
        lifetime: How many seconds it may be told.
        expires: When it may be told no more.
        size: About how many octets of memory it takes, but no less than the average.
        retry_at: When it may be fetched again, since a fetch failed.
        hits: How often it was told without a gap between.
        last_hit: When it was told last.
    """

    __slots__ = (
        "_age",
        "_aged",
        "_stored",
        "expires",
        "hits",
        "kind",
        "last_hit",
        "lifetime",
        "response",
        "retry_at",
        "size",
    )

    def __init__(self, kind: Kind, response: Response, lifetime: float, now: float) -> None:
        self.kind = kind
        self.response = response
        self.lifetime = lifetime
        self.expires = now + lifetime
        self.retry_at = now
        self.size = max(AVERAGE_SIZE, _ENTRY_SIZE + sum([_size(rrset) for rrset in _rrsets(response)]))
        self._stored = now
        self._age = 0
        self._aged = response
        self.hits = 0
        self.last_hit = now

    def at(self, now: float) -> Response:
        """Return the answer with its TTLs counted down; made once a second."""
        age = int(now - self._stored)
        if age != self._age:
            self._aged = _map(self.response, lambda rrset: rrset.with_ttl(rrset.ttl - age), self.response.ede)
            self._age = age
        return self._aged

    def next_step(self, now: float) -> float:
        """Return when the TTLs will be one less than now, or the answer's time is over."""
        return min(self._stored + int(now - self._stored) + 1, self.expires)

    def stale(self) -> Response:
        """Return the answer as it is told after its time, and say so (RFC 8767 section 4)."""
        ede = _STALE_NXDOMAIN if self.response.rcode == Rcode.NXDOMAIN else _STALE_ANSWER
        return _map(self.response, lambda rrset: rrset.with_ttl(STALE_TTL), ede)

    def hit(self, times: int, now: float, gap: float) -> None:
        """Note that the answer was told so many times; where *gap* seconds went by before, counting begins anew."""
        self.hits = self.hits + times if now - self.last_hit < gap else times
        self.last_hit = now

    def succeed(self, before: "Entry") -> None:
        """Go on counting hits where the entry *before* ends."""
        self.hits = before.hits
        self.last_hit = before.last_hit


def classify(query: Query, response: Response) -> Kind | None:
    """Return what *response* says; None for what nobody may keep.

    That is a denial without SOA (RFC 2308 section 5), a referral, a chain of CNAMEs without an end, other errors, and a
    SERVFAIL that tells of a trouble of our own.
    """
    if response.rcode in _FAILURES:
        own = response.ede is not None and response.ede.code in _OWN_TROUBLES
        return None if own else Kind.FAILURE
    found = any(query.rtype in (rrset.rtype, Rtype.ANY) for rrset in response.answer)
    if response.rcode == Rcode.NOERROR and found:
        return Kind.SUCCESS
    if response.rcode in {Rcode.NOERROR, Rcode.NXDOMAIN} and any(map(_is_soa, response.authority)):
        return Kind.DENIAL
    return None


def make_entry(kind: Kind, response: Response, side: Side, now: float) -> Entry | None:
    """Make an entry of an answer or a denial; None where its time is 0."""
    authority = response.authority
    if kind is Kind.DENIAL:
        authority = tuple([as_denial(rrset) if _is_soa(rrset) else rrset for rrset in authority])
    kept = Response(
        response.rcode,
        _limit(response.answer, side),
        _limit(authority, side),
        _limit(response.additional, side),
        ad=response.ad,
        plugin=PLUGIN,
    )
    lifetime = min([rrset.ttl for rrset in _rrsets(kept)])
    return Entry(kind, kept, lifetime, now) if lifetime > 0 else None


def make_failure(response: Response, seconds: float, now: float) -> Entry:
    """Make an entry of a failure (RFC 9520 section 3.2)."""
    return Entry(Kind.FAILURE, Response(response.rcode, ede=_CACHED_ERROR, plugin=PLUGIN), seconds, now)


def _is_soa(rrset: RRset) -> bool:
    return rrset.rtype == Rtype.SOA


def _rrsets(response: Response) -> tuple[RRset, ...]:
    return response.answer + response.authority + response.additional


def _limit(rrsets: tuple[RRset, ...], side: Side) -> tuple[RRset, ...]:
    """Keep the TTLs of *rrsets* to what *side* allows."""
    return tuple([rrset.with_ttl(max(min(rrset.ttl, side.longest), side.shortest)) for rrset in rrsets])


def _map(kept: Response, change: Callable[[RRset], RRset], ede: ExtendedError | None) -> Response:
    """Return the answer of an entry with its record sets changed."""
    return Response(
        kept.rcode,
        tuple(map(change, kept.answer)),
        tuple(map(change, kept.authority)),
        tuple(map(change, kept.additional)),
        ad=kept.ad,
        ede=ede,
        plugin=kept.plugin,
    )


def _size(rrset: RRset) -> int:
    """Return about how many octets of memory a record set takes, with its copy of the current age."""
    return (
        _RRSET_SIZE + len(rrset.owner) + 2 * len(rrset.octets) + sum(_RDATA_SIZE + len(each) for each in rrset.rdatas)
    )
