"""CPU a query under kubeadm's Corefile: svcdns beside CoreDNS, one API server, one load, in turns.

python -m bench.flood [--services 2000] [--seconds 10] [--rounds 3]
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from statistics import median

from bench.cluster import names, questions, seed, workspace, write_corefile
from bench.load import Load, press, write_questions
from bench.servers import COMMANDS, serving
from tests.cluster.apiserver import ApiServer, api_server, client_of, free_port


def measure(name: str, server: ApiServer, load: Path, folder: Path, options: argparse.Namespace) -> Load:
    """Run one server under the load; it is warmed up first."""
    ports = {key: free_port() for key in ("port", "health", "ready", "metrics")}
    space, first = next(names(options.services))
    with serving(name, write_corefile(server, ports), ports["port"], folder) as running:
        running.wait_for(f"{first}.{space}.svc.cluster.local")
        press(running, load, 2)
        return press(running, load, options.seconds)


async def main() -> None:
    """Print a table of medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with api_server(workspace(folder, "api")) as server:
            print(f"creating {options.services} Services")
            async with client_of(server) as client:
                await seed(client, options.services)
            load = write_questions(folder / "questions", questions(options.services))
            found: dict[str, list[Load]] = {name: [] for name in COMMANDS}
            for turn in range(options.rounds):
                for name, loads in found.items():
                    print(f"round {turn + 1}: {name}")
                    space = workspace(folder, f"{name}-{turn}")
                    loads.append(await asyncio.to_thread(measure, name, server, load, space, options))
    print("| server | answers/s | lost | CPU a query, µs (min, median, max) |\n|---|---|---|---|")
    for name, loads in found.items():
        costs = sorted(each.cpu * 1e6 for each in loads)
        rate = median(each.rate for each in loads)
        lost = sum(each.lost for each in loads)
        print(f"| {name} | {rate:,.0f} | {lost} | {costs[0]:.1f}, {median(costs):.1f}, {costs[-1]:.1f} |")
    ratios = [core.cpu / ours.cpu for core, ours in zip(found["CoreDNS"], found["svcdns"], strict=True)]
    print(f"CoreDNS / svcdns: {median(ratios):.2f}")


if __name__ == "__main__":
    asyncio.run(main())
