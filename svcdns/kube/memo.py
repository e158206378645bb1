"""What a view keeps under the names that it was asked for, until what that depends on changes."""

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

from svcdns.dns.message import ENDED, Lease, Response
from svcdns.dns.name import Name
from svcdns.dns.records import RRset, weigh
from svcdns.dns.zone import Node
from svcdns.kube.objects import Key

_ENTRY_OCTETS = 1500
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
        denial: What other types are answered, where a zone's version is the one of its lease.
        lease: How long all this holds good; it begins when the entry is kept.
        octets: About how much memory it takes.
    """

    __slots__ = ("answers", "denial", "lease", "node", "octets", "zone")

    def __init__(self, node: Node | None, zone: Name) -> None:
        self.node = node
        self.zone = zone
        self.answers: dict[int, Response | Chase] = {}
        self.denial: tuple[Lease, Response] | None = None
        self.lease = Lease(ENDED)
        self.octets = _ABSENT_OCTETS if node is None else _ENTRY_OCTETS


class Memo:
    """Entries by name, and by the Service that they depend on.

    Args:
        room: About how many octets of memory they may take; beyond it, all are forgotten.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._octets = 0
        self._entries: dict[Name, Entry] = {}
        self._names: dict[Key, list[Name]] = {}
        self.get = self._entries.get

    def __len__(self) -> int:
        return len(self._entries)

    def keep(self, name: Name, entry: Entry, key: Key) -> None:
        """Keep *entry* until what is told of *key* changes."""
        entry.lease.until = inf
        self._entries[name] = entry
        self._names.setdefault(key, []).append(name)
        self._grow(entry.octets)

    def add(self, name: Name, entry: Entry, rtype: int, answer: Response | Chase) -> None:
        """Keep an answer with *entry*, if that is still kept."""
        if self._entries.get(name) is entry:
            entry.answers[rtype] = answer
            octets = _weigh(answer)
            entry.octets += octets
            self._grow(octets)

    def forget(self, keys: Iterable[Key]) -> None:
        """Forget what depends on *keys*."""
        for key in keys:
            for name in self._names.pop(key, ()):
                entry = self._entries.pop(name)
                entry.lease.until = ENDED
                self._octets -= entry.octets

    def clear(self) -> None:
        """Forget everything."""
        for entry in self._entries.values():
            entry.lease.until = ENDED
        self._entries.clear()
        self._names.clear()
        self._octets = 0

    def _grow(self, octets: int) -> None:
        self._octets += octets
        if self._octets > self._room:
            self.clear()


def _weigh(answer: Response | Chase) -> int:
    """Return about how many octets of memory *answer* takes."""
    return _ANSWER_OCTETS + weigh(answer.links if isinstance(answer, Chase) else answer.answer + answer.additional)
