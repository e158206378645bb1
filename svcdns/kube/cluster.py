"""The cluster as it is now: current objects, the indexes that answers need, and what changed last.

Sources (the API server, a folder) write here, views read. A change of one object is one call; a list is a whole new
`Store`, filled beside the current one and put in with one assignment, so that no reader ever sees half of either. Views
do not subscribe: they compare `revision` and ask `changes_since` which Services to look at again, so that nothing can
be stale and nothing leaks. What is told (`tell`) is for other processes, and for preparations that no answer needs.
"""

from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable
from itertools import islice
from typing import Generic, NamedTuple, TypeVar, cast

from svcdns.kube.objects import EndpointSlice, Key, Kind, Namespace, Object, Pod, Service

K = TypeVar("K", bound=Hashable)
T = TypeVar("T", bound=Object)

_REMEMBERED_CHANGES = 4096
_REMEMBERED_ARRIVALS = 16  # who adds more at a time waits for none of them by itself
_SERIAL_BITS = 0xFFFFFFFF
_OWNED = (Service, EndpointSlice)


class Store(Generic[T]):
    """All objects of one kind, by key and by the addresses that they hold (as octets; several may share one)."""

    __slots__ = ("_by_address", "_objects")

    def __init__(self) -> None:
        self._objects: dict[Key, T] = {}
        self._by_address: dict[bytes, tuple[T, ...]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: Key) -> bool:
        return key in self._objects

    def get(self, key: Key) -> T | None:
        """Return the object under *key*, if there is one."""
        return self._objects.get(key)

    def keys(self) -> Iterable[Key]:
        """Return the keys of all objects."""
        return self._objects.keys()

    def values(self) -> Iterable[T]:
        """Return all objects."""
        return self._objects.values()

    def at(self, address: bytes) -> tuple[T, ...]:
        """Return the objects that hold *address*, in the order in which they came."""
        return self._by_address.get(address, ())

    def put(self, found: T) -> T | None:
        """Add *found*, or put it in the place of its predecessor, which is returned."""
        before = self._objects.get(found.key)
        self._objects[found.key] = found
        addresses = found.addresses
        _enter(self._by_address, addresses, found, before)
        if before is not None:
            _strike(self._by_address, [each for each in before.addresses if each not in addresses], before)
        return before

    def remove(self, key: Key) -> T | None:
        """Remove the object under *key* and return it, or None where there is none."""
        before = self._objects.pop(key, None)
        if before is not None:
            _strike(self._by_address, before.addresses, before)
        return before


class SliceStore(Store[EndpointSlice]):
    """The endpoint slices, by the Service that they name as well."""

    __slots__ = ("_by_service",)

    def __init__(self) -> None:
        super().__init__()
        self._by_service: dict[Key, tuple[EndpointSlice, ...]] = {}

    def of(self, service: Key) -> tuple[EndpointSlice, ...]:
        """Return the slices of a Service, in the order in which they came."""
        return self._by_service.get(service, ())

    def put(self, found: EndpointSlice) -> EndpointSlice | None:
        """Add *found*, or put it in the place of its predecessor, which is returned."""
        before = super().put(found)
        _enter(self._by_service, (found.owner,), found, before)
        if before is not None and before.owner != found.owner:
            _strike(self._by_service, (before.owner,), before)
        return before

    def remove(self, key: Key) -> EndpointSlice | None:
        """Remove the slice under *key* and return it, or None where there is none."""
        before = super().remove(key)
        if before is not None:
            _strike(self._by_service, (before.owner,), before)
        return before


def _enter(index: dict[K, tuple[T, ...]], keys: Iterable[K], found: T, before: T | None) -> None:
    """Put *found* under *keys*: in the place of *before* where that stands, else behind all others."""
    alone = (found,)  # shared by all keys that nobody else is under: a large cluster has 100,000 addresses
    for key in keys:
        others = index.get(key)
        if others is None or (others[0] is before and len(others) == 1):
            index[key] = alone
        elif before is not None and any(each is before for each in others):
            index[key] = tuple(found if each is before else each for each in others)
        else:
            index[key] = (*others, found)


def _strike(index: dict[K, tuple[T, ...]], keys: Iterable[K], gone: T) -> None:
    """Take *gone* out from under *keys*, and the keys that nothing is left under."""
    for key in keys:
        left = tuple(each for each in index.get(key, ()) if each is not gone)
        if left:
            index[key] = left
        else:
            index.pop(key, None)


def new_store(kind: Kind) -> Store[Object]:
    """Return an empty store for objects of *kind*."""
    return cast("Store[Object]", SliceStore() if kind is Kind.ENDPOINT_SLICE else Store())


class Change(NamedTuple):
    """A change of one object, for a cluster elsewhere to learn.

    Attributes:
        kind: Its kind.
        key: Its key.
        found: The object; None where it is gone.
        serial: The serial from then on.
    """

    kind: Kind
    key: Key
    found: Object | None
    serial: int


class Cluster:
    """Current objects of the kinds watched.

    Args:
        kinds: The kinds that the source will deliver.
        wall: Unix time in seconds, for the serial.

    Attributes:
        services: The Services.
        slices: The endpoint slices.
        namespaces: The Namespaces.
        pods: The Pods, empty unless they are watched.
        pending: Kinds whose first list is not in yet.
        denied: Kinds that the API server does not let us list or watch.
        revision: Counts changes.
        serial: The serial of zones made from these objects: each change raises it, to Unix time where that is higher
            (RFC 1982).
        tell: Is told of each change of one object, and None of any larger one.
    """

    def __init__(self, kinds: Collection[Kind], wall: Callable[[], float]) -> None:
        self.services: Store[Service] = Store()
        self.slices = SliceStore()
        self.namespaces: Store[Namespace] = Store()
        self.pods: Store[Pod] = Store()
        self.pending = frozenset(kinds)
        self.denied: frozenset[Kind] = frozenset()
        self.revision = 0
        self.tell: Callable[[Change | None], None] = lambda _: None
        self._wall = wall
        self.serial = int(wall()) & _SERIAL_BITS
        self._changes: deque[frozenset[Key] | None] = deque(maxlen=_REMEMBERED_CHANGES)
        self._arrivals: deque[tuple[int, Key]] = deque(maxlen=_REMEMBERED_ARRIVALS)

    def store(self, kind: Kind) -> Store[Object]:
        """Return the current store of *kind*."""
        match kind:
            case Kind.SERVICE:
                return cast("Store[Object]", self.services)
            case Kind.ENDPOINT_SLICE:
                return cast("Store[Object]", self.slices)
            case Kind.NAMESPACE:
                return cast("Store[Object]", self.namespaces)
            case Kind.POD:
                return cast("Store[Object]", self.pods)

    def put(self, kind: Kind, found: Object) -> None:
        """Take in an object that was added or changed."""
        before = self.store(kind).put(found)
        if before is None or before.with_version(found.version) != found:
            self._changed(kind, before, found)
            if kind is Kind.SERVICE and before is None:
                self._arrivals.append((self.revision, found.key))
            self.tell(Change(kind, found.key, found, self.serial))

    def remove(self, kind: Kind, key: Key) -> None:
        """Take in that an object is gone; one that is not there makes no difference."""
        before = self.store(kind).remove(key)
        if before is not None:
            self._changed(kind, before)
            self.tell(Change(kind, key, None, self.serial))

    def learn(self, change: Change) -> None:
        """Take in a change that another cluster told of."""
        if change.found is None:
            self.remove(change.kind, change.key)
        else:
            self.put(change.kind, change.found)
        self.serial = change.serial

    def swap(self, kind: Kind, store: Store[Object], touched: frozenset[Key] | None = None) -> None:
        """Put a whole list of *kind* in the place of the current one, in one step.

        Args:
            kind: The kind.
            store: All its objects.
            touched: The Services for which the two lists differ, if that is known; where there are none, nobody has to
                look again.
        """
        match kind:
            case Kind.SERVICE:
                self.services = cast("Store[Service]", store)
            case Kind.ENDPOINT_SLICE:
                self.slices = cast("SliceStore", store)
            case Kind.NAMESPACE:
                self.namespaces = cast("Store[Namespace]", store)
            case Kind.POD:
                self.pods = cast("Store[Pod]", store)
        if kind in self.pending | self.denied:
            touched = None
        self.pending -= {kind}
        self.denied -= {kind}
        if touched is None or touched:
            self._note(touched)
            self.tell(None)

    def deny(self, kind: Kind) -> None:
        """Take in that the API server refuses *kind*; answers that do not need it go on without."""
        if kind not in self.denied:
            self.denied |= {kind}
            self._note(None)
            self.tell(None)

    def allow(self, kind: Kind) -> None:
        """Take in that a kind refused before is delivered again."""
        if kind in self.denied:
            self.denied -= {kind}
            self._note(None)
            self.tell(None)

    def changes_since(self, revision: int) -> frozenset[Key] | None:
        """Return the Services touched since *revision*, or None where any name may have changed."""
        count = self.revision - revision
        if count > len(self._changes):
            return None
        touched: set[Key] = set()
        for keys in islice(reversed(self._changes), count):
            if keys is None:
                return None
            touched |= keys
        return frozenset(touched)

    def arrivals_since(self, revision: int) -> list[Key]:
        """Return the Services that were added one by one since *revision*, the last few of them."""
        return [key for added, key in self._arrivals if added > revision]

    def _changed(self, kind: Kind, *objects: Object | None) -> None:
        """Note a change of one object; that of a Pod touches no Service."""
        if kind is Kind.NAMESPACE:
            self._note(None)
        else:
            self._note(frozenset([each.owner for each in objects if isinstance(each, _OWNED)]))

    def _note(self, keys: frozenset[Key] | None) -> None:
        self.revision += 1
        self._changes.append(keys)
        self.serial = max(self.serial + 1, int(self._wall())) & _SERIAL_BITS
