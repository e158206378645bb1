"""Questions, and answers as they are compared: what a message means, apart from how its octets say it.

Sections are compared as sets of records, for either server may send them in any order; a record that is there twice
counts twice. Letter case is looked at where it matters: the question and the owners that equal it must come back as
they were sent. The serial of an SOA record is a time, and stands as 0.
"""

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import dns.enum
import dns.flags
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

Name = str
"""A domain name in lower case, with its final dot."""

_QR, _OPCODE, _RCODE = 0x8000, 0x7800, 0xF
_FLAGS = tuple(map(int, (dns.flags.AA, dns.flags.TC, dns.flags.RD, dns.flags.RA, dns.flags.AD, dns.flags.CD)))
_DO = 0x8000
EDE = 15
"""The option that holds an extended error."""

_POINTER, _OFFSET = 0xC0, 0x3FFF
_OPT, _IN = int(dns.rdatatype.OPT), int(dns.rdataclass.IN)


class Question(NamedTuple):
    """A question and how it is asked.

    Attributes:
        name: The name as sent, with its final dot.
        rtype: The type's mnemonic.
        rclass: The class's mnemonic.
        transport: ``udp`` or ``tcp``.
        payload: The payload size of the OPT record; None for a query without one.
        do: DNSSEC answer OK.
        flags: The header's flags.
    """

    name: str
    rtype: str
    rclass: str = "IN"
    transport: str = "udp"
    payload: int | None = None
    do: bool = False
    flags: int = int(dns.flags.RD)

    @property
    def folded(self) -> Name:
        """The name in lower case."""
        return self.name.lower()

    def to_wire(self, ident: int) -> bytes:
        """Return the query message."""
        arcount = 0 if self.payload is None else 1
        opt = b"" if self.payload is None else struct.pack("!BHHIH", 0, _OPT, self.payload, _DO if self.do else 0, 0)
        header = struct.pack("!HHHHHH", ident, self.flags, 1, 0, 0, arcount)
        return header + to_octets(self.name) + struct.pack("!HH", *_to_codes(self.rtype, self.rclass)) + opt

    def __str__(self) -> str:
        edns = "" if self.payload is None else f" +bufsize={self.payload}{' +dnssec' if self.do else ''}"
        return f"{self.name} {self.rclass} {self.rtype} over {self.transport}{edns}"


class Record(NamedTuple):
    """A record; its owner in lower case, its data as text, with names in lower case."""

    owner: Name
    rtype: str
    ttl: int
    data: str


class Edns(NamedTuple):
    """What an OPT record says; of its options the codes, in order, and of an extended error the code of that."""

    payload: int
    do: bool
    options: tuple[int, ...]
    error: int | None = None


class Answer(NamedTuple):
    """An answer, as far as it is compared.

    Attributes:
        rcode: The whole response code's mnemonic.
        aa: Authoritative answer.
        tc: Truncated.
        rd: Recursion desired, copied from the query.
        ra: Recursion available.
        ad: Authentic data.
        cd: Checking disabled, copied from the query.
        echoed: Whether the question, and owners in the answer section that equal it, have their letter case as sent.
        chained: Whether each alias of the answer section stands right before what it leads to.
        answer: The answer section, sorted.
        authority: The authority section, sorted.
        additional: The additional section without OPT, sorted.
        edns: What the OPT record says; None where there is none.
    """

    rcode: str
    aa: bool
    tc: bool
    rd: bool
    ra: bool
    ad: bool
    cd: bool
    echoed: bool
    chained: bool
    answer: tuple[Record, ...]
    authority: tuple[Record, ...]
    additional: tuple[Record, ...]
    edns: Edns | None

    @property
    def sections(self) -> tuple[Record, ...]:
        """The records of all sections."""
        return (*self.answer, *self.authority, *self.additional)


class Reply(NamedTuple):
    """What came back.

    Attributes:
        answer: What it says.
        size: Its length in octets.
        serials: The serials of its SOA records.
    """

    answer: Answer
    size: int
    serials: tuple[int, ...]


@lru_cache(maxsize=8192)
def to_octets(name: str) -> bytes:
    """Return a name as octets."""
    return b"".join(bytes((len(label),)) + label for label in dns.name.from_text(name).labels)


@lru_cache
def _to_codes(rtype: str, rclass: str) -> tuple[int, int]:
    return int(dns.rdatatype.from_text(rtype)), int(dns.rdataclass.from_text(rclass))


@lru_cache
def _to_mnemonic(kind: type[dns.enum.IntEnum], code: int) -> str:
    return kind.to_text(code)


def canonical(name: str) -> Name:
    """Return a name as this module writes names."""
    return _to_text(to_octets(name).lower())


def read(question: Question, octets: bytes) -> Reply:
    """Read the reply to *question*.

    Raises:
        AssertionError: It is no reply to it.
    """
    reader = _Reader(octets, to_octets(question.name))
    _, flags, questions, *counts = struct.unpack_from("!HHHHHH", octets)
    assert (flags & (_QR | _OPCODE), questions) == (_QR, 1)
    reader.position = 12
    reader.read_owner()
    asked = reader.unpack("!HH")
    assert asked == _to_codes(question.rtype, question.rclass)
    answer = reader.read_section(counts[0])
    echoed = reader.echoed
    authority, additional = reader.read_section(counts[1]), reader.read_section(counts[2])
    assert reader.position == len(octets)
    said = [flags & bit != 0 for bit in _FLAGS]
    rcode = flags & _RCODE | reader.rcode
    whole = Answer(
        _to_mnemonic(dns.rcode.Rcode, rcode),
        said[0],
        said[1],
        said[2],
        said[3],
        said[4],
        said[5],
        echoed,
        is_chained(question.folded, answer),
        tuple(sorted(answer)),
        tuple(sorted(authority)),
        tuple(sorted(additional)),
        reader.edns,
    )
    return Reply(whole, len(octets), tuple(reader.serials))


def is_chained(name: Name, answer: Iterable[Record]) -> bool:
    """Tell whether each alias of an answer section stands right before what it leads to (RFC 1034 section 4.3.2)."""
    for record in answer:
        if record.owner != name:
            return False
        if record.rtype == "CNAME":
            name = record.data
    return True


class _Reader:
    """Reads a message from the front to the end; much quicker than a library that keeps all of it as objects."""

    def __init__(self, octets: bytes, question: bytes) -> None:
        self.position = 0
        self.echoed = True
        self.edns: Edns | None = None
        self.rcode = 0
        self.serials: list[int] = []
        self._octets = octets
        self._question = question
        self._folded = question.lower()

    def unpack(self, form: str) -> tuple[int, ...]:
        """Read numbers."""
        found = struct.unpack_from(form, self._octets, self.position)
        self.position += struct.calcsize(form)
        return found

    def read_section(self, count: int) -> list[Record]:
        """Read *count* records in their order, and leave out the OPT record."""
        found = []
        for _ in range(count):
            owner = self.read_owner()
            rtype, rclass, ttl, length = self.unpack("!HHIH")
            end = self.position + length
            if rtype == _OPT:
                self._read_opt(rclass, ttl, end)
            else:
                assert rclass == _IN
                kind = _to_mnemonic(dns.rdatatype.RdataType, rtype)
                found.append(Record(owner, kind, ttl, self._read_data(rtype, end)))
            assert self.position == end
        return found

    def read_owner(self) -> Name:
        """Read a name; note whether it equals the question but for its letter case."""
        name = self._read_name()
        folded = name.lower()
        if folded == self._folded and name != self._question:
            self.echoed = False
        return _to_text(folded)

    def _read_name(self) -> bytes:
        octets, position, end, name = self._octets, self.position, 0, b""
        while length := octets[position]:
            if length >= _POINTER:
                end = end or position + 2
                before, position = position, int.from_bytes(octets[position : position + 2]) & _OFFSET
                assert position < before
            else:
                name += octets[position : position + length + 1]
                position += length + 1
        self.position = end or position + 1
        return name + b"\0"

    def _read_data(self, rtype: int, end: int) -> str:
        match rtype:
            case dns.rdatatype.CNAME | dns.rdatatype.NS | dns.rdatatype.PTR:
                return _to_text(self._read_name().lower())
            case dns.rdatatype.MX:
                (preference,) = self.unpack("!H")
                return f"{preference} {_to_text(self._read_name().lower())}"
            case dns.rdatatype.SRV:
                numbers = self.unpack("!HHH")
                return " ".join((*map(str, numbers), _to_text(self._read_name().lower())))
            case dns.rdatatype.SOA:
                names = [_to_text(self._read_name().lower()) for _ in range(2)]
                serial, *times = self.unpack("!IIIII")
                self.serials.append(serial)
                return " ".join((*names, "0", *map(str, times)))
        kind = dns.rdatatype.RdataType.make(rtype)
        data = dns.rdata.from_wire(dns.rdataclass.IN, kind, self._octets, self.position, end - self.position)
        self.position = end
        return data.to_text()

    def _read_opt(self, payload: int, ttl: int, end: int) -> None:
        assert self.edns is None
        assert ttl & 0x00FF7FFF == 0
        self.rcode = ttl >> 24 << 4
        options, error = [], None
        while self.position < end:
            code, length = self.unpack("!HH")
            options.append(code)
            if code == EDE:
                error = int.from_bytes(self._octets[self.position : self.position + 2])
            self.position += length
        self.edns = Edns(payload, ttl & _DO != 0, tuple(options), error)


@lru_cache(maxsize=65536)
def _to_text(octets: bytes) -> Name:
    labels, position = [], 0
    while length := octets[position]:
        labels.append(octets[position + 1 : position + length + 1])
        position += length + 1
    return dns.name.Name([*labels, b""]).to_text()
