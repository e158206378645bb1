"""What dnsperf does not ask, and what came of it: each answer is looked at, and each query is unlike the others.

Letter case and cookies are random, connections are opened and closed, forwarded names are asked for once, and packets
are no messages at all.
"""

import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import count

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from bench.randomized import with_cookie, with_letter_case

_PATIENCE = 2.0
_TROUBLES = 20
_LAG = 1.0
_ON_A_CONNECTION = 3
FORWARDED = "192.0.2.1"
"""The address of each name below ``example.`` at the upstream of `bench.upstreams.knot`."""


def new_name(number: int) -> str:
    """Return a name below ``example.`` that nobody has asked for; all are equally long."""
    return f"once-{number:07}-{random.getrandbits(32):010}.example"


class WrongAnswerError(Exception):
    """An answer is not what it must be."""


class Asker:
    """Asks one server in turns of its own choice.

    Args:
        port: The server's port on 127.0.0.1.
        addresses: The addresses of each Service whose name is asked for; they must not change.

    Attributes:
        asked: How many queries of each kind were asked.
        failed: How many of them got no answer in time, or a wrong one.
        troubles: What was wrong with the first of those.
    """

    def __init__(self, port: int, addresses: Mapping[str, frozenset[str]]) -> None:
        self.asked: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.troubles: list[str] = []
        self._port = port
        self._addresses = addresses
        self._names = list(addresses)
        self._numbers = count()

    def run(self, rate: float, stop: threading.Event) -> None:
        """Ask *rate* times a second, or as often as it goes, until *stop* is set."""
        kinds = random.choices(list(KINDS), [share for share, _ in KINDS.values()], k=10_000)
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / rate, time.monotonic() - _LAG)
            kind = kinds[next(self._numbers) % len(kinds)]
            self.asked[kind] += 1
            try:
                KINDS[kind][1](self)
            except (OSError, dns.exception.DNSException, WrongAnswerError) as error:
                self.failed[kind] += 1
                if len(self.troubles) < _TROUBLES:
                    self.troubles.append(f"{kind}: {type(error).__name__} {error}")

    def spell(self) -> None:
        """Ask for a Service in random letter case, which the answer must repeat."""
        name = self._choose()
        query = with_letter_case(dns.message.make_query(name, "A").to_wire())
        answer = self._exchange(query)
        if answer[12 : len(query)] != query[12:]:
            raise WrongAnswerError(f"{name}: another spelling")
        _check(answer, self._addresses[name])

    def give_a_cookie(self) -> None:
        """Ask for a Service with a cookie."""
        name = self._choose()
        _check(self._exchange(with_cookie(dns.message.make_query(name, "A").to_wire())), self._addresses[name])

    def connect(self) -> None:
        """Ask for Services one after the other on a connection of their own."""
        with socket.create_connection(("127.0.0.1", self._port), _PATIENCE) as stream, stream.makefile("rb") as file:
            for _ in range(_ON_A_CONNECTION):
                name = self._choose()
                query = dns.message.make_query(name, "A").to_wire()
                stream.sendall(len(query).to_bytes(2) + query)
                _check(file.read(int.from_bytes(file.read(2))), self._addresses[name])

    def search(self) -> None:
        """Ask for what a search path makes of a Service's name, which is nothing."""
        name = self._choose()
        space = name.split(".")[1]
        query = dns.message.make_query(f"{name}.{space}.svc.cluster.local", "A")
        _check(self._exchange(query.to_wire()), frozenset(), dns.rcode.NXDOMAIN)

    def look_for_a_port(self) -> None:
        """Ask for a Service's port."""
        answer = dns.message.from_wire(self._exchange(dns.message.make_query(self._srv_name(), "SRV").to_wire()))
        if not any(rrset.rdtype == dns.rdatatype.SRV for rrset in answer.answer):
            raise WrongAnswerError(f"{answer.question[0]}: {dns.rcode.to_text(answer.rcode())} without a port")

    def forward(self) -> None:
        """Ask for a name that nobody has asked for, and which is the upstream's."""
        query = dns.message.make_query(new_name(next(self._numbers)), "A")
        _check(self._exchange(query.to_wire()), frozenset({FORWARDED}))

    def disturb(self) -> None:
        """Send what is no query, over UDP or as a connection's last words; whether an answer comes does not matter."""
        query = bytearray(dns.message.make_query(self._choose(), "A").to_wire())
        query[random.randrange(len(query))] ^= 1 << random.randrange(8)
        packet = random.choice((query, query[: random.randrange(len(query))], random.randbytes(random.randrange(600))))
        if random.random() < 0.8:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(packet, ("127.0.0.1", self._port))
            return
        with socket.create_connection(("127.0.0.1", self._port), _PATIENCE) as stream:
            stream.sendall(struct.pack("!H", random.randrange(65536)) + packet)

    def _choose(self) -> str:
        return random.choice(self._names)

    def _srv_name(self) -> str:
        return f"_http._tcp.{self._choose()}"

    def _exchange(self, query: bytes) -> bytes:
        """Send a query over UDP and return its answer, whatever else comes."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(_PATIENCE)
            client.connect(("127.0.0.1", self._port))
            client.send(query)
            while True:
                answer = client.recv(4096)
                if answer[:2] == query[:2]:
                    return answer


KINDS: dict[str, tuple[int, Callable[[Asker], None]]] = {
    "random letter case": (20, Asker.spell),
    "random cookies": (20, Asker.give_a_cookie),
    "connections": (10, Asker.connect),
    "search paths": (15, Asker.search),
    "ports": (15, Asker.look_for_a_port),
    "forwarded once": (15, Asker.forward),
    "no queries": (5, Asker.disturb),
}
"""How often each kind is chosen, and what it does."""


def _check(answer: bytes, addresses: frozenset[str], rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> None:
    """Raise `WrongAnswerError` unless the answer has that code and those addresses, all of them or as many as fit."""
    message = dns.message.from_wire(answer)
    found = {rdata.to_text() for rrset in message.answer for rdata in rrset}
    fits = found <= addresses if message.flags & dns.flags.TC else found == addresses
    if message.rcode() != rcode or not fits:
        raise WrongAnswerError(f"{message.question}: {dns.rcode.to_text(message.rcode())} {sorted(found)}")
