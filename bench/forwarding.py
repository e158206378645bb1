"""What forwarding costs: CPU a query, and time where packets are lost, forged or late; svcdns beside CoreDNS, in turns.

    python -m bench.forwarding [--names 1000] [--seconds 10] [--rounds 3] [--questions 20]

CPU is measured before one Knot that answers at once: with answers in the cache, without a cache, and with a cache that
has none of the names. Time is measured before an upstream that does what a name says, each question after the other and
between questions that nothing happens to.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode

from bench.cluster import workspace
from bench.load import Load, press, write_questions
from bench.servers import COMMANDS, command_of, serving
from bench.upstreams import knot, misbehaving
from tests.cluster.apiserver import free_port

WARM_UP = 2.0
NEW_NAMES_A_SECOND = 60_000
LONGEST_WAIT = 8.0

COREFILE = """
.:{port} {{
    bind 127.0.0.1
    errors
    prometheus 127.0.0.1:{metrics}
    {cache}
    forward . 127.0.0.1:{upstream}
}}
"""

FAULTS = (
    ("none", "www"),
    ("the first packet is lost", "lost-1"),
    ("the first two packets are lost", "lost-2"),
    ("no packet is answered", "blackhole"),
    ("each answer takes 100 ms", "slow-100"),
    ("each answer takes 1 s", "slow-1000"),
    ("20 forged ids come first", "forged-ids"),
    ("a forged name comes first", "forged-name"),
    ("an answer from another port comes first", "forged-port"),
    ("garbage comes first", "forged-garbage"),
    ("answers are truncated", "truncated"),
    ("answers have 5,000 octets", "big-300"),
)
"""What is wrong, and the label that asks the upstream for it."""

SLOW = frozenset({"blackhole", "lost-2", "slow-1000"})
"""What is asked for three times only."""


class Work(NamedTuple):
    """What is asked.

    Attributes:
        title: As the table has it.
        cache: The line of the Corefile.
        fresh: Whether each question is for a name that was not asked for yet.
    """

    title: str
    cache: str
    fresh: bool


WORKS = (
    Work("answers in the cache", "cache 3600", fresh=False),
    Work("without a cache", "", fresh=False),
    Work("a cache, each name new", "cache 3600", fresh=True),
)


def write_corefile(upstream: int, cache: str) -> tuple[str, int]:
    """Return a Corefile and the port that it listens at."""
    port = free_port()
    return COREFILE.format(port=port, metrics=free_port(), upstream=upstream, cache=cache), port


def questions(numbers: Iterator[int], names: int) -> list[tuple[str, str]]:
    """Return questions for *names* names, whose numbers are taken from *numbers*."""
    return [(f"name-{next(numbers)}.example", "A") for _ in range(names)]


def measure_cpu(name: str, upstream: int, work: Work, folder: Path, options: argparse.Namespace) -> Load:
    """Run one server under one load; it is warmed up first."""
    numbers = count()
    corefile, port = write_corefile(upstream, work.cache)

    def load(seconds: float) -> Path:
        names = int(seconds * NEW_NAMES_A_SECOND) if work.fresh else options.names
        return write_questions(folder / "questions", questions(numbers if work.fresh else count(), names))

    with serving(command_of(name, corefile, folder), port, folder) as running:
        running.wait_for("www.example")
        press(running, load(WARM_UP), WARM_UP)
        return press(running, load(options.seconds), options.seconds)


def measure_times(name: str, upstream: int, folder: Path, options: argparse.Namespace) -> dict[str, tuple[float, str]]:
    """Ask one server for names with each fault; return the median time in seconds and the last outcome."""
    corefile, port = write_corefile(upstream, "")
    found = {}
    with serving(command_of(name, corefile, folder), port, folder) as running:
        running.wait_for("www.example")
        for title, label in FAULTS:
            results = []
            for number in range(3 if label in SLOW else options.questions):
                results.append(ask(f"{label}.{name.lower()}-{number}.example", port))
                ask(f"between.{name.lower()}-{label}-{number}.example", port)
            found[title] = (median(seconds for seconds, _ in results), results[-1][1])
    return found


def ask(name: str, port: int) -> tuple[float, str]:
    """Ask once; return the seconds until there is an answer, and what it is."""
    query = dns.message.make_query(name, "A", use_edns=True)
    begun = time.perf_counter()
    try:
        response = dns.query.udp(query, "127.0.0.1", port=port, timeout=LONGEST_WAIT, raise_on_truncation=False)
    except dns.exception.Timeout:
        return time.perf_counter() - begun, "nothing"
    outcome = dns.rcode.to_text(response.rcode())
    if response.flags & dns.flags.TC:
        outcome = "TC"
    return time.perf_counter() - begun, outcome


def show_cpu(found: dict[str, dict[str, list[Load]]]) -> None:
    """Print the first table."""
    peers = " | ".join(f"{name}, µs (min, median, max) | answers/s, lost" for name in COMMANDS)
    print(f"\n| work | {peers} | CoreDNS / svcdns |\n|---|{'---|---|' * len(COMMANDS)}---|")
    for title, servers in found.items():
        cells = [title]
        for loads in servers.values():
            costs = sorted(each.cpu * 1e6 for each in loads)
            cells.append(f"{costs[0]:.1f}, {median(costs):.1f}, {costs[-1]:.1f}")
            cells.append(f"{median(each.rate for each in loads):,.0f}, {sum(each.lost for each in loads)}")
        ratios = [core.cpu / ours.cpu for core, ours in zip(servers["CoreDNS"], servers["svcdns"], strict=True)]
        print(f"| {' | '.join(cells)} | {median(ratios):.2f} |")


def show_times(found: dict[str, dict[str, tuple[float, str]]]) -> None:
    """Print the second table."""
    print(
        f"\n| upstream's fault | {' | '.join(f'{name}, ms, outcome' for name in found)} |\n|---|{'---|' * len(found)}"
    )
    for title, _ in FAULTS:
        cells = [f"{times[title][0] * 1000:,.1f}, {times[title][1]}" for times in found.values()]
        print(f"| {title} | {' | '.join(cells)} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        costs: dict[str, dict[str, list[Load]]] = {work.title: {name: [] for name in COMMANDS} for work in WORKS}
        with knot(folder / "knot") as upstream:
            for turn in range(options.rounds):
                for number, work in enumerate(WORKS):
                    for name in COMMANDS:
                        print(f"round {turn + 1}: {name}, {work.title}")
                        space = workspace(folder, f"{name}-{turn}-{number}")
                        costs[work.title][name].append(measure_cpu(name, upstream, work, space, options))
        times = {}
        with misbehaving() as upstream:
            for name in COMMANDS:
                print(f"faults: {name}")
                times[name] = measure_times(name, upstream, workspace(folder, f"{name}-faults"), options)
        show_cpu(costs)
        show_times(times)


if __name__ == "__main__":
    main()
