"""The frontend alone: real sockets on loopback and a responder, over handlers that a test makes.

What a client sees is all that is looked at: octets that come back, silence, connections that are closed.
"""

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial

from svcdns.chain import Handler
from svcdns.dns.message import Listener, Query, Response
from svcdns.dns.name import ROOT, Name
from svcdns.metrics import Metrics
from svcdns.net.connections import Connections, Limits
from svcdns.net.datagrams import Datagrams
from svcdns.net.sockets import Answer, BindError, Counters, TellClient, bind
from svcdns.net.streams import Streams
from svcdns.responder import Responder, Route, Routes, Surroundings
from tests import octets, programs

PATIENCE = 10.0
"""How long a test waits for what must come, in seconds; nothing waits for what must not come."""

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_MARKER_ID = 0xFFFE
_LONGEST = 65535


class Answers:
    """Answers a listener's messages as a test says.

    Args:
        give: Answers one message.
    """

    def __init__(self, give: Callable[[bytes], Answer]) -> None:
        self._give = give
        self.made = 0

    def begin(self) -> None:
        self.made = 0

    def recall(self, octets: bytes) -> bytes | None: ...

    def respond(self, octets: bytes, client: TellClient) -> Answer:
        self.made += 1
        return self._give(octets)

    def end(self, count: int) -> None: ...

    async def settle(self) -> None: ...


class Held:
    """An answer that a test gives later."""

    def tell(self, call: Callable[[bytes | None], None]) -> None:
        self.give = call


def make_responder(
    routes: Iterable[Route], listener: Listener, *, clock: Callable[[], float] = time.monotonic
) -> Responder:
    """Make a responder for a listener that is none, ready to answer."""
    lent = Surroundings(lambda query, response: None, Counters.of(Metrics()), clock)
    responder = Responder(Routes(routes), lent, listener)
    responder.begin()
    return responder


@dataclass
class Frontend:
    """A server's listeners at one address.

    Attributes:
        address: The address listened on.
        port: The port listened on.
        datagrams: The UDP listener.
        streams: The TCP listener.
        connections: The TCP connections.
        counters: What the listeners count.
        dropped: The queries that reached no server block, with what they were answered.
        clients: The connections that the test opened.
    """

    address: str
    port: int
    datagrams: Datagrams
    streams: Streams
    connections: Connections
    counters: Counters
    dropped: list[tuple[Query, Response]]
    clients: list[Client] = field(default_factory=list)

    async def ask(self, message: bytes, transport: str = "udp") -> bytes | None:
        """Return what *message* is answered with: None for silence over UDP and for no answer before TCP's end."""
        answers = await (self.ask_udp(message) if transport == "udp" else self.ask_tcp(message))
        assert len(answers) <= 1
        return answers[0] if answers else None

    async def ask_udp(self, message: bytes, to: str | None = None) -> list[bytes]:
        """Return what comes back from *to*, by default the address listened on, before a good question's answer."""
        marker = octets.query(octets.question("marker.invalid"), id=_MARKER_ID)
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as client:
            client.setblocking(False)  # noqa: FBT003 - its only argument
            client.connect((to or self.address, self.port))
            loop = asyncio.get_running_loop()
            answers = []
            async with asyncio.timeout(PATIENCE):
                client.send(message)  # which may be empty, and uvloop would not send that
                client.send(marker)
                while (answer := await loop.sock_recv(client, _LONGEST))[:2] != marker[:2]:
                    answers.append(answer)
        return answers

    async def connect(self, source: str | None = None) -> Client:
        """Open a TCP connection, which ends with the server at the latest."""
        local = (source, 0) if source else None
        client = await asyncio.open_connection(self.address, self.port, local_addr=local)
        self.clients.append(client)
        return client

    async def ask_tcp(self, *messages: bytes) -> list[bytes]:
        """Send *messages* over one connection, then end its sending half; return the answers up to its end."""
        reader, writer = await self.connect()
        for message in messages:
            writer.write(len(message).to_bytes(2) + message)
        writer.write_eof()
        return await read_all(reader)

    async def dig(self, *arguments: str) -> str:
        """Return what dig prints."""
        return await run_dig(self.address, self.port, *arguments)


async def run_dig(address: str, port: int, *arguments: str) -> str:
    """Return what dig prints of a server."""
    dig = await asyncio.create_subprocess_exec(
        programs.path("dig"),
        f"@{address}",
        f"-p{port}",
        "+time=5",
        "+tries=1",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await dig.communicate()
    return output.decode()


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """Return the next answer of a TCP connection."""
    async with asyncio.timeout(PATIENCE):
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))


async def read_all(reader: asyncio.StreamReader) -> list[bytes]:
    """Return the answers that come over a TCP connection until the server closes it."""
    answers = []
    async with asyncio.timeout(PATIENCE):
        while length := await reader.read(1):
            length += await reader.readexactly(1)
            answers.append(await reader.readexactly(int.from_bytes(length)))
    return answers


@contextmanager
def few_files(spare: int) -> Iterator[None]:
    """Let the process open no more than *spare* further files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as lowest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno() + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def bind_pair(address: str) -> tuple[socket.socket, socket.socket]:
    """Open a UDP and a TCP socket at one port, whichever is free for both."""
    while True:
        udp = bind(address, 0, socket.SOCK_DGRAM)
        try:
            return udp, bind(address, udp.getsockname()[1], socket.SOCK_STREAM)
        except BindError:
            udp.close()


@asynccontextmanager
async def frontend(
    handlers: Mapping[Name, Handler] | Handler,
    *,
    address: str = "127.0.0.1",
    recursive: bool = False,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    send_buffer: int | None = None,
) -> AsyncIterator[Frontend]:
    """Serve *handlers*, by zone, or one for all names, at *address*.

    Args:
        handlers: What answers.
        address: Where.
        recursive: Whether answers say that recursion is available.
        limits: What TCP connections may take.
        send_buffer: How many octets of answers the kernel takes of each of these, if not as many as it likes.
    """
    if not isinstance(handlers, Mapping):
        handlers = {ROOT: handlers}
    routes = [Route(zone, handler, recursive) for zone, handler in handlers.items()]
    counters = Counters.of(Metrics())
    dropped: list[tuple[Query, Response]] = []
    lent = Surroundings(lambda query, response: dropped.append((query, response)), counters, time.monotonic)
    make = partial(Responder, Routes(routes), lent)
    connections = Connections(counters, limits)
    udp, tcp = bind_pair(address)
    if send_buffer is not None:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    datagrams = Datagrams(udp, "dns://:53", make, counters)
    streams = Streams(tcp, "dns://:53", make, connections)
    datagrams.start()
    streams.start()
    server = Frontend(address, datagrams.listener.port, datagrams, streams, connections, counters, dropped)
    try:
        yield server
    finally:
        for _, writer in server.clients:
            writer.transport.abort()
        if udp.fileno() != -1:
            await datagrams.stop(0)
        if tcp.fileno() != -1:  # the test may have stopped it
            await streams.stop(0)
