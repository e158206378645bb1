"""Queries put together octet by octet, so that any part of one can be wrong.

Nothing here comes from the package under test.
"""

import struct
from typing import NamedTuple

QR, AA, TC, RD, RA, Z, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0040, 0x0020, 0x0010
DO = 0x8000
ID = 0x2A2A


class Header(NamedTuple):
    """A message's header."""

    id: int
    flags: int
    questions: int
    answers: int
    authorities: int
    additionals: int

    @property
    def rcode(self) -> int:
        return self.flags & 0xF

    @property
    def opcode(self) -> int:
        return self.flags >> 11 & 0xF


def read_header(message: bytes) -> Header:
    """Return the header of *message*."""
    return Header(*struct.unpack_from("!HHHHHH", message))


def name(text: str) -> bytes:
    """Return a name without escapes, letter case kept."""
    text = text.rstrip(".")
    return b"".join(bytes((len(part),)) + part.encode() for part in text.split(".")) + b"\x00" if text else b"\x00"


def question(qname: str | bytes, rtype: int = 1, rclass: int = 1) -> bytes:
    """Return a question; a name as octets is taken as it is."""
    return (name(qname) if isinstance(qname, str) else qname) + struct.pack("!HH", rtype, rclass)


def record(
    owner: bytes, rtype: int, rdata: bytes, rclass: int = 1, *, ttl: int = 0, length: int | None = None
) -> bytes:
    """Return a record, of another than its data's length if one is given."""
    return owner + struct.pack("!HHIH", rtype, rclass, ttl, len(rdata) if length is None else length) + rdata


def option(code: int, data: bytes = b"", length: int | None = None) -> bytes:
    """Return an EDNS option, of another than its data's length if one is given."""
    return struct.pack("!HH", code, len(data) if length is None else length) + data


def opt(
    options: bytes = b"",
    *,
    payload: int = 1232,
    version: int = 0,
    flags: int = 0,
    owner: bytes = b"\x00",
    length: int | None = None,
    rcode: int = 0,
) -> bytes:
    """Return an OPT record."""
    return record(owner, 41, options, payload, ttl=rcode << 24 | version << 16 | flags, length=length)


def tsig(key: str = "key", mac: bytes = bytes(32), algorithm: str = "hmac-sha256", rclass: int = 255) -> bytes:
    """Return a TSIG record that nobody signed."""
    rdata = name(algorithm) + struct.pack("!6sHH", bytes(6), 300, len(mac)) + mac + struct.pack("!HHH", ID, 0, 0)
    return record(name(key), 250, rdata, rclass)


def query(
    body: bytes,
    *extra: bytes,
    flags: int = RD,
    questions: int = 1,
    answers: int = 0,
    authorities: int = 0,
    additionals: int | None = None,
    id: int = ID,  # noqa: A002 - it is called so
) -> bytes:
    """Return a header with *body* and *extra* records, which count as additional ones unless told otherwise."""
    counts = questions, answers, authorities, len(extra) if additionals is None else additionals
    return struct.pack("!HHHHHH", id, flags, *counts) + body + b"".join(extra)


def bare(rcode: int, flags: int = 0, id: int = ID) -> bytes:  # noqa: A002 - as above
    """Return a response that is a header alone."""
    return struct.pack("!HHHHHH", id, QR | flags | rcode, 0, 0, 0, 0)
