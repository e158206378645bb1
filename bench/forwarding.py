"""What forwarding costs: CPU a query, and time where packets are lost, forged or late; beside other servers, in turns.

    python -m bench.forwarding [--seconds 10] [--rounds 3] [--names 1000] [--questions 20]

svcdns and CoreDNS have kubeadm's Corefile, dnsmasq and unbound one thread each and, as CoreDNS has it, room for 10,000
answers and 1,000 queries under way. CPU is measured before one Knot that answers at once: with answers in the cache,
without a cache, and with a cache that has none of the names. Time is measured for svcdns and CoreDNS, before an
upstream that does what a name says, each question after the other and between questions that nothing happens to.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode

from bench import dnsmasq, unbound
from bench.cluster import seeded, workspace, write_corefile
from bench.load import Load, press, write_questions
from bench.report import Report, parser, say, show, spread, table
from bench.servers import COMMANDS, PAIR, command_of, serving
from bench.upstreams import knot, misbehaving
from tests.cluster.apiserver import ApiServer
from tests.ports import free_port

WARM_UP = 2.0
NEW_NAMES_A_SECOND = 60_000
LONGEST_WAIT = 8.0
SERVICES = 100

FORWARDERS = {"dnsmasq": dnsmasq.forward, "unbound": unbound.forward}
"""What writes the configuration of each server that reads no Corefile, and returns its command."""

SERVERS = (*COMMANDS, *FORWARDERS)

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
        cached: Whether the server has a cache.
        fresh: Whether each question is for a name that was not asked for yet.
    """

    title: str
    cached: bool
    fresh: bool


WORKS = (
    Work("answers in the cache", cached=True, fresh=False),
    Work("without a cache", cached=False, fresh=False),
    Work("a cache, each name new", cached=True, fresh=True),
)

Round = dict[str, dict[str, Load]]
"""What came of each work, by title, and server."""


def command(name: str, cluster: ApiServer, upstream: int, folder: Path, *, cached: bool) -> tuple[list[str], int]:
    """Return the command that starts a server which asks *upstream*, and the port that it listens at."""
    ports = {key: free_port() for key in ("port", "health", "ready", "metrics")}
    if name in FORWARDERS:
        return FORWARDERS[name](folder, ports["port"], upstream, cached=cached), ports["port"]
    corefile = write_corefile(cluster, ports, upstream=f"127.0.0.1:{upstream}", cached=cached)
    return command_of(name, corefile, folder), ports["port"]


def questions(numbers: Iterator[int], names: int) -> list[tuple[str, str]]:
    """Return questions for *names* names, whose numbers are taken from *numbers*."""
    return [(f"name-{next(numbers)}.example", "A") for _ in range(names)]


def measure_cpu(start: tuple[list[str], int], work: Work, folder: Path, options: argparse.Namespace) -> Load:
    """Run one server under one load; it is warmed up first, and asked for no new name twice."""
    numbers = count()

    def load(seconds: float) -> Path:
        names = int(seconds * NEW_NAMES_A_SECOND) if work.fresh else options.names
        return write_questions(folder / "questions", questions(numbers if work.fresh else count(), names))

    once = ("-n", "1") if work.fresh else ()
    with serving(*start, folder) as running:
        running.wait_for("www.example")
        press(running, load(WARM_UP), WARM_UP, *once)
        return press(running, load(options.seconds), options.seconds, *once)


def measure_times(
    name: str, start: tuple[list[str], int], folder: Path, options: argparse.Namespace
) -> dict[str, tuple[float, str]]:
    """Ask one server for names with each fault; return the median time in seconds and the last outcome."""
    found = {}
    with serving(*start, folder) as running:
        running.wait_for("www.example")
        for title, label in FAULTS:
            results = []
            for number in range(3 if label in SLOW else options.questions):
                results.append(ask(f"{label}.{name.lower()}-{number}.example", running.port))
                ask(f"between.{name.lower()}-{label}-{number}.example", running.port)
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


async def run(arguments: Sequence[str] | None = None) -> Report:
    """Measure all servers in turns; the command line is taken if there are no arguments."""
    options = parser(__doc__, seconds=10.0, rounds=3, names=1000, questions=20).parse_args(arguments)
    async with seeded(SERVICES) as cluster:
        return await asyncio.to_thread(measure, cluster.server, cluster.folder, options)


def measure(cluster: ApiServer, folder: Path, options: argparse.Namespace) -> Report:
    """Measure CPU, then times."""
    rounds: list[Round] = []
    with knot(folder / "knot") as upstream:
        for turn in range(options.rounds):
            found: Round = {work.title: {} for work in WORKS}
            for work in WORKS:
                for name in SERVERS:
                    say(f"round {turn + 1} of {options.rounds}: {name}, {work.title}")
                    space = workspace(folder, f"{name}-{turn}-{WORKS.index(work)}")
                    start = command(name, cluster, upstream, space, cached=work.cached)
                    found[work.title][name] = measure_cpu(start, work, space, options)
            rounds.append(found)
    times = {}
    with misbehaving() as upstream:
        for name in PAIR:
            say(f"faults: {name}")
            space = workspace(folder, f"{name}-faults")
            start = command(name, cluster, upstream, space, cached=False)
            times[name] = measure_times(name, start, space, options)
    return Report([*describe_cpu(rounds), *describe_times(times)], figures(rounds))


def describe_cpu(rounds: list[Round]) -> list[str]:
    """Write medians over *rounds*, and the median of each round's ratio."""
    rows = []
    for work in WORKS:
        for name in SERVERS:
            loads = [each[work.title][name] for each in rounds]
            rate, lost = median(each.rate for each in loads), sum(each.lost for each in loads)
            shown = spread(each.cpu * 1e6 for each in loads)
            share = ratio(rounds, work.title, name, "svcdns")
            rows.append([work.title, name, f"{rate:,.0f}", str(lost), shown, f"{share:.2f}"])
    return table(("work", "server", "answers/s", "lost", "CPU a query, µs (min, median, max)", "/ svcdns"), rows)


def describe_times(found: dict[str, dict[str, tuple[float, str]]]) -> list[str]:
    """Write what came of each fault."""
    rows = []
    for title, _ in FAULTS:
        rows.append([title, *(f"{times[title][0] * 1000:,.1f}, {times[title][1]}" for times in found.values())])
    return table(["upstream's fault", *(f"{name}, ms, outcome" for name in found)], rows)


def figures(rounds: list[Round]) -> dict[str, float]:
    """Return what goals are about."""
    found = {}
    for work in WORKS:
        found[f"{work.title}: CoreDNS / svcdns"] = ratio(rounds, work.title, "CoreDNS", "svcdns")
        found[f"{work.title}: svcdns / dnsmasq"] = ratio(rounds, work.title, "svcdns", "dnsmasq")
    return found


def ratio(rounds: list[Round], title: str, name: str, other: str) -> float:
    """Return the median of what *name* takes for each second of CPU that *other* takes."""
    return median(each[title][name].cpu / each[title][other].cpu for each in rounds)


if __name__ == "__main__":
    show(asyncio.run(run()))
