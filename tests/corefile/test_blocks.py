"""The values of a Corefile, and how the set-up of a plugin reads them."""

from collections.abc import Callable
from ipaddress import ip_network
from typing import NamedTuple

import pytest

from svcdns.corefile import Corefile, Directive
from svcdns.corefile.values import parse_address, parse_choice, parse_duration, parse_integer
from svcdns.errors import ConfigError


class Health(NamedTuple):
    address: tuple[str, int]
    lameduck: float


def set_up_health(directive: Directive) -> Health:
    """The whole of `health [ADDRESS] { lameduck DURATION }`."""
    lameduck = 0.0
    match directive.words:
        case ():
            address = ("", 8080)
        case (word,):
            address = directive.value(parse_address, word)
        case _:
            raise directive.expected("[ADDRESS]")
    for option in directive.options:
        match option.name, option.words:
            case "lameduck", (duration,):
                lameduck = option.value(parse_duration, duration)
            case "lameduck", _:
                raise option.expected("DURATION")
            case _:
                raise option.unknown(["lameduck"])
    return Health(address, lameduck)


class Cache(NamedTuple):
    capacity: int
    ttl: int
    disabled: tuple[str, ...]


def set_up_cache(directive: Directive, zones: tuple[str, ...]) -> Cache:
    """A part of `cache [TTL] [ZONES]`."""
    cache = Cache(9984, 3600, ())
    for option in directive.options:
        match option.name, option.words:
            case "success", (capacity,):
                cache = cache._replace(capacity=option.value(parse_integer, capacity, 1, 10**9))
            case "success", (capacity, ttl):
                cache = cache._replace(
                    capacity=option.value(parse_integer, capacity, 1, 10**9),
                    ttl=option.value(parse_integer, ttl, minimum=0, maximum=86400),
                )
            case "success", _:
                raise option.expected("CAPACITY [TTL]")
            case "disable", ("success", *words):
                cache = cache._replace(disabled=option.zones(words) or zones)
            case "disable", (kind, *_):
                option.value(parse_choice, kind, ("success", "denial"))
            case _:
                raise option.unknown(["success", "denial", "disable"])
    return cache


def set_up_kubernetes(directive: Directive) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """A part of `kubernetes [ZONES]`: zones, fallthrough, pods."""
    fallthrough: tuple[str, ...] = ()
    pods = "disabled"
    for option in directive.options:
        match option.name, option.words:
            case "fallthrough", words:
                fallthrough = option.zones(words) or (".",)
            case "pods", (mode,):
                pods = option.value(parse_choice, mode, ("disabled", "insecure", "verified"))
            case "pods", _:
                raise option.expected("disabled|insecure|verified")
            case "multicluster", _:
                raise option.unsupported()
            case _:
                raise option.unknown(["fallthrough", "pods"])
    return directive.zones(directive.words), fallthrough, pods


def first_directive(corefile: Corefile) -> Directive:
    return corefile.blocks[0].directives[0]


def test_health_is_set_up(corefile: Callable[..., Corefile]) -> None:
    assert set_up_health(first_directive(corefile(". {\n health\n}"))) == Health(("", 8080), 0)
    text = ". {\n health 127.0.0.1:8081 {\n lameduck 1m30s\n }\n}"
    assert set_up_health(first_directive(corefile(text))) == Health(("127.0.0.1", 8081), 90)


def test_cache_is_set_up(corefile: Callable[..., Corefile]) -> None:
    text = "example.org {\n cache {\n success 100 30\n disable success Cluster.Local 10.0.0.0/8\n }\n}"
    read = corefile(text)
    cache = set_up_cache(first_directive(read), read.blocks[0].zones)
    assert cache == Cache(100, 30, ("cluster.local.", "10.in-addr.arpa."))
    read = corefile("example.org {\n cache {\n disable success\n }\n}")
    assert set_up_cache(first_directive(read), read.blocks[0].zones).disabled == ("example.org.",)


def test_kubernetes_is_set_up(corefile: Callable[..., Corefile]) -> None:
    text = ". {\n kubernetes cluster.local in-addr.arpa {\n pods insecure\n fallthrough in-addr.arpa\n }\n}"
    zones, fallthrough, pods = set_up_kubernetes(first_directive(corefile(text)))
    assert (zones, fallthrough, pods) == (("cluster.local.", "in-addr.arpa."), ("in-addr.arpa.",), "insecure")
    text = ". {\n kubernetes cluster.local {\n fallthrough\n }\n}"
    assert set_up_kubernetes(first_directive(corefile(text)))[1] == (".",)


@pytest.mark.parametrize(
    ("set_up", "line", "message"),
    [
        (set_up_health, "health a b {", "2: health: found 'a b', expected [ADDRESS]"),
        (set_up_health, "health 8080 {", "2: health: found '8080', expected HOST:PORT, [IPV6]:PORT or :PORT"),
        (set_up_health, "health {\nlameduck", "3: lameduck: found no arguments, expected DURATION"),
        (set_up_health, "health {\nlameduck 5", "3: lameduck: found '5', expected a duration with its unit, such as"),
        (set_up_health, "health {\nlameduk 5s", "3: unknown option 'lameduk', did you mean 'lameduck'?"),
        (set_up_health, "health {\nxyzzy", "3: unknown option 'xyzzy', expected 'lameduck'"),
        (set_up_kubernetes, "kubernetes a..b {", "2: kubernetes: found 'a..b', expected a zone whose labels have 1"),
        (
            set_up_kubernetes,
            "kubernetes {\npods on",
            "3: pods: found 'on', expected 'disabled', 'insecure' or 'verified'",
        ),
        (
            set_up_kubernetes,
            "kubernetes {\nmulticluster a",
            "3: 'multicluster' is an option of CoreDNS that svcdns does not have yet",
        ),
    ],
)
def test_a_bad_word_names_file_line_and_what_was_expected(
    corefile: Callable[..., Corefile], set_up: Callable[[Directive], object], line: str, message: str
) -> None:
    directive = first_directive(corefile(f". {{\n{line}\n}}\n}}"))
    with pytest.raises(ConfigError) as caught:
        set_up(directive)
    assert f"Corefile:{message}" in str(caught.value)


def test_a_directive_without_options_refuses_any(corefile: Callable[..., Corefile]) -> None:
    (option,) = first_directive(corefile(". {\n loop {\n x\n }\n}")).options
    assert str(option.unknown(())) == "Corefile:3: unknown option 'x', expected none"


def test_any_function_of_a_word_can_read_it(corefile: Callable[..., Corefile]) -> None:
    directive = first_directive(corefile(". {\n acl 10.0.0.1/8\n}"))
    assert directive.value(ip_network, "10.0.0.1/8", strict=False) == ip_network("10.0.0.0/8")
    with pytest.raises(ConfigError, match=r"^Corefile:2: acl: found '10.0.0.1/8', .* has host bits set$"):
        directive.value(ip_network, "10.0.0.1/8")


def test_zones_are_given_once(corefile: Callable[..., Corefile]) -> None:
    (block,) = corefile(".:53 .:1053 Example.org {\n log A.example a.EXAMPLE.\n}").blocks
    assert block.zones == (".", "example.org.")
    assert block.directives[0].zones(block.directives[0].words) == ("a.example.",)


def test_the_digest_is_of_what_is_said_and_not_of_how(corefile: Callable[..., Corefile]) -> None:
    text = ".:53 {\n errors\n health {\n lameduck 5s\n }\n}"
    same = '# new\n\n.:53\n{\n errors # here\n   "health" {\n\n lameduck "5s"\r\n }\n}\n'
    assert corefile(text).digest == corefile(same).digest


@pytest.mark.parametrize(
    "other",
    [
        "",
        ".:53 {\n errors\n health\n}",
        ".:53 {\n errors\n health {\n lameduck 6s\n }\n}",
        ".:53 {\n errors\n health lameduck 5s\n}",
        ".:53 {\n health {\n lameduck 5s\n }\n errors\n}",
        ".:54 {\n errors\n health {\n lameduck 5s\n }\n}",
        ".:53 {\n errors\n}\n.:53 {\n health {\n lameduck 5s\n }\n}",
    ],
)
def test_the_digest_changes_with_what_is_said(corefile: Callable[..., Corefile], other: str) -> None:
    assert corefile(other).digest != corefile(".:53 {\n errors\n health {\n lameduck 5s\n }\n}").digest


def test_the_digest_changes_with_the_environment(corefile: Callable[..., Corefile]) -> None:
    one, two = (corefile(". {\n forward . {$UP}\n}", environ={"UP": up}).digest for up in ("192.0.2.1", "192.0.2.2"))
    assert one != two
