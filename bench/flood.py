"""CPU a query under kubeadm's Corefile: svcdns beside CoreDNS, and beside Knot and dnsmasq with the names in a file.

    python -m bench.flood [--services 2000] [--seconds 10] [--rounds 3] [--works WORK...]

One API server, the same loads, the servers in turns. A work is one of those that it prints. dnsmasq has no SRV records,
and is not asked over TCP, where it ends each connection after a hundred queries.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median

from bench.cluster import Seeded, seeded, workspace
from bench.load import Load, press, press_at_random
from bench.peers import SERVERS, warm
from bench.report import Report, parser, say, show, spread, table
from bench.servers import Server

WORKS: dict[str, Callable[[Server, Path, float], Load]] = {
    "flood": press,
    "20,000/s": lambda server, load, seconds: press(server, load, seconds, "-Q", "20000"),
    "tcp": lambda server, load, seconds: press(server, load, seconds, "-m", "tcp"),
    "tcp-one": lambda server, load, seconds: press(server, load, seconds, "-m", "tcp", "-q", "8"),
    "plain": lambda server, load, seconds: press_at_random(server, load, seconds, "plain"),
    "case": lambda server, load, seconds: press_at_random(server, load, seconds, "case"),
    "cookie": lambda server, load, seconds: press_at_random(server, load, seconds, "cookie"),
}
"""UDP as fast as it goes, at a steady rate; TCP with many queries under way, and with one on each of 8 connections; and
from one client of our own: plain queries, and such whose letter case or EDNS cookie is random."""

LEFT_OUT = {("dnsmasq", "tcp"), ("dnsmasq", "tcp-one")}
"""What which server is not asked."""

Round = dict[str, dict[str, Load]]
"""What came of each work, by server."""


def measure(name: str, cluster: Seeded, folder: Path, seconds: float, works: Iterable[str]) -> dict[str, Load]:
    """Run one server under each load that it takes; it is warmed up first."""
    with warm(name, cluster, folder) as server:
        taken = [work for work in works if (name, work) not in LEFT_OUT]
        return {work: WORKS[work](server, cluster.load, seconds) for work in taken}


async def run(arguments: Sequence[str] | None = None) -> Report:
    """Measure all servers in turns; the command line is taken if there are no arguments."""
    options = parser(__doc__, services=2000, seconds=10.0, rounds=3)
    options.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS))
    chosen = options.parse_args(arguments)
    rounds: list[Round] = []
    async with seeded(chosen.services) as cluster:
        for turn in range(chosen.rounds):
            found = {}
            for name in SERVERS:
                say(f"round {turn + 1} of {chosen.rounds}: {name}")
                space = workspace(cluster.folder, f"{name}-{turn}")
                found[name] = await asyncio.to_thread(measure, name, cluster, space, chosen.seconds, chosen.works)
            rounds.append(found)
    return Report(lines(rounds, chosen.works), figures(rounds, chosen.works))


def lines(rounds: list[Round], works: Iterable[str]) -> list[str]:
    """Write medians over *rounds*, and the median of each round's ratio."""
    rows = []
    for work in works:
        for name in takers(work):
            loads = [each[name][work] for each in rounds]
            rate, lost = median(each.rate for each in loads), sum(each.lost for each in loads)
            shown = spread(each.cpu * 1e6 for each in loads)
            rows.append([work, name, f"{rate:,.0f}", str(lost), shown, f"{ratio(rounds, work, name, 'svcdns'):.2f}"])
    head = ("work", "server", "answers/s", "lost", "CPU a query, µs (min, median, max)", "/ svcdns")
    return table(head, rows)


def figures(rounds: list[Round], works: Sequence[str]) -> dict[str, float]:
    """Return what goals and pictures are about."""
    found = {}
    for work in works:
        for name in takers(work):
            found[f"{work}: {name}"] = median(each[name][work].cpu for each in rounds) * 1e6
        found[f"{work}: CoreDNS / svcdns"] = ratio(rounds, work, "CoreDNS", "svcdns")
        found[f"{work}: svcdns / Knot"] = ratio(rounds, work, "svcdns", "Knot")
        if "plain" in works:
            ours = [each["svcdns"] for each in rounds]
            found[f"{work} / plain: svcdns"] = median(each[work].cpu / each["plain"].cpu for each in ours)
    return found


def takers(work: str) -> list[str]:
    """Return the servers that take a load."""
    return [name for name in SERVERS if (name, work) not in LEFT_OUT]


def ratio(rounds: list[Round], work: str, name: str, other: str) -> float:
    """Return the median of what *name* takes for each second of CPU that *other* takes."""
    return median(each[name][work].cpu / each[other][work].cpu for each in rounds)


if __name__ == "__main__":
    show(asyncio.run(run()))
