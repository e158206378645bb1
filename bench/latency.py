"""How long an answer takes at a steady rate, under kubeadm's Corefile: svcdns beside CoreDNS and Knot.

    python -m bench.latency [--services 2000] [--seconds 6] [--rounds 1] [--rates 1000 5000 10000 20000 40000]

dnsperf makes the rate; what is measured is a question of our own, asked again and again beside it.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles

from bench.cluster import Seeded, seeded, workspace
from bench.load import press, probing
from bench.peers import first_name, warm
from bench.report import Report, parser, say, show, table

SERVERS = ("CoreDNS", "svcdns", "Knot")

Times = dict[int, tuple[float, float]]
"""p50 and p99 in microseconds, by rate."""


def measure(name: str, cluster: Seeded, folder: Path, seconds: float, rates: Sequence[int]) -> Times:
    """Run one server at each rate."""
    found = {}
    with warm(name, cluster, folder) as server:
        for rate in rates:
            with probing(server.port, first_name(cluster)) as taken:
                press(server, cluster.load, seconds, "-Q", str(rate))
            found[rate] = median(taken) * 1e6, quantiles(taken, n=100)[98] * 1e6
    return found


async def run(arguments: Sequence[str] | None = None) -> Report:
    """Measure all servers in turns; the command line is taken if there are no arguments."""
    options = parser(__doc__, services=2000, seconds=6.0, rounds=1)
    options.add_argument("--rates", type=int, nargs="+", default=[1000, 5000, 10_000, 20_000, 40_000])
    chosen = options.parse_args(arguments)
    found: dict[str, list[Times]] = {name: [] for name in SERVERS}
    async with seeded(chosen.services) as cluster:
        for turn in range(chosen.rounds):
            for name, results in found.items():
                say(f"round {turn + 1} of {chosen.rounds}: {name}")
                space = workspace(cluster.folder, f"{name}-{turn}")
                results.append(await asyncio.to_thread(measure, name, cluster, space, chosen.seconds, chosen.rates))
    return describe(found, chosen.rates)


def describe(found: dict[str, list[Times]], rates: Sequence[int]) -> Report:
    """Write medians over rounds."""
    rows, figures = [], {}
    for rate in rates:
        row = [f"{rate:,}"]
        for name, results in found.items():
            p50, p99 = (median(each[rate][place] for each in results) for place in (0, 1))
            figures[f"{rate} p50: {name}"], figures[f"{rate} p99: {name}"] = p50, p99
            row.append(f"{p50:.0f}, {p99:.0f}")
        rows.append(row)
    return Report(table(["queries a second", *(f"{name} p50, p99, µs" for name in found)], rows), figures)


if __name__ == "__main__":
    show(asyncio.run(run()))
