import dns.edns
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcdns.dns import edns
from svcdns.dns.message import Ede, ExtendedError, Rcode
from svcdns.errors import WireError
from tests import octets
from tests.octets import option

OPTIONS = st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=40)), max_size=20)


def read_back(opt: bytes) -> dns.message.Message:
    """Return what dnspython reads in a response with *opt*."""
    return dns.message.from_wire(octets.query(octets.question("x"), opt, flags=octets.QR))


@given(st.integers(0, 65535), st.integers(0, 255), st.booleans(), OPTIONS)
def test_an_opt_record_is_read(payload: int, rcode: int, do: bool, options: list[tuple[int, bytes]]) -> None:  # noqa: FBT001 - given by Hypothesis
    wire = octets.opt(
        b"".join(option(code, data) for code, data in options),
        payload=payload,
        rcode=rcode,
        flags=octets.DO if do else 0x7FFF,
    )
    opt, end = edns.parse(wire + b"behind", 1)
    assert opt == edns.Opt(payload, 0, rcode, do, tuple(code for code, _ in options))
    assert end == len(wire)


@pytest.mark.parametrize(
    "wire",
    [
        octets.opt()[:10],
        octets.opt(length=1),
        octets.opt(option(3, b"abc"), length=8),
        octets.opt(b"\x00"),
        octets.opt(b"\x00\x03"),
        octets.opt(b"\x00\x03\x00"),
        octets.opt(option(3) + b"\x00"),
        octets.opt(option(3, b"", length=1)),
        octets.opt(option(3, b"abc", length=65535)),
        octets.opt(option(3) * 33),
    ],
    ids=["fixed", "rdlen", "rdlen 8 of 7", "1", "2", "3", "1 behind", "option 1 of 0", "option 65535", "33 options"],
)
def test_an_opt_record_that_breaks_its_frame_is_refused(wire: bytes) -> None:
    with pytest.raises(WireError):
        edns.parse(wire, 1)


def test_an_empty_last_option_is_seen() -> None:
    assert edns.parse(octets.opt(option(10, b"12345678") + option(11)), 1)[0].options == (10, 11)


def test_32_options_are_read() -> None:
    assert edns.parse(octets.opt(option(65001) * 32), 1)[0].options == (65001,) * 32


def test_options_of_other_versions_are_not_looked_at() -> None:
    opt, end = edns.parse(octets.opt(b"\x00\x03\x00", version=1), 1)
    assert (opt.version, opt.options, end) == (1, (), 14)


@given(st.integers(0, 4095), st.booleans())
def test_dnspython_reads_the_opt_record_that_we_write(rcode: int, do: bool) -> None:  # noqa: FBT001 - given by Hypothesis
    message = read_back(edns.build(rcode, do=do))
    assert (message.edns, message.payload, message.ednsflags & 0xFFFF) == (0, 1232, octets.DO if do else 0)
    assert message.rcode() & 0xFF0 == rcode & 0xFF0


@given(st.sampled_from(Ede), st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=50))
def test_dnspython_reads_the_extended_error_that_we_write(code: Ede, text: str) -> None:
    message = read_back(edns.build(Rcode.SERVFAIL, edns.extended_error(ExtendedError(code, text))))
    (found,) = message.extended_errors()
    assert (int(found.code), found.text or "") == (code, text)


def test_the_text_of_an_extended_error_is_cut_between_characters() -> None:
    message = read_back(edns.build(Rcode.SERVFAIL, edns.extended_error(ExtendedError(Ede.OTHER, "x" + "é" * 200))))
    assert message.extended_errors()[0].text == "x" + "é" * 99


def test_a_text_that_is_no_unicode_is_sent_all_the_same() -> None:
    message = read_back(edns.build(Rcode.SERVFAIL, edns.extended_error(ExtendedError(Ede.OTHER, "a\udcffb"))))
    assert message.extended_errors()[0].text == "a?b"


def test_keepalive_counts_in_tenths_of_a_second() -> None:
    assert edns.keepalive(10) == octets.option(11, b"\x00\x64")
