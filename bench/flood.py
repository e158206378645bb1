"""CPU a query under kubeadm's Corefile: svcdns beside CoreDNS, and beside Knot with a static zone of the same names.

    python -m bench.flood [--services 2000] [--seconds 10] [--rounds 3] [--works WORK...]

One API server, the same loads, the servers in turns. A work is one of those that it prints.
"""

import argparse
import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench import knot
from bench.cluster import names, seeded, workspace, write_corefile
from bench.load import Load, press, press_at_random
from bench.servers import COMMANDS, Server, command_of, serving
from tests.cluster.apiserver import ApiServer, free_port

WORKS: dict[str, Callable[[Server, Path, float], Load]] = {
    "flood": press,
    "20,000/s": lambda server, load, seconds: press(server, load, seconds, "-Q", "20000"),
    "tcp": lambda server, load, seconds: press(server, load, seconds, "-m", "tcp"),
    "tcp-one": lambda server, load, seconds: press(server, load, seconds, "-m", "tcp", "-q", "8"),
    "case": lambda server, load, seconds: press_at_random(server, load, seconds, "case"),
    "cookie": lambda server, load, seconds: press_at_random(server, load, seconds, "cookie"),
}
"""UDP as fast as it goes, at a steady rate; TCP with many queries under way, and with one on each of 8 connections; and
with queries whose letter case or EDNS cookie is random."""

SERVERS = (*COMMANDS, "Knot")


class Setting(NamedTuple):
    """What is measured with what.

    Attributes:
        server: The API server.
        load: The questions.
        services: How many Services there are.
        seconds: How long each work takes.
        works: The works.
    """

    server: ApiServer
    load: Path
    services: int
    seconds: float
    works: Iterable[str]


def measure(name: str, setting: Setting, folder: Path) -> dict[str, Load]:
    """Run one server under each load; it is warmed up first."""
    ports = {key: free_port() for key in ("port", "health", "ready", "metrics")}
    if name == "Knot":
        command = knot.write_config(folder, ports["port"], setting.services)
    else:
        command = command_of(name, write_corefile(setting.server, ports), folder)
    space, first = next(names(setting.services))
    with serving(command, ports["port"], folder) as running:
        running.wait_for(f"{first}.{space}.svc.cluster.local")
        press(running, setting.load, 2)
        return {work: WORKS[work](running, setting.load, setting.seconds) for work in setting.works}


async def main() -> None:
    """Print a table of medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS))
    options = parser.parse_args()
    async with seeded(options.services) as (server, load, folder):
        setting = Setting(server, load, options.services, options.seconds, options.works)
        rounds: list[dict[str, dict[str, Load]]] = []
        for turn in range(options.rounds):
            print(f"round {turn + 1}")
            spaces = {name: workspace(folder, f"{name}-{turn}") for name in SERVERS}
            rounds.append({name: await asyncio.to_thread(measure, name, setting, spaces[name]) for name in SERVERS})
    show(rounds, options.works)


def show(rounds: list[dict[str, dict[str, Load]]], works: Iterable[str]) -> None:
    """Print medians over *rounds*, and the median of each round's ratio."""
    print("| work | server | answers/s | lost | CPU a query, µs (min, median, max) | / svcdns |")
    print("|---|---|---|---|---|---|")
    for work in works:
        for name in SERVERS:
            loads = [each[name][work] for each in rounds]
            costs = sorted(each.cpu * 1e6 for each in loads)
            ratio = median(each[name][work].cpu / each["svcdns"][work].cpu for each in rounds)
            rate, lost = median(each.rate for each in loads), sum(each.lost for each in loads)
            shown = f"{costs[0]:.1f}, {median(costs):.1f}, {costs[-1]:.1f}"
            print(f"| {work} | {name} | {rate:,.0f} | {lost} | {shown} | {ratio:.2f} |")


if __name__ == "__main__":
    asyncio.run(main())
