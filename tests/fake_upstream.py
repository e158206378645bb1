"""An upstream that misbehaves on request: the first label of the name says how.

``NAME`` or ``NAME-ARGUMENT`` as a label picks a behaviour below; every other name gets one A record. Good answers hold
`GOOD`, forged ones `EVIL`.
"""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.frontend import bind_pair

GOOD = "192.0.2.1"
EVIL = "192.0.2.66"

Reply = Callable[[bytes], None]


class Seen(NamedTuple):
    """A query as it came.

    Attributes:
        transport: ``udp``, ``tcp`` or ``tls``.
        address: The address that it came from.
        port: The port that it came from.
        message: What it says; its question has the letter case as sent.
        size: Its octets.
    """

    transport: str
    address: str
    port: int
    message: dns.message.Message
    size: int

    @property
    def name(self) -> str:
        """The name asked for, as sent."""
        return self.message.question[0].name.to_text()

    @property
    def label(self) -> str:
        """The first label, in lower case."""
        return self.name.partition(".")[0].lower()


def answer(query: dns.message.Message, *records: str, ttl: int = 60) -> dns.message.Message:
    """Make a good answer: one A record, or *records* as ``OWNER TYPE DATA``, of which ``@`` is the question's name."""
    response = dns.message.make_response(query, recursion_available=True, our_payload=1232)
    question = query.question[0]
    for record in records or (f"@ A {GOOD}",):
        owner, rtype, data = record.split(" ", 2)
        name = question.name if owner == "@" else dns.name.from_text(owner)
        rrset = dns.rrset.from_text(name, ttl, "IN", rtype, data)
        found = [each for each in response.answer if (each.name, each.rdtype) == (rrset.name, rrset.rdtype)]
        if found:
            found[0].add(rrset[0])
        else:
            response.answer.append(rrset)
    return response


def failure(query: dns.message.Message, rcode: dns.rcode.Rcode) -> bytes:
    """Make an answer with an error code and nothing else."""
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(rcode)
    return response.to_wire()


class FakeUpstream(asyncio.DatagramProtocol):
    """The server.

    Args:
        tcp: Whether it takes TCP connections.
        fold: Whether it answers in lower case, over UDP and over TCP.
        edns: Whether it knows EDNS: ``yes``, or ``formerr``, ``bare`` (FORMERR without a question) or ``silent``.
        delay: How long each answer takes, in seconds.
        loss: Which part of the datagrams that come is lost.
        host: The address that it listens at.
        helpful: Whether every question gets a good answer, whatever its label says.
        answers: How each question that asks for no behaviour is answered.

    Attributes:
        seen: Every query, in order.
        host: As given.
        port: The port that it listens at.
        udp: Its UDP socket.
        helpful: As given; may be changed.
        loss: As given; may be changed.
        connections: How many TCP connections were made.
        quiet: Set once a connection was closed.
    """

    def __init__(
        self,
        *,
        tcp: bool = True,
        fold: bool = False,
        edns: str = "yes",
        delay: float = 0.0,
        loss: float = 0.0,
        helpful: bool = False,
        host: str = "127.0.0.1",
        answers: Callable[[dns.message.Message], dns.message.Message] = answer,
    ) -> None:
        self.seen: list[Seen] = []
        self.port = 0
        self.connections = 0
        self.quiet = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tcp = tcp
        self._fold = fold
        self._edns = edns
        self.loss = loss
        self._delay = delay
        self.helpful = helpful
        self._chance = random.Random(5452)
        self._answers = answers
        self.host = host
        self.udp: socket.socket
        self._arrived = asyncio.Event()

    def named(self, label: str) -> list[Seen]:
        """Return the queries whose first label is *label*."""
        return [each for each in self.seen if each.label == label]

    async def wait_for(self, count: int) -> None:
        """Wait until *count* queries have come."""
        while len(self.seen) < count:
            self._arrived.clear()
            await self._arrived.wait()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        def reply(octets: bytes) -> None:
            if self.udp.fileno() >= 0:
                self.udp.sendto(octets, addr)  # asyncio's transport would not send an empty datagram

        self._take("udp", data, addr, reply)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes over one connection."""
        self.connections += 1
        self._writers.add(writer)
        transport = "tls" if writer.get_extra_info("ssl_object") else "tcp"

        def reply(octets: bytes) -> None:
            if octets:
                writer.write(len(octets).to_bytes(2) + octets)
            else:
                writer.close()

        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2))
                self._take(transport, await reader.readexactly(size), writer.get_extra_info("peername"), reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)
            self.quiet.set()

    def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()

    def _take(self, transport: str, octets: bytes, address: tuple[str, int], reply: Reply) -> None:
        query = dns.message.from_wire(octets)
        self.seen.append(Seen(transport, address[0], address[1], query, len(octets)))
        self._arrived.set()
        if transport == "udp" and self._chance.random() < self.loss:
            return
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._respond, transport, query, address, reply)
        else:
            self._respond(transport, query, address, reply)

    def _respond(self, transport: str, query: dns.message.Message, address: tuple[str, int], reply: Reply) -> None:
        if query.edns >= 0 and self._edns != "yes":
            if self._edns == "formerr":
                plain = dns.message.from_wire(query.to_wire())
                plain.use_edns(edns=False)
                reply(failure(plain, dns.rcode.FORMERR))
            elif self._edns == "bare":
                reply(query.to_wire()[:2] + b"\x81\x81" + bytes(8))
            return
        if self._fold:
            query.question[0].name = dns.name.from_text(query.question[0].name.to_text().lower())
        label, _, argument = query.question[0].name.to_text().partition(".")[0].lower().partition("-")
        behave = getattr(self, f"_do_{label}", None)
        if behave is None or self.helpful:
            reply(self._answers(query).to_wire())
        elif label == "forged":
            self._do_forged(query, reply, argument, transport, address)
        else:
            behave(query, reply, argument, transport)

    def _do_lost(self, query: dns.message.Message, reply: Reply, count: str, transport: str) -> None:
        """Leave the first packets unanswered; a stream loses none."""
        name = query.question[0].name
        if transport != "udp" or sum(seen.message.question[0].name == name for seen in self.seen) > int(count):
            reply(answer(query).to_wire())

    def _do_blackhole(self, query: dns.message.Message, reply: Reply, argument: str, transport: str) -> None:
        """Say nothing."""

    def _do_slow(self, query: dns.message.Message, reply: Reply, milliseconds: str, transport: str) -> None:
        asyncio.get_running_loop().call_later(int(milliseconds) / 1000, reply, answer(query).to_wire())

    def _do_rcode(self, query: dns.message.Message, reply: Reply, rcode: str, transport: str) -> None:
        reply(failure(query, dns.rcode.from_text(rcode)))

    def _do_truncated(self, query: dns.message.Message, reply: Reply, then: str, transport: str) -> None:
        """Set TC over UDP; over TCP answer, or do what *then* says."""
        response = answer(query)
        if transport == "udp" or then == "again":
            if then != "partial":
                response.answer.clear()
            else:
                response.answer = answer(query, f"@ A {EVIL}").answer
            response.flags |= dns.flags.TC
            reply(response.to_wire())
        elif then == "closed":
            reply(b"")
        elif then != "hang":
            reply(response.to_wire())

    def _do_ttl(self, query: dns.message.Message, reply: Reply, ttl: str, transport: str) -> None:
        octets = bytearray(answer(query, ttl=7).to_wire())
        position = octets.index(b"\x00\x00\x00\x07\x00\x04")
        octets[position : position + 4] = int(ttl).to_bytes(4)
        reply(bytes(octets))

    def _do_negative(self, query: dns.message.Message, reply: Reply, rcode: str, transport: str) -> None:
        reply(failure(query, dns.rcode.from_text(rcode)))

    def _do_big(self, query: dns.message.Message, reply: Reply, count: str, transport: str) -> None:
        reply(answer(query, *(f"@ A 10.0.{i // 256}.{i % 256}" for i in range(int(count)))).to_wire(max_size=65535))

    def _do_lying(self, query: dns.message.Message, reply: Reply, argument: str, transport: str) -> None:
        """Claim one answer more than there is."""
        octets = bytearray(answer(query).to_wire())
        octets[7] += 1
        reply(bytes(octets))

    def _do_junk(self, query: dns.message.Message, reply: Reply, argument: str, transport: str) -> None:
        reply(answer(query).to_wire() + b"junk")

    def _do_circle(self, query: dns.message.Message, reply: Reply, argument: str, transport: str) -> None:
        reply(answer(query, f"@ CNAME {query.question[0].name.to_text()}").to_wire())

    def _do_twice(self, query: dns.message.Message, reply: Reply, argument: str, transport: str) -> None:
        reply(answer(query).to_wire())
        reply(answer(query).to_wire())

    def _do_foreign(self, query: dns.message.Message, reply: Reply, argument: str, transport: str) -> None:
        """Add records of others to each section."""
        response = answer(query, f"@ A {GOOD}", f"victim.example. A {EVIL}")
        response.authority.append(dns.rrset.from_text("example.", 60, "IN", "NS", "ns.evil.example."))
        response.additional.append(dns.rrset.from_text("ns.evil.example.", 60, "IN", "A", EVIL))
        reply(response.to_wire())

    def _do_into(self, query: dns.message.Message, reply: Reply, argument: str, transport: str) -> None:
        """Lead into a zone that is not the upstream's, with forged data there."""
        target = "web.default.svc.cluster.local."
        reply(answer(query, f"@ CNAME {target}", f"{target} A {EVIL}").to_wire())

    def _do_validated(self, query: dns.message.Message, reply: Reply, argument: str, transport: str) -> None:
        response = answer(query)
        response.flags |= dns.flags.AD
        reply(response.to_wire())

    def _do_forged(
        self, query: dns.message.Message, reply: Reply, kind: str, transport: str, address: tuple[str, int]
    ) -> None:
        """Send something forged first, then the right answer."""
        if transport == "udp":
            if kind in {"port", "address"}:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.bind(("127.0.0.1", 0) if kind == "port" else ("127.0.0.2", self.port))
                    other.sendto(answer(query, f"@ A {EVIL}").to_wire(), address)
            elif kind == "ids":
                for number in range(1, 21):
                    reply(forge(query, "id", number))
            elif kind == "flood":
                for number in range(1, 100):
                    reply(forge(query, "id", number))
                return
            else:
                reply(forge(query, kind))
        reply(answer(query).to_wire())


def forge(query: dns.message.Message, kind: str, number: int = 1) -> bytes:
    """Make an answer that is wrong in one way."""
    octets = answer(query, f"@ A {EVIL}").to_wire()
    question = octets.index(query.question[0].name.to_wire() or b"", 12) + len(query.question[0].name.to_wire() or b"")
    return {
        "id": ((query.id + number) & 0xFFFF).to_bytes(2) + octets[2:],
        "name": octets[:13] + b"z" + octets[14:],
        "type": octets[:question] + b"\0\x10" + octets[question + 2 :],
        "class": octets[: question + 2] + b"\0\x03" + octets[question + 4 :],
        "qr": octets[:2] + bytes((octets[2] & 0x7F,)) + octets[3:],
        "opcode": octets[:2] + bytes((octets[2] | 5 << 3,)) + octets[3:],
        "garbage": octets[:12] + bytes(range(64, 104)),
        "short": octets[:7],
        "empty": b"",
        "case": octets[:13] + bytes((octets[13] ^ 0x20,)) + octets[14:],
        "noquestion": octets[:2] + b"\x81\x80" + bytes(8),
        "half": octets[:-2],
    }[kind]


FORGERIES = (
    "id", "name", "type", "class", "qr", "opcode", "garbage", "short", "empty", "port", "address", "case",
    "noquestion", "half", "ids",
)  # fmt: skip
"""Ways in which the first answer may be wrong."""


@asynccontextmanager
async def fake_upstream(
    fake: FakeUpstream | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[FakeUpstream]:
    """Have *fake* serve at a port that the kernel chooses, over TLS alone if a context is given."""
    fake = fake or FakeUpstream()
    loop = asyncio.get_running_loop()
    fake.udp, tcp = bind_pair(fake.host)
    fake.port = tcp.getsockname()[1]
    server = await asyncio.start_server(fake.talk, sock=tcp, ssl=tls)
    if not fake._tcp:
        server.close()
        await server.wait_closed()
    transport, _ = await loop.create_datagram_endpoint(lambda: fake, sock=fake.udp)
    try:
        yield fake
    finally:
        transport.close()
        server.close()
        await asyncio.sleep(0)
