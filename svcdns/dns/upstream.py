"""The client's side of the wire: questions to upstreams, and what is believed of what comes back.

`encode_query` asks; `compare` tells an answer to that question from everything else that may arrive; `decode_response`
reads the answer. Of it only the chain from the question through CNAME and DNAME records is kept, the SOA record of a
negative answer and, where DO was asked, signatures and proofs: everything else could be another's data. Unlike
`dns.wire`, which refuses pointers in queries, this side must follow them; `dns.reader` does.

Source: RFC 1035 section 4.1, RFC 2181 sections 5.4.1 and 9, RFC 2308, RFC 5452 sections 6 and 9, RFC 6672.
"""

import struct
from enum import Enum
from typing import Final, final

from svcdns.dns import edns
from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.name import MAX_LABEL, MAX_NAME, Name, is_subdomain, parent, suffixes
from svcdns.dns.reader import Reader, Section
from svcdns.dns.records import CLASS_IN, HEADER_SIZE, RRset, Rtype
from svcdns.dns.wire import AD, CD, HEADER, RD, TYPE_AND_CLASS
from svcdns.errors import WireError

MAX_LINKS: Final = 8
"""How many CNAME and DNAME records are followed from the question."""

ID_BITS: Final = 16

_QR: Final = 0x80
_OPCODE_AND_QR: Final = 0xF8
_AD: Final = 0x20
_RCODE: Final = 0x0F
_SMALLEST_RECORD: Final = 11
_ONE: Final = b"\x00\x01"
_NONE: Final = b"\x00\x00"

_LETTERS: Final = bytes(0x20 if ord("a") <= octet <= ord("z") else 0 for octet in range(256))
"""The bit that turns an octet of a lower-case name into its upper case; no length octet has any."""

_SIGNER: Final = 18
_PROOFS = (Rtype.NSEC, Rtype.NSEC3)


@final
class Asked:
    """A question as it is sent.

    Attributes:
        octets: The message.
        question: The question's octets, letter case included.
        name: The name asked for, in lower case.
        rtype: The type asked for.
        do: Whether signatures and proofs are wanted.
        edns: Whether there is an OPT record.
        trusted: Whether who is asked is believed when it says that it validated (AD).
    """

    __slots__ = ("do", "edns", "name", "octets", "question", "rtype", "trusted")

    def __init__(
        self, octets: bytes, question: bytes, name: Name, rtype: int, *, do: bool, edns: bool, trusted: bool
    ) -> None:
        self.octets = octets
        self.question = question
        self.name = name
        self.rtype = rtype
        self.do = do
        self.edns = edns
        self.trusted = trusted


class Likeness(Enum):
    """How a message compares with the answer that is waited for."""

    SAME = "it answers the question as sent"
    FOLDED = "it answers the question but for its letter case"
    REFUSING_EDNS = "it is a format error without a question, as servers send that do not know EDNS"
    CLOSE = "its id is right, but it does not answer the question"
    FOREIGN = "it belongs to something else"


@final
class Answer:
    """What an upstream said.

    Attributes:
        response: What is believed of it.
        edns: Whether it came with an OPT record.
    """

    __slots__ = ("edns", "response")

    def __init__(self, response: Response, *, edns: bool) -> None:
        self.response = response
        self.edns = edns


def encode_query(query: Query, bits: int, *, mixed: bool, opt: bool = True, trusted: bool = True) -> Asked:
    """Put a question to an upstream together.

    AD is always set: whether the upstream validated matters to whoever asks the same next.

    Args:
        query: What to ask.
        bits: Unpredictable bits, 16 for the id and then, for *mixed*, 8 for each octet of the name.
        mixed: Whether each letter's case is chosen at random (0x20).
        opt: Whether to send an OPT record, which asks for at most 1232 octets.
        trusted: Whether who is asked is believed when it says that it validated.

    Source: RFC 5452 section 9, RFC 6840 section 5.7, draft-vixie-dnsext-dns0x20, RFC 9715.
    """
    name: bytes = query.name
    if mixed:
        swapped = int.from_bytes(name.translate(_LETTERS)) & bits >> ID_BITS
        name = (int.from_bytes(name) ^ swapped).to_bytes(len(name))
    question = name + TYPE_AND_CLASS.pack(query.rtype, CLASS_IN)
    flags = AD | (RD if query.rd else 0) | (CD if query.cd else 0)
    header = HEADER.pack(bits & 0xFFFF, flags, 1, 0, 0, 1 if opt else 0)
    tail = b"" if not opt else edns.OPT_DO if query.do else edns.OPT
    return Asked(header + question + tail, question, query.name, query.rtype, do=query.do, edns=opt, trusted=trusted)


def without_edns(asked: Asked) -> bytes:
    """Return the octets of the same question without its OPT record; the answer to either is an answer to *asked*."""
    end = HEADER_SIZE + len(asked.question)
    return asked.octets[: HEADER_SIZE - 1] + b"\x00" + asked.octets[HEADER_SIZE:end]


def compare(asked: Asked, octets: bytes) -> Likeness:
    """Tell how a message that came from the address asked compares with the answer to *asked*.

    Source: RFC 5452 section 9.1.
    """
    if len(octets) < HEADER_SIZE or octets[:2] != asked.octets[:2]:
        return Likeness.FOREIGN
    if octets[2] & _OPCODE_AND_QR != _QR:
        return Likeness.CLOSE
    end = HEADER_SIZE + len(asked.question)
    if octets[4:6] != _ONE:
        bare = octets[4:HEADER_SIZE] == _NONE * 4 and octets[3] & _RCODE == Rcode.FORMERR
        return Likeness.REFUSING_EDNS if bare and asked.edns else Likeness.CLOSE
    if octets[HEADER_SIZE:end] == asked.question:
        return Likeness.SAME
    name_end = end - TYPE_AND_CLASS.size
    same_type = octets[name_end:end] == asked.question[-TYPE_AND_CLASS.size :]
    return Likeness.FOLDED if same_type and octets[HEADER_SIZE:name_end].lower() == asked.name else Likeness.CLOSE


def decode_response(asked: Asked, octets: bytes, plugin: str = "") -> Answer:
    """Read the answer to *asked*: a message that `compare` found to be one, letter case aside.

    TTLs of 2**31 and above are 0, and record sets have the least of their records' (RFC 2181 sections 5.2 and 8). Names
    in the data of types that RFC 3597 section 4 lists are whole and lower case.

    Args:
        asked: What was asked.
        octets: The message.
        plugin: The plugin that asked, which the answer names.

    Raises:
        WireError: The message is not what its counts say, octets are left over, a name or data are malformed, or the
            chain of CNAMEs has a loop or more than eight links.
    """
    _, _, _, answers, authorities, additionals = HEADER.unpack_from(octets)
    reader = Reader(octets, HEADER_SIZE + len(asked.question), asked.name)
    if (answers + authorities + additionals) * _SMALLEST_RECORD > len(octets):
        raise WireError("there are fewer records than the header says")
    try:
        answer, last, found_it = _follow(asked, reader.section(answers))
        kept: list[RRset] = []
        if found_it and not asked.do:
            reader.pass_over(authorities)
        else:
            authority = reader.section(authorities)
            kept += [] if found_it else _soa(asked, authority, last)
            kept += (
                _proofs(asked, authority, {asked.name, last, *(rrset.owner for rrset in answer)}) if asked.do else []
            )
        upper = reader.pass_over(additionals)
        if reader.position != len(octets):
            raise WireError("octets are left over behind the message")
    except (IndexError, struct.error):
        raise WireError("the message ends within a record") from None
    ad = asked.trusted and octets[3] & _AD != 0
    rcode = octets[3] & _RCODE | (upper or 0)
    return Answer(Response(rcode, tuple(answer), tuple(kept), ad=ad, plugin=plugin), edns=upper is not None)


def _follow(asked: Asked, found: Section) -> tuple[list[RRset], Name, bool]:
    """Follow the chain from the question.

    Returns:
        Its record sets, the name that it ends at, and whether what was asked for is there.
    """
    answer: list[RRset] = []
    name = asked.name
    if asked.rtype == Rtype.ANY:
        answer = [records.read() for (owner, _), records in found.items() if owner == name]
        return answer, name, bool(answer)
    for _ in range(MAX_LINKS + 1):
        if (name, asked.rtype) in found:
            return answer + _signed(asked, found, name, asked.rtype), name, True
        if (links := _link(asked, found, name)) is None:
            return answer, name, False
        answer += links
        name = Name(next(link.rdatas[0] for link in links if link.owner == name and link.rtype == Rtype.CNAME))
    raise WireError("the chain of CNAME records has a loop or is too long")


def _link(asked: Asked, found: Section, name: Name) -> list[RRset] | None:
    """Return the CNAME record that leads on from *name*, behind the DNAME record above *name* that it comes from.

    Where an upstream left the CNAME record that a DNAME record implies out, it is made here (RFC 6672 section 3.1).
    """
    for above in suffixes(parent(name)):
        if (above, Rtype.DNAME) in found:
            links = _signed(asked, found, above, Rtype.DNAME)
            target = Name(name[: len(name) - len(above)] + links[0].rdatas[0])
            if len(target) > MAX_NAME:
                raise WireError("a DNAME record makes a name of over 255 octets")
            return [*links, RRset(name, Rtype.CNAME, links[0].ttl, (target,))]
    return _signed(asked, found, name, Rtype.CNAME) if (name, Rtype.CNAME) in found else None


def _signed(asked: Asked, found: Section, owner: Name, rtype: int) -> list[RRset]:
    """Return a record set and, where DO was asked, its signatures."""
    rrset = found[owner, rtype].read()
    signatures = found.get((owner, Rtype.RRSIG)) if asked.do and rtype != Rtype.RRSIG else None
    covering = signatures.signatures(rtype) if signatures else None
    return [rrset, covering] if covering else [rrset]


def _soa(asked: Asked, found: Section, last: Name) -> list[RRset]:
    """Return the SOA record of the zone that says that there is nothing at *last* (RFC 2308 section 3)."""
    for owner, rtype in found:
        if rtype == Rtype.SOA and is_subdomain(last, owner):
            return _signed(asked, found, owner, rtype)
    return []


def _proofs(asked: Asked, found: Section, chain: set[Name]) -> list[RRset]:
    """Return the NSEC and NSEC3 record sets with their signatures, by zones that hold a name of the chain."""
    kept: list[RRset] = []
    for owner, rtype in found:
        if rtype in _PROOFS:
            proof, *signatures = _signed(asked, found, owner, rtype)
            signers = {_signer(rdata) for signed in signatures for rdata in signed.rdatas}
            if signers and all(_holds(signer, owner, chain) for signer in signers):
                kept += [proof, *signatures]
    return kept


def _holds(zone: Name, owner: Name, chain: set[Name]) -> bool:
    return is_subdomain(owner, zone) and any(is_subdomain(name, zone) for name in chain)


def _signer(rdata: bytes) -> Name:
    """Return the name of the zone that made a signature; it is never compressed (RFC 4034 section 3.1.7)."""
    position = _SIGNER
    while length := rdata[position]:
        if length > MAX_LABEL:
            raise WireError("a signature's name is malformed")
        position += length + 1
    return Name(rdata[_SIGNER : position + 1].lower())
