"""One worker beside two: CPU a query and memory, all processes together, under kubeadm's Corefile; svcdns alone.

    python -m bench.workers [--seconds 10] [--rounds 3] [--sizes 2000 10000] [--counts 1 2] [--each 40000]

The same flood for each number of workers; on two cores it cannot load two of them, so rates say nothing, and each finds
fewer queries at a time than one would. So there is a steady rate, too, that is the same for each worker. Memory is PSS,
which counts what processes share once: when all are ready, and after the flood.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.cluster import Seeded, seeded, workspace
from bench.load import Load, press
from bench.peers import first_name, started
from bench.report import Report, parser, say, show, spread, table
from bench.servers import Server

_IN_A_ROW = 50
_PATIENCE = 60.0


class Run(NamedTuple):
    """What a run came to: MiB when all workers are ready, the flood, MiB after it, and the steady load."""

    before: float
    load: Load
    after: float
    steady: Load


def flags(workers: int) -> list[str]:
    """Return the flags for so many workers; one is what there is without any."""
    return [] if workers == 1 else ["-workers", str(workers)]


def wait_for_all(server: Server, workers: int, name: str) -> None:
    """Wait until there are so many processes, and many questions in a row, each from another port, have data."""
    until = time.monotonic() + _PATIENCE
    while len(server.processes()) < workers:
        if time.monotonic() > until:
            raise TimeoutError(f"fewer than {workers} processes within {_PATIENCE:g} s")
        time.sleep(0.05)
    for _ in range(_IN_A_ROW):
        server.wait_for(name)


def measure(workers: int, cluster: Seeded, folder: Path, options: argparse.Namespace) -> Run:
    """Run svcdns with so many workers; it is warmed up first."""
    with started("svcdns", cluster, folder, *flags(workers)) as server:
        wait_for_all(server, workers, first_name(cluster))
        before = server.memory("Pss")
        press(server, cluster.load, 2)
        load = press(server, cluster.load, options.seconds)
        after = server.memory("Pss")
        steady = press(server, cluster.load, options.seconds, "-Q", str(workers * options.each))
        return Run(before, load, after, steady)


async def run(arguments: Sequence[str] | None = None) -> Report:
    """Measure all in turns; the command line is taken if there are no arguments."""
    options = parser(__doc__, seconds=10.0, rounds=3, each=40_000)
    options.add_argument("--sizes", type=int, nargs="+", default=[2000, 10_000])
    options.add_argument(
        "--counts", type=int, nargs="+", default=[1, 2], help="of workers; they are compared to the first"
    )
    chosen = options.parse_args(arguments)
    rows: list[list[str]] = []
    figures: dict[str, float] = {}
    for size in chosen.sizes:
        found: dict[int, list[Run]] = {count: [] for count in chosen.counts}
        async with seeded(size) as cluster:
            for turn in range(chosen.rounds):
                for count, runs in found.items():
                    say(f"round {turn + 1} of {chosen.rounds}: {size:,} Services, workers: {count}")
                    space = workspace(cluster.folder, f"{count}-{turn}")
                    runs.append(await asyncio.to_thread(measure, count, cluster, space, chosen))
        describe(size, found, rows, figures)
    steady = f"at {chosen.each:,}/s a worker"
    head = ("Services", "workers", "CPU a query, µs (min, median, max)", "ratio", steady, "ratio", "lost")
    return Report(table((*head, "PSS at ready, MiB", "ratio", "after load, MiB", "ratio"), rows), figures)


def describe(size: int, found: dict[int, list[Run]], rows: list[list[str]], figures: dict[str, float]) -> None:
    """Add medians over rounds, and the medians of each round's ratios to the first number of workers."""
    first = next(iter(found.values()))
    for count, runs in found.items():
        pairs = list(zip(runs, first, strict=True))
        cpu = median(each.load.cpu / other.load.cpu for each, other in pairs)
        steady = median(each.steady.cpu / other.steady.cpu for each, other in pairs)
        before = median(each.before / other.before for each, other in pairs)
        after = median(each.after / other.after for each, other in pairs)
        figures[f"CPU, {size} Services: {count}"] = cpu
        figures[f"steady CPU, {size} Services: {count}"] = steady
        figures[f"memory at ready, {size} Services: {count}"] = before
        figures[f"memory after load, {size} Services: {count}"] = after
        costs = spread(each.load.cpu * 1e6 for each in runs)
        calm = spread(each.steady.cpu * 1e6 for each in runs)
        memory = [(median(each.before for each in runs), before), (median(each.after for each in runs), after)]
        shown = [text for mib, ratio in memory for text in (f"{mib:.0f}", f"{ratio:.2f}")]
        lost = str(sum(each.load.lost + each.steady.lost for each in runs))
        rows.append([f"{size:,}", str(count), costs, f"{cpu:.2f}", calm, f"{steady:.2f}", lost, *shown])


if __name__ == "__main__":
    show(asyncio.run(run()))
