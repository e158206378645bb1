"""Half an hour of mixed load on one server, in a cluster that changes: does memory grow, is any answer wrong or lost?

    python -m bench.soak [--minutes 30] [--rate 2000] [--services 2000] [--lives 4] [--workers 1] [--server svcdns]

Under kubeadm's Corefile. Of the queries half are dnsperf's plain ones over UDP, a fifth its pipelined ones over TCP, a
tenth its forwarded ones, which the cache has; the rest is `bench.mix`. Lives are of Services, and begin in each second:
each is created with an endpoint, changed, and deleted, and each of these must be in the answers within ten seconds.
Every five seconds memory is read and metrics are asked for. Own memory is that which no other process has and no file
stands behind: what a server's share of a common library comes to depends on what else runs. The slope is that of a
straight line through it, the first five minutes (of a short run: half of it) left out. What is kept because it was
asked for has to be there by then: so 120,000 names are asked for once, and then all others as fast as it goes, before
all else. MB are 1,000,000 octets.
"""

import argparse
import asyncio
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import linear_regression
from typing import NamedTuple

import dns.asyncquery
import dns.exception
import dns.message

from bench.cluster import Seeded, addresses, is_headless, names, seeded, workspace, write_corefile
from bench.load import Load, press, write_questions
from bench.mix import Asker, new_name
from bench.peers import first_name
from bench.report import Report, parser, say, show, table
from bench.servers import COMMANDS, Server, command_of, serving
from bench.upstreams import knot
from bench.workers import flags
from tests.cluster.apiserver import Client, client_of, endpoint_slice, service
from tests.ports import free_port

_PLAIN, _PIPELINED, _CACHED, _MIXED = 0.5, 0.2, 0.1, 0.2
_SETTLED = 300.0
_PAUSE = 5.0
_SHOWN_EACH = 6
_LATE = 10.0
_FILL = 60_000
_FILL_SECONDS = 10.0
_GONE_EACH = 16  # of the names that are asked for once, with the usual rates
_MB = 1_000_000
_TASKS = re.compile(r"^(\w*(?:tasks|goroutines)\w*)(?:\{.*\})? ([\d.e+]+)$", re.MULTILINE)


class Sample(NamedTuple):
    """A moment.

    Attributes:
        time: Seconds since the start.
        rss: Resident memory of all processes in MB.
        own: Memory that is not of files; what processes of the server share is counted once.
        files: Open files.
        cpu: CPU seconds used so far.
        tasks: The metrics that count tasks.
    """

    time: float
    rss: float
    own: float
    files: int
    cpu: float
    tasks: dict[str, float]


class Soaked(NamedTuple):
    """What a run came to.

    Attributes:
        samples: Its samples.
        loads: What came of dnsperf's loads.
        asker: What came of the rest.
        lives: How many Services came and went, and how often an answer was late.
        errors: Lines of the log at level ERROR.
    """

    samples: list[Sample]
    loads: dict[str, Load]
    asker: Asker
    lives: Counter[str]
    errors: list[str]


def take_sample(server: Server, metrics: int, begun: float) -> Sample:
    """Look at a server, and at its metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=_LATE) as response:
        tasks = {name: float(value) for name, value in _TASKS.findall(response.read().decode())}
    rss, own = (server.memory(field) * 1024 * 1024 / _MB for field in ("VmRSS", "Pss_Anon"))
    return Sample(time.monotonic() - begun, rss, own, server.files(), server.cpu(), tasks)


async def live(client: Client, port: int, number: int, lives: Counter[str]) -> None:
    """Create, change and delete a Service, and see each of that in the answers."""
    name = f"soak-{number}"
    obj = service(name, clusterIP="None")
    await client.create(obj)
    for address in (f"10.250.{number // 250 % 250}.{number % 250}", f"10.251.{number // 250 % 250}.{number % 250}"):
        await client.apply(endpoint_slice(f"{name}-1", name, address))
        lives["late"] += not await is_answered(port, name, {address})
    await client.patch(obj, {"spec": {"ports": [{"name": "other", "port": 8080}]}})
    await client.delete(endpoint_slice(f"{name}-1", name))
    await client.delete(obj)
    lives["late"] += not await is_answered(port, name, set())
    lives["ended"] += 1


async def is_answered(port: int, name: str, wanted: set[str]) -> bool:
    """Tell whether a name has just these addresses before it is late."""
    query = dns.message.make_query(f"{name}.default.svc.cluster.local", "A")
    until = time.monotonic() + _LATE
    while time.monotonic() < until:
        try:
            answer = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=_LATE)
        except dns.exception.Timeout:
            return False
        if {rdata.to_text() for rrset in answer.answer for rdata in rrset} == wanted:
            return True
        await asyncio.sleep(0.05)
    return False


async def let_live(client: Client, port: int, rate: float, seconds: float) -> Counter[str]:
    """Begin *rate* lives a second for a time; return how many ended and how often an answer was late."""
    lives: Counter[str] = Counter()
    begun = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            tasks.create_task(live(client, port, number, lives))
    return lives


async def known_addresses(client: Client, services: int) -> dict[str, frozenset[str]]:
    """Return the addresses of each Service that `bench.cluster` makes."""
    listed = (await client.ask("GET", "/api/v1/services"))["items"]
    own = {(obj["metadata"]["namespace"], obj["metadata"]["name"]): obj["spec"]["clusterIP"] for obj in listed}
    known = {}
    for number, (space, name) in enumerate(names(services)):
        found = addresses(number, 2) if is_headless(number) else [own[space, name]]
        known[f"{name}.{space}.svc.cluster.local"] = frozenset(found)
    return known


@contextmanager
def mixing(asker: Asker, rate: float) -> Iterator[None]:
    """Have an asker ask beside the block."""
    stop = threading.Event()
    thread = threading.Thread(target=asker.run, args=(rate, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def watch(server: Server, metrics: int, seconds: float, asker: Asker) -> list[Sample]:
    """Take samples for a time, and show some of them."""
    begun = time.monotonic()
    samples: list[Sample] = []
    while (passed := time.monotonic() - begun) < seconds:
        sample = await asyncio.to_thread(take_sample, server, metrics, begun)
        if len(samples) % _SHOWN_EACH == 0:
            failed = f"{asker.failed.total()} of {asker.asked.total():,} wrong or lost"
            say(f"{passed:.0f} of {seconds:.0f} s: {sample.own:.1f} MB of its own, {sample.files} files, {failed}")
        samples.append(sample)
        await asyncio.sleep(_PAUSE)
    return samples


def fill(server: Server, cluster: Seeded, rate: float) -> None:
    """Ask for many names once, then for all others again and again: some answers have many orders, kept one by one.

    The names are as those that come later, Services that are gone and names that are forwarded: first as many of those
    as there is ever room for, then both as they will come. Or what is full of the one would give way to the other for
    as long as it is looked at.
    """
    gone = [f"fill-{number}.default.svc.cluster.local" for number in range(2 * _FILL)]
    mixed = [gone[_FILL + number] if number % _GONE_EACH == 0 else new_name(number) for number in range(_FILL)]
    for title, asked in (("gone", gone[:_FILL]), ("mixed", mixed)):
        questions = write_questions(cluster.folder / title, ((name, "A") for name in asked))
        press(server, questions, 10 * _FILL / rate, "-n", "1", "-Q", str(int(5 * rate)), "-q", "16")
    for transport in ("udp", "tcp"):
        press(server, cluster.load, _FILL_SECONDS, "-m", transport)


async def soak(server: Server, metrics: int, cluster: Seeded, options: argparse.Namespace) -> Soaked:
    """Load a server for the time wanted."""
    seconds = options.minutes * 60
    cached = write_questions(cluster.folder / "cached", ((f"name-{number}.example", "A") for number in range(1000)))
    kinds = {
        "UDP": (cluster.load, _PLAIN, ()),
        "TCP, pipelined": (cluster.load, _PIPELINED, ("-m", "tcp", "-c", "2")),
        "forwarded, in the cache": (cached, _CACHED, ()),
    }
    async with client_of(cluster.server) as client, asyncio.TaskGroup() as tasks:
        asker = Asker(server.port, await known_addresses(client, options.services))
        running = {
            title: tasks.create_task(
                asyncio.to_thread(
                    press, server, file, seconds, "-Q", str(int(options.rate * share)), "-q", "16", "-t", "5", *more
                )
            )
            for title, (file, share, more) in kinds.items()
        }
        lives = tasks.create_task(let_live(client, server.port, options.lives, seconds))
        with mixing(asker, options.rate * _MIXED):
            samples = await watch(server, metrics, seconds, asker)
        loads = {title: await task for title, task in running.items()}
        return Soaked(samples, loads, asker, await lives, [])


async def run(arguments: Sequence[str] | None = None) -> Report:
    """Run the server under load; the command line is taken if there are no arguments."""
    maker = parser(__doc__, minutes=30.0, rate=2000.0, services=2000, lives=4.0, workers=1)
    maker.add_argument("--server", choices=COMMANDS, default="svcdns")
    options = maker.parse_args(arguments)
    async with seeded(options.services) as cluster:
        folder = workspace(cluster.folder, "soak")
        with knot(cluster.folder / "knot") as upstream:
            ports = {key: free_port() for key in ("port", "health", "ready", "metrics")}
            corefile = write_corefile(cluster.server, ports, upstream=f"127.0.0.1:{upstream}")
            command = [*command_of(options.server, corefile, folder), *flags(options.workers)]
            with serving(command, ports["port"], folder) as server:
                server.wait_for(first_name(cluster))
                say("filling caches")
                await asyncio.to_thread(fill, server, cluster, options.rate)
                say(f"{options.rate:,.0f} queries a second for {options.minutes:g} minutes")
                soaked = await soak(server, ports["metrics"], cluster, options)
        return describe(soaked._replace(errors=read_errors(folder / "log")))


def read_errors(log: Path) -> list[str]:
    """Return the lines of a log at level ERROR or worse."""
    return [
        line for line in log.read_text(errors="replace").splitlines() if re.search(r"\[(ERROR|FATAL|PANIC)\]", line)
    ]


def describe(soaked: Soaked) -> Report:
    """Write what a run came to."""
    samples = soaked.samples
    settled = slope(samples)
    first, last = samples[0], samples[-1]
    asked = sum(load.completed for load in soaked.loads.values()) + soaked.asker.asked.total()
    cpu, seconds = last.cpu - first.cpu, last.time - first.time
    wrong = {title: load.lost for title, load in soaked.loads.items()} | dict(soaked.asker.failed)
    rows = [
        ["minutes, queries", f"{seconds / 60:.1f}, {asked:,}"],
        ["slope of own memory, MB an hour", f"{settled:.2f}"],
        ["own memory, MB (first, highest, last)", _span([each.own for each in samples], ".1f")],
        ["RSS, MB (first, highest, last)", _span([each.rss for each in samples], ".1f")],
        ["open files (first, highest, last)", _span([each.files for each in samples], "d")],
        *([f"{name} (first, last)", f"{first.tasks[name]:g}, {value:g}"] for name, value in last.tasks.items()),
        ["CPU, of one core; a query, µs", f"{cpu / seconds:.1%}; {cpu / asked * 1e6:.1f}"],
        ["wrong or lost answers", ", ".join(f"{title} {count}" for title, count in wrong.items() if count) or "none"],
        ["Services that came and went; late answers", f"{soaked.lives['ended']}; {soaked.lives['late']}"],
        ["lines of level ERROR", str(len(soaked.errors))],
    ]
    notes = [f"- `{text}`" for text in (*soaked.asker.troubles[:3], *soaked.errors[:3])]
    figures = {"slope": settled, "failed": sum(wrong.values()), "errors": len(soaked.errors)}
    return Report([*table(("what", "measured"), rows), *notes], figures)


def slope(samples: list[Sample]) -> float:
    """Return by how many MB an hour own memory grew after the start."""
    after = min(_SETTLED, samples[-1].time / 2)
    settled = [each for each in samples if each.time >= after]
    line = linear_regression([each.time for each in settled], [each.own for each in settled])
    return line.slope * 3600


def _span(values: Sequence[float], shown: str) -> str:
    return ", ".join(format(each, shown) for each in (values[0], max(values), values[-1]))


if __name__ == "__main__":
    show(asyncio.run(run()))
