"""A large cluster: start to ready, memory, and how soon a new Service resolves, svcdns beside CoreDNS.

    python -m bench.scale [--services 10000] [--endpoints 10] [--created 100] [--rounds 3]

"Ready" is the first right answer for the Service that the API lists last. "Created" is the time from the API server's
answer to the creation of a Service to the first answer that has its address, the server being asked without a pause.
"""

import argparse
import asyncio
import time
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import dns.asyncquery
import dns.message

from bench.cluster import names, seeded, workspace, write_corefile
from bench.servers import COMMANDS, Server, command_of, serving
from tests.cluster.apiserver import ApiServer, Client, client_of, free_port, service


class Start(NamedTuple):
    """What a start came to: seconds until ready, MiB at the peak until then, and seconds for each new Service."""

    ready: float
    peak: float
    created: list[float]


async def measure(name: str, server: ApiServer, client: Client, folder: Path, options: argparse.Namespace) -> Start:
    """Start one server, then create Services and see how soon each resolves."""
    ports = {key: free_port() for key in ("port", "health", "ready", "metrics")}
    space, last = max(names(options.services))
    command = command_of(name, write_corefile(server, ports), folder)
    with serving(command, ports["port"], folder) as running:
        ready = await asyncio.to_thread(running.wait_for, f"{last}.{space}.svc.cluster.local")
        peak = running.memory("VmHWM")
        created = [await create(client, running, f"new-{folder.name}-{n}") for n in range(options.created)]
    return Start(ready, peak, created)


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


async def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--created", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[Start]] = {name: [] for name in COMMANDS}
    async with seeded(options.services, options.endpoints) as (server, _, folder), client_of(server) as client:
        for turn in range(options.rounds):
            for name, starts in found.items():
                print(f"round {turn + 1}: {name}")
                space = workspace(folder, f"{name}-{turn}")
                starts.append(await measure(name, server, client, space, options))
    print("| server | ready, s | peak, MiB | created to resolvable, ms (p50, p99) |\n|---|---|---|---|")
    for name, starts in found.items():
        times = [each * 1000 for start in starts for each in start.created]
        p99 = quantiles(times, n=100)[98]
        ready, peak = median(each.ready for each in starts), median(each.peak for each in starts)
        print(f"| {name} | {ready:.2f} | {peak:.0f} | {median(times):.2f}, {p99:.2f} |")


if __name__ == "__main__":
    asyncio.run(main())
