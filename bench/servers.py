"""DNS servers as processes to be measured: the peers and svcdns under the same Corefile."""

import compileall
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

import svcdns
from tests import programs

_TICKS = os.sysconf("SC_CLK_TCK")
_READY_TIME = 60.0
_PAUSE = 0.005

_ROOT = Path(__file__).parent.parent
_COMPILED = _ROOT / ".venv" / "compiled"
_OF_THE_SYSTEM = Path(f"/usr/bin/python3.{sys.version_info.minor}")

PYTHON = str(_OF_THE_SYSTEM) if _OF_THE_SYSTEM.exists() else sys.executable
"""What runs svcdns: the system's Python where it is of our version, which is built with optimisation, as that of the
image and the other servers are. One that somebody built himself is so only if he asked for it."""


def run_module(module: str, *folders: Path) -> list[str]:
    """Return the command that runs *module*, with packages from *folders* first, then from here."""
    path = os.pathsep.join(map(str, (*folders, _ROOT, sysconfig.get_path("purelib"))))
    return ["env", f"PYTHONPATH={path}", PYTHON, "-P", "-m", module]


def run_compiled(module: str) -> list[str]:
    """Return the command that runs *module* with svcdns compiled, as the image has it.

    Raises:
        ProgramError: It is not compiled yet, or not what the sources say now; the message has the line that does so.
    """
    stamp = _COMPILED.with_suffix(".stamp")
    changed = max(path.stat().st_mtime for path in (_ROOT / "svcdns").rglob("*.py"))
    if not stamp.exists() or stamp.stat().st_mtime < changed:
        raise programs.ProgramError("svcdns is not compiled as it is now: run `make compiled`")
    return run_module(module, _COMPILED)


COMMANDS = {
    "CoreDNS": lambda: [str(programs.path("coredns")), "-conf"],
    "svcdns": lambda: [*run_compiled("svcdns"), "-conf"],
    "svcdns, not compiled": lambda: [*run_module("svcdns"), "-conf"],
}
"""How to start each server that reads Corefiles; its Corefile's path follows."""

PAIR = ("CoreDNS", "svcdns")
"""The two that matter most, for what takes long to measure."""


def command_of(name: str, corefile: str, folder: Path) -> list[str]:
    """Write a Corefile to *folder* and return the command by which the server *name* of `COMMANDS` serves it.

    Bytecode is there, as in the image, where the environment keeps Python from writing it too.
    """
    compileall.compile_dir(Path(svcdns.__file__).parent, quiet=1)
    path = folder / "Corefile"
    path.write_text(corefile)
    return [*COMMANDS[name](), str(path)]


class Server:
    """A running server, which may be of several processes.

    Args:
        process: The first of them.
        port: The port that it answers at on 127.0.0.1.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.port = port
        self._process = process
        self._begun = time.monotonic()

    def processes(self) -> list[int]:
        """Return the ids of the server's process and of all that descend from it."""
        found = [self._process.pid]
        for pid in found:  # which grows meanwhile
            for path in Path(f"/proc/{pid}/task").glob("*/children"):
                with suppress(OSError):  # it has ended
                    found += map(int, path.read_text().split())
        return found

    def cpu(self) -> float:
        """Return the CPU seconds that all processes have used so far, kernel included, with those that have ended."""
        ticks = 0
        for text in self._read("stat"):
            ticks += sum(map(int, text.rpartition(")")[2].split()[11:15]))
        return ticks / _TICKS

    def memory(self, field: str = "VmRSS") -> float:
        """Return the MiB of all processes.

        Args:
            field: ``VmRSS`` is what is resident now, ``VmHWM`` the peak of that; ``Pss`` counts what processes share
                once, ``Pss_Anon`` the same without what is of files.

        Raises:
            LookupError: The server has ended.
        """
        found = [
            int(line.split()[1])
            for text in self._read("smaps_rollup" if field.startswith("Pss") else "status")
            for line in text.splitlines()
            if line.startswith(f"{field}:")
        ]
        if not found:
            raise LookupError(f"no {field}: the server has ended")
        return sum(found) / 1024

    def files(self) -> int:
        """Return how many files and sockets all processes have open."""
        return sum(len(list(Path(f"/proc/{pid}/fd").glob("*"))) for pid in self.processes())

    def _read(self, name: str) -> Iterator[str]:
        """Yield the text of a file below ``/proc`` for each process."""
        for pid in self.processes():
            with suppress(OSError):  # it has ended
                yield Path(f"/proc/{pid}/{name}").read_text()

    def wait_for(self, name: str, rtype: str = "A") -> float:
        """Wait until *name* has data and return the seconds since the start.

        Raises:
            RuntimeError: The server has ended.
            TimeoutError: It takes too long.
        """
        query = dns.message.make_query(name, rtype)
        while time.monotonic() - self._begun < _READY_TIME:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._process.args!r} ended with {self._process.returncode}")
            time.sleep(_PAUSE)  # the machine's few cores are for what is measured
            try:
                answer = dns.query.udp(query, "127.0.0.1", port=self.port, timeout=0.2)
            except (dns.exception.Timeout, OSError):
                continue
            if answer.answer:
                return time.monotonic() - self._begun
        raise TimeoutError(f"no answer for {name} within {_READY_TIME:g} s")


@contextmanager
def serving(command: Sequence[str], port: int, folder: Path) -> Iterator[Server]:
    """Run a server until the block ends; then it is killed, since kubeadm's Corefile has it serve on for five seconds.

    Args:
        command: What starts it; it is to listen at *port* on 127.0.0.1.
        port: See there.
        folder: Where to write its log.
    """
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        server = Server(process, port)
        try:
            yield server
        finally:
            if process.poll() is None:
                for pid in server.processes():  # the first of them first, or it would replace the others
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()
