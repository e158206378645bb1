"""Where entries are kept: bounded, and hard to flush."""

from cachetools import LRUCache

from svcdns.chain import Resource
from svcdns.dns.name import Name
from svcdns.plugins.cache.entry import Entry

AVERAGE_SIZE = 2048
"""How many octets of memory there are for each entry; a smaller one counts as if it took them."""

NEW_PART = 5
"""The part of the room that what is new may always take is one over this."""

Key = tuple[Name, int, bool, bool]
"""Name, type, DO and CD of a question; the class is always IN."""


class Table:
    """Entries by question.

    What is new stands apart until it is asked for again. Where room is short, the oldest new entry goes; only while new
    ones have less than a fifth of the room, the one goes that was not asked for again for longest. So names that are
    asked for once, however many, flush only each other.

    Args:
        capacity: How many entries there is room for.
    """

    def __init__(self, capacity: int) -> None:
        self._room = capacity * AVERAGE_SIZE
        self._new: LRUCache[Key, Entry] = LRUCache(self._room, _size)
        self._proven: LRUCache[Key, Entry] = LRUCache(self._room, _size)
        self._evicted = 0

    def __len__(self) -> int:
        return len(self._new) + len(self._proven)

    def get(self, key: Key) -> Entry | None:
        """Return the entry under *key*, which from now on is one that was asked for again."""
        if key in self._proven:
            return self._proven[key]
        if key in self._new:
            entry = self._proven[key] = self._new.pop(key)
            return entry
        return None

    def put(self, key: Key, entry: Entry) -> None:
        """Keep *entry*, unless it alone is larger than the room for new ones."""
        before = self._proven.get(key)
        self.drop(key)
        size = _size(entry)
        if size > self._room // NEW_PART:
            return
        while self._new.currsize + self._proven.currsize + size > self._room:
            short = self._new.currsize < self._room // NEW_PART
            (self._proven if short else self._new).popitem()
            self._evicted += 1
        if before is not None:
            entry.succeed(before)
        (self._new if before is None else self._proven)[key] = entry

    def drop(self, key: Key) -> None:
        """Forget the entry under *key*, if there is one."""
        self._proven.pop(key, None)
        self._new.pop(key, None)

    def take_evicted(self) -> int:
        """Return how many entries had to go since the last call."""
        evicted, self._evicted = self._evicted, 0
        return evicted


def _size(entry: Entry) -> int:
    return max(entry.size, AVERAGE_SIZE)


class Store(Resource):
    """Answers and denials; outlives a reload.

    Args:
        successes: How many answers.
        denials: How many denials.
    """

    def __init__(self, successes: int, denials: int) -> None:
        self.success = Table(successes)
        self.denial = Table(denials)

    def inherit(self) -> "Store":
        """Return what is kept."""
        return self
