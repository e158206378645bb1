"""A large cluster: start to ready, memory, and how soon a new Service resolves, svcdns beside CoreDNS.

    python -m bench.scale [--services 10000] [--endpoints 10] [--rounds 3] [--created 100] [--seconds 8]

"Ready" is the first right answer for the Service that the API lists last. "Created" is the time from the API server's
answer to the creation of a Service to the first answer that has its address, the server being asked without a pause.
Memory is measured when the server is ready, and again when all names have been asked for, 10,000 queries a second.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import dns.asyncquery
import dns.message

from bench.cluster import Seeded, names, seeded, workspace, write_corefile
from bench.load import press
from bench.report import Report, parser, say, show, spread, table
from bench.servers import COMMANDS, Server, command_of, serving
from tests.cluster.apiserver import Client, client_of, free_port, service

_RATE = "10000"


class Memory(NamedTuple):
    """MiB of a server: its peak so far, and what is resident now."""

    peak: float
    resident: float


class Start(NamedTuple):
    """What a start came to.

    Attributes:
        ready: Seconds until ready.
        before: Memory then.
        after: Memory after load.
        created: Seconds for each new Service.
    """

    ready: float
    before: Memory
    after: Memory
    created: list[float]


async def measure(name: str, cluster: Seeded, client: Client, folder: Path, options: argparse.Namespace) -> Start:
    """Start one server, then create Services and see how soon each resolves, then ask for all."""
    ports = {key: free_port() for key in ("port", "health", "ready", "metrics")}
    space, last = max(names(options.services))
    command = command_of(name, write_corefile(cluster.server, ports), folder)
    with serving(command, ports["port"], folder) as running:
        ready = await asyncio.to_thread(running.wait_for, f"{last}.{space}.svc.cluster.local")
        before = memory(running)
        created = [await create(client, running, f"new-{folder.name}-{n}") for n in range(options.created)]
        await asyncio.to_thread(press, running, cluster.load, options.seconds, "-Q", _RATE)
        return Start(ready, before, memory(running), created)


def memory(server: Server) -> Memory:
    """Measure a server's memory."""
    return Memory(server.memory("VmHWM"), server.memory("VmRSS"))


async def create(client: Client, server: Server, name: str) -> float:
    """Create a Service and return the seconds until it resolves."""
    obj = service(name.lower())
    address = (await client.create(obj))["spec"]["clusterIP"]
    begun = time.perf_counter()
    query = dns.message.make_query(f"{name.lower()}.default.svc.cluster.local", "A")
    while True:
        response = await dns.asyncquery.udp(query, "127.0.0.1", port=server.port, timeout=5)
        if any(rdata.to_text() == address for rrset in response.answer for rdata in rrset):
            break
    seconds = time.perf_counter() - begun
    await client.delete(obj)
    return seconds


async def run(arguments: Sequence[str] | None = None) -> Report:
    """Measure both servers in turns; the command line is taken if there are no arguments."""
    defaults = {"services": 10_000, "endpoints": 10, "rounds": 3, "created": 100, "seconds": 8.0}
    options = parser(__doc__, **defaults).parse_args(arguments)
    found: dict[str, list[Start]] = {name: [] for name in COMMANDS}
    async with seeded(options.services, options.endpoints) as cluster, client_of(cluster.server) as client:
        for turn in range(options.rounds):
            for name, starts in found.items():
                say(f"round {turn + 1} of {options.rounds}: {name}")
                space = workspace(cluster.folder, f"{name}-{turn}")
                starts.append(await measure(name, cluster, client, space, options))
    rows = [row(name, starts) for name, starts in found.items()]
    head = (
        "server",
        "ready, s (min, median, max)",
        "memory at ready, MiB (peak; resident)",
        "after load, MiB (peak; resident)",
        "created to resolvable, ms (p50, p99)",
    )
    return Report(table(head, rows), figures(found["svcdns"], found["CoreDNS"]))


def row(name: str, starts: list[Start]) -> list[str]:
    """Write what a server's starts came to."""
    p50, p99 = (place * 1000 for place in percentiles(starts))
    before = [median(each.before[place] for each in starts) for place in (0, 1)]
    after = [median(each.after[place] for each in starts) for place in (0, 1)]
    shown = [f"{peak:.0f}; {resident:.0f}" for peak, resident in (before, after)]
    return [name, spread((each.ready for each in starts), 2), *shown, f"{p50:.2f}, {p99:.2f}"]


def figures(ours: list[Start], theirs: list[Start]) -> dict[str, float]:
    """Return what goals are about: seconds of svcdns, and its ratio to CoreDNS in all."""
    pairs = list(zip(ours, theirs, strict=True))
    (p50, p99), (other50, other99) = percentiles(ours), percentiles(theirs)
    return {
        "ready: svcdns": median(each.ready for each in ours),
        "ready: svcdns / CoreDNS": median(our.ready / their.ready for our, their in pairs),
        "memory at ready: svcdns / CoreDNS": median(our.before.peak / their.before.peak for our, their in pairs),
        "memory after load: svcdns / CoreDNS": median(our.after.peak / their.after.peak for our, their in pairs),
        "created p50: svcdns / CoreDNS": p50 / other50,
        "created p99: svcdns / CoreDNS": p99 / other99,
    }


def percentiles(starts: list[Start]) -> tuple[float, float]:
    """Return p50 and p99 of the seconds until a new Service resolved."""
    seconds = [each for start in starts for each in start.created]
    return median(seconds), quantiles(seconds, n=100)[98]


if __name__ == "__main__":
    show(asyncio.run(run()))
