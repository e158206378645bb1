"""What the UDP and the TCP listener share: sockets and their addresses, and what a listener does with a message."""

import asyncio
import resource
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from svcdns.dns.message import Listener
from svcdns.errors import SvcdnsError, describe
from svcdns.metrics import Counter, Metrics


class Later(Protocol):
    """An answer that is not there yet."""

    def tell(self, call: Callable[[bytes | None], None]) -> None:
        """Have *call* called, once, with the answer, or with None where there is none after all."""


Answer = bytes | Later | None
"""What a message is answered with: octets at once, octets later, or silence."""

TellClient = Callable[[], tuple[str, int]]
"""Tells the address and port that sent a message, which few answers need."""


class Answerer(Protocol):
    """Answers the messages of one listener, in batches.

    Attributes:
        made: How many messages of the batch were not answered as one before was, which takes many times as long.
    """

    made: int

    def begin(self) -> None:
        """Get ready for a batch: until `end`, the loop gets no turn."""

    @property
    def recall(self) -> Callable[[bytes], bytes | None]:
        """Answers a message as one like it was answered before, where that still holds good."""

    def respond(self, octets: bytes, client: TellClient) -> Answer:
        """Answer a message when `recall` has not."""

    def end(self, count: int) -> None:
        """Take note that the batch, of so many messages, is answered."""

    async def settle(self) -> None:
        """Have all counted that was answered again."""


MakeAnswerer = Callable[[Listener], Answerer]
"""Makes what answers the messages of a listener."""

_IP_PKTINFO = 26 if sys.platform == "darwin" else 8  # socket.IP_PKTINFO, which Python has from 3.12 only
_TELLS_ADDRESS = {
    socket.AF_INET: (socket.IPPROTO_IP, _IP_PKTINFO),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
}
_BACKLOG = 4096
_MANY_FILES = 10_240  # macOS's OPEN_MAX, which bounds the soft limit where the hard one says "infinity"


class BindError(SvcdnsError):
    """An address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What listeners count.

    Attributes:
        silent: Messages that must not be answered.
        trailing: Queries with octets behind them, which are ignored.
        truncated: Answers that not even TCP has room for.
        unsent: Answers that the network refused.
        closed: TCP connections that were closed to keep a limit.
    """

    silent: Counter
    trailing: Counter
    truncated: Counter
    unsent: Counter
    closed: Counter

    @classmethod
    def of(cls, metrics: Metrics) -> "Counters":
        """Make the counters, or find them where another listener made them."""
        silent = metrics.counter("svcdns_unanswerable_total", "Messages without a header or with QR set.", ())
        trailing = metrics.counter("svcdns_trailing_octets_total", "Queries with octets behind them.", ())
        truncated = metrics.counter("svcdns_tcp_truncated_total", "Answers that not even TCP has room for.", ())
        unsent = metrics.counter("svcdns_unsent_total", "Answers that the network refused.", ())
        closed = metrics.counter("svcdns_tcp_closed_total", "TCP connections closed to keep a limit.", ())
        return cls(silent.labels(), trailing.labels(), truncated.labels(), unsent.labels(), closed.labels())


def complain(message: str, error: Exception) -> None:
    """Have the event loop report *error*.

    It is a function of its own since the report stands in its frame: in that which caught the error, which the error's
    traceback holds, both would be a cycle, and keep all that hangs on it.
    """
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})


def show_address(address: str, port: int) -> str:
    """Write an address and a port as logs and metrics do."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def is_any(address: str) -> bool:
    """Tell whether *address* stands for all addresses of its family."""
    return ip_address(address).is_unspecified


def describe_listener(bound: socket.socket, label: str, transport: str) -> Listener:
    """Describe the socket of a listener, as plugins are told of it."""
    address, port = bound.getsockname()[:2]
    return Listener(label, transport, 1 if bound.family == socket.AF_INET else 2, address, port)


def share(sockets: Iterable[socket.socket], *, shared: bool) -> None:
    """Say whether the ports of *sockets* may be had by others that say so, too, at addresses that overlap theirs."""
    for each in sockets:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)


@contextmanager
def sharing(sockets: Iterable[socket.socket]) -> Iterator[None]:
    """Share the ports of *sockets* meanwhile."""
    alone = [each for each in sockets if not each.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)]
    share(alone, shared=True)
    try:
        yield
    finally:
        share(alone, shared=False)


def bind(address: str, port: int, kind: socket.SocketKind, *, shared: bool = False) -> socket.socket:
    """Open a socket on an IP address; port 0 asks the kernel for one.

    TCP sockets take a port whose last connections still linger; a port in use is an error for both. A UDP socket for
    any address is told with each datagram which one was asked.

    Args:
        address: The address.
        port: The port.
        kind: Whether it is for UDP or TCP.
        shared: Whether the port may be in use by sockets of this user that are `sharing` it.

    Raises:
        BindError: The address cannot be had.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = None
    try:
        opened = socket.socket(family, kind)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind is socket.SOCK_STREAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif is_any(address):
            opened.setsockopt(*_TELLS_ADDRESS[family], 1)  # before it is bound, or some come that it is not told of
        share([opened], shared=shared)
        opened.bind((address, port))
        if kind is socket.SOCK_STREAM:
            opened.listen(_BACKLOG)
        share([opened], shared=False)
    except OSError as error:
        if opened is not None:
            opened.close()
        protocol = "TCP" if kind is socket.SOCK_STREAM else "UDP"
        raise BindError(f"cannot listen on {show_address(address, port)} over {protocol}: {describe(error)}") from error
    opened.setblocking(False)  # noqa: FBT003 - its only argument
    return opened


def has_ipv6() -> bool:
    """Tell whether this machine can listen on IPv6 at all."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard):
        files = _MANY_FILES if soft == resource.RLIM_INFINITY else max(soft, _MANY_FILES)
    else:
        files = hard
    if soft not in (files, resource.RLIM_INFINITY):
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return files
