"""An API server that does as it is told: lists, watches and every fault that a real one cannot be made to have.

It speaks HTTP/1.1 over a real socket on a free port and keeps objects with their history. A fault is a coroutine that
answers one request in place of the server: ``api.meet(reset_after(100), "services", watch=True)`` for the next request
of that kind, ``api.always = refuse_with(500)`` for all.
"""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]
Key = tuple[str, str]

SINGULAR = {"services": "Service", "endpointslices": "EndpointSlice", "namespaces": "Namespace", "pods": "Pod"}
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 410: "Expired", 429: "TooManyRequests"}


class Seen(NamedTuple):
    """A request as it came, at a time of the event loop."""

    at: float
    resource: str
    query: dict[str, str]
    headers: dict[str, str]

    @property
    def watch(self) -> bool:
        return self.query.get("watch") == "true"

    @property
    def small(self) -> bool:
        return self.query.get("limit") == "1"


@dataclass(eq=False)
class Exchange:
    """One request and the way to answer it."""

    seen: Seen
    writer: asyncio.StreamWriter
    events: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    def start(self, status: int = 200, **headers: str) -> None:
        """Send the head of a chunked response."""
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", "Content-Type: application/json"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if "Content_Length" not in headers:
            lines.append("Transfer-Encoding: chunked")
        self.writer.write("\r\n".join([*lines, "", ""]).encode())

    def send(self, data: bytes) -> None:
        """Send one chunk."""
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """Send the last chunk."""
        self.writer.write(b"0\r\n\r\n")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send a whole response."""
        self.start(status, Content_Length=str(len(body)), **headers)
        self.writer.write(body)

    def fail(self, status: int, message: str = "", **headers: str) -> None:
        """Send a failure as the API does."""
        self.answer(status, json.dumps(failure(status, message)).encode(), **headers)

    def reset(self) -> None:
        """Break the connection off."""
        found = self.writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Fault = Callable[["FakeApi", Exchange], Awaitable[None]]


class Stored(NamedTuple):
    version: int
    content: Json
    text: bytes


class FakeApi:
    """The server.

    Args:
        tls: The server's side of TLS, if it is spoken.
        address: Where it listens.

    Attributes:
        port: Where it listens, the same after each start.
        tls: The server's side of TLS, if it is spoken.
        seen: The requests so far.
        connects: How many connections there were.
        always: What every request meets for which nothing else is said.
        streaming: Whether a watch can begin with all objects.
        tokens: Who may ask; everybody where there are none.
        forbidden: Resources that nobody may read.
        gone: How a version that is forgotten is reported: "event", "status" or "body".
        oldest: The oldest version that a watch may go on from.
        version: The version of the last change.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> None:
        self.port = 0
        self.address = address
        self.tls = tls
        self.seen: list[Seen] = []
        self.connects = 0
        self.always: Fault = well
        self.streaming = True
        self.tokens: set[str] = set()
        self.forbidden: set[str] = set()
        self.gone = "event"
        self.oldest = 0
        self.version = 100
        self._meets: list[tuple[Fault, str, bool | None]] = []
        self._objects: dict[str, dict[Key, Stored]] = {resource: {} for resource in SINGULAR}
        self._history: list[tuple[int, str, bytes]] = []
        self._pages: dict[str, tuple[int, list[Stored]]] = {}
        self._open: dict[Exchange, None] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def connected(self) -> bool:
        """Whether anybody has a connection to it."""
        return bool(self._writers)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.address}:{self.port}"

    async def start(self) -> None:
        """Listen, again on the same port."""
        self._server = await asyncio.start_server(self._serve, self.address, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections and reset those that there are."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def meet(self, fault: Fault, resource: str = "", *, watch: bool | None = None) -> None:
        """Let the next request of this kind meet a fault."""
        self._meets.append((fault, resource, watch))

    def put(self, resource: str, content: Json, *, lost: bool = False) -> str:
        """Create or change an object and return its version; a lost change is told to nobody who watches."""
        self.version += 1
        key = _key(content)
        change = "MODIFIED" if key in self._objects[resource] else "ADDED"
        content = {"kind": SINGULAR[resource], **content}
        content["metadata"] = {**content["metadata"], "resourceVersion": str(self.version)}
        text = json.dumps(content, ensure_ascii=False).encode()
        self._objects[resource][key] = Stored(self.version, content, text)
        if not lost:
            self._tell(resource, change, text)
        return str(self.version)

    def delete(self, resource: str, namespace: str, name: str, *, lost: bool = False) -> None:
        """Delete an object."""
        self.version += 1
        content = self._objects[resource].pop((namespace, name)).content
        content = {**content, "metadata": {**content["metadata"], "resourceVersion": str(self.version)}}
        if not lost:
            self._tell(resource, "DELETED", json.dumps(content).encode())

    def bookmark(self, resource: str = "", **annotations: str) -> None:
        """Tell those who watch how far they have come."""
        for exchange in self._open:
            if resource in ("", exchange.seen.resource):
                exchange.events.put_nowait(self._bookmark(exchange.seen.resource, annotations))

    def emit(self, resource: str, line: bytes) -> None:
        """Send those who watch some octets."""
        for exchange in self._open:
            if exchange.seen.resource == resource:
                exchange.events.put_nowait(line)

    def compact(self) -> None:
        """Forget history."""
        self.oldest = self.version
        self._history.clear()

    def cut(self, resource: str = "") -> None:
        """Reset the watches."""
        for exchange in list(self._open):
            if resource in ("", exchange.seen.resource):
                exchange.reset()

    def finish(self, resource: str = "") -> None:
        """End the watches as their time does."""
        for exchange in self._open:
            if resource in ("", exchange.seen.resource):
                exchange.events.put_nowait(b"")

    def asked(self, resource: str = "", *, watch: bool | None = None) -> list[Seen]:
        """Return the requests of this kind so far, small lists left out."""
        return [
            each
            for each in self.seen
            if resource in ("", each.resource) and watch in (None, each.watch) and not each.small
        ]

    def watching(self, resource: str) -> int:
        """Return how many watches are open."""
        return sum(exchange.seen.resource == resource for exchange in self._open)

    def list_text(self, resource: str, items: Iterable[Stored], version: int, more: str = "") -> bytes:
        """Write a page of a list."""
        head = {"resourceVersion": str(version)} | ({"continue": more} if more else {})
        return b'{"kind":"%sList","apiVersion":"v1","metadata":%b,"items":[%b]}' % (
            SINGULAR[resource].encode(),
            json.dumps(head).encode(),
            b",".join(item.text for item in items),
        )

    async def reply(self, exchange: Exchange) -> None:
        """Answer as an API server does that is well."""
        seen = exchange.seen
        if self.tokens and seen.headers.get("authorization", "").partition(" ")[2] not in self.tokens:
            exchange.fail(401, "Unauthorized")
        elif seen.resource in self.forbidden:
            verb = "watch" if seen.watch else "list"
            exchange.fail(403, f'{seen.resource} is forbidden: User "svcdns" cannot {verb} resource')
        elif seen.watch:
            await self._watch(exchange)
        else:
            self._list(exchange)

    def _tell(self, resource: str, change: str, text: bytes) -> None:
        line = event(change, text)
        self._history.append((self.version, resource, line))
        self.emit(resource, line)

    def _bookmark(self, resource: str, annotations: dict[str, str]) -> bytes:
        meta = {"resourceVersion": str(self.version), "creationTimestamp": None, "annotations": annotations}
        return event("BOOKMARK", json.dumps({"kind": SINGULAR[resource], "metadata": meta, "spec": {}}).encode())

    def _list(self, exchange: Exchange) -> None:
        query, resource = exchange.seen.query, exchange.seen.resource
        limit = int(query.get("limit", "0"))
        if token := query.get("continue"):
            version, items = self._pages.pop(token)
        else:
            version, items = self.version, list(self._objects[resource].values())
        if "PartialObjectMetadata" in exchange.seen.headers.get("accept", ""):
            items = [item._replace(text=json.dumps({"metadata": item.content["metadata"]}).encode()) for item in items]
        page, rest = (items[:limit], items[limit:]) if limit else (items, [])
        more = f"{resource}-{version}-{len(rest)}" if rest else ""
        if more:
            self._pages[more] = version, rest
        exchange.answer(200, self.list_text(resource, page, version, more))

    async def _watch(self, exchange: Exchange) -> None:
        query, resource = exchange.seen.query, exchange.seen.resource
        if "sendInitialEvents" in query:
            if not self.streaming:
                exchange.fail(
                    422, "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
                )
                return
            lines = [event("ADDED", item.text) for item in self._objects[resource].values()]
            lines.append(self._bookmark(resource, {"k8s.io/initial-events-end": "true"}))
        else:
            version = int(query["resourceVersion"])
            if version < self.oldest and self._forgotten(exchange):
                return
            if version > self.version:
                exchange.fail(504, f"Too large resource version: {version}, current: {self.version}")
                return
            lines = [line for at, kind, line in self._history if kind == resource and at > version]
        exchange.start()
        for line in lines:
            exchange.send(line)
        await self._follow(exchange)

    def _forgotten(self, exchange: Exchange) -> bool:
        message = f"too old resource version: {exchange.seen.query['resourceVersion']} ({self.oldest})"
        text = json.dumps(failure(410, message)).encode()
        if self.gone == "status":
            exchange.answer(410, b"too old resource version")
        elif self.gone == "body":
            exchange.answer(200, text)
        else:
            exchange.start()
            exchange.send(event("ERROR", text))
            exchange.end()
        return True

    async def _follow(self, exchange: Exchange) -> None:
        self._open[exchange] = None
        try:
            while line := await exchange.events.get():
                exchange.send(line)
                await exchange.writer.drain()
            exchange.end()
        finally:
            del self._open[exchange]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connects += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        begun = b""
        try:
            while True:
                head = begun + await reader.readuntil(b"\r\n\r\n")
                begun = await self._exchange(Exchange(_parse(head.decode()), writer), reader)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, exchange: Exchange, reader: asyncio.StreamReader) -> bytes:
        """Answer a request, until the client hangs up, and return what came of the next one meanwhile."""
        self.seen.append(exchange.seen)
        answering = asyncio.ensure_future(self._next_fault(exchange.seen)(self, exchange))
        listening = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({answering, listening}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise asyncio.IncompleteReadError(b"", None)
            await answering
            return listening.result() if listening.done() else b""
        finally:
            for each in (answering, listening):
                each.cancel()
            await asyncio.gather(answering, listening, return_exceptions=True)

    def _next_fault(self, seen: Seen) -> Fault:
        for index, (fault, resource, watch) in enumerate(self._meets):
            if resource in ("", seen.resource) and watch in (None, seen.watch):
                del self._meets[index]
                return fault
        return self.always


async def well(api: FakeApi, exchange: Exchange) -> None:
    """No fault."""
    await api.reply(exchange)


def refuse_with(status: int, message: str = "", **headers: str) -> Fault:
    """Answer with a failure; headers as ``Retry_After="7"``."""

    async def fault(_: FakeApi, exchange: Exchange) -> None:
        exchange.fail(status, message, **headers)

    return fault


def say(body: bytes, status: int = 200, **headers: str) -> Fault:
    """Answer with some octets."""

    async def fault(_: FakeApi, exchange: Exchange) -> None:
        exchange.answer(status, body, **headers)

    return fault


def reset_after(octets: int) -> Fault:
    """Answer as ever, but break off after so many octets of the body; the head is sent in any case."""

    async def fault(api: FakeApi, exchange: Exchange) -> None:
        left = octets

        def send(data: bytes) -> None:
            nonlocal left
            Exchange.send(exchange, data[:left])
            left -= len(data)
            if left <= 0:
                raise ConnectionResetError

        def answer(status: int, body: bytes, **headers: str) -> None:
            exchange.start(status, Content_Length=str(len(body)), **headers)
            exchange.writer.write(body[:octets])
            raise ConnectionResetError

        exchange.send = send  # type: ignore[method-assign] # what a fault is for
        exchange.answer = answer  # type: ignore[method-assign] # as above
        await api.reply(exchange)

    return fault


def late(seconds: float) -> Fault:
    """Answer as ever, but only after so many seconds."""

    async def fault(api: FakeApi, exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await api.reply(exchange)

    return fault


async def reset_at_once(_: FakeApi, exchange: Exchange) -> None:
    """Break off without a word."""
    exchange.reset()


async def say_nothing(_: FakeApi, __: Exchange) -> None:
    """Take the request and never answer."""
    await asyncio.Event().wait()


async def stall(_: FakeApi, exchange: Exchange) -> None:
    """Begin to answer and send no octet of the body."""
    exchange.start()
    await asyncio.Event().wait()


def failure(status: int, message: str) -> Json:
    """Return a Status as the API sends it."""
    reason = REASONS.get(status, "InternalError")
    return {"kind": "Status", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": status}


def event(change: str, text: bytes) -> bytes:
    """Write a line of a watch."""
    return b'{"type":"%b","object":%b}\n' % (change.encode(), text)


def service(name: str, address: str = "10.96.0.10", namespace: str = "default", **metadata: Any) -> Json:
    """Return a Service."""
    spec = {"clusterIP": address, "clusterIPs": [address], "type": "ClusterIP", "ports": [{"name": "http", "port": 80}]}
    return {"metadata": {"name": name, "namespace": namespace, **metadata}, "spec": spec}


def endpoint_slice(name: str, owner: str, *addresses: str, namespace: str = "default", **annotations: str) -> Json:
    """Return an EndpointSlice of a Service."""
    meta = {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": owner}}
    return {
        "metadata": meta | {"annotations": annotations},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


def namespace(name: str) -> Json:
    """Return a Namespace."""
    return {"metadata": {"name": name}}


def pod(name: str, address: str, **metadata: Any) -> Json:
    """Return a Pod."""
    return {"metadata": {"name": name, "namespace": "default", **metadata}, "status": {"podIP": address}}


def _key(content: Json) -> Key:
    return content["metadata"].get("namespace", ""), content["metadata"]["name"]


def _parse(head: str) -> Seen:
    line, *rest = head.rstrip("\r\n").split("\r\n")
    method, target, _ = line.split(" ")
    assert method == "GET", line
    parts = urlsplit(target)
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)}
    at = asyncio.get_running_loop().time()
    return Seen(at, parts.path.rpartition("/")[2], dict(parse_qsl(parts.query)), headers)
