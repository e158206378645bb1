"""Look for the packet that costs the most until it is refused or given to the chain.

Packets are put together from parts that cost something - labels, options, records, what is behind the message - and
changed at random where a change makes them dearer.

    python -m bench.worst_packet [--seconds 20]

It prints the dearest packet over UDP (4096 octets) and over TCP (65535) with its time: the goals are 50 us and 1 ms.
"""

import gc
import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from bench.report import parser
from svcdns.dns.message import Listener, Query, Response
from svcdns.dns.name import ROOT, from_text
from svcdns.responder import Responder, Route
from tests import octets
from tests.frontend import make_responder

ZONES = ("cluster.local", "in-addr.arpa", "ip6.arpa", "svc.cluster.local")
GOALS = {"udp": 50.0, "tcp": 1000.0}
SIZES = {"udp": 4096, "tcp": 65535}
RUNS = 15


class Shape(NamedTuple):
    """What a packet is put together from.

    Attributes:
        labels: The length of each label of the question's name.
        rtype: The type asked for.
        rclass: The class asked for.
        options: The length of each option's data.
        version: The EDNS version.
        key: The length of each label of a TSIG record's two names; none for no such record.
        owner: The length of each label of an authority record's owner; none for no such record.
        counts: What is added to the four counts of the header.
        behind: How many octets stand behind the message.
        noise: Positions and values of octets that are overwritten.
    """

    labels: tuple[int, ...] = (3, 7, 5)
    rtype: int = 1
    rclass: int = 1
    options: tuple[int, ...] = ()
    version: int = 0
    key: tuple[int, ...] = ()
    owner: tuple[int, ...] = ()
    counts: tuple[int, int, int, int] = (0, 0, 0, 0)
    behind: int = 0
    noise: tuple[tuple[int, int], ...] = ()


ONES = (1,) * 127
SEEDS = (
    Shape(),
    Shape(labels=ONES),
    Shape(labels=ONES, rtype=43),
    Shape(labels=ONES, options=(0,) * 32),
    Shape(labels=ONES, rtype=251, owner=ONES, options=(0,) * 32, key=ONES),
    Shape(labels=ONES, rclass=255, behind=65535),
    Shape(labels=ONES * 250),
    Shape(options=(0,) * 16_000),
    Shape(counts=(65534, 65535, 65535, 65535), behind=65535),
)


def name(lengths: tuple[int, ...]) -> bytes:
    """Return a name of labels of these lengths."""
    return b"".join(bytes((length & 0xFF,)) + b"A" * (length & 0xFF) for length in lengths) + b"\x00"


def packet(shape: Shape, size: int) -> bytes:
    """Put a packet of at most *size* octets together."""
    additional = []
    if shape.options or shape.version:
        options = b"".join(octets.option(65001, bytes(length)) for length in shape.options)[: size // 2]
        additional.append(octets.opt(options, version=shape.version))
    if shape.key:
        signed = octets.record(name(shape.key), 250, name(shape.key) + bytes(16), 255)
        additional.append(signed)
    authority = octets.record(name(shape.owner), 6, bytes(22)) if shape.owner else b""
    questions, answers, authorities, additionals = shape.counts
    message = octets.query(
        octets.question(name(shape.labels), shape.rtype, shape.rclass) + authority,
        *additional,
        questions=(1 + questions) & 0xFFFF,
        answers=answers & 0xFFFF,
        authorities=(bool(authority) + authorities) & 0xFFFF,
        additionals=(len(additional) + additionals) & 0xFFFF,
    )
    noisy = bytearray((message + bytes(shape.behind))[:size])
    for position, value in shape.noise:
        noisy[position % len(noisy)] = value
    return bytes(noisy)


def changed(shape: Shape, random: Random) -> Shape:
    """Return a shape that differs in one part."""
    field = random.choice(Shape._fields)
    value = getattr(shape, field)
    if field in {"labels", "options", "key", "owner"}:
        lengths = list(value)
        for _ in range(random.choice((1, 1, 4, 64))):
            if lengths and random.random() < 0.4:
                del lengths[random.randrange(len(lengths))]
            else:
                lengths.insert(random.randint(0, len(lengths)), random.choice((0, 1, 1, 1, 2, 8, 63, 64, 192)))
        value = tuple(lengths)
    elif field == "counts":
        value = tuple(random.choice((0, 0, 0, 1, -1, 65535)) for _ in range(4))
    elif field == "noise":
        value = tuple((random.randrange(2, 700), random.randrange(256)) for _ in range(random.randint(0, 3)))
    elif field == "behind":
        value = random.choice((0, 1, 100, 4096, 65535))
    else:
        value = random.choice((0, 1, 2, 43, 250, 251, 252, 255, 65280))
    return shape._replace(**{field: value & 0xFF if field == "version" else value})


def responder(listener: Listener) -> Responder:
    """Make a responder whose chains answer at once and do nothing."""

    async def handle(query: Query) -> Response:  # noqa: ARG001 - a handler takes the query
        return Response()

    routes = [Route(zone, handle, recursive=False) for zone in (ROOT, *map(from_text, ZONES))]
    return make_responder(routes, listener)


def cost(respond: Callable[[bytes], object], message: bytes, runs: int = RUNS) -> float:
    """Return the least time that answering *message* took, in microseconds."""
    least = float("inf")
    for _ in range(runs):
        begun = time.perf_counter_ns()
        respond(message)
        least = min(least, time.perf_counter_ns() - begun)
    return least / 1000


def search(transport: str, seconds: float, random: Random) -> tuple[float, Shape]:
    """Climb from the dearest seed for *seconds*; return the dearest shape and its cost in microseconds."""
    made = responder(Listener("dns://:53", transport, 1, "0.0.0.0", 53))  # noqa: S104 - only a label
    size = SIZES[transport]

    def respond(message: bytes) -> object:
        return made.respond(message, lambda: ("192.0.2.1", 4242))

    ranked = sorted(((cost(respond, packet(seed, size)), seed) for seed in SEEDS), reverse=True)
    kept = ranked[:4]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        shape = changed(random.choice(kept)[1], random)
        message = packet(shape, size)
        if cost(respond, message, 3) > kept[-1][0]:
            kept = sorted([*kept, (cost(respond, message), shape)], reverse=True)[:4]
    return max((cost(respond, packet(shape, size), 10 * RUNS), shape) for _, shape in kept)


def main() -> None:
    """Search over both transports and print what was found."""
    seconds = parser(__doc__, seconds=20.0).parse_args().seconds
    gc.disable()
    for transport, goal in GOALS.items():
        found, shape = search(transport, seconds, Random(7))
        print(f"{transport}: {found:6.1f} us of {goal:g} us, {len(packet(shape, SIZES[transport]))} octets")
        for field, value in shape._asdict().items():
            print(f"  {field:8} {value if len(str(value)) < 80 else f'{len(value)} of {sorted(set(value))}'}")


if __name__ == "__main__":
    main()
