"""What the stages of the ordinary path cost, and what any server pays on this machine for the same exchange.

    python -m bench.stages [--seconds 3] [--rounds 5]

The first table is the CPU of each stage by itself, called again and again in one process: what is left when caches are
warm. The second is the CPU a query of a whole listener, kernel included, beside servers that only echo: the difference
to these is all that svcdns can save. svcdns alone, over a chain of kubeadm's plugins and 2,000 Services.
"""

import argparse
import asyncio
import select
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import cycle
from statistics import median
from typing import NamedTuple

import uvloop

from bench.cluster import is_headless, names, questions
from bench.randomized import with_cookie, with_letter_case
from bench.servers import Server
from svcdns.chain import Handler, chain
from svcdns.dns import wire
from svcdns.dns.message import Listener, Query, Response
from svcdns.dns.name import ROOT
from svcdns.dns.records import Rtype
from svcdns.kube.cluster import Cluster
from svcdns.kube.objects import EndpointSlice, Kind, Namespace, Port, Service, pack
from svcdns.metrics import Metrics
from svcdns.net.connections import Connections, Limits
from svcdns.net.datagrams import Datagrams
from svcdns.net.mmsg import Mmsg
from svcdns.net.packets import BATCH
from svcdns.net.sockets import Answerer, Counters, MakeAnswerer, bind
from svcdns.net.streams import Streams
from svcdns.plugins.kubernetes import Kubernetes
from svcdns.plugins.kubernetes.config import read_settings
from svcdns.plugins.kubernetes.sources import Source
from svcdns.responder import Responder, Route, Routes, Surroundings, refuse
from tests import octets
from tests.fakes import directives, environment, set_up

SERVICES = 2000
CLIENT = ("127.0.0.1", 4242)
RATE = 20_000
CONNECTIONS = 8
BLOCKS = 9
EXCHANGES = 1000


def make_cluster() -> Cluster:
    """Make the Services of `bench.cluster`, each with two endpoints."""
    kinds = (Kind.SERVICE, Kind.ENDPOINT_SLICE, Kind.NAMESPACE)
    cluster = Cluster(kinds, time.time)
    for kind in kinds:
        cluster.swap(kind, cluster.store(kind))
    ports = (Port("http", "tcp", 80),)
    for number, (space, name) in enumerate(names(SERVICES)):
        address, headless = number.to_bytes(2), is_headless(number)
        cluster.put(Kind.NAMESPACE, Namespace(("", space), ""))
        found = () if headless else (b"\x0a\x60" + address,)
        cluster.put(Kind.SERVICE, Service((space, name), "", found, headless, "", ports))
        ready = b"".join(pack(bytes((10, 128 + each)) + address, "", "") for each in range(2))
        cluster.put(Kind.ENDPOINT_SLICE, EndpointSlice((space, f"{name}-1"), "", name, ports, ready))
    return cluster


def make_plugins(cluster: Cluster) -> tuple[Handler, Kubernetes]:
    """Link the plugins of kubeadm's Corefile that names of the cluster pass."""

    async def stay() -> None: ...

    lent = environment()
    settings = read_settings(
        directives("kubernetes cluster.local in-addr.arpa ip6.arpa", "kubernetes")[0], (ROOT,), lent.warn
    )
    kubernetes = Kubernetes(settings, Source(cluster, stay, dict), lent)
    before = [plugin for name in ("prometheus", "errors", "loadbalance") for plugin in set_up(name, name, lent)]
    return chain([*before, kubernetes], refuse), kubernetes


def make_answers() -> tuple[MakeAnswerer, Surroundings]:
    """Return what makes what answers at a listener, and what it was lent."""
    handler, kubernetes = make_plugins(make_cluster())
    lent = Surroundings(lambda *_: None, Counters.of(Metrics()), time.monotonic)
    routes = Routes([Route(ROOT, handler, recursive=False, refreshes=(kubernetes.refresh,))])
    return partial(Responder, routes, lent), lent


def messages() -> list[bytes]:
    """Return what the clients of `bench.flood` send."""
    rtypes = {rtype.name: int(rtype) for rtype in Rtype}
    return [octets.query(octets.question(name, rtypes[rtype])) for name, rtype in questions(SERVICES)]


def cost(call: Callable[[bytes], object], inputs: list[bytes], change: Callable[[bytes], bytes] = bytes) -> float:
    """Return the least CPU that *call* took for one of *inputs*, over all of them at a time, in microseconds.

    Args:
        call: What is measured.
        inputs: What it is called with.
        change: What is done to each before, anew each time.
    """
    least = float("inf")
    for _ in range(BLOCKS):
        changed = [change(each) for each in inputs]
        begun = time.process_time_ns()
        for each in changed:
            call(each)
        least = min(least, time.process_time_ns() - begun)
    return least / len(inputs) / 1000


def step(waiting: object) -> Response:
    """Return what a coroutine that does not wait comes to."""
    try:
        waiting.send(None)  # type: ignore[attr-defined]
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError


def stages() -> Iterator[tuple[str, float]]:
    """Yield the stages with the CPU of each in microseconds."""
    make = partial(make_answers()[0], Listener("dns://:53", "udp", 1, "127.0.0.1", 53))
    asked, known = messages(), make()

    def answer(message: bytes) -> None:
        if known.recall(message) is None:
            known.respond(message, lambda: CLIENT)

    def batch(_: bytes) -> None:
        known.begin()
        known.end(1)

    known.begin()
    yield "loop's turn", uvloop.run(turns())
    for title, together in ((f"of {BATCH}", BATCH), ("alone", 1)):
        receive, send = exchange(asked[0], together)
        yield f"receive, {title}", receive
        yield f"send, {title}", send
    yield "begin and end of a batch", cost(batch, asked)
    yield "look-up: the same octets", cost(answer, asked)
    yield "look-up: another letter case", cost(answer, asked, with_letter_case)
    yield "look-up: another cookie", cost(answer, asked, with_cookie)
    yield from first_time(make, asked)


def first_time(make: Callable[[], Answerer], asked: list[bytes]) -> Iterator[tuple[str, float]]:
    """Yield the stages of a query that is not known, but whose records are made."""
    handler, kubernetes = make_plugins(make_cluster())
    envelopes = {message: wire.decode(message) for message in asked}
    queries = {message: Query(each.name, each.rtype) for message, each in envelopes.items()}
    answers = {message: step(handler(query)) for message, query in queries.items()}

    decode = cost(wire.decode, asked)
    view = cost(lambda message: step(kubernetes.handle(queries[message], refuse)), asked)
    whole = cost(lambda message: step(handler(queries[message])), asked)
    encode = cost(lambda message: wire.encode(envelopes[message], answers[message], 1232), asked)
    total = min(all_new(make(), asked) for _ in range(BLOCKS))
    yield "first time: decode", decode
    yield "first time: chain, without the view", whole - view
    yield "first time: view", view
    yield "first time: encode", encode
    yield "first time: find the block, remember, and all else", total - decode - whole - encode


def all_new(responder: Answerer, asked: list[bytes]) -> float:
    """Return the CPU of an answer to what *responder* was not asked before, in microseconds."""
    responder.begin()
    begun = time.process_time_ns()
    for message in asked:
        responder.respond(message, lambda: CLIENT)
    return (time.process_time_ns() - begun) / len(asked) / 1000


async def turns() -> float:
    """Return the CPU of a turn of the event loop in which one callback has nothing to do."""
    ours, theirs = socket.socketpair()
    count = 0

    def turn() -> None:
        nonlocal count
        count += 1

    with ours, theirs:
        theirs.send(b"x")
        asyncio.get_running_loop().add_reader(ours, turn)
        begun = time.process_time()
        await asyncio.sleep(1)
        used = time.process_time() - begun
        asyncio.get_running_loop().remove_reader(ours)
    return used / count * 1e6


def exchange(message: bytes, together: int) -> tuple[float, float]:
    """Return what it takes to receive a datagram and to send one, where so many are at once."""
    received: list[float] = []
    sent: list[float] = []
    with bind("127.0.0.1", 0, socket.SOCK_DGRAM) as ours, bind("127.0.0.1", 0, socket.SOCK_DGRAM) as theirs:
        packets = Mmsg(ours)
        for _ in range(EXCHANGES):
            for _ in range(together):
                theirs.sendto(message, ours.getsockname())
            begun = time.process_time_ns()
            queries = packets.receive()
            between = time.process_time_ns()
            packets.send(0, queries)
            ended = time.process_time_ns()
            received.append((between - begun) / together / 1000)
            sent.append((ended - between) / together / 1000)
            for _ in range(together):
                theirs.recv(4096)
    return min(received), min(sent)


# --- whole listeners -------------------------------------------------------------------------------------------------


def ask_at_rate(port: int, seconds: float) -> int:
    """Ask over UDP at `RATE`, without a pause that would leave the server's answers unread; return how many came."""
    asked, answered = cycle(messages()), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.setblocking(False)  # noqa: FBT003 - its only argument
        begun = due = time.monotonic()
        while due < begun + seconds:
            try:
                client.recv(4096)
                answered += 1
            except OSError:
                if time.monotonic() >= due:
                    client.send(next(asked))
                    due += 1 / RATE
    return answered


def ask_one_by_one(port: int, seconds: float) -> int:
    """Ask over `CONNECTIONS` TCP connections, on each one question at a time; return how many were answered."""
    asked, answered, until = cycle(messages()), 0, time.monotonic() + seconds
    poll = select.epoll()
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    by_file = {client.fileno(): client for client in clients}
    for client in clients:
        poll.register(client, select.EPOLLIN)

    def send(client: socket.socket) -> None:
        message = next(asked)
        client.send(len(message).to_bytes(2) + message)

    for client in clients:
        send(client)
    while time.monotonic() < until:
        for file, _ in poll.poll(1):
            by_file[file].recv(4096)
            answered += 1
            send(by_file[file])
    return answered


ASK = {"udp": ask_at_rate, "tcp": ask_one_by_one}


def echo(message: bytes) -> bytes:
    """Make of a query what any client takes for an answer."""
    return message[:2] + b"\x81\x80" + message[4:]


def echo_datagrams(bound: socket.socket) -> None:
    """Echo a batch of datagrams."""
    for _ in range(BATCH):
        try:
            message, client = bound.recvfrom(4096)
        except OSError:
            return
        bound.sendto(echo(message), client)


def echo_stream(connected: socket.socket) -> None:
    """Echo a message that came over TCP, whole and alone."""
    try:
        octets = connected.recv(4096)
    except ConnectionResetError:
        octets = b""
    if octets:
        connected.send(octets[:2] + echo(octets[2:]))
    else:
        asyncio.get_running_loop().remove_reader(connected)
        connected.close()


def accept(bound: socket.socket) -> None:
    """Take a client in, whose messages are echoed."""
    connected, _ = bound.accept()
    connected.setblocking(False)  # noqa: FBT003 - its only argument
    asyncio.get_running_loop().add_reader(connected, echo_stream, connected)


async def echo_by_epoll(bound: socket.socket) -> None:
    """Echo datagrams with nothing between epoll and the socket."""
    poll = select.epoll()
    poll.register(bound, select.EPOLLIN)
    while True:
        poll.poll()
        echo_datagrams(bound)


async def echo_by_loop(bound: socket.socket) -> None:
    """Echo datagrams from a callback of the event loop."""
    asyncio.get_running_loop().add_reader(bound, echo_datagrams, bound)


async def echo_streams_by_loop(bound: socket.socket) -> None:
    """Echo over TCP from callbacks of the event loop."""
    asyncio.get_running_loop().add_reader(bound, accept, bound)


async def answer_datagrams(bound: socket.socket) -> None:
    """Answer over UDP as svcdns does."""
    make, surroundings = make_answers()
    Datagrams(bound, "dns://:53", make, surroundings.counters).start()


async def answer_streams(bound: socket.socket) -> None:
    """Answer over TCP as svcdns does."""
    make, surroundings = make_answers()
    Streams(bound, "dns://:53", make, Connections(surroundings.counters, Limits())).start()


class Measured(NamedTuple):
    """A listener that is measured: its transport, and what starts it."""

    transport: str
    start: Callable[[socket.socket], Awaitable[None]]


LISTENERS = {
    f"UDP, {RATE:,}/s: echo on epoll": Measured("udp", echo_by_epoll),
    f"UDP, {RATE:,}/s: echo in the loop": Measured("udp", echo_by_loop),
    f"UDP, {RATE:,}/s: svcdns": Measured("udp", answer_datagrams),
    "TCP, one at a time: echo in the loop": Measured("tcp", echo_streams_by_loop),
    "TCP, one at a time: svcdns": Measured("tcp", answer_streams),
}


async def listen(name: str) -> None:
    """Run a listener, and print its port."""
    transport, start = LISTENERS[name]
    bound = bind("127.0.0.1", 0, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
    print(bound.getsockname()[1], flush=True)
    await start(bound)
    await asyncio.Event().wait()


def measure(name: str, seconds: float) -> float:
    """Return the CPU a query of a listener in a process of its own, in microseconds."""
    command = [sys.executable, "-m", "bench.stages", "--listen", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        port = int(process.stdout.readline() if process.stdout else 0)
        server = Server(process, port)
        try:
            ask = ASK[LISTENERS[name].transport]
            ask(port, 1)
            before = server.cpu()
            answered = ask(port, seconds)
            return (server.cpu() - before) / answered * 1e6
        finally:
            process.kill()


def main() -> None:
    """Print both tables, or run a listener."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--listen", choices=LISTENERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.listen:
        uvloop.run(listen(options.listen))
    print("| stage | CPU, µs |\n|---|---|")
    for name, used in stages():
        print(f"| {name} | {used:.2f} |", flush=True)
    print("\n| listener | CPU a query, µs (min, median) |\n|---|---|")
    rounds = [{name: measure(name, options.seconds) for name in LISTENERS} for _ in range(options.rounds)]
    for name in LISTENERS:
        costs = [each[name] for each in rounds]
        print(f"| {name} | {min(costs):.1f}, {median(costs):.1f} |")


if __name__ == "__main__":
    main()
