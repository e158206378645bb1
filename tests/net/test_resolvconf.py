"""The name servers that files name."""

import logging
from pathlib import Path

import pytest

from svcdns.net.resolvconf import ResolvConf, is_own, parse_nameservers

EVERYWHERE = [("0.0.0.0", 53), ("::", 53)]


class Clock:
    """Time that stands still until told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nameserver_lines_are_read_and_all_else_is_passed_over() -> None:
    text = """
# a comment
; another
domain example.org
search example.org
nameserver 192.0.2.1
nameserver	2001:db8::1  # behind
 nameserver 192.0.2.2
nameserver fe80::1%eth0
nameserver not.an.address
nameserver
nameserver 192.0.2.1
options ndots:5
"""
    assert parse_nameservers(text) == ("192.0.2.1", "2001:db8::1", "192.0.2.2", "fe80::1%eth0")


@pytest.mark.parametrize(
    ("address", "listening", "own"),
    [
        ("127.0.0.1", [("127.0.0.1", 53)], True),
        ("127.0.0.1", [("127.0.0.1", 1053)], False),
        ("127.0.0.53", [("127.0.0.1", 53)], False),
        ("127.0.0.53", EVERYWHERE, True),
        ("::1", [("::1", 53)], True),
        ("192.0.2.1", EVERYWHERE, False),
        ("127.0.0.53", [("::", 53)], False),
        ("127.0.0.1", [], False),
    ],
)
def test_our_own_addresses_are_known(address: str, listening: list[tuple[str, int]], *, own: bool) -> None:
    assert is_own(address, listening) is own


def test_a_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    path, clock = tmp_path / "resolv.conf", Clock()
    path.write_text("nameserver 192.0.2.1\n")
    read = ResolvConf(path, clock, list)
    assert read.nameservers == ("192.0.2.1",)
    path.write_text("nameserver 192.0.2.22\n")
    assert read.nameservers == ("192.0.2.1",)
    clock.now += 1
    assert read.nameservers == ("192.0.2.22",)


def test_a_file_that_vanishes_leaves_all_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, clock = tmp_path / "resolv.conf", Clock()
    path.write_text("nameserver 192.0.2.1\n")
    read = ResolvConf(path, clock, list)
    assert read.nameservers == ("192.0.2.1",)
    path.unlink()
    clock.now += 1
    assert read.nameservers == ("192.0.2.1",)
    told = f"{path} cannot be read, its name servers stay as they were: No such file or directory"
    assert told in caplog.messages


def test_a_file_that_is_not_there_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ResolvConf(tmp_path / "none", Clock(), list)


def test_we_are_left_out_with_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\nnameserver 192.0.2.1\n")
    assert ResolvConf(path, Clock(), lambda: EVERYWHERE).nameservers == ("192.0.2.1",)
    assert "names our own address 127.0.0.1, which is left out" in caplog.text


def test_what_we_listen_at_may_change(tmp_path: Path) -> None:
    path, clock = tmp_path / "resolv.conf", Clock()
    path.write_text("nameserver 127.0.0.1\nnameserver 192.0.2.1\n")
    listening: list[tuple[str, int]] = []
    read = ResolvConf(path, clock, lambda: listening)
    assert list(read.nameservers) == ["127.0.0.1", "192.0.2.1"]
    listening += EVERYWHERE
    clock.now += 1
    assert read.nameservers == ("192.0.2.1",)


def test_behind_a_loopback_address_of_our_own_stand_systemds_servers(tmp_path: Path) -> None:
    path, behind = tmp_path / "resolv.conf", tmp_path / "systemd.conf"
    path.write_text("nameserver 127.0.0.53\n")
    behind.write_text("nameserver 192.0.2.7\nnameserver 127.0.0.53\n")
    assert ResolvConf(path, Clock(), lambda: EVERYWHERE, behind).nameservers == ("192.0.2.7",)
    assert ResolvConf(path, Clock(), list, behind).nameservers == ("127.0.0.53",)


def test_without_anyone_to_ask_there_is_nobody_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path, clock = tmp_path / "resolv.conf", Clock()
    path.write_text("nameserver 192.0.2.1\n")
    read = ResolvConf(path, clock, lambda: EVERYWHERE, tmp_path / "none")
    assert list(read.nameservers) == ["192.0.2.1"]
    path.write_text("nameserver 127.0.0.53\n")
    clock.now += 1
    assert read.nameservers == ()
    assert "names no name server to ask" in caplog.text
