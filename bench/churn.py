"""A busy cluster: CPU a query and latency at 20,000 queries a second, while endpoints change and while others do.

    python -m bench.churn [--services 2000] [--seconds 10] [--rounds 3] [--changes 100]

Changes are those of a second. Each gives the slice of another Service another address; in a quiet cluster a ConfigMap,
which no DNS server follows, for to write has the API server take as much of the processors, and then the DNS server
wakes up more seldom and finds more queries at a time. Latency is that of a question of our own, asked again and again
beside the load.
"""

import argparse
import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from bench.cluster import Seeded, names, seeded, workspace
from bench.load import press, probing
from bench.peers import first_name, warm
from bench.report import Report, parser, say, show, spread, table
from bench.servers import PAIR
from tests.cluster.apiserver import ApiServer, Object, client_of, endpoint_slice

_RATE = "20000"


class Measured(NamedTuple):
    """What a load came to: CPU a query in microseconds, its own queries' p50 and p99 in milliseconds, changes made."""

    cpu: float
    p50: float
    p99: float
    changes: int


def config_map(space: str, name: str, address: str) -> Object:
    """Make what no DNS server follows."""
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"address": address}}


def endpoints(space: str, name: str, address: str) -> Object:
    """Make the slice of a Service."""
    return endpoint_slice(f"{name}-1", name, address, namespace=space)


CLUSTERS: dict[str, Callable[[str, str, str], Object]] = {"quiet": config_map, "busy": endpoints}
"""What changes in each: made for a Service of a namespace, and its address."""


async def change(server: ApiServer, options: argparse.Namespace, cluster: str, done: asyncio.Event) -> int:
    """Change what changes in a *cluster* at the rate wanted until *done*; return how many were changed."""
    spaces = list(names(options.services))
    begun, made = time.monotonic(), 0
    async with client_of(server) as client, asyncio.TaskGroup() as tasks:
        for number in count():
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), max(0.0, begun + number / options.changes - time.monotonic()))
            if done.is_set():
                return made
            space, name = spaces[number % len(spaces)]
            address = f"10.200.{number // 250 % 250}.{number % 250}"
            tasks.create_task(client.apply(CLUSTERS[cluster](space, name, address)))
            made = number + 1
    return made


@contextmanager
def changing(server: ApiServer, options: argparse.Namespace, cluster: str) -> Iterator[list[int]]:
    """Change what changes in a *cluster* beside the block; how many is in the list afterwards."""
    made: list[int] = []
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        done = asyncio.Event()
        loops.append((asyncio.get_running_loop(), done))
        made.append(await change(server, options, cluster, done))

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        yield made
    finally:
        loop, done = loops[0]
        loop.call_soon_threadsafe(done.set)
        thread.join()


def measure(name: str, cluster: Seeded, folder: Path, options: argparse.Namespace) -> tuple[Measured, Measured]:
    """Run one server under the load, first in a quiet cluster, then in a busy one."""
    found = []
    with warm(name, cluster, folder) as server:
        for kind in CLUSTERS:
            beside = changing(cluster.server, options, kind)
            with beside as made, probing(server.port, first_name(cluster)) as seconds:
                done = press(server, cluster.load, options.seconds, "-Q", _RATE)
            p99 = quantiles(seconds, n=100)[98]
            found.append(Measured(done.cpu * 1e6, median(seconds) * 1e3, p99 * 1e3, sum(made)))
    return found[0], found[1]


async def run(arguments: Sequence[str] | None = None) -> Report:
    """Measure both servers in turns; the command line is taken if there are no arguments."""
    options = parser(__doc__, services=2000, seconds=10.0, rounds=3, changes=100).parse_args(arguments)
    found: dict[str, list[tuple[Measured, Measured]]] = {name: [] for name in PAIR}
    async with seeded(options.services) as cluster:
        for turn in range(options.rounds):
            for name, results in found.items():
                say(f"round {turn + 1} of {options.rounds}: {name}")
                space = workspace(cluster.folder, f"{name}-{turn}")
                results.append(await asyncio.to_thread(measure, name, cluster, space, options))
    return describe(found, options.seconds)


def describe(found: dict[str, list[tuple[Measured, Measured]]], seconds: float) -> Report:
    """Write medians over rounds, and the median of each round's ratio."""
    rows, figures = [], {}
    for name, results in found.items():
        ratio = median(busy.cpu / quiet.cpu for quiet, busy in results)
        figures[f"busy / quiet: {name}"] = ratio
        for place, (label, shown) in enumerate(zip(CLUSTERS, ("", f"{ratio:.2f}"), strict=True)):
            cpu = spread(each[place].cpu for each in results)
            p50, p99, changes = (median(each[place][field] for each in results) for field in (1, 2, 3))
            figures[f"{label} p99: {name}"] = p99
            rows.append([name, label, f"{changes / seconds:.0f}", cpu, f"{p50:.2f}", f"{p99:.2f}", shown])
    head = (
        "server",
        "cluster",
        "changes/s",
        "CPU a query, µs (min, median, max)",
        "p50, ms",
        "p99, ms",
        "busy / quiet",
    )
    return Report(table(head, rows), figures)


if __name__ == "__main__":
    show(asyncio.run(run()))
