"""A server of several processes, started as a user starts it, and asked from many ports so that each process is met."""

import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from tests.ports import free_port

ADDRESS = "127.0.0.1"
PATIENCE = 20.0
"""How long a test waits for what must come, in seconds."""

CLIENTS = 64
"""How many clients ask at once: that none of them meets one of three processes happens once in 10**11 times."""

_PAUSE = 0.01


@dataclass
class Running:
    """A server.

    Attributes:
        process: The first process.
        port: Where it answers.
        side_port: Where it serves metrics and health.
        log: What it has printed.
    """

    process: subprocess.Popen[bytes]
    port: int
    side_port: int
    log: Path

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return children(self.process.pid)

    def ask_all(self, name: str, rtype: str = "A") -> list[str]:
        """Ask from many ports, and return what each was told: the record data, else the response code."""
        with self.asked(name, rtype) as clients:
            return [_read(client) for client in clients]

    @contextmanager
    def asked(self, name: str, rtype: str = "A") -> Iterator[list[socket.socket]]:
        """Ask from many ports, and leave the answers to be read."""
        clients = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(CLIENTS)]
        try:
            for client in clients:
                client.connect((ADDRESS, self.port))
                client.send(dns.message.make_query(name, rtype).to_wire())
            yield clients
        finally:
            for client in clients:
                client.close()

    def get(self, path: str) -> tuple[int, str]:
        """Return status and text of a page."""
        try:
            with urllib.request.urlopen(f"http://{ADDRESS}:{self.side_port}{path}", timeout=PATIENCE) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def sample(self, name: str) -> float:
        """Return the sum of a metric's series."""
        lines = [line.rsplit(" ", 1) for line in self.get("/metrics")[1].splitlines() if not line.startswith("#")]
        return sum(float(value) for series, value in lines if series.partition("{")[0] == name)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"it never held; the log:\n{self.log.read_text()}"
            assert self.process.poll() is None, f"it ended; the log:\n{self.log.read_text()}"
            time.sleep(_PAUSE)

    def until_serving(self, count: int) -> None:
        """Wait until so many processes read their sockets."""
        self.until(lambda: self.sample("svcdns_workers") == count)


@contextmanager
def serving(folder: Path, corefile: str, *arguments: str) -> Iterator[Running]:
    """Run a server of *corefile*, which says PORT and SIDE where its ports are to be, for as long as the block runs."""
    server = _start(folder, corefile, arguments)
    with server.process as process:
        try:
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE)


def _start(folder: Path, corefile: str, arguments: Sequence[str]) -> Running:
    """Start a server on free ports."""
    log, path = folder / "log", folder / "Corefile"
    port, side_port = free_port(), free_port()
    path.write_text(at_ports(corefile, port, side_port))
    command = [sys.executable, "-m", "svcdns", "-conf", str(path), *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    while process.poll() is None:
        if b"svcdns-" in log.read_bytes():
            return Running(process, port, side_port, log)
        time.sleep(_PAUSE)
    pytest.fail(f"it ended; the log:\n{log.read_text()}")


def at_ports(corefile: str, port: int, side_port: int) -> str:
    """Put ports into a Corefile."""
    return corefile.replace("PORT", str(port)).replace("SIDE", str(side_port))


def children(pid: int) -> list[int]:
    """Return the process ids of the children of a process."""
    return [child for child, parent in _list_processes().items() if parent == pid]


def is_alive(pid: int) -> bool:
    """Tell whether a process has not ended."""
    return pid in _list_processes()


def _list_processes() -> dict[int, int]:
    """Return the parents of all processes that have not ended, by process id."""
    command = ["ps", "-A", "-o", "pid=,ppid=,stat="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


def _read(client: socket.socket) -> str:
    readable, _, _ = select.select([client], [], [], PATIENCE)
    if not readable:
        pytest.fail("a question was not answered")
    message = dns.message.from_wire(client.recv(4096))
    found = [rdata.to_text() for rrset in message.answer for rdata in rrset]
    return " ".join(sorted(found)) or dns.rcode.to_text(message.rcode())
