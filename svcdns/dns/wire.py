"""The server's side of the wire: queries from octets, responses to octets.

`decode` reads what a client may send - header, one question without compression, at most one OPT and a TSIG record -
and refuses everything else before it costs anything. `encode` writes a response so that it fits the client: compressed,
truncated by whole records where it must be, with an OPT record where the client sent one. `dns.upstream` is the other
side, where svcdns itself is the client.

Source: RFC 1035 section 4.1, RFC 2181 section 9, RFC 3597 section 4, RFC 6891, RFC 8906, RFC 8945, RFC 9619.
"""

from struct import Struct
from typing import Final, NamedTuple

from svcdns.dns import edns
from svcdns.dns.message import Rcode, Response
from svcdns.dns.name import MAX_LABEL, MAX_NAME, ROOT, Name, is_subdomain
from svcdns.dns.records import (
    CLASS_IN,
    FIXED,
    HEADER_SIZE,
    LENGTH,
    NAMES_IN_RDATA,
    OWNER_POINTER,
    POINTER,
    RRset,
    Rtype,
)
from svcdns.errors import WireError

MAX_MESSAGE: Final = 65535
QR: Final = 0x8000
AA: Final = 0x0400
TC: Final = 0x0200
RD: Final = 0x0100
RA: Final = 0x0080
AD: Final = 0x0020
CD: Final = 0x0010

HEADER: Final = Struct("!HHHHHH")
"""Id, flags, and how many questions and records of each section there are."""

TYPE_AND_CLASS: Final = Struct("!HH")
"""What stands in a question behind its name."""

META_TYPES = frozenset({Rtype.OPT, Rtype.TKEY, Rtype.TSIG})
"""Types that are no data and that nobody can ask for (RFC 6895 section 3.1)."""

_QR_OCTET: Final = 0x80
_OPCODE_OCTET: Final = 0x78
_TC_OCTET: Final = 0x02
_OPCODE: Final = 0x7800
_RCODE: Final = 0xF
_FURTHEST_POINTER: Final = 0x3FFF
_SRV_TARGET: Final = 6
_CLASS_ANY: Final = 255
# From the end of a question's name to the options of an OPT record.
_TO_OPTIONS: Final = TYPE_AND_CLASS.size + 1 + FIXED.size

_TSIG_TIMES: Final = Struct("!6sHH")
_TSIG_TAIL: Final = Struct("!HHH")


class Envelope(NamedTuple):
    """What a query's octets say: the question, and all that belongs to this one exchange.

    Attributes:
        id: The message id.
        flags: The header's second 16 bits.
        name: The name asked for, in lower case.
        rtype: The type asked for.
        rclass: The class asked for.
        question: The question as sent, letter case included: name, type, class.
        opt: The OPT record, if there was one.
        tsig: What a refusal of the TSIG record repeats of it, if there was one.
        trailing: How many octets stood behind the message.
    """

    id: int
    flags: int
    name: Name
    rtype: int
    rclass: int
    question: bytes
    opt: edns.Opt | None
    tsig: bytes | None
    trailing: int


def answerable(octets: bytes) -> bool:
    """Tell whether *octets* may be answered at all: they hold a header, and it is not a response's.

    Whatever cannot be must meet silence, lest two servers answer each other for ever (RFC 1035 section 4.1.1).
    """
    return len(octets) >= HEADER_SIZE and not octets[2] & _QR_OCTET


def is_query(octets: bytes) -> bool:
    """Tell whether an answerable message has the opcode QUERY."""
    return not octets[2] & _OPCODE_OCTET


def is_truncated(octets: bytes) -> bool:
    """Tell whether a message has TC set: it is not whole, so a client may use no part of it (RFC 2181 section 9)."""
    return octets[2] & _TC_OCTET != 0


def refusal(octets: bytes, rcode: int) -> bytes:
    """Answer an answerable message with a header alone: id, opcode and, for queries, RD are copied (RFC 8906)."""
    flags = LENGTH.unpack_from(octets, 2)[0]
    opcode = flags & _OPCODE
    return HEADER.pack(LENGTH.unpack_from(octets)[0], QR | opcode | (0 if opcode else flags & RD) | rcode, 0, 0, 0, 0)


def decode(octets: bytes) -> Envelope:
    """Read an answerable message of opcode QUERY.

    Octets behind the message are counted and ignored. The work is bounded by the longest name and 32 EDNS options.

    Raises:
        WireError: It is not one well-formed question with at most an OPT and a TSIG record.

    Source: RFC 1035 section 4.1, RFC 6891 section 6.1.1, RFC 9619.
    """
    ident, flags, questions, answers, authorities, additionals = HEADER.unpack_from(octets)
    if questions != 1 or answers:
        raise WireError("a query has one question and no answer")
    end = _skip_name(octets, HEADER_SIZE)
    position = end + TYPE_AND_CLASS.size
    if position > len(octets):
        raise WireError("the question is cut short")
    rtype, rclass = TYPE_AND_CLASS.unpack_from(octets, end)
    if authorities:
        if rtype != Rtype.IXFR or authorities != 1:
            raise WireError("a query has no authority section")
        position = _skip_data(octets, _skip_name(octets, position, compressed=True), Rtype.SOA)
    if rtype in META_TYPES:
        raise WireError("nobody can ask for a meta type")
    name = Name(octets[HEADER_SIZE:end].lower())
    question = octets[HEADER_SIZE : end + TYPE_AND_CLASS.size]
    opt, tsig = None, None
    if additionals:
        opt, tsig, position = _additional(octets, position, additionals)
    return Envelope(ident, flags, name, rtype, rclass, question, opt, tsig, len(octets) - position)


def essence(octets: bytes) -> bytes:
    """Return what the answer to a message depends on, without decoding it.

    That is the message without its id, with its name in lower case, and without the data of its EDNS options; nothing
    where its name has no end, or where it ends in the midst of an option. It is to be compared with those of queries of
    which `has_essence` is true: a message that has the same is as well-formed as they are, and `decode` finds no other
    difference between them.
    """
    end = octets.find(0, HEADER_SIZE, HEADER_SIZE + MAX_NAME) + 1
    if not end:
        return b""
    options = end + _TO_OPTIONS
    heads = edns.option_heads(octets, options, len(octets)) if len(octets) > options else b""
    if heads is None:
        return b""
    return octets[LENGTH.size : HEADER_SIZE] + octets[HEADER_SIZE:end].lower() + octets[end:options] + heads


def has_essence(envelope: Envelope) -> bool:
    """Tell whether `essence` read a query aright: its name ends at its first zero octet, and nothing stands behind."""
    return not envelope.trailing and envelope.name.index(0) == len(envelope.name) - 1


def _skip_name(octets: bytes, position: int, *, compressed: bool = False) -> int:
    """Return the position behind a name; only one that is not the message's first has something to point to."""
    window, end = octets[position : position + MAX_NAME], 0
    try:
        while length := window[end]:
            if length > MAX_LABEL:
                if compressed and length >= POINTER:
                    return position + end + 2
                raise WireError("a label is too long, or a pointer where none can be")
            end += length + 1
    except IndexError:
        raise WireError("a name is over 255 octets, or runs beyond the message") from None
    return position + end + 1


def _skip_data(octets: bytes, position: int, rtype: int) -> int:
    """Return the position behind a record whose owner ends at *position* and whose type must be *rtype*."""
    if position + FIXED.size > len(octets):
        raise WireError("a record is cut short")
    found, _, _, length = FIXED.unpack_from(octets, position)
    if found != rtype:
        raise WireError("a section of a query holds a record that does not belong there")
    position += FIXED.size + length
    if position > len(octets):
        raise WireError("a record's data end beyond the message")
    return position


def _additional(octets: bytes, position: int, count: int) -> tuple[edns.Opt | None, bytes | None, int]:
    """Read the additional section of a query: one OPT, one TSIG which is last, or both (RFC 8945 section 5.1)."""
    opt = None
    for left in range(count, 0, -1):
        if octets[position : position + 3] == b"\x00\x00\x29":
            if opt is not None:
                raise WireError("there are two OPT records")
            opt, position = edns.parse(octets, position + 1)
        elif left == 1:
            tsig, position = _tsig(octets, position)
            return opt, tsig, position
        else:
            raise WireError("the additional section of a query holds OPT and a last TSIG alone")
    return opt, None, position


def _tsig(octets: bytes, start: int) -> tuple[bytes, int]:
    """Read a TSIG record and build the one that says BADKEY to it: no key is known here (RFC 8945 section 5.2.1)."""
    fixed = _skip_name(octets, start)
    end = _skip_data(octets, fixed, Rtype.TSIG)
    rtype, rclass, _, _ = FIXED.unpack_from(octets, fixed)
    if rclass != _CLASS_ANY:
        raise WireError("a TSIG record has the class ANY")
    data = fixed + FIXED.size
    times = _skip_name(octets, data)
    if times + _TSIG_TIMES.size + _TSIG_TAIL.size > end:
        raise WireError("the TSIG record is cut short")
    signed, fudge, mac_size = _TSIG_TIMES.unpack_from(octets, times)
    tail = times + _TSIG_TIMES.size + mac_size
    if tail + _TSIG_TAIL.size > end:
        raise WireError("the TSIG record's MAC ends beyond it")
    original_id = LENGTH.unpack_from(octets, tail)[0]
    rdata = octets[data:times] + _TSIG_TIMES.pack(signed, fudge, 0) + _TSIG_TAIL.pack(original_id, Rcode.BADKEY, 0)
    return octets[start:fixed] + FIXED.pack(rtype, rclass, 0, len(rdata)) + rdata, end


def encode(envelope: Envelope, response: Response, limit: int, *, ra: bool = False, options: bytes = b"") -> bytes:
    """Write *response* for the client whose query *envelope* is.

    Answer and authority are cut after the last whole record that fits and TC is set; additional records that do not fit
    are left out without a word (RFC 2181 section 9). Owners that equal the question point to it, so they have the
    letter case that the client sent. A query's TSIG record is answered with one that says BADKEY.

    Args:
        envelope: The query as decoded.
        response: What to say.
        limit: The longest message that may be sent, in octets, at least 512.
        ra: Whether recursion is available from the server block that answers.
        options: EDNS options for this exchange, such as keepalive.
    """
    tail = _opt(envelope, response, options)
    arcount = 1 if tail else 0
    if envelope.tsig is not None and HEADER_SIZE + len(envelope.question) + len(tail) + len(envelope.tsig) <= limit:
        tail += envelope.tsig
        arcount += 1
    rcode = response.rcode if envelope.opt is not None or response.rcode <= _RCODE else Rcode.SERVFAIL
    flags = QR | envelope.flags & (RD | CD) | rcode & _RCODE
    if response.aa:
        flags |= AA
    if ra:
        flags |= RA
    if response.ad and (envelope.flags & AD or (envelope.opt is not None and envelope.opt.do)):
        flags |= AD
    answer, authority, question = response.answer, response.authority, envelope.question
    if not response.additional and len(answer) + len(authority) <= 1:
        octets, count = _ready_made(answer or authority, envelope.name)
        if octets is not None and HEADER_SIZE + len(question) + len(octets) + len(tail) <= limit:
            counts = (count, 0) if answer else (0, count)
            return HEADER.pack(envelope.id, flags, 1, *counts, arcount) + question + octets + tail
    writer = _Writer(envelope, limit - len(tail))
    counts = (writer.section(answer), writer.section(authority))
    if writer.full:
        flags |= TC
    arcount += writer.section(response.additional)
    return HEADER.pack(envelope.id, flags, 1, *counts, arcount) + bytes(writer.octets[HEADER_SIZE:]) + tail


def _opt(envelope: Envelope, response: Response, options: bytes) -> bytes:
    """Build the OPT record of a response, or none where the client sent none (RFC 6891 section 7)."""
    if envelope.opt is None:
        return b""
    if response.ede is not None:
        options += edns.extended_error(response.ede)
    if options or response.rcode > _RCODE:
        return edns.build(response.rcode, options, do=envelope.opt.do)
    return edns.OPT_DO if envelope.opt.do else edns.OPT


def _ready_made(rrsets: tuple[RRset, ...], question: Name) -> tuple[bytes | None, int]:
    """Return what at most one record set takes behind *question*, as it keeps it, and how many records that is.

    None stands for one whose owner is no ending of the question, or is the root, which is shorter than a pointer.
    """
    if not rrsets:
        return b"", 0
    (rrset,) = rrsets
    if not question.endswith(rrset.owner) or rrset.owner == ROOT != question:
        return None, 0
    return rrset.at(HEADER_SIZE + len(question) - len(rrset.owner)), len(rrset.rdatas)


class _Writer:
    """Writes records behind a question, compressing names, until the next one would not fit.

    Attributes:
        octets: The message so far, its header still blank.
        full: A record did not fit; no further one is written.
    """

    __slots__ = ("_limit", "_offsets", "_question", "full", "octets")

    def __init__(self, envelope: Envelope, limit: int) -> None:
        self.octets = bytearray(HEADER_SIZE) + envelope.question
        self.full = False
        self._limit = limit
        self._question = envelope.name
        self._offsets: dict[bytes, int] = {envelope.name: HEADER_SIZE}

    def section(self, rrsets: tuple[RRset, ...]) -> int:
        """Write a section and return how many records went in."""
        count = 0
        for rrset in rrsets:
            if self.full:
                break
            if rrset.owner == self._question and rrset.rtype not in NAMES_IN_RDATA:
                count += self._ready_records(rrset)
            else:
                count += self._records(rrset)
        return count

    def _ready_records(self, rrset: RRset) -> int:
        """Write a ready-made record set, or as many of its records as fit."""
        room = self._limit - len(self.octets)
        if len(rrset.octets) <= room:
            if rrset.rtype == Rtype.SRV:
                self._note_targets(rrset)
            self.octets += rrset.octets
            return len(rrset.rdatas)
        self.full = True
        count = end = 0
        while (after := end + len(OWNER_POINTER) + FIXED.size + len(rrset.rdatas[count])) <= room:
            count, end = count + 1, after
        self.octets += rrset.octets[:end]
        return count

    def _note_targets(self, rrset: RRset) -> None:
        """Remember where the targets of a ready-made SRV record set are about to stand."""
        position = len(self.octets)
        for rdata in rrset.rdatas:
            position += len(OWNER_POINTER) + FIXED.size
            self._note(rdata[_SRV_TARGET:], position + _SRV_TARGET)
            position += len(rdata)

    def _records(self, rrset: RRset) -> int:
        for count, rdata in enumerate(rrset.rdatas):
            start = len(self.octets)
            self._name(rrset.owner)
            self.octets += FIXED.pack(rrset.rtype, CLASS_IN, rrset.ttl, len(rdata))
            self._rdata(rrset.rtype, rdata)
            if len(self.octets) > self._limit:
                del self.octets[start:]
                self.full = True
                return count
        return len(rrset.rdatas)

    def _rdata(self, rtype: int, rdata: bytes) -> None:
        """Write record data, compressed and with their length mended where their type allows it."""
        start = len(self.octets)
        shape = NAMES_IN_RDATA.get(rtype)
        if shape is None:
            if rtype == Rtype.SRV:  # never compressed itself (RFC 2782), but its address records' owners point here
                self._note(rdata[_SRV_TARGET:], start + _SRV_TARGET)
            self.octets += rdata
            return
        position, names = shape
        self.octets += rdata[:position]
        for _ in range(names):
            end = position
            while rdata[end]:
                end += rdata[end] + 1
            self._name(rdata[position : end + 1])
            position = end + 1
        self.octets += rdata[position:]
        LENGTH.pack_into(self.octets, start - LENGTH.size, len(self.octets) - start)

    def _name(self, name: bytes) -> None:
        """Write *name*, its longest ending that already stands in the message as a pointer."""
        octets, offsets, question, position = self.octets, self._offsets, self._question, 0
        while length := name[position]:
            ending = name[position:]
            offset = offsets.get(ending)
            if offset is None and question.endswith(ending) and is_subdomain(question, Name(ending)):
                offset = offsets[ending] = HEADER_SIZE + len(question) - len(ending)
            if offset is not None:
                octets += LENGTH.pack(POINTER << 8 | offset)
                return
            self._note(ending, len(octets))
            octets += name[position : position + length + 1]
            position += length + 1
        octets.append(0)

    def _note(self, name: bytes, offset: int) -> None:
        if offset <= _FURTHEST_POINTER:
            self._offsets.setdefault(name, offset)
