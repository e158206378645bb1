"""What `forward` directives say, and what is refused with file and line."""

import ssl
from collections.abc import MutableMapping
from pathlib import Path

import pytest
import trustme

from svcdns.dns.name import ROOT, from_text
from svcdns.errors import ConfigError
from svcdns.net.pool import Keeping
from svcdns.plugins.forward.config import Address, File, Host, Probe, Settings, Tls, parse
from tests.fakes import directives
from tests.frontend import few_files
from tests.manuals import fenced


def settings(
    text: str, path: str = "Corefile", contexts: MutableMapping[Tls, ssl.SSLContext] | None = None
) -> Settings:
    (directive,) = directives(text, "forward", path)
    return parse(directive, {} if contexts is None else contexts)


def option(text: str) -> Settings:
    return settings(f"forward . 192.0.2.1 {{\n{text}\n}}")


@pytest.mark.parametrize(
    ("word", "destination"),
    [
        ("192.0.2.1", Address("192.0.2.1", 53)),
        ("192.0.2.1:1053", Address("192.0.2.1", 1053)),
        ("dns://192.0.2.1", Address("192.0.2.1", 53)),
        ("dns://192.0.2.1:1053", Address("192.0.2.1", 1053)),
        ("2001:db8::1", Address("2001:db8::1", 53)),
        ("[2001:db8::1]", Address("2001:db8::1", 53)),
        ("[2001:db8::1]:1053", Address("2001:db8::1", 1053)),
        ("dns://[2001:db8::1]:1053", Address("2001:db8::1", 1053)),
        ("fe80::1%eth0", Address("fe80::1%eth0", 53)),
        ("tls://9.9.9.9", Address("9.9.9.9", 853, tls=True)),
        ("tls://9.9.9.9:10853", Address("9.9.9.9", 10853, tls=True)),
        ("tls://9.9.9.9%dns.quad9.net", Address("9.9.9.9", 853, tls=True, server_name="dns.quad9.net")),
        ("tls://9.9.9.9%dns.quad9.net:10853", Address("9.9.9.9", 10853, tls=True, server_name="dns.quad9.net")),
        ("tls://2620:fe::fe%dns.quad9.net", Address("2620:fe::fe", 853, tls=True, server_name="dns.quad9.net")),
        ("tls://2620:fe::fe%dns.quad9.net:10853", Address("2620:fe::fe", 10853, tls=True, server_name="dns.quad9.net")),
        ("tls://[2620:fe::fe]:10853", Address("2620:fe::fe", 10853, tls=True)),
        ("ns.example", Host(from_text("ns.example."), "ns.example", 53, tls=False)),
        ("ns.example:1053", Host(from_text("ns.example."), "ns.example", 1053, tls=False)),
        ("tls://ns.example", Host(from_text("ns.example."), "ns.example", 853, tls=True)),
    ],
)
def test_an_upstream_is_written_in_many_ways(word: str, destination: Address | Host) -> None:
    assert settings(f"forward . {word}").destinations == (destination,)


def test_a_file_counts_from_the_corefile(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    read = settings("forward . resolv.conf 192.0.2.2", str(tmp_path / "Corefile"))
    assert read.destinations == (File(tmp_path / "resolv.conf"), Address("192.0.2.2", 53))


def test_defaults_are_coredns() -> None:
    read = settings("forward . 192.0.2.1")
    assert (read.keeping, read.probe) == (Keeping(10.0, 0.0, 0), Probe(0.5, recurse=True, domain=ROOT))
    assert (read.max_fails, read.policy, read.max_concurrent, read.attempts) == (2, "random", 0, 0)
    assert (read.zones, read.context, read.read_timeout) == ((ROOT,), None, None)


def test_every_option_is_read() -> None:
    read = option("""
        except a.example b.example
        except 10.0.0.0/8
        force_tcp
        prefer_udp
        expire 20s
        max_age 1m
        max_idle_conns 3
        max_fails 5
        health_check 1s no_rec domain probe.example
        policy round_robin
        max_concurrent 1000
        max_connect_attempts 4
        failfast_all_unhealthy_upstreams
        failover nxdomain REFUSED
        next NXDOMAIN
        next_on_nodata
        read_timeout 3s
        source_address 192.0.2.9
        resolver 192.0.2.53 [2001:db8::53]:5353
        tls
        tls_servername dns.example
    """)
    assert read.excepted == (from_text("a.example"), from_text("b.example"), from_text("10.in-addr.arpa"))
    assert (read.force_tcp, read.prefer_udp, read.next_on_nodata, read.failfast_all_unhealthy_upstreams) == (True,) * 4
    assert read.keeping == Keeping(20.0, 60.0, 3)
    assert read.probe == Probe(1.0, recurse=False, domain=from_text("probe.example"))
    assert (read.max_fails, read.policy, read.max_concurrent, read.attempts) == (5, "round_robin", 1000, 4)
    assert (read.failover, read.next, read.read_timeout) == (frozenset({3, 5}), frozenset({3}), 3.0)
    assert (read.source, read.server_name) == ("192.0.2.9", "dns.example")
    assert read.resolvers == (Address("192.0.2.53", 53), Address("2001:db8::53", 5353))


def test_certificates_are_read_from_files_beside_the_corefile(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = authority.issue_cert("client.example")
    client.private_key_pem.write_to_path(tmp_path / "key.pem")
    client.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    for words in ("", "ca.pem", "cert.pem key.pem", "cert.pem key.pem ca.pem"):
        text = f"forward . tls://192.0.2.1 {{\n tls {words}\n}}"
        assert settings(text, str(tmp_path / "Corefile")).context is not None


def test_a_reload_uses_the_same_certificates_until_their_files_change(tmp_path: Path) -> None:
    contexts: dict[Tls, ssl.SSLContext] = {}

    def read() -> ssl.SSLContext | None:
        text = "forward . tls://192.0.2.1 {\n tls ca.pem\n}"
        return settings(text, str(tmp_path / "Corefile"), contexts).context

    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    first = read()
    assert read() is first
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    assert read() is not first


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no matter what")
    with few_files(0), pytest.raises(ConfigError) as caught:
        settings("forward . tls://192.0.2.1 {\n tls ca.pem\n}", str(tmp_path / "Corefile"))
    reason = f"found TLS files that cannot be used: {tmp_path}/ca.pem: Too many open files"
    assert str(caught.value) == f"{tmp_path}/Corefile:2: forward: {reason}"


def test_certificates_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="TLS files that cannot be used"):
        settings("forward . tls://192.0.2.1 {\n tls broken.pem\n}", str(tmp_path / "Corefile"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("forward", "Corefile:2: forward: found no arguments, expected FROM TO..."),
        ("forward .", "Corefile:2: forward: found '.', expected FROM TO..."),
        ("forward . " + "192.0.2.1 " * 16, "found 16 upstreams, expected at most 15"),
        (
            "forward . https://9.9.9.9",
            "'https://' in 'https://9.9.9.9' is a scheme of CoreDNS that svcdns does not have",
        ),
        (
            "forward . grpc://9.9.9.9",
            "'grpc://' in 'grpc://9.9.9.9' is a scheme of CoreDNS that svcdns does not have yet",
        ),
        ("forward . quic://9.9.9.9", "is a scheme of CoreDNS that svcdns does not have yet"),
        ("forward . http://9.9.9.9", "expected an address, 'dns://', 'tls://', a host name or a file"),
        ("forward . /no/such/file", "found '/no/such/file', expected an address, a host name or a file that is there"),
        ('forward . ""', "forward: found '', expected an address, a host name or a file that is there"),
        ("forward . dns://", "forward: found '', expected an IP address"),
        ("forward . :53", "forward: found ':53', expected an IP address"),
        ("forward . 192.0.2.1:70000", "found '70000', expected a port from 0 to 65535"),
        ("forward . 192.0.2.1:0", "found '0', expected a port from 1 to 65535"),
        (
            "forward . 192.0.2.1 {\nsource_address 2001:db8::1\n}",
            "found 192.0.2.1 and source_address 2001:db8::1, expected one family",
        ),
        ("forward . 192.0.2.256", "found '192.0.2.256', expected an IP address"),
        ("forward . [2001:db8::1", "expected [ADDRESS]:PORT"),
        ("forward . under..dots", "expected a zone whose labels have 1 to 63 characters"),
        ("forward . tls://ns.example%other.example", "expected an IP address"),
        (
            "forward . tls://9.9.9.9%dns.quad9.net {\n tls_servername dns.quad9.net\n}",
            "found tls_servername and a name behind '%' in an upstream, expected one of them",
        ),
    ],
)
def test_what_cannot_be_forwarded_to_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(text)
    assert reason in str(caught.value)
    assert str(caught.value).startswith("Corefile:2: ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("doh_method GET", "'doh_method' is an option of CoreDNS that svcdns does not have yet"),
        ("max_fail 2", "unknown option 'max_fail', did you mean 'max_fails'?"),
        ("force_tcp yes", "force_tcp: found 'yes', expected no arguments"),
        ("except", "except: found no arguments, expected ZONES..."),
        ("expire", "expire: found no arguments, expected one argument"),
        ("expire 10", "expire: found '10', expected a duration with its unit"),
        ("max_idle_conns -1", "max_idle_conns: found '-1', expected a number from 0"),
        ("max_fails many", "max_fails: found 'many', expected a number from 0"),
        ("health_check", "health_check: found no arguments, expected DURATION [no_rec] [domain NAME]"),
        ("health_check 1s fast", "health_check: found '1s fast', expected DURATION [no_rec] [domain NAME]"),
        ("policy fastest", "policy: found 'fastest', expected 'random', 'round_robin' or 'sequential'"),
        ("failover OOPS", "failover: found 'OOPS', expected"),
        ("failover NOERROR", "failover: found 'NOERROR', expected"),
        ("next", "next: found no arguments, expected RCODES..."),
        ("read_timeout 0s", "read_timeout: found '0s', expected a duration of at least"),
        ("source_address here", "source_address: found 'here', expected an IP address"),
        ("resolver ns.example", "resolver: found 'ns.example', expected an IP address"),
        ("tls a b c d", "tls: found 'a b c d', expected [CERT KEY] [CA]"),
        ("tls none.pem", "tls: found 'none.pem', expected a file that is there"),
        ("tls_servername", "tls_servername: found no arguments, expected one argument"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        option(text)
    assert str(caught.value).startswith("Corefile:3: ")
    assert reason in str(caught.value)


def test_the_manual_has_every_option() -> None:
    (syntax,) = fenced("forward", "Syntax")
    written = {line.split()[0] for line in syntax.splitlines()[1:-1]}
    with pytest.raises(ConfigError) as caught:
        option("zzzzzzzzzz")
    assert all(f"'{name}'" in str(caught.value) for name in written)
    assert str(caught.value).count("'") == 2 * (len(written) + 1)
