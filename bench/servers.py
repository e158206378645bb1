"""DNS servers as processes to be measured: the peers and svcdns under the same Corefile."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from tests import programs

_TICKS = os.sysconf("SC_CLK_TCK")
_READY_TIME = 60.0

COMMANDS = {
    "CoreDNS": lambda: [str(programs.path("coredns")), "-conf"],
    "svcdns": lambda: [sys.executable, "-m", "svcdns", "-conf"],
}
"""How to start each server that reads Corefiles; its Corefile's path follows."""


def command_of(name: str, corefile: str, folder: Path) -> list[str]:
    """Write a Corefile to *folder* and return the command by which the server *name* of `COMMANDS` serves it."""
    path = folder / "Corefile"
    path.write_text(corefile)
    return [*COMMANDS[name](), str(path)]


class Server:
    """A running server.

    Args:
        process: Its process.
        port: The port that it answers at on 127.0.0.1.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.port = port
        self._process = process
        self._begun = time.monotonic()

    def cpu(self) -> float:
        """Return the CPU seconds used so far, kernel included."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self, field: str = "VmRSS") -> float:
        """Return the resident memory in MiB now, or with ``VmHWM`` at its peak."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        raise LookupError(field)

    def wait_for(self, name: str, rtype: str = "A") -> float:
        """Wait until *name* has data and return the seconds since the start."""
        query = dns.message.make_query(name, rtype)
        while time.monotonic() - self._begun < _READY_TIME:
            try:
                answer = dns.query.udp(query, "127.0.0.1", port=self.port, timeout=0.2)
            except (dns.exception.Timeout, OSError):
                continue
            if answer.answer:
                return time.monotonic() - self._begun
            time.sleep(0.005)
        raise TimeoutError(f"no answer for {name} within {_READY_TIME:g} s")


@contextmanager
def serving(command: Sequence[str], port: int, folder: Path) -> Iterator[Server]:
    """Run a server until the block ends.

    Args:
        command: What starts it; it is to listen at *port* on 127.0.0.1.
        port: See there.
        folder: Where to write its log.
    """
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield Server(process, port)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
