"""A busy cluster: CPU a query and latency at 20,000 queries a second, while endpoints change and while they do not.

    python -m bench.churn [--services 2000] [--seconds 10] [--changes 100] [--rounds 3]

Each change gives the slice of another Service another address. Latency is that of a question of our own, asked again
and again beside the load.
"""

import argparse
import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from bench.cluster import names, seeded, workspace, write_corefile
from bench.load import press, probing
from bench.servers import COMMANDS, command_of, serving
from tests.cluster.apiserver import ApiServer, client_of, endpoint_slice, free_port

_RATE = "20000"


class Measured(NamedTuple):
    """What a load came to: CPU a query in microseconds, its own queries' p50 and p99 in milliseconds, changes made."""

    cpu: float
    p50: float
    p99: float
    changes: int


async def change(server: ApiServer, options: argparse.Namespace, done: asyncio.Event) -> int:
    """Change slices at the rate wanted until *done*; return how many were changed."""
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
            tasks.create_task(client.apply(endpoint_slice(f"{name}-1", name, address, namespace=space)))
            made = number + 1
    return made


@contextmanager
def changing(server: ApiServer, options: argparse.Namespace, *, wanted: bool) -> Iterator[list[int]]:
    """Change slices beside the block, if that is wanted; how many is in the list afterwards."""
    made: list[int] = []
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        done = asyncio.Event()
        loops.append((asyncio.get_running_loop(), done))
        made.append(await change(server, options, done))

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    if wanted:
        thread.start()
    try:
        yield made
    finally:
        if wanted:
            loop, done = loops[0]
            loop.call_soon_threadsafe(done.set)
            thread.join()


def measure(
    name: str, server: ApiServer, load: Path, folder: Path, options: argparse.Namespace
) -> tuple[Measured, Measured]:
    """Run one server under the load, first in a quiet cluster, then in a busy one."""
    ports = {key: free_port() for key in ("port", "health", "ready", "metrics")}
    command = command_of(name, write_corefile(server, ports), folder)
    space, first = next(names(options.services))
    question = f"{first}.{space}.svc.cluster.local"
    found = []
    with serving(command, ports["port"], folder) as running:
        running.wait_for(question)
        press(running, load, 2)
        for wanted in (False, True):
            with changing(server, options, wanted=wanted) as made, probing(ports["port"], question) as seconds:
                done = press(running, load, options.seconds, "-Q", _RATE)
            p99 = quantiles(seconds, n=100)[98]
            found.append(Measured(done.cpu * 1e6, median(seconds) * 1e3, p99 * 1e3, sum(made)))
    return found[0], found[1]


async def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--changes", type=int, default=100, help="changes a second")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[tuple[Measured, Measured]]] = {name: [] for name in COMMANDS}
    async with seeded(options.services) as (server, load, folder):
        for turn in range(options.rounds):
            for name, results in found.items():
                print(f"round {turn + 1}: {name}")
                space = workspace(folder, f"{name}-{turn}")
                results.append(await asyncio.to_thread(measure, name, server, load, space, options))
    print("| server | cluster | changes/s | CPU a query, µs | p50, ms | p99, ms | busy / quiet |")
    print("|---|---|---|---|---|---|---|")
    for name, results in found.items():
        ratio = median(busy.cpu / quiet.cpu for quiet, busy in results)
        for place, label, shown in ((0, "quiet", ""), (1, "busy", f"{ratio:.2f}")):
            cpu, p50, p99, changes = (median(each[place][field] for each in results) for field in range(4))
            rate = changes / options.seconds
            print(f"| {name} | {label} | {rate:.0f} | {cpu:.1f} | {p50:.2f} | {p99:.2f} | {shown} |")


if __name__ == "__main__":
    asyncio.run(main())
