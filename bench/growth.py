"""CPU a query in a flood, in a cluster of 2,000 Services and in one of 10,000, under kubeadm's Corefile.

    python -m bench.growth [--seconds 10] [--rounds 3] [--sizes 2000 10000]

Both clusters are there all the while, and servers and sizes take turns.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from statistics import median

from bench.cluster import seeded, workspace
from bench.flood import measure
from bench.load import Load
from bench.report import Report, parser, say, show, spread, table

SERVERS = ("CoreDNS", "svcdns", "Knot")

Round = dict[tuple[int, str], Load]
"""What came of each size and server."""


async def run(arguments: Sequence[str] | None = None) -> Report:
    """Measure all servers in turns; the command line is taken if there are no arguments."""
    options = parser(__doc__, seconds=10.0, rounds=3)
    options.add_argument("--sizes", type=int, nargs=2, default=[2000, 10_000])
    chosen = options.parse_args(arguments)
    rounds: list[Round] = []
    async with AsyncExitStack() as stack:
        clusters = {size: await stack.enter_async_context(seeded(size)) for size in chosen.sizes}
        for turn in range(chosen.rounds):
            found: Round = {}
            for name in SERVERS:
                for size, cluster in clusters.items():
                    say(f"round {turn + 1} of {chosen.rounds}: {name}, {size:,} Services")
                    space = workspace(cluster.folder, f"{name}-{turn}")
                    loads = await asyncio.to_thread(measure, name, cluster, space, chosen.seconds, ["flood"])
                    found[size, name] = loads["flood"]
            rounds.append(found)
    return describe(rounds, *chosen.sizes)


def describe(rounds: list[Round], small: int, large: int) -> Report:
    """Write medians over *rounds*, and the median of each round's ratio."""
    rows, figures = [], {}
    for name in SERVERS:
        growth = median(each[large, name].cpu / each[small, name].cpu for each in rounds)
        figures[f"large / small: {name}"] = growth
        costs = [spread(each[size, name].cpu * 1e6 for each in rounds) for size in (small, large)]
        lost = sum(load.lost for each in rounds for (_, server), load in each.items() if server == name)
        rows.append([name, *costs, str(lost), f"{growth:.2f}"])
    heads = [f"{size:,} Services, CPU a query, µs (min, median, max)" for size in (small, large)]
    return Report(table(["server", *heads, "lost", "large / small"], rows), figures)


if __name__ == "__main__":
    show(asyncio.run(run()))
