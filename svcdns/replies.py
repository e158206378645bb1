"""The fast path: answers that may be given again, kept as octets.

Clients ask the same questions over and over, in octets that differ in the message id alone. Where the chain of plugins
says of an answer that it may be given again (`Response.repeat`), its octets are kept under those of the query, and the
same query costs one look-up until the lease of the answer ends. Nothing here can be stale, for three reasons:

- Who made the answer holds the lease, and ends it with the first change of what the answer was made from.
- `Responder.begin` has plugins take in what changed (`Plugin.refresh`) before a batch of queries, and no event can
  come in the midst of one, since nothing is awaited there.
- Only what every client would be told is kept: a plugin that looks at the client, or must see each query, takes
  `repeat` away.

A query that differs in letter case or in EDNS options alone is read, and then finds the same reply by its question.
What is given again is counted with the reply, and told to the plugins that count (`Repeat.notes`) when the reply is
dropped, and before metrics are shown.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from random import random
from typing import Generic, TypeVar

from svcdns.dns.message import Repeat, Response

K = TypeVar("K", bound=Hashable)

ID_SIZE = 2
FLAGS_AND_COUNTS = 10
"""How many octets of a message stand between its id and its question."""

DATAGRAM_OCTETS = 28 * 2**20
"""About how much memory the replies of a UDP listener take at most: enough for 10,000 Services."""

STREAM_OCTETS = 8 * 2**20
"""The same for a TCP listener."""

_SPELLINGS = 6
_ORDERS = 16
_REPLY_OCTETS = 700
_RESPELLED = 16
_CHANCES = 4
_PORTION = 512


Write = Callable[[Response], bytes]
"""Writes an answer to the query at hand, without its id."""


class Reply:
    """An answer that may be given again.

    Args:
        octets: The message without its id.
        repeat: How it may be given again.
        write: Writes an answer as good, without its id; without it, the answer is always the same.
        behind: About how many octets of memory that takes which the answer is made from again.

    Attributes:
        octets: See above.
        lease: How long the answer holds good.
        orders: What else it may be, if anything.
        repeats: How often it was given again since those who count were told.
        notes: Who counts.
        weight: About how many octets of memory it takes.
    """

    __slots__ = ("_renew", "lease", "notes", "octets", "orders", "repeats", "weight")

    def __init__(self, octets: bytes, repeat: Repeat, write: Write | None = None, behind: int = 0) -> None:
        self.octets = octets
        self.lease, self._renew, again, self.notes = repeat
        self.orders = None if again is None or write is None else Orders(octets, again, write)
        self.repeats = 0
        self.weight = _REPLY_OCTETS + behind + 2 * len(octets) * (1 if self.orders is None else 1 + _ORDERS)

    def renew(self, write: Write) -> bool:
        """Begin another lease, and tell whether there was one to be had.

        What writes the answer is not kept, since most leases last.
        """
        response = None if self._renew is None else self._renew()
        if response is None or response.repeat is None:
            return False
        self.octets = write(response)
        self.lease = response.repeat.lease
        return True


class Orders:
    """Some of the orders that an answer may have, of which each time one is taken at random.

    Now and then a new one takes the place of another, so that in the long run each comes as often as it should.

    Args:
        octets: The first.
        again: Makes another answer.
        write: Writes it.
    """

    __slots__ = ("_again", "_kept", "_write")

    def __init__(self, octets: bytes, again: Callable[[], Response], write: Write) -> None:
        self._kept = [octets]
        self._again = again
        self._write = write

    def draw(self) -> bytes:
        """Return one of them."""
        kept = self._kept
        place = int(random() * (_ORDERS + 1))  # noqa: S311 - no secret
        if place < len(kept):
            return kept[place]
        made = self._write(self._again())
        if len(kept) < _ORDERS:
            kept.append(made)
        else:
            kept[int(random() * _ORDERS)] = made  # noqa: S311 - as above
        return made


class Replies:
    """What one listener may answer again.

    Args:
        clock: Monotonic time in seconds.
        room: About how many octets of memory this may take; a sixth as much is there for other spellings.
    """

    def __init__(self, clock: Callable[[], float], room: int) -> None:
        self._clock = clock
        self._now = clock()
        self._by_octets: Recent[bytes] = Recent(room, self._settle)
        self._by_question: Recent[Hashable] = Recent(room // _SPELLINGS, self._settle)
        self._find = self._by_octets.find
        self._seconds = 0.0
        self._given = 0

    def begin(self) -> None:
        """Look at the clock, before a batch of queries."""
        self._now = self._clock()

    def end(self, given: int, elsewhere: float) -> None:
        """Look at the clock again, after a batch.

        Args:
            given: How many of its queries were answered from here.
            elsewhere: Seconds that the others took.
        """
        self._given += given
        self._seconds += self._clock() - self._now - elsewhere

    def recall(self, octets: bytes) -> bytes | None:
        """Answer a query whose octets are known, but for the id."""
        reply = self._find(octets[ID_SIZE:])
        if reply is None or reply.lease.until <= self._now:
            return None
        reply.repeats += 1
        if reply.orders is None:
            return octets[:ID_SIZE] + reply.octets
        return octets[:ID_SIZE] + reply.orders.draw()

    def renew(self, octets: bytes, rewrite: Callable[[bytes, Response], bytes]) -> bytes | None:
        """Answer a query whose octets are known and whose answer can be renewed.

        Args:
            octets: The query.
            rewrite: Writes an answer to a query, without its id.
        """
        reply = self._find(octets[ID_SIZE:])
        if reply is None:
            return None
        self._settle(reply)  # before the chain is asked, those who count must know
        return self.recall(octets) if reply.renew(partial(rewrite, octets)) else None

    def respell(self, octets: bytes, asked: Hashable, question: bytes) -> bytes | None:
        """Answer a query whose question is known, though not in these octets.

        Args:
            octets: The query.
            asked: All of it that an answer may depend on, but for its letter case.
            question: The question as it was sent.
        """
        reply = self._by_question.find(asked)
        if reply is None or reply.orders is not None:
            return None
        if reply.lease.until <= self._now:
            self._settle(reply)
            return None
        reply.repeats += 1
        before, behind = reply.octets[:FLAGS_AND_COUNTS], reply.octets[FLAGS_AND_COUNTS + len(question) :]
        spelled = before + question + behind
        if reply.repeats % _RESPELLED == 0:  # those that never come again must not drive out all others
            self._by_octets.put(octets[ID_SIZE:], Reply(spelled, Repeat(reply.lease, notes=reply.notes)))
        return octets[:ID_SIZE] + spelled

    def remember(self, octets: bytes, asked: Hashable, reply: Reply) -> None:
        """Keep *reply* for queries like *octets*, which were answered with it."""
        self._by_octets.put(octets[ID_SIZE:], reply)
        self._by_question.put(asked, reply)

    async def settle(self) -> None:
        """Tell of all that was given again, in portions that hold nobody up."""
        for number, reply in enumerate([*self._by_octets, *self._by_question]):
            if reply.repeats:
                self._settle(reply)
            if number % _PORTION == 0:
                await asyncio.sleep(0)

    def _settle(self, reply: Reply) -> None:
        """Tell how often *reply* was given again."""
        times, reply.repeats = reply.repeats, 0
        if times:
            seconds = self._seconds / max(1, self._given) * times
            for note in reply.notes:
                note(times, seconds)


class Recent(Generic[K]):
    """A bounded memory. Where there is no room left, what came first gives way, unless it was given again meanwhile.

    That is the clock algorithm, or second chance: a look-up moves nothing.

    Args:
        room: About how many octets of memory there are.
        retire: Is told of each reply that is forgotten, replaced or spared.

    Attributes:
        find: Returns what is remembered under a key.
    """

    def __init__(self, room: int, retire: Callable[[Reply], None]) -> None:
        self._room = room
        self._retire = retire
        self._replies: dict[K, Reply] = {}
        self._keys: deque[K] = deque()
        self._weight = 0
        self.find = self._replies.get

    def __iter__(self) -> Iterator[Reply]:
        return iter(self._replies.values())

    def put(self, key: K, reply: Reply) -> None:
        """Remember *reply*."""
        before = self._replies.get(key)
        if before is None:
            self._keys.append(key)
        else:
            self._weight -= before.weight
            self._retire(before)
        self._replies[key] = reply
        self._weight += reply.weight
        while self._weight > self._room:
            self._forget_one()

    def _forget_one(self) -> None:
        """Forget the first that was not given again since it was looked at, of a few, or else the last of these."""
        for chances in range(_CHANCES, 0, -1):
            key = self._keys.popleft()
            reply = self._replies[key]
            given = reply.repeats
            self._retire(reply)
            if not given or chances == 1:
                break
            self._keys.append(key)
        del self._replies[key]
        self._weight -= reply.weight
