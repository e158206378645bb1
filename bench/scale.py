"""A large cluster: start to ready, memory, and how soon a new Service resolves, svcdns beside CoreDNS.

    python -m bench.scale [--services 10000] [--endpoints 10] [--rounds 3] [--created 400] [--seconds 8]

"Ready" is the first right answer for the Service that the API lists last. "Created" is the time from the API server's
answer to the creation of a Service to the first answer that has its address. The server is asked without a pause, by a
bare socket: a resolver's library takes longer over a question than the servers do. "Told" is when a bare watch beside
it had the Service, counted from the same moment: below zero where the API server tells of it before it answers. Memory
is measured when the server is ready, and again when all names have been asked for, 10,000 queries a second.
"""

import argparse
import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import dns.message

from bench.cluster import Seeded, names, seeded, workspace, write_corefile
from bench.load import press
from bench.report import Report, parser, say, show, spread, table
from bench.servers import PAIR, Server, command_of, serving
from tests.cluster.apiserver import TOKEN, ApiServer, Client, client_of, service
from tests.ports import free_port

_RATE = "10000"
_PATIENCE = 10.0
_LARGEST_ANSWER = 65_535


class Memory(NamedTuple):
    """MiB of a server: its peak so far, and what is resident now."""

    peak: float
    resident: float


class Start(NamedTuple):
    """What a start came to.

    Attributes:
        ready: Seconds until ready.
        before: Memory then.
        after: Memory after load.
        created: For each new Service, seconds until it resolved, and until a bare watch had it.
    """

    ready: float
    before: Memory
    after: Memory
    created: list[tuple[float, float]]


class Watch:
    """Notes when the API server tells of Services in the namespace ``default``, in a thread of its own.

    Args:
        server: The API server.
    """

    def __init__(self, server: ApiServer) -> None:
        self._connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=server.trust())
        self._told: dict[str, float] = {}
        self._news = threading.Condition()
        path = "/api/v1/namespaces/default/services?watch=true"
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        threading.Thread(target=self._read, args=(self._connection.getresponse(),), daemon=True).start()

    def told(self, name: str) -> float:
        """Wait until the API server has told of a Service, and return the time."""
        with self._news:
            if not self._news.wait_for(lambda: name in self._told, _PATIENCE):
                raise TimeoutError(f"the API server does not tell of {name}")
            return self._told[name]

    def _read(self, response: http.client.HTTPResponse) -> None:
        while line := response.readline():
            now = time.perf_counter()
            name = json.loads(line)["object"]["metadata"]["name"]
            with self._news:
                self._told.setdefault(name, now)
                self._news.notify()


async def measure(name: str, cluster: Seeded, client: Client, folder: Path, options: argparse.Namespace) -> Start:
    """Start one server, then create Services and see how soon each resolves, then ask for all."""
    ports = {key: free_port() for key in ("port", "health", "ready", "metrics")}
    space, last = max(names(options.services))
    command = command_of(name, write_corefile(cluster.server, ports), folder)
    with serving(command, ports["port"], folder) as running:
        ready = await asyncio.to_thread(running.wait_for, f"{last}.{space}.svc.cluster.local")
        before = memory(running)
        watch = Watch(cluster.server)
        new = (f"new-{folder.name}-{number}".lower() for number in range(options.created))
        created = [await create(client, watch, ports["port"], service_name) for service_name in new]
        await asyncio.to_thread(press, running, cluster.load, options.seconds, "-Q", _RATE)
        return Start(ready, before, memory(running), created)


def memory(server: Server) -> Memory:
    """Measure a server's memory."""
    return Memory(server.memory("VmHWM"), server.memory("VmRSS"))


async def create(client: Client, watch: Watch, port: int, name: str) -> tuple[float, float]:
    """Create a Service and return the seconds until it resolves, and until the watch has it."""
    query = dns.message.make_query(f"{name}.default.svc.cluster.local", "A").to_wire()
    obj = service(name)
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.settimeout(_PATIENCE)
        asking.connect(("127.0.0.1", port))
        address = socket.inet_aton((await client.create(obj))["spec"]["clusterIP"])
        begun = time.perf_counter()
        answer = b""
        while not answer.endswith(address):
            asking.send(query)
            answer = asking.recv(_LARGEST_ANSWER)
        resolved = time.perf_counter()
    told = watch.told(name)
    await client.delete(obj)
    return resolved - begun, told - begun


async def run(arguments: Sequence[str] | None = None) -> Report:
    """Measure both servers in turns; the command line is taken if there are no arguments."""
    defaults = {"services": 10_000, "endpoints": 10, "rounds": 3, "created": 400, "seconds": 8.0}
    options = parser(__doc__, **defaults).parse_args(arguments)
    found: dict[str, list[Start]] = {name: [] for name in PAIR}
    async with seeded(options.services, options.endpoints) as cluster, client_of(cluster.server) as client:
        for turn in range(options.rounds):
            for name, starts in found.items():
                say(f"round {turn + 1} of {options.rounds}: {name}")
                space = workspace(cluster.folder, f"{name}-{turn}")
                starts.append(await measure(name, cluster, client, space, options))
    rows = [row(name, starts) for name, starts in found.items()]
    head = (
        "server",
        "ready, s (min, median, max)",
        "memory at ready, MiB (peak; resident)",
        "after load, MiB (peak; resident)",
        "created to resolvable, ms (p50, p99)",
        "told, ms (p50, p99)",
    )
    return Report(table(head, rows), figures(found["svcdns"], found["CoreDNS"]))


def row(name: str, starts: list[Start]) -> list[str]:
    """Write what a server's starts came to."""
    before = [median(each.before[place] for each in starts) for place in (0, 1)]
    after = [median(each.after[place] for each in starts) for place in (0, 1)]
    shown = [f"{peak:.0f}; {resident:.0f}" for peak, resident in (before, after)]
    times = [f"{p50 * 1000:.2f}, {p99 * 1000:.2f}" for p50, p99 in map(percentiles, columns(starts))]
    return [name, spread((each.ready for each in starts), 2), *shown, *times]


def figures(ours: list[Start], theirs: list[Start]) -> dict[str, float]:
    """Return what goals are about: seconds of svcdns, and its ratio to CoreDNS in all."""
    pairs = list(zip(ours, theirs, strict=True))
    (p50, p99), (other50, other99) = (percentiles(columns(starts)[0]) for starts in (ours, theirs))
    return {
        "ready: svcdns": median(each.ready for each in ours),
        "ready: svcdns / CoreDNS": median(our.ready / their.ready for our, their in pairs),
        "memory at ready: svcdns / CoreDNS": median(our.before.peak / their.before.peak for our, their in pairs),
        "memory after load: svcdns / CoreDNS": median(our.after.peak / their.after.peak for our, their in pairs),
        "created p50: svcdns / CoreDNS": p50 / other50,
        "created p99: svcdns / CoreDNS": p99 / other99,
    }


def columns(starts: list[Start]) -> tuple[list[float], list[float]]:
    """Return the seconds of all new Services: until each resolved, and until a bare watch had it."""
    pairs = [pair for start in starts for pair in start.created]
    return [resolved for resolved, _ in pairs], [told for _, told in pairs]


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    return median(seconds), quantiles(seconds, n=100)[98]


if __name__ == "__main__":
    show(asyncio.run(run()))
