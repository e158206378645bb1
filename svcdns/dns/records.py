"""Records: types, record sets, and the record data that svcdns builds.

Record data are wire octets with names uncompressed and lower case, as they stand in an answer that compresses nothing;
`wire.encode` compresses where RFC 3597 section 4 allows it.

Source: RFC 1035 section 3.2, RFC 2181 section 5, RFC 2782, RFC 3596.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from struct import Struct
from typing import Final, final

from svcdns.dns.name import Name, join

CLASS_IN: Final = 1
MAX_TTL: Final = 2**31 - 1

HEADER_SIZE: Final = 12
"""How many octets of a message stand before the question's name."""

OWNER_POINTER: Final = b"\xc0\x0c"
"""A compression pointer to the question's name, which stands at offset 12 of every message that svcdns sends."""

POINTER: Final = 0xC0
"""The bits that tell the first octet of a compression pointer from the length of a label (RFC 1035 section 4.1.4)."""

LENGTH: Final = Struct("!H")
FIXED: Final = Struct("!HHIH")
"""What stands in a record between its owner and its data: type, class, TTL, length (RFC 1035 section 4.1.3)."""

_BEFORE_RDATA: Final = len(OWNER_POINTER) + FIXED.size
_SRV: Final = Struct("!HHH")
_SOA: Final = Struct("!IIIII")
_MINIMUM: Final = 4  # octets of the last field of an SOA record
_RRSET_OCTETS: Final = 250
_RECORD_OCTETS: Final = 60
_CHARACTER_STRING: Final = 255


class Rtype(IntEnum):
    """The record and query types with a name; any other number from 0 to 65535 is a type, too (RFC 3597)."""

    A = 1
    NS = 2
    MD = 3
    MF = 4
    CNAME = 5
    SOA = 6
    MB = 7
    MG = 8
    MR = 9
    NULL = 10
    PTR = 12
    HINFO = 13
    MINFO = 14
    MX = 15
    TXT = 16
    RP = 17
    AFSDB = 18
    RT = 21
    SIG = 24
    PX = 26
    AAAA = 28
    NXT = 30
    SRV = 33
    NAPTR = 35
    KX = 36
    DNAME = 39
    OPT = 41
    DS = 43
    RRSIG = 46
    NSEC = 47
    DNSKEY = 48
    NSEC3 = 50
    SVCB = 64
    HTTPS = 65
    TKEY = 249
    TSIG = 250
    IXFR = 251
    AXFR = 252
    ANY = 255
    CAA = 257


NAMES_IN_RDATA: dict[int, tuple[int, int]] = {
    Rtype.NS: (0, 1),
    Rtype.MD: (0, 1),
    Rtype.MF: (0, 1),
    Rtype.CNAME: (0, 1),
    Rtype.SOA: (0, 2),
    Rtype.MB: (0, 1),
    Rtype.MG: (0, 1),
    Rtype.MR: (0, 1),
    Rtype.PTR: (0, 1),
    Rtype.MINFO: (0, 2),
    Rtype.MX: (2, 1),
}
"""Types whose data may be compressed: octets before the first name, and how many names follow (RFC 3597 section 4)."""


def type_to_text(rtype: int) -> str:
    """Return the mnemonic of a type, or ``TYPEn`` (RFC 3597 section 5)."""
    try:
        return Rtype(rtype).name
    except ValueError:
        return f"TYPE{rtype}"


@final
class RRset:
    """All records of one owner and type: the unit in which svcdns keeps, orders and ages data. Immutable.

    Attributes:
        owner: The name that the records belong to.
        rtype: Their type, 0 to 65535.
        ttl: Their common time to live in seconds (RFC 2181 section 5.2), 0 to 2**31 - 1.
        rdatas: The record data, at least one, without duplicates, in the order in which they are sent.
        octets: The records as they stand in a message whose question's name is the owner; made of the rest where they
            are not given.
    """

    __slots__ = ("_placed", "octets", "owner", "rdatas", "rtype", "ttl")

    def __init__(self, owner: Name, rtype: int, ttl: int, rdatas: Sequence[bytes], octets: bytes | None = None) -> None:
        self.owner = owner
        self.rtype = rtype
        self.ttl = ttl
        self.rdatas = tuple(rdatas)
        if octets is None:
            octets = b"".join([record(OWNER_POINTER, rtype, ttl, rdata) for rdata in rdatas])
        self.octets = octets
        self._placed: dict[int, bytes] | None = None  # most are placed nowhere else, and it takes as much as their data

    def at(self, offset: int) -> bytes:
        """Return the records as they stand in a message that has their owner at *offset*.

        Names in their data are compressed against the owner, where their type allows it (RFC 3597 section 4). At most
        255 offsets occur, those of a question's labels, and for each the octets are kept.
        """
        placed = None if self._placed is None else self._placed.get(offset)
        if placed is None:
            shape = NAMES_IN_RDATA.get(self.rtype)
            if shape is None and offset == HEADER_SIZE:
                return self.octets
            pointer = LENGTH.pack(POINTER << 8 | offset)
            rdatas = self.rdatas if shape is None else [self._shorten(rdata, shape, pointer) for rdata in self.rdatas]
            placed = b"".join([record(pointer, self.rtype, self.ttl, rdata) for rdata in rdatas])
            if self._placed is None:
                self._placed = {}
            self._placed[offset] = placed
        return placed

    def _shorten(self, rdata: bytes, shape: tuple[int, int], pointer: bytes) -> bytes:
        """Put *pointer* in the place of the owner where a name in *rdata* ends in it."""
        position, names = shape
        octets = bytearray(rdata[:position])
        for _ in range(names):
            while rdata[position] and not rdata.startswith(self.owner, position):
                end = position + rdata[position] + 1
                octets += rdata[position:end]
                position = end
            if rdata[position]:
                octets += pointer
                position += len(self.owner)
            else:
                octets.append(0)
                position += 1
        return bytes(octets + rdata[position:])

    def with_ttl(self, ttl: int) -> "RRset":
        """Return the same records with another time to live."""
        return self if ttl == self.ttl else RRset(self.owner, self.rtype, ttl, self.rdatas)

    def with_rdatas(self, rdatas: Sequence[bytes]) -> "RRset":
        """Return a record set of the same owner, type and TTL with other data or another order."""
        return RRset(self.owner, self.rtype, self.ttl, rdatas)

    def starting_at(self, first: int) -> "RRset":
        """Return the same records, turned so that the one at index *first* comes first, at little cost."""
        rdatas = self.rdatas
        cut = first * _BEFORE_RDATA + len(b"".join(rdatas[:first]))
        octets = self.octets[cut:] + self.octets[:cut]
        return RRset(self.owner, self.rtype, self.ttl, rdatas[first:] + rdatas[:first], octets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RRset):
            return NotImplemented
        return (self.owner, self.rtype, self.ttl, self.rdatas) == (other.owner, other.rtype, other.ttl, other.rdatas)

    def __hash__(self) -> int:
        return hash((self.owner, self.rtype, self.ttl, self.rdatas))

    def __repr__(self) -> str:
        return f"RRset({self.owner!r}, {type_to_text(self.rtype)}, {self.ttl}, {self.rdatas!r})"


def weigh(rrsets: Iterable[RRset]) -> int:
    """Return about how many octets of memory *rrsets* take."""
    return sum(_RRSET_OCTETS + len(rrset.rdatas) * _RECORD_OCTETS + 2 * len(rrset.octets) for rrset in rrsets)


def record(owner: bytes, rtype: int, ttl: int, rdata: bytes) -> bytes:
    """Put one record of class IN together; *owner* is a whole name or a pointer (RFC 1035 section 4.1.3)."""
    return owner + FIXED.pack(rtype, CLASS_IN, ttl, len(rdata)) + rdata


def srv(priority: int, weight: int, port: int, target: Name) -> bytes:
    """Build the data of an SRV record (RFC 2782)."""
    return _SRV.pack(priority, weight, port) + target


def soa(mname: Name, rname: Name, serial: int, times: tuple[int, int, int, int]) -> bytes:
    """Build the data of an SOA record.

    Args:
        mname: The primary server.
        rname: The mailbox of the person responsible.
        serial: The zone's version, 32 bits (RFC 1982).
        times: Refresh, retry, expire and minimum, in seconds.

    Source: RFC 1035 section 3.3.13.
    """
    return mname + rname + _SOA.pack(serial, *times)


def as_denial(soa: RRset) -> RRset:
    """Return an SOA record set as negative answers carry it: with the time that they may be kept.

    Source: RFC 2308 section 5.
    """
    return soa.with_ttl(min(soa.ttl, int.from_bytes(soa.rdatas[0][-_MINIMUM:])))


def txt(*strings: bytes) -> bytes:
    """Build the data of a TXT record from character strings of at most 255 octets each (RFC 1035 section 3.3.14)."""
    if any(len(string) > _CHARACTER_STRING for string in strings):
        raise ValueError(f"a character string has at most {_CHARACTER_STRING} octets")
    return b"".join(bytes((len(string),)) + string for string in strings)


def hostmaster(zone: Name) -> Name:
    """Return the mailbox name that svcdns writes into the SOA of *zone*."""
    return join([b"hostmaster"], zone)
