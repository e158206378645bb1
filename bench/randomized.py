"""Loads that dnsperf cannot make: every query in octets of its own, its letter case or its EDNS cookie random.

Plain queries are there to compare with: a client that is slower than dnsperf makes them cost more. All of a window are
made before the first of them is sent, so that a change that takes long does not have them come one by one.

As a program it asks a server at 127.0.0.1 and prints how many queries were answered and how many were not:

    python -m bench.randomized PORT QUESTIONS SECONDS plain|case|cookie
"""

import random
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import dns.message

_WINDOW = 64
_PATIENCE = 1.0
_COOKIE = struct.pack("!BHHIHHH", 0, 41, 1232, 0, 12, 10, 8)


def unchanged(message: bytes) -> bytes:
    """Return a query as it is."""
    return message


def with_letter_case(message: bytes) -> bytes:
    """Return a query with letters that are each upper or lower case by chance."""
    end = message.index(b"\x00", 12)
    spelled = bytes(c ^ 0x20 if 97 <= c <= 122 and random.random() < 0.5 else c for c in message[12:end])
    return message[:12] + spelled + message[end:]


def with_cookie(message: bytes) -> bytes:
    """Return a query with an OPT record that holds a client cookie nobody saw before (RFC 7873)."""
    return message[:11] + b"\x01" + message[12:] + _COOKIE + random.randbytes(8)


CHANGES = {"plain": unchanged, "case": with_letter_case, "cookie": with_cookie}


def make_queries(path: Path, change: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Yield queries of the questions that `load.write_questions` wrote, without end, each changed."""
    questions = [line.split() for line in path.read_text().splitlines()]
    plain = [dns.message.make_query(name, rtype).to_wire() for name, rtype in questions]
    return map(change, cycle(plain))


def ask(port: int, queries: Iterator[bytes], seconds: float) -> tuple[int, int]:
    """Ask with `_WINDOW` queries under way at most; return how many were answered and how many were not."""
    answered = lost = 0
    until = time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(_PATIENCE)
        while time.monotonic() < until:
            for message in [ident.to_bytes(2) + next(queries)[2:] for ident in range(_WINDOW)]:
                client.send(message)
            for left in range(_WINDOW, 0, -1):
                try:
                    client.recv(4096)
                except TimeoutError:
                    lost += left
                    break
                answered += 1
    return answered, lost


def main() -> None:
    """Get ready and say so, ask when a line is read, and print what came of it."""
    port, path, seconds, kind = sys.argv[1:]
    queries = make_queries(Path(path), CHANGES[kind])
    print("ready", flush=True)
    sys.stdin.readline()
    print(*ask(int(port), queries, float(seconds)))


if __name__ == "__main__":
    main()
