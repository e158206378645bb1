"""Look for the upstream's answer that costs the most until it is read or refused.

Answers are runs of records, of which each run picks how owners, types and data are made; runs are changed at random
where a change makes the answer dearer.

    python -m bench.worst_answer [--seconds 20]

It prints the dearest answer over UDP (4096 octets) and over TCP (65535) with its time: the goal over UDP is 1 ms, and
over TCP nothing may hold the loop for more than 10.
"""

import gc
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import NamedTuple

from bench.report import parser
from svcdns.dns.message import Query
from svcdns.dns.name import Name, from_text
from svcdns.dns.records import Rtype
from svcdns.dns.upstream import Asked, decode_response, encode_query
from svcdns.errors import WireError
from tests import octets

SIZES = {"udp": 4096, "tcp": 65535}
RUNS = 15
SECTIONS = 3
QUESTION = from_text("www.example.org.")
LONG = Name(b"\x01a" * 126 + b"\x00")
POINTER = b"\xc0\x0c"


class Run(NamedTuple):
    """Records that follow each other.

    Attributes:
        section: 0 for the answer, 1 for authority, 2 for additional records.
        owner: Which of `OWNERS`.
        rtype: Which of `TYPES`.
        data: Which of `DATA`.
        period: After how many records owners, types and data are the same again.
        share: How much of the room the run takes, compared with others.
    """

    section: int
    owner: str
    rtype: str
    data: str
    period: int = 65535
    share: int = 1


class Shape(NamedTuple):
    """What an answer is made of: the type asked for, DO, whether the question is a long name, and the runs."""

    rtype: int
    do: bool
    long: bool
    runs: tuple[Run, ...]


OWNERS: dict[str, Callable[[int], bytes]] = {
    "question": lambda _: POINTER,
    "root": lambda _: b"\x00",
    "two in turn": lambda number: b"\x00" if number % 2 else POINTER,
    "short": lambda number: b"\x02" + bytes((97 + number % 26, 97 + number // 26 % 26)) + POINTER,
    "long": lambda _: LONG,
    "long in turn": lambda number: b"\x01b" * (1 + number % 100) + b"\x00",
    "into the middle": lambda number: (0xC000 | (12 + 2 * (number % 90))).to_bytes(2),
}
TYPES: dict[str, Callable[[int], int]] = {
    "A": lambda _: Rtype.A,
    "other": lambda number: 300 + number,
    "MX": lambda _: Rtype.MX,
    "NAPTR": lambda _: Rtype.NAPTR,
    "SOA": lambda _: Rtype.SOA,
    "NSEC and RRSIG": lambda number: Rtype.RRSIG if number % 2 else Rtype.NSEC,
    "RRSIG": lambda _: Rtype.RRSIG,
    "CNAME": lambda _: Rtype.CNAME,
    "OPT": lambda _: Rtype.OPT,
}
DATA: dict[str, Callable[[int], bytes]] = {
    "none": lambda _: b"",
    "address": lambda number: number.to_bytes(4),
    "MX": lambda number: number.to_bytes(2) + POINTER,
    "MX, long": lambda number: number.to_bytes(2) + LONG,
    "NAPTR": lambda number: number.to_bytes(4) + b"\x00\x00\x00" + LONG,
    "SOA": lambda number: LONG + LONG + number.to_bytes(20),
    "signature": lambda number: b"\x00\x2f" + number.to_bytes(16) + b"\x00",
    "signature, long": lambda number: b"\x00\x2f" + number.to_bytes(16) + LONG,
}
SEEDS = (
    Shape(Rtype.A, do=False, long=False, runs=(Run(0, "question", "A", "address"),)),
    Shape(Rtype.ANY, do=False, long=False, runs=(Run(0, "question", "other", "none", 200),)),
    Shape(Rtype.MX, do=False, long=True, runs=(Run(0, "question", "MX", "MX, long"),)),
    Shape(Rtype.A, do=True, long=False, runs=(Run(1, "short", "NSEC and RRSIG", "signature", 256),)),
    Shape(Rtype.A, do=False, long=False, runs=(Run(2, "long in turn", "A", "none"),)),
    Shape(Rtype.A, do=False, long=True, runs=(Run(0, "into the middle", "A", "none", 60),)),
)


def ask(shape: Shape) -> Asked:
    """Put the question together."""
    name = LONG if shape.long else QUESTION
    return encode_query(Query(name, shape.rtype, do=shape.do), 0x1234, mixed=False)


def answer(shape: Shape, asked: Asked, size: int) -> bytes:
    """Put an answer of at most *size* octets together."""
    room = size - 12 - len(asked.question)
    whole = sum(run.share for run in shape.runs)
    counts, bodies = [0] * SECTIONS, [b""] * SECTIONS
    for run in shape.runs:
        left, number, parts = room * run.share // whole, 0, []
        while True:
            turn = number % run.period
            record = octets.record(OWNERS[run.owner](turn), TYPES[run.rtype](turn) & 0xFFFF, DATA[run.data](turn))
            left -= len(record)
            if left < 0:
                break
            parts.append(record)
            number += 1
        counts[run.section] += number
        bodies[run.section] += b"".join(parts)
    header = asked.octets[:2] + b"\x81\x80\x00\x01" + b"".join(count.to_bytes(2) for count in counts)
    return header + asked.question + b"".join(bodies)


def changed(shape: Shape, random: Random) -> Shape:
    """Return a shape that differs in one part."""
    match random.randrange(6):
        case 0:
            return shape._replace(rtype=random.choice((Rtype.A, Rtype.MX, Rtype.NAPTR, Rtype.ANY, Rtype.CNAME)))
        case 1:
            return shape._replace(do=not shape.do)
        case 2:
            return shape._replace(long=not shape.long)
        case 3 if len(shape.runs) > 1:
            return shape._replace(runs=shape.runs[1:])
        case _:
            run = random.choice(shape.runs)
            parts = {
                "section": random.randrange(SECTIONS),
                "owner": random.choice(list(OWNERS)),
                "rtype": random.choice(list(TYPES)),
                "data": random.choice(list(DATA)),
                "period": random.choice((1, 2, 50, 100, 120, 200, 250, 256, 65535)),
                "share": random.randint(1, 8),
            }
            field = random.choice(list(parts))
            new = run._replace(**{field: parts[field]})  # type: ignore[arg-type]  # each part has its field's type
            kept = shape.runs if random.random() < 0.3 else tuple(each for each in shape.runs if each is not run)
            return shape._replace(runs=(*kept[-3:], new))


def cost(shape: Shape, size: int, runs: int = RUNS) -> float:
    """Return the least time that reading the answer took, in microseconds."""
    asked = ask(shape)
    message = answer(shape, asked, size)
    least = float("inf")
    for _ in range(runs):
        begun = time.perf_counter_ns()
        with suppress(WireError):
            decode_response(asked, message)
        least = min(least, time.perf_counter_ns() - begun)
    return least / 1000


def search(size: int, seconds: float, random: Random) -> tuple[float, Shape]:
    """Climb from the dearest seeds for *seconds*; return the dearest shape and its cost in microseconds."""
    kept = sorted(((cost(seed, size), seed) for seed in SEEDS), reverse=True)[:4]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        shape = changed(random.choice(kept)[1], random)
        if cost(shape, size, 2) > kept[-1][0]:
            kept = sorted([*kept, (cost(shape, size), shape)], reverse=True)[:4]
    return max((cost(shape, size, 4 * RUNS), shape) for _, shape in kept)


def main() -> None:
    """Search over both transports and print what was found."""
    seconds = parser(__doc__, seconds=20.0).parse_args().seconds
    gc.disable()
    for transport, size in SIZES.items():
        found, shape = search(size, seconds, Random(7))
        print(f"{transport}: {found:6.0f} us, type {shape.rtype}, do {shape.do}, long name {shape.long}")
        for run in shape.runs:
            print(f"  {run}")


if __name__ == "__main__":
    main()
