"""Find events that a watch lost: compare the store with a list of metadata, once the watch has passed its version.

Source: KEP-5504, resource versions that can be compared.
"""

from collections.abc import Iterator, Mapping
from itertools import chain

from svcdns.kube.cluster import Store
from svcdns.kube.objects import Key, Object

_PORTION = 256


def is_newer(version: str, than: str) -> bool:
    """Whether one resource version comes after another; assumed where they cannot be compared."""
    return not (version.isdecimal() and than.isdecimal()) or int(version) > int(than)


class Audit:
    """One comparison at a time: `begin`, `take` each page, `compare`, then ask `failed_at` as the watch goes on.

    What the watch reports in between needs no comparison: such an object is as new as its event.
    """

    def __init__(self) -> None:
        self._touched: set[Key] | None = None
        self._listed: dict[Key, str] = {}
        self._suspects: set[Key] = set()
        self._at = ""

    def begin(self) -> None:
        """Remember from now on which objects the watch reports."""
        self.drop()
        self._touched = set()

    def drop(self) -> None:
        """Forget all: the store is new."""
        self._touched = None
        self._listed = {}
        self._suspects.clear()

    def touch(self, key: Key) -> None:
        """Take in that the watch reported an object."""
        self._suspects.discard(key)
        if self._touched is not None:
            self._touched.add(key)

    def take(self, versions: Mapping[Key, str], store: Store[Object]) -> None:
        """Take in a page.

        Of what is as the store has it, the store's own key and version are kept: a large cluster's would be megabytes,
        which others fill when they are free again.

        Args:
            versions: The resource version of each object, as listed.
            store: The objects that the watch keeps.
        """
        for key, version in versions.items():
            known = store.get(key)
            if known is not None and known.version == version:
                self._listed[known.key] = known.version
            else:
                self._listed[key] = version

    def compare(self, at: str, store: Store[Object], retained: Mapping[Key, str]) -> Iterator[None]:
        """Find what differs, yielding for others to have a turn.

        Args:
            at: The version of the list.
            store: The objects that the watch keeps.
            retained: The versions of those that the store cannot hold.
        """
        listed, self._listed = self._listed, {}
        missing = [key for key in chain(store.keys(), retained) if key not in listed]
        suspects = set()
        for count, key in enumerate(chain(listed, missing)):
            if count % _PORTION == 0:
                yield
            known = store.get(key)
            if listed.get(key) != (retained.get(key) if known is None else known.version):
                suspects.add(key)
        if self._touched is not None:
            self._suspects, self._touched, self._at = suspects - self._touched, None, at

    def failed_at(self, position: str) -> bool:
        """Whether an object still differs though the watch has come to the version of the list."""
        return bool(self._suspects) and not is_newer(self._at, position)
