from typing import Any

import pytest

from svcdns.corefile import values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("5s", 5),
        ("500ms", 0.5),
        ("1m30s", 90),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("1.s", 1),
        ("250us", 0.00025),
        ("250\u00b5s", 0.00025),
        ("250\u03bcs", 0.00025),
        ("3ns", 3e-9),
        ("1h1m1s1ms", 3661.001),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: float) -> None:
    assert values.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "-5s", "s", ".s", "5 s", "5S", "1d", "1s2", "\u0665s", "1e3s", "5ss", "00"])
def test_what_is_no_duration_says_what_one_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a duration with its unit, such as 500ms, 5s or 1m30s"):
        values.parse_duration(text)


def test_a_duration_keeps_its_range() -> None:
    assert values.parse_duration("2s", 2, 10) == 2
    assert values.parse_duration("10s", 2, 10) == 10
    with pytest.raises(ValueError, match="expected a duration of at most 10s"):
        values.parse_duration("11s", 2, 10)
    with pytest.raises(ValueError, match="expected a duration of at least 2s"):
        values.parse_duration("1s", 2)
    with pytest.raises(ValueError, match=r"expected a duration of at most 9\.22337e"):
        values.parse_duration("9999999999999999999h")


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("+7", 7), ("007", 7), ("3600", 3600)])
def test_a_number_in_its_range_is_read(text: str, number: int) -> None:
    assert values.parse_integer(text, 0, 3600) == number


@pytest.mark.parametrize("text", ["", "-1", "3601", "1_0", "1.0", "0x10", " 1", "\u0661", "9" * 5000])
def test_any_other_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number from 0 to 3600"):
        values.parse_integer(text, 0, 3600)


def test_a_choice_lists_what_may_be_chosen() -> None:
    policies = ("random", "round_robin", "sequential")
    assert values.parse_choice("random", policies) == "random"
    with pytest.raises(ValueError, match=r"^expected 'random', 'round_robin' or 'sequential'$"):
        values.parse_choice("rondom", policies)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":8080", ("", 8080)),
        ("localhost:9153", ("localhost", 9153)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:8181", ("::1", 8181)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert values.parse_address(text) == address


@pytest.mark.parametrize("text", ["", "8080", "::1:80", "localhost", "localhost:", ":65536", ":http", ":+1", ":\u0661"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected (HOST:PORT|a port)"):
        values.parse_address(text)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        (".", "."),
        ("Cluster.Local", "cluster.local."),
        ("cluster.local.", "cluster.local."),
        ("_tcp.example", "_tcp.example."),
        ("0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa."),
        ("x" * 63, "x" * 63 + "."),
        (".".join(["x" * 61] * 4), ".".join(["x" * 61] * 4) + "."),
    ],
)
def test_a_zone_is_lower_case_and_ends_in_a_dot(text: str, zone: str) -> None:
    assert values.parse_zone(text) == zone


@pytest.mark.parametrize(
    "text",
    ["", "..", "a..b", ".a", "x" * 64, ".".join(["x" * 62] * 4) + ".xx", "a b", "a:b", "b\u00fccher.example", "{"],
)
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a zone"):
        values.parse_zone(text)


@pytest.mark.parametrize(
    ("text", "zones"),
    [
        ("example.org", ["example.org."]),
        ("10.0.0.0/8", ["10.in-addr.arpa."]),
        ("10.1.2.3/24", ["2.1.10.in-addr.arpa."]),
        ("192.0.2.1/32", ["1.2.0.192.in-addr.arpa."]),
        ("0.0.0.0/0", ["in-addr.arpa."]),
        ("10.96.0.0/12", [f"{octet}.10.in-addr.arpa." for octet in range(96, 112)]),
        ("192.0.2.0/27", [f"{octet}.2.0.192.in-addr.arpa." for octet in range(32)]),
        ("fd00::/8", ["d.f.ip6.arpa."]),
        ("2001:db8::/32", ["8.b.d.0.1.0.0.2.ip6.arpa."]),
        ("2001:db8::/31", ["8.b.d.0.1.0.0.2.ip6.arpa.", "9.b.d.0.1.0.0.2.ip6.arpa."]),
        ("::/0", ["ip6.arpa."]),
    ],
)
def test_an_address_range_stands_for_its_reverse_zones(text: str, zones: list[str]) -> None:
    assert list(values.parse_zones(text)) == zones


def test_a_range_never_gives_more_than_one_octet_or_nibble_of_zones() -> None:
    assert len(values.parse_zones("10.0.0.0/17")) == 128
    assert len(values.parse_zones("fd00::/61")) == 8


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/255.0.0.0", "10.0.0.0/-1"])
def test_a_range_with_a_bad_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected an address range ADDRESS/LENGTH with a length from 0 to 32"):
        values.parse_zones(text)


@pytest.mark.parametrize("parse", [values.parse_duration, values.parse_address, values.parse_zones])
def test_a_huge_word_is_refused_at_once(parse: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse("9" * 1_000_000)
