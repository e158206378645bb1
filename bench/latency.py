"""How long an answer takes at a steady rate, under kubeadm's Corefile: svcdns beside CoreDNS and Knot.

    python -m bench.latency [--services 2000] [--seconds 6] [--rates 1000 5000 10000 20000 40000] [--rounds 1]

dnsperf makes the rate; what is measured is a question of our own, asked again and again beside it.
"""

import argparse
import asyncio
from pathlib import Path
from statistics import median, quantiles

from bench import knot
from bench.cluster import names, seeded, workspace, write_corefile
from bench.load import press, probing
from bench.servers import COMMANDS, command_of, serving
from tests.cluster.apiserver import ApiServer, free_port

SERVERS = (*COMMANDS, "Knot")


def measure(
    name: str, server: ApiServer, load: Path, folder: Path, options: argparse.Namespace
) -> dict[int, tuple[float, float]]:
    """Run one server at each rate; return p50 and p99 in microseconds."""
    ports = {key: free_port() for key in ("port", "health", "ready", "metrics")}
    if name == "Knot":
        command = knot.write_config(folder, ports["port"], options.services)
    else:
        command = command_of(name, write_corefile(server, ports), folder)
    space, first = next(names(options.services))
    question = f"{first}.{space}.svc.cluster.local"
    found = {}
    with serving(command, ports["port"], folder) as running:
        running.wait_for(question)
        press(running, load, 2)
        for rate in options.rates:
            with probing(ports["port"], question) as seconds:
                press(running, load, options.seconds, "-Q", str(rate))
            found[rate] = median(seconds) * 1e6, quantiles(seconds, n=100)[98] * 1e6
    return found


async def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rates", type=int, nargs="+", default=[1000, 5000, 10_000, 20_000, 40_000])
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    found: dict[str, list[dict[int, tuple[float, float]]]] = {name: [] for name in SERVERS}
    async with seeded(options.services) as (server, load, folder):
        for turn in range(options.rounds):
            for name, results in found.items():
                print(f"round {turn + 1}: {name}")
                space = workspace(folder, f"{name}-{turn}")
                results.append(await asyncio.to_thread(measure, name, server, load, space, options))
    print(f"| queries a second | {' | '.join(f'{name} p50, p99, µs' for name in SERVERS)} |")
    print(f"|---|{'---|' * len(SERVERS)}")
    for rate in options.rates:
        cells = [
            ", ".join(f"{median(each[rate][place] for each in results):.0f}" for place in (0, 1))
            for results in found.values()
        ]
        print(f"| {rate:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    asyncio.run(main())
