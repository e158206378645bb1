"""What a view keeps under the names that it was asked for, until what that depends on changes."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from svcdns.dns.message import ENDED, Lease, Response
from svcdns.dns.name import Name
from svcdns.dns.records import RRset, weigh
from svcdns.dns.zone import Node
from svcdns.kube.objects import Key

_ENTRY_OCTETS = 1600
_ABSENT_OCTETS = 700
_ANSWER_OCTETS = 300


class Chase(NamedTuple):
    """An answer that lacks what others know.

    Attributes:
        links: The CNAMEs from the question on.
        target: Where the last of them leads.
    """

    links: tuple[RRset, ...]
    target: Name


class Entry:
    """What is kept under a name.

    Args:
        node: What stands there; None where the name does not exist.
        zone: The apex of the zone that the name is in.

    Attributes:
        node: See above.
        zone: See above.
        answers: The answers made of the node, by type.
        key: The Service that all this depends on, once the entry is kept.
        lease: How long all this holds good.
        octets: About how much memory it takes.
    """

    __slots__ = ("answers", "key", "lease", "node", "octets", "zone")

    def __init__(self, node: Node | None, zone: Name) -> None:
        self.node = node
        self.zone = zone
        self.answers: dict[int, Response | Chase] = {}
        self.key: Key
        self.lease = Lease(ENDED)
        self.octets = _ABSENT_OCTETS if node is None else _ENTRY_OCTETS


class Memo:
    """Entries by name, each with the lease of the Service that it depends on.

    Answers that are given again need the lease alone, and those are as good as all answers. So leases last until their
    Service changes, while the entries, which are many times as large, go sooner where there is no room. Of both, those
    that came first give way, one by one: memory that is freed at once in bulk is taken by others, and missing when it
    is needed again. What holds good no longer goes at once, so that a cluster that changes takes no more than another.

    Args:
        room: About how many octets of memory entries may take.
        leases: How many leases there may be.
    """

    def __init__(self, room: int, leases: int) -> None:
        self._room = room
        self._most_leases = leases
        self._octets = 0
        self._entries: OrderedDict[Name, Entry] = OrderedDict()
        self._leases: OrderedDict[Key, Lease] = OrderedDict()
        self._names: defaultdict[Key, list[Name]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: Name) -> Entry | None:
        """Return the entry under *name*, if there is one; it holds good."""
        return self._entries.get(name)

    def keep(self, name: Name, entry: Entry, key: Key) -> None:
        """Keep *entry* until what is told of *key* changes, or until there is no room."""
        lease = self._leases.get(key)
        if lease is None:
            if len(self._leases) == self._most_leases:
                self.forget([next(iter(self._leases))])
            lease = self._leases[key] = Lease()
        if name in self._entries:
            self._drop(name)
        entry.key, entry.lease = key, lease
        self._entries[name] = entry
        self._names[key].append(name)
        self._grow(entry.octets)

    def add(self, name: Name, entry: Entry, rtype: int, answer: Response | Chase) -> None:
        """Keep an answer with *entry*, if that is still kept."""
        if self._entries.get(name) is entry:
            entry.answers[rtype] = answer
            octets = _weigh(answer)
            entry.octets += octets
            self._grow(octets)

    def forget(self, keys: Iterable[Key]) -> None:
        """Forget what depends on *keys*, and end its lease."""
        for key in keys:
            lease = self._leases.pop(key, None)
            if lease is not None:
                lease.until = ENDED
            for name in self._names.pop(key, ()):
                self._octets -= self._entries.pop(name).octets

    def clear(self) -> None:
        """Forget everything, and end all leases."""
        self.forget(list(self._leases))

    def _grow(self, octets: int) -> None:
        self._octets += octets
        while self._octets > self._room:
            self._drop(next(iter(self._entries)))

    def _drop(self, name: Name) -> None:
        entry = self._entries.pop(name)
        self._octets -= entry.octets
        names = self._names[entry.key]
        names.remove(name)  # the first, as a rule
        if not names:
            del self._names[entry.key]


def _weigh(answer: Response | Chase) -> int:
    """Return about how many octets of memory *answer* takes."""
    return _ANSWER_OCTETS + weigh(answer.links if isinstance(answer, Chase) else answer.answer + answer.additional)
