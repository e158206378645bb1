"""The fast path: what is remembered of a query's octets, so that the same ones cost little when they come again.

Clients ask the same questions over and over, in octets that differ in the message id alone. Reading those octets and
writing the answer to them are done once: an `Exchange` keeps what was read, and the reply that was written last with
the `Response` that it was written from. The chain of plugins is run for each query all the same, and the reply is
sent again only where the chain returns that very same object, so nothing here can be stale.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from svcdns.chain import Handler
from svcdns.dns import wire
from svcdns.dns.message import Listener, Query, Response

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ID_SIZE = 2


class Exchange:
    """A query as it came, but for its id and its sender, and how it is answered.

    Args:
        envelope: What its octets say.
        query: What plugins may know of it.
        handler: The first link of the chain that answers it.
        limit: The longest message that its client takes, in octets.
        ra: Whether recursion is available.
        options: EDNS options of its answer.

    Attributes:
        handler: See above.
        listener: The socket that it came in through.
    """

    __slots__ = ("_envelope", "_head", "_limit", "_options", "_ra", "_reply", "_response", "_size", "_tail", "handler",
                 "listener")  # fmt: skip

    def __init__(
        self, envelope: wire.Envelope, query: Query, handler: Handler, limit: int, *, ra: bool, options: bytes
    ) -> None:
        self.handler = handler
        self.listener: Listener = query.listener
        self._envelope = envelope
        place = Query._fields.index("id")
        self._head, self._size, self._tail = query[:place], query.size, query[place + 3 :]
        self._limit = limit
        self._ra = ra
        self._options = options
        self._response: Response | None = None
        self._reply = b""

    def query(self, octets: bytes, client: tuple[str, int]) -> Query:
        """Return the query of *octets*, which came from *client*."""
        ident = octets[0] << 8 | octets[1]
        return tuple.__new__(Query, (*self._head, ident, self._size, client, *self._tail))

    def reply(self, octets: bytes, response: Response) -> bytes:
        """Write *response* to the query of *octets*."""
        if response is not self._response:
            written = wire.encode(self._envelope, response, self._limit, ra=self._ra, options=self._options)
            self._reply = written[ID_SIZE:]
            self._response = response
        return octets[:ID_SIZE] + self._reply


class Recent(Generic[K, V]):
    """A bounded memory: what was not asked for while as many others came is forgotten.

    Args:
        size: How many items are remembered for sure; twice as many are held at most.
    """

    __slots__ = ("_new", "_old", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return what is remembered under *key*."""
        found = self._new.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        """Remember *value*."""
        if len(self._new) >= self._size:
            self._old, self._new = self._new, {}
        self._new[key] = value
