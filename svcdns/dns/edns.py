"""EDNS: the OPT record that carries what a plain header has no room for.

Source: RFC 6891; RFC 3225 (DO), RFC 7828 (keepalive), RFC 8914 (extended errors), RFC 9715 (payload size).
"""

from struct import Struct
from typing import Final, NamedTuple

from svcdns.dns.message import ExtendedError
from svcdns.dns.records import Rtype
from svcdns.errors import WireError

PAYLOAD: Final = 1232
"""The largest UDP message that svcdns sends or asks for, in octets: it never meets a fragment (RFC 9715)."""

SMALLEST_PAYLOAD: Final = 512
DO: Final = 0x8000
OPTION_KEEPALIVE: Final = 11
OPTION_EDE: Final = 15

_MOST_OPTIONS: Final = 32  # clients send a handful; 16,000 empty ones in a TCP message would cost milliseconds
_MOST_TEXT: Final = 200  # with the longest question an error still fits 512 octets
_FIXED: Final = Struct("!HHBBHH")
_OPTION: Final = Struct("!HH")
_PAIR: Final = Struct("!HHH")


class Opt(NamedTuple):
    """What an OPT record says.

    Attributes:
        payload: The largest UDP payload its sender takes, as it says itself.
        version: The EDNS version; svcdns speaks 0.
        rcode: The upper eight bits of an extended rcode.
        do: DNSSEC answer OK.
        options: Option codes, in order; of the data svcdns needs none of a client's.
    """

    payload: int
    version: int
    rcode: int
    do: bool
    options: tuple[int, ...]


def parse(octets: bytes, position: int) -> tuple[Opt, int]:
    """Read the OPT record whose type field stands at *position*, behind the root as its owner.

    The options of other versions are not looked at, for they may have another form.

    Returns:
        The record and the position behind it.

    Raises:
        WireError: The record, or an option in it, ends beyond its frame, or there are more than 32 options.

    Source: RFC 6891 sections 6.1.2 and 6.1.3.
    """
    start = position + _FIXED.size
    if start > len(octets):
        raise WireError("the OPT record is cut short")
    _, payload, rcode, version, flags, length = _FIXED.unpack_from(octets, position)
    end = start + length
    if end > len(octets):
        raise WireError("the data of the OPT record end beyond the message")
    heads = option_heads(octets, start, end) if length and not version else b""
    if heads is None:
        raise WireError("the EDNS options do not fill the OPT record, or are too many")
    options = tuple(code for code, _ in _OPTION.iter_unpack(heads))
    return Opt(payload, version, rcode, flags & DO != 0, options), end


def option_heads(octets: bytes, position: int, end: int) -> bytes | None:
    """Return code and length of each option between two positions; None where they do not fill that, or are over 32."""
    heads = b""
    while position < end:
        if position + _OPTION.size > end or len(heads) == _MOST_OPTIONS * _OPTION.size:
            return None
        behind = position + _OPTION.size
        heads += octets[position:behind]
        position = behind + (octets[behind - 2] << 8 | octets[behind - 1])
    return heads if position == end else None


def build(rcode: int, options: bytes = b"", *, do: bool = False) -> bytes:
    """Put together an OPT record of version 0 with svcdns's own payload size.

    Args:
        rcode: The whole response code; its upper eight bits go in here.
        options: EDNS options as octets.
        do: The DO bit, copied from the query (RFC 3225 section 3).
    """
    return b"\x00" + _FIXED.pack(Rtype.OPT, PAYLOAD, rcode >> 4, 0, DO if do else 0, len(options)) + options


OPT = build(0)
OPT_DO = build(0, do=True)
"""What most OPT records are: without options, and with or without the DO bit."""


def extended_error(error: ExtendedError) -> bytes:
    """Build the option that says why an answer is an error or stale, text cut at 200 octets (RFC 8914 section 2)."""
    text = error.text.encode(errors="replace")[:_MOST_TEXT].decode(errors="ignore").encode()
    return _PAIR.pack(OPTION_EDE, 2 + len(text), error.code) + text


def keepalive(seconds: float) -> bytes:
    """Build the option that tells a TCP client how long it may stay idle (RFC 7828 section 3.1)."""
    return _PAIR.pack(OPTION_KEEPALIVE, 2, round(seconds * 10))
