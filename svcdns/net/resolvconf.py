"""The name servers of a file such as ``/etc/resolv.conf``: read again when it changes, and never ourselves.

Source: resolv.conf(5).
"""

import logging
import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path

from svcdns.dns.name import is_address
from svcdns.errors import describe

PORT = 53

SYSTEMD_UPSTREAMS = Path("/run/systemd/resolve/resolv.conf")
"""Where systemd-resolved keeps the servers that it asks itself, where ``/etc/resolv.conf`` names its own address."""

_LOOK_AGAIN = 1.0

log = logging.getLogger(__name__)


def parse_nameservers(text: str) -> tuple[str, ...]:
    """Return the addresses that a file's ``nameserver`` lines name, each once."""
    found = []
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_] if is_address(address):
                found.append(address)
    return tuple(dict.fromkeys(found))


class ResolvConf:
    """A file that names name servers.

    Args:
        path: The file.
        clock: Monotonic time in seconds.
        listening: The addresses and ports that we answer at ourselves.
        behind: The file that is read where all that *path* names are loopback addresses of our own.

    Raises:
        OSError: The file cannot be read.
        UnicodeDecodeError: It is no text.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float],
        listening: Callable[[], Sequence[tuple[str, int]]],
        behind: Path = SYSTEMD_UPSTREAMS,
    ) -> None:
        self._path = path
        self._behind = behind
        self._clock = clock
        self._listening = listening
        self._nameservers: tuple[str, ...] = ()
        self._seen: object = None
        self._left_out: tuple[str, ...] = ()
        self._named = parse_nameservers(path.read_text())
        self._look_at = clock()

    @property
    def nameservers(self) -> tuple[str, ...]:
        """The addresses to ask, as of the last second."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + _LOOK_AGAIN
            self._look()
        return self._nameservers

    def _look(self) -> None:
        """Read the file if it changed; one that cannot be read leaves all as it was."""
        here = tuple(self._listening())
        seen = (_stamp(self._path), _stamp(self._behind), here)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._named = parse_nameservers(self._path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            log.warning("%s cannot be read, its name servers stay as they were: %s", self._path, describe(error))
        own = tuple(address for address in self._named if is_own(address, here))
        others = tuple(address for address in self._named if address not in own)
        if not others and own and all(ip_address(address).is_loopback for address in own):
            others = self._look_behind(here)
        self._tell(own, others)
        self._nameservers = others

    def _look_behind(self, here: Sequence[tuple[str, int]]) -> tuple[str, ...]:
        try:
            named = parse_nameservers(self._behind.read_text())
        except (OSError, UnicodeDecodeError):
            return ()
        return tuple(address for address in named if not is_own(address, here))

    def _tell(self, own: tuple[str, ...], others: tuple[str, ...]) -> None:
        """Log what changed."""
        if own and own != self._left_out:
            log.warning("%s names our own address %s, which is left out", self._path, ", ".join(own))
        self._left_out = own
        if others != self._nameservers:
            if others:
                log.info("upstreams are %s, by %s", ", ".join(others), self._path)
            else:
                log.error("%s names no name server to ask", self._path)


def is_own(address: str, listening: Sequence[tuple[str, int]]) -> bool:
    """Tell whether whoever asks *address* at port 53 asks us."""
    server = ip_address(address)
    for host, port in listening:
        listener = ip_address(host)
        same_family = listener.version == server.version
        if port == PORT and (listener == server or (listener.is_unspecified and same_family and _is_local(address))):
            return True
    return False


def _is_local(address: str) -> bool:
    """Tell whether an address belongs to this machine: only such can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file does; a link that points elsewhere counts as a change."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
