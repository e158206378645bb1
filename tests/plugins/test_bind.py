import pytest

from svcdns.errors import ConfigError
from tests.fakes import environment, set_up


def addresses(text: str) -> list[str]:
    found: list[str] = []
    set_up(text, "bind", environment(listen=lambda _, addresses: found.extend(addresses)))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bind 127.0.0.1", ["127.0.0.1"]),
        ("bind 127.0.0.1 ::1", ["127.0.0.1", "::1"]),
        ("bind 127.0.0.1\nbind 127.0.0.2", ["127.0.0.1", "127.0.0.2"]),
        ("bind 127.0.0.1 ::1 {\nexcept ::1\n}", ["127.0.0.1"]),
        ("bind 0:0:0:0:0:0:0:1", ["::1"]),
    ],
)
def test_the_addresses_are_asked_for(text: str, expected: list[str]) -> None:
    assert addresses(text) == expected


def test_an_interface_stands_for_its_addresses() -> None:
    assert "127.0.0.1" in addresses("bind lo")


def test_an_exception_may_be_an_interface() -> None:
    assert addresses("bind 192.0.2.1 127.0.0.1 {\nexcept lo\n}") == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bind", "ADDRESS"),
        ("bind nonsense0", "expected an IP address or the name of an interface"),
        ("bind 127.0.0.1 {\nexcept\n}", "ADDRESS"),
        ("bind 127.0.0.1 {\nexcept 127.0.0.1\n}", "no address is left"),
        ("bind 127.0.0.1 {\nexcpet ::1\n}", "did you mean 'except'"),
    ],
)
def test_what_cannot_be_bound_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        addresses(text)
