"""A list while it is read: the store that will take the current one's place."""

from svcdns.kube.cluster import Cluster, new_store
from svcdns.kube.objects import EndpointSlice, Key, Kind, Object, Service
from svcdns.kube.structs import Retained

_OWNED = (Service, EndpointSlice)


class Draft:
    """All objects of one kind as a list gives them, beside the current ones.

    Args:
        kind: The kind.
        cluster: What holds the current objects, of which those that did not change are used again.

    Attributes:
        retained: The versions of objects that the list has and the store cannot hold.
    """

    def __init__(self, kind: Kind, cluster: Cluster) -> None:
        self._kind = kind
        self._cluster = cluster
        self._current = cluster.store(kind)
        self._store = new_store(kind)
        self._touched: set[Key] = set()
        self._missing = set(self._current.keys())
        self.retained: dict[Key, str] = {}

    def put(self, found: Object | Retained) -> None:
        """Take in an object of the list."""
        self._missing.discard(found.key)
        known = self._current.get(found.key)
        if isinstance(found, Retained):
            if known is None:
                self.retained[found.key] = found.version
                return
            found = known.with_version(found.version)
        if known is None or known.with_version(found.version) != found:
            self._touch(known, found)
        elif known.version == found.version:
            found = known
        self._store.put(found)

    def remove(self, key: Key) -> None:
        """Take in that an object went away while the list was read."""
        self._store.remove(key)
        self.retained.pop(key, None)
        if key in self._current:
            self._missing.add(key)

    def apply(self) -> None:
        """Put the list, now whole, in the place of the current objects, in one step."""
        for key in self._missing:
            self._touch(self._current.get(key))
        unknown_extent = self._kind is Kind.NAMESPACE and self._touched
        self._cluster.swap(self._kind, self._store, None if unknown_extent else frozenset(self._touched))

    def _touch(self, *objects: Object | None) -> None:
        for each in objects:
            if each is not None:
                self._touched.add(each.owner if isinstance(each, _OWNED) else each.key)
