"""Reads records out of a compressed message: what an upstream sent, and so anything at all.

Names may lead through pointers to each other's ends, so the work for them is bounded for the whole message; so is the
number of record sets. Record data are read when they are used, and sections that are not used are passed over. Nothing
here calls itself.

Source: RFC 1035 sections 4.1.3 and 4.1.4, RFC 2181 sections 5.2 and 8, RFC 3597 section 4, RFC 4034 section 6.2,
RFC 9267.
"""

from typing import Final

from svcdns.dns.name import MAX_LABEL, MAX_NAME, ROOT, Name
from svcdns.dns.records import (
    CLASS_IN,
    FIXED,
    HEADER_SIZE,
    LENGTH,
    MAX_TTL,
    NAMES_IN_RDATA,
    POINTER,
    RRset,
    Rtype,
)
from svcdns.errors import WireError

MAX_RECORDS: Final = 100
"""How many records of one owner and type are used."""

MAX_SETS: Final = 256
"""How many record sets there may be in the sections that are used: no answer has as many."""

MAX_STEPS: Final = 4096
"""How many labels and pointers the names that are read may have together; an owner that is repeated is read once."""

MAX_POINTERS: Final = 126
"""How many compression pointers one name may lead through."""

_FIXED_SIZE: Final = FIXED.size
_POINTER_BITS: Final = 0x3F
_TO_QUESTION: Final = bytes((POINTER, HEADER_SIZE))

_NAMES_IN_RDATA: dict[int, tuple[int, int]] = {
    **NAMES_IN_RDATA,
    Rtype.RP: (0, 2),
    Rtype.AFSDB: (2, 1),
    Rtype.RT: (2, 1),
    Rtype.SIG: (18, 1),
    Rtype.PX: (2, 2),
    Rtype.NXT: (0, 1),
    Rtype.SRV: (6, 1),
    Rtype.KX: (2, 1),
    Rtype.DNAME: (0, 1),
}
"""Types with names that a sender may have compressed, once at least; in canonical form they are lower case."""

_SIZES: dict[int, int] = {Rtype.A: 4, Rtype.AAAA: 16}
_OCTETS_BEHIND_NAMES: dict[int, int] = {Rtype.SOA: 20}
_OPEN_ENDED = frozenset({Rtype.SIG, Rtype.NXT})
_NAPTR_NUMBERS: Final = 4
_NAPTR_STRINGS: Final = 3


class Records:
    """The records of one owner and type as they stand in a message, read when they are needed.

    Attributes:
        owner: Whose they are.
        ttl: The least of their TTLs, those of 2**31 and above taken as 0 (RFC 2181 sections 5.2 and 8).
    """

    __slots__ = ("_reader", "_rtype", "_spans", "owner", "ttl")

    def __init__(self, reader: "Reader", owner: Name, rtype: int) -> None:
        self.owner = owner
        self.ttl = MAX_TTL
        self._reader = reader
        self._rtype = rtype
        self._spans: list[tuple[int, int]] = []

    def add(self, ttl: int, start: int, end: int) -> None:
        """Take in a record whose data stand between *start* and *end*; those beyond `MAX_RECORDS` are not used."""
        if ttl > MAX_TTL:
            ttl = 0
        self.ttl = min(self.ttl, ttl)
        if len(self._spans) < MAX_RECORDS:
            self._spans.append((start, end))

    def read(self) -> RRset:
        """Return all records."""
        rdata, rtype = self._reader.rdata, self._rtype
        return self._rrset([rdata(rtype, start, end) for start, end in self._spans])

    def signatures(self, rtype: int) -> RRset | None:
        """Return those of these RRSIG records that cover *rtype* (RFC 4034 section 3.1)."""
        rdatas = [self._reader.octets[start:end] for start, end in self._spans]
        covering = [rdata for rdata in rdatas if rdata[:2] == LENGTH.pack(rtype)]
        return self._rrset(covering) if covering else None

    def _rrset(self, rdatas: list[bytes]) -> RRset:
        return RRset(self.owner, self._rtype, self.ttl, tuple(dict.fromkeys(rdatas)))


Section = dict[tuple[Name, int], Records]
"""The records of class IN of a section, by owner and type."""


class Reader:
    """Reads names and records.

    Args:
        octets: The message.
        position: Where the first section begins.
        question: The name in the question, in lower case: most owners are a pointer there.

    Attributes:
        octets: The message.
        position: Where the next section begins.
    """

    __slots__ = ("_owner", "_sets", "_steps", "_written", "octets", "position")

    def __init__(self, octets: bytes, position: int, question: Name) -> None:
        self.octets = octets
        self.position = position
        self._sets = self._steps = 0
        self._owner = question
        self._written = _TO_QUESTION

    def section(self, count: int) -> Section:
        """Read *count* records, and sort those of class IN by owner and type."""
        found: Section = {}
        octets, owner, written = self.octets, self._owner, self._written
        for _ in range(count):
            position = self.position
            if octets.startswith(written, position):
                position += len(written)
            else:
                owner, position = self._name(position)
                written = octets[self.position : position]
            rtype, rclass, ttl, start = self._fixed(position)
            if rclass == CLASS_IN:
                key = (owner, rtype)
                records = found.get(key)
                if records is None:
                    records = found[key] = self._records(owner, rtype)
                records.add(ttl, start, self.position)
        self._owner, self._written = owner, written
        return found

    def pass_over(self, count: int) -> int | None:
        """Pass over *count* records; return what an OPT record among them adds to the rcode, or None without one."""
        octets, upper = self.octets, None
        for _ in range(count):
            position = self.position
            while 0 < (length := octets[position]) <= MAX_LABEL:
                position += length + 1
            if 0 < length < POINTER:
                raise WireError("a label is over 63 octets")
            rtype, _, ttl, _ = self._fixed(position + (2 if length else 1))
            if rtype == Rtype.OPT:
                upper = ttl >> 24 << 4
        return upper

    def _fixed(self, position: int) -> tuple[int, int, int, int]:
        """Go behind the record whose owner ends at *position*; return its type, class, TTL, and its data's start."""
        octets = self.octets
        rtype, rclass, ttl, length = FIXED.unpack_from(octets, position)
        start = position + _FIXED_SIZE
        self.position = end = start + length
        if end > len(octets):
            raise WireError("a record's data end beyond the message")
        return rtype, rclass, ttl, start

    def _records(self, owner: Name, rtype: int) -> Records:
        """Begin a record set."""
        self._sets += 1
        if self._sets > MAX_SETS:
            raise WireError(f"there are over {MAX_SETS} record sets")
        return Records(self, owner, rtype)

    def rdata(self, rtype: int, start: int, end: int) -> bytes:
        """Return record data with names whole and in lower case."""
        size = _SIZES.get(rtype)
        if size is not None:
            if size != end - start:
                raise WireError("an address record has the wrong length")
            return self.octets[start:end]
        if rtype == Rtype.NAPTR:
            return self._naptr(start, end)
        shape = _NAMES_IN_RDATA.get(rtype)
        if shape is None:
            return self.octets[start:end]
        before, names = shape
        data = self.octets[start : start + before]
        position = start + before
        for _ in range(names):
            name, position = self._name(position)
            data += name
        left = end - position
        if left < 0 or (rtype not in _OPEN_ENDED and left != _OCTETS_BEHIND_NAMES.get(rtype, 0)):
            raise WireError("names do not fill their record's data")
        return data + self.octets[position:end]

    def _naptr(self, start: int, end: int) -> bytes:
        """Read NAPTR data: numbers, three character strings, a name (RFC 3403 section 4.1)."""
        position = start + _NAPTR_NUMBERS
        for _ in range(_NAPTR_STRINGS):
            position += self.octets[position] + 1
        name, behind = self._name(position)
        if behind != end:
            raise WireError("the name does not fill the record's data")
        return self.octets[start:position] + name

    def _name(self, start: int) -> tuple[Name, int]:
        """Return the name at *start*, and the position behind it.

        Pointers lead strictly backwards, before the labels that they end (RFC 1035 section 4.1.4, RFC 9267 section 2).
        """
        octets, found = self.octets, []
        position, floor, behind, pointers, size = start, start, 0, 0, 1
        while length := octets[position]:
            if length >= POINTER:
                target = (length & _POINTER_BITS) << 8 | octets[position + 1]
                behind = behind or position + 2
                pointers += 1
                if not HEADER_SIZE <= target < floor or pointers > MAX_POINTERS:
                    raise WireError("a compression pointer does not lead back, or there are too many")
                position = floor = target
            else:
                size += length + 1
                if length > MAX_LABEL or size > MAX_NAME:
                    raise WireError("a label is over 63 octets, or a name over 255")
                found.append(octets[position : position + length + 1])
                position += length + 1
        self._steps += len(found) + pointers
        if self._steps > MAX_STEPS:
            raise WireError(f"the names have over {MAX_STEPS} labels and pointers")
        return Name(b"".join(found).lower() + ROOT), behind or position + 1
