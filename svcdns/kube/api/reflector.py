"""One kind's list and watch as a state machine: what to ask next, what an answer means, when to ask again.

There is no I/O here, no time and no chance: answers, how long they took and a source of random numbers come in. The
store that queries read is changed by single events and by whole lists only, each in one step; what is uncertain is
never patched but listed again.

Source: Kubernetes API concepts, "Efficient detection of changes", "Streaming lists", "Resource versions"; KEP-3157,
KEP-5504.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from random import Random
from typing import NamedTuple

from svcdns.errors import ClusterError, Expired
from svcdns.kube.api.audit import Audit, is_newer
from svcdns.kube.api.draft import Draft
from svcdns.kube.api.failures import RefusalError, UnreachableError, make_failure
from svcdns.kube.cluster import Cluster
from svcdns.kube.decode import Event, Page, Status
from svcdns.kube.objects import Key, Kind, Object
from svcdns.kube.structs import Retained

FIRST_PAGES = 500
"""Objects per page until the first list is in, while few queries can be answered anyway."""

LATER_PAGES = 50
"""Objects per page of later lists: decoding a page must not hold up queries."""

SHORTEST_WATCH = 1.0
"""A watch that ends sooner is not opened again at once, in seconds."""

STEADY_WATCH = 10.0
"""A watch that lasts so long shows that all is well, in seconds."""

_ROTATION = (300, 600)
_SHORTEST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_DENIED_PAUSE = (30.0, 33.0)
_UNSURE_PAUSE = (1.0, 2.0)
_FRUITLESS_TRIES = 3
_MOST_DOUBLINGS = 3
_IDLE_ENDS = 2


class ListRequest(NamedTuple):
    """Ask for a page of a list, of any number of objects where *limit* is 0; *token* continues an earlier page."""

    limit: int
    token: str = ""

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the request. No resource version: the list is the newest there is."""
        chosen = {"limit": str(self.limit or ""), "continue": self.token}
        return {name: value for name, value in chosen.items() if value}


class WatchRequest(NamedTuple):
    """Ask for all events after a version, for some seconds; without a version, for all objects first."""

    version: str
    seconds: int

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the request."""
        chosen = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(self.seconds)}
        if self.version:
            return chosen | {"resourceVersion": self.version}
        return chosen | {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}


class Recovery(NamedTuple):
    """How to go on: pause so many seconds, after *general* trouble only once the API server is back."""

    pause: float
    general: bool = False


class _Manner(Enum):
    """How the next list is asked for."""

    STREAM = "stream"
    PAGES = "pages"
    WHOLE = "whole"


class Reflector:
    """Keeps the objects of one kind as the API server has them.

    Args:
        kind: The kind.
        cluster: What to keep current.
        random: The source of jitter.

    Attributes:
        cause: Why the next list is needed, or why the last one was, in one word.
        audit: Compares what is here with a list of metadata.
    """

    def __init__(self, kind: Kind, cluster: Cluster, random: Random) -> None:
        self.kind = kind
        self.cause = "start"
        self.audit = Audit()
        self._cluster = cluster
        self._random = random
        self._position = ""
        self._draft: Draft | None = None
        self._manner = _Manner.STREAM
        self._streamable = True
        self._limit = 0
        self._retained: dict[Key, str] = {}
        self._fruitful = False
        self._failures = 0
        self._unanswered = 0
        self._idle_ends = 0
        self._denied = False

    @property
    def current(self) -> bool:
        """Whether the objects here are those of some moment, from which a watch can go on."""
        return bool(self._position)

    @property
    def patience(self) -> int:
        """How many times as long as usual to wait for an answer: an API server that is slow is never to be cut off."""
        return 1 << min(self._unanswered, _MOST_DOUBLINGS)

    def request(self) -> ListRequest | WatchRequest:
        """Return what to ask next; the first page where that is a list."""
        self._fruitful = False
        seconds = self._random.randint(*_ROTATION)
        if self._position:
            return WatchRequest(self._position, seconds)
        self._draft = Draft(self.kind, self._cluster)
        if self._manner is _Manner.STREAM:
            return WatchRequest("", seconds)
        pages = FIRST_PAGES if self.kind in self._cluster.pending else LATER_PAGES
        self._limit = pages if self._manner is _Manner.PAGES else 0
        return ListRequest(self._limit)

    def request_more(self, page: Page) -> ListRequest | None:
        """Return how to ask for what follows *page*, or None at the list's end."""
        return ListRequest(self._limit, page.more) if page.more else None

    def take_page(self, page: Page) -> Iterator[Object | Retained]:
        """Take in a page, yielding each of its objects, so that others may have a turn; the last page ends the list."""
        if self._draft is None or not page.version:
            raise ClusterError("a list without a resource version")
        for found in page.objects:
            self._draft.put(found)
            yield found
        if not page.more:
            self._complete(page.version)

    def open(self) -> None:
        """Take in that the API server has begun to answer a watch."""
        self._unanswered = 0
        if self._position:
            self._cluster.allow(self.kind)
            self._denied = False

    def take(self, event: Event) -> Object | None:
        """Take in an event of a watch and return the object that it brought, if it changed what is here.

        Raises:
            Expired: A list is needed.
            ClusterError: The watch cannot go on.
        """
        if event.status is not None:
            raise self._understand(event.status)
        if self._draft is None:
            return self._follow(event)
        if event.type != "BOOKMARK":
            self._collect(self._draft, event)
        elif event.complete:
            self._complete(event.version)
        return None

    def end(self, lasted: float) -> Recovery:
        """Take in that a watch ended as watches do, after so many seconds."""
        if self._draft is not None:
            self.fail(ClusterError("the watch ended before it had sent all objects"), lasted)
        elif self._fruitful:
            self._idle_ends = 0
        else:
            self._idle_ends += 1
        if self._idle_ends >= _IDLE_ENDS:  # some servers close where they should say that the version is gone
            self._begin_again("idle")
        if lasted >= SHORTEST_WATCH:
            self._failures = 0
            return Recovery(0.0)
        return Recovery(max(SHORTEST_WATCH - lasted, self._back_off()))

    def fail(self, error: ClusterError, lasted: float = 0.0) -> Recovery:
        """Take in that a request came to nothing, or that its answer broke off after so many seconds."""
        listing, self._draft = self._draft is not None, None
        self._unanswered += isinstance(error, UnreachableError)
        if lasted >= (SHORTEST_WATCH if self._fruitful else STEADY_WATCH):
            self._failures = 0
        match error:
            case Expired():
                return self._expire(listing=listing)
            case RefusalError(code=403):
                return self._deny()
            case UnreachableError() | RefusalError(general=True):
                if listing and self._failures >= _FRUITLESS_TRIES:
                    self._manner = _Manner.PAGES
                return Recovery(self._random.uniform(0, self._back_off() / 4), general=True)
            case RefusalError(code=400 | 422) if listing:
                self._streamable = False
        if listing and self._manner is _Manner.STREAM:
            self._manner = _Manner.PAGES
            return Recovery(0.0)
        pause = self._back_off()
        if isinstance(error, RefusalError) or (self._failures >= _FRUITLESS_TRIES and not self._fruitful):
            self._begin_again("stuck")
        return Recovery(max(pause, SHORTEST_WATCH - lasted) if lasted > 0 else pause)

    def take_stamps(self, versions: Mapping[Key, str]) -> None:
        """Take in a page of the list that what is here is to be compared with."""
        self.audit.take(versions, self._cluster.store(self.kind))

    def compare(self, at: str) -> Iterator[None]:
        """Compare what is here with that list, of version *at*; yields for others to have a turn."""
        return self.audit.compare(at, self._cluster.store(self.kind), self._retained)

    def _understand(self, status: Status) -> ClusterError:
        """Return what a failure that came as an event means."""
        error = make_failure(status, status.code)
        if self._draft is not None and not isinstance(error, Expired):
            self._streamable = False
        return error if isinstance(error, Expired) else ClusterError(str(error))

    def _collect(self, draft: Draft, event: Event) -> None:
        """Take in one of the objects that a streaming list begins with, or what happened to it meanwhile."""
        found = event.object
        if found is None or not event.version:
            return
        if event.type == "DELETED":
            draft.remove(found.key)
        else:
            draft.put(found)

    def _complete(self, version: str) -> None:
        """Put a whole list in force."""
        if self._draft is None or not version:
            raise ClusterError("a list without a resource version")
        self._draft.apply()
        self._retained = self._draft.retained
        self._draft = None
        self._position = version
        self._manner = _Manner.STREAM if self._streamable else _Manner.PAGES
        self._idle_ends = 0
        self._denied = False
        self.audit.drop()

    def _follow(self, event: Event) -> Object | None:
        """Take in an event of a watch that goes on from the current objects."""
        version, found = event.version, event.object
        if not version:
            return None
        changed = None
        if is_newer(version, self._position):
            self._position = version
            changed = self._change(event.type, found) if found is not None else None
        elif not self._is_known(event):  # the server's history was set back, or it repeats what is long past
            self._begin_again("order")
            raise Expired(f"version {version} came after a later one")
        self._fruitful = True
        if self.audit.failed_at(self._position):
            self._begin_again("audit")
            raise Expired("an audit found objects that the watch did not report")
        return changed

    def _is_known(self, event: Event) -> bool:
        """Whether an event that is no news says nothing but what is here."""
        if event.object is None:
            return event.version == self._position
        known = self._cluster.store(self.kind).get(event.object.key)
        if event.type == "DELETED":
            return known is None
        version = self._retained.get(event.object.key) if known is None else known.version
        return version == event.version

    def _change(self, change: str, found: Object | Retained) -> Object | None:
        """Make one change to the current objects."""
        self.audit.touch(found.key)
        known = self._cluster.store(self.kind).get(found.key)
        if change == "DELETED":
            self._retained.pop(found.key, None)
            self._cluster.remove(self.kind, found.key)
            return None
        if isinstance(found, Retained):
            if known is None:
                self._retained[found.key] = found.version
            else:
                self._cluster.put(self.kind, known.with_version(found.version))
            return None
        self._retained.pop(found.key, None)
        self._cluster.put(self.kind, found)
        return found

    def _expire(self, *, listing: bool) -> Recovery:
        """Go on after the API server has forgotten what was asked for: a list is due, at once if it is the first."""
        if listing and self._manner is _Manner.PAGES:
            self._manner = _Manner.WHOLE
        self._begin_again("expired")
        pause = self._back_off()
        return Recovery(pause if self._failures > 1 else 0.0)

    def _deny(self) -> Recovery:
        """Go on without permission; one that was lost may be back soon, as an API server that starts is unsure."""
        again, self._denied = self._denied, True
        self._cluster.deny(self.kind)
        soon = self.current and not again
        return Recovery(self._random.uniform(*(_UNSURE_PAUSE if soon else _DENIED_PAUSE)))

    def _begin_again(self, cause: str) -> None:
        """Forget from where a watch could go on, so that a list is next."""
        if self._position:
            self._position, self.cause = "", cause

    def _back_off(self) -> float:
        """Return a pause that grows with each failure in a row."""
        self._failures += 1
        longest = min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2 ** min(self._failures, 10))
        return self._random.uniform(longest / 2, longest)
