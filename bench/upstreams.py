"""Upstreams for benchmarks, each in a process of its own: a fast one, and one that misbehaves on request."""

import asyncio
import multiprocessing
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from tests import programs
from tests.fake_upstream import FakeUpstream, fake_upstream
from tests.ports import free_port

_START_TIME = 10.0
_ZONE = """\
example. 3600 SOA ns.example. host.example. 1 3600 600 86400 300
example. 3600 NS ns.example.
*.example. 3600 A 192.0.2.1
"""
_KNOT = """\
server:
    rundir: {folder}
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {folder}
zone:
  - domain: example
    file: {folder}/example.zone
    zonefile-sync: -1
    journal-content: none
"""


@contextmanager
def knot(folder: Path) -> Iterator[int]:
    """Have Knot answer each name below ``example.`` with an address; yield its port on 127.0.0.1."""
    folder.mkdir()
    port = free_port()
    (folder / "example.zone").write_text(_ZONE)
    (folder / "knot.conf").write_text(_KNOT.format(folder=folder, port=port))
    with (folder / "knot.log").open("wb") as log:
        command = [str(programs.path("knotd")), "-c", str(folder / "knot.conf")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def misbehaving() -> Iterator[int]:
    """Have the tests' fake upstream serve, which does what a name's first label says; yield its port on 127.0.0.1."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.terminate()
        process.join(10)


def _serve(pipe: Connection) -> None:
    async def serve() -> None:
        async with fake_upstream(FakeUpstream()) as fake:
            pipe.send(fake.port)
            await asyncio.get_running_loop().create_future()

    asyncio.run(serve())


def _wait_for(port: int) -> None:
    query = dns.message.make_query("www.example.", "A")
    until = time.monotonic() + _START_TIME
    while time.monotonic() < until:
        try:
            if dns.query.udp(query, "127.0.0.1", port=port, timeout=0.2).answer:
                return
        except (dns.exception.Timeout, OSError):
            time.sleep(0.05)
    raise TimeoutError(f"Knot does not answer within {_START_TIME:g} s")
