from collections.abc import Callable

import pytest

from svcdns.corefile import Corefile
from svcdns.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "zone", "port"),
    [
        (".", ".", None),
        (".:53", ".", 53),
        (":1053", ".", 1053),
        (".:0", ".", 0),
        ("Example.ORG", "example.org.", None),
        ("example.org.:5353", "example.org.", 5353),
        ("dns://example.org", "example.org.", None),
        ("DNS://.:1053", ".", 1053),
        ("10.0.0.0/24:53", "0.0.10.in-addr.arpa.", 53),
        ("fd00::/16", "0.0.d.f.ip6.arpa.", None),
        ("fd00::/16:53", "0.0.d.f.ip6.arpa.", 53),
        ("hostname.bind:5353", "hostname.bind.", 5353),
    ],
)
def test_a_key_is_scheme_zone_and_port(
    corefile: Callable[..., Corefile], text: str, zone: str, port: int | None
) -> None:
    (block,) = corefile(f"{text} {{\n}}").blocks
    (key,) = block.keys
    assert (key.scheme, key.zone, key.port, key.path, key.line) == ("dns", zone, port, "Corefile", 1)


def test_an_odd_range_gives_several_keys(corefile: Callable[..., Corefile]) -> None:
    (block,) = corefile("192.0.2.0/31:53 example.org {\n}").blocks
    assert block.zones == ("0.2.0.192.in-addr.arpa.", "1.2.0.192.in-addr.arpa.", "example.org.")
    assert [key.port for key in block.keys] == [53, 53, None]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("example.org:", "found 'example.org:', expected a port after ':'"),
        ("example.org:dns", "found 'example.org:dns', expected ZONE:PORT with a port from 0 to 65535"),
        (".:65536", "found '.:65536', expected a port from 0 to 65535"),
        (".:" + "9" * 5000, "expected a port from 0 to 65535"),
        ("example.org{", "found 'example.org{', expected a space before '{'"),
        ("a.example,b.example", "found 'a.example,b.example', expected a space after each comma"),
        ("(a) (b)", "found '(a)', expected a snippet's name to stand alone before '{'"),
        ("a..b", "found 'a..b', expected a zone whose labels have 1 to 63 characters"),
        ("dns://", "found 'dns://', expected a zone"),
        ("10.0.0.0/40", "found '10.0.0.0/40', expected an address range ADDRESS/LENGTH with a length from 0 to 32"),
        ("2001:db8::1", "found '2001:db8::1', expected a zone"),
        ("tls://.", "'tls://' in 'tls://.' is a scheme of CoreDNS that svcdns does not have yet"),
        ("https://.:443", "'https://' in 'https://.:443' is a scheme of CoreDNS that svcdns does not have yet"),
        ("https3://.", "'https3://' in 'https3://.' is a scheme of CoreDNS that svcdns does not have yet"),
        ("grpc://.", "'grpc://' in 'grpc://.' is a scheme of CoreDNS that svcdns does not have yet"),
        ("quic://.", "'quic://' in 'quic://.' is a scheme of CoreDNS that svcdns does not have yet"),
        ("dsn://.", "unknown scheme 'dsn', did you mean 'dns'?"),
        ("http://.", "unknown scheme 'http', expected 'dns'"),
    ],
)
def test_a_bad_key_says_what_was_expected(corefile: Callable[..., Corefile], text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        corefile(f"\n{text} {{\n}}")
    assert str(caught.value).startswith("Corefile:2: ")
    assert reason in str(caught.value)


def test_ranges_give_so_many_keys_and_no_more(corefile: Callable[..., Corefile]) -> None:
    ranges = [f"10.{octet}.0.0/17" for octet in range(79)]
    assert len(corefile(" ".join(ranges[:78])).blocks[0].keys) == 9984
    with pytest.raises(ConfigError, match="found more than 10000 zones in one server block"):
        corefile(" ".join(ranges))


def test_an_unusual_zone_is_served_with_a_warning(corefile: Callable[..., Corefile], warnings: list[str]) -> None:
    assert corefile("*.example.org {\n}").blocks[0].zones == ("*.example.org.",)
    assert warnings == ["Corefile:1: zone '*.example.org.' is no host name in the preferred syntax of RFC 1035"]
