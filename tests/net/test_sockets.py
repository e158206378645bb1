import resource
import socket
from contextlib import ExitStack

import pytest

from svcdns.metrics import Metrics
from svcdns.net.sockets import BindError, Counters, bind, is_any, raise_file_limit, sharing

UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM
KINDS = pytest.mark.parametrize(("kind", "word"), [(UDP, "UDP"), (TCP, "TCP")], ids=["udp", "tcp"])


@KINDS
@pytest.mark.parametrize(("address", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("0.0.0.0", "0.0.0.0")])
def test_a_port_in_use_is_an_error_that_says_which(
    kind: socket.SocketKind, word: str, address: str, shown: str
) -> None:
    with bind(address, 0, kind) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BindError, match="in use") as error:
            bind(address, port, kind)
        assert error.value.reason == f"cannot listen on {shown}:{port} over {word}: Address already in use"


def test_an_address_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(BindError, match=r"cannot listen on 192\.0\.2\.1:0 over UDP: Cannot assign"):
        bind("192.0.2.1", 0, UDP)


@KINDS
def test_all_addresses_of_both_families_go_with_one_port(kind: socket.SocketKind, word: str) -> None:
    assert word
    with ExitStack() as stack:
        four = stack.enter_context(bind("0.0.0.0", 0, kind))
        six = stack.enter_context(bind("::", four.getsockname()[1], kind))
        assert four.getsockname()[1] == six.getsockname()[1]


def test_a_port_whose_connections_linger_can_be_had_again() -> None:
    with bind("127.0.0.1", 0, TCP) as first:
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = first.accept()
            accepted.close()  # this end closes first, so it is the one that lingers
    bind("127.0.0.1", port, TCP).close()


def test_sockets_never_block() -> None:
    for kind in (UDP, TCP):
        with bind("127.0.0.1", 0, kind) as opened:
            assert not opened.getblocking()


@pytest.mark.parametrize(
    ("address", "expected"), [("0.0.0.0", True), ("::", True), ("127.0.0.1", False), ("::1", False), ("0::0", True)]
)
def test_addresses_that_stand_for_all_are_known(address: str, expected: bool) -> None:  # noqa: FBT001 - a parameter
    assert is_any(address) is expected


def test_the_soft_limit_of_files_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 200), hard))
        assert raise_file_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert raise_file_limit() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_listeners_share_their_counters() -> None:
    metrics = Metrics()
    Counters.of(metrics).silent.value += 1
    assert Counters.of(metrics).silent.value == 1


@KINDS
def test_a_port_is_shared_only_while_both_sides_say_so(kind: socket.SocketKind, word: str) -> None:
    with bind("0.0.0.0", 0, kind) as first:
        port = first.getsockname()[1]
        with pytest.raises(BindError, match=word):
            bind("127.0.0.1", port, kind, shared=True)
        with sharing([first]):
            bind("127.0.0.1", port, kind, shared=True).close()
            with pytest.raises(BindError, match=word):
                bind("127.0.0.1", port, kind)
