"""How soon a new Service is in all answers, however many processes give them: svcdns with two workers beside CoreDNS.

    python -m bench.reach [--services 2000] [--rounds 2] [--created 300]

As in `bench.scale`, time counts from the API server's answer to the creation of a Service. Here it is asked for from
sixteen ports, one after the other, until each has been told its address, so that each process has been asked.
"""

import asyncio
import socket
import time
from collections.abc import Sequence
from statistics import median, quantiles

import dns.message

from bench.cluster import Seeded, seeded, workspace
from bench.peers import first_name, started
from bench.report import Report, parser, say, show, table
from bench.servers import Server
from bench.workers import flags, wait_for_all
from tests.cluster.apiserver import Client, client_of, service

_PORTS = 16
_PATIENCE = 10.0
_LARGEST_ANSWER = 65_535

SERVERS = {"CoreDNS": 1, "svcdns": 1, "svcdns, two workers": 2}
"""What is measured, with the number of processes."""


async def measure(name: str, cluster: Seeded, client: Client, folder: str, created: int) -> list[float]:
    """Run a server, create Services, and return the seconds until each was in all answers."""
    count = SERVERS[name]
    space = workspace(cluster.folder, folder)
    with started(name.partition(",")[0], cluster, space, *flags(count)) as server:
        await asyncio.to_thread(wait_for_all, server, count, first_name(cluster))
        return [await create(client, server, f"{folder}-{number}") for number in range(created)]


async def create(client: Client, server: Server, name: str) -> float:
    """Create a Service and return the seconds until all sockets were told of it."""
    query = dns.message.make_query(f"{name}.default.svc.cluster.local", "A").to_wire()
    obj = service(name)
    waiting = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(_PORTS)]
    for asking in waiting:
        asking.settimeout(_PATIENCE)
        asking.connect(("127.0.0.1", server.port))
    address = socket.inet_aton((await client.create(obj))["spec"]["clusterIP"])
    begun = time.perf_counter()
    for asking in waiting:
        answer = b""
        while not answer.endswith(address):
            asking.send(query)
            answer = asking.recv(_LARGEST_ANSWER)
        asking.close()
    seconds = time.perf_counter() - begun
    await client.delete(obj)
    return seconds


async def run(arguments: Sequence[str] | None = None) -> Report:
    """Measure all in turns; the command line is taken if there are no arguments."""
    options = parser(__doc__, services=2000, rounds=2, created=300).parse_args(arguments)
    found: dict[str, list[float]] = {name: [] for name in SERVERS}
    async with seeded(options.services) as cluster, client_of(cluster.server) as client:
        for turn in range(options.rounds):
            for number, name in enumerate(SERVERS):
                say(f"round {turn + 1} of {options.rounds}: {name}")
                found[name] += await measure(name, cluster, client, f"reach-{number}-{turn}", options.created)
    figures: dict[str, float] = {}
    rows = []
    for name, seconds in found.items():
        p50, p99 = median(seconds), quantiles(seconds, n=100)[98]
        rows.append([name, f"{p50 * 1000:.2f}, {p99 * 1000:.2f}"])
        figures |= {f"p50: {name}": p50, f"p99: {name}": p99}
    for place in ("p50", "p99"):
        figures[f"{place}: two workers / CoreDNS"] = (
            figures[f"{place}: svcdns, two workers"] / figures[f"{place}: CoreDNS"]
        )
    return Report(table(("server", "created until in all answers, ms (p50, p99)"), rows), figures)


if __name__ == "__main__":
    show(asyncio.run(run()))
