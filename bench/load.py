"""Loads made by dnsperf."""

import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import dns.message

from bench.servers import Server
from tests import programs

_COMPLETED = re.compile(r"Queries completed:\s+(\d+)")
_LOST = re.compile(r"Queries lost:\s+(\d+)")
_FAILED = re.compile(r"\b(?:SERVFAIL|REFUSED|FORMERR|NOTIMP) (\d+)")
_PAUSE = 0.002
_PATIENCE = 2.0
_RATE = re.compile(r"Queries per second:\s+([\d.]+)")


class Load(NamedTuple):
    """What a load came to.

    Attributes:
        completed: Queries that were answered.
        lost: Queries that were not, or with an error; that a name does not exist is none.
        rate: Answers a second.
        cpu: CPU of the server in seconds for each answer, kernel included.
    """

    completed: int
    lost: int
    rate: float
    cpu: float


def write_questions(path: Path, questions: Iterable[tuple[str, str]]) -> Path:
    """Write names and types as dnsperf reads them."""
    path.write_text("".join(f"{name} {rtype}\n" for name, rtype in questions))
    return path


def press_at_random(server: Server, questions: Path, seconds: float, change: str) -> Load:
    """Ask *server* the *questions* for a time by `bench.randomized`.

    Args:
        server: The server.
        questions: A file of `write_questions`.
        seconds: How long.
        change: What is random: ``case`` or ``cookie``; or ``plain``, nothing.
    """
    command = [sys.executable, "-m", "bench.randomized", str(server.port), str(questions), str(seconds), change]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        if client.stdout is not None:
            client.stdout.readline()  # it is ready
        before = server.cpu()
        output, _ = client.communicate("\n", timeout=seconds + 60)
        used = server.cpu() - before
    completed, lost = map(int, output.split())
    return Load(completed, lost, completed / seconds, used / max(1, completed))


def press(server: Server, questions: Path, seconds: float, *flags: str) -> Load:
    """Ask *server* the *questions* again and again for a time.

    Args:
        server: The server.
        questions: A file of `write_questions`.
        seconds: How long.
        flags: Further flags for dnsperf, such as ``-Q RATE`` or ``-m tcp``.
    """
    command = [str(programs.path("dnsperf")), "-s", "127.0.0.1", "-p", str(server.port), "-d", str(questions)]
    command += ["-l", str(seconds), "-c", "8", "-q", "256", "-t", "1", *flags]
    before = server.cpu()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    used = server.cpu() - before
    found = [pattern.search(done.stdout) for pattern in (_COMPLETED, _LOST, _RATE)]
    completed, lost, rate = (float(match[1]) if match else 0.0 for match in found)
    failed = sum(map(int, _FAILED.findall(done.stdout)))
    return Load(int(completed) - failed, int(lost) + failed, rate, used / max(1.0, completed))


@contextmanager
def probing(port: int, name: str) -> Iterator[list[float]]:
    """Ask a question again and again beside the block; the seconds that each took are in the list afterwards.

    That is done by a process of its own: a thread would wait for whatever else Python has to do, for milliseconds.
    """
    seconds: list[float] = []
    command = [sys.executable, "-m", "bench.load", str(port), name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        try:
            yield seconds
        finally:
            output, _ = client.communicate()
            seconds += map(float, output.split())


def probe(port: int, name: str) -> Iterator[float]:
    """Ask a question again and again until standard input ends, and yield the seconds that each took."""
    query = dns.message.make_query(name, "A").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_PATIENCE)
        client.connect(("127.0.0.1", port))
        while not select.select([sys.stdin], [], [], _PAUSE)[0]:
            begun = time.perf_counter()
            client.send(query)
            with suppress(TimeoutError):  # then it took as long as that, at least
                client.recv(4096)
            yield time.perf_counter() - begun


if __name__ == "__main__":
    print(*probe(int(sys.argv[1]), sys.argv[2]))
