"""Where entries are kept: bounded, and hard to flush."""

from collections import OrderedDict
from operator import attrgetter

from cachetools import LRUCache

from svcdns.chain import Resource
from svcdns.dns.name import Name
from svcdns.plugins.cache.entry import AVERAGE_SIZE, Entry
from svcdns.weak import Referable

NEW_PART = 5
"""The part of the room that what is new may always take is one over this."""

Key = tuple[Name, int, bool, bool]
"""Name, type, DO and CD of a question; the class is always IN."""


class Table(Referable):
    """Entries by question.

    What is new stands apart until it is asked for again. Where room is short, the oldest new entry goes; only while new
    ones have less than a fifth of the room, the one goes that was not asked for again for longest. So names that are
    asked for once, however many, flush only each other.

    Args:
        capacity: How many entries there is room for.
    """

    def __init__(self, capacity: int) -> None:
        self._room = capacity * AVERAGE_SIZE
        # In the order in which they came: a dictionary, too, but that finds the first anew behind all that are gone.
        self._new: OrderedDict[Key, Entry] = OrderedDict()
        self._new_size = 0
        self._proven: LRUCache[Key, Entry] = LRUCache(self._room, attrgetter("size"))

    def __len__(self) -> int:
        return len(self._new) + len(self._proven)

    def get(self, key: Key) -> Entry | None:
        """Return the entry under *key*, which from now on is one that was asked for again."""
        entry = self._take_new(key)
        if entry is None:
            return self._proven.get(key)
        self._proven[key] = entry
        return entry

    def put(self, key: Key, entry: Entry) -> int:
        """Keep *entry*, unless it alone is larger than the room for new ones; return how many had to give way."""
        before = self._proven.pop(key, None)
        self._take_new(key)
        room_of_new = self._room // NEW_PART
        if entry.size > room_of_new:
            return 0
        evicted = 0
        while self._new_size + self._proven.currsize + entry.size > self._room:
            if self._new_size < room_of_new:
                self._proven.popitem()
            else:
                self._take_new(next(iter(self._new)))
            evicted += 1
        if before is None:
            self._new[key] = entry
            self._new_size += entry.size
        else:
            entry.succeed(before)
            self._proven[key] = entry
        return evicted

    def drop(self, key: Key) -> None:
        """Forget the entry under *key*, if there is one."""
        self._proven.pop(key, None)
        self._take_new(key)

    def _take_new(self, key: Key) -> Entry | None:
        """Take the entry under *key* out of the new ones, if it is there."""
        entry = self._new.pop(key, None)
        if entry is not None:
            self._new_size -= entry.size
        return entry


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
