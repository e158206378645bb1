"""The fast path: answers that may be given again, kept as octets.

Clients ask the same questions over and over, in octets that differ in the message id alone. Where the chain of plugins
says of an answer that it may be given again (`Response.repeat`), its octets are kept under those of the query, and the
same query costs one look-up until the lease of the answer ends. Nothing here can be stale, for three reasons:

- Who made the answer holds the lease, and ends it with the first change of what the answer was made from; that of an
  answer with TTLs that count down ends by itself when they are one less.
- `Responder.begin` has plugins take in what changed (`Plugin.refresh`) before a batch of queries, and no event can
  come in the midst of one, since nothing is awaited there.
- Only what every client would be told is kept: a plugin that looks at the client, or must see each query, takes
  `repeat` away.

A query goes this way until there is an answer: `Replies.recall` looks for its octets; `Replies.recall_alike` for its
essence (`dns.wire`), by which one that differs in letter case or in the data of EDNS options alone finds the same
reply, and renews one whose lease is over; then the chain is asked, and `Replies.remember` keeps what it says.

What is given again is counted with the reply, and told to the plugins that count (`Repeat.notes`) when the reply is
dropped, and before metrics are shown.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from random import random
from typing import Final

from svcdns.dns.message import ENDED, OVER, Repeat, Response
from svcdns.dns.records import HEADER_SIZE

ID_SIZE: Final = 2

DATAGRAM_OCTETS = 32 * 2**20
"""About how much memory the replies of a UDP listener take at most: enough for 10,000 Services."""

STREAM_OCTETS = 8 * 2**20
"""The same for a TCP listener."""

_ORDERS: Final = 16
"""How many orders of an answer are kept."""

_REPLY_OCTETS: Final = 700
"""About how much memory a reply takes beside its message: objects, both keys, places in dictionaries."""

_CHANCES: Final = 4
"""How many replies are looked at, at most, to find one that may be forgotten."""

_PORTION: Final = 512
"""After how many replies others get a turn while all are looked at."""

Write = Callable[[Response], bytes]
"""Writes an answer to the query at hand, without its id."""


class Reply:
    """An answer that may be given again.

    Args:
        query: The query that it was made for, without its id.
        octets: The message without its id.
        repeat: How it may be given again.
        write: Writes an answer as good, without its id.
        behind: About how many octets of memory are held by what makes the answer again (`Repeat.renew`, `again`).

    Attributes:
        query: See above.
        octets: See above.
        lease: How long the answer holds good.
        orders: What else it may be, if anything.
        repeats: How often it was given again since those who count were told.
        notes: Who counts.
        weight: About how many octets of memory it takes.
    """

    __slots__ = ("_renew", "lease", "notes", "octets", "orders", "query", "repeats", "weight")

    def __init__(self, query: bytes, octets: bytes, repeat: Repeat, write: Write, behind: int) -> None:
        self.query = query
        self.octets = octets
        self.lease = repeat.lease
        self.notes = repeat.notes
        self.orders = None if repeat.again is None else Orders(octets, repeat.again, write)
        self._renew = repeat.renew
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
        made = next((each for each in kept if each == made), made)  # two addresses have two orders, and no more octets
        if len(kept) < _ORDERS:
            kept.append(made)
        else:
            kept[int(random() * _ORDERS)] = made  # noqa: S311 - as above
        return made


class Replies:
    """What one listener may answer again.

    Args:
        clock: Monotonic time in seconds.
        room: About how many octets of memory this may take.
    """

    def __init__(self, clock: Callable[[], float], room: int) -> None:
        self._clock = clock
        self._now = clock()
        self._recent = Recent(room, self._settle)
        self._find = self._recent.find
        self._find_alike = self._recent.find_alike
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

    def recall_alike(self, octets: bytes, essence: bytes, rewrite: Callable[[bytes, Response], bytes]) -> bytes | None:
        """Answer a query whose essence is known, in the letter case that it has; begin another lease where one is over.

        Args:
            octets: The query.
            essence: Its essence.
            rewrite: Writes an answer to a query, without its id.
        """
        reply = self._find_alike(essence)
        if reply is None:
            return None
        if reply.lease.until <= self._now:
            self._settle(reply)  # before the chain is asked, those who count must know
            if not reply.renew(partial(rewrite, octets[:ID_SIZE] + reply.query)):
                return None
        reply.repeats += 1
        kept = reply.octets if reply.orders is None else reply.orders.draw()
        # The reply, with the id and the name of this query; places in what is kept lie an id's length before.
        end = octets.index(0, HEADER_SIZE) + 1  # of the name, as of all that have an essence
        return octets[:ID_SIZE] + kept[: HEADER_SIZE - ID_SIZE] + octets[HEADER_SIZE:end] + kept[end - ID_SIZE :]

    def remember(self, essence: bytes, reply: Reply) -> None:
        """Keep *reply* for queries of an *essence*, which that of its own query is, and rightly so (`has_essence`)."""
        self._recent.put(essence, reply)

    async def settle(self) -> None:
        """Tell of all that was given again, and let go of leases that are over, in portions that hold nobody up.

        Who never asks for metrics has a lease kept with each reply; there is room for so many replies, and no more.
        """
        for number, reply in enumerate(list(self._recent)):
            if reply.repeats:
                self._settle(reply)
            if reply.lease.until == ENDED:
                reply.lease = OVER
            if number % _PORTION == 0:
                await asyncio.sleep(0)

    def _settle(self, reply: Reply) -> None:
        """Tell how often *reply* was given again."""
        times, reply.repeats = reply.repeats, 0
        if times:
            seconds = self._seconds / max(1, self._given) * times
            for note in reply.notes:
                note(times, seconds)


class Recent:
    """A bounded memory. Where there is no room left, what came first gives way, unless it was given again meanwhile.

    That is the clock algorithm, or second chance: a look-up moves nothing.

    Args:
        room: About how many octets of memory there are.
        retire: Is told of each reply that is forgotten, replaced or spared.

    Attributes:
        find: Returns the reply that was made for a query, without its id.
        find_alike: Returns the reply to all queries of an essence.
    """

    def __init__(self, room: int, retire: Callable[[Reply], None]) -> None:
        self._room = room
        self._retire = retire
        self._by_query: dict[bytes, Reply] = {}
        self._by_essence: dict[bytes, Reply] = {}
        self._essences: deque[bytes] = deque()
        self._weight = 0
        self.find = self._by_query.get
        self.find_alike = self._by_essence.get

    def __iter__(self) -> Iterator[Reply]:
        return iter(self._by_essence.values())

    def put(self, essence: bytes, reply: Reply) -> None:
        """Remember *reply*, in place of the one to queries of the same *essence* if there is any.

        Its query becomes that one's, where they are equal: the octets that are a key already, and stay one.
        """
        before = self._by_essence.get(essence)
        if before is None:
            self._essences.append(essence)
        else:
            self._retire(before)
            self._weight -= before.weight
            if reply.query == before.query:
                reply.query = before.query  # there may be tens of thousands
            else:
                del self._by_query[before.query]
        self._by_essence[essence] = self._by_query[reply.query] = reply
        self._weight += reply.weight
        while self._weight > self._room:
            self._forget_one()

    def _forget_one(self) -> None:
        """Forget the first that was not given again since it was looked at, of a few, or else the last of these."""
        for chances in range(_CHANCES, 0, -1):
            essence = self._essences.popleft()
            reply = self._by_essence[essence]
            given = reply.repeats  # since it was looked at last, for that sets it to 0
            self._retire(reply)
            if not given or chances == 1:
                break
            self._essences.append(essence)
        del self._by_essence[essence]
        del self._by_query[reply.query]
        self._weight -= reply.weight
