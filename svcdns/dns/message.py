"""What plugins see: a query and a response, as immutable values.

`Query` is what the client wants to know, without what belongs to the exchange of messages alone; `Response` is what it
is told. Neither knows octets: `wire.decode` makes the one, `wire.encode` reads the other.

Source: RFC 1035 section 4.1, RFC 6891, RFC 8914.
"""

from collections.abc import Callable
from enum import IntEnum
from inspect import isdatadescriptor
from math import inf
from typing import Any, Final, NamedTuple, Self, final

from svcdns.dns.name import ROOT, Name
from svcdns.dns.records import OWNER_POINTER, RRset

_HEADER_AND_QUESTION = 16
_POINTER = len(OWNER_POINTER)


class Rcode(IntEnum):
    """Response codes (RFC 6895 section 2.3); those over 15 need EDNS."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    YXRRSET = 7
    NXRRSET = 8
    NOTAUTH = 9
    NOTZONE = 10
    BADVERS = 16
    BADKEY = 17
    BADCOOKIE = 23


def rcode_to_text(rcode: int) -> str:
    """Return the mnemonic of a response code, or its number."""
    try:
        return Rcode(rcode).name
    except ValueError:
        return str(rcode)


class Ede(IntEnum):
    """Extended DNS error codes that svcdns sends (RFC 8914 section 4)."""

    OTHER = 0
    STALE_ANSWER = 3
    CACHED_ERROR = 13
    NOT_READY = 14
    STALE_NXDOMAIN = 19
    NOT_AUTHORITATIVE = 20
    NO_REACHABLE_AUTHORITY = 22
    NETWORK_ERROR = 23


class Value:
    """What cannot be changed, and is equal to what says the same.

    A named tuple is all that, too, but what is compiled makes one of these in a quarter of the time, and there are
    several for each query. All that a class has is what its constructor takes, under the same names.
    """

    __slots__ = ()

    def replace(self, **changes: Any) -> Self:
        """Return the same with other values of some fields, at leisure: it takes microseconds."""
        return type(self)(**self._fields() | changes)

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name, each in vars(type(self)).items() if isdatadescriptor(each)}

    __hash__ = None  # type: ignore[assignment] # nobody needs it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._fields() == other._fields()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._fields().items())
        return f"{type(self).__name__}({shown})"


class ExtendedError(NamedTuple):
    """Why an answer is not what was hoped for; sent to clients that speak EDNS (RFC 8914)."""

    code: int
    text: str = ""


class Listener(NamedTuple):
    """The socket that a query came in through.

    Attributes:
        label: ``dns://ADDRESS:PORT`` with an empty address where all are listened on, as metrics name it.
        transport: ``udp`` or ``tcp``.
        family: 1 for IPv4, 2 for IPv6, as metrics count it.
        address: The address bound; ``0.0.0.0`` or ``::`` where all are.
        port: The port bound.
    """

    label: str
    transport: str
    family: int
    address: str
    port: int


NOWHERE = Listener("", "udp", 1, "127.0.0.1", 0)


@final
class Query(Value):
    """A question, with what a plugin may know of how it was asked.

    Attributes:
        name: The name asked for, in lower case.
        rtype: The type asked for.
        rd: Recursion desired.
        do: DNSSEC answer OK (RFC 3225).
        cd: Checking disabled (RFC 4035 section 3.2.2).
        ad: The client understands the AD bit (RFC 6840 section 5.7).
        edns: Whether the query had an OPT record.
        payload: The largest UDP payload that the client takes, in octets; 512 without EDNS.
        size: The length of the query message in octets.
        id: The message id, for logs.
        client: The address and port that asked.
        listener: The socket that it came in through.
        zone: The zone of the server block that took the query.
        depth: How many CNAMEs led here; 0 for a client's own question.
    """

    __slots__ = (
        "ad", "cd", "client", "depth", "do", "edns", "id", "listener", "name", "payload", "rd", "rtype", "size", "zone",
    )  # fmt: skip

    def __init__(
        self,
        name: Name,
        rtype: int,
        *,
        rd: bool = True,
        do: bool = False,
        cd: bool = False,
        ad: bool = False,
        edns: bool = False,
        payload: int = 512,
        size: int = 0,
        id: int = 0,  # noqa: A002 - as RFC 1035 calls it
        client: tuple[str, int] = ("127.0.0.1", 0),
        listener: Listener = NOWHERE,
        zone: Name = ROOT,
        depth: int = 0,
    ) -> None:
        self.name: Final = name
        self.rtype: Final = rtype
        self.rd: Final = rd
        self.do: Final = do
        self.cd: Final = cd
        self.ad: Final = ad
        self.edns: Final = edns
        self.payload: Final = payload
        self.size: Final = size
        self.id: Final = id
        self.client: Final = client
        self.listener: Final = listener
        self.zone: Final = zone
        self.depth: Final = depth


class Lease:
    """How long what an answer was made from holds good.

    Attributes:
        until: The end, in seconds of monotonic time; who granted the lease may end it before by setting `ENDED`.
    """

    __slots__ = ("until",)

    def __init__(self, until: float = inf) -> None:
        self.until = until


ENDED = -inf
"""The end of a lease that is over."""

OVER = Lease(ENDED)
"""Stands for every lease that is over: what waits to be renewed need not keep its own."""

Note = Callable[[int, float], None]
"""Is told how often an answer was given again, and in how many seconds altogether."""


@final
class Repeat(Value):
    """How an answer may be given again to the same question, whoever asks it, without the chain being asked.

    Attributes:
        lease: How long.
        renew: Makes the same answer with another lease when this one is over, TTLs and serial numbers of the moment in
            it, or returns None; without it, the chain must be asked.
        again: Makes an answer that is as good, such as one in another order; without it, the answer is always the same.
        notes: Are told of each time, sooner or later.
    """

    __slots__ = ("again", "lease", "notes", "renew")

    def __init__(
        self,
        lease: Lease,
        renew: "Callable[[], Response | None] | None" = None,
        again: "Callable[[], Response] | None" = None,
        notes: tuple[Note, ...] = (),
    ) -> None:
        self.lease: Final = lease
        self.renew: Final = renew
        self.again: Final = again
        self.notes: Final = notes

    def noted(self, notes: tuple[Note, ...]) -> "Repeat":
        """Return the same with others who are told. Answers that nobody else counts share the tuple, and are many."""
        return Repeat(self.lease, self.renew, self.again, self.notes + notes)


@final
class Response(Value):
    """An answer to a query.

    Attributes:
        rcode: The response code, extended ones included.
        answer: The answer section; CNAMEs stand before what they lead to.
        authority: The authority section.
        additional: The additional section, without OPT.
        aa: The answer comes from a zone of svcdns's own.
        ad: The data were validated by an upstream that is trusted.
        ede: Why the answer is an error or stale.
        plugin: The plugin that made the answer; empty for the server itself.
        error: The failure behind an rcode, for the logs.
        repeat: How it may be given again; None where the chain must be asked each time. A plugin that changes an answer
            takes `Repeat.renew` away, and all of this where the change depends on who asks or may itself change.
    """

    __slots__ = (
        "aa", "ad", "additional", "answer", "authority", "ede", "error", "plugin", "rcode", "repeat",
    )  # fmt: skip

    def __init__(
        self,
        rcode: int = Rcode.NOERROR,
        answer: tuple[RRset, ...] = (),
        authority: tuple[RRset, ...] = (),
        additional: tuple[RRset, ...] = (),
        *,
        aa: bool = False,
        ad: bool = False,
        ede: ExtendedError | None = None,
        plugin: str = "",
        error: Exception | None = None,
        repeat: Repeat | None = None,
    ) -> None:
        self.rcode: Final = rcode
        self.answer: Final = answer
        self.authority: Final = authority
        self.additional: Final = additional
        self.aa: Final = aa
        self.ad: Final = ad
        self.ede: Final = ede
        self.plugin: Final = plugin
        self.error: Final = error
        self.repeat: Final = repeat

    def repeatable(self, repeat: Repeat | None) -> "Response":
        """Return the answer with another say on how it may be given again."""
        return self.with_records(self.answer, self.authority, self.additional, repeat)

    def with_records(
        self,
        answer: tuple[RRset, ...],
        authority: tuple[RRset, ...],
        additional: tuple[RRset, ...],
        repeat: Repeat | None,
    ) -> "Response":
        """Return the answer with other records, and another say on how it may be given again."""
        return Response(
            self.rcode,
            answer,
            authority,
            additional,
            aa=self.aa,
            ad=self.ad,
            ede=self.ede,
            plugin=self.plugin,
            error=self.error,
            repeat=repeat,
        )


def uncompressed_size(query: Query, response: Response) -> int:
    """Return how many octets *response* has without compression, truncation and OPT: what metrics and logs count."""
    size = _HEADER_AND_QUESTION + len(query.name)
    for rrset in response.answer + response.authority + response.additional:
        size += len(rrset.octets) + len(rrset.rdatas) * (len(rrset.owner) - _POINTER)
    return size
